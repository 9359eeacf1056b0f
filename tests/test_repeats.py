"""`evaluate --repeats`: fresh answers, bought once, and what they say of the classifier's steadiness."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sweep_workspace import make_dataset, make_task, make_workspace
from wire import Wire, chat

from llmclf.cli import run
from llmclf.errors import ConfigError, DataError
from llmclf.evaluation.repeats import repeats
from llmclf.llm.runtime import Runtime
from llmclf.store import Store
from llmclf.types import Prediction, Predictions
from llmclf.workspace.repeating import evaluate_repeatedly, plan_repeats

CHATS = "\n".join(
    json.dumps({"id": f"c{n}", "turns": [{"speaker": "user", "text": f"Hello {n}"}, {"speaker": "bot", "text": "Hi"}]})
    for n in range(4)
)
LABELS = "\n".join(
    json.dumps({"conversation_id": f"c{n}", "labels": {"refusal": "refused" if n < 2 else "clean"}}) for n in range(4)
)


def answer(label: str) -> str:
    return json.dumps({"evidence": [], "rationale": "r", "label": label, "confidence": 0.9})


@pytest.fixture
def paid(workspace: Path, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A workspace with four labelled chats; the arguments that evaluate a paid classifier on them."""
    write("chats.jsonl", CHATS)
    write("labels.jsonl", LABELS)
    write(
        "configs/datasets/four.toml",
        'version = 1\nconversations = "../../chats.jsonl"\nlabels = "../../labels.jsonl"\n',
    )
    monkeypatch.chdir(workspace)
    return ["evaluate", "explained", "--dataset", "four", "--max-usd", "1"]


