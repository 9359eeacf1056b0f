"""Reasons of a store: clustered against the days before, read by a judge, named by a model, quoted with care."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from judging_help import said, sent
from made_reasons import CLASSIFIER, MISSING_TRANSCRIPT, TASK, made_store
from wire import Received, Reply, Wire, chat, failure

from llmclf.config.files import packaged_root
from llmclf.errors import BudgetError, ConfigError, DataError
from llmclf.judges import load_judge
from llmclf.judges.status import CalibrationStatus, write_status
from llmclf.llm import Runtime
from llmclf.reasons.values import ClusterSettings
from llmclf.stats.proportion import wilson
from llmclf.store.clusterings import Clusterings
from llmclf.types import Judgment, Prediction
from llmclf.types.prediction import ErrorInfo
from llmclf.workspace.cluster_naming import checked_name
from llmclf.workspace.quoting import Quote, quotes_of
from llmclf.workspace.reading_pool import ReadReason, shares_of
from llmclf.workspace.reason_input import read_input
from llmclf.workspace.reasoning import StoredClustering, cluster_stored, plan_stored

DAYS = {"since": "24h", "baseline": "15d"}
NOTHING = {"since": datetime.now(UTC) + timedelta(days=2), "until": datetime.now(UTC) + timedelta(days=3)}
JUDGE = "reason_anomaly"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Stores with a fault on the last day, without one, and of a simulated vendor."""
    folder = tmp_path_factory.mktemp("made")
    given: dict[str, dict[str, Any]] = {
        "fault": {"fault": "missing_transcript", "reasons": 600},
        "quiet": {"seed": 1, "reasons": 600},
        "simulated": {"fault": "missing_transcript", "reasons": 300, "simulated": True},
    }
    for name, how in given.items():
        made_store(folder / f"{name}.db", **how)
    return {name: folder / f"{name}.db" for name in given}


@pytest.fixture
def open_store(made: dict[str, Path], workspace: Path) -> Iterator[Callable[..., Runtime]]:
    """Opens a copy of a store in a workspace whose `reason_anomaly` asks the wire server."""
    text = (packaged_root() / "judges" / f"{JUDGE}.toml").read_text(encoding="utf-8")
    (workspace / "judges").mkdir()
    (workspace / "judges" / f"{JUDGE}.toml").write_text(text.replace("openai/gpt-5.4-mini", "wire/m"), encoding="utf-8")
    opened: list[Runtime] = []

    def open_(name: str = "fault", max_usd: float = 1.0) -> Runtime:
        path = workspace / f"{len(opened)}.db"
        shutil.copy(made[name], path)
        opened.append(Runtime(path, workspace=workspace, max_usd=max_usd))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


def reads(request: Received) -> Reply:
    """A judge that knows a missing transcript when it sees one."""
    text = sent(request)
    return chat(said("missing_input" if any(one in text for one in MISSING_TRANSCRIPT) else "about_conversation"))


def fault_of(stored: StoredClustering) -> Any:
    """The anomaly that speaks of the most conversations."""
    return max(stored.clustering.anomalies, key=lambda one: one.conversations)


# --- clustering -------------------------------------------------------------------------------


def test_a_fault_of_the_last_day_is_found_and_stands_in_the_store(open_store: Callable[..., Runtime]) -> None:
    """Clusters, anomalies and the run are there afterwards, and what the result says is what the store has."""
    runtime = open_store()
    steps: list[str] = []
    stored = cluster_stored(runtime, **DAYS, on_step=steps.append)
    assert stored.alarmed and sum(one.conversations for one in stored.clustering.anomalies) >= 13 and steps
    row = Clusterings(runtime.store).find()
    assert row["clustering_id"] == stored.clustering_id and row["filter"] == {"task": TASK, "simulated": False}
    document = json.loads(json.dumps(stored.to_dict()))
    assert row["result"] == {name: value for name, value in document.items() if name != "anomaly_ids"}
    assert row["since"] == stored.clustering.since < row["until"]
    kept = Clusterings(runtime.store).anomalies(stored.clustering_id)
    assert tuple(one["anomaly_id"] for one in kept) == stored.anomaly_ids and len(kept)
    assert len(Clusterings(runtime.store).clustered(stored.clustering_id)) == len(stored.clustering.reasons)
    (run,) = runtime.store.runs(kind="reasons")
    assert (run["state"], run["run_id"]) == ("done", stored.run_id)
    assert not any(text in json.dumps(row["result"]) for text in MISSING_TRANSCRIPT)


