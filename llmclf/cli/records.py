"""spend, runs, store: what happened and what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from llmclf.cli.common import JsonOption, StoreOption, existing_store, show, tell

runs = typer.Typer(no_args_is_help=True, help="What was run, from what, with what result.")
store = typer.Typer(no_args_is_help=True, help="The store file: take out, or erase.")
_BY = {
    "day": "substr(sent_at, 1, 10)",
    "classifier": "classifier_id",
    "model": "model",
}


def spend(
    by: Annotated[str, typer.Option(help="day, classifier or model.")] = "model",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Dollars and calls, simulated ones apart."""
    from rich.table import Table

    from llmclf.errors import ConfigError, nearest

    if by not in _BY:
        raise ConfigError("can't group by that", where="--by", got=by, fix=nearest(by, list(_BY)))
    with _opened(store) as opened:
        rows = opened.query(
            f"SELECT {_BY[by]} AS {by}, simulated, count(*) AS calls, sum(cost_nano) / 1e9 AS usd, "  # noqa: S608
            "sum(cost_nano IS NULL) AS unknown, sum(possibly_billed) AS possibly_billed "
            "FROM calls GROUP BY 1, 2 ORDER BY usd DESC"
        )
    if as_json:
        show({"spend": rows}, True)
        return
    table = Table(by, "calls", "usd", "cost unknown", "possibly billed", "", box=None)
    for row in rows:
        usd = f"${row['usd'] or 0:.6f}"
        stamp = "SIMULATED" if row["simulated"] else ""
        table.add_row(
            str(row[by]), str(row["calls"]), usd, str(row["unknown"]), str(row["possibly_billed"] or 0), stamp
        )
    show(table, False)


@runs.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1)] = 20, store: StoreOption = None, as_json: JsonOption = False
) -> None:
    """List runs, newest first."""
    from rich.table import Table

    with _opened(store) as opened:
        rows = opened.runs(limit=limit)
    if as_json:
        show({"runs": rows}, True)
        return
    table = Table("run", "kind", "started", "state", "why", box=None)
    for row in rows:
        table.add_row(row["run_id"], row["kind"], str(row["started_at"])[:19], row["state"], row.get("why") or "")
    show(table, False)


@runs.command("show")
def show_(run: Annotated[str, typer.Argument(help="A run's id.", metavar="RUN")], store: StoreOption = None) -> None:
    """Print the card of a run as JSON: what went in, and what came out."""
    from llmclf.errors import ConfigError

    with _opened(store) as opened:
        rows = [row for row in opened.runs(limit=100_000) if row["run_id"].startswith(run)]
    if len(rows) != 1:
        raise ConfigError(f"{len(rows)} runs have that id", got=run, fix="llmclf runs list")
    show(rows[0], True)


@store.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Where the tables go, one file each.")],
    format: Annotated[str, typer.Option(help="jsonl or csv.")] = "jsonl",
    store: StoreOption = None,
) -> None:
    """Write every table of the store to files."""
    from llmclf.errors import ConfigError

    if format not in ("jsonl", "csv"):
        raise ConfigError("format is jsonl or csv", where="--format", got=format)
    with _opened(store) as opened:
        for path in opened.export(folder, format=format):
            typer.echo(str(path))


@store.command()
def forget(
    conversation: Annotated[str, typer.Option(help="The conversation's id.")],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase what the store holds of one conversation: requests, answers, quotes, reasons. Counts and money stay."""
    with _opened(store) as opened:
        cleared = opened.forget(conversation)
    if as_json:
        show({"conversation": conversation, "cleared": cleared}, True)
        return
    for table, rows in cleared.items():
        typer.echo(f"{table}: {rows}")
    if not any(cleared.values()):
        tell(f"the store holds nothing of {conversation!r}")


def _opened(given: Path | None) -> Any:
    from llmclf.store import Store

    return Store(existing_store(given))
