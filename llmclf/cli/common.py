"""What every command shares: its options, where results go, progress, the runtime."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer

StoreOption = Annotated[Path | None, typer.Option("--store", help="The store file. Default: llmclf.db here.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")]
MaxUsdOption = Annotated[
    float | None, typer.Option("--max-usd", min=0, help="Never spend more than this, whatever happens.")
]
ClassifierArgument = Annotated[
    str, typer.Argument(help="A name from configs/classifiers, or a path.", metavar="CLASSIFIER")
]
MaxItemsOption = Annotated[int | None, typer.Option(min=2, help="Draw only so many, the target in proportion.")]
SeedOption = Annotated[int, typer.Option(help="Seed of folds and draws.")]
PlanOption = Annotated[bool, typer.Option("--plan", help="Say what it would cost and send; do nothing.")]


def workspace() -> Path:
    """The command's workspace: the nearest folder upwards that holds llmclf.toml, else the working folder."""
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / "llmclf.toml").is_file()), here)


def store_path(given: Path | None) -> Path:
    """The store file: the one given, or the workspace's."""
    from llmclf.config import load_workspace

    return given or workspace() / load_workspace(workspace()).store


def existing_store(given: Path | None) -> Path:
    """The store file; StoreError where it is not there: a typo must not make an empty one."""
    from llmclf.errors import StoreError

    path = store_path(given)
    if not path.is_file():
        raise StoreError("there is no store", where=str(path), fix="run something first, or give --store PATH")
    return path


def show(result: Any, as_json: bool) -> None:
    """Writes a result to stdout: as one JSON document, or as people like it."""
    if isinstance(sys.stdout, TextIOWrapper):  # where the terminal lacks a letter, a question mark is shown
        sys.stdout.reconfigure(errors="replace")
    if as_json:
        document = result.to_dict() if hasattr(result, "to_dict") else result
        print(json.dumps(document, ensure_ascii=False, indent=2, default=str))
        return
    from rich.console import Console

    Console(soft_wrap=False).print(result)


def tell(text: str) -> None:
    """A line for people, on stderr."""
    from llmclf.render.conversation import for_terminal

    print(for_terminal(text), file=sys.stderr)


@contextmanager
def runtime(
    store: Path | None, max_usd: float | None = None, concurrency: int = 8, cache: Any = "read-write"
) -> Iterator[Any]:
    """A runtime on the workspace's store, closed in the end."""
    from llmclf.llm.runtime import Runtime

    path = store_path(store)
    with Runtime(path, max_usd=max_usd, workspace=workspace(), cache=cache, concurrency=concurrency) as made:
        yield made


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Callable[..., None]]:
    """A bar on a terminal's stderr; elsewhere silent. Yields a function of the count so far (and the total)."""
    if not sys.stderr.isatty():
        yield lambda done, total=None: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        known = total

        def update(done: int, total: int | None = None) -> None:
            bar.update(task, completed=done, total=total or known)

        yield update
