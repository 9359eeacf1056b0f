"""What a cell's dollars are made of, what a month costs, and the rate limits that it would hit."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from rich.console import Console
from sweep_workspace import make_cell, make_dataset, make_surface, make_sweep, make_task, make_workspace, task_of

from llmclf.cli import run
from llmclf.config import LlmFile, PaceRow, ProvisionedPlan
from llmclf.errors import ConfigError, DataError
from llmclf.llm.plans import Plan
from llmclf.llm.prices import Price, Tier
from llmclf.llm.runtime import Runtime
from llmclf.sweeps import MeasuredCell, Surface, run as sweep_run, stored_surface, write_surface
from llmclf.sweeps.monthly import NO_VOLUME, hours_text, short_usd
from llmclf.sweeps.report import report_html
from llmclf.sweeps.small_tables import part_tables
from llmclf.sweeps.token_dollars import KINDS, token_dollars
from llmclf.types import Costs, ErrorInfo, Predictions, Usage

DATASET = make_dataset(targets=40, adjacent=20, clean=240)
PRICE = Price(
    1000,
    4000,
    100,
    "a test",
    audio_input_nano=9000,
    reasoning_nano=2000,
    cache_write_nano=1250,
    tiers=(Tier(500, 2000, 8000, 200),),
)
STANDARD = Plan("standard", "standard", "", PRICE, standard=PRICE)
USAGE = Usage(1000, 400, 100, 60, 0, 0)
COSTS = Costs(conversations_per_month=73_000)  # 100 an hour
_COUNTS = st.none() | st.integers(0, 2000)


def paid_cell(plan: Plan = STANDARD, *, calls: int = 1, usage: Usage = USAGE, **more: Any) -> MeasuredCell:
    """A cell whose answers took such tokens, at the plan's price."""
    cost = plan.cost(usage, calls=calls)
    assert cost is not None
    cell = make_cell("paid", DATASET, missed=4, alarms=3, nano=cost, usage=usage, calls=calls, **more)
    file = LlmFile(version=1, kind="llm", task=make_task().name, model="vendor/big", prompt="short")
    return replace(cell, cell=replace(cell.cell, plan=plan, file=file))


def surface_of(*cells: MeasuredCell, costs: Costs = COSTS, **more: Any) -> Surface:
    return make_surface(DATASET, *cells, **more).repriced(costs)


# --- kinds of token ---------------------------------------------------------------------------------


@given(st.builds(Usage, st.integers(0, 2000), _COUNTS, st.integers(0, 500), _COUNTS, _COUNTS, _COUNTS))
def test_kinds_of_token_add_up_to_the_price(usage: Usage) -> None:
    """Whatever the vendor reports, tiers and all: the split is of what `Price.cost` says."""
    cost = PRICE.cost(usage)
    assert cost is not None
    split = token_dollars([usage] * 2, [1, 1], [cost, cost], np.ones(2), STANDARD, cost / 1e9)
    known = [getattr(split, kind) for kind in KINDS if getattr(split, kind) is not None]
    assert sum(known) == pytest.approx(cost / 1e6, rel=1e-3, abs=1e-3)


def test_each_kind_costs_its_rate() -> None:
    """600 fresh, 400 cached and 100 answer tokens of which 60 are reasoning, at the rates of a long prompt."""
    parts = surface_of(paid_cell()).real[0].parts
    assert parts is not None
    tokens = parts.tokens
    assert (tokens.fresh_input, tokens.cached_input) == pytest.approx((600 * 2000 / 1e6, 400 * 200 / 1e6))
    assert (tokens.answer, tokens.reasoning) == pytest.approx((40 * 8000 / 1e6, 60 * 2000 / 1e6))
    assert (tokens.audio_input, tokens.cache_write) == (0.0, 0.0)
    assert tokens.unknown == ()


