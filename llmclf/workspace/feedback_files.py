"""Datasets of items that somebody picked: hard negatives, and what strange reasons came from."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from llmclf.config import DatasetFile, files
from llmclf.data.files import write_whole
from llmclf.data.read import read_conversations
from llmclf.data.write import write_conversations
from llmclf.errors import ConfigError, DataError
from llmclf.types import Conversation

_HAND_PICKED = ("unknown", "class_balanced")
"""Designs that say nothing of how items came into the set: picked ones spoil no rate."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")


def feedback_files(name: str, workspace: Path, *, where: str) -> tuple[Path, Path, Path]:
    """(dataset file, conversations, labels) of a dataset of the workspace, there or to be made.

    `where` is what somebody named it by, such as `--to`. ConfigError where the name is none, or the dataset of that
    name has no labels file or a design that says how its items were drawn.
    """
    folder = workspace / "configs" / "datasets"
    path = folder / f"{name}.toml"
    if not _NAME.fullmatch(name):
        raise ConfigError("not a name of a dataset", where=where, got=name, fix="use letters, digits, '_', '-' and '.'")
    if not path.is_file():
        data = workspace / "data"
        return path, data / f"{name}.conversations.jsonl", data / f"{name}.labels.jsonl"
    file: DatasetFile = files.load("dataset", path)
    if not file.labels:
        raise ConfigError(
            "the dataset has no labels file", where=str(path), fix=f"set `labels`, or name another {where}"
        )
    if file.design.kind not in _HAND_PICKED:
        raise ConfigError(
            "an item that somebody picked does not belong into a dataset whose design says how items were drawn",
            where=str(path),
            got=f"design {file.design.kind}",
            fix=f"name another {where}: one of design {' or '.join(_HAND_PICKED)}, or a new one",
        )
    return path, folder / file.conversations, folder / file.labels


@contextlib.contextmanager
def one_at_a_time(workspace: Path) -> Iterator[None]:
    """Waits until nobody else adds to a dataset of the workspace: what is read in the block stays so until its end.

    The folder itself is locked, so that no file is left; a kill ends the lock. Where the system or the file system
    has no such locks, two that add at once are as before: the last one's file stands.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    folder = os.open(workspace, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems lock no folder
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def add_conversations(path: Path, conversations: Iterable[Conversation], *, where: str) -> None:
    """Adds those that are not in the file yet; DataError where another one of the same id stands there.

    A new file is its owner's alone: like the store it holds what people wrote. Called within `one_at_a_time`.
    """
    before = read_conversations(path).conversations if path.is_file() else ()
    there = {one.id: one for one in before}
    wanted = {one.id: one for one in conversations}
    others = [id_ for id_, one in wanted.items() if id_ in there and there[id_].content_hash != one.content_hash]
    if others:
        raise DataError(
            "another conversation of that id stands there",
            where=str(path),
            got=others[0] if len(others) == 1 else others,
            fix=f"name another {where}",
        )
    new = [one for id_, one in wanted.items() if id_ not in there]
    if new:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_conversations(path, (*before, *new), private=True)


def write_dataset_file(path: Path, name: str, what: str, why: str) -> None:
    """Writes a dataset file of picked items; `what` they are stands in its first line, `why` they were picked below."""
    write_whole(
        path,
        f"# {what}\n"
        f"#   llmclf data check {name}\n"
        "version = 1\n"
        f'conversations = "../../data/{name}.conversations.jsonl"\n'
        f'labels = "../../data/{name}.labels.jsonl"\n\n'
        "[design]\n"
        'kind = "unknown"\n'
        f'note = "Picked because {why}: no rate follows from them."\n',
    )
