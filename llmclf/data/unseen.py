"""Which labelled items something has not learned from already."""

from __future__ import annotations

from collections.abc import Collection

from llmclf.data.checks.duplicates import alike
from llmclf.data.split import blocks_of
from llmclf.types import Dataset, item_hash


def unseen(dataset: Dataset, learned_from: Collection[str]) -> list[int]:
    """Places of examples that hang together with none that was learned from, in order.

    `learned_from` are `item_hash`es. What shares a conversation, a group or a pair with such an item, or (nearly) its
    words, is seen too, and so is what hangs together with that by group or pair.
    """
    own = [item_hash(dataset.conversation(each), each.turn) in learned_from for each in dataset.examples]
    if not any(own):
        return list(range(len(dataset)))
    first = alike({"": dataset.conversations})
    kinds = [first["", each.conversation_id] for each in dataset.examples]
    known = {kind for kind, is_known in zip(kinds, own, strict=True) if is_known}
    blocks = [block for block in blocks_of(dataset) if not any(kinds[place] in known for place in block)]
    return sorted(place for block in blocks for place in block)


__all__ = ["unseen"]
