"""Votes that are no second opinion: verdicts a judge took over from another, found in its own verdicts and reasons.

Two traces are looked for. A *template*: many reasons begin with the same words, though their verdicts differ, and
under it the verdict is the other judge's every time, while elsewhere it is not (Fisher's exact test). Easy cases do
the same to two judges who never met, so that alone proves nothing. What proves it: that the whole reason is one and
the same text, which names nothing of any case and stands under different verdicts; or that the two are wrong
together under it, more often than elsewhere. Where the truth shows the other judge to be right there and wrong
elsewhere, the cases are easy: nothing is said of a beginning, and one text proves nothing. And *reasons taken over*:
reasons of the same case that are word for word, or nearly, the other judge's, far more often than those of different
cases are (binomial test). What both quote of the case is left out. All is corrected by Holm for everything that was
looked at. Where neither is found, two judges who never differ in many verdicts are still named: there is no test of
that, but neither is a second opinion to the other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.special import bdtrc

from llmclf.stats import clustered_wilson, difference_p, holm, wilson
from llmclf.types import Estimate, Judgment

SURE = 0.001
"""Copying is said where chance explains it less often than this, after correction."""
_BEGINNING = 4  # words that reasons of one template share
_LEAST_VOTES = 10  # under one template
_LEAST_OTHER = 3  # of them with another verdict than the commonest
_LEAST_WITHOUT_REST = 20  # where everything stands under one template, and nothing is left to compare with
_LEAST_EQUAL = 50  # verdicts of two judges that never differ
_LEAST_TOLD = 10  # cases under a template whose truth is known, so that it says whether they are easy
_LEAST_WRONG = 5  # of them that both judges have wrong alike
_LABELS_ERR = 0.05  # where both are right, labels may still be wrong in so many
_EASIER = 0.05  # p of the other judge's errors under a template against those elsewhere
_LEAST_REASONS = 5
_MUCH, _MUCH_SHARE = 10, 0.1  # reasons taken over, of all that both gave, that spoil a judge's figures
_MUCH_UNSEEN = 0.5  # the same where what was judged is not known, and both may have quoted it
_RUN = 3  # words in a row that stand in what was judged
_LEAST_WORDS = 6  # of a reason that two judges hardly write by chance
_ALIKE = 0.9  # share of words that two reasons have in common
_SHIFTS = 10  # other cases that each reason is held against, at most
_MOST_BY_CHANCE = 20_000
_QUOTED = re.compile(r""""[^"]*"|“[^“”]*”|«[^«»]*»|‘[^‘’]*’(?!\w)|(?<!\w)'[^'\n]*'(?!\w)""")

Verdicts = Mapping[str, Judgment]
"""Case to the judgment of it as it is."""


@dataclass(frozen=True)
class Copies:
    """Votes of one judge that are another's."""

    of: tuple[str, ...]
    """The judges whose votes they are; several where these agree on all of them."""
    cases: frozenset[str]
    how: Literal["text", "template", "reasons", "verdicts"]
    text: str
    """The one reason under all of them, or the words that the copied reasons of a template begin with."""
    proven: bool
    """False where something else may explain it: easy cases, quotes of the same passage, a few reasons alike."""
    wrong: int
    """Verdicts under a template that both judges have wrong alike, where the truth is known."""
    sure_which: bool
    """True where the texts show that this judge is the copy, and not the other one."""
    elsewhere: Mapping[str, Estimate]
    """Judge to the share of equal verdicts among the cases that are no copies."""
    p: float | None
    """The largest of the corrected p values; None where all verdicts are equal, so that nothing is left to compare."""


def copied_votes(
    mine: Verdicts,
    others: Mapping[str, Verdicts],
    groups: Mapping[str, str] | None = None,
    *,
    truths: Mapping[str, str] | None = None,
    texts: Mapping[str, str] | None = None,
) -> tuple[Copies, ...]:
    """The votes of `mine` that are copies of one of `others`, or may be; nothing where none are.

    By case, where it is known: `groups` its group, `truths` its label, `texts` everything that a judge is shown of it.

    Deterministic. A template needs 10 votes, 3 of them with another verdict than the commonest, and every one equal
    to the other judge's. Reasons taken over need 5, of 6 words or more. Judges who never differ need 50 cases, 10 of
    them with another verdict than the commonest.

    A template is proven where the whole reason is one text of 6 words or more, under different verdicts; or where 5
    verdicts under it, and surely more than 5 %, are wrong together. Reasons taken over are proven where they are 10
    and a tenth of all; where the texts that both may quote are not known, half of all.
    """
    found = [*_by_template(mine, others, groups or {}, truths or {})]
    found += _by_reasons(mine, others, groups or {}, texts or {})
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
        any(one.proven for one in same),
        max(one.wrong for one in same),
        all(one.sure_which for one in same),
        {name: share for one in same for name, share in one.elsewhere.items()},
        max(known) if known else None,
    )


