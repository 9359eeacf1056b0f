"""How clusterings, standing alerts and what was promoted look on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmclf.cli.reasons_view import MOST_QUOTES, Lines, moment
from llmclf.render.tables import counted
from llmclf.workspace.promoting import Promoted

_ID_DIGITS = 12


@dataclass(frozen=True)
class ClusteringsView(Lines):
    """Clusterings of a store, newest first."""

    rows: Sequence[Mapping[str, Any]]

    def to_dict(self) -> list[dict[str, Any]]:
        """The rows."""
        return [dict(row) for row in self.rows]

    def _lines(self) -> Iterator[tuple[str, int, str]]:
        if not self.rows:
            yield "nothing was clustered yet: llmclf reasons cluster", 0, ""
        for row in self.rows:
            stamp = " SIMULATED" if row["simulated"] else ""
            strange = f"{row['anomalies']} strange" if row["anomalies"] else "silence"
            found = {"anomaly": strange, "quiet": "nothing strange", "cant_tell": "can't tell"}[row["state"]]
            asked = {name: value for name, value in row["filter"].items() if name != "simulated"}
            about = ", ".join(f"{name} {_plain(value)}" for name, value in asked.items())
            window = f"{moment(row['since'])} to {moment(row['until'])}"
            text = f"{row['clustering_id'][:_ID_DIGITS]}  {window}  {counted(row['reasons'], 'reason')}, {found}{stamp}"
            yield text + (f"  ({about})" if about else ""), 0, ""


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@dataclass(frozen=True)
class AlertsView(Lines):
    """The alerts that stand."""

    rows: Sequence[Mapping[str, Any]]

    def to_dict(self) -> list[dict[str, Any]]:
        """The rows."""
        return [dict(row) for row in self.rows]

    def _lines(self) -> Iterator[tuple[str, int, str]]:
        if not self.rows:
            yield "no alert stands: llmclf reasons promote CLUSTER --as alert", 0, ""
        for row in self.rows:
            yield f"{row['alert']}   since {moment(row['created_at'])} UTC", 0, "bold"
            needs = counted(row["least_conversations"], "conversation")
            yield f"fires from {needs} of a window on that speak alike ({row['similarity']:.2f} similar)", 2, ""
            looks = f"fired in {counted(row['fired'], 'look')} at reasons, the last {moment(row['last'])} UTC"
            yield looks if row["fired"] else "never fired", 2, ""
            if not row["watched"]:
                yield f"NOT LOOKED FOR: {row['embedder']} made its vectors; promote it anew, or --end it", 2, "bold"
            if row["note"]:
                yield f"note: {row['note']}", 2, ""


@dataclass(frozen=True)
class PromotedView(Lines):
    """What became of a cluster."""

    promoted: Promoted

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return self.promoted.to_dict()

    def _lines(self) -> Iterator[tuple[str, int, str]]:
        one = self.promoted
        yield one.sentence, 0, "bold"
        if one.path is not None:
            yield f"dataset {one.path}", 0, ""
        if one.missing:
            named = ", ".join(one.missing[:MOST_QUOTES])
            more = len(one.missing) - MOST_QUOTES
            rest = f" and {more} more" if more > 0 else ""
            yield f"- without a conversation: {named}{rest}", 0, "dim"
        for note in one.notes:
            yield f"- {note}", 0, "dim"
        if one.next_command:
            yield one.next_command, 0, "cyan"
