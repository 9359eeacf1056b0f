"""Conversations and labels from JSON Lines: strict, every bad line listed, nothing lost."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from pathlib import Path

from llmclf.data.attachments import in_folder
from llmclf.data.files import byte_lines
from llmclf.data.parse import T, parse_line
from llmclf.data.problems import ExamplesResult, Fault, ReadLog, ReadResult, read_log
from llmclf.errors import DataError, shorten
from llmclf.types import Conversation, Dataset, Design, Example, dataset_of


def read_conversations(path: str | Path, *, rejects: str | Path | None = None) -> ReadResult:
    """The conversations of a JSON Lines file (gzip too), one object a line.

    Every bad line is listed with its number, what is wrong and at most 60 characters of what was
    got. With `rejects` the bad lines go to that file, as they stand and with the reasons, and the
    others are returned; without it any bad line raises DataError, which lists the first 20 and a
    count. A second line with the same id is a bad line. Blank lines are passed over. A file that
    holds nothing, or of which nothing can be read, raises DataError. Attachments' bytes stay where
    they are; `llmclf.media.attachment_bytes` reads them, from beside this file only.
    """
    path = Path(path)
    with read_log(str(path), path, _path(rejects)) as log:
        conversations = tuple(_values(path, log, Conversation, _conversation_key))
        log.finish(len(conversations))
    return ReadResult(
        conversations, tuple(log.problems), log.rejected, dict(log.unmapped), lost_conversations=log.rejected
    )


def iter_conversations(path: str | Path, *, rejects: str | Path | None = None) -> Iterator[Conversation]:
    """The good conversations of a file one by one, for files larger than memory.

    As `read_conversations`, but the DataError for bad lines comes after the last good one. Only
    the ids are kept.
    """
    path = Path(path)
    good = 0
    with read_log(str(path), path, _path(rejects)) as log:
        for conversation in _values(path, log, Conversation, _conversation_key):
            good += 1
            yield conversation
        log.finish(good)


def read_examples(path: str | Path, *, rejects: str | Path | None = None) -> ExamplesResult:
    """The examples of a labels file (JSON Lines, gzip too); as `read_conversations`.

    A second line about the same conversation and turn is a bad line.
    """
    path = Path(path)
    with read_log(str(path), path, _path(rejects)) as log:
        examples = tuple(_values(path, log, Example, _example_key))
        log.finish(len(examples))
    return ExamplesResult(examples, tuple(log.problems), log.rejected)


def load_dataset_files(
    name: str, conversations: str | Path, labels: str | Path | None = None, design: Design | None = None
) -> Dataset:
    """The dataset of a conversations file and (if given) a labels file, with the design of the labels.

    Raises DataError that lists every bad line, or every example about a conversation or turn that
    is not there.
    """
    read = read_conversations(conversations).conversations
    examples = read_examples(labels).examples if labels is not None else ()
    dataset = dataset_of(name, read, examples, design)
    problems = [problem for example in examples if (problem := missing_item(dataset, example))]
    if problems:
        shown = problems[:20] + ([f"and {len(problems) - 20} more"] if len(problems) > 20 else [])
        raise DataError(
            f"examples about something that is not in {conversations}: {len(problems)}",
            where=str(labels),
            problems=shown,
            fix="add the conversations, or take these lines out",
        )
    return dataset


def missing_item(dataset: Dataset, example: Example) -> str:
    """What an example speaks of that the dataset does not have; empty where all is there."""
    conversation = dataset.conversations.get(example.conversation_id)
    if conversation is None:
        return f"no conversation {shorten(example.conversation_id, 60)}"
    turns = [*example.evidence_turns, *([] if example.turn is None else [example.turn])]
    wrong = sorted({turn for turn in turns if not 0 <= turn < len(conversation.turns)})
    if wrong:
        count = len(conversation.turns)
        return f"conversation {shorten(conversation.id, 60)} has {count} turns (from 0), none numbered {wrong[:5]}"
    return ""


def _values(path: Path, log: ReadLog, kind: type[T], key: Callable[[T], Hashable]) -> Iterator[T]:
    seen: dict[Hashable, int] = {}
    for number, raw in byte_lines(path):
        if not raw.strip():
            continue
        value = parse_line(raw, kind)
        if isinstance(value, list):
            log.put_aside(number, value, raw)
            continue
        first = seen.setdefault(key(value), number)
        if first != number:
            log.put_aside(number, [Fault(f"the same id as line {first}", str(key(value)))], raw)
            continue
        yield value if isinstance(value, Example) else in_folder(value, path.parent)


def _conversation_key(conversation: Conversation) -> Hashable:
    return conversation.id


def _example_key(example: Example) -> Hashable:
    return example.item


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)
