"""A classifier for a backend's own tests: it answers what it is told, without a model, a key or a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from llmclf.classifiers.base import Classifier
from llmclf.config import load_task
from llmclf.errors import ERROR_KINDS, ConfigError, ErrorKind, ModelError, nearest
from llmclf.types import Conversation, Evidence, Item, Prediction, Predictions, Task

__all__ = ["FakeClassifier", "fake_classifier"]


def fake_classifier(
    task: str | Task,
    *,
    answers: Mapping[str, str] | None = None,
    errors: Mapping[str, ErrorKind] | None = None,
    default: str | None = None,
    workspace: str | Path | None = None,
) -> FakeClassifier:
    """A classifier that answers by conversation id (for turn tasks `id[turn]`, for instance `c1[3]`).

    `answers` maps ids to labels, `errors` maps ids to kinds of failure; everything else gets
    `default` (the task's first clean label). Predictions look like those of an llm classifier:
    a score, a quote, a rationale, a latency. Raises ConfigError for a label or kind that is not there.

    >>> fake = fake_classifier("refusal_to_transfer", errors={"c2": "timeout"})
    >>> fake.classify(Conversation("c2")).error.kind
    'timeout'
    """
    found = load_task(task, Path(workspace) if workspace is not None else None) if isinstance(task, str) else task
    clean = next(label.name for label in found.labels if label.role == "clean")
    for label in (*(answers or {}).values(), default or clean):
        found.check_label(label)
    unknown = sorted(set((errors or {}).values()) - set(get_args(ErrorKind)))
    if unknown:
        raise ConfigError(
            "there is no such kind of error", where="fake_classifier", got=unknown, fix=nearest(unknown[0], ERROR_KINDS)
        )
    return FakeClassifier(found, answers or {}, errors or {}, default or clean)


class FakeClassifier(Classifier):
    """Answers from a table; `seen` lists the items it was asked about, in order."""

    kind = "fake"

    def __init__(self, task: Task, answers: Mapping[str, str], errors: Mapping[str, ErrorKind], default: str) -> None:
        super().__init__(task, name=f"{task.name}-fake")
        self.answers = answers
        self.errors = errors
        self.default = default
        self.seen: list[Item] = []

    @property
    def settings(self) -> Mapping[str, Any]:
        """The tables."""
        return {"answers": dict(self.answers), "errors": dict(self.errors), "default": self.default}

    def predict(self, conversations: Mapping[str, Conversation], items: Sequence[Item]) -> Predictions:
        """What the tables say of each item, in order."""
        return Predictions(self._predicted(conversations[item.conversation_id], item) for item in items)

    def _predicted(self, conversation: Conversation, item: Item) -> Prediction:
        self.seen.append(item)
        kind = self.errors.get(str(item))
        if kind is not None:
            return self.failed(item, ModelError(kind, "told to fail", where="fake_classifier"), route="fake")
        label = self.answers.get(str(item), self.default)
        flagged = label == self.task.target
        last = len(conversation.turns) - 1
        quote = (Evidence(conversation.turns[last].text, last),) if flagged and last >= 0 else ()
        return Prediction(
            item.conversation_id,
            self.id,
            self.task.name,
            turn=item.turn,
            label=label,
            flagged=flagged,
            score=0.95 if flagged else 0.05,
            score_method="verbalized",
            threshold=self.threshold,
            evidence=quote,
            rationale="Told so by fake_classifier.",
            latency_seconds=0.0,
            route="fake",
        )
