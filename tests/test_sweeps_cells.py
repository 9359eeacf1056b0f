"""A sweep file becomes cells: every combination, known by what decides its answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sweep_workspace import make_sweep, make_workspace

from llmclf.errors import ConfigError
from llmclf.llm.runtime import Runtime
from llmclf.sweeps import expand


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime(workspace=make_workspace(tmp_path)) as made:
        yield made


def test_every_combination_is_a_cell(runtime: Runtime) -> None:
    """Whole classifiers come first, then the product of the other axes, each with a short label."""
    grid = {
        "classifier": ["words", "learned"],
        "model": ["sim/good"],
        "thinking": ["off", "low"],
        "prompt": ["person/v1"],
    }
    cells, skipped = expand(make_sweep(grid=grid), runtime)
    assert [cell.label for cell in cells] == [
        "words",
        "learned",
        "sim/good · thinking off · person/v1",
        "sim/good · thinking low · person/v1",
    ]
    assert [cell.simulated for cell in cells] == [False, False, True, True]
    assert [cell.learns for cell in cells] == [False, True, False, False]
    assert cells[3].settings["thinking"] == "low"
    assert skipped == []


def test_axes_that_are_not_given_stay_as_in_the_classifier(runtime: Runtime) -> None:
    """The sweep's classifier fills in what the grid does not name."""
    (cell,), _ = expand(make_sweep(grid={"thinking": ["low"]}), runtime)
    assert (cell.settings["model"], cell.settings["prompt"], cell.settings["answer"]) == (
        "sim/good",
        "person/v1",
        "label",
    )


def test_the_same_combination_is_measured_once(runtime: Runtime) -> None:
    """A value that stands twice makes one cell; the other is listed with its twin."""
    cells, skipped = expand(make_sweep(grid={"classifier": ["asked"], "model": ["sim/good", "sim/good"]}), runtime)
    assert [cell.label for cell in cells] == ["asked"]
    assert [skip.why for skip in skipped] == ["the same as asked"] * 2


def test_what_a_model_cannot_do_is_one_error_before_anything(runtime: Runtime) -> None:
    """Under `unsupported = "error"` every such cell is in one message."""
    file = make_sweep(grid={"model": ["sim/good", "sim/poor"], "thinking": ["off", "low", "high"]})
    with pytest.raises(ConfigError) as caught:
        expand(file, runtime)
    assert len(caught.value.problems) == 3
    assert "sim/good · thinking high" in str(caught.value)
    assert "sim/poor · thinking low" in str(caught.value)


def test_what_a_model_cannot_do_is_left_out_on_request(runtime: Runtime) -> None:
    """Under `unsupported = "skip"` such cells are listed with the reason."""
    grid = {"model": ["sim/good", "sim/poor"], "thinking": ["off", "low"], "unsupported": "skip"}
    cells, skipped = expand(make_sweep(grid=grid), runtime)
    assert len(cells) == 3
    assert [skip.label for skip in skipped] == ["sim/poor · thinking low"]
    assert "does not take thinking 'low'" in skipped[0].why


def test_names_that_lead_nowhere_are_listed_together(runtime: Runtime) -> None:
    """Unknown classifiers, models and prompts are one error, whatever `unsupported` says."""
    grid = {
        "classifier": ["wordz"],
        "model": ["sim/none"],
        "prompt": ["person/v1", "person/v9"],
        "unsupported": "skip",
    }
    with pytest.raises(ConfigError) as caught:
        expand(make_sweep(grid=grid), runtime)
    text = str(caught.value)
    assert "wordz" in text
    assert "sim/none" in text
    assert "person/v9" in text


def test_only_an_llm_classifier_can_be_varied(runtime: Runtime) -> None:
    """A grid over models needs a classifier that has one."""
    with pytest.raises(ConfigError, match="'words' is a keyword"):
        expand(make_sweep(classifier="words", grid={"model": ["sim/good"]}), runtime)


def test_a_cell_is_known_by_what_decides_its_answers(runtime: Runtime) -> None:
    """The same settings are the same cell in another sweep; another prompt text or rate is another cell."""
    assert runtime.workspace is not None
    first, _ = expand(make_sweep(grid={"model": ["sim/good", "sim/poor"]}), runtime)
    again, _ = expand(make_sweep(grid={"model": ["sim/poor"]}, seed=3, budget_usd=1), runtime)
    assert first[1].cell_id == again[0].cell_id
    prompt = runtime.workspace / "prompts/person/v1.txt"
    prompt.write_text(prompt.read_text() + "Be brief.\n")
    changed, _ = expand(make_sweep(grid={"model": ["sim/good", "sim/poor"]}), runtime)
    assert {cell.cell_id for cell in changed}.isdisjoint(cell.cell_id for cell in first)


def test_folds_belong_to_cells_that_learn(runtime: Runtime) -> None:
    """Another cut into folds is another probe, and the same keyword rules."""
    five, _ = expand(make_sweep(grid={"classifier": ["words", "learned"]}, classifier=None, folds=5), runtime)
    three, _ = expand(make_sweep(grid={"classifier": ["words", "learned"]}, classifier=None, folds=3), runtime)
    assert five[0].cell_id == three[0].cell_id
    assert five[1].cell_id != three[1].cell_id
