"""What is unlike the baseline: exact scores at any pruning, quiet pools left in peace, few strange reasons found."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from llmclf.reasons import neighbours
from llmclf.reasons.neighbours import mean_of_nearest
from llmclf.reasons.novelty import LEVEL, Novelty, measure_novelty
from llmclf.reasons.texts import Embedded
from llmclf.reasons.values import ClusterSettings
from llmclf.stats.tails import deepest_part, quiet_sums
from llmclf.types.reasons import Reasons


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def made(vectors: np.ndarray, conversations: list[str], times: list[str] | None = None) -> Embedded:
    """Distinct texts with these vectors."""
    texts = [f"{conversations[0]} {place}" for place in range(len(vectors))]
    names = list(dict.fromkeys(conversations))
    reasons = Reasons.of(texts, conversation_ids=conversations, created_at=times or [""] * len(texts))
    groups = np.array([names.index(name) for name in conversations], np.intp)
    return Embedded(reasons, texts, np.arange(len(texts)), vectors, groups, len(names), "made")


def traffic(rng: np.random.Generator, conversations: int, each: int, prefix: str, days: int = 0) -> Embedded:
    """Reasons around 40 topics; those of a conversation share a direction of their own."""
    topics = unit(np.random.default_rng(99).normal(size=(40, 64)))
    own = np.repeat(rng.normal(size=(conversations, 64)), each, axis=0)
    rows = topics[rng.integers(40, size=conversations * each)] + 0.05 * own + 0.07 * rng.standard_t(5, own.shape)
    names = [f"{prefix}{place // each}" for place in range(len(rows))]
    times = [f"2026-03-{1 + place // each % days:02}T10:00:00+00:00" for place in range(len(rows))] if days else None
    return made(unit(rows), names, times)


def with_strange(window: Embedded, count: int, rng: np.random.Generator) -> Embedded:
    """The last reasons of the window replaced by ones in directions of their own, one conversation each."""
    vectors = window.vectors.copy()
    vectors[-count:] = unit(rng.normal(size=(count, vectors.shape[1])))
    names = window.reasons.column("conversation_id")
    return made(vectors, names[:-count] + [f"strange{place}" for place in range(count)])


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 7), st.integers(1, 1400), st.booleans())
def test_nearest_is_exact_where_it_matters(seed: int, count: int, rows: int, apart: bool) -> None:
    """Below `enough` the mean of the nearest is that of all cosines sorted; above it is at least `enough`."""
    rng = np.random.default_rng(seed)
    asked, there = unit(rng.normal(size=(50, 8))), unit(rng.normal(size=(rows, 8)))
    codes = rng.integers(-1, 5, 50), rng.integers(0, 5, rows)
    cosines = asked @ there.T
    if apart:
        cosines[codes[0][:, None] == codes[1][None, :]] = -1
    padded = np.concatenate([cosines, np.full((50, count), -1.0)], axis=1)
    exact = np.sort(padded, axis=1)[:, -count:].mean(axis=1)
    enough = float(np.median(exact))
    found = mean_of_nearest(asked, there, count, apart=[codes] if apart else [], enough=enough, seed=seed)
    assert (found <= exact + 1e-5).all()
    surely = exact < enough - 1e-5
    assert found[surely] == pytest.approx(exact[surely], abs=1e-5)
    assert (found[~surely] >= enough - 1e-4).all()


def test_nearest_of_any_number_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the last rows of a block are fewer than are asked for, in parts of any length."""
    monkeypatch.setattr(neighbours, "_ROWS", 8)
    rng = np.random.default_rng(0)
    asked, there = unit(rng.normal(size=(5, 8))), unit(rng.normal(size=(600, 8)))
    for rows in [*range(1, 36), *range(505, 530), 600]:
        for count in (1, 3, 9):
            cosines = np.concatenate([asked @ there[:rows].T, np.full((5, count), -1.0)], axis=1)
            exact = np.sort(cosines, axis=1)[:, -count:].mean(axis=1)
            assert mean_of_nearest(asked, there[:rows], count) == pytest.approx(exact, abs=1e-5)


def test_p_is_the_share_of_the_baseline() -> None:
    """The window's p values spread evenly where it is like the baseline, and the pool holds about `level` of it."""
    rng = np.random.default_rng(1)
    found = measure_novelty(traffic(rng, 300, 10, "w"), traffic(rng, 300, 10, "b"))
    assert found.pool.mean() == pytest.approx(LEVEL, abs=0.006)
    assert (found.pool == (found.p <= LEVEL)).all()
    assert (found.text_depths > 0).tolist() == found.pool.tolist()


def test_quiet_windows_seldom_alarm_and_few_strange_reasons_do() -> None:
    """At .025, quiet windows alarm in no more than 5 % of 28, and four strange reasons of 400 are found in most."""
    rng = np.random.default_rng(7)
    quiet, strange = [], []
    for split in range(14):
        baseline = traffic(rng, 150, 12, f"b{split}-")
        for _ in range(2):
            window = traffic(rng, 33, 12, f"w{split}-")
            quiet.append(measure_novelty(window, baseline).p_value)
        strange.append(measure_novelty(with_strange(window, 4, rng), baseline).p_value)
    assert np.mean(np.array(quiet) <= 0.025) <= 0.05
    assert np.mean(np.array(strange) <= 0.025) >= 0.9


