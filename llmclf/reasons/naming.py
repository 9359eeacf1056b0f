"""Names of clusters from the words that set them apart, and the reason that stands for each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.intp]
FloatMatrix = npt.NDArray[np.float32]

UNNAMED = "(too few to show)"
NO_TERMS = "(no common words)"
"""Large enough to be shown, but its reasons share no word that would tell it from the others."""
_SAMPLE = 1000
"""Entries of a cluster that are read; more change its terms little."""
_LONGEST = 2000
"""Characters of an entry that are read."""
_NEGATIONS = frozenset({"no", "not", "without", "never"})
_STOP = frozenset(
    """a about above after again against all also although am an and any are as at be because been before being below
    between both but by can cannot could did do does doing done down during each either else even ever every few for
    from further get gets given gives had has have having he her here hers him his how however i if in instead into is
    it its itself just least less let like made make makes many may me might more most much must my need needs neither
    nor now of off on once one only or other others our out over own per quite rather really s same shall she should
    since so some still such t than that the their them themselves then there therefore these they this those though
    through thus to too two under until up upon us use used using very via was we well were what when where whether
    which while who whom whose why will with within would yet you your""".split()
)
_PLACEHOLDER = re.compile(r"\[[^\[\]]{0,40}\]|<[^<>]{0,40}>|\{[^{}]{0,40}\}")
_WORD = re.compile(r"[^\W_](?:[\w'’-]*[^\W_])?|[^\w\s'’-]")


def terms_of(
    texts: Sequence[str],
    labels: IntArray,
    conversations: IntArray,
    *,
    least_conversations: int,
    count: int = 8,
    seed: int = 0,
) -> list[tuple[str, ...]]:
    """At most `count` words and pairs of words of each cluster 0 .. k - 1, most telling first; -1 is left out.

    One entry for each reason: a text that several conversations have is given with each of them, or its words count
    for one conversation alone. A term stands in entries of `least_conversations` conversations of its cluster, so that
    no name or quote of one conversation becomes one.

    c-TF-IDF (Grootendorst 2022, arXiv:2203.05794, formula 2): tf(t, c) * log(1 + A / f(t)), with the square root of
    tf, as in BERTopic's `reduce_frequent_words`, since all reasons speak of agents and customers; tf is the term's
    share of the cluster's terms, f its frequency over all clusters and A the mean number of terms of a cluster; each
    cluster counts alike in f and A, since at most 1,000 entries of it are read.
    """
    frequencies: list[Counter[str]] = []
    shared: list[Counter[str]] = []
    for members in _samples(labels, seed):
        found, spread = _counted(texts, conversations, members)
        frequencies.append(found)
        shared.append(spread)
    sizes = [found.total() for found in frequencies]
    overall: dict[str, float] = {}
    for found, size in zip(frequencies, sizes, strict=True):
        for term, times in found.items():
            overall[term] = overall.get(term, 0.0) + times / size
    return [
        _best({term: (found[term] / size) ** 0.5 * np.log1p(1 / overall[term]) for term in found
               if spread[term] >= max(1, least_conversations)}, count)
        for found, spread, size in zip(frequencies, shared, sizes, strict=True)
    ]  # fmt: skip


def name_of(terms: Sequence[str]) -> str:
    """A name of at most three terms, or "(no common words)".

    >>> name_of(["transcript missing", "empty", "field", "blank"])
    'transcript missing, empty, field'
    """
    return ", ".join(terms[:3]) if terms else NO_TERMS


def medoid_of(vectors: FloatMatrix, weights: npt.NDArray[np.integer]) -> int:
    """Row of the text with the largest mean cosine to all others, weighted by reasons. Needs one row."""
    return int((vectors @ (weights.astype(np.float32) @ vectors)).argmax())


def _samples(labels: IntArray, seed: int) -> Iterator[IntArray]:
    """Entries of each cluster, at most _SAMPLE, drawn at random."""
    rng = np.random.default_rng(seed)
    order = np.argsort(labels, kind="stable")
    ends = np.searchsorted(labels[order], np.arange(int(labels.max(initial=-1)) + 2))
    for start, end in pairwise(ends):
        members = order[start:end]
        yield members if len(members) <= _SAMPLE else np.sort(rng.choice(members, _SAMPLE, replace=False))


def _counted(texts: Sequence[str], conversations: IntArray, members: IntArray) -> tuple[Counter[str], Counter[str]]:
    """How often each term stands in the entries, and in how many conversations."""
    found: Counter[str] = Counter()
    spread: Counter[str] = Counter()
    for numbers in _by_conversation(conversations, members):
        terms = [term for place in numbers for term in _terms(texts[place])]
        found.update(terms)
        spread.update(set(terms))
    return found, spread


def _by_conversation(conversations: IntArray, members: IntArray) -> Iterator[list[int]]:
    groups: dict[int, list[int]] = {}
    for place in members.tolist():
        groups.setdefault(int(conversations[place]), []).append(place)
    yield from groups.values()


def _terms(text: str) -> Iterator[str]:
    """Words that say something, and pairs of neighbours; nothing with digits, nothing a redactor put in."""
    before = ""
    for found in _WORD.findall(_PLACEHOLDER.sub(" . ", text[:_LONGEST]).casefold()):
        word = found.removesuffix("'s").removesuffix("’s")
        says = _says(word)
        if says:
            yield word
            if before:
                yield f"{before} {word}"
        before = word if says or word in _NEGATIONS else ""


def _says(word: str) -> bool:
    return len(word) > 1 and word[0].isalpha() and word not in _STOP and word not in _NEGATIONS and not _digits(word)


def _digits(word: str) -> bool:
    return any(sign.isdigit() for sign in word)


def _best(scores: dict[str, float], count: int) -> tuple[str, ...]:
    """The best terms, none of whose words, or their plurals, stands in one before it."""
    chosen: list[str] = []
    stems: set[str] = set()
    for term in sorted(scores, key=lambda one: (-scores[one], one)):
        own = {word.rstrip("s") for word in term.split() if word not in _NEGATIONS}
        if stems.isdisjoint(own):
            chosen.append(term)
            stems |= own
            if len(chosen) == count:
                break
    return tuple(chosen)
