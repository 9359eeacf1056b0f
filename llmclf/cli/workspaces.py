"""demo, init, check, status."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from llmclf.cli.common import JsonOption, StoreOption, show, store_path, tell, workspace


def demo(
    folder: Annotated[Path, typer.Argument(help="Where store, trained probe and report go.")] = Path("llmclf-demo"),
    as_json: JsonOption = False,
) -> None:
    """Run the whole pipeline on the shipped conversations: real classifiers compared, no key needed."""
    from llmclf.cli.demo_view import DemoView
    from llmclf.workspace.demo import run_demo

    with DemoView(quiet=as_json) as view:
        result = run_demo(folder, view)
    if as_json:
        show(result.to_dict(), True)
        return
    view.show_end(result)


def init(
    folder: Annotated[Path, typer.Argument(help="A new folder.", metavar="DIR")],
    question: Annotated[str | None, typer.Option(help="What you look for, as a question.")] = None,
    target: Annotated[str | None, typer.Option(help="Its label, for instance refund_promised.")] = None,
    adjacent: Annotated[
        str | None, typer.Option(help="Labels that look like it and are not, with commas between.")
    ] = None,
    unit: Annotated[str | None, typer.Option(help="What is labelled: conversation or turn.")] = None,
    language: Annotated[str | None, typer.Option(help="Language of the conversations.")] = None,
) -> None:
    """Write a workspace of your own: asks what it needs, or takes it from the options."""
    from llmclf.errors import ConfigError
    from llmclf.workspace.creation import NewWorkspace, create

    question = question or typer.prompt("What do you look for, as a question", err=True)
    target = target or typer.prompt("Label for it (letters, digits, _)", err=True)
    if adjacent is None:
        adjacent = typer.prompt("Labels that look like it and are not (commas between)", default="", err=True)
    unit = unit or typer.prompt("What gets a label: conversation or turn", default="conversation", err=True)
    language = language or typer.prompt("Language of the conversations", default="en", err=True)
    if unit not in ("conversation", "turn"):
        raise ConfigError("a unit is conversation or turn", where="--unit", got=unit)
    labels = tuple(label.strip() for label in adjacent.split(",") if label.strip())
    written = create(folder, NewWorkspace(question, target, labels, unit, language))  # type: ignore[arg-type]
    for path in written:
        typer.echo(str(path))
    tell(f"next: cd {folder} && llmclf check    then read README.md there")


def check(
    files: Annotated[list[Path] | None, typer.Argument(help="Only these files. Default: every file found.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Validate configuration files and what they say of each other. Spends nothing."""
    from llmclf.render.tables import counted
    from llmclf.workspace.checking import check_file, check_workspace

    checked = [check_file(path, workspace()) for path in files] if files else check_workspace(workspace())
    wrong = [result for result in checked if result.problem]
    if as_json:
        rows = [
            {
                "kind": result.kind,
                "name": result.name,
                "path": str(result.path),
                "problem": result.problem,
                "note": result.note,
                "blocked_by": result.blocked_by,
            }
            for result in checked
        ]
        show({"files": rows, "wrong": len(wrong)}, True)
    else:
        for result in wrong:
            typer.echo(f"{result.kind} {result.name}: {result.problem}")
        for result in checked:
            if result.note:
                typer.echo(f"{result.kind} {result.name}: {result.note}")
        for path in dict.fromkeys(result.blocked_by for result in checked if result.blocked_by):
            waiting = [f"{result.kind} {result.name}" for result in checked if result.blocked_by == path]
            typer.echo(f"To be checked once {path} is mended: {', '.join(waiting)}")
        read = [result.path for result in checked if not result.blocked_by]
        whose = "" if files else _whose(read)
        typer.echo(f"{counted(len(read), 'file')}{whose} checked, {len(wrong)} with mistakes")
    if wrong:
        raise typer.Exit(1)


def _whose(paths: Sequence[Path]) -> str:
    """Whose files these are: the workspace's, llmclf's own, or how many of each."""
    folder = workspace()
    own = sum(path.resolve().is_relative_to(folder.resolve()) for path in paths)
    if own == len(paths):
        return f" in {folder}"
    if own == 0:
        return " of llmclf itself (there are none of your own here)"
    return f" ({own} in {folder}, {len(paths) - own} of llmclf itself)"


def status(
    since: Annotated[str, typer.Option(help="How far back: 24h, 7d, or a time.")] = "24h",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """One screen: traffic, failures by kind, flag rate, dollars, and the next commands."""
    from llmclf.cli.status_view import show_status
    from llmclf.workspace.status import status as read

    found = read(store_path(store), workspace(), since)
    if as_json:
        show(found, True)
        return
    show_status(found)
