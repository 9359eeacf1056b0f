"""What stands on both sides of a split: a classifier that saw it in training looks better than it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from llmclf.data.checks.findings import Finding, finding
from llmclf.types import Dataset, groups_of

WHAT_IT_MEANS = "a classifier that learned from one side has seen the other, and figures flatter it"


def leakage_findings(
    splits: Mapping[str, Dataset], exact: Iterable[tuple[str, ...]], near: Iterable[tuple[str, ...]]
) -> list[Finding]:
    """Conversations, groups, pairs and (near) duplicates that stand in more than one part of a split."""
    homes: dict[str, set[str]] = defaultdict(set)
    for name, part in splits.items():
        for id in part.conversations:
            homes[id].add(name)
    crossing_pairs = _crossing_pairs(splits, homes)
    crossing_exact = [group for group in exact if _parts(group, homes) > 1]
    crossing_near = [group for group in near if _parts(group, homes) > 1]
    return [
        *finding(
            "leak_conversations",
            "error",
            sorted(id for id, parts in homes.items() if len(parts) > 1),
            f"stand in more than one part of the split: {WHAT_IT_MEANS}. Split by group.",
        ),
        *finding(
            "leak_groups",
            "error",
            _crossing_groups(splits, {id for pair in crossing_pairs for id in pair}),
            f"are groups with examples in more than one part of the split: {WHAT_IT_MEANS}. Split by group.",
        ),
        *finding(
            "leak_pairs",
            "error",
            ["|".join(pair) for pair in crossing_pairs],
            f"are counterfactual pairs whose halves are in different parts: {WHAT_IT_MEANS}.",
            groups=crossing_pairs,
        ),
        *finding(
            "leak_duplicates",
            "error",
            sorted({id for group in crossing_exact for id in group}),
            f"are the same conversation under several ids, in different parts: {WHAT_IT_MEANS}. "
            "Remove the copies, or give them one group.",
            groups=crossing_exact,
        ),
        *finding(
            "leak_near_duplicates",
            "warning",
            sorted({id for group in crossing_near for id in group}),
            f"are nearly the same conversation, in different parts: {WHAT_IT_MEANS}. Give them one group.",
            groups=crossing_near,
        ),
    ]


def _crossing_groups(splits: Mapping[str, Dataset], in_pairs: Collection[str]) -> list[str]:
    """Groups in several parts; one that is nothing but pairs which are in several parts is told of as those."""
    held = [(name, example) for name, part in splits.items() for example in part.examples]
    parts: dict[str, set[str]] = defaultdict(set)
    members: dict[str, set[str]] = defaultdict(set)
    for (name, example), group in zip(held, groups_of(example for _, example in held), strict=True):
        parts[group].add(name)
        members[group].add(example.conversation_id)
    return sorted(group for group, names in parts.items() if len(names) > 1 and members[group].difference(in_pairs))


def _crossing_pairs(splits: Mapping[str, Dataset], homes: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for part in splits.values():
        for example in part.examples:
            other = homes.get(example.pair)
            if example.pair and other and len(homes[example.conversation_id] | other) > 1:
                first, second = sorted((example.conversation_id, example.pair))
                found.add((first, second))
    return sorted(found)


def _parts(group: Iterable[str], homes: Mapping[str, set[str]]) -> int:
    return len(set().union(*(homes.get(id, set()) for id in group)))
