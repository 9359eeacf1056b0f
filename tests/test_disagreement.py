"""Answers against people who disagree: distances, the human ceiling, learning from all annotators."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from typer.testing import CliRunner

from llmclf.classifiers.probe import ProbeClassifier
from llmclf.cli.app import app
from llmclf.data.check import check
from llmclf.data.read import load_dataset_files
from llmclf.data.write import write_conversations, write_examples
from llmclf.errors import ConfigError, DataError
from llmclf.evaluation.annotators import AnnotatorCeiling, annotator_ceiling, several_annotations
from llmclf.stats import Sampling
from llmclf.stats.disagreement import jensen_shannon, mean, squared_error
from llmclf.types import (
    Annotation,
    Conversation,
    Dataset,
    Design,
    ErrorInfo,
    Example,
    Label,
    Prediction,
    Predictions,
    Stratum,
    Task,
    Turn,
    dataset_of,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from dbdc3_measures import measures

SHARES = st.lists(st.floats(0.01, 1), min_size=3, max_size=3).map(lambda row: [x / sum(row) for x in row])
TASK = Task(
    "upset",
    "Is the customer upset?",
    (Label("upset", "target", "Upset."), Label("brisk", "adjacent", "Brisk."), Label("calm", "clean", "Calm.")),
)


def test_distances_of_hand_computed_cases() -> None:
    """Nothing in common is 1 bit apart; half in common is .3113; the squared error is a mean over labels."""
    one, other = [[1, 0, 0], [1, 0, 0], [0.5, 0.5, 0]], [[0, 0, 1], [0.5, 0.5, 0], [0.5, 0.5, 0]]
    assert jensen_shannon(one, other) == pytest.approx([1.0, 0.311278, 0.0], abs=1e-6)
    assert squared_error(one, other) == pytest.approx([2 / 3, 1 / 6, 0.0])


@given(SHARES, SHARES)
def test_divergence_is_symmetric_and_between_0_and_1(one: list[float], other: list[float]) -> None:
    """It does not matter who is held against whom."""
    there, back = jensen_shannon([one], [other])[0], jensen_shannon([other], [one])[0]
    assert there == pytest.approx(back)
    assert 0 <= there <= 1


def test_divergence_agrees_with_scipy() -> None:
    """scipy's distance is the square root of the divergence."""
    from scipy.spatial.distance import jensenshannon

    rows = np.random.default_rng(0).dirichlet([0.5, 1, 2], (2, 50))
    assert jensen_shannon(*rows) == pytest.approx(jensenshannon(rows[0], rows[1], 2, axis=1) ** 2)


def test_rows_that_are_no_shares_are_refused() -> None:
    """Counts in place of shares would give a number that means nothing."""
    with pytest.raises(DataError, match="sum to 1"):
        jensen_shannon([[2, 1]], [[0.5, 0.5]])


def test_the_interval_of_a_mean_holds_with_groups() -> None:
    """Items of a group are alike: 95 % intervals hold the mean at least 92 % of 400 times."""
    rng, held = np.random.default_rng(1), 0
    for _ in range(400):
        groups = np.repeat(np.arange(30), 5)
        values = rng.normal(size=30)[groups] + rng.normal(size=150)
        found = mean(values, Sampling.simple(150, groups))
        assert found.low is not None and found.high is not None
        held += found.low <= 0 <= found.high
    assert held >= 368


def test_official_measures_of_a_hand_computed_case() -> None:
    """Four turns: labels, both F1, and merged classes as the challenge defines them."""
    wanted = np.array([[0.2, 0.2, 0.6], [0.4, 0.3, 0.3], [0.8, 0.1, 0.1], [0.1, 0.5, 0.4]])  # X, O (lenient X), O, T
    shares = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    found = measures(np.array([2, 0, 0, 2]), shares, wanted)
    assert found["accuracy"] == 3 / 4
    assert found["F1(X)"] == pytest.approx(2 * 1 / (2 + 1))
    assert found["F1(T+X)"] == pytest.approx(2 * 2 / (2 + 3))
    assert found["MSE(O,T,X)"] == pytest.approx(
        np.mean(
            [(0.04 + 0.04 + 0.16) / 3, (0.36 + 0.09 + 0.09) / 3, (0.04 + 0.01 + 0.01) / 3, (0.01 + 0.25 + 0.36) / 3]
        )
    )
    assert found["MSE(O+T,X)"] == pytest.approx(np.mean([0.16, 0.09, 0.01, 0.36]))
    assert found["MSE(O,T+X)"] == pytest.approx(np.mean([0.04, 0.36, 0.04, 0.01]))
    assert found["JSD(O,T,X)"] == pytest.approx(jensen_shannon(shares, wanted).mean())


