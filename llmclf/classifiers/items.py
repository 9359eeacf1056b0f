"""What classifiers share about items: finding their conversation, and seeing that it holds nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from llmclf.errors import DataError
from llmclf.render.conversation import visible_turns
from llmclf.types import Conversation, Item, Prediction, Task


def conversation_of(conversations: Mapping[str, Conversation], item: Item) -> Conversation:
    """The conversation of `item`; DataError where it was not given."""
    try:
        return conversations[item.conversation_id]
    except KeyError:
        raise DataError(
            "an item is about a conversation that was not given", got=item.conversation_id, fix="pass it as well"
        ) from None


def holds_nothing(conversation: Conversation, task: Task, item: Item) -> bool:
    """True where no turn that may be seen holds anything: a failed run, not a clean one.

    A silent turn after others is no failure: that the bot said nothing can be what a label is
    about. Raises DataError where there is no such turn, or the task takes none.
    """
    if conversation.is_empty:
        return True
    return all(turn.is_empty for turn in visible_turns(conversation, task, item.turn))


def rest_label(task: Task) -> str:
    """The label of an item nothing speaks for: the clean one, or the last that is not the target."""
    clean = [label.name for label in task.labels if label.role == "clean"]
    return (clean or [name for name in reversed(task.label_names) if name != task.target])[0]


def with_fields(
    predictions: Iterable[Prediction], conversations: Mapping[str, Conversation], task: Task, names: Sequence[str]
) -> Iterator[Prediction]:
    """The predictions with what they were asked with: `turns`, `characters`, and the metadata called `names`."""
    for prediction in predictions:
        conversation = conversations[prediction.conversation_id]
        yield replace(prediction, fields=asked_with(conversation, task, prediction.item, names))


def asked_with(
    conversation: Conversation, task: Task, item: Item, names: Sequence[str]
) -> dict[str, str | int | float | bool | None]:
    """`turns` and `characters` that may be seen of an item, so that an empty one shows, and metadata by `names`."""
    turns = [turn for turn in visible_turns(conversation, task, item.turn) if not turn.is_empty]
    metadata = {name: conversation.metadata[name] for name in names if name in conversation.metadata}
    return {**metadata, "turns": len(turns), "characters": sum(len(turn.text) for turn in turns)}
