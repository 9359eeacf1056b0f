"""Runs priced again, and spending summed up: from raw counts, with simulated dollars apart."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console
from sweep_workspace import make_dataset, make_sweep, make_workspace, task_of
from test_sweeps_resume import Vendor
from typer.testing import CliRunner
from wire import Wire, chat

from llmclf.cli.app import app
from llmclf.errors import ConfigError
from llmclf.llm.runtime import Runtime
from llmclf.render.tables import rich_table
from llmclf.store import CallDone, CallSent, Store
from llmclf.sweeps import run
from llmclf.types import Prediction, Predictions, Usage
from llmclf.workspace.repricing import reprice
from llmclf.workspace.spent import spent_by, spent_table

ITEMS = 60
PLAN = """
[plans.gpu]
kind = "provisioned"
units = 1
usd_per_unit_hour = 6
tokens_per_minute_per_unit = 100000
utilisation = 1
models = ["wire/*"]
"""


@pytest.fixture
def workspace(tmp_path: Path, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WIRE_KEY", "sk-test")
    folder = make_workspace(tmp_path, wire.url)
    with (folder / "configs/prices.toml").open("a", encoding="utf-8") as file:
        file.write(PLAN)
    return folder


@pytest.fixture
def runtime(workspace: Path) -> Iterator[Runtime]:
    with Runtime(workspace / "llmclf.db", workspace=workspace, max_usd=5) as made:
        yield made


def swept(runtime: Runtime, **changes: object) -> str:
    assert runtime.workspace is not None
    values = {"grid": {"model": ["wire/x", "sim/good"]}, **changes}
    return run(make_sweep(**values), make_dataset(), task_of(runtime.workspace), runtime).run_id


def shown(made: object) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(made)
    text = console.export_text()
    assert max(len(line) for line in text.splitlines()) <= 80
    return text


def test_a_run_costs_the_same_at_the_same_prices(runtime: Runtime, wire: Wire) -> None:
    """Tokens and dollars by model; the simulated one stands apart and is in no sum."""
    vendor = Vendor(wire)
    made = reprice(swept(runtime), runtime)
    real, simulated = made.bills
    assert (real.model, real.simulated, real.calls, real.reused) == ("wire/x", False, ITEMS, 0)
    assert real.then_nano == real.now_nano == round(vendor.billed_usd * 1e9)
    assert real.tokens["output_tokens"] == ITEMS
    assert (simulated.model, simulated.simulated, simulated.calls) == ("sim/good", True, ITEMS)
    assert simulated.then_nano == simulated.now_nano > 0
    assert made.to_dict()["real"]["now_usd"] == pytest.approx(vendor.billed_usd)


def test_todays_prices_and_plans_are_applied_to_old_counts(runtime: Runtime, wire: Wire, workspace: Path) -> None:
    """The vendor's price triples, a batch halves it, rent is by the token; what a plan does not serve is unknown."""
    Vendor(wire)
    run_id = swept(runtime)
    path = workspace / "configs/prices.toml"
    path.write_text(path.read_text().replace("= 10.0", "= 30.0").replace("= 100.0", "= 300.0"), encoding="utf-8")
    with Runtime(workspace / "llmclf.db", workspace=workspace) as later:
        now = reprice(run_id, later).bills[0]
        assert now.now_nano == 3 * now.then_nano
        assert reprice(run_id, later, "batch").bills[0].now_nano == pytest.approx(1.5 * now.then_nano, abs=ITEMS)
        rented, not_served = reprice(run_id, later, "gpu").bills
        tokens = rented.tokens["input_tokens"] + rented.tokens["output_tokens"]
        assert rented.now_nano == tokens * 1000
        assert (not_served.model, not_served.now_unknown) == ("sim/good", ITEMS)
        assert "does not serve sim/good" in not_served.note
        with pytest.raises(ConfigError, match="there is standard, batch, gpu"):
            reprice(run_id, later, "gpus")
        with pytest.raises(ConfigError, match="no such run"):
            reprice("f00", later)


def test_answers_of_an_earlier_run_count_where_they_were_used(runtime: Runtime, wire: Wire) -> None:
    """The second run paid nothing and used 60 answers: it is priced by those, and a plan's cell adds none."""
    vendor = Vendor(wire)
    swept(runtime)
    grid = {"model": ["wire/x"], "plan": ["standard", "gpu"]}
    second = reprice(swept(runtime, grid=grid), runtime)
    (bill,) = second.bills
    assert (bill.calls, bill.reused) == (ITEMS, ITEMS)
    assert bill.then_nano == bill.now_nano == round(vendor.billed_usd * 1e9)
    assert "60 reused" in shown(second)


def test_a_call_without_counts_stays_unknown(runtime: Runtime, wire: Wire) -> None:
    """It was not zero then, and no price makes it known now."""
    answer = Vendor(wire).answer
    wire.default = lambda asked: chat("C", usage=None) if b"order 7 here" in asked.body else answer(asked)
    made = reprice(swept(runtime, grid={"model": ["wire/x"]}), runtime)
    assert (made.bills[0].then_unknown, made.bills[0].now_unknown) == (1, 1)
    assert "1 unknown" in shown(made)
    assert "and 1 call of unknown cost" in " ".join(shown(made).split())


