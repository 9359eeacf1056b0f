"""Every classifier keeps the promises of `check_classifier`; and the check sees promises that are broken."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from llmclf.classifiers.base import Classifier
from llmclf.classifiers.conformance import check_classifier, small_dataset
from llmclf.classifiers.keyword import KeywordClassifier, KeywordRule
from llmclf.classifiers.probe import ProbeClassifier
from llmclf.types import Conversation, Dataset, Item, Prediction, Predictions, Task

ASKS = ("person", "somebody", "human")


def keyword(task: Task) -> Classifier:
    rules = [
        KeywordRule("refused", user=ASKS, unless_event=("transfer",)),
        KeywordRule("transferred", user=ASKS),
    ]
    return KeywordClassifier(task, rules)


@pytest.mark.parametrize("unit", ["conversation", "turn"])
def test_keyword_conforms(unit: str) -> None:
    """The keyword classifier keeps every promise, for conversations and for turns."""
    task, dataset = small_dataset(unit)
    check_classifier(keyword(task), dataset)


@pytest.mark.parametrize("unit", ["conversation", "turn"])
@pytest.mark.parametrize("features", [("tfidf",), ("embedding", "counts"), ("tfidf", "embedding", "counts")])
def test_probe_conforms(unit: str, features: Sequence[str]) -> None:
    """The probe keeps every promise, for each set of features."""
    task, dataset = small_dataset(unit)
    check_classifier(ProbeClassifier(task, features=features), dataset)


class Broken(Classifier):
    """A classifier that breaks one promise, by name."""

    kind = "broken"

    def __init__(self, task: Task, how: str = "", *, name: str = "", threshold: float | None = 0.5) -> None:
        super().__init__(task, name=name, threshold=threshold)
        self.how = how
        self.asked = 0

    @property
    def settings(self) -> Mapping[str, str]:
        return {} if self.how == "forgets its settings" else {"how": self.how}

    def fit(self, dataset: Dataset) -> Classifier:
        return Broken(self.task, self.how) if self.how == "fit returns another" else self

    def predict(self, conversations: Mapping[str, Conversation], items: Sequence[Item]) -> Predictions:
        self.asked += 1
        made = []
        for item in items:
            if conversations[item.conversation_id].is_empty and self.how != "empty is negative":
                made.append(self.failed(item, self.empty_error))
                continue
            good = Prediction(
                item.conversation_id,
                self.id,
                self.task.name,
                item.turn,
                label="neither",
                flagged=False,
                score=0.25,
                score_method="probe",
                threshold=self.threshold,
            )
            broken = {
                "label outside the set": {"label": "maybe"},
                "score above one": {"score": 1.5, "flagged": True},
                "flagged is not the score's": {"flagged": True},
                "no two answers alike": {"score": 0.001 * self.asked},
            }
            made.append(replace(good, **broken.get(self.how, {})))
        return Predictions(made[::-1] if self.how == "out of order" else made)


def test_a_sound_classifier_passes() -> None:
    """The smallest classifier that keeps its promises is not accused of anything."""
    task, dataset = small_dataset()
    check_classifier(Broken(task), dataset)


@pytest.mark.parametrize(
    "how",
    [
        "forgets its settings",
        "fit returns another",
        "empty is negative",
        "label outside the set",
        "score above one",
        "flagged is not the score's",
        "no two answers alike",
        "out of order",
    ],
)
def test_broken_promises_are_seen(how: str) -> None:
    """Each broken promise fails the check."""
    task, dataset = small_dataset()
    with pytest.raises(AssertionError):
        check_classifier(Broken(task, how), dataset)
