"""What is not as it was in an earlier dataset: metadata, speakers, lengths, the words of known ids."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

from llmclf.data.checks.content import is_blank, text_of
from llmclf.data.checks.findings import Finding, finding, visible
from llmclf.types import Conversation

_SHARE_SHIFT = 0.2
"""A metadata key whose share of conversations moves by more than this is named."""
_MIX_SHIFT = 0.1
"""Total variation between the speakers' shares of turns from which the mix is said to have changed."""
_KS_LEVEL = 1.63
"""Kolmogorov-Smirnov: sqrt(-ln(alpha / 2) / 2) at alpha .01."""
_KS_LEAST = 0.1
"""With very many conversations every difference is significant; below this distance none is told of."""


def drift_findings(now: Mapping[str, Conversation], earlier: Mapping[str, Conversation]) -> list[Finding]:
    """What changed from `earlier` to `now`; nothing where either is empty."""
    new, old = list(now.values()), list(earlier.values())
    if not new or not old:
        return []
    return [
        *_metadata_findings(new, old),
        *_speaker_findings(new, old),
        *_length_findings(new, old),
        *finding(
            "changed_conversations",
            "warning",
            [id for id, conversation in now.items() if id in earlier and conversation.turns != earlier[id].turns],
            "have the id of an earlier conversation and other turns: labels of the earlier ones do not hold for them.",
        ),
    ]


def _metadata_findings(new: Sequence[Conversation], old: Sequence[Conversation]) -> list[Finding]:
    new_keys, old_keys = _keys(new), _keys(old)
    appeared = sorted(set(new_keys) - set(old_keys))
    vanished = sorted(set(old_keys) - set(new_keys))
    both = sorted(set(new_keys) & set(old_keys))
    moved = [
        (key, old_keys[key] / len(old), new_keys[key] / len(new))
        for key in both
        if abs(new_keys[key] / len(new) - old_keys[key] / len(old)) > _SHARE_SHIFT
    ]
    new_types, old_types = _types(new), _types(old)
    retyped = [key for key in both if new_types.get(key, set()) != old_types.get(key, set())]
    changes = "; ".join(
        f"{visible(key)}: {_named(old_types.get(key))} to {_named(new_types.get(key))}" for key in retyped[:5]
    )
    shares = "; ".join(f"{visible(key)}: {before:.0%} to {after:.0%}" for key, before, after in moved[:5])
    return [
        *finding("metadata_appeared", "note", appeared, "are metadata keys that the earlier dataset does not have."),
        *finding(
            "metadata_vanished",
            "warning",
            vanished,
            "are metadata keys of the earlier dataset that are gone: slices and splits by them no longer work.",
        ),
        *finding(
            "metadata_share",
            "warning",
            [key for key, _, _ in moved],
            f"are metadata keys that far more, or far fewer, conversations have than before ({shares}).",
        ),
        *finding("metadata_types", "warning", retyped, f"are metadata keys whose values changed type ({changes})."),
    ]


def _speaker_findings(new: Sequence[Conversation], old: Sequence[Conversation]) -> list[Finding]:
    new_mix, old_mix = _mix(new), _mix(old)
    speakers = sorted(set(new_mix) | set(old_mix))
    distance = sum(abs(new_mix.get(name, 0) - old_mix.get(name, 0)) for name in speakers) / 2
    if distance < _MIX_SHIFT and set(new_mix) == set(old_mix):
        return []
    shares = ", ".join(f"{name} {old_mix.get(name, 0):.0%} to {new_mix.get(name, 0):.0%}" for name in speakers)
    sentence = f"speakers are not the mix they were (share of turns: {shares}): look at the export and its mapping."
    return finding("speakers_mix", "warning", [], sentence, count=1)


def _length_findings(new: Sequence[Conversation], old: Sequence[Conversation]) -> list[Finding]:
    found: list[Finding] = []
    for kind, words, new_values, old_values in (
        ("turn_lengths", "characters in the middle turn", _turn_lengths(new), _turn_lengths(old)),
        ("turn_counts", "turns in a conversation", _turn_counts(new), _turn_counts(old)),
    ):
        distance = ks_distance(new_values, old_values)
        limit = _KS_LEVEL * math.sqrt((len(new_values) + len(old_values)) / (len(new_values) * len(old_values) or 1))
        if distance > max(limit, _KS_LEAST):
            before, after = statistics.median(old_values), statistics.median(new_values)
            sentence = (
                f"{words}: the median went from {before:g} to {after:g} (Kolmogorov-Smirnov distance {distance:.2f}): "
                "these are not the conversations a classifier was tuned on."
            )
            found += finding(kind, "warning", [], sentence, count=1)
    return found


def ks_distance(first: Sequence[float], second: Sequence[float]) -> float:
    """The largest distance between two empirical distributions, 0 to 1; 0 where either is empty."""
    if not first or not second:
        return 0.0
    a, b = sorted(first), sorted(second)
    i = j = 0
    distance = 0.0
    while i < len(a) and j < len(b):
        value = min(a[i], b[j])
        while i < len(a) and a[i] == value:
            i += 1
        while j < len(b) and b[j] == value:
            j += 1
        distance = max(distance, abs(i / len(a) - j / len(b)))
    return distance


def _keys(conversations: Sequence[Conversation]) -> Counter[str]:
    return Counter(key for conversation in conversations for key in conversation.metadata)


def _types(conversations: Sequence[Conversation]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for conversation in conversations:
        for key, value in conversation.metadata.items():
            if value is not None:
                found.setdefault(key, set()).add(type(value).__name__)
    return found


def _named(types: set[str] | None) -> str:
    return " or ".join(sorted(types)) if types else "nothing"


def _mix(conversations: Sequence[Conversation]) -> dict[str, float]:
    counts = Counter(turn.speaker for conversation in conversations for turn in conversation.turns)
    total = sum(counts.values())
    return {name: count / total for name, count in counts.items()}


def _turn_lengths(conversations: Sequence[Conversation]) -> list[float]:
    lengths = (
        [len(text_of(turn)) for turn in conversation.turns if not is_blank(turn)] for conversation in conversations
    )
    return [float(statistics.median(values)) for values in lengths if values]


def _turn_counts(conversations: Sequence[Conversation]) -> list[float]:
    return [float(len(conversation.turns)) for conversation in conversations if conversation.turns]
