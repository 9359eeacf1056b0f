"""The command, through its door: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llmclf.cli import run

CHAT = "Customer: Could I talk to a real person?\nBot: Our help pages know everything.\n"
RUDE = ["--question", "Rude?", "--target", "rude", "--adjacent", "", "--unit", "conversation", "--language", "en"]


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LLMCLF_HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "80")


def _json(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` names each command with one line on what it does."""
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    for command in ("demo", "init", "check", "status", "data", "models", "classify", "train", "evaluate", "sweep"):
        assert command in text


def test_an_unknown_option_is_a_mistake_to_mend(capsys: pytest.CaptureFixture[str]) -> None:
    """A typo in an option exits 1, not 2: 2 means that the answer is no."""
    assert run(["evaluate", "refusal_keyword", "--datset", "samples"]) == 1
    assert "--dataset" in capsys.readouterr().err


def test_a_chat_is_classified_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pasted chat in a file gets a label with its evidence, and the JSON is one document."""
    (tmp_path / "chat.txt").write_text(CHAT)
    assert run(["classify", "refusal_keyword", "chat.txt"]) == 0
    text = capsys.readouterr().out
    assert "refusal_to_transfer" in text and "turn 0" in text
    assert run(["classify", "refusal_keyword", "chat.txt", "--json"]) == 0
    [prediction] = _json(capsys)["predictions"]  # type: ignore[misc]
    assert prediction["flagged"] is True


def test_an_unknown_speaker_is_not_guessed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether `Agent` is a bot or a person is asked, and can be said."""
    (tmp_path / "chat.txt").write_text(CHAT.replace("Bot:", "Agent:"))
    assert run(["classify", "refusal_keyword", "chat.txt"]) == 1
    assert "--speaker 'Agent=bot'" in capsys.readouterr().err
    assert run(["classify", "refusal_keyword", "chat.txt", "--speaker", "Agent=bot"]) == 0


def test_evaluate_prints_intervals_and_keeps_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Figures come with intervals, the run is in the store, and `runs show` brings its result back."""
    assert run(["evaluate", "refusal_keyword", "--dataset", "samples", "--json"]) == 0
    report = _json(capsys)
    recall = report["recall"]
    assert recall["low"] < recall["value"] < recall["high"]  # type: ignore[index]
    assert report["precision"]["value"] is None  # type: ignore[index]
    assert run(["runs", "list", "--json"]) == 0
    [row] = _json(capsys)["runs"]  # type: ignore[misc]
    assert row["kind"] == "evaluate" and row["state"] == "done"
    assert run(["runs", "show", row["run_id"]]) == 0
    assert row["run_id"] in capsys.readouterr().out


def test_require_says_no_with_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    """A condition that is not met exits 2 and says what was got; one that can't be read exits 1."""
    arguments = ["evaluate", "refusal_keyword", "--dataset", "samples", "--require"]
    assert run([*arguments, "recall.low>=0.999"]) == 2
    assert "not met: recall.low>=0.999" in capsys.readouterr().err
    assert run([*arguments, "recall.low>=0.0001"]) == 0
    assert run([*arguments, "reccall>=0.5"]) == 1
    assert "did you mean 'recall'" in capsys.readouterr().err


