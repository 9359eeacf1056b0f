"""From runs, datasets and files to cases, recorded judgments, and the commands."""

from __future__ import annotations

import json

import pytest
from judging_help import BACKED, PROMPT, commands, document, lines, opened, said, write_judges
from wire import Wire, chat

import llmclf
from llmclf.errors import ConfigError, DataError
from llmclf.judges import read_recorded
from llmclf.types import Conversation, Evidence, Item, Prediction, Predictions, Turn
from llmclf.workspace.cases import cases_of, read_cases
from llmclf.workspace.judging import import_recorded, plan_judging
from llmclf.workspace.probing import probe_judge

TALKS = [
    {"id": f"c{n}", "turns": [{"speaker": "user", "text": f"Call {n}: a person!"}, {"speaker": "bot", "text": "No."}]}
    for n in range(4)
]
LABELS = [
    {
        "conversation_id": "c0",
        "labels": {"refusal": "refused"},
        "group": "g",
        "annotations": [
            {"annotator": "ana", "task": "refusal", "label": "refused", "note": "says no"},
            {"annotator": "ben", "task": "refusal", "label": "clean"},
        ],
    },
    {"conversation_id": "c1", "labels": {"refusal": "clean", "calm": "rude"}, "note": "quiet"},
]
CALM = """
version = 1
kind = "llm"
question = "Is the bot rude?"
prompt = "backed"
model = "sim/m"
[verdicts.rude]
role = "target"
definition = "rude"
[verdicts.kind]
role = "clean"
definition = "kind"
"""


@pytest.fixture
def judges(workspace, write, monkeypatch):
    """A workspace with judges, conversations, labels, and the working folder in it."""
    write_judges(write)
    write("llmclf.toml", "version = 1\n")
    write("prompts/backed.txt", PROMPT)
    write("judges/calm.toml", CALM)
    audit = BACKED.replace('["conversation", "label", "rationale"]', '["conversation", "guideline", "note", "label"]')
    write("judges/audit.toml", audit)
    write("judges/quote.toml", BACKED.replace('"label", "rationale"', '"label", "quote"'))
    write("judges/reason.toml", BACKED.replace('["conversation", "label", "rationale"]', '["reason"]'))
    (workspace / "talks.jsonl").write_text(lines(TALKS))
    (workspace / "labels.jsonl").write_text(lines(LABELS))
    write(
        "configs/datasets/talks.toml",
        'version = 1\nconversations = "../../talks.jsonl"\nlabels = "../../labels.jsonl"\n',
    )
    monkeypatch.chdir(workspace)
    return workspace


def recorded_run(runtime) -> str:
    """A run of kind classify with a prediction of every sort."""
    predictions = [
        Prediction(
            "c0",
            "x@1",
            "refusal",
            label="refused",
            evidence=(Evidence("a person!", 0), Evidence("No.", 1), Evidence("a person!", 0)),
            rationale="asks, and gets no",
            thinking="hm",
        ),
        Prediction("c1", "x@1", "refusal", label="clean", rationale="nothing of it", simulated=True),
        Prediction("c2", "x@1", "refusal", label="clean"),
        Prediction("c3", "x@1", "refusal", error=llmclf_error()),
    ]
    run_id: str = runtime.store.start_run("classify", inputs_hash="x", config={})
    runtime.store.add_predictions(run_id, Predictions(predictions))
    runtime.store.finish_run(run_id, "done")
    return run_id


def llmclf_error():
    from llmclf.types import ErrorInfo

    return ErrorInfo("refused", "would not")


