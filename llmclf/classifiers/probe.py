"""The probe: logistic regression on words and static vectors, trained on the user's own labels.

Runs offline in milliseconds, costs nothing, and is what a dearer classifier has to beat. Measured
on one public set it was as good as one crowd annotator at about a thousand labels, and much worse
on a bot that it had not seen.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np

from llmclf.classifiers.base import Classifier
from llmclf.classifiers.items import conversation_of, holds_nothing, rest_label
from llmclf.classifiers.probe_features import (
    ItemTexts,
    TextVectors,
    count_features,
    embedding_features,
    read_item,
    term_counts,
)
from llmclf.classifiers.probe_file import read_probe, write_probe
from llmclf.classifiers.probe_model import Features, Origin, ProbeModel, Vocabulary, build_vocabulary
from llmclf.classifiers.probe_training import TrainingSet, train
from llmclf.embedding import static_embedder
from llmclf.errors import ConfigError
from llmclf.types import Conversation, Dataset, Example, Item, Prediction, Predictions, Task, groups_of, item_hash

Feature = Literal["tfidf", "embedding", "counts"]
LearnFrom = Literal["label", "annotations"]
FEATURES: tuple[Feature, ...] = get_args(Feature)

_MIN_ITEMS = 2
_MAX_TERMS = 30_000
_REASON_TERMS = 3


class ProbeClassifier(Classifier):
    """Logistic regression over TF-IDF, and over static vectors with a few counts; their mean is scaled.

    `features`: which of `tfidf`, `embedding`, `counts`. `regularization`: more than 1 trusts the
    data less. `seed` deals groups into folds. `threshold` None is 0.5: the cheapest where a miss
    costs as much as a false alarm; set it from your own costs or from a run.

    `learn_from` "annotations" learns from what each annotator said, an example counting as often as one that has
    a label alone; its score is then the share of people who would say the target.

    `fit` weighs each example by 1 / inclusion probability and never by class. Platt's scaling is
    fitted on out-of-fold logits with groups kept whole, so `score` is the chance of the target at
    the training set's (weighted) prevalence, which is `probabilities_at`. That chance stays right
    only for traffic with the same share of targets.

    The label is the target where it is flagged; else the likeliest other label by a multinomial
    regression on the same features, or the task's clean label where there is only one to learn.
    """

    kind = "probe"

    def __init__(
        self,
        task: Task,
        *,
        features: Sequence[Feature] = FEATURES,
        regularization: float = 1.0,
        learn_from: LearnFrom = "label",
        seed: int = 0,
        threshold: float | None = None,
        name: str = "",
    ) -> None:
        super().__init__(task, name=name, threshold=0.5 if threshold is None else threshold)
        self.features = tuple(features)
        self.regularization = regularization
        self.learn_from = learn_from
        self.seed = seed
        self.model_: ProbeModel | None = None

    @property
    def settings(self) -> Mapping[str, Any]:
        """The constructor's arguments that change an answer, as JSON types."""
        return {
            "features": list(self.features),
            "regularization": self.regularization,
            "learn_from": self.learn_from,
            "seed": self.seed,
        }

    @property
    def learned(self) -> str:
        """A hash of what `fit` learned; empty before."""
        return self.model_.digest if self.model_ is not None else ""

    def fit(self, dataset: Dataset) -> Self:
        """Learns from the examples of `dataset` that carry a label of this task.

        Examples whose conversation (or turn) holds nothing are left out: they are failed runs.
        Raises ConfigError for settings that can't be or labels outside the task, DataError for too
        few positives.
        """
        self._check_settings()
        labelled = dataset.for_task(self.task.name)
        for label in sorted({label for example in labelled.examples for label, _ in self._said(example)}):
            self.task.check_label(label)
        usable = labelled.where(lambda e: not holds_nothing(labelled.conversation(e), self.task, e.item))
        vectors = TextVectors()
        texts = [read_item(usable.conversation(example), self.task, example.item) for example in usable.examples]
        terms = [self._terms(item) for item in texts]
        vocabulary = build_vocabulary(terms, min_items=_MIN_ITEMS, max_terms=_MAX_TERMS)
        features = [self._features(item, own, vocabulary, vectors) for item, own in zip(texts, terms, strict=True)]
        groups = groups_of(usable.examples)
        said = [(place, *one) for place, example in enumerate(usable.examples) for one in self._said(example)]
        data = TrainingSet(
            items=[features[place] for place, _, _ in said],
            vocabulary=vocabulary,
            labels=[label for _, label, _ in said],
            weights=np.array([usable.examples[place].weight * share for place, _, share in said]),
            groups=[groups[place] for place, _, _ in said],
            size=len(usable),
            target=self.task.target,
            where=f"dataset {dataset.name}, task {self.task.name}",
        )
        origin = Origin(
            labelled.content_hash,
            len(usable),
            usable.labels(self.task.name).count(self.task.target),
            _versions(),
            tuple(sorted({item_hash(usable.conversation(example), example.turn) for example in usable.examples})),
        )
        self.model_ = train(
            data,
            use_words="tfidf" in self.features,
            use_vectors=self.features != ("tfidf",),
            regularization=self.regularization,
            seed=self.seed,
            origin=origin,
        )
        return self

    def predict(self, conversations: Mapping[str, Conversation], items: Sequence[Item]) -> Predictions:
        """One prediction for each item, in order. Raises ConfigError before `fit` or `load`."""
        model, classifier_id, vectors = self._model(), self.id, TextVectors()
        made: list[Prediction] = []
        for item in items:
            started = time.perf_counter()
            conversation = conversation_of(conversations, item)
            if holds_nothing(conversation, self.task, item):
                made.append(self.failed(item, self.empty_error))
                continue
            texts = read_item(conversation, self.task, item)
            features = self._features(texts, self._terms(texts), model.vocabulary, vectors)
            made.append(self._prediction(item, classifier_id, model, features, started))
        return Predictions(made)

    def explain(self, conversation: Conversation, turn: int | None = None) -> list[tuple[str, float]]:
        """The terms of one item that moved the word regression's logit, strongest first.

        A term is `field:words`; above 0 it speaks for the target. Vectors and counts have no such
        reading. Empty without the feature `tfidf`.
        """
        item = Item(conversation.id, turn)
        model = self._model()
        texts = read_item(conversation, self.task, item)
        features = self._features(texts, self._terms(texts), model.vocabulary, TextVectors())
        return _contributions(model, features)

    def save(self, path: Path | str, *, git_sha: str = "") -> None:
        """Writes what was learned to one file that `load` reads back. No pickle.

        `git_sha` is written down beside the dataset's hash, the seed and the versions of the
        libraries. The same of all of these gives the same bytes. Raises DataError where the file
        can't be written.
        """
        settings = {**self.settings, "threshold": self.threshold}
        write_probe(Path(path), self._model(), self.task, settings, git_sha)

    @classmethod
    def load(
        cls, path: Path | str, task: Task | None = None, *, threshold: float | None = None, name: str = ""
    ) -> Self:
        """The classifier that `save` wrote. A `task` given must have the file's name, unit and labels.

        `threshold` replaces the one it was saved with.

        Raises DataError for a file that is truncated, foreign or from a newer llmclf, ConfigError
        where it was trained for another task.
        """
        model, settings, trained_for = read_probe(Path(path), task)
        if threshold is not None:
            settings["threshold"] = threshold
        made = cls(task or trained_for, name=name, **settings)
        made.model_ = model
        return made

    def _prediction(
        self, item: Item, classifier_id: str, model: ProbeModel, features: Features, started: float
    ) -> Prediction:
        score = model.probability(features)
        flagged = score >= (self.threshold if self.threshold is not None else 0.5)
        shares = model.other_shares(features) or {rest_label(self.task): 1.0}
        label = self.task.target if flagged else max(shares, key=lambda name: shares[name])
        probabilities = dict.fromkeys(self.task.label_names, 0.0)
        probabilities |= {name: share * (1.0 - score) for name, share in shares.items()}
        probabilities[self.task.target] = score
        return Prediction(
            item.conversation_id,
            classifier_id,
            self.task.name,
            turn=item.turn,
            label=label,
            flagged=flagged,
            score=score,
            score_method="probe",
            threshold=self.threshold,
            probabilities=probabilities,
            probabilities_at=model.prevalence,
            rationale=_reason(model, features) if flagged else "",
            latency_seconds=time.perf_counter() - started,
            route="probe",
        )

    def _said(self, example: Example) -> list[tuple[str, float]]:
        """The labels to learn from an example and the share of it that each is: its own, or its annotators'."""
        blind = [one for one in example.annotations if one.task == self.task.name and one.blind is not False]
        votes = Counter(one.label for one in blind)
        if self.learn_from == "label" or not votes:
            return [(example.labels[self.task.name], 1.0)]
        return [(label, count / votes.total()) for label, count in sorted(votes.items())]

    def _terms(self, texts: ItemTexts) -> dict[str, Counter[str]]:
        return term_counts(texts) if "tfidf" in self.features else {}

    def _features(
        self, texts: ItemTexts, terms: Mapping[str, Counter[str]], vocabulary: Vocabulary, vectors: TextVectors
    ) -> Features:
        indices, values = vocabulary.weigh(terms)
        dense = [np.zeros(0, np.float32)]
        if "embedding" in self.features:
            dense.append(embedding_features(texts, vectors))
        if "counts" in self.features:
            dense.append(count_features(texts, vectors))
        return Features(indices, values, np.concatenate(dense))

    def _model(self) -> ProbeModel:
        if self.model_ is None:
            raise ConfigError(
                "the probe has not learned anything yet",
                where=self.name,
                fix="call fit(dataset), or ProbeClassifier.load(path)",
            )
        return self.model_

    def _check_settings(self) -> None:
        problems = []
        unknown = [feature for feature in self.features if feature not in FEATURES]
        if unknown or not self.features:
            problems.append(f"features must be some of {', '.join(FEATURES)}; got {list(self.features)}")
        if self.learn_from not in get_args(LearnFrom):
            problems.append(f"learn_from must be one of {', '.join(get_args(LearnFrom))}; got {self.learn_from!r}")
        if not self.regularization > 0:
            problems.append(f"regularization must be above 0; got {self.regularization}")
        if problems:
            raise ConfigError("settings of the probe can't be used", where=self.name, problems=problems)


def _versions() -> dict[str, str]:
    names = ("numpy", "scikit-learn", "scipy", "wordllama")
    return {name: version(name) for name in names} | {"vectors": static_embedder().name}


def _contributions(model: ProbeModel, features: Features) -> list[tuple[str, float]]:
    if model.words is None:
        return []
    moved = model.words.coefficients[features.indices] * features.values
    pairs = [(model.vocabulary.terms[i], float(x)) for i, x in zip(features.indices, moved, strict=True)]
    return sorted(pairs, key=lambda pair: (-abs(pair[1]), pair[0]))


def _reason(model: ProbeModel, features: Features) -> str:
    strongest = [term for term, moved in _contributions(model, features) if moved > 0][:_REASON_TERMS]
    words = "; ".join(f"{field}: {text}" for field, _, text in (term.partition(":") for term in strongest))
    return f"words that count most for it: {words}" if words else ""