def test_a_model_that_is_gone_and_calls_that_are_gone_are_said(runtime: Runtime) -> None:
    """No row and no entry of the map: unknown with the reason. A reused call that was erased: counted as lost."""
    store = runtime.store
    run_id = store.start_run("classify", inputs_hash="h", config={})
    store.call_sent(CallSent("c1", run_id, "h1", model="sim/gone", reserved_nano=5))
    store.call_done("c1", CallDone("done", cost_nano=7, usage=Usage(3, 0, 1), price_json="{}"))
    store.add_predictions(
        run_id, Predictions([Prediction("x", "a@1", "t", label="clean", cached=True, call_id="erased")])
    )
    made = reprice(run_id, runtime)
    (bill,) = made.bills
    assert (bill.then_nano, bill.now_unknown, made.lost) == (7, 1, 1)
    assert "no such model" in bill.note or "sim/gone" in bill.note
    assert "no longer in the store" in " ".join(shown(made).split())


def test_the_sum_behind_one_prediction_is_not_one_long_prompt(runtime: Runtime) -> None:
    """Several calls of an earlier run behind a prediction count as so many."""
    store = runtime.store
    first = store.start_run("classify", inputs_hash="h", config={})
    store.call_sent(CallSent("c1", first, "h1", model="wire/x"))
    store.call_done("c1", CallDone("done", cost_nano=1, usage=Usage(3, 0, 1)))
    second = store.start_run("classify", inputs_hash="h", config={})
    used = Prediction("x", "a@1", "t", label="clean", cached=True, call_id="c1", calls=3, usage=Usage(9, 0, 3))
    store.add_predictions(second, Predictions([used]))
    (bill,) = reprice(second, runtime).bills
    assert (bill.calls, bill.reused, bill.now_nano) == (3, 3, 9 * 10_000 + 3 * 100_000)


# --- spending ---------------------------------------------------------------------------------------


@pytest.fixture
def spent(tmp_path: Path) -> Iterator[Store]:
    """Two days, two models, one of them simulated, and a call nobody knows the cost of."""
    with Store(tmp_path / "spent.db") as store:
        now = datetime.now(UTC)
        run_id = store.start_run("sweep", inputs_hash="h", config={})
        rows = [
            ("a", "v/dear", now - timedelta(days=2), 3_000_000_000, False),
            ("b", "v/dear", now - timedelta(minutes=1), 1_000_000_000, False),
            ("c", "v/cheap", now - timedelta(minutes=1), 10_000_000, False),
            ("d", "v/cheap", now - timedelta(minutes=1), None, False),
            ("e", "sim/x", now - timedelta(minutes=1), 9_000_000_000, True),
        ]
        for name, model, moment, cost, simulated in rows:
            call = CallSent(
                name, run_id, name, model=model, classifier_id="k@1", sent_at=moment, simulated=simulated,
                reserved_nano=50_000_000,
            )  # fmt: skip
            store.call_sent(call)
            done = CallDone("done", cost_nano=cost, usage=Usage(10, 0, 5), possibly_billed=cost is None)
            store.call_done(name, done)
        yield store


def test_spending_is_summed_by_what_is_asked(spent: Store) -> None:
    """The dearest first, simulated rows last and of their own; what is not known is set aside and counted."""
    rows = spent_by(spent, "model")
    assert [(row["model"], row["usd"], row["calls"]) for row in rows] == [
        ("v/dear", 4.0, 2),
        ("v/cheap", 0.01, 2),
        ("sim/x", 9.0, 1),
    ]
    assert (rows[1]["unknown"], rows[1]["reserved_usd"], rows[1]["possibly_billed"]) == (1, 0.05, 1)
    assert [row["usd"] for row in spent_by(spent, "classifier")] == [pytest.approx(4.01), 9.0]
    assert len(spent_by(spent, "day")) == 3
    assert spent_by(spent, "hour")[0]["hour"].endswith(":00Z")
    (real, simulated) = spent_by(spent, "run")
    assert (real["kind"], real["simulated"], simulated["simulated"]) == ("sweep", 0, 1)


def test_spending_since_a_moment(spent: Store) -> None:
    """An age or a time; anything else is an error that names the option, and so is another grouping."""
    assert [row["usd"] for row in spent_by(spent, "model", "24h")] == [1.0, 0.01, 9.0]
    with pytest.raises(ConfigError, match="--since"):
        spent_by(spent, "model", "yesterday")
    with pytest.raises(ConfigError, match="--by"):
        spent_by(spent, "vendor")


@pytest.mark.parametrize("by", ["day", "hour", "classifier", "model", "run"])
def test_spending_fits_the_terminal(spent: Store, by: str) -> None:
    """80 columns, the stamp on what is simulated, and the sum of what is not."""
    text = shown(rich_table(spent_table(spent_by(spent, by), by)))
    assert text.count("SIMULATED") == 1
    assert "Real money: $4.01 for 4 calls" in " ".join(text.split())


def test_the_commands_print_both(workspace: Path, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """`runs reprice` by the start of an id, without a key; `spend` by run; JSON alone on stdout."""
    Vendor(wire)
    with Runtime(workspace / "llmclf.db", workspace=workspace, max_usd=5) as runtime:
        run_id = swept(runtime)
    monkeypatch.chdir(workspace)
    monkeypatch.delenv("WIRE_KEY")
    made = CliRunner().invoke(app, ["runs", "reprice", run_id[:24], "--plan", "gpu", "--json"])
    assert made.exit_code == 0, made.output
    document = json.loads(made.stdout)
    assert (document["plan"], document["models"][0]["model"]) == ("gpu", "wire/x")
    assert "wire/x" in CliRunner().invoke(app, ["runs", "reprice", run_id]).stdout
    spent = json.loads(CliRunner().invoke(app, ["spend", "--by", "run", "--since", "1h", "--json"]).stdout)["spend"]
    assert {row["run"] for row in spent} == {run_id}
