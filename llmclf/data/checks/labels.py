"""Examples that do not fit their conversations, their task, or the design they were drawn by."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from llmclf.data.allocation import LEAST_POSITIVES, POSITIVES_FOR_10_POINTS
from llmclf.data.checks.content import is_blank
from llmclf.data.checks.findings import Finding, counted, finding, visible
from llmclf.types import Dataset, Example, Task

_SAME = 1e-6


def label_findings(dataset: Dataset, task: Task | None) -> list[Finding]:
    """Everything about the examples; nothing where there are none."""
    if not dataset.examples:
        return []
    found = [*_item_findings(dataset), *_design_findings(dataset)]
    if task is not None:
        found += _task_findings(dataset, task)
    return found


def _item_findings(dataset: Dataset) -> list[Finding]:
    no_conversation, no_turn, no_evidence, empty = [], [], [], []
    for example in dataset.examples:
        conversation = dataset.conversations.get(example.conversation_id)
        item = str(example.item)
        if conversation is None:
            no_conversation.append(item)
            continue
        count = len(conversation.turns)
        if example.turn is not None and not 0 <= example.turn < count:
            no_turn.append(item)
        if any(not 0 <= turn < count for turn in example.evidence_turns):
            no_evidence.append(item)
        if example.labels and all(is_blank(turn) for turn in conversation.turns):
            empty.append(item)
    times = Counter(example.item for example in dataset.examples)
    return [
        *finding(
            "missing_conversations", "error", no_conversation, "are labelled and not there: add the conversations."
        ),
        *finding(
            "missing_turns", "error", no_turn, "are labelled turns the conversation does not have (turns count from 0)."
        ),
        *finding(
            "missing_evidence_turns",
            "error",
            no_evidence,
            "name evidence turns the conversation does not have (turns count from 0).",
        ),
        *finding(
            "labelled_empty",
            "error",
            empty,
            "carry a label and hold nothing: a crashed run is no negative. Take the label away.",
        ),
        *finding(
            "duplicate_examples",
            "error",
            [str(item) for item, count in times.items() if count > 1],
            "have more than one example: each would count twice. Keep one.",
        ),
    ]


def _task_findings(dataset: Dataset, task: Task) -> list[Finding]:
    labelled = [example for example in dataset.examples if task.name in example.labels]
    outside = [example for example in labelled if example.labels[task.name] not in task.label_names]
    wrong_unit = [example for example in labelled if (example.turn is None) != (task.unit == "conversation")]
    wrong_votes = [e for e in dataset.examples if _strange_votes(e, task)]
    doubled = [e for e in dataset.examples if _annotators_twice(e, task)]
    modes = {mode.name for mode in task.failure_modes}
    wrong_modes = [example for example in labelled if modes and set(example.failure_modes) - modes]
    strange = counted(Counter(example.labels[task.name] for example in outside))
    strange_modes = counted(Counter(mode for example in wrong_modes for mode in set(example.failure_modes) - modes))
    return [
        *finding(
            "labels_outside_task",
            "error",
            _items(outside),
            f"have a label that task {visible(task.name)} does not know: {strange}; "
            f"it knows {', '.join(task.label_names)}.",
        ),
        *finding(
            "wrong_unit",
            "error",
            _items(wrong_unit),
            f"do not fit task {visible(task.name)}, which is about a {task.unit}.",
        ),
        *finding(
            "failure_modes_outside_task",
            "warning",
            _items(wrong_modes),
            f"name failure modes the task does not know: {strange_modes}.",
        ),
        *finding(
            "annotations_outside_task",
            "error",
            _items(wrong_votes),
            f"have annotations with labels that task {visible(task.name)} does not know: "
            f"{counted(Counter(label for e in wrong_votes for label in _strange_votes(e, task)))}.",
        ),
        *finding(
            "annotators_twice",
            "warning",
            _items(doubled),
            "have two annotations by one annotator: agreement would count that person twice.",
        ),
        *_positive_findings(labelled, task),
        *finding(
            "unlabelled",
            "note",
            _items([example for example in dataset.examples if task.name not in example.labels]),
            f"have no label for task {visible(task.name)}; they count for nothing, and never as negatives.",
        ),
    ]


def _strange_votes(example: Example, task: Task) -> list[str]:
    said = [one.label for one in example.annotations if one.task == task.name]
    return [label for label in said if label not in task.label_names]


def _annotators_twice(example: Example, task: Task) -> bool:
    people = [one.annotator for one in example.annotations if one.task == task.name]
    return len(set(people)) < len(people)


def _positive_findings(labelled: Sequence[Example], task: Task) -> list[Finding]:
    positives = [example for example in labelled if example.labels[task.name] == task.target]
    name = visible(task.target)
    if not positives:
        return [
            Finding(
                "no_positives",
                "error" if labelled else "warning",
                len(labelled),
                f"labelled examples, and not one {name}: neither recall nor precision can be measured. "
                "Label more, drawn where the target is likely (`llmclf data sample --by keyword` or `score`).",
            )
        ]
    if len(positives) < LEAST_POSITIVES:
        sentence = (
            f"positives ({name}): too few for a recall figure, which needs {LEAST_POSITIVES} at least "
            f"(about {POSITIVES_FOR_10_POINTS} for ±10 points). Label more, drawn where the target is likely."
        )
        return [Finding("few_positives", "warning", len(positives), sentence, tuple(_items(positives)))]
    return []


def _design_findings(dataset: Dataset) -> list[Finding]:
    outside = [
        example
        for example in dataset.examples
        if example.inclusion_probability is not None and not 0 < example.inclusion_probability <= 1
    ]
    unknown: list[Example] = []
    if dataset.design.kind == "weighted":
        unknown = [example for example in dataset.examples if example.inclusion_probability is None]
    return [
        *finding(
            "inclusion_probability",
            "error",
            _items(outside),
            "have an inclusion probability outside (0, 1]: a weight is one over it.",
        ),
        *finding(
            "no_inclusion_probability",
            "error",
            _items(unknown),
            "have no inclusion probability although the design is weighted: their weight is not known.",
        ),
        *_stratum_findings(dataset),
    ]


def _stratum_findings(dataset: Dataset) -> list[Finding]:
    if dataset.design.kind != "stratified":
        return []
    if not dataset.design.strata:
        sentence = "the design is stratified and names no stratum: give the population and sampled size of each."
        return [Finding("no_strata", "error", len(dataset.examples), sentence)]
    by_name: dict[str, list[Example]] = defaultdict(list)
    for example in dataset.examples:
        by_name[example.stratum].append(example)
    names = [stratum.name for stratum in dataset.design.strata]
    strange = [example for name, examples in by_name.items() if name not in names for example in examples]
    problems, short = [], []
    for stratum in dataset.design.strata:
        drawn = len(by_name[stratum.name])
        name = visible(stratum.name)
        if not 0 <= stratum.sampled <= stratum.population:
            problems.append(f"{name}: {stratum.sampled} sampled of {stratum.population}")
        if drawn > stratum.sampled:
            problems.append(f"{name}: {drawn} examples, {stratum.sampled} sampled")
        elif drawn < stratum.sampled:
            short.append(f"{name}: {drawn} of {stratum.sampled}")
    problems += [f"{visible(name)} stands twice" for name, count in Counter(names).items() if count > 1]
    return [
        *finding(
            "strata_unknown", "error", _items(strange), "are in a stratum the design does not name: no weight is known."
        ),
        *finding(
            "design_sizes",
            "error",
            [],
            f"strata whose sizes can't be: {'; '.join(problems[:5])}. Rates computed from them are wrong.",
            count=len(problems),
        ),
        *finding(
            "design_short",
            "warning",
            [],
            f"strata with fewer examples than were drawn: {'; '.join(short[:5])}. Were the missing ones harder to "
            "label? Rates take them to be like the others of their stratum.",
            count=len(short),
        ),
        *_weight_findings(dataset),
    ]


def _weight_findings(dataset: Dataset) -> list[Finding]:
    expected = {
        stratum.name: stratum.sampled / stratum.population for stratum in dataset.design.strata if stratum.population
    }
    differing = [
        example
        for example in dataset.examples
        if example.inclusion_probability is not None
        and example.stratum in expected
        and not math.isclose(example.inclusion_probability, expected[example.stratum], rel_tol=0.02, abs_tol=_SAME)
    ]
    return finding(
        "weights_differ",
        "warning",
        _items(differing),
        "have an inclusion probability that is not sampled / population of their stratum: one of the two is wrong.",
    )


def _items(examples: Sequence[Example]) -> list[str]:
    return [str(example.item) for example in examples]
