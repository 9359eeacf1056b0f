"""Dialogue breakdowns of DBDC3's revised English dialogues: detectors and people against the same annotators.

python benchmarks/dbdc3.py [--json] [--quick]

Cross-validated with dialogues kept whole. The probe learns the share of annotators who say O, T and X; a turn is
said to be X where its share of X is above a limit that gives, on scores of inner folds, as many X as annotators do.
Baselines: the most common label (with the mean shares), always T, and a bag of words (counts of words and pairs of
the turn and the one before, logistic regression), taught by the label most annotators say as the challenge's own
baseline was, and once more by all their votes. People are half of each turn's thirty annotators against the other
half; every detector is held against the same half, since half is noisier than all. Needs the public data (readers.py
says where from).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from common import Goal, finish, options
from dbdc3_measures import BREAKDOWN, MEASURES, POSSIBLE, Floats, Labels, majority, measures
from readers import BREAKDOWN_LABELS, BREAKDOWN_TASK, data_folder, read_dbdc3, votes
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from llmclf.classifiers.probe import ProbeClassifier
from llmclf.config import load_task
from llmclf.evaluation import cross_predict, folds
from llmclf.types import Dataset, Predictions

FOLDS, INNER_FOLDS, SPLITS, DRAWS, SEED = 5, 3, 20, 1000, 7
Rows = npt.NDArray[np.intp]
Said = tuple[Labels, Floats]
Arm = Callable[[Rows, Rows], Said]
BEST = "probe"
BEATEN = ("most common label", "bag of words", "bag of words, all votes")
SHOWN = ("F1(X)", "JSD(O,T,X)", "MSE(O,T,X)")


@dataclass(frozen=True)
class Turns:
    """The voted turns, row by row."""

    dataset: Dataset
    counts: npt.NDArray[np.intp]
    """(turns, 3) votes for O, T and X."""
    dialogue: npt.NDArray[np.intp]

    @classmethod
    def of(cls, dataset: Dataset) -> Turns:
        number = {id: place for place, id in enumerate(dataset.conversations)}
        return cls(
            dataset,
            np.array([votes(example) for example in dataset.examples], np.intp),
            np.array([number[example.conversation_id] for example in dataset.examples], np.intp),
        )

    @property
    def shares(self) -> Floats:
        return shares_of(self.counts)


def shares_of(counts: npt.NDArray[np.intp]) -> Floats:
    """Counts as shares of each row."""
    return np.asarray(counts / counts.sum(axis=1, keepdims=True), np.float64)


# --- detectors ------------------------------------------------------------------------------------------------


def constant(turns: Turns, label: int | None = None) -> Arm:
    """The same for every turn: the label most turns have (or `label`), and the mean shares."""

    def arm(train: Rows, test: Rows) -> Said:
        mean = turns.shares[train].mean(axis=0)
        most = int(np.bincount(majority(turns.shares[train]), minlength=3).argmax())
        return np.full(len(test), most if label is None else label, np.intp), np.tile(mean, (len(test), 1))

    return arm


def bag_of_words(turns: Turns, *, all_votes: bool) -> Arm:
    """Counts of words and pairs, and a logistic regression of three classes."""
    texts = []
    for example in turns.dataset.examples:
        conversation = turns.dataset.conversation(example)
        assert example.turn is not None
        said = conversation.turns[max(0, example.turn - 1) : example.turn + 1]
        texts.append(" ".join(turn.text for turn in said))

    def arm(train: Rows, test: Rows) -> Said:
        model = make_pipeline(CountVectorizer(ngram_range=(1, 2), min_df=2), LogisticRegression(C=0.1, max_iter=2000))
        if all_votes:
            rows, labels = np.nonzero(turns.counts[train])
            weights = turns.shares[train][rows, labels]
            model.fit([texts[train[row]] for row in rows], labels, logisticregression__sample_weight=weights)
        else:
            model.fit([texts[row] for row in train], majority(turns.shares[train]))
        shares = np.zeros((len(test), 3))
        shares[:, model.classes_] = model.predict_proba([texts[row] for row in test])
        return majority(shares), shares

    return arm


def probe(turns: Turns) -> Arm:
    """llmclf's probe on all annotations, and a limit for X by inner folds."""
    task = load_task(BREAKDOWN_TASK)

    def make() -> ProbeClassifier:
        return ProbeClassifier(task, learn_from="annotations")

    def arm(train: Rows, test: Rows) -> Said:
        known, asked = turns.dataset.pick(train), turns.dataset.pick(test)
        inner = shares_said(cross_predict(make, known, task, k=INNER_FOLDS, seed=SEED))
        limit = np.quantile(inner[:, BREAKDOWN], 1 - (majority(turns.shares[train]) == BREAKDOWN).mean())
        items = [example.item for example in asked.examples]
        shares = shares_said(make().fit(known).predict(asked.conversations, items))
        others = majority(np.where(np.arange(3) == BREAKDOWN, -1.0, shares))
        return np.where(shares[:, BREAKDOWN] > limit, BREAKDOWN, others).astype(np.intp), shares

    return arm


