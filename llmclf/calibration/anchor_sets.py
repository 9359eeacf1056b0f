"""The anchors of a judge as a file: calibration/NAME/anchors.jsonl, the same bytes for as long as it is in use.

The first line says whose they are, where they came from and the sha256 of every line after it; then come the design
they were drawn by, the conversations, and the cases, each with the stratum and the chance it was drawn with. It holds
customers' words in full, so it is written for its owner alone and belongs into the workspace, not into a repository
that others read; `llmclf store forget` takes conversations out of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from llmclf.calibration.desk import Desk
from llmclf.config.mistakes import validated
from llmclf.data.files import write_whole
from llmclf.errors import ConfigError, DataError
from llmclf.types import Case, Conversation
from llmclf.types.hashing import plain

VERSION = 1


@dataclass(frozen=True)
class Drawn:
    """How one anchor came into its session."""

    stratum: str = ""
    probability: float | None = None
    """That it was drawn."""


@dataclass(frozen=True)
class AnchorSet:
    """The cases that a judge is asked about again on every change, with the conversations they are about."""

    judge: str
    source: str
    """What they were taken from: a session's id, or the name of a file of cases."""
    cases: tuple[Case, ...]
    conversations: Mapping[str, Conversation]
    sha256: str
    """Of the file without its first line."""
    path: Path
    design: str = ""
    """How a session drew them: random, by_verdict, class_balanced; empty: somebody picked them."""
    drawn: Mapping[str, Drawn] = field(default_factory=dict)
    """By case."""

    @property
    def weights(self) -> dict[str, float] | None:
        """How much of the traffic each case stands for; None where they don't stand for it."""
        if self.unlike_traffic:
            return None
        return {case.id: 1 / (self._chance(case) or 1.0) for case in self.cases}

    @property
    def unlike_traffic(self) -> str:
        """Why they don't stand for the traffic; empty where they do."""
        if not self.design:
            return "they were picked by hand"
        if self.design == "class_balanced":
            return "they were drawn by their known label"
        if self.design != "random" and not all(self._chance(case) for case in self.cases):
            return "the chance that each had to be drawn is not known"
        return ""

    def _chance(self, case: Case) -> float | None:
        return self.drawn[case.id].probability if case.id in self.drawn else None


def anchors_path(workspace: Path | None, judge: str) -> Path:
    """Where the anchors of a judge are."""
    return (workspace or Path()) / "calibration" / judge / "anchors.jsonl"


def anchor_set(
    path: Path,
    judge: str,
    source: str,
    cases: Sequence[Case],
    conversations: Mapping[str, Conversation],
    *,
    design: str = "",
    drawn: Mapping[str, Drawn] | None = None,
) -> AnchorSet:
    """These cases as the anchors of `judge`, drawn by this design, or picked by hand; nothing is written.

    What is known to be true of a case is left out: it is no business of a judge's, or of whoever reads the file.
    """
    wanted = {case.conversation_id for case in cases}
    texts = {id_: conversations[id_] for id_ in sorted(wanted & conversations.keys())}
    kept = tuple(replace(case, label="") for case in cases)
    made = AnchorSet(judge, source, kept, texts, "", path, design, dict(drawn or {}))
    return replace(made, sha256=_sha256(_body(made)))


def write_anchors(anchors: AnchorSet, *, anew: bool = False) -> None:
    """Writes the file of these anchors, readable by its owner alone. The same anchors may be written twice.

    ConfigError where there are others and `anew` is not set: what was judged of those could not be compared any more.
    """
    if anchors.path.exists() and not anew and read_anchors(anchors.path).sha256 != anchors.sha256:
        raise ConfigError(
            "the judge has other anchors, and what was judged of them could not be compared any more",
            where=str(anchors.path),
            fix="leave --from out to judge those again, or say --anew",
        )
    count = len(anchors.cases)
    said = {"judge": anchors.judge, "source": anchors.source, "cases": count, "sha256": anchors.sha256}
    body = _body(anchors).decode("utf-8")
    write_whole(anchors.path, f"{json.dumps({'version': VERSION, **said}, ensure_ascii=False)}\n{body}", private=True)