def test_a_quiet_day_is_no_alarm(open_store: Callable[..., Runtime]) -> None:
    """The same traffic without a fault."""
    stored = cluster_stored(open_store("quiet"), **DAYS)
    assert not stored.alarmed and stored.clustering.baseline is not None and "No anomaly" in stored._table().title


@pytest.mark.parametrize("refit", [True, False])
def test_clusters_keep_their_ids(refit: bool, open_store: Callable[..., Runtime]) -> None:
    """Found anew or assigned to: what stays alike keeps its id, also for a new version of the classifier."""
    runtime = open_store()
    first = cluster_stored(runtime, **DAYS, where={"classifier_id": [CLASSIFIER]})
    again = cluster_stored(runtime, **DAYS, where={"classifier_id": [CLASSIFIER, "refusal_llm@new"]}, refit=refit)
    before, after = ({one.id for one in stored.clustering.clusters} for stored in (first, again))
    assert len(before & after) >= 0.9 * len(before)
    assert not any("anew" in note for note in again.clustering.notes)


def test_the_first_time_there_is_nothing_to_assign_to(open_store: Callable[..., Runtime]) -> None:
    """It is said, and clustered anew."""
    stored = cluster_stored(open_store("quiet"), **DAYS, refit=False)
    assert any("found anew" in note for note in stored.clustering.notes) and stored.clustering.clusters


def test_tasks_are_not_mixed(open_store: Callable[..., Runtime]) -> None:
    """Reasons of two tasks ask for a choice, with the counts of each."""
    runtime = open_store("quiet")
    add(runtime, [f"another task's reason {number}" for number in range(5)], task="other")
    with pytest.raises(ConfigError, match=r"(?s)one task at a time.*other: 5 in the window, 0 in the baseline"):
        cluster_stored(runtime, **DAYS)
    assert cluster_stored(runtime, **DAYS, where={"task": TASK}).task == TASK


def test_simulated_reasons_are_left_out_and_counted(open_store: Callable[..., Runtime]) -> None:
    """Beside real ones; alone they are clustered, and stamped."""
    runtime = open_store("quiet")
    add(runtime, [f"made up {number}" for number in range(7)], simulated=True)
    stored = cluster_stored(runtime, **DAYS)
    assert stored.left_out == 7 and not stored.clustering.simulated
    alone = cluster_stored(open_store("simulated"), **DAYS)
    assert alone.clustering.simulated and "SIMULATED" in alone._table().stamps and alone.where["simulated"] is True


def add(runtime: Runtime, texts: list[str], *, task: str = TASK, simulated: bool = False) -> None:
    """More traffic, now."""
    store = runtime.store
    run_id = store.start_run("classify", inputs_hash="more", config={}, simulated=simulated)
    store.add_predictions(
        run_id,
        [
            Prediction(
                conversation_id=f"more-{task}-{number}", classifier_id=CLASSIFIER, task=task, label="clean",
                flagged=False, score=0.1, score_method="verbalized", threshold=0.5, rationale=text, route="litellm",
                simulated=simulated,
            )
            for number, text in enumerate(texts)
        ],
    )  # fmt: skip
    store.finish_run(run_id, "done")