# --- one beginning for every verdict ------------------------------------------------------------


@dataclass(frozen=True)
class _Tried:
    """One template, held against one other judge."""

    text: str
    whole: bool
    """The reasons are one text, and do not merely begin alike."""
    name: str
    under: frozenset[str]
    equal: Mapping[str, bool]
    right: Mapping[str, bool]
    """Case to whether the other judge is, where the truth is known."""

    @property
    def p(self) -> float | None:
        """Of equal verdicts under it against those elsewhere."""
        return _p(self.equal, self.under)

    @property
    def p_wrong(self) -> float | None:
        """The same, among what the other judge has wrong."""
        return _p({case: self.equal[case] for case, right in self.right.items() if not right}, self.under)

    @property
    def wrong(self) -> int:
        """Verdicts under it that both have wrong alike."""
        return sum(not right for case, right in self.right.items() if case in self.under)

    @property
    def wrong_together(self) -> bool:
        """So many that wrong labels don't explain it."""
        told = sum(case in self.right for case in self.under)
        return self.wrong >= _LEAST_WRONG and (wilson(self.wrong, told).low or 0) > _LABELS_ERR

    @property
    def easy(self) -> bool:
        """Does the truth show that these cases are easy: the other is right here, and errs elsewhere?"""
        if sum(case in self.right for case in self.under) < _LEAST_TOLD or all(self.right.values()):
            return False  # who is always right may be the truth: judges are held against judges, too
        p = _p(self.right, self.under)
        elsewhere = [right for case, right in self.right.items() if case not in self.under]
        fewer = self.wrong * len(elsewhere) < elsewhere.count(False) * (len(self.right) - len(elsewhere))
        return p is not None and fewer and (not self.wrong or p < _EASIER)


def _p(hit: Mapping[str, bool], under: Collection[str]) -> float | None:
    return difference_p(list(hit.values()), [case in under for case in hit]) if hit else None


def _by_template(
    mine: Verdicts, others: Mapping[str, Verdicts], groups: Mapping[str, str], truths: Mapping[str, str]
) -> list[Copies]:
    tried = []
    for text, whole, cases in _templates(mine):
        for name, votes in others.items():
            equal = _equal(mine, votes)
            right = {case: votes[case].verdict == truths[case] for case in equal if case in truths}
            tried.append(_Tried(text, whole, name, frozenset(case for case in equal if case in cases), equal, right))
    corrected = holm([*(one.p for one in tried), *(one.p_wrong for one in tried)])
    found = []
    for one, p, p_wrong in zip(tried, corrected, corrected[len(tried) :], strict=False):
        if len(one.under) < _LEAST_VOTES or not all(one.equal[c] for c in one.under) or not _mixed(mine, one.under):
            continue
        if len(one.under) < _LEAST_WITHOUT_REST if p is None else p >= SURE:
            continue
        together = one.wrong_together and p_wrong is not None and p_wrong < SURE and not one.easy
        if one.easy and not one.whole:
            continue
        no_reason = one.whole and len(_words(one.text)) >= _LEAST_WORDS and p is not None and not one.easy
        how: Literal["text", "template"] = "text" if one.whole else "template"
        share, wrong = {one.name: _share(one.equal, one.under, groups)}, one.wrong if one.wrong_together else 0
        found.append(Copies((one.name,), one.under, how, one.text, together or no_reason, wrong, True, share, p))
    return found


