"""One check of what every classifier promises, for our own and for anybody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from llmclf.classifiers.base import Classifier
from llmclf.errors import DataError
from llmclf.types import (
    Conversation,
    Dataset,
    Design,
    Event,
    Example,
    Item,
    Label,
    Prediction,
    Predictions,
    Task,
    Turn,
    Unit,
    canonical_json,
    dataset_of,
)
from llmclf.types.hashing import plain

_MEASURED = ("latency_seconds", "call_id", "cached", "usage", "cost_nano_usd")
"""Fields that may differ between two equal questions."""
_THREADS = 4
_TOLERANCE = 1e-9


def check_classifier(
    classifier: Classifier,
    dataset: Dataset,
    *,
    remake: Callable[[Mapping[str, Any]], Classifier] | None = None,
    most_items: int = 24,
) -> None:
    """Raises AssertionError with the first promise that `classifier` breaks.

    `classifier` is not fitted yet; it is fitted on `dataset`, whose examples carry labels of its
    task. `remake` makes a classifier from `settings`; by default the class is called with the task
    and the settings as keywords. At most `most_items` items are asked about, some of them often.
    """
    remake = remake or (lambda settings: type(classifier)(classifier.task, **settings))
    _check_settings(classifier, remake)
    before = classifier.id
    labelled = dataset.for_task(classifier.task.name)
    assert classifier.fit(labelled) is classifier, "fit must return the classifier itself"
    assert bool(classifier.learned) == (classifier.id != before), "the id must change with what was learned"
    _check_id(classifier)

    items = [example.item for example in labelled.examples[:most_items]]
    first = classifier.predict(labelled.conversations, items)
    assert [prediction.item for prediction in first] == items, "one prediction for each item, in order"
    for prediction in first:
        _check_prediction(classifier, prediction)
    _check_repeatable(classifier, labelled.conversations, items, first)
    _check_one_by_one(classifier, labelled.conversations, items[:3], first)
    _check_threads(classifier, labelled.conversations, items, first)
    _check_empty(classifier, labelled.conversations, items[0], first[0])
    _check_misuse(classifier, labelled.conversations[items[0].conversation_id], items[0])


def small_dataset(unit: Unit = "conversation") -> tuple[Task, Dataset]:
    """(a task with three labels, 60 short made-up conversations with them) to check a classifier on.

    Every third conversation has the target; two conversations share a group.
    """
    task = Task(
        "small_refusal",
        "Does the customer ask for a person and is refused?",
        (
            Label("refused", "target", "Asked for a person and was refused."),
            Label("transferred", "adjacent", "Asked for a person and was transferred."),
            Label("neither", "clean", "Did not ask for a person."),
        ),
        unit=unit,
        context="so_far" if unit == "turn" else "whole",
    )
    conversations, examples = [], []
    for number in range(60):
        label = task.label_names[number % 3]
        conversation = _small_conversation(f"small-{number}", label, number)
        conversations.append(conversation)
        turn = len(conversation.turns) - 1 if unit == "turn" else None
        group = f"group-{number // 6}-{number % 3}"
        examples.append(Example(conversation.id, turn, {task.name: label}, group=group, source="synthetic"))
    return task, dataset_of("small", conversations, examples, Design("random"))


_THINGS = ("parcel", "invoice", "router", "ticket", "card", "boiler", "booking", "refund", "contract", "parking permit")
_ASKS = ("I want to talk to a person about it.", "Please put me through to somebody.", "Can a human help me?")
_REFUSES = ("I am not able to connect you.", "No person is available for that.", "I can't do that, let us go on here.")
_TRANSFERS = ("Of course, I am passing you on.", "Sure, a colleague takes over now.", "One moment, connecting you.")
_HELPS = ("It arrives on Monday.", "I have sent it to you again.", "That is settled now, thank you.")


def _small_conversation(id: str, label: str, number: int) -> Conversation:
    thing, wording = _THINGS[number % len(_THINGS)], number // 3 % 3
    turns = [Turn("user", f"Hello, I have a question about my {thing}."), Turn("bot", f"What about the {thing}?")]
    if label == "neither":
        turns += [Turn("user", f"Where is the {thing}?"), Turn("bot", _HELPS[wording])]
    elif label == "refused":
        turns += [Turn("user", _ASKS[wording]), Turn("bot", _REFUSES[wording])]
    else:
        events = (Event("transfer", "support"),)
        turns += [Turn("user", _ASKS[wording]), Turn("bot", _TRANSFERS[wording], events=events)]
    return Conversation(id, tuple(turns))


def answer_of(prediction: Prediction) -> dict[str, Any]:
    """The prediction without what is measured: equal questions must have equal answers."""
    row: dict[str, Any] = plain(prediction)
    return {name: value for name, value in row.items() if name not in _MEASURED}


def _check_settings(classifier: Classifier, remake: Callable[[Mapping[str, Any]], Classifier]) -> None:
    settings = dict(classifier.settings)
    canonical_json(settings)  # raises where they are not JSON types
    again = remake(settings)
    assert canonical_json(dict(again.settings)) == canonical_json(settings), "settings must survive a round trip"
    again.name, again.threshold = classifier.name, classifier.threshold
    assert again.id == classifier.id, "equal settings must give an equal id"


def _check_id(classifier: Classifier) -> None:
    known, threshold = classifier.id, classifier.threshold
    assert known.startswith(f"{classifier.name}@"), "the id must start with name and @"
    classifier.threshold = 0.123 if threshold != 0.123 else 0.124
    changed = classifier.id
    classifier.threshold = threshold
    assert changed != known, "the id must change with the threshold"
    assert classifier.id == known, "the id must not change by itself"


def _check_prediction(classifier: Classifier, prediction: Prediction) -> None:
    about = f"prediction of {prediction.item}"
    assert prediction.classifier_id == classifier.id, f"{about}: another classifier's id"
    assert prediction.task == classifier.task.name, f"{about}: another task"
    assert (prediction.label is None) == prediction.failed, f"{about}: either a label or an error"
    if prediction.failed:
        assert prediction.flagged is None, f"{about}: a failed item is neither flagged nor not"
        return
    assert prediction.label in classifier.task.label_names, f"{about}: label outside the closed set"
    if prediction.score is not None:
        assert 0.0 <= prediction.score <= 1.0, f"{about}: score outside [0, 1]"
        assert prediction.score_method != "none", f"{about}: a score without a method"
    if prediction.score is not None and prediction.threshold is not None:
        assert prediction.flagged == (prediction.score >= prediction.threshold), f"{about}: flagged is not the score's"
    else:
        assert prediction.flagged == (prediction.label == classifier.task.target), (
            f"{about}: flagged is not the label's"
        )
    if prediction.probabilities is not None:
        assert set(prediction.probabilities) <= set(classifier.task.label_names), f"{about}: unknown label"
        assert abs(sum(prediction.probabilities.values()) - 1.0) < 1e-6, f"{about}: probabilities must sum to 1"
        assert prediction.probabilities_at is not None, f"{about}: probabilities at no named prevalence"


def _check_repeatable(
    classifier: Classifier, conversations: Mapping[str, Conversation], items: Sequence[Item], first: Predictions
) -> None:
    _check_same(first, classifier.predict(conversations, items), "the same questions asked again")
    backwards = classifier.predict(dict(reversed(list(conversations.items()))), items[::-1])
    _check_same(first, Predictions(reversed(backwards)), "the same questions in another order")


def _check_one_by_one(
    classifier: Classifier, conversations: Mapping[str, Conversation], items: Sequence[Item], first: Predictions
) -> None:
    for item, expected in zip(items, first, strict=False):
        conversation = conversations[item.conversation_id]
        _check_same([expected], [classifier.classify(conversation, item.turn)], "classify")
        awaited = asyncio.run(classifier.aclassify(conversation, item.turn))
        _check_same([expected], [awaited], "aclassify")


def _check_threads(
    classifier: Classifier, conversations: Mapping[str, Conversation], items: Sequence[Item], first: Predictions
) -> None:
    with ThreadPoolExecutor(_THREADS) as pool:
        answers = list(pool.map(lambda _: classifier.predict(conversations, items), range(_THREADS)))
    for answer in answers:
        _check_same(first, answer, "several threads")


def _check_empty(
    classifier: Classifier, conversations: Mapping[str, Conversation], item: Item, expected: Prediction
) -> None:
    """A conversation that holds nothing fails; the item beside it does not."""
    nothing = Conversation("conformance-nothing")
    silent = Conversation("conformance-silent", (Turn("user"), Turn("bot", "  ")))
    turn = None if classifier.task.unit == "conversation" else 1
    asked = [Item(silent.id, turn), item]
    if turn is None:
        asked.insert(0, Item(nothing.id))
    answers = classifier.predict({**conversations, nothing.id: nothing, silent.id: silent}, asked)
    for answer in list(answers)[:-1]:
        assert answer.error is not None, "a conversation that holds nothing must be an error, never a negative"
        assert answer.error.kind == "empty", "its error must be of kind `empty`"
        _check_prediction(classifier, answer)
    _check_same([expected], [answers[len(answers) - 1]], "an item beside an empty one")


def _check_misuse(classifier: Classifier, conversation: Conversation, item: Item) -> None:
    wrong = 0 if item.turn is None else None
    try:
        classifier.classify(conversation, wrong)
    except DataError:
        return
    raise AssertionError("a turn number must be refused for conversations, and asked for where the task is about turns")


def _check_same(expected: Sequence[Prediction], got: Sequence[Prediction], when: str) -> None:
    assert len(expected) == len(got), f"{when}: another number of predictions"
    for one, other in zip(expected, got, strict=True):
        close = one.score == other.score or (
            one.score is not None and other.score is not None and abs(one.score - other.score) < _TOLERANCE
        )
        assert close, f"{when}: {one.item} scored {one.score}, then {other.score}"
        unscored = [answer_of(replace(prediction, score=None, probabilities=None)) for prediction in (one, other)]
        assert unscored[0] == unscored[1], f"{when}: {one.item} answered differently: {unscored}"
