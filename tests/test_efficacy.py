"""Does a thinking setting do anything: the rank test, what it says of cells, and where that is shown."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from rich.console import Console
from scipy.stats import PermutationMethod, wilcoxon
from sweep_workspace import make_dataset, make_sweep, make_workspace, task_of

from llmclf.errors import DataError
from llmclf.llm.runtime import Runtime
from llmclf.stats import paired_counts
from llmclf.sweeps import Effort, Surface, run, stored_surface
from llmclf.sweeps.effort import compare_efforts, level_order
from llmclf.sweeps.report import report_html
from llmclf.types import Dataset, ErrorInfo, Prediction, Predictions, Usage

DATASET = make_dataset(targets=10, adjacent=10, clean=20)
NOISE = 0.5  # standard deviation of log counts of one item under one setting; between items it is 1


def answers(
    reasoning: Sequence[int | None], *, output: int = 80, others: int = 0, calls: str = "", failed: int = 0
) -> Predictions:
    """One prediction for each of the first items, with such reasoning tokens; the first `others` of another label."""
    made = []
    for number, (example, count) in enumerate(zip(DATASET.examples, reasoning, strict=False)):
        lost = number < failed
        made.append(
            Prediction(
                example.conversation_id,
                "asked@1",
                "wants_person",
                label=None if lost else "refused" if number < others else "clean",
                error=ErrorInfo("timeout", "no answer") if lost else None,
                usage=Usage() if lost else Usage(100, 0, output + (count or 0), count),
                call_id=f"{calls}{number}" if calls else "",
            )
        )
    return Predictions(made)


def compared(lower: Predictions, higher: Predictions, dataset: Dataset = DATASET) -> Effort:
    return compare_efforts(lower, higher, ("low", "high"), dataset)


def lognormal(seed: int, times: float = 1.0, n: int = 40) -> list[int]:
    """Counts of items whose sizes are the same for every seed."""
    sizes = np.random.default_rng(0).lognormal(5.5, 1.0, n)
    return [int(count) for count in np.round(sizes * times * np.random.default_rng(seed).lognormal(0, NOISE, n))]


# --- the test ---------------------------------------------------------------------------------------


def logs_of(pairs: list[tuple[int, int]]) -> tuple[list[np.ndarray], np.ndarray]:
    columns = [np.array(column) for column in zip(*pairs, strict=True)]
    one, other = (np.log(np.maximum(column, 1)) for column in columns)
    return columns, np.round(other - one, 12)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 7, 20, 50]), st.sampled_from([0, 7, 20, 90])), min_size=2, max_size=7))
def test_few_pairs_are_counted_out(pairs: list[tuple[int, int]]) -> None:
    """Zeros (as Pratt has them) and ties included, the p is over every way to sign the ranks, as scipy lists them."""
    columns, logs = logs_of(pairs)
    expected = wilcoxon(logs, zero_method="pratt", method=PermutationMethod()).pvalue if logs.any() else 1.0
    assert paired_counts(*columns).p_different == pytest.approx(expected)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 3000)), min_size=10, max_size=90))
def test_the_p_is_scipys(pairs: list[tuple[int, int]]) -> None:
    """Exact where pairs are few and without ties, by the normal distribution where they are many."""
    columns, logs = logs_of(pairs)
    few = np.count_nonzero(logs) <= 50
    if few and (len(set(np.abs(logs))) < len(logs) or not logs.all()):
        return  # scipy has no exact p for these without listing them
    expected = wilcoxon(logs, zero_method="pratt", method="exact" if few else "asymptotic").pvalue
    assert paired_counts(*columns).p_different == pytest.approx(expected)


def test_which_setting_comes_first_changes_only_the_direction() -> None:
    """The same p and verdict, and the ratio turned over."""
    one, other = lognormal(1), lognormal(2, 3.0)
    there, back = paired_counts(one, other), paired_counts(other, one)
    assert there.p_different == pytest.approx(back.p_different)
    assert there.rules_out_doubling == back.rules_out_doubling
    assert there.ratio.value == pytest.approx(1 / back.ratio.value)  # type: ignore[operator]
    assert there.ratio.low == pytest.approx(1 / back.ratio.high)  # type: ignore[operator]


def test_zeros_and_ties_are_counted() -> None:
    """Pairs that are both zero say nothing of a doubling, and nothing of the ratio."""
    found = paired_counts([0] * 10 + [100] * 8, [0] * 10 + [100] * 8)
    assert (found.pairs, found.zeros, found.ties, found.p_different) == (18, 10, 18, 1.0)
    assert found.ratio.value == 1.0
    assert found.rules_out_doubling
    zeros = paired_counts([0] * 50, [0] * 50)
    assert (zeros.ratio.why_not, zeros.rules_out_doubling) == ("every count is zero", False)
    with pytest.raises(DataError, match="length"):
        paired_counts([1], [1, 2])
    with pytest.raises(DataError, match="negative"):
        paired_counts([-1], [1])


@pytest.mark.parametrize("n", [30, 100])
def test_how_often_it_errs(n: int) -> None:
    """150 experiments each: a setting that doubles is hardly ever a no-op, one that does nothing seldom an effect."""
    rng = np.random.default_rng(n)
    verdicts: dict[float, list[str]] = {1.0: [], 2.0: []}
    for times, said in verdicts.items():
        for _ in range(150):
            sizes = rng.lognormal(5.5, 1.0, n)
            one = np.round(sizes * rng.lognormal(0, NOISE, n))
            other = np.round(sizes * times * rng.lognormal(0, NOISE, n))
            found = paired_counts(one, other)
            said.append("effect" if found.different else "no-op" if found.rules_out_doubling else "can't tell")
    assert verdicts[1.0].count("effect") <= 0.1 * 150  # 5 % by design
    assert verdicts[1.0].count("no-op") >= 0.85 * 150
    assert verdicts[2.0].count("no-op") <= 0.05 * 150
    assert verdicts[2.0].count("effect") >= 0.95 * 150


def test_the_ratios_interval_covers_the_truth() -> None:
    """At 95 % in at least 90 of 100 draws, at 9 items too; with fewer than 6 there is none."""
    rng = np.random.default_rng(4)
    for n in (9, 40):
        hits = 0
        for _ in range(100):
            sizes = rng.lognormal(6, 1.0, n)
            ratio = paired_counts(sizes * rng.lognormal(0, NOISE, n), 3 * sizes * rng.lognormal(0, NOISE, n)).ratio
            assert ratio.low is not None
            assert ratio.high is not None
            hits += ratio.low <= 3 <= ratio.high
        assert hits >= 90
    assert "too few" in paired_counts([1] * 5, [2] * 5).ratio.why_not


# --- what is said of two settings -------------------------------------------------------------------


def test_a_setting_that_triples_the_tokens_does_something() -> None:
    """The ratio with its interval, and the share of other labels with its own."""
    effort = compared(answers(lognormal(1)), answers(lognormal(2, 3.0), others=6))
    assert effort.no_op is False
    assert effort.ratio.low is not None
    assert effort.ratio.low > 2
    assert effort.changed.value == 6 / 40
    assert effort.changed.low is not None
    assert "times the reasoning tokens on 40 items" in effort.sentence
    assert "Another label on 15.0%" in effort.sentence
    assert json.dumps(effort.to_dict())


def test_tokens_against_none_have_no_ratio() -> None:
    """300 against nothing is no number of times: both medians are named, without an exponent."""
    effort = compared(answers([0] * 38 + [5, 9]), answers([300 + number % 7 for number in range(40)]))
    assert effort.no_op is False
    assert effort.ratio.why_not == "most counts of one side are zero: there is no ratio"
    assert effort.sentence.startswith("against thinking low: reasoning tokens none -> 303 (median) on 40 items")
    assert effort.to_dict()["median_reasoning_tokens"] == [0.0, 303.0]


def test_large_ratios_have_no_exponent() -> None:
    """Three hundred times is 300."""
    effort = compared(answers([2] * 40), answers([600] * 40))
    assert "300 (300-300) times the reasoning tokens" in effort.sentence


def test_a_setting_that_changes_no_count_is_a_no_op() -> None:
    """Where the items are enough to have shown a doubling; the sentence says that they were."""
    effort = compared(answers(lognormal(1)), answers(lognormal(3)))
    assert effort.no_op is True
    assert "a doubling is ruled out" in effort.sentence


def test_few_items_can_not_tell() -> None:
    """Noise as large as a doubling on seven items; or fewer items than any rank test needs."""
    effort = compared(answers([100, 800, 90, 700, 100, 300, 400]), answers([700, 90, 600, 100, 200, 300, 410]))
    assert effort.no_op is None
    assert "a doubling would not have been seen" in effort.sentence
    tiny = compared(answers([100] * 4), answers([900] * 4))
    assert tiny.no_op is None
    assert "4 items are too few" in tiny.sentence


def test_missing_counts_are_left_out_and_said() -> None:
    """Items that failed or whose vendor counted nothing are no pair; where all are so, nobody can tell."""
    effort = compared(answers(lognormal(1), failed=5), answers([None, *lognormal(3)[1:]]))
    assert (effort.compared, effort.uncounted) == (35, 5)
    assert "(5 without a count)" in effort.sentence
    unknown = compared(answers([None] * 40), answers([None] * 40, others=3))
    assert (unknown.no_op, unknown.compared) == (None, 0)
    assert "no reasoning tokens are reported" in unknown.sentence
    assert unknown.changed.value == 3 / 40


def test_no_reasoning_at_all_is_a_no_op_if_the_answers_are_alike() -> None:
    """Two columns of zeros may also be a vendor that does not count: then the answers' lengths tell."""
    assert compared(answers([0] * 40), answers([0] * 40)).no_op is True
    hidden = compared(answers([0] * 40), answers([0] * 40, output=400))
    assert hidden.no_op is None
    assert "may differ in length" in hidden.sentence


