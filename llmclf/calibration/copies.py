"""Votes that are no second opinion: verdicts a judge took over from another, found in its own verdicts and reasons.

Two traces are looked for. A *template*: many reasons begin with the same words, though their verdicts differ, and
under it the verdict is the other judge's every time, while elsewhere it is not (Fisher's exact test). Words that
stand before every verdict alike explain none. And *reasons taken over*: reasons of the same case that are word for
word, or nearly, the other judge's, far more often than those of different cases are (binomial test). Both are
corrected by Holm for everything that was looked at. Where neither is found, two judges who never differ in many
verdicts are still named: there is no test of that, but neither is a second opinion to the other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.special import bdtrc

from llmclf.stats import clustered_wilson, difference_p, holm
from llmclf.types import Estimate, Judgment

SURE = 0.001
"""Copying is said where chance explains it less often than this, after correction."""
_BEGINNING = 4  # words that reasons of one template share
_LEAST_VOTES = 10  # under one template
_LEAST_OTHER = 3  # of them with another verdict than the commonest
_LEAST_WITHOUT_REST = 20  # where everything stands under one template, and nothing is left to compare with
_LEAST_EQUAL = 50  # verdicts of two judges that never differ
_LEAST_REASONS = 5
_LEAST_WORDS = 6  # of a reason that two judges hardly write by chance
_ALIKE = 0.9  # share of words that two reasons have in common
_SHIFTS = 10  # other cases that each reason is held against, at most
_MOST_BY_CHANCE = 20_000

Verdicts = Mapping[str, Judgment]
"""Case to the judgment of it as it is."""


@dataclass(frozen=True)
class Copies:
    """Votes of one judge that are another's."""

    of: tuple[str, ...]
    """The judges whose votes they are; several where these agree on all of them."""
    cases: frozenset[str]
    how: Literal["template", "reasons", "verdicts"]
    text: str
    """The words that the copied reasons of a template begin with."""
    sure_which: bool
    """True where the texts show that this judge is the copy, and not the other one."""
    elsewhere: Mapping[str, Estimate]
    """Judge to the share of equal verdicts among the cases that are no copies."""
    p: float | None
    """The largest of the corrected p values; None where all verdicts are equal, so that nothing is left to compare."""


def copied_votes(
    mine: Verdicts, others: Mapping[str, Verdicts], groups: Mapping[str, str] | None = None
) -> tuple[Copies, ...]:
    """The votes of `mine` that are copies of one of `others`; nothing where none are. `groups`: case to its group.

    Deterministic. A template needs 10 votes, 3 of them with another verdict than the commonest, and every one equal
    to the other judge's. Reasons taken over need 5, of 6 words or more. Judges who never differ need 50 cases, 10 of
    them with another verdict than the commonest.
    """
    found = [*_by_template(mine, others, groups or {}), *_by_reasons(mine, others, groups or {})]
    named = {name for one in found for name in one.of}
    found += _by_verdicts(mine, {name: votes for name, votes in others.items() if name not in named}, groups or {})
    together: dict[tuple[str, frozenset[str]], list[Copies]] = {}
    for one in found:
        together.setdefault((one.text, one.cases), []).append(one)
    return tuple(_merged(same) for same in together.values())


def _merged(same: Sequence[Copies]) -> Copies:
    first, known = same[0], [one.p for one in same if one.p is not None]
    return Copies(
        tuple(name for one in same for name in one.of),
        first.cases,
        first.how,
        first.text,
        all(one.sure_which for one in same),
        {name: share for one in same for name, share in one.elsewhere.items()},
        max(known) if known else None,
    )


# --- one beginning for every verdict ------------------------------------------------------------


def _by_template(mine: Verdicts, others: Mapping[str, Verdicts], groups: Mapping[str, str]) -> list[Copies]:
    tried = [
        (text, cases, name, _equal(mine, votes)) for text, cases in _templates(mine) for name, votes in others.items()
    ]
    p_values = [
        difference_p(list(equal.values()), [case in cases for case in equal]) if equal else None
        for _, cases, _, equal in tried
    ]
    found = []
    for (text, cases, name, equal), p in zip(tried, holm(p_values), strict=True):
        under = frozenset(case for case in equal if case in cases)
        if len(under) < _LEAST_VOTES or not all(equal[case] for case in under) or not _mixed(mine, under):
            continue
        if len(under) < _LEAST_WITHOUT_REST if p is None else p >= SURE:
            continue
        found.append(Copies((name,), under, "template", text, True, {name: _share(equal, under, groups)}, p))
    return found