def _voted(n: int, voters: int, sharp: float, seed: int = 0) -> Dataset:
    """Conversations whose first word decides how likely each of `voters` people is to call them upset."""
    rng = np.random.default_rng(seed)
    conversations, examples = [], []
    for number in range(n):
        chance = sharp if number % 3 == 0 else 1 - sharp
        said = ["upset" if rng.random() < chance else "calm" for _ in range(voters)]
        word = "terrible awful" if number % 3 == 0 else "thanks lovely"
        conversations.append(Conversation(f"c{number}", (Turn("user", f"{word} thing"), Turn("bot", "I see."))))
        label = "upset" if said.count("upset") * 2 > voters else "calm"
        notes = tuple(Annotation(f"p{place}", TASK.name, one, rule="R1") for place, one in enumerate(said))
        examples.append(Example(f"c{number}", labels={TASK.name: label}, annotations=notes))
    return dataset_of("voted", conversations, examples, Design("random"))


def _answers(dataset: Dataset, chances: tuple[float, float]) -> Predictions:
    """A classifier that knows the first word and gives one of two chances."""
    made = []
    for number, example in enumerate(dataset.examples):
        chance = chances[0] if number % 3 == 0 else chances[1]
        shares = {"upset": chance, "brisk": 0.0, "calm": 1 - chance}
        label = "upset" if chance > 0.5 else "calm"
        made.append(Prediction(example.conversation_id, "c@1", TASK.name, label=label, probabilities=shares))
    return Predictions(made)


def test_a_classifier_that_knows_the_shares_beats_people_on_distance() -> None:
    """Half of ten people are a noisy guess at the other half; the true shares are not."""
    dataset = _voted(200, 10, 0.7)
    rows = {row.measure: row for row in annotator_ceiling(_answers(dataset, (0.7, 0.3)), dataset, TASK).rows}
    divergence = rows["Jensen-Shannon divergence"]
    assert divergence.difference.high is not None and divergence.difference.high < 0
    assert divergence.whole.value is not None and divergence.others.value is not None
    assert divergence.whole.value < divergence.others.value, "half of the annotators are noisier than all"
    assert rows["accuracy"].people.value == pytest.approx(rows["F1 of upset"].people.value, abs=0.2)


def test_a_classifier_against_people_who_agree_reaches_their_ceiling() -> None:
    """Where all annotators agree, people are perfect, and so is who says the same."""
    dataset = _voted(60, 4, 1.0)
    ceiling = annotator_ceiling(_answers(dataset, (1.0, 0.0)), dataset, TASK)
    assert ceiling.disagreement.value == 0
    assert all(row.people.value == row.others.value for row in ceiling.rows)
    assert "people" in ceiling._repr_html_()
    assert ceiling.to_dict()["rows"][0]["measure"] == "F1 of upset"


def test_failed_items_and_single_annotations_are_left_out_and_counted() -> None:
    """A failed item is no answer, and one person can't disagree with himself."""
    dataset = _voted(30, 3, 0.9)
    failed = Prediction("c0", "c@1", TASK.name, error=ErrorInfo("timeout", "too late"))
    answers = Predictions([failed, *_answers(dataset, (0.9, 0.1))[1:]])
    assert annotator_ceiling(answers, dataset, TASK).left_out == 1
    alone = _voted(30, 1, 0.9)
    assert not several_annotations(alone, TASK)
    with pytest.raises(DataError, match="two annotations"):
        annotator_ceiling(_answers(alone, (0.9, 0.1)), alone, TASK)