def _templates(mine: Verdicts) -> list[tuple[str, bool, frozenset[str]]]:
    """(text, is it all of the reason?, cases) of each whole text, else beginning, that stands before other verdicts.

    Of a whole text the verdict's name is a part: "it is good" under one verdict and "it is bad" under the other are
    two.
    """
    whole: dict[tuple[str, ...], list[str]] = {}
    begins: dict[tuple[str, ...], list[str]] = {}
    verdicts = {str(one.verdict).lower() for one in mine.values()}
    for case, one in mine.items():
        words = _words(one.reason)
        beginning = tuple(word for word in words if word not in verdicts)[:_BEGINNING]
        if one.counts and beginning:
            whole.setdefault(words, []).append(case)
            begins.setdefault(beginning, []).append(case)
    texts = [cases for cases in whole.values() if len(cases) >= _LEAST_VOTES and _mixed(mine, cases)]
    taken = frozenset(case for cases in texts for case in cases)
    frames = [
        cases
        for cases in begins.values()
        if len(cases) >= _LEAST_VOTES and _mixed(mine, cases) and taken.isdisjoint(cases)
    ]
    return [
        (_common_beginning([mine[case].reason for case in cases]), cases in texts, frozenset(cases))
        for cases in (*texts, *frames)
    ]


def _mixed(mine: Verdicts, cases: Collection[str], least: int = _LEAST_OTHER) -> bool:
    counts = Counter(mine[case].verdict for case in cases)
    return counts.total() - max(counts.values(), default=0) >= least


def _common_beginning(texts: Sequence[str]) -> str:
    """What the commonest of them begins with, at most 80 characters."""
    text = " ".join(Counter(texts).most_common(1)[0][0].split())
    return text if len(text) <= 80 else text[:77] + "..."


# --- the other judge's own words ----------------------------------------------------------------


def _by_reasons(
    mine: Verdicts, others: Mapping[str, Verdicts], groups: Mapping[str, str], texts: Mapping[str, str]
) -> list[Copies]:
    runs = {case: _runs(_words(text)) for case, text in texts.items()}
    own = _telling(mine, runs)
    tried = []
    for name, votes in others.items():
        theirs = _telling(votes, runs)
        both = [case for case in own if case in theirs]
        alike = frozenset(case for case in both if _alike(own[case], theirs[case]))
        by_chance = [
            _alike(own[case], theirs[both[(place + shift) % len(both)]])
            for shift in range(1, min(_SHIFTS, len(both) - 1, max(1, _MOST_BY_CHANCE // max(1, len(both)))) + 1)
            for place, case in enumerate(both)
        ]
        rate = (sum(by_chance) + 1) / (len(by_chance) + 2)
        p = float(bdtrc(len(alike) - 1, len(both), rate)) if alike else 1.0
        tried.append((name, votes, theirs, alike, p))
    found = []
    for (name, votes, theirs, alike, _), sure_p in zip(tried, holm([one[-1] for one in tried]), strict=True):
        equal = _equal(mine, votes)
        taken = frozenset(case for case in alike if equal.get(case))
        if len(taken) >= _LEAST_REASONS and sure_p is not None and sure_p < SURE:
            sure = all(len(own[case]) > len(theirs[case]) for case in taken)
            least = _MUCH_SHARE if taken <= texts.keys() else _MUCH_UNSEEN
            much = len(taken) >= max(_MUCH, least * len(equal))
            found.append(
                Copies((name,), taken, "reasons", "", much, 0, sure, {name: _share(equal, taken, groups)}, sure_p)
            )
    return found


def _telling(votes: Verdicts, runs: Mapping[str, Collection[tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    """Case to the words of its reason, no quotes, where they are many and not the same as those of other cases."""
    words = {case: _unquoted(one.reason, runs.get(case, ())) for case, one in votes.items() if one.counts}
    often = Counter(words.values())
    return {case: text for case, text in words.items() if len(text) >= _LEAST_WORDS and often[text] == 1}


def _unquoted(reason: str, runs: Collection[tuple[str, ...]]) -> tuple[str, ...]:
    """The words of a reason that are not in quotation marks, nor in a row as in what was judged."""
    words = _words(_QUOTED.sub(" ", reason))
    quoted = {
        place + step for place in range(len(words)) if words[place : place + _RUN] in runs for step in range(_RUN)
    }
    return tuple(word for place, word in enumerate(words) if place not in quoted)


def _runs(words: Sequence[str]) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(words[place : place + _RUN]) for place in range(len(words) - _RUN + 1))


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
            found.append(
                Copies((name,), cases, "verdicts", "", False, 0, False, {name: _share(equal, cases, groups)}, None)
            )
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