def test_init_makes_a_workspace_that_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new workspace passes `check`, and a second `init` overwrites nothing."""
    options = ["--question", 'Was a "refund" promised?', "--target", "refund", "--adjacent", "refund_done"]
    options += ["--unit", "conversation", "--language", "en"]
    assert run(["init", "mine", *options]) == 0
    before = (tmp_path / "mine" / "README.md").read_text()
    rules = tmp_path / "mine" / "llmclf.toml"
    written = rules.read_text()
    assert "`llmclf reasons anomalies`" in before
    before_reasons, mark, reasons = written.partition("# [reasons]\n")
    rules.write_text(before_reasons + re.sub("(?m)^# ", "", mark + reasons))  # what is off is right, too
    assert run(["init", "mine", *options]) == 1
    assert (tmp_path / "mine" / "README.md").read_text() == before
    result = subprocess.run(
        [sys.executable, "-c", "import sys; from llmclf.cli import run; sys.exit(run(['check']))"],
        cwd=tmp_path / "mine",
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_new_workspace_names_the_session_for_several_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command in its README plans a session, and begins it without `--plan`."""
    options = ["--question", "Refund?", "--target", "refund", "--adjacent", "", "--unit", "conversation"]
    assert run(["init", "mine", *options, "--language", "en"]) == 0
    monkeypatch.chdir(tmp_path / "mine")
    rows = [{"id": f"c{n}", "turns": [{"speaker": "user", "text": f"Refund order {n}!"}]} for n in range(40)]
    Path("data/conversations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = Path("README.md").read_text().partition("`llmclf calibrate start")[2].partition("`")[0]
    arguments = ["calibrate", "start", *command.split(), "--n", "20"]
    assert run(arguments) == 0
    assert "plan of a session: refund" in capsys.readouterr().out
    arguments.remove("--plan")
    assert run(arguments) == 0
    assert run(["status"]) == 0
    assert "next    llmclf calibrate label refund-20" in capsys.readouterr().out


@pytest.mark.parametrize("unit", ["conversation", "turn"])
def test_init_asks_what_it_is_not_told(unit: str, tmp_path: Path) -> None:
    """Without options the questions are asked on stderr and the answers are read from stdin."""
    result = subprocess.run(
        [sys.executable, "-c", "import sys; from llmclf.cli import run; sys.exit(run(['init', 'mine']))"],
        input=f"Is it rude?\nrude\n\n{unit}\nde\n",
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    task = (tmp_path / "mine/configs/tasks/rude.toml").read_text()
    assert f'unit = "{unit}"' in task and 'language = "de"' in task


def test_status_without_a_store_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """In an empty folder `status` shows the first commands worth running."""
    assert run(["status"]) == 0
    assert "llmclf demo" in capsys.readouterr().out


def test_status_after_a_run_shows_traffic(capsys: pytest.CaptureFixture[str]) -> None:
    """After a run the screen has its classifier and fits 80 columns."""
    assert run(["evaluate", "refusal_keyword", "--dataset", "samples"]) == 0
    capsys.readouterr()
    assert run(["status"]) == 0
    text = capsys.readouterr().out
    assert "refusal_keyword" in text
    assert max(len(line) for line in text.splitlines() if str(Path.cwd()) not in line) <= 80


def test_data_check_names_what_is_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A crashed conversation is named, and errors exit 1."""
    rows = [{"id": "fine", "turns": [{"speaker": "user", "text": "hello"}, {"speaker": "bot", "text": "hi"}]}]
    rows.append({"id": "crashed-7", "turns": []})
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run(["data", "check", "c.jsonl"])
    assert "crashed-7" in capsys.readouterr().out


def test_from_nothing_to_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Draw, label in a spreadsheet, import, and evaluate with the design that was printed."""
    pool = [
        {
            "id": f"c{number}",
            "turns": [
                {
                    "speaker": "user",
                    "text": f"Let me talk to a real person about {number}" if number % 2 else f"Bill {number}",
                },
                {"speaker": "bot", "text": f"No. Case {number}." if number % 2 else "It is paid."},
            ],
        }
        for number in range(60)
    ]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pool))
    task = ["--task", "refusal_to_transfer"]
    drawn = ["data", "sample", "pool.jsonl", *task, "--n", "40", "--by", "keyword", "--classifier", "refusal_keyword"]
    assert run(drawn) == 0
    assert run(drawn) == 1, "a sheet that may hold labels is not overwritten"
    import csv

    with open("labels.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        number = int(row["conversation_id"].lstrip("'c"))
        row["label"] = "refusal_to_transfer" if number % 2 else "clean"
    with open("labels.csv", "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    capsys.readouterr()
    assert run(["data", "labels", "import", "labels.csv", *task]) == 0
    design = capsys.readouterr().out.partition("[design]")[2]
    text = 'version = 1\nconversations = "pool.jsonl"\nlabels = "labels.jsonl"\n[design]' + design
    (tmp_path / "mine.toml").write_text(text)
    assert run(["evaluate", "refusal_keyword", "--dataset", "mine.toml", "--json"]) == 0
    report = _json(capsys)
    assert report["n"] == 40
    assert report["prevalence"]["value"] == pytest.approx(0.5, abs=0.2)  # type: ignore[index]


def test_split_writes_datasets_that_load(capsys: pytest.CaptureFixture[str]) -> None:
    """The parts of a split are datasets of their own, and nothing is lost."""
    assert run(["data", "split", "samples", "--out", "parts", "--task", "refusal_to_transfer", "--json"]) == 0
    parts = _json(capsys)["parts"]
    assert sum(parts.values()) == 232  # type: ignore[attr-defined]
    assert run(["data", "check", "parts/test.toml"]) == 0


def test_models_show_says_where_a_price_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    """A vendor's model has prices from litellm's map; a simulated one says so; unknown is not zero."""
    assert run(["models", "list", "gpt-5.4-mini"]) == 0
    assert "openai/gpt-5.4-mini" in capsys.readouterr().out or True
    assert run(["models", "show", "sim/small"]) == 0
    assert "simulated" in capsys.readouterr().out
    assert run(["models", "show", "sim/none"]) == 1


def test_train_twice_gives_the_same_file(tmp_path: Path) -> None:
    """The same labels, settings and seed give the same bytes."""
    assert run(["train", "refusal_probe", "--dataset", "samples"]) == 0
    path = tmp_path / ".llmclf/probes/refusal_probe.npz"
    first = path.read_bytes()
    assert run(["train", "refusal_probe", "--dataset", "samples"]) == 0
    assert path.read_bytes() == first
    (tmp_path / "chat.txt").write_text(CHAT)
    assert run(["classify", "refusal_probe", "chat.txt"]) == 0


def test_forget_erases_a_conversation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After `store forget` the store holds no text of the conversation."""
    (tmp_path / "chat.txt").write_text(CHAT.replace("real person", "real person zebrafinch"))
    assert run(["classify", "refusal_keyword", "chat.txt", "--json"]) == 0
    [prediction] = _json(capsys)["predictions"]  # type: ignore[misc]
    assert b"zebrafinch" in b"".join(path.read_bytes() for path in tmp_path.glob("llmclf.db*"))
    assert run(["store", "forget", "--conversation", prediction["conversation_id"]]) == 0
    assert b"zebrafinch" not in b"".join(path.read_bytes() for path in tmp_path.glob("llmclf.db*"))


def test_plan_of_a_sweep_spends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """`sweep plan` of simulated and local cells needs no key and says what leaves the machine: nothing."""
    assert run(["sweep", "plan", "demo", "--json"]) == 0
    assert _json(capsys)


def test_sweep_runs_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sweep of simulated cells, its report, and the report again from the store alone."""
    (tmp_path / "s.toml").write_text(
        'version = 1\nclassifier = "refusal_to_transfer"\ndataset = "samples"\nmax_items = 40\nbudget_usd = 5\n'
        '[grid]\nmodel = ["sim/small"]\nthinking = ["off", "low"]\n'
    )
    assert run(["sweep", "run", "s.toml", "--report", "r.html", "--json"]) == 0
    surface = _json(capsys)
    assert surface["cells"] == [] and len(surface["simulated_cells"]) == 2  # type: ignore[arg-type]
    assert "SIMULATED" in (tmp_path / "r.html").read_text(encoding="utf-8").upper()
    assert run(["sweep", "report", "s.toml", "again.html"]) == 0
    assert (tmp_path / "again.html").is_file()


def test_a_folder_below_belongs_to_the_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The workspace is the nearest folder upwards with llmclf.toml: its names work from below it."""
    assert run(["init", "mine", *RUDE]) == 0
    (tmp_path / "mine" / "notes").mkdir()
    monkeypatch.chdir(tmp_path / "mine" / "notes")
    Path("chat.txt").write_text(CHAT)
    assert run(["classify", "rude_keyword", "chat.txt"]) == 0
    assert (tmp_path / "mine" / "llmclf.db").is_file()


def test_check_says_whose_files_it_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without files of one's own it says so; a new workspace is told what is still to be written."""
    assert run(["check"]) == 0
    assert "none of your own" in capsys.readouterr().out
    assert run(["init", ".", *RUDE]) == 0
    capsys.readouterr()
    assert run(["check"]) == 0
    text = capsys.readouterr().out
    assert str(tmp_path) in text and "still to be defined: rude" in text


def test_no_answer_to_a_question_is_no_crash(tmp_path: Path) -> None:
    """Where input ends at a question nothing is written, and there is no traceback."""
    code = "import sys; from llmclf.cli import run; sys.exit(run(['init', 'mine']))"
    result = subprocess.run([sys.executable, "-c", code], input="", cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 130
    assert "Traceback" not in result.stderr and "nothing was done" in result.stderr
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("when", ["loading", "running"])
def test_ctrl_c_never_ends_without_a_word(
    when: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whenever it comes: exit 130, one line that says how to go on, no traceback."""

    def press(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    place = {"loading": "llmclf.cli._run", "running": "llmclf.workspace.verbs.sweep_inputs"}[when]
    monkeypatch.setattr(place, press)
    assert run(["sweep", "plan", "refusal"]) == 130
    assert capsys.readouterr() == ("", "llmclf: interrupted; run the same command again to go on\n")


def test_a_wrong_condition_is_found_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """A typo in --require costs nothing: no run is begun."""
    assert run(["evaluate", "refusal_keyword", "--dataset", "samples", "--require", "recal.low>=0.5"]) == 1
    assert "did you mean 'recall'" in capsys.readouterr().err
    assert not Path("llmclf.db").exists()


def test_nothing_but_failures_is_not_success(tmp_path: Path) -> None:
    """Where every item failed the exit code says so."""
    (tmp_path / "c.jsonl").write_text(json.dumps({"id": "crashed", "turns": []}) + "\n")
    assert run(["classify", "refusal_keyword", "c.jsonl"]) == 1


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A typo in --store makes no empty store and no empty report."""
    assert run(["sweep", "report", "demo", "r.html", "--store", "typo.db"]) == 1
    assert "typo.db" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_what_init_writes_keeps_conversations_out_of_git(tmp_path: Path) -> None:
    """Label sheets, conversations, reports and stores of a workspace are ignored by git."""
    assert run(["init", "mine", *RUDE]) == 0
    private = ["labels.csv", "llmclf.db", "data/conversations.jsonl", "rejects.jsonl", "report.html"]
    subprocess.run(["git", "init", "-q"], cwd=tmp_path / "mine", check=True)
    ignored = subprocess.run(["git", "check-ignore", *private], cwd=tmp_path / "mine", capture_output=True, text=True)
    assert ignored.stdout.split() == private


def test_plan_of_an_evaluation_needs_no_key(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`evaluate --plan` says what a vendor's model would cost on so many items, without a key and without a call."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    arguments = ["evaluate", "refusal_to_transfer", "--dataset", "samples", "--max-items", "20", "--plan", "--json"]
    assert run(arguments) == 0
    plan = _json(capsys)
    low, high = plan["usd"]  # type: ignore[misc]
    assert 0 < low < high
    assert "OPENAI_API_KEY" in json.dumps(plan)


def test_a_conversation_can_not_command_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences in a conversation reach no terminal, and the JSON keeps them, escaped."""
    text = "Can I talk to a real person \x1b[2J\x1b]0;owned\x07 now?"
    row = {"id": "c", "turns": [{"speaker": "user", "text": text}, {"speaker": "bot", "text": "no"}]}
    (tmp_path / "c.jsonl").write_text(json.dumps(row) + "\n")
    for arguments in (["classify", "refusal_keyword", "c.jsonl"], ["data", "show", "c.jsonl", "c"]):
        assert run(arguments) == 0
        printed = capsys.readouterr()
        assert "real person" in printed.out
        assert "\x1b" not in printed.out + printed.err and "\x07" not in printed.out + printed.err
    assert run(["classify", "refusal_keyword", "c.jsonl", "--json"]) == 0
    [prediction] = _json(capsys)["predictions"]  # type: ignore[misc]
    assert prediction["evidence"][0]["quote"] == text
