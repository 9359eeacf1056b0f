"""How many items a conversation of production has: what turns its volume into items a day and a month."""

from __future__ import annotations

from collections import Counter

import numpy as np

from llmclf.classifiers.base import items_of
from llmclf.evaluation.drawn import drawn
from llmclf.types import Dataset, Task


def items_per_conversation(dataset: Dataset, task: Task) -> float:
    """Items that a conversation has, a mean over the conversations that the labelled ones of `dataset` stand for.

    1 for a task about conversations. For one about turns every turn of the bot is an item, labelled or not: in
    production each is asked about. An item of weight w in a conversation of m items stands for w / m conversations,
    so the mean is sum(w) / sum(w / m); where single turns were drawn, long conversations were drawn more often.
    """
    if task.unit == "conversation":
        return 1.0
    examples = [example for example in dataset.examples if task.name in example.labels]
    asked = {example.conversation_id: dataset.conversation(example) for example in examples}
    items = {*items_of(asked.values(), task), *(example.item for example in examples)}
    counts = Counter(item.conversation_id for item in items)
    weight = drawn(dataset, examples).sampling.weight
    return float(weight.sum() / (weight / np.array([counts[one.conversation_id] for one in examples])).sum())


def volume_sentence(items: float) -> str:
    """How many turns a conversation is taken to have, and from what that is known."""
    return (
        f"A conversation is taken to have {items:.3g} turns of the bot, as those of this dataset have, and each of "
        "them is asked about."
    )