def test_one_request_for_both_settings_is_a_no_op() -> None:
    """The same stored answer served both, so nothing of the setting was sent."""
    same = answers(lognormal(1), calls="c")
    assert compared(same, same).no_op is True
    assert "send the same request" in compared(same, same).sentence


def test_settings_are_sorted_from_the_lowest() -> None:
    """The vendor's default first, then levels, then numbers of tokens."""
    given_ = [2048, "high", "off", None, 512, "max", "minimal", "low", "medium"]
    ordered = sorted(given_, key=level_order)
    assert ordered == [None, "off", "minimal", "low", "medium", "high", "max", 512, 2048]


# --- in a sweep -------------------------------------------------------------------------------------

MODELS = """
[models."sim/idle"]
route = "sim"
recall = 0.8
false_alarm_rate = 0.02
input_usd_per_million = 1.0
output_usd_per_million = 4.0
thinking = ["off", "low", "high"]
no_op_thinking = true
[models."sim/busy"]
route = "sim"
recall = 0.8
false_alarm_rate = 0.02
input_usd_per_million = 1.0
output_usd_per_million = 4.0
thinking = ["low", "high"]
"""
GRID = {"model": ["sim/idle", "sim/busy"], "thinking": ["high", "low"]}


@pytest.fixture(scope="module")
def surface(tmp_path_factory: pytest.TempPathFactory) -> Surface:
    folder = make_workspace(tmp_path_factory.mktemp("effort"))
    with (folder / "configs/models.toml").open("a", encoding="utf-8") as file:
        file.write(MODELS)
    with Runtime(folder / "llmclf.db", workspace=folder) as runtime:
        made = run(make_sweep(grid=GRID), make_dataset(), task_of(folder), runtime)
        again = stored_surface(make_sweep(grid=GRID), make_dataset(), task_of(folder), runtime)
        row = runtime.store.runs(kind="sweep")[0]
    assert [cell.no_op for cell in again.cells] == [cell.no_op for cell in made.cells]
    assert set(row["result"]["effort"]) == {"sim/idle · thinking high", "sim/busy · thinking high"}
    return made


