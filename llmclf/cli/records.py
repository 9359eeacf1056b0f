"""spend, runs, store: what happened and what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from llmclf.cli.common import JsonOption, StoreOption, existing_store, show, tell, workspace

runs = typer.Typer(no_args_is_help=True, help="What was run, from what, with what result.")
store = typer.Typer(no_args_is_help=True, help="The store file: take out, or erase.")
_Run = Annotated[str, typer.Argument(help="A run's id, or how it begins.", metavar="RUN")]


def spend(
    by: Annotated[str, typer.Option(help="day, hour, classifier, model or run.")] = "model",
    since: Annotated[str | None, typer.Option(help="Only calls since then: 24h, 8d, or a time.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Dollars and calls, simulated ones apart."""
    from llmclf.render.tables import rich_table
    from llmclf.workspace.spent import spent_by, spent_table

    with _opened(store) as opened:
        rows = spent_by(opened, by, since)
    show({"spend": rows} if as_json else rich_table(spent_table(rows, by, since)), as_json)


@runs.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1)] = 20, store: StoreOption = None, as_json: JsonOption = False
) -> None:
    """List runs, newest first. `ended?`: nothing was heard of it for so long that its process must be gone."""
    from llmclf.cli.runs_view import RunsView

    with _opened(store) as opened:
        rows = opened.runs(limit=limit)
    show({"runs": rows} if as_json else RunsView(rows), as_json)


@runs.command("show")
def show_(run: _Run, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show one run: what came out, and where its numbers come from. --json has all of its settings and figures."""
    from llmclf.cli.runs_view import RunView
    from llmclf.workspace.run_results import find_run

    with _opened(store) as opened:
        row = find_run(opened, run)
        cells = opened.cells(row["run_id"]) if row["kind"] == "sweep" else []
    show(RunView(row, cells), as_json)


@runs.command()
def reprice(
    run: _Run,
    plan: Annotated[str, typer.Option("--plan", help="standard, batch, or a plan of prices.toml.")] = "standard",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Price the calls of a run again, from their token counts, at today's prices or under a plan."""
    from llmclf.cli.common import runtime
    from llmclf.workspace.repricing import reprice as priced_again
    from llmclf.workspace.run_results import find_run

    existing_store(store)
    with runtime(store) as opened:
        show(priced_again(find_run(opened.store, run)["run_id"], opened, plan), as_json)


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
    """Erase the words of one conversation from the store and from judges' anchors. Counts, labels and money stay."""
    from llmclf.workspace.forgetting import forget as forget_it

    with _opened(store) as opened:
        found = forget_it(conversation, opened, workspace())
    if as_json:
        show(found, True)
        return
    for table, rows in found.cleared.items():
        typer.echo(f"{table}: {rows}")
    for one in found.anchors:
        typer.echo(f"{one.path}: {one.removed} taken out, {one.left} left" + ("" if one.left else ", so it is deleted"))
    for name in found.alerts:
        typer.echo(f"alert {name}: ended, as too few conversations are left of what it was made of")
    for path in found.datasets:
        typer.echo(f"{path}: still holds it; delete its line there, and its labels in the labels file beside it")
    for path in found.prompts:
        typer.echo(f"{path}: shows it; delete the prompt, or the example in it, and what uses it")
    if found.is_nothing:
        tell(f"store and anchors hold nothing of {conversation!r}")


def _opened(given: Path | None) -> Any:
    from llmclf.store import Store

    return Store(existing_store(given))
