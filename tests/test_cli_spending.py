"""What the command does before it spends: caps, questions, what may be asked and where texts may go."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from wire import Wire, chat, failure

from llmclf.cli import run
from llmclf.store import Store

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
    assert "confirm_above_usd is $0.001" in capsys.readouterr().err
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


# --- what is planned is what is done ----------------------------------------------------------------------------


def planned(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    assert run([*arguments, "--plan", "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_cache_that_is_off_is_paid_for_again(
    place: Callable[[str], None], wire: Wire, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --cache off nothing counts as stored: the plan says so, and the question before much money is asked."""
    assert run([*ASK, "--max-usd", "0.5"]) == 0
    place("usd_per_day = 5\nconfirm_above_usd = 0.001\n")
    (cell,) = planned(capsys, *ASK)["cells"]
    assert (cell["calls"], cell["stored"], cell["usd"]) == (0, 5, [0, 0])
    (cell,) = planned(capsys, *ASK, "--cache", "off")["cells"]
    assert (cell["calls"], cell["stored"]) == (5, 0)
    assert cell["usd"][1] > 0.001
    assert run([*ASK, "--cache", "off"]) == 2
    assert "nobody is there to confirm" in capsys.readouterr().err
    assert len(wire.received) == 5


def test_a_read_only_cache_and_a_replay_plan_no_call(capsys: pytest.CaptureFixture[str], write: Any) -> None:
    """Nobody is asked, so nothing is called, paid for or waited for; what was not asked before would fail."""
    classifier = 'version = 1\nkind = "llm"\nprompt = "ask"\ntask = "refusal"\nmodel = "replay/http/m"\n'
    write("configs/classifiers/again.toml", classifier)
    again = ["classify", "again", "chats.jsonl"]
    for arguments in ([*ASK, "--cache", "read-only"], again):
        (cell,) = planned(capsys, *arguments)["cells"]
        assert (cell["calls"], cell["stored"], cell["lost"], cell["usd"], cell["seconds"]) == (0, 0, 5, [0, 0], [0, 0])
    assert run([*ASK, "--max-usd", "0.5"]) == 0
    for arguments in ([*ASK, "--cache", "read-only"], again, [*again, "--cache", "off"]):
        (cell,) = planned(capsys, *arguments)["cells"]
        assert (cell["calls"], cell["stored"], cell["lost"]) == (0, 5, 0)
    assert run([*again, "--plan"]) == 0
    assert "0 calls to real models" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rules", "settings", "word"),
    [
        ("", 'answer = "label"\nscore_method = "logprob"\n', "log-probabilities"),
        ("", 'modality = "audio"\n', "does not take audio"),
        ("", 'modality = "image"\n', "send_media"),
        ("", 'thinking = "high"\n', "thinking"),
        ('allowed_models = ["openai/*"]\n', "", "allowed_models"),
        ('allowed_endpoints = ["openai"]\n', "", "allowed_endpoints"),
    ],
)
def test_a_plan_names_what_the_run_would_refuse(
    rules: str,
    settings: str,
    word: str,
    place: Callable[[str], None],
    write: Any,
    wire: Wire,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It exits 1 as the run does, for the same reason, and calls no cap enough."""
    place(rules)
    base = 'version = 1\nkind = "llm"\nprompt = "ask"\ntask = "refusal"\nmodel = "wire/m"\n'
    if word in ("log-probabilities", "allowed_models", "thinking"):
        base = base.replace("wire/m", "http/m")
    write("configs/classifiers/refused.toml", base + settings)
    arguments = ["classify", "refused", "chats.jsonl", "--max-usd", "0.5"]
    found = planned(capsys, *arguments, code=1)
    assert word in " ".join(found["problems"])
    assert found["calls"] == 0
    assert run([*arguments, "--plan"]) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert word in text
    assert "enough" not in text
    assert run(arguments) == 1
    assert word in capsys.readouterr().err
    assert wire.received == []


def test_a_missing_key_is_named_before_money_is_asked_about(
    place: Callable[[str], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody should say yes to what can't be done; a plan without the key is fine."""
    place("usd_per_day = 5\nconfirm_above_usd = 0.001\n")
    monkeypatch.delenv("WIRE_KEY")
    arguments = ["classify", "explained", "chats.jsonl"]
    assert run(arguments) == 1
    text = capsys.readouterr().err
    assert "WIRE_KEY" in text
    assert "may cost" not in text
    assert planned(capsys, *arguments)["missing_keys"]


def test_minutes_of_an_endpoint_are_those_of_many_calls_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """An endpoint on this machine is no model in this process, and the guess says that it is one."""
    made = planned(capsys, *ASK, "--max-usd", "0.5")
    assert made["minutes"][1] < 0.5
    assert run([*ASK, "--plan", "--max-usd", "0.5"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "a guess, for the store has no times of http/m" in text
    assert run([*ASK, "--max-usd", "0.5"]) == 0
    assert run([*ASK, "--plan", "--max-usd", "0.5", "--cache", "off"]) == 0
    assert "the last 5 answers of http/m in the store" in " ".join(capsys.readouterr().out.split())


def test_a_model_without_a_price_is_a_problem_of_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    """It can't run under any cap, so the plan says so and exits 1."""
    found = planned(capsys, "classify", "unpriced", "chats.jsonl", "--max-usd", "0.5", code=1)
    assert found["problems"] == ["unpriced has no known price, so no cap can hold"]
    assert run(["classify", "unpriced", "chats.jsonl", "--max-usd", "0.5"]) == 2


def test_a_score_is_printed_without_the_noise_of_fractions(wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
    """(1 - 0.8) / 2 is 0.1, in the JSON and in the file."""
    wire.default = chat(ANSWER.replace("0.5", "0.8"))
    assert run([*ASK, "--max-usd", "0.5", "--json", "--out", "out.jsonl"]) == 0
    found = json.loads(capsys.readouterr().out)["predictions"]
    assert [prediction["score"] for prediction in found] == [0.1] * 5
    assert Path("out.jsonl").read_text().count('"score": 0.1,') == 5


# --- which cap ended it -----------------------------------------------------------------------------------------

DEAR = chat(ANSWER, usage={"prompt_tokens": 100, "completion_tokens": 2000, "total_tokens": 2100})


@pytest.mark.parametrize(
    ("rules", "options", "name"),
    [("usd_per_hour = 0.06\n", ["--yes"], "usd_per_hour"), ("", ["--max-usd", "0.06"], "max_usd (--max-usd)")],
)
def test_a_cap_that_ends_it_is_named(
    rules: str,
    options: list[str],
    name: str,
    place: Callable[[str], None],
    wire: Wire,
    workspace: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, and the run is `stopped` by that cap; the plan said which one it would be."""
    place(rules)
    wire.default = DEAR
    assert run([*ASK, *options, "--plan"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"The cap {name.partition(' ')[0]} is $0.06, $0.06 of it left: it may stop before the end" in text
    assert run([*ASK, *options]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert name in last
    assert "budget_usd" not in last
    with Store(workspace / "llmclf.db") as store:
        (row,) = store.runs()
    assert row["state"] == "stopped"
    assert name in row["why"]


def test_an_evaluation_that_a_cap_ended_is_stopped(
    place: Callable[[str], None], wire: Wire, write: Any, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its figures are shown, its run says why, and the exit code is 2."""
    place("usd_per_hour = 0.06\n")
    labelled_chats(write)
    wire.default = DEAR
    assert run(["evaluate", "direct", "--dataset", "mine", "--yes"]) == 2
    assert "usd_per_hour" in capsys.readouterr().err.strip().splitlines()[-1]
    with Store(workspace / "llmclf.db") as store:
        (row,) = store.runs()
    assert (row["state"], row["config"]["dataset"]) == ("stopped", "mine")


def test_a_sweep_says_which_cap_ended_it(
    place: Callable[[str], None], wire: Wire, write: Any, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not the sweep's own, where the hour's was reached first."""
    place("usd_per_hour = 0.06\n")
    labelled_chats(write)
    write("configs/sweeps/s.toml", SWEEP)
    wire.default = DEAR
    plan = planned(capsys, "sweep", "run", "s")
    assert [cap["name"] for cap in plan["caps"]] == ["usd_per_hour", "budget_usd"]
    assert run(["sweep", "run", "s", "--yes"]) == 2
    assert "usd_per_hour" in capsys.readouterr().err.strip().splitlines()[-1]
    with Store(workspace / "llmclf.db") as store:
        (row,) = store.runs()
    assert "usd_per_hour" in row["why"]
    assert "usd_per_hour" in row["result"]["run_card"]["why"]
    assert row["config"]["name"] == "s"


@pytest.mark.parametrize("verb", ["evaluate", "sweep"])
def test_nothing_but_failures_says_the_commonest(
    verb: str, wire: Wire, write: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, and the commonest error in a line."""
    labelled_chats(write)
    write("configs/sweeps/s.toml", SWEEP)
    wire.default = failure(400, "the tokenizer is on holiday")
    arguments = {
        "evaluate": ["evaluate", "direct", "--dataset", "mine", "--max-usd", "0.5"],
        "sweep": ["sweep", "run", "s", "--max-usd", "0.5"],
    }
    assert run(arguments[verb]) == 1
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "every item failed; bad_request 5 of 5" in last
    assert "on holiday" in last
    assert run(["runs", "list", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["runs"]
    assert row["why"] == {"evaluate": "every item failed: bad_request 5", "sweep": "no cell was answered"}[verb]


def test_simulated_answers_are_no_answers_of_a_sweep(
    wire: Wire, write: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where every real cell failed the sweep failed, whatever a simulated one said."""
    labelled_chats(write)
    write("configs/sweeps/s.toml", SWEEP.replace('"http/m"', '"http/m", "sim/m"'))
    wire.default = failure(400, "the tokenizer is on holiday")
    assert run(["sweep", "run", "s", "--max-usd", "0.5"]) == 1
    assert "every item failed; bad_request 5 of 5" in capsys.readouterr().err


SWEEP = """
    version = 1
    dataset = "mine"
    classifier = "direct"
    budget_usd = 1.0
    [grid]
    model = ["http/m"]
    """


def labelled_chats(write: Any) -> None:
    """The chats as dataset `mine`, the first two labelled with the target."""
    labels = [{"conversation_id": f"c{n}", "labels": {"refusal": "refused" if n < 2 else "clean"}} for n in range(5)]
    write("configs/datasets/labels.jsonl", "\n".join(map(json.dumps, labels)))
    text = 'version = 1\nconversations = "../../chats.jsonl"\nlabels = "labels.jsonl"\n'
    write("configs/datasets/mine.toml", text)