def _templates(mine: Verdicts) -> list[tuple[str, frozenset[str]]]:
    """(beginning as it is written, cases) of every beginning that stands before different verdicts."""
    by_words: dict[tuple[str, ...], list[str]] = {}
    verdicts = {str(one.verdict).lower() for one in mine.values()}
    for case, one in mine.items():
        words = tuple(word for word in _words(one.reason) if word not in verdicts)[:_BEGINNING]
        if one.counts and words:
            by_words.setdefault(words, []).append(case)
    return [
        (_common_beginning([mine[case].reason for case in cases]), frozenset(cases))
        for cases in by_words.values()
        if len(cases) >= _LEAST_VOTES and _mixed(mine, cases)
    ]


def _mixed(mine: Verdicts, cases: Collection[str], least: int = _LEAST_OTHER) -> bool:
    counts = Counter(mine[case].verdict for case in cases)
    return counts.total() - max(counts.values(), default=0) >= least


def _common_beginning(texts: Sequence[str]) -> str:
    """What the commonest of them begins with, at most 80 characters."""
    text = " ".join(Counter(texts).most_common(1)[0][0].split())
    return text if len(text) <= 80 else text[:77] + "..."


# --- the other judge's own words ----------------------------------------------------------------


def _by_reasons(mine: Verdicts, others: Mapping[str, Verdicts], groups: Mapping[str, str]) -> list[Copies]:
    own = _telling(mine)
    tried = []
    for name, votes in others.items():
        theirs = _telling(votes)
        both = [case for case in own if case in theirs]
        alike = frozenset(case for case in both if _alike(own[case], theirs[case]))
        by_chance = [
            _alike(own[case], theirs[both[(place + shift) % len(both)]])
            for shift in range(1, min(_SHIFTS, len(both) - 1, max(1, _MOST_BY_CHANCE // max(1, len(both)))) + 1)
            for place, case in enumerate(both)
        ]
        rate = (sum(by_chance) + 1) / (len(by_chance) + 2)
        tried.append((name, votes, both, alike, float(bdtrc(len(alike) - 1, len(both), rate)) if alike else 1.0))
    found = []
    for (name, votes, _, alike, _), p in zip(tried, holm([one[-1] for one in tried]), strict=True):
        equal = _equal(mine, votes)
        taken = frozenset(case for case in alike if equal.get(case))
        if len(taken) >= _LEAST_REASONS and p is not None and p < SURE:
            theirs = _telling(votes)
            sure = all(len(own[case]) > len(theirs[case]) for case in taken)
            found.append(Copies((name,), taken, "reasons", "", sure, {name: _share(equal, taken, groups)}, p))
    return found


def _telling(votes: Verdicts) -> dict[str, tuple[str, ...]]:
    """Case to the words of its reason, where they are many and not the same as those of other cases."""
    words = {case: _words(one.reason) for case, one in votes.items() if one.counts}
    often = Counter(words.values())
    return {case: text for case, text in words.items() if len(text) >= _LEAST_WORDS and often[text] == 1}


def _alike(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Nearly the same words, or the one within the other."""
    shorter, longer = sorted((one, other), key=len)
    common = sum((Counter(shorter) & Counter(longer)).values())
    if common < _ALIKE * len(shorter):
        return False
    return common >= _ALIKE * len(longer) or f" {' '.join(shorter)} " in f" {' '.join(longer)} "


# --- never a verdict of its own -----------------------------------------------------------------


def _by_verdicts(mine: Verdicts, others: Mapping[str, Verdicts], groups: Mapping[str, str]) -> list[Copies]:
    found = []
    for name, votes in others.items():
        equal = _equal(mine, votes)
        cases = frozenset(equal)
        if len(cases) >= _LEAST_EQUAL and all(equal.values()) and _mixed(mine, cases, _LEAST_VOTES):
            found.append(Copies((name,), cases, "verdicts", "", False, {name: _share(equal, cases, groups)}, None))
    return found


# --- all of them --------------------------------------------------------------------------------------


def _equal(mine: Verdicts, theirs: Verdicts) -> dict[str, bool]:
    """Case to whether the verdicts are the same, where both gave one."""
    return {
        case: one.verdict == theirs[case].verdict
        for case, one in mine.items()
        if one.counts and case in theirs and theirs[case].counts
    }


def _share(equal: Mapping[str, bool], copied: Collection[str], groups: Mapping[str, str]) -> Estimate:
    rest = {case: same for case, same in equal.items() if case not in copied}
    if not rest:
        return Estimate.unknown("every vote is a copy")
    return clustered_wilson(list(rest.values()), [groups.get(case, case) for case in rest])


def _words(text: str) -> tuple[str, ...]:
    """Words of letters, in lower case; what holds a digit (a number, an id) is left out."""
    return tuple(word for word in re.findall(r"\w+", text.lower()) if not any(map(str.isdigit, word)))
