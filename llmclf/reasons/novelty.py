"""Which reasons of a window are unlike anything in the baseline, and whether there are more of them than usual.

A reason's score is its mean cosine to its nearest reasons of other conversations in the baseline (methods.md K: an
injected fault is told from ordinary reasons by it with a ROC area of 1.0, by TF-IDF with .93). How low a score is low
is read off the baseline's own reasons, each held against the others' conversations - and against other days, where the
baseline has enough of them, because a window is held against other days as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from llmclf.reasons.moments import moments_of
from llmclf.reasons.neighbours import Apart, FloatArray, IntArray, mean_of_nearest
from llmclf.reasons.texts import Embedded
from llmclf.reasons.values import ClusterSettings
from llmclf.render.tables import counted
from llmclf.stats.bursts import DAY_TO_DAY, dispersion_of
from llmclf.stats.tails import QuietSums, quiet_sums

LEVEL = 0.01
"""The pool: reasons farther out than this share of the baseline's own. Faults lie far beyond it."""
LEAST_REASONS, LEAST_CONVERSATIONS, LEAST_DAYS = 300, 30, 7
ALIKE = 0.9
"""Never new from this score on, however alike the baseline's reasons are: a template has differing reasons too."""
BEYOND = float(np.log(10))
"""How much deeper than the baseline's farthest reason a depth can say: the tail is extrapolated tenfold, no more."""


@dataclass(frozen=True, eq=False)
class Novelty:
    """How far each distinct text of a window lies from the baseline, and what the far ones come to."""

    scores: FloatArray
    """Shape (d,): mean cosine to the nearest baseline reasons of other conversations; exact in the pool, elsewhere
    perhaps too low."""
    p: FloatArray
    """Shape (d,): share of the baseline's own reasons, each held against other conversations, that are as far."""
    level: float
    pool: npt.NDArray[np.bool_]
    """Shape (d,): p at most `level`, and not as good as said in the baseline (a score of .9)."""
    conversations: int
    """With a reason in the pool."""
    expected: float
    """How many a quiet window of as many reasons has."""
    p_value: float | None
    """Chance that a quiet window's reasons lie so far out; None: see `why_not`."""
    why_not: str = ""
    depths: FloatArray = field(default_factory=lambda: np.zeros(0), repr=False)
    """Shape (conversations of the window,): logarithm of how many times rarer than `level` its farthest reason is."""
    text_depths: FloatArray = field(default_factory=lambda: np.zeros(0), repr=False)
    """Shape (d,): the same for each text; 0 outside of the pool."""
    quiet: QuietSums | None = field(default=None, repr=False)
    """What quiet windows hold, to test parts of the pool with."""


def measure_novelty(window: Embedded, baseline: Embedded, settings: ClusterSettings = ClusterSettings()) -> Novelty:
    """Scores of the window's texts, the pool of those that are far out, and whether it is larger than usual.

    The pool is tested by how deep its conversations lie, not by their number alone: each adds the logarithm of how
    rare its farthest reason is, so that a few reasons unlike anything count for more than many at the edge. Held
    against windows of whole baseline conversations (stats/tails.py). A baseline under 300 reasons or 30 conversations
    gives no p values and an empty pool, and says what it needs.
    """
    of_text, of_conversation = _entries(baseline)
    why_not = _too_little(window, baseline, len(of_text))
    texts = len(window.texts)
    if why_not:
        unknown = np.full(texts, np.nan)
        nothing = np.zeros(texts)
        return Novelty(
            unknown, np.ones(texts), LEVEL, np.zeros(texts, bool), 0, 0.0, None, why_not,
            depths=np.zeros(window.conversations), text_depths=nothing,
        )  # fmt: skip
    rows = baseline.vectors[of_text]
    days = _days(baseline, of_conversation, of_text)
    own: list[Apart] = [(of_conversation, of_conversation)] + ([(days, days)] if days is not None else [])
    tail = _Tail(mean_of_nearest(rows, rows, settings.neighbours, apart=own, seed=settings.seed))
    scores = mean_of_nearest(
        window.vectors, rows, settings.neighbours,
        apart=_shared(window, baseline, of_conversation), enough=tail.enough, seed=settings.seed,
    )  # fmt: skip
    text_depths = tail.depths(scores)
    depths = _by_conversation(text_depths[window.of], window.groups, window.conversations, 1)
    size = len(baseline.reasons) / baseline.conversations
    most = max(1, round(_usual_size(baseline) / _usual_size(window)))
    of_baseline = _by_conversation(tail.depths(tail.scores), of_conversation, baseline.conversations, most)
    quiet = quiet_sums(
        of_baseline[of_baseline > 0],
        of=baseline.conversations,
        window=len(window.reasons) / size,
        deepest=tail.deepest,
        dispersion=_from_day_to_day(of_baseline, of_conversation, days),
        seed=settings.seed,
    )
    return Novelty(
        scores, tail.p(scores), LEVEL, text_depths > 0, int((depths > 0).sum()), quiet.expected(0.0),
        quiet.p(float(depths.sum())), depths=depths, text_depths=text_depths, quiet=quiet,
    )  # fmt: skip