def test_a_window_without_any_reason_is_an_alarm_of_its_own(open_store: Callable[..., Runtime]) -> None:
    """Said with what the baseline has a day; the next window with reasons keeps the ids from before the silence."""
    runtime = open_store("quiet")
    first = cluster_stored(runtime, **DAYS)
    since = datetime.now(UTC) + timedelta(minutes=1)
    silent = cluster_stored(runtime, since=since, until=since + timedelta(days=1), baseline="8d")
    assert silent.alarmed and not silent.clustering.anomalies and "No reason at all" in silent.silence
    assert silent.to_dict()["silence"] in str(silent._table().title)
    again = cluster_stored(runtime, **DAYS)
    assert {one.id for one in again.clustering.clusters} == {one.id for one in first.clustering.clusters}


def test_silence_after_gaps_is_told_and_no_alarm(open_store: Callable[..., Runtime]) -> None:
    """Where some stretches before had none, either, or there are so few that none may be chance."""
    runtime = open_store("quiet")
    gap = cluster_stored(runtime, **NOTHING, baseline="6d")
    assert not gap.alarmed and "no alarm" in " ".join(gap.clustering.notes)
    add(runtime, ["one", "two", "three"], task="rare")
    since = datetime.now(UTC) + timedelta(minutes=1)
    rare = cluster_stored(runtime, since=since, until=since + timedelta(hours=1), baseline="1h", where={"task": "rare"})
    assert not rare.alarmed and "may be chance" in " ".join(rare.clustering.notes)


def test_nothing_at_all_says_what_is_there(open_store: Callable[..., Runtime], tmp_path: Path) -> None:
    """What the store has, since when, and what to do; and for a store without traffic."""
    with pytest.raises(DataError, match=r"(?s)no reason to cluster.*widen.*reasons in the store: 600, from 2"):
        cluster_stored(open_store("quiet"), **NOTHING, baseline=None)
    with Runtime(tmp_path / "new.db") as empty, pytest.raises(DataError, match=r"(?s)traffic in the store: none"):
        cluster_stored(empty)


def test_windows_in_the_wrong_order_are_refused(open_store: Callable[..., Runtime]) -> None:
    """Both mistakes at once. An age of the baseline counts back from the window's beginning, at every door."""
    runtime = open_store("quiet")
    with pytest.raises(ConfigError) as caught:
        cluster_stored(runtime, since="1d", until="2d", baseline=datetime.now(UTC))
    assert len(caught.value.problems) == 2
    given = read_input(runtime.store, "2d", "1d", "3d", {})
    assert datetime.fromisoformat(given.since) - datetime.fromisoformat(str(given.baseline_since)) == timedelta(days=3)


# --- the judge --------------------------------------------------------------------------------


def test_a_judge_says_what_the_pool_is_about(open_store: Callable[..., Runtime], wire: Wire) -> None:
    """Every reason of the pool is read once, the verdicts are counted, and nothing is bought a second time."""
    runtime = open_store()
    wire.default = reads
    stored = cluster_stored(runtime, **DAYS, judge=JUDGE)
    judged = fault_of(stored).judged
    assert sum(one.judged.faults for one in stored.clustering.anomalies) >= 13
    assert judged.faults == judged.verdicts["missing_input"] == fault_of(stored).reasons
    assert judged.state == "uncalibrated" and judged.precision.value is None and "calibrat" in judged.precision.why_not
    assert stored.usd and stored.to_dict()["anomalies"][0]["judged"]["verdicts"]
    texts = {sent(one) for one in wire.received}
    assert len(texts) == len(wire.received) >= 13
    calls = len(wire.received)
    again = cluster_stored(runtime, **DAYS, judge=JUDGE)
    assert len(wire.received) == calls and again.usd == 0 and fault_of(again).judged.verdicts == judged.verdicts


