"""`llmclf data plan-labels`: how many labels a recall takes, against the formulas and against what is then drawn."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from llmclf.cli import run
from llmclf.data.label_plan import Draw, plan_labels
from llmclf.data.sample import sample
from llmclf.errors import ConfigError
from llmclf.stats import wilson
from llmclf.stats.label_plans import ScoreModel, SimulatedStratum, half_width, labels_needed, positives_for
from llmclf.types import Conversation, Costs, Label, Task, Turn
from llmclf.workspace.label_plans import plan_assumed

RARE = 0.005
TASK = Task("t", "Is it?", (Label("yes", "target", "it is"), Label("no", "clean", "it is not")))


def test_positives_for_are_those_of_the_table() -> None:
    """Positives for 5 and for 10 points at recalls from .6 to .95, as worked out before."""
    recalls = (0.6, 0.7, 0.8, 0.9, 0.95)
    assert [positives_for(share, 0.05) for share in recalls] == [366, 320, 245, 141, 83]
    assert [positives_for(share, 0.1) for share in recalls] == [89, 78, 60, 37, 25]


@settings(max_examples=40)
@given(st.floats(0.05, 0.95), st.floats(0.01, 0.3))
def test_positives_for_are_the_fewest(recall: float, wanted: float) -> None:
    """With so many the Wilson interval is narrow enough, with one less it is not."""

    def half(count: int) -> float:
        estimate = wilson(recall * count, count)
        return ((estimate.high or 1) - (estimate.low or 0)) / 2

    found = positives_for(recall, wanted)
    assert half(found) <= wanted
    assert found <= 2 or half(found - 1) > wanted


def test_random_labels_are_those_of_the_table() -> None:
    """At .5 % a recall of .8 to 5 points takes about 49,000 random labels, to 10 points about 12,000."""
    for labels, wanted in ((49_000, 0.05), (12_000, 0.1)):
        stratum = SimulatedStratum(200_000, labels, 0.8 * RARE, 0.2 * RARE, 0.01, 1 - RARE - 0.01)
        found = half_width([stratum], sets=40)
        assert found.median == pytest.approx(wanted, rel=0.06)
        assert found.ninety > found.median
        assert found.positives == pytest.approx(RARE * labels, rel=0.05)


def test_scores_save_labels() -> None:
    """Where few targets are flagged (recall .41) and scores rank well, labels by score are worth some 3 to 4 times
    as many random ones; also where the scores are distorted."""
    plan = plan_labels(ScoreModel.assumed(0.41, 2.2, RARE), half_width=0.1, pool=40_000, costs=Costs(prevalence=RARE))
    assert plan.random and plan.by_score and plan.distorted
    assert 2.7 < plan.random / plan.by_score < 4.5
    assert plan.distorted == pytest.approx(plan.by_score, rel=0.3)
    assert plan.recall == pytest.approx(0.41)
    assert [row.random.median for row in plan.rows] == sorted((row.random.median for row in plan.rows), reverse=True)


def test_a_model_of_scores_is_what_was_assumed_or_seen() -> None:
    """Assumed: recall and separation, right probabilities. Fitted: the pilot's recall at its threshold."""
    model = ScoreModel.assumed(0.8, 2.0, 0.01)
    assert model.recall == pytest.approx(0.8, abs=1e-6)
    share = 0.01 * model.targets / (0.01 * model.targets + 0.99 * model.others)
    middle = (model.targets > 1e-4) & (model.others > 1e-4)
    assert model.score[middle] == pytest.approx(share[middle], rel=0.05)
    rng = np.random.default_rng(0)
    positive = np.arange(2000) < 400
    score = 1 / (1 + np.exp(-(rng.normal(size=2000) * 1.5 + 3 * positive - 1)))
    fitted = ScoreModel.fitted(score, positive, np.ones(2000), 0.6)
    assert fitted.recall == pytest.approx((score[positive] >= 0.6).mean(), abs=0.002)
    assert fitted.false_alarm_rate == pytest.approx((score[~positive] >= 0.6).mean(), abs=0.02)
    words = ScoreModel.fitted([1.0, 1.0, 0.0, 0.0, 0.0], [1, 1, 1, 0, 0], np.ones(5), 0.5)
    assert list(words.score) == [0.0, 1.0] and words.recall == pytest.approx(2.5 / 4)


def test_labels_needed_lie_between_sizes() -> None:
    """On a log-log line; the smallest where that does already, None where the largest does not."""
    assert labels_needed([100, 400], [0.2, 0.1], 0.1414) == 201
    assert labels_needed([100, 400], [0.2, 0.1], 0.3) == 100
    assert labels_needed([100, 400], [0.2, 0.1], 0.05) is None


