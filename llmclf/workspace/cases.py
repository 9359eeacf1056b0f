"""From runs, datasets and files to cases: what is judged, with what the rubric sees of it and nothing more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from llmclf.calibration.session_rows import visible
from llmclf.config import files, load_task
from llmclf.config.mistakes import validated
from llmclf.data.files import byte_lines
from llmclf.data.loading import load_dataset
from llmclf.data.parse import decoded
from llmclf.data.pasted import read_any
from llmclf.data.problems import Fault
from llmclf.errors import ConfigError, DataError
from llmclf.judges.loading import load_judge
from llmclf.judges.recorded import RecordedJudge
from llmclf.llm.runtime import Runtime
from llmclf.types import Case, Conversation, Dataset, Example, Item, Prediction, Predictions, Rubric, Task, content_hash
from llmclf.workspace.run_results import KINDS, LAST, find_run, run_result

RUN = "run:"
"""How a run is named where a file or a dataset could be meant as well."""
_OF_PREDICTIONS = ("label", "rationale", "thinking", "reason", "quote", "question", "guideline")
_OF_LABELS = ("label", "note", "question", "guideline")
_DIGITS = 8
_MOST_PROBLEMS = 20


@dataclass(frozen=True)
class Cases:
    """Cases with the conversations they are about."""

    cases: tuple[Case, ...]
    conversations: Mapping[str, Conversation]
    left_out: Mapping[str, int]
    """Why something of the source is no case, to how many."""


def cases_of(
    items: str,
    rubric: Rubric,
    runtime: Runtime,
    *,
    conversations: str | None = None,
    dataset: str | None = None,
    unit: str = "conversation",
) -> tuple[list[Case], dict[str, Conversation]]:
    """(cases, their conversations by id) as `read_cases` finds them."""
    found = read_cases(items, rubric, runtime, conversations=conversations, dataset=dataset, unit=unit)
    return list(found.cases), dict(found.conversations)


def read_cases(
    items: str,
    rubric: Rubric,
    runtime: Runtime,
    *,
    conversations: str | None = None,
    dataset: str | None = None,
    unit: str = "conversation",
) -> Cases:
    """What `items` names, as cases that show what the rubric sees and nothing more.

    `run:RUN`, `run:RUN/CELL`, `last`: the predictions of a run; for a rubric that sees a `quote` one case for each
    quote. A file of JSON Lines: cases, or conversations where the rubric sees nothing else. Anything else is a
    dataset: the labels that people gave, or its items alone. `unit` "turn" makes a case of each turn of the bot where
    the source names no items. `conversations` is a file with them, `dataset` stands in for a run's own.

    A case's id follows from the words that the rubric sees, so that a verdict on other words of a conversation of the
    same id is none on this case. Cases of a file keep theirs; a recorded judge's are the items that its file names.

    Raises ConfigError where the source can't show what the rubric sees, DataError with every bad line, or where no
    case is left.
    """
    given = _conversations(conversations, runtime) if conversations else {}
    if items == LAST or items.startswith(RUN):
        found = _of_run(items.removeprefix(RUN), rubric, runtime, given, dataset)
    elif items.endswith((".jsonl", ".jsonl.gz")):
        found = _of_file(_path(items, runtime), rubric, runtime, given, unit)
    else:
        found = _of_dataset(load_dataset(items, runtime.workspace), rubric, runtime, unit)
    if not found.cases:
        why = ", ".join(f"{count:,} {reason}" for reason, count in found.left_out.items())
        raise DataError("there is no case to judge", where=items, got=why or "nothing")
    return found


def _of_run(
    name: str, rubric: Rubric, runtime: Runtime, given: Mapping[str, Conversation], dataset: str | None
) -> Cases:
    """The predictions of a run, with its dataset's conversations, or those of a file for a run of `classify`."""
    _check_shown(rubric, _OF_PREDICTIONS, f"run {name}", "a prediction")
    run = find_run(runtime.store, name.partition("/")[0])
    groups: dict[Item, str] = {}
    if run["kind"] in KINDS:
        result = run_result(name, runtime, dataset=dataset)
        predictions, task = result.predictions, result.task
        known: Mapping[str, Conversation] = {**result.dataset.conversations, **given}
        groups = {example.item: example.group for example in result.dataset.examples}
    else:
        predictions = runtime.store.predictions(run["run_id"])
        if not len(predictions):
            raise DataError("the store holds no prediction of it", where=f"run {name}", got=f"kind {run['kind']!r}")
        task, known = load_task(predictions[0].task, runtime.workspace), given
        if "conversation" in rubric.sees and not given:
            raise ConfigError(
                "a run of classify keeps no conversations",
                where=f"run {name}",
                fix="give the file they came from: --conversations FILE",
            )
    return _collected(_predicted(predictions, task, rubric, groups), known, rubric, runtime)


