"""`llmclf status` for people: one screen, 80 columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from llmclf.cli.common import show

_MOST_ROWS = 8


def show_status(found: Mapping[str, Any]) -> None:
    """Prints what `workspace.status` found."""
    activity = found["activity"]
    size = f" ({activity['store']['bytes'] / 1e6:.1f} MB)" if activity else " (not there yet)"
    typer.echo(f"store   {found['store']}{size}")
    for name, here in found["local_models"].items():
        typer.echo(f"local   {name}: {'weights are here' if here else f'llmclf models pull {name}'}")
    if activity:
        typer.echo(f"\nSince {activity['since'][:16].replace('T', ' ')} UTC")
        _show_traffic(activity["traffic"])
        _show_failures(activity["failures"])
        _show_spend(activity["spend"])
        _show_runs(activity["runs"])
    typer.echo("\nnext    " + "\n        ".join(found["next"]))


def _show_traffic(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        typer.echo("no predictions")
        return
    # a probe under cross-validation has one id for each fold; a person thinks of it as one
    named: dict[tuple[str, bool], Counter[str]] = {}
    for row in rows:
        counts = named.setdefault((row["classifier_id"].partition("@")[0], row["simulated"]), Counter())
        counts.update({name: row[name] for name in ("predictions", "flagged", "answered", "failed")})
    table = _table("classifier", "items", "flagged", "rate", "failed", "")
    for (name, simulated), counts in list(named.items())[:_MOST_ROWS]:
        rate = f"{counts['flagged'] / counts['answered']:.2%}" if counts["answered"] else ""
        items, flagged, failed = (str(counts[key]) for key in ("predictions", "flagged", "failed"))
        table.add_row(name, items, flagged, rate, failed, "simulated" if simulated else "")
    show(table, False)
    _say_more(list(named))


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
    table = _table("run", "kind", "started", "state", "why")
    for row in rows[:_MOST_ROWS]:
        started = str(row["started_at"])[:16].replace("T", " ")
        table.add_row(row["run_id"][:16], row["kind"], started, row["state"], row["why"] or "")
    typer.echo("")
    show(table, False)
    _say_more(rows)


def _say_more(rows: Sequence[Any]) -> None:
    if len(rows) > _MOST_ROWS:
        typer.echo(f"and {len(rows) - _MOST_ROWS} more: --json lists all")


def _table(*titles: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold", justify="right" if title in ("items", "flagged", "failed") else "left")
    return table
