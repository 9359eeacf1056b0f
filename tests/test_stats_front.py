"""The front under resampling: which classifiers lie on it, how probably, and what a bootstrap can't see."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from llmclf.errors import DataError
from llmclf.stats import Sampling
from llmclf.stats.front import Answers, front_chances, on_front, resample, resample_usd, upper_seconds
from llmclf.types import Costs

COSTS = Costs(prevalence=0.02)
_FIGURES = st.floats(0, 5).map(lambda figure: round(figure, 1))


def answers(
    flagged: NDArray[np.bool_], positive: NDArray[np.bool_], sampling: Sampling | None = None, **more: object
) -> Answers:
    """Such answers, all in a second and for nothing."""
    cells, items = flagged.shape
    given: dict[str, object] = {
        "failed": np.zeros((cells, items), bool),
        "model_usd": np.zeros((cells, items)),
        "seconds": np.ones((cells, items)),
        "source": np.arange(cells),
        **more,
    }
    return Answers(positive, sampling or Sampling.simple(items), flagged, **given)  # type: ignore[arg-type]


def of_counts(*missed_and_alarms: tuple[int, int], targets: int = 40, others: int = 200) -> Answers:
    """Cells that miss the first so many targets and flag the first so many others."""
    positive = np.arange(targets + others) < targets
    place = np.where(positive, np.arange(len(positive)), np.arange(len(positive)) - targets)
    flagged = [np.where(positive, place >= missed, place < alarms) for missed, alarms in missed_and_alarms]
    return answers(np.array(flagged, bool), positive)


@given(st.lists(st.tuples(_FIGURES, _FIGURES), min_size=1, max_size=8))
def test_the_front_is_what_no_other_beats(cells: list[tuple[float, float]]) -> None:
    """Against the definition, pair by pair: as cheap and as fast, and first or better in one."""
    usd, seconds = (np.array([figures], float) for figures in zip(*cells, strict=True))
    waited = np.maximum(seconds[0], 0.1)

    def beaten(one: int) -> bool:
        return any(
            usd[0, other] <= usd[0, one]
            and waited[other] <= waited[one]
            and (usd[0, other] < usd[0, one] or waited[other] < waited[one] or other < one)
            for other in range(len(cells))
            if other != one
        )

    assert on_front(usd, seconds)[0].tolist() == [not beaten(cell) for cell in range(len(cells))]


def test_what_is_not_known_is_on_no_front() -> None:
    """A cell without dollars or seconds neither lies on it nor keeps another off."""
    usd, seconds = np.array([[np.nan, 1.0, 2.0]]), np.array([[1.0, np.nan, 3.0]])
    assert on_front(usd, seconds).tolist() == [[False, False, True]]


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=60))
def test_equal_weights_give_the_usual_percentile(seconds: list[float]) -> None:
    """The same as numpy's, whatever the number of items."""
    found = upper_seconds(np.ones((2, len(seconds))), np.array([seconds]))
    assert found[:, 0] == pytest.approx(np.percentile(seconds, 95))


def test_a_percentile_follows_the_weights_and_leaves_unknown_out() -> None:
    """The slow half weighs next to nothing in one row; an item that was not timed is not there at all."""
    seconds = np.array([[*np.linspace(1, 2, 50), *np.linspace(8, 9, 50), np.nan], [np.nan] * 101])
    weights = np.ones((2, 101))
    weights[1, 50:] = 1e-6
    found = upper_seconds(weights, seconds)
    assert found[0, 0] == pytest.approx(np.nanpercentile(seconds[0], 95))
    assert found[1, 0] < 2
    assert np.isnan(found[:, 1]).all()


def test_the_mean_of_the_resamples_is_the_figure() -> None:
    """Dollars with 20 misses of 40 at 2 % and $40 a miss, and the price of the model, are about $400 and more."""
    found = of_counts((20, 0))
    priced = replace(found, model_usd=np.full(found.flagged.shape, 0.05))
    free, paid = resample_usd(found, COSTS), resample_usd(priced, COSTS)
    assert free.mean() == pytest.approx(1000 * (0.02 * 0.5 * 40 + 0.02 * 0.5 * 1.2), rel=0.1)
    assert (paid - free == pytest.approx(50.0)) and free.shape == (1000, 1)


def test_cells_with_the_same_answers_differ_by_their_price_alone() -> None:
    """Two plans of one model: in no replicate is the dearer one cheaper."""
    found = of_counts((5, 3), (5, 3))
    price = np.zeros(found.flagged.shape)
    price[1] = 1e-4
    usd = resample_usd(replace(found, model_usd=price, source=np.zeros(2, np.intp)), COSTS)
    assert usd[:, 1] - usd[:, 0] == pytest.approx(0.1)


