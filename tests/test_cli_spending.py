"""What the command does before it spends: caps, questions, what may be asked and where texts may go."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from wire import Wire, chat

from llmclf.cli import run

ANSWER = json.dumps({"evidence": [], "rationale": "r", "label": "clean", "confidence": 0.5})
CHATS = "\n".join(
    json.dumps({"id": f"c{n}", "turns": [{"speaker": "user", "text": f"Hello {n}"}, {"speaker": "bot", "text": "Hi"}]})
    for n in range(5)
)
ASK = ["classify", "direct", "chats.jsonl"]


@pytest.fixture(autouse=True)
def place(
    workspace: Path, wire: Wire, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """A workspace in the working folder with a paid endpoint; the function writes its rules."""
    models = workspace / "configs" / "models.toml"
    row = f'[models."http/m"]\nroute = "http"\napi_base = "{wire.url}"\nmodel = "m"\n[models."http/m".price]\n'
    models.write_text(models.read_text() + row + "input_usd_per_million = 1\noutput_usd_per_million = 10\n")
    classifier = 'version = 1\nkind = "llm"\nprompt = "ask"\ntask = "refusal"\nmodel = "http/m"\n'
    write("configs/classifiers/direct.toml", classifier)
    write("chats.jsonl", CHATS)
    monkeypatch.chdir(workspace)
    wire.default = chat(ANSWER)

    def rules(text: str) -> None:
        (workspace / "llmclf.toml").write_text(f"version = 1\n{text}")

    rules("")
    return rules


def test_a_paid_run_without_any_cap_is_an_error(wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is sent, and the message names the ways to set one."""
    assert run([*ASK, "--yes"]) == 2
    assert "--max-usd" in capsys.readouterr().err
    assert wire.received == []


def test_much_money_is_asked_for_first(
    place: Callable[[str], None], wire: Wire, capsys: pytest.CaptureFixture[str]
) -> None:
    """Above confirm_above_usd nobody at the keyboard means no; --yes, or a cap that low, means go on."""
    place("usd_per_day = 5\nconfirm_above_usd = 0.001\n")
    assert run(ASK) == 2
    assert "confirm_above_usd is $0.00" in capsys.readouterr().err
    assert wire.received == []
    assert run([*ASK, "--yes"]) == 0
    assert len(wire.received) == 5


def test_a_cap_below_the_question_needs_none(wire: Wire) -> None:
    """`--max-usd` at or below confirm_above_usd is the answer already."""
    assert run([*ASK, "--max-usd", "0.5"]) == 0
    assert len(wire.received) == 5


def test_read_only_asks_nobody(wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not in the store fails as `not_found`; what is there is shown, and off asks anew."""
    assert run([*ASK, "--max-usd", "0.5", "--cache", "read-only", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["predictions"]
    assert {prediction["error"]["kind"] for prediction in found} == {"not_found"}
    assert wire.received == []
    assert run([*ASK, "--max-usd", "0.5"]) == 0
    assert run([*ASK, "--cache", "read-only"]) == 0
    assert len(wire.received) == 5
    assert run([*ASK, "--max-usd", "0.5", "--cache", "off"]) == 0
    assert len(wire.received) == 10


def test_an_unknown_word_for_the_cache_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    """It exits 1 and names the words there are."""
    assert run([*ASK, "--cache", "readonly"]) == 1
    assert "read-only" in capsys.readouterr().err


@pytest.mark.parametrize(("pattern", "allowed"), [("openai", False), ("http://127.0.0.1:*", True)])
def test_texts_go_only_where_they_may(
    pattern: str, allowed: bool, place: Callable[[str], None], wire: Wire, capsys: pytest.CaptureFixture[str]
) -> None:
    """`allowed_endpoints` holds vendors' names and base URLs; others are refused before anything is sent."""
    place(f'allowed_endpoints = ["{pattern}"]\n')
    code = run(["classify", "explained", "chats.jsonl", "--max-usd", "0.5"])
    assert code == (0 if allowed else 1)
    assert bool(wire.received) == allowed
    if not allowed:
        assert "allowed_endpoints" in capsys.readouterr().err


def test_a_sweep_can_be_planned_by_run_too(capsys: pytest.CaptureFixture[str], wire: Wire) -> None:
    """`sweep run --plan` says what it would do and does nothing."""
    assert run(["sweep", "run", "demo", "--plan", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cells"]
    assert wire.received == []