def _two_people(n: int, differ: Sequence[int], **known: Any) -> Dataset:
    """Calm conversations, of which two people say the same but for some."""
    conversations = [Conversation(f"c{number}", (Turn("user", "hm"),)) for number in range(n)]
    examples = [
        Example(
            f"c{number}",
            labels={TASK.name: "calm"},
            annotations=(
                Annotation("a", TASK.name, "upset" if number in differ else "calm"),
                Annotation("b", TASK.name, "calm"),
            ),
            **{name: of(number) for name, of in known.items()},
        )
        for number in range(n)
    ]
    return dataset_of("two", conversations, examples, Design("random"))


def _all(dataset: Dataset, **said: Any) -> Predictions:
    return Predictions(Prediction(one.conversation_id, "c@1", TASK.name, **said) for one in dataset.examples)


def test_no_disagreement_seen_is_not_none() -> None:
    """0 of 300 leaves room for 1 %, and no end of an interval is below 0 or above 1."""
    for differ in ((), (1,)):
        dataset = _two_people(300, differ)
        ceiling = annotator_ceiling(_all(dataset, label="calm"), dataset, TASK)
        accuracy = ceiling.rows[1].whole
        assert ceiling.disagreement.low is not None and ceiling.disagreement.low >= 0
        assert ceiling.disagreement.high is not None and 0.009 < ceiling.disagreement.high < 0.03
        assert accuracy.low is not None and 0.97 < accuracy.low < 0.995
        assert accuracy.high is not None and accuracy.high <= 1


def test_the_classifier_says_what_its_threshold_says() -> None:
    """Flagged is the target whatever its label; not flagged is its label, the likeliest other, or the clean one."""
    dataset = _voted(60, 4, 1.0)
    truth = [number % 3 == 0 for number in range(60)]

    def ceiling(label: str | None, **known: Any) -> AnnotatorCeiling:
        made = [
            Prediction(f"c{i}", "c@1", TASK.name, label=label, flagged=flag, **known) for i, flag in enumerate(truth)
        ]
        return annotator_ceiling(Predictions(made), dataset, TASK)

    chances = {"upset": 0.4, "brisk": 0.1, "calm": 0.5}
    for one in (ceiling("calm"), ceiling("upset", probabilities=chances), ceiling(None)):
        assert [row.whole.value for row in one.rows[:2]] == [1.0, 1.0]
    likeliest = ceiling(None, probabilities={"upset": 0.4, "brisk": 0.5, "calm": 0.1})
    assert likeliest.rows[1].whole.value == pytest.approx(1 / 3)


def test_a_person_counts_once_and_strange_labels_are_counted() -> None:
    """Of one who stands twice the last label counts; labels outside the task are no opinion, and the table says so."""
    twice = (Annotation("a", TASK.name, "upset"), Annotation("a", TASK.name, "calm"))
    odd = Annotation("b", TASK.name, "typo"), Annotation("c", TASK.name, "calm")
    dataset = _two_people(3, ())
    alone = replace(dataset, examples=tuple(replace(one, annotations=twice) for one in dataset.examples))
    assert not several_annotations(alone, TASK)
    dataset = replace(dataset, examples=tuple(replace(one, annotations=twice + odd) for one in dataset.examples))
    ceiling = annotator_ceiling(_all(dataset, label="calm"), dataset, TASK)
    assert (ceiling.annotations, ceiling.outside, ceiling.disagreement.value) == (6, 3, 0)
    assert "Not counted: 3 annotations with a label" in ceiling._repr_html_()


def test_a_stratum_without_answers_is_spoken_of() -> None:
    """Where all of a stratum failed, the figures are of the others, and a note says how much is missing."""
    design = Design("stratified", strata=(Stratum("a", 100, 10), Stratum("b", 9900, 10)))
    dataset = replace(_two_people(20, (), stratum=lambda number: "a" if number < 10 else "b"), design=design)
    answers = [
        Prediction(f"c{i}", "c@1", TASK.name, label="calm")
        if i < 10
        else Prediction(f"c{i}", "c@1", TASK.name, error=ErrorInfo("timeout", "too late"))
        for i in range(20)
    ]
    ceiling = annotator_ceiling(Predictions(answers), dataset, TASK)
    assert any("99 % of the population" in said for said in ceiling.unseen)
    assert "99 % of the population" in ceiling._repr_html_()