def test_predictions_of_a_run_become_cases(judges) -> None:
    """Exactly what the rubric sees; failed predictions and those without what is judged are left out, and counted."""
    with opened(judges) as judge:
        run = f"run:{recorded_run(judge.runtime)}"
        found = read_cases(run, judge.rubric, judge.runtime, conversations="talks.jsonl")
        assert [dict(case.shown) for case in found.cases] == [
            {"label": "refused", "rationale": "asks, and gets no"},
            {"label": "clean", "rationale": "nothing of it"},
        ]
        assert [case.conversation_id for case in found.cases] == ["c0", "c1"] and set(found.conversations) == {
            "c0",
            "c1",
        }
        assert found.cases[1].metadata == {"label": "clean", "simulated": True}
        assert found.left_out == {"predictions without a rationale": 1, "failed predictions": 1}
        assert cases_of(run, judge.rubric, judge.runtime, conversations="talks.jsonl")[0] == list(found.cases)
        with pytest.raises(ConfigError, match="--conversations FILE"):
            read_cases(run, judge.rubric, judge.runtime)
        quotes = llmclf.load_judge("quote", runtime=judge.runtime).rubric
        shown = cases_of(run, quotes, judge.runtime, conversations="talks.jsonl")[0]
        assert [case.shown["quote"] for case in shown] == ["a person!", "No."]
        reasons = llmclf.load_judge("reason", runtime=judge.runtime).rubric
        assert [case.shown for case in cases_of(run, reasons, judge.runtime)[0]] == [
            {"reason": "asks, and gets no\nhm"},
            {"reason": "nothing of it"},
        ]
        choice = llmclf.load_judge("choice", runtime=judge.runtime).rubric
        with pytest.raises(ConfigError, match="can't show a, b"):
            cases_of(run, choice, judge.runtime)


def test_labels_that_people_gave_become_cases(judges) -> None:
    """One for each annotation, or the example's label where nobody is named; the guideline is the task's."""
    with opened(judges, "audit") as judge:
        cases, conversations = cases_of("talks", judge.rubric, judge.runtime)
        assert [(case.shown["label"], case.shown["note"]) for case in cases] == [
            *(("refused", "says no"), ("clean", ""), ("clean", "quiet"))
        ]
        left_out = read_cases("talks", judge.rubric, judge.runtime).left_out
        assert left_out == {"labels of task calm, which is not here": 1}
        assert "refused (target): asks for a person" in cases[0].shown["guideline"]
        assert (cases[0].group, cases[0].metadata) == ("g", {"annotator": "ana"})
        assert len({case.id for case in cases}) == 3 and set(conversations) == {"c0", "c1"}


def test_items_alone_become_cases(judges) -> None:
    """Of a dataset with what is known of them, of a file of conversations, or each turn of the bot."""
    with opened(judges, "calm") as judge:
        cases, _ = cases_of("talks", judge.rubric, judge.runtime)
        assert [(case.conversation_id, case.label) for case in cases] == [("c0", ""), ("c1", "rude")]
        whole = cases_of("talks.jsonl", judge.rubric, judge.runtime)[0]
        assert [case.id.partition(":")[0] for case in whole] == ["c0", "c1", "c2", "c3"]
        assert [case.id for case in cases] == [case.id for case in whole[:2]]
        turns, conversations = cases_of("talks.jsonl", judge.rubric, judge.runtime, unit="turn")
        assert [case.item for case in turns][:2] == [Item("c0", 1), Item("c1", 1)] and len(conversations) == 4


def test_a_file_of_cases_is_read_strictly(judges) -> None:
    """Every bad line is listed; a good file gives its cases."""
    good = {"id": "k", "conversation_id": "c0", "shown": {"label": "x", "rationale": "y"}, "metadata": {"team": 1}}
    with opened(judges) as judge:
        (judges / "cases.jsonl").write_text(lines([good]))
        cases, conversations = cases_of("cases.jsonl", judge.rubric, judge.runtime, conversations="talks.jsonl")
        assert cases[0].shown["rationale"] == "y" and len(conversations) == 4
        (judges / "cases.jsonl").write_text(lines([good, {"idd": "k"}, ["k"]]) + "{\n")
        with pytest.raises(DataError) as caught:
            cases_of("cases.jsonl", judge.rubric, judge.runtime)
        said_of = "\n".join(caught.value.problems)
        assert "line 2: id: is missing" in said_of and "line 2: idd: " in said_of
        assert "line 3: is no JSON object" in said_of and "line 4: not JSON" in said_of
        (judges / "cases.jsonl").write_text("")
        with pytest.raises(DataError, match="no case"):
            cases_of("cases.jsonl", judge.rubric, judge.runtime)