class _Tail:
    """The low end of the baseline's own scores."""

    def __init__(self, scores: FloatArray) -> None:
        self.scores = scores
        self._sorted = np.sort(scores)
        self._lowest = float(self._sorted[0])
        inside = max(1, int(LEVEL * (len(scores) + 1)) - 1)
        self.enough = min(ALIKE, float(self._sorted[inside]))
        """From this score on a reason is surely outside of the pool."""
        self._scale = max(0.01, self.enough - float(self._sorted[:inside].mean()))
        self.deepest = float(np.log(LEVEL * (len(scores) + 1))) + BEYOND

    def p(self, scores: FloatArray) -> FloatArray:
        """Share of the baseline that is as far, the reason itself counted with it."""
        as_far = np.searchsorted(self._sorted, scores, side="right")
        shares: FloatArray = (1 + as_far) / (len(self._sorted) + 1)
        return shares

    def depths(self, scores: FloatArray) -> FloatArray:
        """log(level / p) in the pool, further out by an exponential tail; 0 elsewhere."""
        p = self.p(scores)
        beyond = np.clip((self._lowest - scores) / self._scale, 0, BEYOND)
        # At the very edge the logarithm is 0: it still is in the pool.
        found: FloatArray = np.maximum(np.log(LEVEL / p) + beyond, 1e-3)
        return np.where((p <= LEVEL) & (scores < ALIKE), found, 0.0)


def _entries(baseline: Embedded) -> tuple[IntArray, IntArray]:
    """Text and conversation of each reason of the reservoir; the same words twice in a conversation count once."""
    both = np.unique(np.stack([baseline.of, baseline.groups], axis=1), axis=0)
    return both[:, 0].astype(np.intp), both[:, 1].astype(np.intp)


def _shared(window: Embedded, baseline: Embedded, of_conversation: IntArray) -> list[Apart]:
    """A conversation of the window that is in the baseline too is not held against itself."""
    there = dict(zip(baseline.reasons.column("conversation_id"), baseline.groups.tolist(), strict=True))
    codes = np.full(len(window.texts), -1, np.intp)
    ids = window.reasons.column("conversation_id")
    for id_, text in zip(reversed(ids), window.of[::-1].tolist(), strict=True):
        codes[text] = there.get(id_, -1)
    return [(codes, of_conversation)] if (codes >= 0).any() else []


def _days(baseline: Embedded, of_conversation: IntArray, of_text: IntArray) -> IntArray | None:
    """The day of each entry's conversation, or None where there are too few days to hold one against the others."""
    moments = moments_of(baseline.reasons.column("created_at"))
    unknown = np.isnat(moments)
    names, numbers = np.unique(moments[~unknown].astype("datetime64[D]"), return_inverse=True)
    sizes = np.bincount(numbers)
    if len(names) < LEAST_DAYS or max(int(sizes.max()), int(unknown.sum())) > len(moments) / 2:
        return None
    first = np.full(baseline.conversations, len(names), np.intp)  # of those without any time: a day of their own
    np.minimum.at(first, baseline.groups[~unknown], numbers.astype(np.intp))
    return first[of_conversation]


def _by_conversation(depths: FloatArray, groups: IntArray, conversations: int, most: int) -> FloatArray:
    """Sum of the `most` deepest of each conversation, shape (conversations,)."""
    order = np.lexsort((-depths, groups))
    ranked = groups[order]
    starts = np.searchsorted(ranked, np.arange(conversations))
    rank = np.arange(len(order)) - starts[ranked]
    taken = order[rank < most]
    summed = np.zeros(conversations)
    np.add.at(summed, groups[taken], depths[taken])
    return summed


def _usual_size(embedded: Embedded) -> float:
    """Reasons in the conversation of a reason taken at random; a few conversations of one reason hardly move it."""
    sizes = np.bincount(embedded.groups).astype(float)
    return float((sizes**2).sum() / sizes.sum())


def _from_day_to_day(depths: FloatArray, of_conversation: IntArray, days: IntArray | None) -> float:
    """Squared relative variation of the number of far conversations from one day to the next."""
    if days is None:
        return DAY_TO_DAY**2
    count = int(days.max()) + 1
    day_of = np.zeros(len(depths), np.intp)
    day_of[of_conversation] = days
    return dispersion_of(np.bincount(day_of, weights=depths > 0, minlength=count), np.bincount(day_of, minlength=count))


def _too_little(window: Embedded, baseline: Embedded, entries: int) -> str:
    """Why novelty can't be told, or nothing."""
    if not len(window.reasons):
        return "The window has no reasons with words."
    needs = [
        f"{least - got:,} more {name}"
        for name, least, got in (
            ("reasons", LEAST_REASONS, entries),
            ("conversations", LEAST_CONVERSATIONS, baseline.conversations),
        )
        if got < least
    ]
    if not needs:
        return ""
    return (
        f"What is new can't be told: the baseline has {counted(entries, 'reason')}, repeated ones left out, of "
        f"{counted(baseline.conversations, 'conversation')} and needs {' and '.join(needs)}."
    )
