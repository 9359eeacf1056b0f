"""The words of a conversation taken out of a workspace: of its store, and of the anchors that judges are asked about.

Datasets that it was picked into are named. Files that were exported, or written anywhere else, are beyond reach.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llmclf.calibration.anchor_sets import anchor_set, read_anchors, write_anchors
from llmclf.errors import DataError, LlmclfError
from llmclf.render.provenance import read_provenance
from llmclf.store import Store
from llmclf.store.clusterings import Clusterings


@dataclass(frozen=True)
class ChangedAnchors:
    """A file of anchors that held words of the conversation."""

    path: str
    removed: int
    """Cases about the conversation."""
    left: int
    """Other cases; where there is none, the file is gone."""


@dataclass(frozen=True)
class Forgotten:
    """What was erased."""

    conversation: str
    cleared: dict[str, int]
    """Rows of the store, by table."""
    anchors: tuple[ChangedAnchors, ...]
    alerts: tuple[str, ...] = ()
    """Standing alerts that ended, as too few conversations are left of what they were made of."""
    datasets: tuple[str, ...] = ()
    """Files of the workspace that still hold the conversation, as somebody picked it for a dataset."""
    prompts: tuple[str, ...] = ()
    """Optimized prompts of the workspace that show items of the conversation."""

    @property
    def is_nothing(self) -> bool:
        """True where there was nothing of the conversation."""
        return not any(self.cleared.values()) and not (self.anchors or self.datasets or self.prompts)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        return {
            "conversation": self.conversation,
            "cleared": self.cleared,
            "anchors": [asdict(one) for one in self.anchors],
            "alerts": list(self.alerts),
            "datasets": list(self.datasets),
            "prompts": list(self.prompts),
        }


def forget(conversation: str, store: Store, workspace: Path) -> Forgotten:
    """Erases a conversation's words from the store and from every calibration/JUDGE/anchors.jsonl of the workspace.

    Alerts that end with it, and files of datasets that hold it still, are told. Other anchors stay, and what was
    judged of them. A file that can't be read or written keeps nothing else from
    being erased: DataError names all such files in the end. StoreError as of `Store.forget`.
    """
    changed: list[ChangedAnchors] = []
    problems: list[str] = []
    for path in sorted((workspace / "calibration").rglob("anchors.jsonl")):
        try:
            one = _taken_out(path, conversation)
        except (LlmclfError, OSError) as error:
            problems.append(f"{path}: {error.what if isinstance(error, LlmclfError) else error.strerror}")
            continue
        changed += [one] if one else []
    book = Clusterings(store)
    stood = [row["alert"] for row in book.alerts()]
    cleared = store.forget(conversation)
    stand = {row["alert"] for row in book.alerts()}
    if problems:
        raise DataError(
            "the store is cleared, but these anchors may still hold words of the conversation",
            where=str(workspace),
            problems=problems,
            fix="delete them, or take new ones: llmclf judge anchors JUDGE --from SESSION --anew",
        )
    ended = tuple(name for name in stood if name not in stand)
    picked, shown = _holding(workspace / "data", conversation), _showing(workspace / "prompts", conversation)
    return Forgotten(conversation, cleared, tuple(changed), ended, tuple(picked), tuple(shown))


def _holding(folder: Path, conversation: str) -> Iterator[str]:
    """The files of picked conversations that hold this one."""
    word = json.dumps(conversation, ensure_ascii=False)
    for path in sorted(folder.rglob("*.conversations.jsonl")):
        with suppress(OSError), path.open(encoding="utf-8", errors="replace") as lines:
            if any(word in line and _id_of(line) == conversation for line in lines):
                yield str(path)


def _showing(folder: Path, conversation: str) -> Iterator[str]:
    """The prompts that show an item of the conversation, by what stands beside them."""
    for path in sorted(folder.rglob("*.json")):
        prompt = path.with_suffix(".txt")
        with suppress(LlmclfError, OSError):
            if prompt.is_file() and conversation in read_provenance(path).conversations:
                yield str(prompt)


def _id_of(line: str) -> str:
    try:
        row = json.loads(line)
    except ValueError:
        return ""
    return str(row.get("id", "")) if isinstance(row, dict) else ""


def _taken_out(path: Path, conversation: str) -> ChangedAnchors | None:
    """The file without the conversation, written whole; None where it holds nothing of it."""
    found = read_anchors(path)
    kept = [case for case in found.cases if case.conversation_id != conversation]
    texts = {id: one for id, one in found.conversations.items() if id != conversation}
    if len(kept) == len(found.cases) and len(texts) == len(found.conversations):
        return None
    if kept:
        drawn = {case.id: found.drawn[case.id] for case in kept if case.id in found.drawn}
        write_anchors(
            anchor_set(path, found.judge, found.source, kept, texts, design=found.design, drawn=drawn), anew=True
        )
    else:
        path.unlink()
    return ChangedAnchors(str(path), len(found.cases) - len(kept), len(kept))