def test_every_repeat_is_a_fresh_answer_that_is_bought_once(
    paid: list[str], wire: Wire, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four items, three repeats: twelve calls; asked again, none. The evaluation is that of the first run."""
    wire.default = chat(answer("refused"))
    assert run([*paid, "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert len(wire.received) == 4
    wire.default = chat(answer("clean"))
    assert run([*paid, "--repeats", "3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(wire.received) == 12
    assert document["counts"] == alone["counts"]
    measured = document["repeats"]
    assert measured["runs"] == 3
    assert measured["flips"]["targets"]["unstable"]["value"] == 1.0
    assert measured["flips"]["targets"]["flip_rate"]["value"] == pytest.approx(2 / 3)
    assert measured["recall"]["by_run"] == [1.0, 0.0, 0.0]
    assert [one["flagged"] for one in measured["changed"]] == [1, 1, 1, 1]
    assert run([*paid, "--repeats", "3", "--json", "--cache", "read-only"]) == 0
    assert json.loads(capsys.readouterr().out)["repeats"] == measured
    assert len(wire.received) == 12


def test_the_plan_counts_every_repeat(paid: list[str], wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
    """Three times the calls and dollars; what the store has is not counted."""
    assert run([*paid, "--plan", "--json"]) == 0
    once = json.loads(capsys.readouterr().out)
    assert run([*paid, "--repeats", "3", "--plan", "--json"]) == 0
    thrice = json.loads(capsys.readouterr().out)
    assert (once["calls"], thrice["calls"]) == (4, 12)
    assert thrice["usd"] == pytest.approx([3 * end for end in once["usd"]])
    assert wire.received == []
    wire.default = chat(answer("clean"))
    assert run([*paid, "--repeats", "2"]) == 0
    capsys.readouterr()
    assert run([*paid, "--repeats", "3", "--plan", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["calls"] == 4


def test_a_cap_holds_over_all_repeats(
    paid: list[str], wire: Wire, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it does not reach is left: exit 2, failed items apart, and the run says that it was stopped."""
    assert run([*paid, "--json", "--plan"]) == 0
    most = json.loads(capsys.readouterr().out)["usd"][1] / 4  # dollars that are set aside for a call
    tokens = int(0.8 * most / 10e-6)
    wire.default = chat(answer("refused"), usage={"prompt_tokens": 1, "completion_tokens": tokens})
    assert run([*paid[:-1], str(6 * most), "--repeats", "8", "--json"]) == 2
    captured = capsys.readouterr()
    assert "what is done is kept" in captured.err
    measured = json.loads(captured.out)["repeats"]
    assert measured["failed"][0] == 0
    assert measured["failed"][-1] == 4
    with Store(workspace / "llmclf.db") as store:
        kept = {row["kind"]: row for row in store.runs()}
    assert kept["repeats"]["state"] == "stopped"


def test_what_answers_the_same_every_time_is_refused(paid: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Repeats show nothing of a keyword classifier, and the message says so; one repeat is a plain evaluation."""
    assert run(["evaluate", "refusal_keyword", "--dataset", "samples", "--repeats", "3"]) == 1
    assert "repeats show nothing of a keyword classifier" in capsys.readouterr().err
    assert run(["evaluate", "refusal_keyword", "--dataset", "samples", "--repeats", "1", "--json"]) == 0
    assert "repeats" not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("columns", [80, 60])
def test_the_table_fits(
    paid: list[str], wire: Wire, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """Evaluation first, then the repeats, within the terminal."""
    monkeypatch.setenv("COLUMNS", str(columns))
    wire.default = chat(answer("clean"))
    assert run([*paid, "--repeats", "2"]) == 0
    shown = capsys.readouterr().out
    assert "2 runs of explained@" in shown
    assert shown.index("recall") < shown.index("two runs disagree on another item")
    assert "needs 10 targets at least" in " ".join(shown.split())  # as the evaluation's figures do
    assert "two runs disagree on a target" not in shown and "of each run:" not in shown
    assert max(len(line) for line in shown.splitlines()) <= columns


def test_a_simulated_vendor_flips(tmp_path: Path) -> None:
    """Its runs differ, the result is stamped, comes in every form, and follows from the seed."""
    folder = make_workspace(tmp_path)
    dataset = make_dataset(60, 20, 60)
    with Runtime(folder / "llmclf.db", workspace=folder) as runtime:
        asked: list[object] = []
        _, _, made = evaluate_repeatedly("asked", dataset, runtime=runtime, repeats=3, on_done=asked.append)
        again = evaluate_repeatedly("asked", dataset, runtime=runtime, repeats=3)[2]
        plan = plan_repeats("asked", dataset, runtime=runtime, repeats=3)
    assert len(asked) == 3 * 140
    assert made == again
    assert made.simulated
    assert plan.cells[2].label == "asked, run 3"
    assert [cell.stored for cell in plan.cells] == [140] * 3
    rate = made.flips["targets"].flip_rate
    assert rate.value is not None and 0 < rate.value < 0.3
    assert made.flips["all"].flip_rate.why_not
    assert made.recall is not None and made.recall.narrowing(5) < 1
    html = made._repr_html_()
    assert "SIMULATED" in html and "two runs disagree on a target" in html
    assert json.loads(made.to_json())["recall"]["narrowing"]["5"] == made.recall.narrowing(5)


def test_repeats_need_two_runs_of_one_classifier(tmp_path: Path) -> None:
    """One run is an error before anything is sent, in Python too; two classifiers are not repeats."""
    folder = make_workspace(tmp_path)
    dataset = make_dataset(5, 5, 5)
    with Runtime(folder / "llmclf.db", workspace=folder) as runtime:
        with pytest.raises(ConfigError, match="two runs"):
            evaluate_repeatedly("asked", dataset, runtime=runtime, repeats=1)
        assert runtime.store.runs() == []
    runs = [
        Predictions(
            Prediction(example.conversation_id, name, "wants_person", label="clean", flagged=False)
            for example in dataset.examples
        )
        for name in ("a@1", "b@1")
    ]
    with pytest.raises(DataError, match="one classifier"):
        repeats(runs, dataset, make_task())
    with pytest.raises(DataError, match="two runs"):
        repeats(runs[:1], dataset, make_task())
