"""A race over the cells of a sweep: what it drops and asks, killed, interrupted, out of money, and shown."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sweep_workspace import make_cell, make_dataset, make_surface, make_sweep, make_workspace, task_of
from wire import Received, Reply, Wire, chat

from llmclf.cli import run as command
from llmclf.config import LlmFile
from llmclf.data.write import write_conversations, write_examples
from llmclf.llm.runtime import Runtime
from llmclf.sweeps import Surface, SweepInterrupted, run, stored_surface
from llmclf.sweeps.inputs import Inputs, sweep_inputs
from llmclf.sweeps.measured import Dropped
from llmclf.sweeps.racing import Race, Seen, Track, racing_sentences
from llmclf.sweeps.report import report_html
from llmclf.types import Design, ErrorInfo, Item, Prediction, Stratum

ITEMS = 160
VENDORS = {"good": (0.95, 0.01), "fair": (0.5, 0.15), "poor": (0.3, 0.2), "wild": (0.9, 0.4)}
"""Recall and share of false alarms of each model."""
STATES = {
    "words": "done",
    "wire/fair": "dropped",
    "wire/good": "done",
    "wire/poor": "dropped",
    "wire/wild": "dropped",
}
RACE = """
version = 1
classifier = "asked"
dataset = "parcels"
strategy = "racing"
budget_usd = {budget}
concurrency = 4
[grid]
classifier = ["words"]
model = ["wire/fair", "wire/good", "wire/poor", "wire/wild"]
"""


class Vendor:
    """Each model is wrong on the items that its rates and the item's number say."""

    def __init__(self, wire: Wire, delay: float = 0.0) -> None:
        self.wire = wire
        self.delay = delay
        wire.default = self.answer

    def answer(self, request: Received) -> Reply:
        text = request.body.decode()
        found = re.search(r"order (\d+) here", text)
        assert found is not None
        place = int(found[1]) * 37 % 100 / 100
        recall, alarms = VENDORS[request.json["model"]]
        said = place < recall if "Let me help you myself" in text else place < alarms
        usage = {"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101}
        return chat("A" if said else "C", usage=usage, delay=self.delay)

    @property
    def asked(self) -> Counter[bytes]:
        """How often each body came in."""
        return Counter(received.body for received in self.wire.received)


@pytest.fixture
def workspace(tmp_path: Path, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with four models of a vendor on that server, 160 items, and a race over them."""
    make_workspace(tmp_path)
    rows = [
        f'[models."wire/{name}"]\nroute = "http"\napi_base = "{wire.url}"\nmodel = "{name}"\nkey_env = "WIRE_KEY"\n'
        "price = { input_usd_per_million = 1, output_usd_per_million = 10 }\n"
        for name in VENDORS
    ]
    with (tmp_path / "configs/models.toml").open("a", encoding="utf-8") as file:
        file.write("".join(rows))
    data, folder = make_dataset(40, 20, 100), tmp_path / "configs/datasets"
    (folder / "parcels").mkdir(parents=True)
    (tmp_path / "configs/sweeps").mkdir()
    (tmp_path / "llmclf.toml").write_text("version = 1\nconfirm_above_usd = 100.0\n")
    files = 'version = 1\nconversations = "parcels/c.jsonl"\nlabels = "parcels/l.jsonl"\n'
    (folder / "parcels.toml").write_text(files)
    write_conversations(folder / "parcels/c.jsonl", data.conversations.values())
    write_examples(folder / "parcels/l.jsonl", data.examples)
    (tmp_path / "configs/sweeps/race.toml").write_text(dedent(RACE.format(budget=5)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WIRE_KEY", "sk-test")
    return tmp_path


def sweep_run(capsys: pytest.CaptureFixture[str], store: str, *more: str, code: int = 0) -> dict[str, Any]:
    """The document of `llmclf sweep run race --json`."""
    capsys.readouterr()
    assert command(["sweep", "run", "race", "--store", store, "--json", *more]) == code, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def told(document: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What of each cell does not hang on the clock."""
    kept = ("label", "state", "asked", "dropped")
    figures = [cell["evaluation"] and cell["evaluation"]["dollars_per_1000"] for cell in document["cells"]]
    return [(*(cell[key] for key in kept), usd) for cell, usd in zip(document["cells"], figures, strict=True)]


def start(store: str, *more: str) -> subprocess.Popen[bytes]:
    """The race as a process of its own."""
    code = "import sys; from llmclf.cli import run; sys.exit(run(sys.argv[1:]))"
    arguments = ["sweep", "run", "race", "--store", store, *more]
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL)


def wait_for(wire: Wire, calls: int) -> None:
    deadline = time.monotonic() + 60
    while len(wire.received) < calls and time.monotonic() < deadline:
        time.sleep(0.005)
    assert len(wire.received) >= calls


def test_a_killed_race_ends_as_one_that_was_not(
    workspace: Path, wire: Wire, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGKILL in the middle: the report shows what there is; run again it drops the same, and buys nothing twice."""
    vendor = Vendor(wire)
    whole = sweep_run(capsys, "whole.db")
    assert {cell["label"]: cell["state"] for cell in whole["cells"]} == STATES
    calls = len(wire.received)
    assert calls == sum(cell["asked"] for cell in whole["cells"] if cell["label"] != "words") < 3 * ITEMS

    wire.received.clear()
    vendor.delay = 0.02
    process = start("killed.db")
    wait_for(wire, calls * 2 // 3)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    time.sleep(0.2)  # what the server was still answering
    assert len(wire.received) < calls
    assert command(["sweep", "report", "race", "killed.html", "--store", "killed.db"]) == 0
    page = Path("killed.html").read_text(encoding="utf-8")
    assert "dropped after" in page
    assert "ended in the middle" in page

    vendor.delay = 0.0
    resumed = sweep_run(capsys, "killed.db")
    assert told(resumed) == told(whole)
    assert resumed["stopped"] == ""
    assert len(vendor.asked) == calls
    assert sum(vendor.asked.values()) <= calls + 4  # those under way


def test_an_interrupted_race_leaves_its_report(workspace: Path, wire: Wire) -> None:
    """Ctrl-C: exit 130, a report that says why it stopped and what was dropped so far, and the store says so too."""
    vendor = Vendor(wire, delay=0.02)
    process = start("llmclf.db", "--report", "report.html")
    wait_for(wire, 150)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    page = Path("report.html").read_text(encoding="utf-8")
    assert "Stopped: 1 of 5 real cells measured, " in page
    assert "no verdict yet: a person stopped it" in page
    assert "incomplete" in page
    assert vendor.asked.total() < 400
    with Runtime("llmclf.db", workspace=workspace) as runtime:
        (row,) = runtime.store.runs(kind="sweep")
    assert (row["state"], row["why"]) == ("interrupted", "a person stopped it; run again to continue")


def test_a_race_stops_at_its_cap(workspace: Path, wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2 with a report; cells that were under way have no figures; under a higher cap it ends as if uncapped."""
    vendor = Vendor(wire)
    file = workspace / "configs/sweeps/race.toml"
    file.write_text(file.read_text().replace("budget_usd = 5", "budget_usd = 0.03"))
    stopped = sweep_run(capsys, "capped.db", "--report", "report.html", code=2)
    assert stopped["stopped"] == "budget"
    assert "incomplete" in {cell["state"] for cell in stopped["cells"]}
    assert "budget_usd of the sweep was reached" in Path("report.html").read_text(encoding="utf-8")
    assert stopped["run_card"]["spent_usd"] <= 0.03
    file.write_text(file.read_text().replace("budget_usd = 0.03", "budget_usd = 5"))
    ended = sweep_run(capsys, "capped.db")
    assert {cell["label"]: cell["state"] for cell in ended["cells"]} == STATES
    assert max(vendor.asked.values()) == 1


def test_the_plan_of_a_race_is_a_range(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From all cells but one dropped after the first round to the whole grid; nothing is sent."""
    assert command(["sweep", "plan", "race", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    first = document["first_round"]
    assert 0 < first < ITEMS / 2
    assert [cell["calls"] for cell in document["cells"]] == [0, *[ITEMS] * 4]
    assert [cell["calls_in_first_round"] for cell in document["cells"]] == [None, *[first] * 4]
    assert (document["calls_least"], document["calls"]) == (4 * first, 4 * ITEMS)  # words may be what is left
    low, high = document["usd"]
    assert 0 < low < high * 0.6
    assert command(["sweep", "plan", "race"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"It is a race: the low ends, from {4 * first} calls on, are for all cells but one dropped" in said


Said = tuple[Inputs, Track, dict[str, dict[Item, Prediction]]]

# --- with a simulated vendor, in this process ------------------------------------------------


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    make_workspace(tmp_path)
    with Runtime(workspace=tmp_path) as made:
        yield made


def raced(runtime: Runtime, **changes: Any) -> Surface:
    assert runtime.workspace is not None
    grid = {"classifier": ["words"], "model": ["sim/good", "sim/poor"]}
    file = make_sweep(**{"strategy": "racing", "grid": grid, **changes})
    surface = run(file, make_dataset(60, 40, 200), task_of(runtime.workspace), runtime)
    stored = stored_surface(file, make_dataset(60, 40, 200), task_of(runtime.workspace), runtime)
    assert [(c.state, c.asked, c.dropped) for c in stored.cells] == [
        (c.state, c.asked, c.dropped) for c in surface.cells
    ]
    assert racing_sentences(stored) == racing_sentences(surface)
    return surface


def test_a_race_says_what_it_dropped(runtime: Runtime) -> None:
    """When, by whom, at what risk; a real cell and simulated ones race apart, and one that costs nothing stays."""
    surface = raced(runtime)
    words, good, poor = surface.cells
    assert (words.state, good.state, poor.state) == ("done", "done", "dropped")
    assert poor.dropped is not None
    assert poor.dropped.after_items == poor.asked < 300
    assert (poor.dropped.by, poor.figures) == ("sim/good", None)
    said = racing_sentences(surface)
    assert said[0].startswith("Simulated: A race for the cell with the fewest dollars: 1 of 2 cells dropped")
    assert "The risk of having dropped that cell is 5 % at most" in said[0]
    ends = surface.run_card["race"]["rounds"]
    after = f"after round {poor.dropped.round} of {len(ends)} ({ends[poor.dropped.round - 1]} of 300 items)"
    assert said[1].startswith(f"Simulated: Dropped {after}, beaten by sim/good: sim/poor (at least $")


def test_the_report_lists_what_was_dropped() -> None:
    """A row for each cell, with which one beats it and by how much; the front is of the cells that are left."""
    dataset = make_dataset()
    asked = {"version": 1, "kind": "llm", "task": "wants_person", "model": "a/b", "prompt": "person/v1"}
    file = LlmFile.model_validate(asked)
    left, lost, silent = (make_cell(name, dataset, missed=missed) for name, missed in (("a", 1), ("b", 9), ("c", 0)))
    out = [
        replace(cell, state="dropped", evaluation=None, dropped=dropped, cell=replace(cell.cell, file=file))
        for cell, dropped in (
            (lost, Dropped(20, 2, "a", 12.5, "a costs less")),
            (silent, Dropped(10, 1, "", None, "none of them was answered")),
        )
    ]
    for keep, said in (("winner", True), ("front", False)):
        card = {"race": {"keep": keep, "risk": 0.05, "rounds": [10, 20, 60]}}
        page = report_html(make_surface(dataset, left, *out, run_card=card))
        rows = page.split("<h2>The race</h2>")[1].split("</section>")[0].split("<tr>")[2:]
        first, second = (re.findall(r"<td data-head[^>]*>([^<]*)", row) for row in rows)
        assert first == ["none of them was answered", "", "10 of 60", "1"]
        assert second == ["a", "$12.50 at least", "20 of 60", "2"]
        assert ("it was for the winner alone" in page) == said


def test_a_grid_is_no_race(runtime: Runtime) -> None:
    """Every cell is asked about every item, nothing is said of races, and what is about races is refused."""
    surface = raced(runtime, strategy="grid")
    assert [cell.state for cell in surface.cells] == ["done"] * 3
    assert racing_sentences(surface) == []
    with pytest.raises(ValidationError, match="about a race"):
        make_sweep(keep="front", grid={"model": ["sim/good"]})


def test_what_a_race_must_keep_is_an_input(runtime: Runtime) -> None:
    """Another risk or goal is another sweep; its cap and concurrency are not."""
    assert runtime.workspace is not None
    task, data, grid = task_of(runtime.workspace), make_dataset(), {"model": ["sim/good", "sim/poor"]}
    files = [{}, {"budget_usd": 2.0}, {"risk": 0.01}, {"keep": "front"}]
    made = [make_sweep(strategy="racing", grid=grid, **changes) for changes in files]
    hashes = [sweep_inputs(file, data, task, runtime).inputs_hash for file in made]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_plans_share_their_answers_in_a_race(runtime: Runtime) -> None:
    """Cells that differ in their plan alone are asked once, do not drop each other, and leave together."""
    surface = raced(runtime, grid={"model": ["sim/good", "sim/poor"], "plan": ["standard", "batch"]})
    states = [(cell.state, cell.asked) for cell in surface.cells]
    assert states[0] == states[1] == ("done", 300)
    assert states[2] == states[3]
    assert states[2][0] == "dropped"
    assert len({prediction.classifier_id for prediction in surface.cells[2].predictions}) == 1


def test_a_front_keeps_both_ends(runtime: Runtime) -> None:
    """The same cells, and nothing is lost that is as fast: two simulated models that take the same time."""
    surface = raced(runtime, keep="front", risk=0.1)
    assert racing_sentences(surface)[0].count("in dollars, p95 seconds and share of missed targets") == 1
    assert surface.cells[1].state == "done"


@pytest.fixture
def said(runtime: Runtime) -> Said:
    """A race of sim/good and sim/poor, and all that they say."""
    assert runtime.workspace is not None
    task, data = task_of(runtime.workspace), make_dataset(60, 40, 200)
    file = make_sweep(strategy="racing", grid={"model": ["sim/good", "sim/poor"]})
    surface = run(file.model_copy(update={"strategy": "grid"}), data, task, runtime)
    answers = {cell.cell.answers_id: {p.item: p for p in cell.predictions} for cell in surface.cells}
    return sweep_inputs(file, data, task, runtime), Track.of(data, task, file), answers


def test_a_cell_that_answers_nothing_is_dropped_at_once(said: Said) -> None:
    """After the first round, with what it did instead; where no cell answers, none is dropped for it."""
    inputs, track, answers = said
    refused = ErrorInfo("refused", "no")
    silent = {
        key: {item: replace(p, label=None, flagged=None, score=None, error=refused) for item, p in of_one.items()}
        for key, of_one in answers.items()
    }
    good, poor = answers
    (found,) = Race(inputs, track, ()).judge(1, {good: silent[good], poor: answers[poor]})
    first = len(track.new(1))
    assert found == (inputs.cells[0], Dropped(first, 1, "", None, f"none of them was answered ({first} refused)"))
    assert Race(inputs, track, ()).judge(1, silent) == []


@pytest.mark.parametrize(
    ("limits", "volume", "state"),
    [
        ({"flags_per_day": 5000.0}, 100_000, "dropped"),
        ({"p95_seconds": 60.0, "usd_per_conversation": 1.0}, None, "dropped"),
        ({"flags_per_day": 1.0}, 100_000, "done"),
        ({"flags_per_day": 5000.0}, None, "done"),  # how many they are is not known
        ({"p95_seconds": 0.5}, None, "done"),
        ({"usd_per_conversation": 1e-9}, None, "done"),
    ],
)
def test_a_cell_beyond_the_limits_drops_nobody(
    runtime: Runtime, limits: dict[str, float], volume: int | None, state: str
) -> None:
    """The cheapest one may have to be left for one that keeps to them."""
    surface = raced(runtime, costs={"conversations_per_month": volume}, limits=limits)
    assert surface.cells[2].state == state


def test_a_cell_that_the_store_holds_stays(runtime: Runtime) -> None:
    """It costs nothing any more, so it is measured in full, though a race would have dropped it."""
    raced(runtime, strategy="grid")
    surface = raced(runtime)
    assert [(cell.state, cell.reused) for cell in surface.cells] == [("done", True)] * 3
    assert racing_sentences(surface) == ["Simulated: All cells were in the store: nothing was raced."]


def test_cells_keep_their_places_in_the_store(runtime: Runtime) -> None:
    """In the order of the sweep, whichever a race began first; what was not begun waits there."""
    grid = {"classifier": ["words"], "model": ["sim/poor", "sim/good"]}

    def press(cell: str, done: int, total: int, usd: float) -> None:
        if done:
            raise KeyboardInterrupt

    assert runtime.workspace is not None
    file, task = make_sweep(strategy="racing", grid=grid), task_of(runtime.workspace)
    with pytest.raises(SweepInterrupted) as caught:
        run(file, make_dataset(60, 40, 200), task, runtime, progress=press)
    ended = raced(runtime, grid=grid)
    stored = stored_surface(file, make_dataset(60, 40, 200), task, runtime)
    states = [["incomplete", "waiting", "waiting"], ["done", "dropped", "done"]]
    for surface, expected in zip((caught.value.surface, ended), states, strict=True):
        rows = runtime.store.cells(surface.run_id)
        assert [row["settings"]["label"] for row in rows] == ["words", "sim/poor", "sim/good"]
        assert [row["state"] for row in rows] == [cell.state for cell in surface.cells] == expected
    assert [cell.state for cell in stored.cells] == states[1]


@pytest.mark.parametrize("on_error", ["review", "miss"])
def test_a_race_is_about_the_dollars_of_the_evaluation(runtime: Runtime, on_error: str) -> None:
    """Over all items the parts of a cell add up to its dollars and its missed share, whatever the design."""
    assert runtime.workspace is not None
    task = task_of(runtime.workspace)
    design = Design("stratified", (Stratum("likely", 200, 60), Stratum("rest", 9000, 100)))
    data = make_dataset(30, 30, 100, design)
    placed = [
        replace(example, stratum="likely" if place % 160 < 50 or place >= 150 else "rest")
        for place, example in enumerate(data.examples)
    ]
    data = replace(data, examples=tuple(placed))
    file = make_sweep(grid={"model": ["sim/good", "sim/poor"]}, on_error=on_error)
    track, places = Track.of(data, task, file), np.arange(len(data))
    for cell in run(file, data, task, runtime).cells:
        assert cell.evaluation is not None
        answers = {prediction.item: prediction for prediction in cell.predictions}
        seen = Seen.of(cell.cell, answers, places, track, file.as_costs)
        assert 1000 * seen.usd.sum() == pytest.approx(cell.evaluation.dollars_per_1000.value)
        assert 1 - seen.missed.sum() == pytest.approx(cell.evaluation.recall.value)


def test_a_cell_of_unknown_price_stays_in_the_race(said: Said) -> None:
    """Its dollars are not known, so it can't be beaten by dollars, and beats nobody."""
    inputs, track, answers = said
    assert [cell.label for cell, _ in Race(inputs, track, ()).judge(5, answers)] == ["sim/poor"]
    for key in answers:
        unpriced = {item: replace(p, cost_nano_usd=None) for item, p in answers[key].items()}
        assert Race(inputs, track, ()).judge(5, answers | {key: unpriced}) == []