def test_the_plan_says_what_that_would_cost(open_store: Callable[..., Runtime], wire: Wire) -> None:
    """As many calls as are then made; dollars as a range; nothing is sent or written to make it."""
    runtime = open_store()
    plan = plan_stored(runtime, **DAYS, judge=JUDGE, name_with="wire/m")
    judge, names = plan.cells
    assert not wire.received and not runtime.store.runs(kind="reasons") and not Clusterings(runtime.store).list()
    assert judge.usd and 0 < judge.usd.low < judge.usd.high and names.calls and len(names.leaving) > names.calls
    wire.default = reads
    cluster_stored(runtime, **DAYS, judge=JUDGE)
    assert len(wire.received) == judge.calls
    assert not plan_stored(runtime, **DAYS).cells


def test_failures_and_doubts_are_counted_apart(open_store: Callable[..., Runtime], wire: Wire) -> None:
    """`cannot_tell` and failed are verdict counts of their own, never a fault."""
    answers = iter([chat(said("cannot_tell")), failure(400)])
    wire.default = lambda request: next(answers, None) or reads(request)
    stored = cluster_stored(open_store(), **DAYS, judge=JUDGE)
    verdicts = Counter[str]()
    for one in stored.clustering.anomalies:
        verdicts.update(one.judged.verdicts)
    faults = sum(one.judged.faults for one in stored.clustering.anomalies)
    assert verdicts["cannot_tell"] == verdicts["(failed)"] == 1 and faults == verdicts["missing_input"] >= 11


def test_a_cap_ends_the_reading_and_not_the_alarm(open_store: Callable[..., Runtime], wire: Wire) -> None:
    """The clustering is written, the run is stopped, and it is said how many were not read."""
    dear = {"prompt_tokens": 100, "completion_tokens": 2_000, "total_tokens": 2_100}
    wire.default = chat(said("missing_input"), usage=dear)
    runtime = open_store(max_usd=0.07)
    stored = cluster_stored(runtime, **DAYS, judge=JUDGE)
    assert stored.alarmed and stored.why_stopped and runtime.store.runs(kind="reasons")[0]["state"] == "stopped"
    assert any("not read by the judge" in note for note in stored.clustering.notes)
    assert Clusterings(runtime.store).find()["clustering_id"] == stored.clustering_id


def test_what_can_not_be_asked_is_said_before_anything_is_clustered(open_store: Callable[..., Runtime]) -> None:
    """No cap, an unknown model, a judge that wants to see the conversation."""
    runtime = open_store()
    with pytest.raises(ConfigError):
        cluster_stored(runtime, **DAYS, name_with="nobody/nothing")
    with pytest.raises(ConfigError, match="can't read reasons"):
        plan_stored(runtime, **DAYS, judge="faithfulness")
    with Runtime(runtime.store, workspace=runtime.workspace) as uncapped, pytest.raises(BudgetError):
        cluster_stored(uncapped, **DAYS, judge=JUDGE)
    assert not runtime.store.runs(kind="reasons")


def status(sensitivity: tuple[int, int], specificity: tuple[int, int], **more: Any) -> CalibrationStatus:
    """A calibration with these counts behind its figures."""
    figures = {"sensitivity": wilson(*sensitivity).to_dict(), "specificity": wilson(*specificity).to_dict()}
    return CalibrationStatus("calibrated", "f" * 64, figures=figures, **more)


def read(faults: int, others: int, *, alike: bool = False) -> list[ReadReason]:
    """Reasons with verdicts, each of a conversation of its own."""
    verdicts = ["missing_input"] * faults + ["about_conversation"] * others
    return [
        ReadReason(Judgment(f"k{number}", JUDGE, "f", verdict), f"c{number}", "same" if alike else f"text {number}")
        for number, verdict in enumerate(verdicts)
    ]


def test_the_precision_is_corrected_by_the_calibration(open_store: Callable[..., Runtime], wire: Wire) -> None:
    """With a calibration of this very judge there is a figure with an interval; simulated ones are stamped."""
    runtime = open_store()
    wire.default = reads
    judge = load_judge(JUDGE, runtime=runtime)
    made = status((57, 60), (196, 200), bar=judge.bar, guideline=judge.rubric.guideline.version, simulated=True)
    write_status(JUDGE, replace(made, fingerprint=judge.fingerprint), runtime.workspace)
    judged = fault_of(cluster_stored(runtime, **DAYS, judge=JUDGE)).judged
    assert judged.state == "calibrated" and judged.simulated
    assert judged.precision.value > 0.8 and judged.precision.low < judged.precision.value <= judged.precision.high


