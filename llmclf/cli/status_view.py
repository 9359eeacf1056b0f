"""`llmclf status` for people: one screen, 80 columns."""

from __future__ import annotations

import shutil
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from llmclf.cli.common import show
from llmclf.cli.runs_view import RunsView
from llmclf.render.conversation import for_terminal
from llmclf.render.tables import counted

_MOST_ROWS = 8
_STATES = {"not_calibrated": " (missed its bar)", "cant_tell": " (can't tell yet)"}
_FILES = {
    "changed": "; the judge has changed since",
    "broken": "; its file is broken: llmclf check",
    "gone": "; its file is gone",
}
_NUMBERS = ("items", "from store", "flagged", "rate", "failed")


def show_status(found: Mapping[str, Any]) -> None:
    """Prints what `workspace.status` found."""
    activity = found["activity"]
    size = f" ({activity['store']['bytes'] / 1e6:.1f} MB)" if activity else " (not there yet)"
    typer.echo(f"store   {found['store']}{size}")
    for name, here in found["local_models"].items():
        typer.echo(f"local   {name}: {'weights are here' if here else f'llmclf models pull {name}'}")
    _show_sessions(found["sessions"])
    _show_judges(found["judges"])
    _show_anomalies(found["anomalies"])
    if activity:
        typer.echo(f"\nSince {activity['since'][:16].replace('T', ' ')} UTC")
        _show_traffic(activity["traffic"])
        _show_failures(activity["failures"])
        _show_measured(activity["measured"])
        _show_spend(activity["spend"])
        _show_runs(activity["runs"])
    typer.echo(for_terminal("\nnext    " + "\n        ".join(found["next"])))


def _show_sessions(rows: Sequence[Mapping[str, Any]]) -> None:
    """Who is how far in each open session, and what waits for the adjudicator."""
    for row in rows[:_MOST_ROWS]:
        people = ", ".join(f"{name} {row['done'][name]:,}/{row['total'][name]:,}" for name in row["annotators"])
        waiting = row["to_adjudicate"] if row["adjudicator"] else 0
        decide = f"; {counted(waiting, 'case')} for {row['adjudicator']} to decide" if waiting else ""
        done = "; nothing is left to label" if row["next"] != "label" else ""
        _say("session", f"{row['id']}: {people}{decide}{done}")
    _say_more(rows)


def _show_judges(rows: Sequence[Mapping[str, Any]]) -> None:
    """The judges whose judgments are in the store, with their stamps."""
    for row in rows[:_MOST_ROWS]:
        stamps = f"{row['calibration']}{_STATES.get(row['state'], '')}{', SIMULATED' * row['simulated']}"
        _say("judge", f"{row['id']}: {counted(row['cases'], 'case')}, {stamps}{_FILES.get(row['file'], '')}")
    _say_more(rows)


def _show_anomalies(rows: Sequence[Mapping[str, Any]]) -> None:
    """What the last look at the reasons found strange."""
    for row in rows[:_MOST_ROWS]:
        name = f"{row['name']}: " if row["name"] else ""
        until = row["until"][:16].replace("T", " ")
        _say("reasons", f"{name}{row['sentence']} (until {until} UTC{', SIMULATED' * row['simulated']})")
    _say_more(rows)


def _say(head: str, text: str) -> None:
    """A line under a word, wrapped between words: what is to be copied stays whole."""
    lines = textwrap.wrap(
        for_terminal(text),
        shutil.get_terminal_size().columns,
        initial_indent=f"{head:8}",
        subsequent_indent=" " * 8,
        break_long_words=False,
        break_on_hyphens=False,
    )
    typer.echo("\n".join(lines))


def _show_traffic(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        typer.echo("nothing was classified")
        return
    typer.echo("classified (sweeps and evaluations are counted below)")
    names = Counter(name for name, _ in {(_name(row), row["classifier_id"]) for row in rows})
    table = _table("classifier", "items", "from store", "flagged", "rate", "failed", "")
    for row in rows[:_MOST_ROWS]:
        name = _name(row) if names[_name(row)] == 1 else row["classifier_id"]
        rate = f"{row['flagged'] / row['answered']:.2%}" if row["answered"] else ""
        items, cached, flagged, failed = (str(row[key]) for key in ("predictions", "cached", "flagged", "failed"))
        table.add_row(name, items, cached, flagged, rate, failed, "simulated" if row["simulated"] else "")
    show(table, False)
    _say_more(rows)


def _name(row: Mapping[str, Any]) -> str:
    return str(row["classifier_id"]).partition("@")[0]


def _show_measured(rows: Sequence[Mapping[str, Any]]) -> None:
    """Sweeps and evaluations, a line for each kind."""
    for row in rows:
        kind = {"sweep": "sweep", "evaluate": "evaluation"}[row["kind"]]
        text = f"measured: {counted(row['predictions'], 'item')} in {counted(row['runs'], kind)}"
        text += f", {row['failed']} failed" if row["failed"] else ""
        typer.echo(text + (" (simulated)" if row["simulated"] else ""))


def _show_failures(rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        kinds = [f"{row['error_kind']} {row['predictions']}{' (simulated)' * row['simulated']}" for row in rows]
        typer.echo(f"failed: {', '.join(kinds)}")


def _show_spend(rows: Sequence[Mapping[str, Any]]) -> None:
    for simulated, title in ((False, "spent"), (True, "simulated dollars")):
        own = [row for row in rows if row["simulated"] is simulated]
        if not own:
            continue
        usd, calls = sum(row["usd"] or 0.0 for row in own), sum(row["calls"] for row in own)
        text = f"{title}: ${usd:.4f} in {calls} calls"
        for name, words in (("unknown_cost", "of unknown cost"), ("possibly_billed", "failed but possibly billed")):
            count = sum(row[name] or 0 for row in own)
            text += f"; {count} {words}" if count else ""
        typer.echo(text)


def _show_runs(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    typer.echo("")
    show(RunsView(rows[:_MOST_ROWS], id_digits=16), False)
    _say_more(rows)


def _say_more(rows: Sequence[Any]) -> None:
    if len(rows) > _MOST_ROWS:
        typer.echo(f"and {len(rows) - _MOST_ROWS} more: --json lists all")


def _table(*titles: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold", justify="right" if title in _NUMBERS else "left")
    return table