def test_own_conversation_is_left_out() -> None:
    """A window that stands in the baseline too is as novel as the baseline is to itself, not known by heart."""
    rng = np.random.default_rng(2)
    baseline = traffic(rng, 60, 10, "same")
    again = measure_novelty(baseline, baseline)
    assert again.scores.max() < 0.9999
    assert again.pool.mean() <= 2 * LEVEL


def test_what_one_day_has_alone_is_not_usual() -> None:
    """Baseline reasons are held against other days: topics that come for one day each make quiet windows wide."""
    rng = np.random.default_rng(4)
    topics = unit(rng.normal(size=(11, 64)))

    def day(number: int, prefix: str) -> tuple[np.ndarray, list[str]]:
        usual = traffic(rng, 30, 10, prefix)
        vectors, names = usual.vectors.copy(), usual.reasons.column("conversation_id")
        vectors[::60] = unit(topics[number] + 0.03 * rng.normal(size=(5, 64)))
        return vectors, names

    parts = [day(number, f"d{number}-") for number in range(10)]
    vectors, names = np.concatenate([one for one, _ in parts]), [name for _, part in parts for name in part]
    times = [f"2026-03-{1 + place // 300:02}T10:00:00+00:00" for place in range(3000)]
    window = made(*day(10, "now-"))
    with_days = measure_novelty(window, made(vectors, names, times)).p_value
    without = measure_novelty(window, made(vectors, names)).p_value
    assert with_days is not None
    assert without is not None
    assert without < 0.01 < 0.1 < with_days


@pytest.mark.parametrize(
    ("conversations", "each", "needs"), [(20, 20, "10 more conversations"), (40, 5, "100 more reasons")]
)
def test_too_small_a_baseline_says_what_it_needs(conversations: int, each: int, needs: str) -> None:
    """Nothing is in the pool, there is no p value, and the message counts what is missing."""
    rng = np.random.default_rng(0)
    found = measure_novelty(traffic(rng, 5, 5, "w"), traffic(rng, conversations, each, "b"))
    assert (found.p_value, found.pool.any(), found.quiet) == (None, False, None)
    assert needs in found.why_not


def test_reasons_nearly_as_in_a_template_are_not_new() -> None:
    """Where all baseline reasons are alike, another one like them is not far, whatever its rank; a strange one is."""
    rng = np.random.default_rng(9)
    rows = unit(np.ones((600, 64)) + 1e-4 * rng.normal(size=(600, 64)))
    baseline = made(rows, [f"b{place // 10}" for place in range(600)])
    near, far = unit(np.ones((5, 64)) + 0.1 * rng.normal(size=(5, 64))), unit(rng.normal(size=(5, 64)))
    found = measure_novelty(made(np.concatenate([near, far]), [f"w{place}" for place in range(10)]), baseline)
    assert found.pool.tolist() == [False] * 5 + [True] * 5


@pytest.mark.parametrize(("conversations", "is_new"), [(0, True), (4, False)])
def test_the_same_words_in_other_conversations_are_known(conversations: int, is_new: bool) -> None:
    """A text unlike all others is new unless enough conversations of the baseline have it word for word."""
    rng = np.random.default_rng(5)
    base = traffic(rng, 60, 10, "b")
    strange = unit(rng.normal(size=(1, 64)))
    vectors, of = base.vectors.copy(), base.of.copy()
    if conversations:
        vectors[0] = strange[0]
        of[[place * 100 for place in range(conversations)]] = 0
    shared = Embedded(base.reasons, base.texts, of, vectors, base.groups, base.conversations, "made")
    found: Novelty = measure_novelty(made(strange, ["w"]), shared, ClusterSettings(neighbours=3))
    assert found.pool.tolist() == [is_new]


def test_sums_of_quiet_windows_hold_what_windows_of_the_same_kind_hold() -> None:
    """Windows and baseline drawn alike: p values at most .05 come in at most about 5 % of windows."""
    rng = np.random.default_rng(6)
    low = 0
    for seed in range(60):
        depths = np.where(rng.random(230) < 0.1, rng.exponential(size=230), 0.0)
        quiet = quiet_sums(depths[:200][depths[:200] > 0], of=200, window=30, deepest=5.0, seed=seed)
        low += quiet.p(float(depths[200:].sum())) <= 0.05
    assert low / 60 <= 0.08


def test_the_deepest_part_leaves_the_edge_out() -> None:
    """Of four far out and five at the edge, where five are usual, the four stand out; of none, none."""
    quiet = quiet_sums(np.linspace(0.01, 3, 40), of=200, window=25, deepest=6.0)
    depths = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 5.5, 5.6, 5.8, 6.0, 0.0])
    assert deepest_part(depths, quiet) == pytest.approx(5.5)
    assert deepest_part(depths, quiet, least=6) < 1
    assert deepest_part(np.zeros(3), quiet) == 0