def test_few_targets_without_a_miss_are_not_certain() -> None:
    """Neither of two cells that agree on all of 20 targets is sure to be the cheaper one, nor free of misses."""
    chances = front_chances(resample(of_counts((0, 0), (0, 1), targets=20), COSTS))
    assert 0.5 < chances[0] < 0.9
    assert 0.1 < chances[1] < 0.5
    assert resample_usd(of_counts((0, 0), targets=20), COSTS).std() > 5


def test_groups_make_a_front_less_sure() -> None:
    """The same counts, but items come in groups of ten that go together."""
    alone = of_counts((10, 2), (15, 2))
    grouped = replace(alone, sampling=Sampling.simple(240, [item // 10 for item in range(240)]))
    spreads = [np.diff(resample_usd(given, COSTS), axis=1).std() for given in (alone, grouped)]
    assert spreads[1] > 1.3 * spreads[0]


def test_an_unseen_target_weighs_what_its_stratum_does() -> None:
    """Where one item of the rest stands for a hundred, a target missed there may cost much."""
    found = of_counts((0, 0), targets=20)
    strata = np.where(found.positive, "high", "rest").tolist()
    heavy = Sampling.stratified(strata, {"high": 20, "rest": 20_000})
    spreads = [resample_usd(replace(found, sampling=given), COSTS).std() for given in (found.sampling, heavy)]
    assert spreads[1] > 5 * spreads[0]


def test_many_items_are_taken_in_parts() -> None:
    """Fewer replicates, held a part at a time."""
    positive = np.arange(60_000) < 200
    assert resample_usd(answers(positive[None, :].copy(), positive), COSTS).shape == (200, 1)


def test_the_same_seed_gives_the_same() -> None:
    """And another one another."""
    found = of_counts((3, 1))
    assert (resample_usd(found, COSTS) == resample_usd(found, COSTS)).all()
    assert (resample_usd(found, COSTS) != resample_usd(found, COSTS, seed=1)).any()


def test_a_front_needs_both_kinds() -> None:
    """Without another item than targets there are no dollars at a prevalence."""
    positive = np.ones(10, bool)
    with pytest.raises(DataError, match="a positive and a negative"):
        resample(answers(positive[None, :].copy(), positive), COSTS)


def test_probabilities_mean_what_they_say() -> None:
    """Over worlds of eight cells with known truth, what is said to be at .9 and above is so in nine of ten cases."""
    said, true = [], []
    rng = np.random.default_rng(3)
    for number in range(60):
        positive = np.arange(460) < 60
        miss = np.clip(rng.uniform(0.02, 0.3) * np.exp(0.8 * rng.normal(size=8)), 0.002, 0.9)
        alarm = np.clip(0.01 * np.exp(0.8 * rng.normal(size=8)), 1e-4, 0.3)
        pace, price = np.exp(0.7 * rng.normal(size=8)), 2e-3 * np.exp(rng.normal(size=8))
        hard = rng.random(460)  # items are as hard for all cells, half of the time
        luck = np.where(rng.random((8, 460)) < 0.5, hard, rng.random((8, 460)))
        flagged = np.where(positive, luck > miss[:, None], luck < alarm[:, None])
        seconds = pace[:, None] * np.exp(0.5 * rng.normal(size=(8, 460)))
        found = answers(flagged, positive, model_usd=np.tile(price[:, None], (1, 460)), seconds=seconds)
        said.append(front_chances(resample(found, Costs(), replicates=200, seed=number)))
        outcome = 0.005 * (miss * 40 + (1 - miss) * 1.2) + 0.995 * alarm * 3.2 + price
        true.append(on_front(outcome[None, :], (pace * np.exp(0.5 * 1.645))[None, :])[0])
    chances, truth = np.concatenate(said), np.concatenate(true)
    assert chances.mean() == pytest.approx(truth.mean(), abs=0.04)
    for low, high in ((0.0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1.01)):
        among = (chances >= low) & (chances < high)
        assert truth[among].mean() == pytest.approx(chances[among].mean(), abs=0.1)


def test_the_benchmark_runs() -> None:
    """`benchmarks/front.py --quick --json` prints one document with figures and goals."""
    script = Path(__file__).parents[1] / "benchmarks" / "front.py"
    command = [sys.executable, str(script), "--quick", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=script.parents[1], check=True)
    document = json.loads(result.stdout)
    assert len(document["figures"]) == 6
    assert len(document["goals"]) == 3
