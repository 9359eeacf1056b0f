"""`check`: everything that can be wrong with conversations and labels before a number is made of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from llmclf.data.checks.attachments import attachment_findings
from llmclf.data.checks.content import content_findings
from llmclf.data.checks.drift import drift_findings
from llmclf.data.checks.findings import SEVERITIES, Finding, Severity, counted, finding, visible
from llmclf.data.checks.labels import label_findings
from llmclf.data.checks.leakage import leakage_findings
from llmclf.data.checks.times import time_findings
from llmclf.data.problems import ReadResult
from llmclf.types import Conversation, Dataset, Task

_SHOWN = 10
_SHOWN_EMPTY = 60
"""Crashed conversations are named, not sampled."""
_COLORS: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "note": "cyan"}


@dataclass(frozen=True)
class CheckReport:
    """What `check` found, worst first."""

    findings: tuple[Finding, ...]
    conversations: int
    examples: int
    not_checked: tuple[str, ...] = ()
    """What was not looked at, because what it needs was not given."""

    @property
    def worst(self) -> Severity | None:
        """The severest finding's severity; None where nothing was found."""
        return min((found.severity for found in self.findings), key=SEVERITIES.index, default=None)

    def of(self, kind: str) -> Finding | None:
        """The finding of a kind, if there is one."""
        return next((found for found in self.findings if found.kind == kind), None)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON types, with every id."""
        return {
            "worst": self.worst,
            "conversations": self.conversations,
            "examples": self.examples,
            "findings": [found.to_dict() for found in self.findings],
            "not_checked": list(self.not_checked),
        }

    def to_json(self) -> str:
        """`to_dict()` as one JSON document."""
        return json.dumps(self.to_dict(), indent=2)

    def __rich__(self) -> Any:
        """A table for the terminal: one block for each finding, with up to ten ids (all crashed ones)."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        looked_at = f"{self.conversations} conversations, {self.examples} examples"
        if not self.findings:
            table: Any = Text(f"{looked_at}: nothing found", style="green")
        else:
            table = Table(title=looked_at, title_justify="left", show_lines=True, expand=False)
            table.add_column("", no_wrap=True)
            table.add_column("n", justify="right", no_wrap=True)
            table.add_column("what it means, and where", overflow="fold")
            for found in self.findings:
                words = Text(f"{found.kind}: ", style="bold").append(found.sentence, style="not bold")
                if examples := _examples(found):
                    words.append(f"\n{examples}", style="dim not bold")
                table.add_row(Text(found.severity, style=_COLORS[found.severity]), str(found.count), words)
        lines = [Text(f"not checked: {what}", style="dim") for what in self.not_checked]
        return Group(table, *lines)


def check(
    data: Dataset | ReadResult | Iterable[Conversation],
    *,
    earlier: Dataset | Iterable[Conversation] | None = None,
    splits: Mapping[str, Dataset] | None = None,
    task: Task | None = None,
    now: datetime | None = None,
) -> CheckReport:
    """Everything that looks wrong in conversations and their labels.

    Args:
        data: A dataset; or conversations alone; or what a reader returned, whose put-aside lines and
            unknown speakers are then told of as well.
        earlier: An earlier dataset to compare with: metadata, speakers and lengths that changed.
        splits: The parts of a split, to find what stands on both sides.
        task: The task whose labels are checked against its closed set.
        now: The time after which times are in the future; the clock's if not given, UTC if it has no zone.

    Changes nothing and raises nothing for bad data: all of it is in the report. 20,000
    conversations of some 400 words take about ten seconds.
    """
    dataset = data if isinstance(data, Dataset) else None
    given = _conversations(data)
    by_id = {conversation.id: conversation for conversation in given}
    everything = dict(by_id)
    for part in (splits or {}).values():
        everything.update(part.conversations)
    now = now or datetime.now(UTC)
    now = now if now.tzinfo else now.replace(tzinfo=UTC)
    exact, near = _duplicates(everything)
    pairs = _pairs([*([dataset] if dataset else []), *(splits or {}).values()])
    near = [group for group in near if not _all_paired(group, pairs)]
    found = [
        *(_reader_findings(data) if isinstance(data, ReadResult) else []),
        *_count_findings(given),
        *content_findings(given),
        *attachment_findings(given),
        *time_findings(given, now),
        *_duplicate_findings(exact, near, by_id),
        *(label_findings(dataset, task) if dataset else []),
        *(leakage_findings(splits, exact, near) if splits else []),
        *(drift_findings(by_id, {other.id: other for other in _conversations(earlier)}) if earlier is not None else []),
    ]
    found.sort(key=lambda one: SEVERITIES.index(one.severity))
    examples = len(dataset.examples) if dataset else 0
    return CheckReport(tuple(found), len(given), examples, tuple(_not_checked(dataset, earlier, splits, task)))


