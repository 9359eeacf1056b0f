"""Items of a cluster of reasons into a dataset, with where they come from; what stands there already is not added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from llmclf.classifiers.items import asked_with
from llmclf.data.loading import load_dataset
from llmclf.data.pasted import read_any
from llmclf.data.read import read_conversations, read_examples
from llmclf.data.write import write_examples
from llmclf.errors import ConfigError
from llmclf.store.moments import utc_text
from llmclf.types import Annotation, Conversation, Example, Item, Task
from llmclf.workspace.feedback_files import add_conversations, feedback_files, one_at_a_time, write_dataset_file

_FILES = (".jsonl", ".jsonl.gz", ".json", ".txt")


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of all items alike."""

    task: Task
    label: str | None
    """None: nobody has said."""
    by: str
    """Who says so; empty: not known."""
    history: str
    mode: str = ""
    """The failure mode that they show."""


@dataclass(frozen=True, slots=True)
class Picked:
    """Items that are to go into a dataset."""

    into: str
    items: Sequence[Item]
    """The most telling ones first."""
    said: Said
    most: int
    asked: Mapping[Item, Sequence[Mapping[str, int]]]
    """What their predictions were asked with, counted: `turns` and `characters`, as far as that is known."""


@dataclass(frozen=True, slots=True)
class Added:
    """What became of them."""

    dataset: str = ""
    path: Path | None = None
    added: int = 0
    """New ones, and those that got the failure mode."""
    there: int = 0
    """Stood there as they are."""
    missing: tuple[str, ...] = ()
    """Their conversation, or the turn in it, is not there."""
    beyond: int = 0
    """Left out beyond `most`."""
    otherwise: int = 0
    """Of those there: with another label."""
    unlabelled: int = 0
    """Of those that the dataset holds now: without a label of the task."""
    unlike: tuple[str, ...] = ()
    """Items whose conversation is not what their predictions were asked with, and how it differs."""

    @property
    def marked(self) -> int:
        """How many of them the dataset holds now."""
        return self.added + self.there


def add_picked(
    picked: Picked, conversations: str | Path | None, workspace: Path | None, problems: Sequence[str], *, where: str
) -> Added:
    """Adds the items whose conversation is in `conversations` (a file, or a dataset's name) or in the dataset itself.

    A turn stays a turn. ConfigError that lists `problems` and what is wrong with the files, before anything is written.
    Several that add at once wait for each other.
    """
    folder = workspace or Path()
    with one_at_a_time(folder):
        return _added(picked, conversations, folder, list(problems), where)


def _added(picked: Picked, conversations: str | Path | None, workspace: Path, wrong: list[str], where: str) -> Added:
    known: Mapping[str, Conversation] = {}
    path = held = labels = Path()
    try:
        path, held, labels = feedback_files(picked.into, workspace, where="--into")
        known = {one.id: one for one in read_conversations(held).conversations} if held.is_file() else {}
    except ConfigError as error:
        wrong.append(error.message)
    if conversations is None and not known:
        wrong.append("no conversations: give the file (or dataset) that has them (--conversations); the store has none")
    elif conversations is not None:
        try:
            known = {**_read(conversations, workspace), **known}
        except ConfigError as error:
            wrong.append(error.message)
    if wrong:
        raise ConfigError("its items can't go into a dataset", where=where, problems=wrong)
    there = [item for item in picked.items if _is_there(item, known)]
    chosen = there[: picked.most]
    made = _written(chosen, picked.said, known, held, labels) if chosen else Added()
    if chosen and not path.is_file():  # also where an earlier run was killed before it came to that
        write_dataset_file(path, picked.into, _what(picked.said), "what a classifier said of them was strange")
    missing = tuple(str(item) for item in picked.items if not _is_there(item, known))
    unlike = tuple(words for item in chosen if (words := _unlike(item, picked, known[item.conversation_id])))
    beyond = len(there) - len(chosen)
    return replace(made, dataset=picked.into, path=path, missing=missing, beyond=beyond, unlike=unlike)


def _unlike(item: Item, picked: Picked, conversation: Conversation) -> str:
    """How the conversation differs from what all predictions of the item were asked with; empty where it does not."""
    task, asked = picked.said.task, picked.asked.get(item, ())
    if not asked or (item.turn is None) != (task.unit == "conversation"):  # the task has changed since
        return ""
    now = asked_with(conversation, task, item, ())
    if any(all(now[name] == count for name, count in one.items()) for one in asked):
        return ""
    name, count = next((name, count) for name, count in asked[0].items() if now[name] != count)
    return f"{item} has {now[name]:,} {name}, asked with {count:,}"


def _read(source: str | Path, workspace: Path) -> dict[str, Conversation]:
    """Conversations of a file, in the workspace or the working folder, or of a dataset."""
    inside = workspace / source
    path = inside if inside.is_file() else Path(source)
    if path.is_file() and path.suffix != ".toml":
        return {one.id: one for one in read_any(path)}
    if str(source).endswith(_FILES):
        raise ConfigError("there is no such file", where="--conversations", got=str(source))
    return dict(load_dataset(str(source), workspace).conversations)


def _is_there(item: Item, known: Mapping[str, Conversation]) -> bool:
    one = known.get(item.conversation_id)
    return one is not None and (item.turn is None or 0 <= item.turn < len(one.turns))


def _written(items: Sequence[Item], said: Said, known: Mapping[str, Conversation], held: Path, labels: Path) -> Added:
    """Writes conversations first, then labels: a kill in between leaves no label without its conversation."""
    before = read_examples(labels).examples if labels.is_file() else ()
    rows = {one.item: one for one in before}
    added = there = otherwise = 0
    for item in items:
        old = rows.get(item)
        if old is None:
            rows[item] = _example(item, said)
            added += 1
            continue
        otherwise += said.label is not None and old.labels.get(said.task.name) != said.label
        if said.mode and said.mode not in old.failure_modes:
            rows[item] = replace(old, failure_modes=(*old.failure_modes, said.mode))
            added += 1
        else:
            there += 1
    if added:
        add_conversations(
            held, [known[one] for one in dict.fromkeys(item.conversation_id for item in items)], where="--into"
        )
        labels.parent.mkdir(parents=True, exist_ok=True)
        write_examples(labels, rows.values())
    unlabelled = sum(said.task.name not in rows[item].labels for item in items)
    return Added(added=added, there=there, otherwise=otherwise, unlabelled=unlabelled)


def _example(item: Item, said: Said) -> Example:
    """A label that somebody says of all items at once, having seen the classifier's reasons, is no blind vote."""
    voice = (
        (Annotation(said.by, said.task.name, said.label, note=said.history, blind=False, at=utc_text()),)
        if said.by and said.label is not None
        else ()
    )
    return Example(
        item.conversation_id,
        item.turn,
        labels={} if said.label is None else {said.task.name: said.label},
        source="feedback",
        failure_modes=(said.mode,) if said.mode else (),
        note=said.history,
        annotations=voice,
    )


def _what(said: Said) -> str:
    if said.mode:
        return f"Items whose reasons showed the failure mode {said.mode} of {said.task.name}."
    return f"Items whose reasons were strange, and of which {said.task.name} must stay quiet."