def test_a_plan_says_what_would_be_bought(judges, wire: Wire) -> None:
    """Calls, dollars and texts that leave; what is in the store is free; nothing is sent."""
    wire.default = chat(said())
    with opened(judges) as judge:
        run = f"run:{recorded_run(judge.runtime)}"
        cases, conversations = cases_of(run, judge.rubric, judge.runtime, conversations="talks.jsonl")
        planned = plan_judging(cases, judge, conversations=conversations)
        assert (planned.calls, planned.items) == (2, 2) and 0 < planned.usd.low < planned.usd.high < 0.1
        assert list(planned.leaving.values()) == [2] and not wire.received
        llmclf.judge(cases[:1], judge, conversations=conversations)
        planned = plan_judging(cases, judge, conversations=conversations, probes=[("", 0), ("swapped", 0)])
        assert (planned.calls, planned.cells[0].stored) == (3, 0)
        assert plan_judging(cases, judge, conversations=conversations).cells[0].stored == 1


def test_probes_count_what_changes(judges, wire: Wire) -> None:
    """A judge that takes whatever is listed first changes on every swap, and on nothing else."""

    def first(request):
        verdicts = request.json["response_format"]["json_schema"]["schema"]["properties"]["verdict"]["enum"]
        return chat(said(verdicts[0]))

    wire.default = first
    with opened(judges) as judge:
        run = f"run:{recorded_run(judge.runtime)}"
        cases, conversations = cases_of(run, judge.rubric, judge.runtime, conversations="talks.jsonl")
        steady = probe_judge(cases, judge, conversations=conversations)
    rows = {(row.probe, row.repeat): row for row in steady.rows}
    assert rows["swapped", 0].share.value == 1.0 and rows["swapped", 0].from_target == 2
    assert rows["padded", 0].share.value == rows["", 1].share.value == 0.0
    assert all(row.share.low is not None and row.compared == 2 for row in steady.rows)
    assert steady.to_dict()["calibration"] == "UNCALIBRATED" and len(wire.received) == 8


RECORDED = [
    {"judge": "gpt", "item": "c0[1]", "verdict": "yes", "reason": "because", "model": "gpt-x", "cost": 3},
    {"judge": "gpt", "item": "c1", "verdict": None},
    {"judge": "gpt", "item": "c1", "verdict": "no"},
    {"judge": "other", "item": "c1", "verdict": "no"},
    {"judge": "gpt", "item": "c2", "verdict": "no"},
    {"judge": "gpt", "item": "c2", "verdict": "no", "probe": "swapped"},
    {"judge": "gpt", "item": "c3", "verdict": "cannot_tell"},
]


