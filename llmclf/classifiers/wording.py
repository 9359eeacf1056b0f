"""The words around a conversation: what is asked, which answers there are, in which form, and examples of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from llmclf.errors import ConfigError, DataError
from llmclf.llm.model import Media, Message
from llmclf.render import Prompt
from llmclf.types import Conversation, Dataset, Example, Item, Task

AnswerForm = Literal["explained", "label"]
"""Evidence and rationale before the label, or one letter."""
Shot = tuple[Item, str, str]
"""(item, its text, its label) of an example that the prompt shows."""

FILLED = frozenset({"question", "labels", "label_names", "target", "answer_format", "examples", "conversation", "item"})
"""The placeholders that a classifier's prompt may have."""

_FORMS: dict[AnswerForm, str] = {
    "explained": """Answer with one JSON object and nothing else:
{"evidence": [{"turn": 3, "quote": "words copied from that turn"}], "rationale": "one or two sentences", \
"label": "one of the labels", "confidence": 0.9}
Quote word for word. Give no evidence where there is nothing to quote. `confidence` is how sure you are of the \
label, from 0 to 1.""",
    "label": "Answer with the letter of one label and nothing else.",
}


def check_prompt(prompt: Prompt) -> None:
    """ConfigError where a classifier's prompt has no place for the conversation."""
    if "conversation" not in prompt.placeholders:
        raise ConfigError("the prompt has no {{conversation}}", where=f"prompt {prompt.name}")


def answer_format(form: AnswerForm) -> str:
    """How to answer, in words for the model."""
    return _FORMS[form]


def fixed_values(task: Task, form: AnswerForm, shots: Sequence[Shot]) -> dict[str, str]:
    """The values of a prompt's placeholders that are the same for every item."""
    lines, heads = [], []
    for number, label in enumerate(task.labels):
        head = f"{chr(ord('A') + number)}. {label.name}" if form == "label" else f"- {label.name}"
        rules = "".join(f"\n   {rule.id}. {rule.text}" for rule in label.rules)
        heads.append(head)
        lines.append(f"{head}: {label.definition}{rules}")
    return {
        "question": task.question,
        "labels": "\n".join(lines),
        "label_names": "\n".join(heads),
        "target": task.target,
        "answer_format": answer_format(form),
        "examples": "\n\n".join(example_text(text, label_answer(task, form, label)) for _, text, label in shots),
    }


def example_text(text: str, answer: str) -> str:
    """An example as a prompt shows it: the conversation's text, and what is to be answered."""
    return f"<example>\n{text}\n</example>\nAnswer: {answer}"


def label_answer(task: Task, form: AnswerForm, label: str) -> str:
    """The answer of an example of which the label alone is known: its letter, or a sentence."""
    return letter_of(task, label) if form == "label" else f'its label is "{label}"'


def letter_of(task: Task, label: str) -> str:
    """The letter that stands for a label: A for the task's first."""
    return chr(ord("A") + task.label_names.index(label))


def about_turn(turn: int | None) -> str:
    """Which turn the question is about; empty where it is about the whole conversation."""
    return "" if turn is None else f"The question is about turn [{turn}] alone; the others are context."


def messages_of(prompt: Prompt, values: Mapping[str, str], media: tuple[Media, ...]) -> tuple[Message, ...]:
    """The prompt's messages, filled; media go with the last of the user's, which holds the conversation."""
    messages = [Message(role, text) for role, text in prompt.fill(values)]  # type: ignore[arg-type]
    if media:
        users = [place for place, message in enumerate(messages) if message.role == "user"]
        last = users[-1] if users else -1
        messages[last] = replace(messages[last], media=media)
    return tuple(messages)


def choose_shots(
    dataset: Dataset,
    task: Task,
    count: int,
    seed: int,
    text: Callable[[Conversation, int | None], str],
    where: str,
) -> tuple[Shot, ...]:
    """`count` examples of `dataset` to show, one label after the other, never two of one group or pair.

    `text` makes a conversation (or what a turn of it may see) into words. Raises DataError where there
    are not enough.
    """
    chosen = _spread(dataset, task, count, seed)
    if len(chosen) < count:
        raise DataError("there are not enough labelled examples to show", where=where, got=f"{len(chosen)} of {count}")
    return tuple((each.item, text(dataset.conversation(each), each.turn), each.labels[task.name]) for each in chosen)


def _spread(dataset: Dataset, task: Task, count: int, seed: int) -> list[Example]:
    by_label: dict[str, list[Example]] = {name: [] for name in task.label_names}
    for example in dataset.examples:
        by_label[task.check_label(example.labels[task.name])].append(example)
    draw = random.Random(seed)  # noqa: S311 - which examples are shown, not a secret
    for examples in by_label.values():
        draw.shuffle(examples)
    chosen: list[Example] = []
    taken: set[str] = set()
    while len(chosen) < count and any(by_label.values()):
        for examples in by_label.values():
            while examples:
                example = examples.pop()
                kin = {example.group_or_conversation, example.conversation_id, example.pair} - {""}
                if not kin & taken:
                    taken |= kin
                    chosen.append(example)
                    break
    return chosen[:count]