def test_a_simulated_model_that_only_takes_the_levels_is_found_out(surface: Surface) -> None:
    """The higher cell of the idle model is a no-op, that of the busy one is not; the lower ones stand alone."""
    found = {cell.label: cell.no_op for cell in surface.cells}
    assert found == {
        "sim/idle · thinking high": True,
        "sim/idle · thinking low": None,
        "sim/busy · thinking high": False,
        "sim/busy · thinking low": None,
    }


def test_a_no_op_shows_in_every_form(surface: Surface) -> None:
    """Terminal, notebook, page, JSON and rows."""
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(surface)
    text = console.export_text()
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "NO-OP: does" in text
    assert "sim/busy · thinking high: against thinking low: " in " ".join(text.split())
    assert "NO-OP: does what thinking low does" in surface._repr_html_()
    page = report_html(surface)
    assert "What thinking changes" in page
    assert page.count('<span class="stamp">NO-OP</span>') == 1
    cells = {cell["label"]: cell for cell in surface.to_dict()["simulated_cells"]}
    assert cells["sim/idle · thinking high"]["no_op"] is True
    assert cells["sim/busy · thinking high"]["effort"]["against"] == "low"
    assert [row["no_op"] for row in surface.to_rows()] == [True, None, False, None]


def test_other_costs_do_not_measure_effort_anew(surface: Surface) -> None:
    """What was measured stays with the cell."""
    again = surface.repriced(replace(surface.costs, missed_usd=1.0))
    assert [cell.effort for cell in again.cells] == [cell.effort for cell in surface.cells]


def test_cells_of_other_settings_are_not_compared(tmp_path: Path) -> None:
    """A cell alone in its family has no effort, and a plan never changes one."""
    folder = make_workspace(tmp_path)
    grid = {"model": ["sim/good"], "answer": ["label", "explained"]}
    with Runtime(workspace=folder) as runtime:
        made = run(make_sweep(grid=grid), make_dataset(), task_of(folder), runtime)
    assert [cell.effort for cell in made.cells] == [None, None]
    assert "What thinking changes" not in report_html(made)