def test_recorded_judgments_are_a_judge_of_their_own(judges) -> None:
    """The file is made from what was seen; null is failed and kept; the judge finds its verdicts, and asks nobody."""
    (judges / "votes.jsonl").write_text(lines(RECORDED))
    with opened(judges) as judge:
        runtime = judge.runtime
        imported = import_recorded("gpt", "votes.jsonl", runtime=runtime, positive=["yes"])
        assert imported.is_new and imported.path == judges / "judges" / "gpt.toml"
        found = imported.recording
        assert (found.missing, found.others, found.passed_over) == (1, {"other": 1}, ("cost",))
        assert found.duplicates == ("line 3: c1",)
        gpt = llmclf.load_judge("gpt", runtime=runtime)
        assert gpt.fingerprint.startswith("recorded-") and len(gpt.fingerprint) == len("recorded-") + 12
        assert (gpt.rubric.names, gpt.rubric.targets) == (("yes", "no"), {"yes"})
        cases = [llmclf.Case("c0[1]"), llmclf.Case("c1"), llmclf.Case("c3"), llmclf.Case("nowhere")]
        made = llmclf.judge(cases, gpt)
        kinds = [one.error.kind if one.error else one.verdict for one in made]
        assert kinds == ["yes", "unparsable", "cannot_tell", "not_found"]
        assert (made[0].reason, made[0].model, made[0].calibrated) == ("because", "gpt-x", False)
        assert gpt.judge([llmclf.Case("c2")], probe="swapped")[0].verdict == "no"
        rows = runtime.store.query("SELECT conversation_id, turn FROM judgments WHERE case_id = 'c0[1]' LIMIT 1")
        assert rows == [{"conversation_id": "c0", "turn": 1}]
        again = import_recorded("gpt", "votes.jsonl", runtime=runtime)
        assert not again.is_new
        unknown = [{"item": "c9", "verdict": "maybe"}]
        (judges / "more.jsonl").write_text(lines(unknown))
        more = import_recorded("gpt", "more.jsonl", runtime=runtime).recording
        assert more.unknown == {"maybe": 1} and more.judgments[0].error is not None


def test_an_import_that_can_not_be_right_changes_nothing(judges) -> None:
    """No target said, an unknown one, all verdicts targets, bad lines, another judge's file, a judge that asks."""
    good = lines(RECORDED)
    for name, text, positive, message in (
        ("gpt", good, [], "--positive VERDICT"),
        ("gpt", good, ["maybe"], "--positive VERDICT"),
        ("gpt", good, ["yes", "no"], "--positive VERDICT"),
        ("gtp", good, ["yes"], "did you mean 'gpt'?"),
        ("../gpt", good.replace('"gpt"', '"../gpt"'), ["yes"], "is no name"),
        ("backed", good.replace('"gpt"', '"backed"'), ["yes"], "only a recorded judge"),
        ("gpt", lines([{"verdict": "x"}, {"item": "i", "verdict": ["x"]}, 3]) + "no\n", ["x"], "can't be used: 4"),
        (
            "gpt",
            lines([{"item": "i", "verdict": "x\ny"}, {"item": "j", "verdict": "z"}]),
            ["z"],
            "no judge can be made",
        ),
        ("gpt", "\n", ["yes"], "no judgment of 'gpt'"),
    ):
        (judges / "votes.jsonl").write_text(text)
        with opened(judges) as judge:
            with pytest.raises(ConfigError) as caught:
                import_recorded(name, "votes.jsonl", runtime=judge.runtime, positive=positive)
            assert message in str(caught.value)
            assert judge.runtime.store.query("SELECT * FROM judgments") == []
        assert not (judges / "judges" / "gpt.toml").exists()


def test_numbers_and_truth_values_are_verdicts(judges) -> None:
    """0, 1 and 0.5 are words as they are written, true is yes; without a rubric any word is one."""
    rows = [{"item": n, "verdict": verdict} for n, verdict in enumerate([0, 1, 0.5, True, "", " a "])]
    (judges / "votes.jsonl").write_text(lines(rows))
    made = read_recorded("votes.jsonl", "any")
    assert [one.verdict for one in made] == ["0", "1", "0.5", "yes", None, "a"]
    assert [one.case for one in made] == ["0", "1", "2", "3", "4", "5"]


@pytest.fixture
def run(judges, capsys):
    """Runs the command, and gives what it wrote."""
    return commands(capsys)