def _predicted(
    predictions: Predictions, task: Task, rubric: Rubric, groups: Mapping[Item, str]
) -> Iterator[Case | str]:
    """A case for each prediction, or quote; or why there is none."""
    for prediction in predictions:
        if prediction.failed:
            yield "failed predictions"
            continue
        parts = list(_shown_of(prediction, task, rubric))
        if not parts:
            yield (
                "predictions without a quote" if "quote" in rubric.sees else f"predictions without a {rubric.sees[-1]}"
            )
        for shown in parts:
            stamp: dict[str, str | bool] = {"label": shown["label"]} if "label" in shown else {}
            if prediction.simulated:
                stamp["simulated"] = True
            yield _case(prediction.item, shown, groups.get(prediction.item, ""), metadata=stamp)


def _shown_of(prediction: Prediction, task: Task, rubric: Rubric) -> Iterator[dict[str, str]]:
    """What is shown of a prediction: once, or once for each of its quotes; nothing where what is judged is empty."""
    said = [text for text in (prediction.rationale, prediction.thinking) if text.strip()]
    texts = {
        "label": prediction.label or "",
        "rationale": prediction.rationale,
        "thinking": prediction.thinking,
        "reason": "\n".join(said),
        "question": task.question,
        "guideline": task.guideline.text,
    }
    quotes = [quote.quote for quote in prediction.evidence] if "quote" in rubric.sees else [""]
    for quote in dict.fromkeys(quotes):
        shown = {name: {**texts, "quote": quote}[name] for name in rubric.sees if name != "conversation"}
        if all(text.strip() for text in shown.values()):
            yield shown


def _of_dataset(data: Dataset, rubric: Rubric, runtime: Runtime, unit: str) -> Cases:
    """The labels that people gave in a dataset; its items where the rubric sees the conversation alone."""
    if rubric.sees == ("conversation",):
        return _collected(_items(data, rubric, unit), data.conversations, rubric, runtime)
    _check_shown(rubric, _OF_LABELS, f"dataset {data.name}", "a person's label")
    here = set(files.listing("task", runtime.workspace))
    named = {task for example in data.examples for _, _, task, _ in _labels(example)}
    tasks = {name: load_task(name, runtime.workspace) for name in named & here}
    return _collected(_labelled(data, tasks, rubric), data.conversations, rubric, runtime)


def _items(data: Dataset, rubric: Rubric, unit: str) -> Iterator[Case]:
    """The items of the examples, each once; of all conversations where there are none."""
    for example in data.examples:
        known = example.labels.get(rubric.name, "")
        yield _case(example.item, {}, example.group, label=known if known in rubric.names else "")
    if not data.examples:
        yield from _whole(data.conversations.values(), unit)


def _labelled(data: Dataset, tasks: Mapping[str, Task], rubric: Rubric) -> Iterator[Case | str]:
    """A case for each label that a person gave; for each example's own label where no person is named."""
    needs_task = not {"question", "guideline"}.isdisjoint(rubric.sees)
    for example in data.examples:
        for label, note, task, annotator in _labels(example):
            texts = {"label": label, "note": note}
            if task in tasks:
                texts |= {"question": tasks[task].question, "guideline": tasks[task].guideline.text}
            elif needs_task:
                yield f"labels of task {task}, which is not here"
                continue
            shown = {name: texts[name] for name in rubric.sees if name != "conversation"}
            metadata = {"annotator": annotator} if annotator else {}
            yield _case(example.item, shown, example.group, metadata=metadata, of=annotator)


def _labels(example: Example) -> Iterator[tuple[str, str, str, str]]:
    """(label, note, task, annotator)."""
    for one in example.annotations:
        yield one.label, one.note, one.task, one.annotator
    said = {one.task for one in example.annotations}
    for task, label in example.labels.items():
        if task not in said:
            yield label, example.note, task, ""