def test_annotations_come_back_from_a_labels_file(tmp_path: Path) -> None:
    """What single people said is written and read like the label itself."""
    dataset = _voted(6, 3, 0.9)
    write_conversations(tmp_path / "c.jsonl", dataset.conversations.values())
    write_examples(tmp_path / "l.jsonl", dataset.examples)
    read = load_dataset_files("voted", tmp_path / "c.jsonl", tmp_path / "l.jsonl", dataset.design)
    assert read.examples == dataset.examples
    assert read.content_hash == dataset.content_hash


def test_a_probe_taught_by_annotations_gives_their_shares() -> None:
    """Taught by labels it is surer than people are; taught by annotations its score is their share."""
    dataset = _voted(240, 10, 0.7)
    items = [example.item for example in dataset.examples]
    means = {}
    for learn_from in ("label", "annotations"):
        probe = ProbeClassifier(TASK, features=["tfidf"], learn_from=learn_from).fit(dataset)  # type: ignore[arg-type]
        scores = np.array(probe.predict(dataset.conversations, items).column("score"))
        means[learn_from] = float(scores[::3].mean())
    assert means["annotations"] == pytest.approx(0.7, abs=0.05)
    assert means["label"] > 0.8


def test_an_unknown_way_to_learn_is_refused() -> None:
    """The message names what can be learned from."""
    with pytest.raises(ConfigError, match="label, annotations"):
        ProbeClassifier(TASK, learn_from="votes").fit(_voted(30, 3, 0.9))  # type: ignore[arg-type]


def test_check_finds_annotations_that_do_not_fit() -> None:
    """Labels outside the task, and one person who stands twice at one example."""
    dataset = _voted(12, 3, 0.9)
    wrong = (Annotation("p1", TASK.name, "furious"), Annotation("p1", TASK.name, "calm"))
    examples = (replace(dataset.examples[0], annotations=wrong), *dataset.examples[1:])
    found = check(replace(dataset, examples=examples), task=TASK)
    outside, twice = found.of("annotations_outside_task"), found.of("annotators_twice")
    assert outside is not None and "furious" in outside.sentence
    assert twice is not None and twice.count == 1


def test_evaluate_shows_the_ceiling_where_there_are_several_annotators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table stands under the figures, and in the JSON."""
    dataset = _voted(40, 4, 0.9)
    write_conversations(tmp_path / "c.jsonl", dataset.conversations.values())
    write_examples(tmp_path / "l.jsonl", dataset.examples)
    (tmp_path / "llmclf.toml").write_text("version = 1\n")
    for folder in ("tasks", "classifiers", "datasets"):
        (tmp_path / "configs" / folder).mkdir(parents=True)
    (tmp_path / "configs/tasks/upset.toml").write_text(
        'version = 1\nquestion = "Upset?"\n[labels.upset]\nrole = "target"\ndefinition = "Upset."\n'
        '[labels.brisk]\nrole = "adjacent"\ndefinition = "Brisk."\n'
        '[labels.calm]\nrole = "clean"\ndefinition = "Calm."\n'
    )
    (tmp_path / "configs/classifiers/words.toml").write_text(
        'version = 1\nkind = "keyword"\ntask = "upset"\n[[rules]]\nlabel = "upset"\nuser = ["terrible"]\n'
    )
    (tmp_path / "configs/datasets/voted.toml").write_text(
        'version = 1\nconversations = "../../c.jsonl"\nlabels = "../../l.jsonl"\n'
    )
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(app, ["evaluate", "words", "--dataset", "voted"])
    assert shown.exit_code == 0, shown.output
    assert "40 examples with several annotators" in " ".join(shown.output.split())
    as_json = CliRunner().invoke(app, ["evaluate", "words", "--dataset", "voted", "--json"])
    assert json.loads(as_json.stdout)["annotators"]["n"] == 40
