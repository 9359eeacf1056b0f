"""Demonstrations that show every label: what is looked for, everything that looks like it, and neither."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence

from llmclf.optimization.values import Demonstration
from llmclf.types import Label

_ROLES = ("target", "adjacent", "clean")


def in_order(labels: Sequence[Label]) -> list[str]:
    """Names of labels by what a prompt needs most: the target, each adjacent one, clean; else as in the file."""
    return [label.name for label in sorted(labels, key=lambda label: _ROLES.index(label.role))]


def covering(keys: Mapping[str, Sequence[str]], count: int, seed: int = 0) -> list[str]:
    """`count` keys (fewer where there are fewer), one of each label in turn, in the order of the labels.

    Args:
        keys: Label to the keys of its instances; no key twice.
        count: How many to choose.
        seed: Which ones of a label; the order of its keys does not matter.

    >>> covering({"target": ["a"], "near": ["b"], "clean": ["c", "c"]}, 3)
    ['a', 'b', 'c']
    """
    drawn = []
    for label, members in keys.items():
        shuffled = sorted(set(members))
        random.Random(f"{seed} {label}").shuffle(shuffled)  # noqa: S311 - examples, not a secret
        drawn.append(shuffled)
    longest = max((len(members) for members in drawn), default=0)
    turns = [members[place] for place in range(longest) for members in drawn if place < len(members)]
    return turns[: max(count, 0)]


def covered(
    demonstrations: Sequence[Demonstration], pool: Sequence[Demonstration], labels: Sequence[Label], most: int
) -> tuple[Demonstration, ...]:
    """The demonstrations with every label among them, `most` at most; () stays ().

    What stands twice is shown once. A label that none shows is added from `pool`, its first one there. Where there is
    no room, the last demonstration of the label that is shown most goes. With less room than labels, the target comes
    first, then the adjacent ones. A label that the pool lacks too is not shown. The same input, the same answer.
    """
    order = in_order(labels)
    shown = list({one.key: one for one in reversed(demonstrations)}.values())[::-1]
    if not shown or most < 1:
        return ()
    for label in order:
        if all(one.label != label for one in shown):
            taken = {one.key for one in shown}
            shown += [one for one in pool if one.label == label and one.key not in taken][:1]
    while len(shown) > most:
        counts = Counter(one.label for one in shown)
        place = max(range(len(shown)), key=lambda at: (counts[shown[at].label], _rank(shown[at], order), at))
        del shown[place]
    return tuple(shown)


def _rank(demonstration: Demonstration, order: Sequence[str]) -> int:
    return order.index(demonstration.label) if demonstration.label in order else len(order)