def test_the_commands_show_what_is_not_calibrated(judges, run) -> None:
    """list, show, run, probe and runs say UNCALIBRATED and SIMULATED, for people and as JSON."""
    assert "UNCALIBRATED" in run("judge", "list").out
    rows = {row["name"]: row for row in document(run("judge", "list", "--json"))["judges"]}
    assert rows["calm"]["calibration"] == "UNCALIBRATED" and "faithfulness" in rows
    shown = run("judge", "show", "calm").out
    assert "UNCALIBRATED" in shown and "<conversation>" in shown and "rude (target): rude" in shown
    assert document(run("judge", "show", "calm", "--json"))["prompt"][0]["role"] == "system"
    plan = document(run("judge", "run", "calm", "--items", "talks.jsonl", "--plan", "--json"))
    assert plan["items"] == 4 and plan["cells"][0]["calls"] == 4
    made = run("judge", "run", "calm", "--items", "talks.jsonl", "--out", "out.jsonl")
    assert "UNCALIBRATED SIMULATED calm" in made.out
    assert all(json.loads(line)["calibration"] == "UNCALIBRATED" for line in (judges / "out.jsonl").open())
    found = document(run("judge", "run", "calm", "--items", "talks.jsonl", "--json"))
    assert found["calibration"] == "UNCALIBRATED" and found["simulated"] and found["figures"]["cases"] == 4
    assert all(one["calibration"] == "UNCALIBRATED" and one["cached"] for one in found["judgments"])
    assert "UNCALIBRATED SIMULATED calm" in run("judge", "probe", "calm", "--items", "talks.jsonl").out
    newest = document(run("runs", "list", "--json"))["runs"][0]["run_id"]
    assert "UNCALIBRATED" in run("runs", "show", newest).out and "judge calm" in run("runs", "show", newest).out


def test_a_capped_run_ends_with_2_and_a_failed_one_with_1(judges, run, wire: Wire) -> None:
    """The exit code tells a script what happened; no cap at all is a mistake of the user's."""
    wire.default = chat("no")
    rows = [{"id": "k", "conversation_id": "c0", "shown": {"label": "x", "rationale": "y"}}]
    (judges / "cases.jsonl").write_text(lines(rows))
    asked = ("judge", "run", "backed", "--items", "cases.jsonl", "--conversations", "talks.jsonl")
    run(*asked, "--max-usd", "0.001", code=2)
    run(*asked, "--max-usd", "1", code=1)


def test_import_tells_aloud_what_is_no_verdict(judges, run) -> None:
    """Nulls, duplicates and other judges are on stderr, the counts on stdout; the judge can then be run."""
    (judges / "votes.jsonl").write_text(lines(RECORDED))
    result = run("judge", "import", "gpt", "votes.jsonl", "--positive", "yes")
    assert "UNCALIBRATED gpt: 5 recorded judgments" in result.out
    for said_of in ("1 line without a verdict", "line 3: c1", "'other' 1", "nothing reads: cost"):
        assert said_of in result.err
    again = document(run("judge", "import", "gpt", "votes.jsonl", "--json"))
    assert again["figures"]["failed"] == {"unparsable": 1} and not again["new"] and again["changed"] == 0
    print_of = document(run("judge", "show", "gpt", "--json"))["fingerprint"]
    assert print_of == again["fingerprint"] and print_of in result.out.replace("\n", "")
    (judges / "cases.jsonl").write_text(lines([{"id": "c0[1]"}, {"id": "c2"}]))
    found = document(run("judge", "run", "gpt", "--items", "cases.jsonl", "--json"))
    assert found["figures"]["verdicts"] == {"yes": 1, "no": 1}


def test_a_simulated_judge_follows_what_is_known(judges) -> None:
    """Where the verdict is known the simulator errs about it at its rates; every answer is stamped."""
    with opened(judges, "calm", max_usd=None) as judge:
        talks = {f"x{n}": Conversation(f"x{n}", (Turn("bot", f"{n}"),)) for n in range(60)}
        cases = [llmclf.Case(key, key, label="rude" if n < 30 else "kind") for n, key in enumerate(talks)]
        made = llmclf.judge(cases, judge, conversations=talks)
        assert all(one.simulated for one in made)
        found = [one.verdict == "rude" for one in made]
        assert sum(found[:30]) > 10 > 5 > sum(found[30:])
        assert all("Simulated" in one.reason for one in made)
        assert judge.runtime.store.runs()[0]["simulated"]
