"""What a sweep would cost, before it does."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from rich.console import Console
from sweep_workspace import make_dataset, make_sweep, make_workspace, task_of

from llmclf.classifiers.loading import load_classifier
from llmclf.errors import ConfigError
from llmclf.llm.runtime import Runtime
from llmclf.sweeps import plan, plan_items, run
from llmclf.sweeps.tokens import count_tokens

GRID = {"classifier": ["words", "learned"], "model": ["sim/good", "sim/poor"]}


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime(workspace=make_workspace(tmp_path)) as made:
        yield made


def test_a_plan_counts_and_sends_nothing(runtime: Runtime) -> None:
    """Cells, items and targets; simulated dollars are not among the real ones, and nothing is written."""
    assert runtime.workspace is not None
    made = plan(make_sweep(grid=GRID, budget_usd=2), make_dataset(), task_of(runtime.workspace), runtime)
    assert (len(made.cells), made.items, made.positives, made.calls) == (4, 60, 20, 0)
    assert [planned.calls for planned in made.cells] == [0, 0, 60, 60]
    assert made.usd == (0, 0)
    assert made.cells[2].usd is not None
    assert made.cells[2].usd.high > made.cells[2].usd.low > 0
    assert made.leaving == {}
    assert runtime.store.runs() == []


def test_a_plan_fits_the_terminal(runtime: Runtime) -> None:
    """A table of cells and sentences, within 80 columns."""
    assert runtime.workspace is not None
    grid = {**GRID, "thinking": ["off", "low"], "unsupported": "skip"}
    made = plan(make_sweep(grid=grid, budget_usd=2), make_dataset(), task_of(runtime.workspace), runtime)
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(made)
    text = console.export_text()
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "No text leaves this machine." in text
    assert "Left out: sim/poor · thinking low" in text
    assert "The cap budget_usd is $2.00, $2.00 of it left: enough." in text


def test_what_was_measured_is_free(runtime: Runtime) -> None:
    """After the sweep, all of it is in the store."""
    assert runtime.workspace is not None
    file, task = make_sweep(grid=GRID), task_of(runtime.workspace)
    run(file, make_dataset(), task, runtime)
    made = plan(file, make_dataset(), task, runtime)
    assert [(planned.calls, planned.stored) for planned in made.cells] == [(0, 60)] * 4
    assert made.minutes == (0, 0)


@pytest.mark.parametrize(("cache", "calls", "lost"), [("off", 60, 0), ("read-only", 0, 60)])
def test_a_plan_follows_the_cache(tmp_path: Path, cache: Any, calls: int, lost: int) -> None:
    """Off: what is in the store is asked anew, and the sweep does so. Read-only: what is not there is lost."""
    folder = make_workspace(tmp_path)
    file, task = make_sweep(grid={"model": ["sim/good"]}), task_of(folder)
    if cache == "off":
        with Runtime(folder / "llmclf.db", workspace=folder) as runtime:
            run(file, make_dataset(), task, runtime)
    with Runtime(folder / "llmclf.db", workspace=folder, cache=cache) as runtime:
        made = plan(file, make_dataset(), task, runtime)
        (cell,) = made.cells
        assert (cell.calls, cell.stored, cell.lost) == (calls, 0, lost)
        assert ("60 items not asked before would fail" in " ".join(made.sentences)) is bool(lost)
        surface = run(file, make_dataset(), task, runtime)
        assert surface.cells[0].reused is False
        assert sum(surface.cells[0].failed.values()) == lost


def test_one_classifier_can_be_planned(runtime: Runtime) -> None:
    """For conversations without labels: one cell, no targets."""
    conversations = make_dataset().conversations.values()
    asked = plan_items(load_classifier("asked", runtime=runtime), conversations, runtime)
    assert (asked.items, asked.positives, asked.cells[0].calls) == (60, None, 60)
    words = plan_items(load_classifier("words", runtime=runtime), conversations, runtime)
    assert (words.cells[0].calls, words.usd) == (0, (0, 0))


VENDOR_CELL = """
version = 1
kind = "llm"
task = "wants_person"
model = "openai/gpt-5.4-mini"
prompt = "person/v1"
"""


def test_a_plan_needs_no_key(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the vendor's key a sweep is planned and says which key it needs; run refuses before anything."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    folder = runtime.workspace
    assert folder is not None
    cell = folder / "configs/classifiers/vendor.toml"
    cell.write_text(VENDOR_CELL, encoding="utf-8")
    file, task = make_sweep(grid={"classifier": ["words", "vendor"]}, budget_usd=2), task_of(folder)
    made = plan(file, make_dataset(), task, runtime)
    says = "openai/gpt-5.4-mini needs the key in $OPENAI_API_KEY"
    assert (made.calls, made.missing_keys) == (60, (says,))
    assert f"{says} before it runs." in made.sentences
    assert made.to_dict()["missing_keys"] == [says]
    conversations = make_dataset().conversations.values()
    assert plan_items(load_classifier("vendor", runtime=runtime), conversations, runtime).missing_keys == (says,)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        run(file, make_dataset(), task, runtime)
    assert runtime.store.spent_nano().calls == 0
    cell.write_text(VENDOR_CELL + 'thinking = "minimal"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="takes thinking"):
        plan(file, make_dataset(), task, runtime)


def test_tokens_are_exact_for_openai_and_a_range_for_others() -> None:
    """Special tokens in a customer's text are text; counting leaves the environment as it was."""
    before = dict(os.environ)
    text = "please <|endoftext|> put me through to a person"
    exact = count_tokens(text, "openai/gpt-5.4-mini")
    other = count_tokens(text, "anthropic/claude-haiku-4-5")
    assert exact.low == exact.high > 5
    assert other.low == exact.low < other.high
    assert dict(os.environ) == before


@given(st.text(max_size=300))
def test_tokens_never_exceed_the_bytes(text: str) -> None:
    """What is reserved for a call (a token for each byte) is above every count."""
    counted = count_tokens(text, "anthropic/claude-haiku-4-5")
    assert 0 <= counted.low <= counted.high <= len(text.encode())
