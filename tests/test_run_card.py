"""The run card: what a run came from, in the store, on page and terminal; the same answers, the same numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sweep_workspace import make_dataset, make_sweep, make_workspace, task_of

from llmclf.cli import run as command
from llmclf.llm.runtime import Runtime
from llmclf.sweeps import Surface, run, stored_surface
from llmclf.sweeps.report import report_html
from llmclf.sweeps.run_card import card_lines, run_card_of

GRID = {"classifier": ["words"], "model": ["sim/good", "sim/poor"]}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_workspace(tmp_path_factory.mktemp("card"))


@pytest.fixture(scope="module")
def runtime(workspace: Path) -> Iterator[Runtime]:
    with Runtime(workspace / "llmclf.db", workspace=workspace) as made:
        yield made


@pytest.fixture(scope="module")
def surface(workspace: Path, runtime: Runtime) -> Surface:
    """A sweep that knows its commit and versions."""
    sweep = make_sweep(grid=GRID, seed=9)
    return run(
        sweep,
        make_dataset(),
        task_of(workspace),
        runtime,
        git_sha="abc123+dirty",
        versions={"llmclf": "0.1.0"},
        name="small",
    )


def numbers(surface: Surface) -> dict[str, Any]:
    """Everything that was computed, without what says when and from where it came."""
    cells = [cell.to_dict() | {"reused": None} for cell in surface.cells]
    prices = [one.to_dict() for one in surface.tipping_prices()]
    chances = dict(surface.front_chances())
    return {"cells": cells, "best": surface.best().to_dict(), "chances": chances, "prices": prices}


def test_the_same_answers_give_the_same_numbers(surface: Surface, workspace: Path, runtime: Runtime) -> None:
    """From the store alone, and in a second run: every figure, interval, chance and price is the same."""
    sweep, task = make_sweep(grid=GRID, seed=9), task_of(workspace)
    assert numbers(stored_surface(sweep, make_dataset(), task, runtime)) == numbers(surface)
    again = run(sweep, make_dataset(), task, runtime)
    assert all(cell.reused for cell in again.cells)
    assert numbers(again) == numbers(surface)


def test_the_card_names_all_that_decides_a_number(surface: Surface) -> None:
    """Data, task, guideline, prompt and settings by hash, each cell by its id, commit, seed, prices and machine."""
    card = surface.run_card
    lines = dict(card_lines(card))
    assert card["dataset"]["sha256"] in lines["dataset"]
    assert "60 items, 20 targets, design unknown" in lines["dataset"]
    assert card["prompts"]["person/v1"] in lines["prompt"]
    assert lines["commit"] == "abc123 with uncommitted changes"
    assert lines["seed"] == "9"
    assert "$0.1 in, $0.1 cached, $0.4 out a million tokens" in lines["price"]
    assert lines["versions"] == "llmclf 0.1.0"
    assert {"inputs", "task", "guideline", "config", "machine", "started", "paid now"} <= set(lines)
    assert card["cells"] == {cell.label: cell.cell.cell_id for cell in surface.cells}


def test_the_report_shows_the_card(surface: Surface) -> None:
    """Each line of it stands on the page."""
    html = report_html(surface)
    foot = html[html.index('<dl class="card">') :]
    for name, text in card_lines(surface.run_card):
        assert f"<dt>{name}</dt>" in foot
        assert text.split()[0].split(":")[0] in foot
    assert f"<code>{surface.run_card['dataset']['sha256']}</code>" in foot


@pytest.mark.parametrize("width", [60, 80])
def test_a_run_is_shown_to_people(
    surface: Surface,
    workspace: Path,
    width: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What came out, cell by cell, and the card, in the columns there are; --json has the whole row."""
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("COLUMNS", str(width))
    assert command(["runs", "show", surface.run_id]) == 0
    out = capsys.readouterr().out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= width
    assert out.startswith("sweep small on parcels: done")
    assert "SIMULATED: at least a part of it" in out
    said = " ".join(out.split())
    assert surface.best().sentence in said
    assert "1 words: recall" in said
    assert "abc123 with uncommitted changes" in said
    assert command(["runs", "show", surface.run_id, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["run_id"] == surface.run_id
    assert row["result"]["run_card"]["seed"] == 9


def test_other_runs_have_a_card_of_what_is_known(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An evaluation shows its figures with their intervals, and its dataset, settings, seed and versions."""
    monkeypatch.chdir(workspace)
    assert command(["evaluate", "refusal_keyword", "--dataset", "samples", "--store", "other.db"]) == 0
    capsys.readouterr()
    assert command(["runs", "list", "--store", "other.db", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["runs"]
    assert command(["runs", "show", row["run_id"], "--store", "other.db"]) == 0
    out = capsys.readouterr().out
    assert "evaluate refusal_keyword on samples: done" in out
    assert "precision not estimable (how the examples were drawn is not known)" in " ".join(out.split())
    lines = dict(card_lines(run_card_of(row)))
    assert lines["classifier"].startswith("refusal_keyword@")
    assert row["dataset_hash"] in lines["dataset"]
    assert "numpy" in lines["versions"]