def _of_file(path: Path, rubric: Rubric, runtime: Runtime, given: Mapping[str, Conversation], unit: str) -> Cases:
    """Cases from JSON Lines; or conversations, for a rubric that sees nothing else."""
    rows = [(number, decoded(raw)) for number, raw in byte_lines(path) if raw.strip()]
    if rubric.sees == ("conversation",) and any(isinstance(row, dict) and "turns" in row for _, row in rows):
        conversations = {one.id: one for one in read_any(path)}
        return _collected(_whole(conversations.values(), unit), {**conversations, **given}, rubric, runtime)
    cases, problems = list[Case](), list[str]()
    adapter = TypeAdapter(Case)
    for number, row in rows:
        case, wrong = _case_line(row, adapter)
        problems += [f"line {number}: {problem}" for problem in wrong]
        cases += [case] if case is not None else []
    if problems:
        more = len(problems) - _MOST_PROBLEMS
        shown = problems[:_MOST_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        raise DataError(f"lines that can't be used: {len(problems)}", where=str(path), problems=shown)
    return Cases(tuple(cases), {**given}, {})


def _case_line(row: Any, adapter: TypeAdapter[Case]) -> tuple[Case | None, list[str]]:
    if isinstance(row, Fault):
        return None, [row.what]
    if not isinstance(row, dict):
        return None, ["is no JSON object"]
    case, problems = validated(adapter, row)
    return case, problems


def _whole(conversations: Iterable[Conversation], unit: str) -> Iterator[Case]:
    for conversation in conversations:
        if unit == "conversation":
            yield _case(Item(conversation.id), {})
            continue
        turns = [number for number, turn in enumerate(conversation.turns) if turn.speaker == "bot"]
        for turn in turns:
            yield _case(Item(conversation.id, turn), {})


def _case(
    item: Item,
    shown: Mapping[str, str],
    group: str = "",
    *,
    label: str = "",
    metadata: Mapping[str, str | int | float | bool | None] = {},
    of: str = "",
) -> Case:
    """The case of an item; its id follows from what is shown, so that the same again is the same case.

    What of the conversation is shown comes into it in `_collected`.
    """
    mark = f":{content_hash((dict(shown), of))[:_DIGITS]}" if shown else ""
    return Case(f"{item}{mark}", item.conversation_id, item.turn, dict(shown), group, label, dict(metadata))


def _collected(
    found: Iterable[Case | str], conversations: Mapping[str, Conversation], rubric: Rubric, runtime: Runtime
) -> Cases:
    """Cases, each once, named by the words that the rubric sees; and why others are none."""
    cases: dict[str, Case] = {}
    left_out: Counter[str] = Counter()
    for one in found:
        if isinstance(one, str):
            left_out[one] += 1
        else:
            cases.setdefault(one.id, one)
    wanted = {case.conversation_id for case in cases.values()}
    texts = {key: conversations[key] for key in wanted & conversations.keys()}
    by_words = "conversation" in rubric.sees and not _was_recorded(rubric, runtime)
    named = (_named(case, texts, rubric) if by_words else case for case in cases.values())
    return Cases(tuple(named), texts, left_out)


def _named(case: Case, texts: Mapping[str, Conversation], rubric: Rubric) -> Case:
    """The case with an id that other words of a conversation of this id don't have: verdicts are on words."""
    conversation = texts.get(case.conversation_id)
    if conversation is None:
        return case
    turns = visible(conversation, rubric, case.turn).turns
    return replace(case, id=f"{case.item}:{content_hash((case.id, turns))[:_DIGITS]}")


def _was_recorded(rubric: Rubric, runtime: Runtime) -> bool:
    """True for a judge whose verdicts, or those of a panel's member, were made elsewhere: they name items alone."""
    try:
        judge = load_judge(rubric.name, runtime=runtime, workspace=runtime.workspace)
    except ConfigError:
        return False  # a rubric of the caller's own
    return any(isinstance(member, RecordedJudge) for member in judge.members)


def _check_shown(rubric: Rubric, names: tuple[str, ...], where: str, what: str) -> None:
    missing = [name for name in rubric.sees if name not in ("conversation", *names)]
    if missing:
        raise ConfigError(
            f"{what} can't show {', '.join(missing)}, which {rubric.name} sees",
            where=where,
            fix=f"it shows {', '.join(('conversation', *names))}; or give a file of cases (JSON Lines)",
        )


def _conversations(name: str, runtime: Runtime) -> dict[str, Conversation]:
    return {one.id: one for one in read_any(_path(name, runtime))}


def _path(name: str, runtime: Runtime) -> Path:
    """A file, from the workspace or the working folder."""
    path = Path(name)
    inside = (runtime.workspace or Path()) / path
    return path if path.is_absolute() or not inside.is_file() else inside