@pytest.mark.parametrize(("share", "right"), [(0.7, 0.85), (0.1, 0.85), (0.3, 0.995)])
def test_precision_holds_for_a_judge_with_known_errors(share: float, right: float) -> None:
    """The intervals hold the share of the flagged that are faults, and of all read, in 90 of 100 draws at least."""
    draw = random.Random(5)
    flags = right * share / (right * share + 0.03 * (1 - share))
    tried = held = these = covered = 0
    for _ in range(150):
        made = status(
            (sum(draw.random() < right for _ in range(60)), 60), (sum(draw.random() < 0.97 for _ in range(200)), 200)
        )
        truths = [draw.random() < share for _ in range(40)]
        said = [draw.random() < (right if one else 0.03) for one in truths]
        if not any(said):
            continue
        tried += 1
        precision, faults = shares_of(read(sum(said), 40 - sum(said)), {"missing_input"}, made)
        among = sum(one for one, flag in zip(truths, said, strict=True) if flag) / sum(said)
        held += precision.low <= flags <= precision.high
        these += precision.low <= among <= precision.high
        covered += faults.low <= share <= faults.high
    assert min(held, these, covered) >= 0.9 * tried and tried >= 140


def test_a_good_judge_that_flags_few_is_right_in_those() -> None:
    """6 of 24 flagged by a judge that never erred in 400 cases: nearly all of the 6 are faults, a quarter of all is."""
    precision, faults = shares_of(read(6, 18), {"missing_input"}, status((200, 200), (200, 200)))
    assert precision.value == 1.0 and precision.low > 0.8
    assert faults.value == pytest.approx(0.25) and faults.high < 0.5
    assert "calls none" in shares_of(read(0, 24), {"missing_input"}, status((200, 200), (200, 200)))[0].why_not


def test_equal_words_are_no_more_evidence_and_what_was_not_read_is_none() -> None:
    """The interval of one wording is wider; reasons beyond a cap are left out, not taken for no fault."""
    made = status((57, 60), (196, 200))
    many, alike = (shares_of(read(30, 0, alike=one), {"missing_input"}, made)[0] for one in (False, True))
    assert many.low > alike.low
    unread = ErrorInfo("over_budget", "the cap is reached", False)
    beyond = [ReadReason(Judgment("k", JUDGE, "f", error=unread), f"d{number}", f"d{number}") for number in range(30)]
    assert shares_of(read(30, 0) + beyond, {"missing_input"}, made)[0].value == many.value
    assert "none of these" in shares_of(beyond, {"missing_input"}, made)[0].why_not


# --- names by a model -------------------------------------------------------------------------


def test_a_model_names_the_clusters_once(open_store: Callable[..., Runtime], wire: Wire) -> None:
    """Terms and quotes are sent, the names stay with the ids, and no words of that stay in the store."""
    runtime = open_store("quiet")
    about = (
        "SELECT count(*) AS n FROM calls JOIN call_texts USING (call_id) WHERE prompt_id LIKE 'reasons/name_cluster@%'"
    )

    def answer(request: Any) -> Any:
        assert runtime.store.query(about) == [{"n": 0}]  # nor while it is under way, when a kill could leave them
        return chat(json.dumps({"name": "asked and answered"}))

    wire.default = answer
    stored = cluster_stored(runtime, **DAYS, name_with="wire/m")
    quotable = [one for one in stored.clustering.clusters if one.quotable]
    assert quotable and all((one.name, one.named_by) == ("asked and answered", "wire/m") for one in quotable)
    assert len(wire.received) == len(quotable) and "Reason 3:" in sent(wire.received[0]) and stored.usd
    assert runtime.store.query(about) == [{"n": 0}]
    calls = len(wire.received)
    again = cluster_stored(runtime, **DAYS, name_with="wire/m")
    assert len(wire.received) == calls
    assert {one.id: one.name for one in again.clustering.clusters if one.quotable}.items() >= {
        (one.id, one.name) for one in quotable
    }