def test_counts_that_are_not_reported_are_said_to_be_unknown() -> None:
    """They are in another part, which is named; a price that has changed since is said as well."""
    parts = surface_of(paid_cell(usage=Usage(1000, None, 100, None))).real[0].parts
    assert parts is not None
    assert parts.tokens.cached_input is None
    assert parts.tokens.reasoning is None
    assert "cached input: not reported for 300 answers of 300, counted as fresh input" in parts.tokens.unknown
    assert "reasoning: not reported for 300 answers of 300, counted as the answer" in parts.tokens.unknown
    dearer = replace(STANDARD, price=replace(PRICE, tiers=()))
    changed = paid_cell()
    now = surface_of(replace(changed, cell=replace(changed.cell, plan=dearer))).real[0].parts
    assert now is not None
    assert "the price has changed since these answers were bought" in now.tokens.unknown[0]
    assert sum(getattr(now.tokens, kind) for kind in KINDS) == pytest.approx(now.model_usd)


def test_a_model_whose_price_is_not_known_has_no_split() -> None:
    """Unknown is not zero."""
    split = token_dollars([USAGE], [1], [None], np.ones(1), replace(STANDARD, price=None), None)
    assert [getattr(split, kind) for kind in KINDS] == [None] * len(KINDS)
    assert split.unknown == ("the price of its tokens is not known",)


# --- rates of failure -------------------------------------------------------------------------------


def test_failures_are_told_apart_with_intervals() -> None:
    """Unparsable and empty answers are invalid; a time-out is a failure and no answer at all."""
    cell = make_cell("lossy", DATASET)
    kinds = {0: "unparsable", 1: "empty", 2: "timeout", 3: "timeout"}
    predictions = Predictions(
        replace(p, label=None, flagged=None, score=None, error=ErrorInfo(kinds[row], "no"))  # type: ignore[arg-type]
        if row in kinds
        else p
        for row, p in enumerate(cell.predictions)
    )
    parts = surface_of(replace(cell, predictions=predictions)).cells[0].parts
    assert parts is not None
    assert parts.failed.value == pytest.approx(4 / 300)
    assert parts.invalid.value == pytest.approx(2 / 300)
    assert list(parts.errors) == ["timeout", "unparsable", "empty"]
    for rate in (parts.failed, parts.invalid, *parts.errors.values()):
        assert rate.low is not None
        assert rate.high is not None
        assert rate.value is not None
        assert 0 < rate.low < rate.value < rate.high


def test_a_terminal_shows_the_parts_in_tables_that_fit() -> None:
    """In 80 and in 60 columns: dollars by part, tokens by kind, tipping prices and months."""
    surface = surface_of(paid_cell(), make_cell("words", DATASET, missed=20, alarms=3))
    for width in (80, 60):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(surface)
        text = console.export_text()
        assert max(len(line) for line in text.splitlines()) <= width
        for said in ("Where the dollars go", "What the model's dollars pay for", "How far one price", "a month costs"):
            assert said in text
    assert "cached input" in surface._repr_html_()
    free = next(table for table in part_tables(surface, surface.real) if table.title.startswith("Where")).rows[1]
    assert free[:2] == ("words", "$0")  # zero is not unknown


# --- months -----------------------------------------------------------------------------------------


def test_a_month_is_the_volume_times_the_dollars() -> None:
    """At one, ten and a hundred times the volume, with reviewers' hours; the parts add up to the total."""
    surface = surface_of(paid_cell())
    months = surface.months().of("paid")
    assert [month.conversations for month in months] == [73_000, 730_000, 7_300_000]
    for month in months:
        usd = surface.real[0].usd.value
        assert usd is not None
        assert month.total.value == pytest.approx(usd * month.conversations / 1000)
        parts = (month.model_usd, month.review.value, month.missed.value, month.false_alarms.value)
        assert sum(part or 0 for part in parts) == pytest.approx(month.total.value)
        assert (month.review_hours.value or 0) * 48 == pytest.approx(month.review.value)
        assert month.total.low is not None
    assert json.loads(surface.months().to_json())["rows"][0]["total"]["value"] == months[0].total.value


