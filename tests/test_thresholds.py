"""`llmclf threshold`: what is chosen from a run, what is written into the file, and what is told of it again."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmclf.classifiers.llm import LlmClassifier
from llmclf.classifiers.loading import load_classifier
from llmclf.cli import run
from llmclf.errors import ConfigError, DataError
from llmclf.evaluation.choosing import operating_points
from llmclf.evaluation.operating_point import Wanted
from llmclf.llm.runtime import Runtime
from llmclf.types import (
    Conversation,
    Costs,
    Dataset,
    Design,
    ErrorInfo,
    Example,
    Label,
    Prediction,
    Predictions,
    Task,
    Turn,
)

SIM = """# Asks a simulated model.
version = 1
kind = "llm"
task = "refusal_to_transfer"
model = "sim/large"
threshold = 0.5     # by hand
prompt = "short"    # the short one
"""
WORDS = """version = 1
kind = "keyword"
task = "refusal_to_transfer"

[[rules]]
label = "refusal_to_transfer"   # one rule
user = ['\\b(speak|talk)\\b.{0,30}\\b(person|human|someone)\\b']
unless_event = ["transfer"]
"""
PROBE = """# My probe.
version = 1
kind = "probe"
task = "refusal_to_transfer"
features = ["tfidf"]
# the end
"""
TASK = Task("t", "Is it?", (Label("yes", "target", "it is"), Label("no", "clean", "it is not")))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which two classifiers were evaluated, `simmed` last."""
    made = tmp_path_factory.mktemp("workspace")
    (made / "configs/classifiers").mkdir(parents=True)
    (made / "llmclf.toml").write_text("version = 1\n")
    for name, text in (("simmed", SIM), ("words", WORDS), ("learned", PROBE)):
        (made / f"configs/classifiers/{name}.toml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        patch.delenv("LLMCLF_HOME", raising=False)
        for name in ("words", "simmed"):
            assert run(["evaluate", name, "--dataset", "samples"]) == 0
    return made


@pytest.fixture
def folder(evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the classifiers in a copy of that workspace, which is the working folder."""
    made = tmp_path / "workspace"
    shutil.copytree(evaluated, made)
    monkeypatch.chdir(made)
    monkeypatch.delenv("LLMCLF_HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    return made / "configs/classifiers"


def call(capsys: pytest.CaptureFixture[str], *command: str) -> tuple[int, Any, str]:
    """(exit code, JSON document, what was told) of a command."""
    capsys.readouterr()
    code = run([*command, "--json"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out.strip() else None, err


def labelled(positives: int, others: int, design: Design = Design("random"), turns: int = 1) -> Dataset:
    conversations = {
        f"c{number}": Conversation(f"c{number}", (Turn("user", "x"),)) for number in range(positives + others)
    }
    examples = tuple(
        Example(f"c{number}", labels={"t": "yes" if number < positives else "no"})
        for number in range(positives + others)
    )
    return Dataset("d", conversations, examples, design)


def scored(dataset: Dataset, scores: list[float | None], failed: int = 0) -> Predictions:
    """Predictions with these scores; the first `failed` items failed."""

    def one(number: int, score: float | None) -> Prediction:
        name = dataset.examples[number].conversation_id
        if number < failed:
            return Prediction(name, "c@1", "t", error=ErrorInfo("timeout", "too late"))
        flagged = (score or 0) >= 0.5
        label = "yes" if flagged else "no"
        return Prediction(name, "c@1", "t", label=label, flagged=flagged, score=score, score_method="verbalized")

    return Predictions([one(number, score) for number, score in enumerate(scores)])


def normal(positives: int, others: int, seed: int = 0) -> list[float | None]:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=positives + others) + 2.2 * (np.arange(positives + others) < positives)
    return (1 / (1 + np.exp(-z))).tolist()


def test_a_threshold_is_written_and_everything_else_stays(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Comments, order, line ends and other lines of the file stay; where the threshold comes from stands at its end."""
    (folder / "simmed.toml").write_bytes(SIM.replace("\n", "\r\n").encode())
    code, made, told = call(capsys, "threshold", "set", "simmed", "--from", "last")
    written = (folder / "simmed.toml").read_bytes()
    text = written.decode().replace("\r\n", "\n")
    assert written.count(b"\r\n") == text.count("\n")
    assert code == 0 and "(it was 0.5)" in told
    assert text.startswith(SIM.replace("0.5 ", f"{made['threshold']!r} "))
    origin = tomllib.loads(text)["threshold_from"]
    assert origin["threshold"] == made["threshold"] == tomllib.loads(text)["threshold"]
    assert origin["run"] == made["run"] and origin["positives"] == 60 and origin["scaling"]["prevalence"] == 0.005
    assert made["points"][0]["name"] == "current"


def test_probabilities_come_with_it_and_nothing_is_bought_again(folder: Path) -> None:
    """The next answers have probabilities that rise with the score; all were stored; id and threshold are new."""
    with Runtime("llmclf.db", workspace=Path()) as runtime:
        before = load_classifier("simmed", runtime=runtime).id
    assert run(["threshold", "set", "simmed", "--from", "last"]) == 0
    assert run(["evaluate", "simmed", "--dataset", "samples"]) == 0
    with Runtime("llmclf.db", workspace=Path()) as runtime:
        found = runtime.store.predictions(runtime.store.runs(limit=1)[0]["run_id"])
        after = load_classifier("simmed", runtime=runtime)
    assert before != after.id and set(found.column("classifier_id")) == {after.id}
    assert all(found.column("cached"))
    rows = [row for row in found if row.probabilities is not None]
    assert len(rows) == 232
    assert all(sum(row.probabilities.values()) == pytest.approx(1) for row in rows if row.probabilities)
    assert {row.probabilities_at for row in rows} == {0.005}
    ordered = sorted((row.score or 0, (row.probabilities or {})["refusal_to_transfer"]) for row in rows)
    assert [chance for _, chance in ordered] == sorted(chance for _, chance in ordered)


def test_a_scaling_is_of_one_configuration(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After another setting changed, no probabilities are given, and `show` says why; the threshold stays."""
    assert run(["threshold", "set", "simmed", "--from", "last"]) == 0
    _, story, _ = call(capsys, "threshold", "show", "simmed")
    assert story["threshold_from"]["threshold"] == story["threshold"]
    assert any("become probabilities at 0.5 %" in note for note in story["notes"])
    path = folder / "simmed.toml"
    path.write_text(path.read_text().replace("sim/large", "sim/small"))
    _, story, _ = call(capsys, "threshold", "show", "simmed")
    assert any("another configuration" in note for note in story["notes"])
    with Runtime(workspace=Path()) as runtime:
        classifier = load_classifier("simmed", runtime=runtime)
    assert isinstance(classifier, LlmClassifier) and classifier.scaling is None
    assert classifier.threshold == story["threshold"]


def test_a_run_of_another_configuration_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another classifier, or another model or prompt than the file has now: an error that says so."""
    capsys.readouterr()
    assert run(["threshold", "set", "words", "--from", "last"]) == 1
    assert "the run is of classifier 'simmed'" in capsys.readouterr().err
    path = folder / "simmed.toml"
    path.write_text(SIM.replace('prompt = "short"', 'prompt = "refusal/v1"'))
    assert run(["threshold", "set", "simmed", "--from", "last"]) == 1
    assert "a threshold belongs to one configuration" in capsys.readouterr().err


def test_another_goal_from_the_same_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After a threshold was set, the run it came from, and the run before it, can be used again."""
    runs = [call(capsys, "threshold", "set", "simmed", "--from", "last")[1]["run"]]
    assert run(["evaluate", "simmed", "--dataset", "samples"]) == 0
    runs.append(call(capsys, "threshold", "set", "simmed", "--from", "last")[1]["run"])
    for name in (runs[1], runs[1], runs[0]):
        code, made, _ = call(capsys, "threshold", "set", "simmed", "--from", name, "--recall", "0.8")
        assert code == 0 and made["goal"] == "recall"
        assert "current" not in [point["name"] for point in made["points"]]
    assert (folder / "simmed.toml").read_text().count("[threshold_from]") == 1


def test_keyword_rules_and_comments_survive(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a threshold in the file one is put after the task, and its table after those of the rules."""
    assert run(["evaluate", "words", "--dataset", "samples"]) == 0
    code, made, _ = call(capsys, "threshold", "set", "words", "--from", "last", "--missed-usd", "4000")
    text = (folder / "words.toml").read_text()
    assert code == 0
    head, tail = WORDS.split("\n\n")
    assert text.startswith(f"{head}\nthreshold = {made['threshold']!r}\n\n{tail}")
    assert "scaling" not in tomllib.loads(text)["threshold_from"]


def test_a_probe_of_a_sweep(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cell of a sweep does as well, named by its number; with other features in the file it does not."""
    (Path("configs") / "sweeps").mkdir()
    (Path("configs/sweeps/s.toml")).write_text(
        'version = 1\ndataset = "samples"\nmax_items = 100\nfolds = 2\n[grid]\nclassifier = ["words", "learned"]\n'
        "[costs]\nprevalence = 0.1\nconversations_per_month = 10_000\n"
    )
    assert run(["sweep", "run", "s"]) == 0
    code, made, _ = call(capsys, "threshold", "set", "learned", "--from", "last/2", "--flags-per-day", "20")
    assert code == 0 and made["goal"] == "flags" and made["run"].count("/") == 1
    chosen = next(point for point in made["points"] if point["name"] == "flags")
    assert chosen["flag_rate"]["value"] * 10_000 / 30.4 < 25  # held out: about the limit, not exactly below it
    path = folder / "learned.toml"
    assert path.read_text().startswith("# My probe.") and "# the end" in path.read_text()
    path.write_text(PROBE.replace('["tfidf"]', '["counts"]'))
    assert run(["threshold", "set", "learned", "--from", "last/2"]) == 1


def test_what_is_missing_is_said_and_the_file_stays(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Too few targets to certify: exit 1, and how many more. None that pays: exit 2. A dry run writes nothing."""
    code, made, told = call(capsys, "threshold", "set", "simmed", "--from", "last", "--recall", "0.99")
    assert code == 1 and made["missing_positives"] == 239
    assert "needs 299 positives, there are 60: 239 more" in told
    code, _, told = call(capsys, "threshold", "set", "simmed", "--from", "last", "--missed-usd", "0.5")
    assert code == 2 and "a review costs more than a miss" in told
    assert call(capsys, "threshold", "set", "simmed", "--from", "last", "--dry-run")[0] == 0
    assert (folder / "simmed.toml").read_text() == SIM


def test_mistakes_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The packaged file is left alone; a limit needs a volume; an unknown goal names the known ones."""
    assert run(["evaluate", "refusal_keyword", "--dataset", "samples", "--max-items", "60"]) == 0
    command = ["threshold", "set", "refusal_keyword", "--from", "last"]
    assert run([*command, "--missed-usd", "4000"]) == 1
    assert "not the workspace's own" in capsys.readouterr().err
    assert run([*command, "--goal", "flags"]) == 1
    assert "--flags-per-day" in capsys.readouterr().err
    assert run([*command, "--flags-per-day", "3"]) == 1
    assert "--conversations-per-month" in capsys.readouterr().err
    assert run([*command, "--goal", "money"]) == 1
    assert run(["threshold", "show", "refusal_keyword"]) == 0
    assert "no run says what it costs" in capsys.readouterr().out


def test_held_out_figures_are_dearer_than_the_labels_own() -> None:
    """The figures of a chosen threshold are moved, their interval reaches both ends; those of a fixed one are not."""
    dataset = labelled(12, 300)
    made = operating_points(
        scored(dataset, normal(12, 300)), dataset, TASK, costs=Costs(prevalence=0.04), current=0.5, name="c"
    )
    points = {point.name: point for point in made.points}
    assert points["current"].recall is not None and "cross-fitted" not in points["current"].recall.method
    assert points["dollars"].dollars_per_1000 is not None
    assert points["dollars"].dollars_per_1000.method.endswith("cross-fitted")
    low, value, high = (getattr(points["dollars"].dollars_per_1000, name) for name in ("low", "value", "high"))
    assert low <= value <= high
    assert points["recall"].why_not == "needs 29 positives, there are 12: 17 more"


def test_failed_items_and_answers_without_a_score_are_said() -> None:
    """Failed targets are missed at any threshold and lower the certified one; unscored answers are counted."""
    dataset = labelled(60, 100)
    whole = operating_points(scored(dataset, normal(60, 100)), dataset, TASK, costs=Costs(), wanted=Wanted("recall"))
    scores = normal(60, 100)
    scores[-1] = None
    made = operating_points(scored(dataset, scores, failed=1), dataset, TASK, costs=Costs(), wanted=Wanted("recall"))
    text = " ".join(made.notes)
    assert "1 item failed, targets among them: 1" in text and "1 answer without a score" in text
    assert made.chosen.threshold is not None and whole.chosen.threshold is not None
    assert made.chosen.threshold <= whole.chosen.threshold
    assert made.chosen.recall is not None and (made.chosen.recall.value or 1) <= 59 / 60
    none = scored(dataset, [None] * 160)
    with pytest.raises(DataError, match="no answer has a score"):
        operating_points(none, dataset, TASK, costs=Costs())


def test_every_impossible_wish_is_listed() -> None:
    """All that is wrong with a wish stands in one error."""
    dataset = labelled(12, 20)
    with pytest.raises(ConfigError) as caught:
        operating_points(
            scored(dataset, normal(12, 20)), dataset, TASK, costs=Costs(), wanted=Wanted("flags", None, 1.5, 0)
        )
    assert len(caught.value.problems) == 3


def test_the_result_can_be_read_in_every_form(capsys: pytest.CaptureFixture[str]) -> None:
    """A table of 80 and of 60 columns, HTML and JSON; the one asked for is marked."""
    from rich.console import Console

    dataset = labelled(60, 300)
    made = operating_points(
        scored(dataset, normal(60, 300)), dataset, TASK, costs=Costs(conversations_per_month=400_000), current=0.5
    )
    for width in (80, 60):
        Console(width=width).print(made)
        out = capsys.readouterr().out
        assert "* cheapest" in out and max(map(len, out.splitlines())) <= width
    assert "<table>" in made._repr_html_() and json.loads(made.to_json())["threshold"] == made.chosen.threshold


def test_two_goals_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A recall and a limit of flags without --goal: neither is dropped silently."""
    wanted = ["--recall", "0.9", "--flags-per-day", "300", "--conversations-per-month", "100000"]
    code, _, told = call(capsys, "threshold", "set", "simmed", "--from", "last", *wanted)
    assert code == 1 and "--goal recall or --goal flags" in told
    assert (folder / "simmed.toml").read_text() == SIM


def test_a_threshold_that_does_not_pay_is_not_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2 with what flagging nothing costs and from which price it would pay; --anyway writes it all the same."""
    poor = ["threshold", "set", "simmed", "--from", "last", "--recall", "0.8", "--missed-usd", "9"]
    code, made, told = call(capsys, *poor)
    assert code == 2 and not made["written"] and (folder / "simmed.toml").read_text() == SIM
    assert "flagging nothing would cost $45.00" in told and "--anyway" in told
    needed = float(re.search(r"from about \$([\d.]+) a miss", told)[1])  # type: ignore[index]
    assert call(capsys, *poor[:-1], str(needed * 1.05), "--dry-run")[0] == 0
    assert call(capsys, *poor[:-1], str(needed * 0.95), "--dry-run")[0] == 2
    assert call(capsys, *poor, "--anyway")[0] == 0
    _, story, _ = call(capsys, "threshold", "show", "simmed")
    assert (
        story["threshold_from"]["expected"].startswith("recall 0.")
        and "per 1,000" in story["threshold_from"]["expected"]
    )
    assert any(note.startswith("It still holds") for note in story["notes"])


def test_a_run_of_another_classifier_brings_the_right_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its newest run where there is one, else an evaluation on a set with labels of its task."""
    words = next(row for row in call(capsys, "runs", "list")[1]["runs"] if row["config"]["classifier"][:5] == "words")
    assert (
        f"threshold set words --from {words['run_id']}"
        in call(capsys, "threshold", "set", "words", "--from", "last")[2]
    )
    told = call(capsys, "threshold", "set", "learned", "--from", "last")[2]
    assert "llmclf evaluate learned --dataset DATASET" in told