def test_a_name_that_can_not_be_used_leaves_the_terms(open_store: Callable[..., Runtime], wire: Wire) -> None:
    """A bad answer, a failure, a name with a number: the clusters keep their names, and it is said why."""
    answers = iter([chat("no JSON"), failure(400), chat(json.dumps({"name": "Order 123456 is late"}))])
    wire.default = lambda request: next(answers, None) or chat(json.dumps({"name": "x" * 61}))
    stored = cluster_stored(open_store("quiet"), **DAYS, name_with="wire/m")
    assert all(one.named_by == "terms" for one in stored.clustering.clusters)
    (note,) = [note for note in stored.clustering.notes if "gave no name" in note]
    assert "unparsable" in note and "holds a number" in note and "longer than 60" in note


QUOTES = [
    Quote("Ana Kowalska never got the transcript", "c1", "clean", "m", ""),
    Quote("The transcript is empty at Acme", "c2", "clean", "m", ""),
    Quote("Acme gave no transcript", "c3", "clean", "m", ""),
]
NAMES = {
    "missing transcript": "",
    '"Transcript is empty."': "",
    "Acme gives none": "",
    "asks for Kowalska": "personal data",
    "writes to ana@example.com": "personal data",
    "call [NAME_1] back": "personal data",
    "room 7 is full": "number",
    "error 500 again": "",
    "first line\nsecond line": "one line",
    "": "one line",
    "<b>bold</b>": "marks",
    "turned \u202e round": "marks",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_are_plain_words_about_nobody(name: str) -> None:
    """What is of a single conversation, or more than words, is no name; numbers only where terms have them."""
    made, why = checked_name(name, ["transcript", "error 500"], QUOTES)
    assert bool(made) is not bool(NAMES[name]) and NAMES[name] in why, (made, why)


# --- quotes -----------------------------------------------------------------------------------


def test_quotes_are_of_what_several_conversations_say(open_store: Callable[..., Runtime]) -> None:
    """From the result or from the store, the same; none of what is small, none of what is forgotten."""
    runtime = open_store()
    stored = cluster_stored(runtime, **DAYS)
    made = stored.clustering
    quotes = quotes_of(made, runtime.store)
    assert quotes == quotes_of(stored.clustering_id, runtime.store) == quotes_of("last", runtime.store)
    assert set(fault_of(stored).examples) <= quotes.keys() and all(one.text and one.model for one in quotes.values())
    small = {one.id for one in made.clusters if one.conversations < 3 or one.reasons < 3}
    alone = [
        id_
        for id_, cluster in zip(made.reasons.column("prediction_id"), made.cluster_ids, strict=True)
        if cluster in small and not any(id_ in one.predictions for one in made.anomalies)
    ]
    assert not quotes_of(made, runtime.store, [*alone, "nobody's", "' OR 1=1 --"])
    example = fault_of(stored).examples[0]
    gone = quotes[example].conversation_id
    runtime.store.forget(gone)
    other = quotes_of(made, runtime.store)[example]  # another one that stands for the same
    assert other.conversation_id != gone


def test_a_stricter_setting_shows_fewer_quotes(open_store: Callable[..., Runtime]) -> None:
    """`least_conversations` of the clustering decides, also when it is read again from the store."""
    runtime = open_store()
    stored = cluster_stored(runtime, **DAYS, settings=ClusterSettings(least_conversations=200))
    ids = stored.clustering.reasons.column("prediction_id")
    assert not quotes_of(stored.clustering, runtime.store, ids) and not quotes_of("last", runtime.store, ids)