def _conversations(data: Dataset | ReadResult | Iterable[Conversation]) -> list[Conversation]:
    if isinstance(data, Dataset):
        return list(data.conversations.values())
    return list(data.conversations if isinstance(data, ReadResult) else data)


def _duplicates(conversations: Mapping[str, Conversation]) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    from llmclf.data.checks.duplicates import find_duplicates  # loads numpy

    found = find_duplicates(conversations)
    return list(found.exact), list(found.near)


def _reader_findings(read: ReadResult) -> list[Finding]:
    return [
        *finding(
            "bad_lines",
            "error",
            [str(problem) for problem in read.problems],
            "lines were put aside when the file was read; they are in the rejects file. Mend them and read again.",
            count=read.rejected,
        ),
        *finding(
            "unknown_speakers",
            "error",
            list(read.unmapped_speakers),
            f"turns have a speaker that is not mapped ({counted(read.unmapped_speakers)}); their conversations were "
            "put aside. Map each to user, bot, human_agent, system or tool.",
            count=sum(read.unmapped_speakers.values()),
        ),
    ]


def _count_findings(conversations: Sequence[Conversation]) -> list[Finding]:
    if not conversations:
        return [Finding("no_conversations", "error", 1, "the data holds no conversation at all.")]
    times = Counter(conversation.id for conversation in conversations)
    return finding(
        "duplicate_ids",
        "error",
        [id for id, count in times.items() if count > 1],
        "are ids of more than one conversation: labels can't tell them apart. Give each its own.",
    )


def _duplicate_findings(
    exact: Sequence[tuple[str, ...]], near: Sequence[tuple[str, ...]], own: Mapping[str, Conversation]
) -> list[Finding]:
    exact = [kept for group in exact if len(kept := tuple(id for id in group if id in own)) > 1]
    near = [kept for group in near if len(kept := tuple(id for id in group if id in own)) > 1]
    return [
        *finding(
            "duplicates",
            "warning",
            [id for group in exact for id in group[1:]],
            "are the same words as another conversation: they count twice and leak between splits. Remove the copies.",
            groups=exact,
        ),
        *finding(
            "near_duplicates",
            "note",
            [id for group in near for id in group[1:]],
            "share four fifths of their three-word phrases with another: a template, or a copy with other names. "
            "Give each such set one group, so that no split parts them.",
            groups=near,
        ),
    ]


def _pairs(datasets: Iterable[Dataset]) -> set[frozenset[str]]:
    return {
        frozenset((example.conversation_id, example.pair))
        for dataset in datasets
        for example in dataset.examples
        if example.pair
    }


def _all_paired(group: Sequence[str], pairs: set[frozenset[str]]) -> bool:
    """True where known pairs explain the whole group: their halves are meant to be alike."""
    return len(group) == 2 and frozenset(group) in pairs


def _not_checked(dataset: Dataset | None, earlier: object, splits: object, task: object) -> list[str]:
    missing = []
    if dataset is None or not dataset.examples:
        missing.append("labels (no examples were given)")
    elif task is None:
        missing.append("labels against a task (no task was given)")
    if earlier is None:
        missing.append("drift (no earlier dataset was given)")
    if not splits:
        missing.append("leakage (no split was given)")
    return missing


def _examples(found: Finding) -> str:
    limit = _SHOWN_EMPTY if found.kind == "empty_conversations" else _SHOWN
    texts = [_group_text(group) for group in found.groups] or [visible(id) for id in found.ids]
    if not texts:
        return ""
    rest = len(texts) - limit
    return ", ".join(texts[:limit]) + (f" and {rest} more" if rest > 0 else "")


def _group_text(group: Sequence[str]) -> str:
    return " = ".join(visible(id) for id in group[:4]) + (f" = {len(group) - 4} more" if len(group) > 4 else "")