def shares_said(predictions: Predictions) -> Floats:
    """(n, 3) the probabilities of O, T and X."""
    names = list(BREAKDOWN_LABELS.values())
    return np.array([[chances[name] for name in names] for chances in predictions.column("probabilities")])


def cross_said(turns: Turns, arms: dict[str, Arm]) -> dict[str, Said]:
    """What each detector says of every turn when it has not learned from its dialogue."""
    said = {name: (np.zeros(len(turns.counts), np.intp), np.zeros(turns.counts.shape)) for name in arms}
    for fold in folds(turns.dataset, k=FOLDS, seed=SEED):
        train, test = np.array(fold.train, np.intp), np.array(fold.test, np.intp)
        for name, arm in arms.items():
            said[name][0][test], said[name][1][test] = arm(train, test)
    return said


# --- the table ------------------------------------------------------------------------------------------------


def halves(turns: Turns, splits: int) -> list[tuple[Floats, Floats]]:
    """(shares of some fifteen annotators, shares of the others) of each turn, drawn anew for each split."""
    rng = np.random.default_rng(SEED)
    made = []
    for _ in range(splits):
        some = np.array([rng.multivariate_hypergeometric(row, row.sum() // 2) for row in turns.counts])
        made.append((shares_of(some), shares_of(turns.counts - some)))
    return made


def mean_measures(pairs: list[tuple[Said, Floats]]) -> dict[str, float]:
    """The mean of each measure over pairs of what was said and what was wanted."""
    found = [measures(*said, wanted) for said, wanted in pairs]
    return {name: float(np.mean([one[name] for one in found])) for name in MEASURES}


def lead(turns: Turns, ours: Said, theirs: Said, draws: int) -> dict[str, tuple[float, float]]:
    """95 % interval of ours less theirs for each shown measure, over resampled dialogues."""
    rng, dialogues = np.random.default_rng(SEED), int(turns.dialogue.max()) + 1
    members = [np.flatnonzero(turns.dialogue == number) for number in range(dialogues)]
    found: dict[str, list[float]] = {name: [] for name in SHOWN}
    for _ in range(draws):
        rows = np.concatenate([members[number] for number in rng.integers(0, dialogues, dialogues)])
        wanted = turns.shares[rows]
        one = measures(ours[0][rows], ours[1][rows], wanted)
        other = measures(theirs[0][rows], theirs[1][rows], wanted)
        for name in SHOWN:
            found[name].append(one[name] - other[name])
    return {name: (float(low), float(high)) for name, (low, high) in _ends(found).items()}


def _ends(found: dict[str, list[float]]) -> dict[str, Any]:
    return {name: np.percentile(values, [2.5, 97.5]) for name, values in found.items()}


def main() -> None:
    chosen = options(__doc__)
    dataset = read_dbdc3(data_folder())
    if chosen.quick:
        keep = {name for place, name in enumerate(sorted(dataset.conversations)) if place % 6 == 0}
        dataset = dataset.where(lambda example: example.conversation_id in keep)
    turns = Turns.of(dataset)
    arms = {
        "most common label": constant(turns),
        "always T": constant(turns, POSSIBLE),
        "bag of words": bag_of_words(turns, all_votes=False),
        "bag of words, all votes": bag_of_words(turns, all_votes=True),
        BEST: probe(turns),
    }
    said = cross_said(turns, arms)
    divided = halves(turns, 2 if chosen.quick else SPLITS)
    whole = {name: measures(*one, turns.shares) for name, one in said.items()}
    half = {name: mean_measures([(one, rest) for _, rest in divided]) for name, one in said.items()}
    half["people"] = mean_measures([((majority(some), some), rest) for some, rest in divided])
    leads = {name: lead(turns, said[BEST], said[name], 50 if chosen.quick else DRAWS) for name in (*BEATEN, "always T")}
    if not chosen.json:
        print_table("against all annotators", whole)
        print_table("against half of them", half)
    figures: dict[str, Any] = {
        "turns": len(turns.counts),
        "dialogues": len(dataset.conversations),
        "turns most call X": int((majority(turns.shares) == BREAKDOWN).sum()),
        f"{BEST} less others, 95 % over dialogues": leads,
    }
    if chosen.json:
        figures |= {"against all annotators": whole, "against half of them": half}
    finish(figures, goals(whole, leads), chosen)


def goals(whole: dict[str, dict[str, float]], leads: dict[str, dict[str, tuple[float, float]]]) -> list[Goal]:
    """The probe beyond each baseline: by the figure and by the interval of the difference."""
    made = []
    for name in BEATEN:
        for measure in SHOWN:
            sign = 1 if measure.startswith("F1") else -1
            gain = sign * (whole[BEST][measure] - whole[name][measure])
            sure = min(sign * end for end in leads[name][measure])
            made.append(Goal(f"{measure}: {BEST} better than {name}, low end", "> 0", sure, gain > 0 and sure > 0))
    return made


def print_table(title: str, rows: dict[str, dict[str, float]]) -> None:
    """One row for each detector."""
    print(f"{title:26} " + " ".join(f"{name:>11}" for name in MEASURES))
    for name, found in rows.items():
        print(f"{name:26} " + " ".join(f"{found[measure]:11.3f}" for measure in MEASURES))
    print()


if __name__ == "__main__":
    main()
