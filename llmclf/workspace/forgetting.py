"""The words of a conversation taken out of a workspace: of its store, and of the anchors that judges are asked about.

Files that were exported, or written anywhere else, are beyond reach.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llmclf.calibration.anchor_sets import anchor_set, read_anchors, write_anchors
from llmclf.errors import DataError, LlmclfError
from llmclf.store import Store


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

    @property
    def is_nothing(self) -> bool:
        """True where there was nothing of the conversation."""
        return not any(self.cleared.values()) and not self.anchors

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        return {
            "conversation": self.conversation,
            "cleared": self.cleared,
            "anchors": [asdict(one) for one in self.anchors],
        }


def forget(conversation: str, store: Store, workspace: Path) -> Forgotten:
    """Erases a conversation's words from the store and from every calibration/JUDGE/anchors.jsonl of the workspace.

    The other anchors stay, and what was judged of them. A file that can't be read or written keeps nothing else from
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
    cleared = store.forget(conversation)
    if problems:
        raise DataError(
            "the store is cleared, but these anchors may still hold words of the conversation",
            where=str(workspace),
            problems=problems,
            fix="delete them, or take new ones: llmclf judge anchors JUDGE --from SESSION --anew",
        )
    return Forgotten(conversation, cleared, tuple(changed))


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