def test_a_month_is_held_against_flagging_nothing() -> None:
    """On the terminal, the page and in JSON, with what each part is for; hours are whole numbers, zero is $0."""
    surface = surface_of(paid_cell())
    (nothing, *_) = surface.months().nothing
    usd = surface.flag_nothing_usd * 73
    assert (nothing.total.value, nothing.missed.value, nothing.model_usd) == (usd, usd, 0.0)
    assert json.loads(surface.to_json())["months"]["flag_nothing"][0]["total"]["value"] == usd
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(surface)
    text, page = console.export_text(), report_html(surface)
    (line,) = (line.split() for line in text.splitlines() if line.startswith(" flagging nothing · 1x"))
    assert line[4:] == ["$0", "$0", "0", short_usd(usd), "$0", short_usd(usd)]
    assert f'flagging nothing</td><td data-head="1x: 73,000 conversations">{short_usd(usd)}' in page
    month = surface.months().of("paid")[0]
    hours = f"{short_usd(month.review.value)} ({hours_text(month.review_hours.value)} h)"
    dollars = (short_usd(month.model_usd), hours, *map(short_usd, (month.missed.value, month.false_alarms.value)))
    parts = [
        f"{name} {part}" for name, part in zip(("model", "reviews", "misses", "false alarms"), dollars, strict=True)
    ]
    assert ", ".join(parts) in page.replace("\u00a0", " ")
    assert [hours_text(value) for value in (None, 0.0, 3.44, 1020.0)] == ["?", "0", "3.4", "1,020"]


def test_limits_are_held_against_the_busiest_hour() -> None:
    """100 conversations an hour of two calls each: 10 a minute when busiest, with 11,000 tokens."""
    pace = {"vendor/*": PaceRow(requests_per_minute=90, tokens_per_minute=8_000)}
    surface = surface_of(paid_cell(calls=2, usage=Usage(2000, 0, 200, 0, 0, 0)), pace=pace)
    once, ten, _ = surface.months().of("paid")
    assert once.requests_per_minute == pytest.approx(10.0)
    assert once.tokens_per_minute == pytest.approx(11_000.0)
    assert once.hits == ("11,000 tokens a minute, over 8,000",)
    assert ten.hits == ("100 requests a minute, over 90", "110,000 tokens a minute, over 8,000")
    assert surface.months(peak=1.0).of("paid")[0].hits == ()
    assert "3 times the mean minute" in surface.months().notes[0]
    assert "No limits are set in [pace] of models.toml for vendor/big" in surface_of(paid_cell()).months().notes[1]


def test_rented_units_cost_their_rent_whatever_is_used() -> None:
    """Two units a month are paid at any volume they can take; beyond, as many as the busiest hour needs."""
    rented = ProvisionedPlan(
        kind="provisioned",
        units=2,
        usd_per_unit_hour=3.0,
        tokens_per_minute_per_unit=10_000,
        output_token_weight=4,
        utilisation=0.5,
    )
    cell = paid_cell(Plan("gpu", "provisioned", "", None, rented, PRICE))
    surface = surface_of(cell)
    once, ten, hundred = surface.months().of("paid")
    assert (once.units, once.model_usd, once.hits) == (1, 2 * 3 * 730, ())
    assert (ten.units, ten.model_usd, ten.hits) == (7, 7 * 3 * 730, ("needs 7 units, 2 are rented",))
    assert hundred.units == 70
    parts = (once.model_usd, once.review.value, once.missed.value, once.false_alarms.value)
    assert once.total.value == pytest.approx(sum(part or 0 for part in parts))


def test_without_a_volume_there_is_no_month() -> None:
    """It says which setting is missing, on the terminal too."""
    surface = surface_of(paid_cell(), costs=Costs())
    assert surface.months().rows == ()
    assert surface.months().why_not == NO_VOLUME
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(surface)
    assert "Set costs.conversations_per_month" in console.export_text()


