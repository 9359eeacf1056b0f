"""Conversations and labels to JSON Lines: whole or not at all, and read back as they were."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import Any

from llmclf.data.attachments import carried
from llmclf.data.files import atomic_writer
from llmclf.data.parse import T, parse_line
from llmclf.data.read import read_examples
from llmclf.errors import DataError, shorten
from llmclf.types import Conversation, Example
from llmclf.types.hashing import plain

_LISTED = 20


def write_conversations(path: str | Path, conversations: Iterable[Conversation], *, private: bool = False) -> int:
    """Writes one conversation a line (gzip for a name in .gz) and returns how many.

    The file takes its name only when it is complete. Every line is read back before it is kept:
    what can't be read again as it was (two with one id, NaN in metadata, an unknown speaker) is
    listed in a DataError, and no file is left. The bytes of attachments, where they are in memory or
    beside another file, are written to media/ beside this one. With `private` a new file is its owner's alone.
    """
    return _write(Path(path), conversations, Conversation, lambda conversation: conversation.id, private)


def write_examples(path: str | Path, examples: Iterable[Example]) -> int:
    """Writes one example a line and returns how many; as `write_conversations`."""
    return _write(Path(path), examples, Example, lambda example: example.item)


def add_examples(path: str | Path, examples: Sequence[Example]) -> int:
    """Adds examples to a labels file and returns how many it holds then.

    Raises DataError that lists every item that stands in both, or every bad line of the file; the
    file stays as it was.
    """
    path = Path(path)
    before = read_examples(path).examples
    known = {example.item for example in before}
    doubled = [shorten(str(example.item), 60) for example in examples if example.item in known]
    if doubled:
        shown = doubled[:_LISTED] + ([f"and {len(doubled) - _LISTED} more"] if len(doubled) > _LISTED else [])
        raise DataError(
            f"items that are labelled there already: {len(doubled)}",
            where=str(path),
            problems=shown,
            fix="take them out of one of the two",
        )
    return write_examples(path, (*before, *examples))


def _write(path: Path, values: Iterable[T], kind: type[T], key: Callable[[T], Hashable], private: bool = False) -> int:
    seen: set[Hashable] = set()
    problems: list[str] = []
    count = 0
    with atomic_writer(path, private=private) as file:
        for value in values:
            id = key(value)
            line, problem = _line(value, kind, path)
            if id in seen:
                problem = "its id stands twice"
            seen.add(id)
            if problem:
                problems.append(f"{shorten(str(id), 60)}: {problem}")
            file.write(line + b"\n")
            count += 1
        if problems:
            shown = problems[:_LISTED] + ([f"and {len(problems) - _LISTED} more"] if len(problems) > _LISTED else [])
            raise DataError(
                f"values that can't be written as they are: {len(problems)}", where=str(path), problems=shown
            )
    return count


def _line(value: T, kind: type[T], path: Path) -> tuple[bytes, str]:
    """The line for a value, and what is wrong with it (empty: nothing)."""
    try:
        row = plain(carried(value, path) if isinstance(value, Conversation) else value)
        line = _encoded(row)
    except DataError as error:
        return b"", str(error)
    except (TypeError, ValueError) as error:
        return b"", f"can't be written as JSON ({shorten(str(error), 60)})"
    back = parse_line(line, kind)
    if isinstance(back, list):
        return line, "; ".join(fault.what for fault in back[:3])
    return line, "" if plain(back) == row else "would be read back changed"


def _encoded(row: Any) -> bytes:
    text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half characters can only stand as \ud800
        return json.dumps(row, allow_nan=False).encode()
