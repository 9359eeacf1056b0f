"""Which examples hang together, so that intervals and folds take them as one."""

from __future__ import annotations

from collections.abc import Iterable

from llmclf.types.dataset import Example


def groups_of(examples: Iterable[Example]) -> list[str]:
    """The group of each example: they share a conversation, a `group`, or a `pair`, followed through.

    Named after `group_or_conversation` of the first that stands in it. If a pair's conversation is not among the
    examples, two examples that name it still hang together.

    >>> groups_of([Example("a"), Example("b", pair="a"), Example("c"), Example("c", 1)])
    ['a', 'a', 'c', 'c']
    """
    examples = tuple(examples)
    ids = [example.conversation_id for example in examples]
    own = [example.group or example.conversation_id for example in examples]
    group_of = dict(zip(ids, own, strict=True))
    links = [(group_of[id], group) for id, group in zip(ids, own, strict=True) if group_of[id] != group]
    links += [
        (group, group_of.get(example.pair, example.pair))
        for example, group in zip(examples, own, strict=True)
        if example.pair
    ]
    if not links:
        return own
    parent = {group: group for link in links for group in link}
    for one, other in links:
        parent[_root(parent, other)] = _root(parent, one)
    first: dict[str, str] = {}
    return [first.setdefault(_root(parent, group), group) if group in parent else group for group in own]


def _root(parent: dict[str, str], group: str) -> str:
    while parent[group] != group:
        parent[group] = parent[parent[group]]
        group = parent[group]
    return group