def test_dollars_of_a_month_are_short() -> None:
    """Three digits and a letter."""
    assert [short_usd(usd) for usd in (None, 0, 0.01, 512.4, 34_000, 999_900, 1.2e6, 3e9)] == [
        "?",
        "$0",
        "$<0.1",
        "$512",
        "$34k",
        "$1M",
        "$1.2M",
        "$3G",
    ]


# --- files ------------------------------------------------------------------------------------------


def test_a_surface_is_written_as_the_suffix_says(tmp_path: Path) -> None:
    """JSON and CSV hold the same figures; a form that there is not is refused."""
    surface = surface_of(paid_cell())
    document = json.loads(write_surface(surface, tmp_path / "new" / "x.JSON").read_text())
    parts = document["cells"][0]["parts"]
    (row,) = csv.DictReader(io.StringIO(write_surface(surface, tmp_path / "x.csv").read_text()))
    assert float(row["model_cached_input_usd"]) == parts["tokens"]["cached_input"]
    assert float(row["missed_usd_low"]) == parts["missed_usd"]["low"]
    assert float(row["p99_seconds"]) == 1.0
    assert row["invalid_rate"] == "0.0"
    assert document["months"]["rows"][0]["label"] == "paid"
    assert write_surface(surface, tmp_path / "x.html").read_text().startswith("<!")
    with pytest.raises(DataError, match="can't be written"):
        write_surface(surface, tmp_path / "x.csv" / "y.json")
    for name in ("race.pdf", "x.xlsx", "x"):
        with pytest.raises(ConfigError, match=r"let its name end in \.html, \.htm, \.json or \.csv"):
            write_surface(surface, tmp_path / name)
        assert not (tmp_path / name).exists()


def test_the_command_writes_what_the_suffix_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`sweep run --report x.json` and `sweep report NAME x.csv`; the second from the store alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LLMCLF_HOME", raising=False)
    (tmp_path / "s.toml").write_text(
        'version = 1\ndataset = "samples"\nmax_items = 120\n[grid]\nclassifier = ["refusal_keyword"]\n'
        "[costs]\nconversations_per_month = 1000\n"
    )
    assert run(["sweep", "run", "s.toml", "--report", "r.json", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8")) == shown
    assert shown["cells"][0]["parts"]["model_usd"] == 0.0
    assert run(["sweep", "report", "s.toml", "out/r.csv"]) == 0
    (row,) = csv.DictReader((tmp_path / "out/r.csv").open(encoding="utf-8"))
    assert row["label"] == "refusal_keyword"
    for arguments in (["run", "s.toml", "--store", "new.db", "--report", "x.xlsx"], ["report", "s.toml", "x.pdf"]):
        assert run(["sweep", *arguments]) == 1
        assert "let its name end in .html" in capsys.readouterr().err
    assert not [path for path in tmp_path.iterdir() if path.name in ("new.db", "x.xlsx", "x.pdf")]  # before anything


def test_a_surface_knows_the_limits_of_its_workspace(tmp_path: Path) -> None:
    """Measured or read from the store: the rows of [pace] come with it."""
    folder = make_workspace(tmp_path)
    with (folder / "configs/models.toml").open("a", encoding="utf-8") as models:
        models.write('[pace."sim/*"]\nrequests_per_minute = 600\n')
    file, dataset = make_sweep(grid={"model": ["sim/good"]}), make_dataset(20, 5, 20)
    with Runtime(folder / "llmclf.db", workspace=folder) as runtime:
        made = sweep_run(file, dataset, task_of(folder), runtime)
        stored = stored_surface(file, dataset, task_of(folder), runtime)
    for surface in (made, stored):
        assert surface.pace["sim/*"].requests_per_minute == 600
        assert surface.cells[0].parts is not None
        assert surface.cells[0].parts.tokens.answer