def read_anchors(path: Path) -> AnchorSet:
    """The anchors of a file. ConfigError where there is none, DataError where a byte of it is not as it was written."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        raise ConfigError(
            "there are no anchors yet", where=str(path), fix="take them from a session or a file: --from SESSION"
        ) from None
    except OSError as error:
        raise DataError(f"can't be read: {error.strerror}", where=str(path)) from error
    said = _object(head, path, 1)
    if said.get("version") != VERSION or said.get("sha256") != _sha256(body):
        raise DataError(
            "the anchors are not as they were written; verdicts of other texts can't be compared",
            where=str(path),
            fix="bring the file back, or take new anchors with --from and --anew",
        )
    cases: list[Case] = []
    conversations: dict[str, Conversation] = {}
    drawn: dict[str, Drawn] = {}
    design = ""
    for number, line in enumerate(body.splitlines(), 2):
        row = {kind: _made(kind, value, path, number) for kind, value in _object(line, path, number).items()}
        if "conversation" in row:
            conversations[row["conversation"].id] = row["conversation"]
        elif "case" in row:
            cases.append(row["case"])
            drawn |= {row["case"].id: row["drawn"]} if "drawn" in row else {}
        design = row.get("design", design)
    return AnchorSet(
        str(said["judge"]), str(said["source"]), tuple(cases), conversations, str(said["sha256"]), path, design, drawn
    )


def _made(kind: str, value: Any, path: Path, number: int) -> Any:
    if kind not in _adapters():
        raise DataError("is nothing that anchors have", where=f"{path}, line {number}", got=kind)
    made, problems = validated(_adapters()[kind], value)
    if problems:
        raise DataError(f"is no {kind}", where=f"{path}, line {number}", problems=problems)
    return made


def anchors_of_session(desk: Desk, session_id: str) -> tuple[list[Case], dict[str, Conversation]]:
    """The test cases of a session with what people saw of their conversations; DataError where there are none.

    Cases whose words were erased are left out.
    """
    session = desk.session(session_id)
    wanted = {item.case.id: item.case for item in session.items if item.split == "test"}
    cases: dict[str, Case] = {}
    conversations: dict[str, Conversation] = {}
    for person in session.annotators:
        for ask in desk.asks(desk.seat_of(session.id, person)):
            case, seen = wanted.get(ask.case_id), ask.conversation
            if case is None:
                continue
            cases[case.id] = case
            kept = conversations.get(case.conversation_id)
            if seen is not None and (kept is None or len(seen.turns) > len(kept.turns)):
                conversations[case.conversation_id] = seen  # a later turn's case saw more of it
    if not cases:
        raise DataError("there is no test case to keep as an anchor", where=f"session {session.id}")
    return [case for case in wanted.values() if case.id in cases], conversations


def _object(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError("is no JSON", where=f"{path}, line {number}") from error
    if not isinstance(row, dict):
        raise DataError("is no JSON object", where=f"{path}, line {number}")
    return row


def _body(anchors: AnchorSet) -> bytes:
    rows: list[dict[str, Any]] = [{"design": anchors.design}]
    rows += [{"conversation": plain(one)} for one in anchors.conversations.values()]
    for case in anchors.cases:
        how = {"drawn": plain(anchors.drawn[case.id])} if case.id in anchors.drawn else {}
        rows.append({"case": plain(case), **how})
    text = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    return text.encode("utf-8", "replace")  # as files are written: a lone surrogate has no bytes


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@cache
def _adapters() -> Mapping[str, Any]:
    from pydantic import TypeAdapter

    types: Mapping[str, Any] = {"design": str, "case": Case, "drawn": Drawn, "conversation": Conversation}
    return {kind: TypeAdapter(type_) for kind, type_ in types.items()}