def test_the_plan_is_what_sample_draws() -> None:
    """Strata and sizes of the simulation are those that `data sample` draws from a pool with such scores."""
    from llmclf.data.label_plan import _cut, _strata

    rng = np.random.default_rng(1)
    model = ScoreModel.assumed(0.6, 2.2, 0.05)
    level = rng.choice(len(model.score), 4000, p=0.05 * model.targets + 0.95 * model.others)
    pool = [Conversation(f"c{number}", (Turn("user", "x"),)) for number in range(4000)]
    scores = {f"c{number}": float(model.score[one]) for number, one in enumerate(level)}
    drawn = sample(pool, "score", n=400, task=TASK, scores=scores, assumed_prevalence=0.05)
    planned = sorted(one.population for one in _strata(model, _cut(model, 0.05).stratum, 0.05, 4000))
    assert planned == pytest.approx(sorted(plan.population for plan in drawn.strata), rel=0.15, abs=12)


def test_what_cant_be_planned_is_listed() -> None:
    """Shares that are none, a pool too small, and a half-width that is none stand in one error."""
    with pytest.raises(ConfigError) as caught:
        plan_labels(ScoreModel.assumed(0.5, 2, 0.01), half_width=0.7, pool=5, costs=Costs(prevalence=1.5))
    assert len(caught.value.problems) == 3
    with pytest.raises(ConfigError) as caught:
        plan_assumed(recall=1.2, roc_auc=0.4, half_width=0.05, pool=1000, costs=Costs())
    assert len(caught.value.problems) == 2
    with pytest.raises(ConfigError, match="from 100 to 999,999,999"):
        plan_assumed(recall=0.8, roc_auc=0.9, half_width=0.05, pool=2_000_000_000, costs=Costs())


def test_what_is_nearly_1_does_not_read_as_1() -> None:
    """A recall of .999 and a ROC AUC above .999999 stand so in the notes."""
    plan = plan_assumed(recall=0.999, roc_auc=0.99999999, half_width=0.05, pool=500, costs=Costs())
    assert any("Recall 0.999 to" in note for note in plan.notes)
    assert any("recall 0.999, and scores with a ROC AUC of >0.999999." in note for note in plan.notes)


def test_a_pool_that_is_too_small_says_so() -> None:
    """Where not even all of the pool would do, no command is given."""
    plan = plan_assumed(recall=0.8, roc_auc=0.94, half_width=0.05, pool=2000, costs=Costs())
    assert (plan.random, plan.by_score, plan.command) == (None, None, "")
    assert any("more than the 2,000 of the pool" in note for note in plan.notes)
    assert Draw("p", "t", "c").command(5, 0.01, by_score=False).endswith("--by random --n 5 --prevalence 0.01")


def test_the_command_plans_and_its_own_command_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a run: the run's own recall, minutes and dollars of the labels, and a command that runs as it stands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LLMCLF_HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "llmclf.toml").write_text("version = 1\n")
    assert run(["evaluate", "refusal_keyword", "--dataset", "samples"]) == 0
    capsys.readouterr()
    wanted = ["--prevalence", "0.3", "--pool", "232", "--half-width", "0.13"]
    assert run(["data", "plan-labels", "--from", "last", *wanted, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["recall"] == pytest.approx(0.37, abs=0.03)
    assert "--task refusal_to_transfer" in plan["command"]
    assert run(["data", "plan-labels", "--recall", "0.9", "--pool", "400"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80
    command = shlex.split(plan["command"].replace("POOL", "samples"))
    assert run(command[1:]) == 0
    assert Path("labels.csv").is_file()


def test_sampling_by_strata_is_used() -> None:
    """A stratum labelled more densely narrows the interval of a recall that hangs on it."""
    few, many = (
        half_width(
            [SimulatedStratum(1000, 200, 0.4, 0.05, 0.3, 0.25), SimulatedStratum(9000, n, 0, 0.01, 0, 0.99)], sets=10
        )
        for n in (200, 2000)
    )
    assert many.median < few.median


def test_an_untrained_probe_is_trained_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command trains the probe whose scores it draws by; 9 draws in 10 and the pool stand beside the median."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs/classifiers").mkdir(parents=True)
    (tmp_path / "llmclf.toml").write_text("version = 1\n")
    (tmp_path / "configs/classifiers/mine.toml").write_text(
        'version = 1\nkind = "probe"\ntask = "refusal_to_transfer"\nfeatures = ["tfidf"]\n'
    )
    assert run(["evaluate", "mine", "--dataset", "samples"]) == 0
    wanted = ["--prevalence", "0.2", "--pool", "1000", "--half-width", "0.1", "--json"]

    def planned() -> dict[str, object]:
        capsys.readouterr()
        assert run(["data", "plan-labels", "--from", "last", *wanted]) == 0
        made: dict[str, object] = json.loads(capsys.readouterr().out)
        return made

    plan = planned()
    assert str(plan["command"]).startswith("llmclf train mine --dataset samples && llmclf data sample POOL")
    ninety = plan["ninety"]
    assert isinstance(ninety, dict) and ninety["by_score"] > plan["by_score"]
    notes = str(plan["notes"])
    assert f"{ninety['by_score']} by score" in notes and "to hold 1,000 items (--pool)" in notes
    assert run(["train", "mine", "--dataset", "samples"]) == 0
    assert str(planned()["command"]).startswith("llmclf data sample")
