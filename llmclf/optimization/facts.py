"""What people know of an example, for the words of feedback."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from llmclf.optimization.values import Facts
from llmclf.render import visible_turns
from llmclf.types import Conversation, Example, Task

Redact = Callable[[list[str]], list[str]]


def facts_of(example: Example, conversation: Conversation, task: Task, redact: Redact = list) -> Facts:
    """What the labels file and the guideline say of an example that is labelled for `task`.

    `conversation` is the example's, as it may be sent: evidence is quoted from it alone, and a highlight that is not
    in it, word for word, becomes the whole turn. `redact` is asked about what annotators wrote. Turns that the model
    may not see are no evidence.
    """
    label = example.labels[task.name]
    agreeing = [each for each in example.annotations if each.task == task.name and each.label == label]
    written = [
        text for text in dict.fromkeys([*(each.note.strip() for each in agreeing), example.note.strip()]) if text
    ]
    modes = {mode.name: mode.definition for mode in task.failure_modes}
    return Facts(
        definition=next((each.definition for each in task.labels if each.name == label), ""),
        rules=_rules(task, label, {each.rule for each in agreeing if each.rule}),
        evidence=tuple(dict.fromkeys(_evidence(example, conversation, task))),
        votes=Counter(each.label for each in example.annotations if each.task == task.name),
        failure_modes=tuple(f"{mode}: {modes[mode]}" if mode in modes else mode for mode in example.failure_modes),
        notes=tuple(redact(list(written))),
    )


def _rules(task: Task, label: str, cited: set[str]) -> tuple[tuple[str, str], ...]:
    """Those that were cited, in the order of the guideline; else all of the label."""
    found = tuple((rule.id, rule.text) for each in task.labels for rule in each.rules if rule.id in cited)
    return found or tuple((rule.id, rule.text) for each in task.labels if each.name == label for rule in each.rules)


def _evidence(example: Example, conversation: Conversation, task: Task) -> Iterator[tuple[int | None, str]]:
    words = [turn.text for turn in visible_turns(conversation, task, example.turn)]
    label = example.labels[task.name]
    quoted = set()
    for annotation in example.annotations:
        if annotation.task != task.name or annotation.label != label:
            continue
        for each in annotation.evidence:
            if each.turn is not None and 0 <= each.turn < len(words) and words[each.turn].strip():
                quoted.add(each.turn)
                yield each.turn, each.quote if each.quote and each.quote in words[each.turn] else words[each.turn]
    for turn in example.evidence_turns:
        if turn not in quoted and 0 <= turn < len(words) and words[turn].strip():
            yield turn, words[turn]
