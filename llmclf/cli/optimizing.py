"""optimize."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from llmclf.cli.common import JsonOption, MaxUsdOption, PlanOption, StoreOption, runtime, show, tell, workspace
from llmclf.cli.spending import CacheOption, YesOption, confirm, show_plan


def optimize(
    name: Annotated[str, typer.Argument(help="A name from configs/optimizations, or a path.", metavar="OPTIMIZATION")],
    store: StoreOption = None,
    max_usd: MaxUsdOption = None,
    cache: CacheOption = "read-write",
    yes: YesOption = False,
    plan: PlanOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compile the prompt of a classifier or a judge, and write it where a paired test shows that it is better.

    Run again it goes on where it ended: what is in the store is not bought again. Exit 2 where the new prompt is not
    better, or more labels have to decide; nothing is written then.
    """
    from llmclf.config import files
    from llmclf.workspace.optimizing import optimize as run_optimization, plan_optimization

    file = files.load_named("optimization", name, workspace())
    with runtime(store, max_usd, file.concurrency, cache) as opened:
        if plan:
            show_plan(plan_optimization(name, runtime=opened), as_json)
            return
        confirm(lambda: plan_optimization(name, runtime=opened), opened, yes, "optimize")
        with told() as on_step:
            result = run_optimization(name, runtime=opened, on_step=on_step)
    show(result, as_json)
    if result.written is not None:
        tell(f"the prompt is in {result.written}; nothing uses it until a file names it")
    if result.verdict != "better":
        raise typer.Exit(2)


@contextmanager
def told() -> Iterator[Callable[[Any], None]]:
    """Says on stderr how far the search is: one line that moves on a terminal, a line for each candidate elsewhere."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console

    with Console(stderr=True).status("") as line:
        yield lambda step: line.update(_words(step))


class _Lines:
    """A line on stderr whenever one more candidate was tried on the whole validation part."""

    def __init__(self) -> None:
        self.candidates = 0

    def __call__(self, step: Any) -> None:
        """Says the step, where it ends a candidate."""
        if step.candidates > self.candidates:
            self.candidates = step.candidates
            tell(_words(step))


def _words(step: Any) -> str:
    from llmclf.render.tables import counted

    best = "" if step.best is None else f", best score {step.best:.4g}"
    return f"{step.origin}: {counted(step.answers, 'answer')}, {counted(step.candidates, 'candidate')}{best}"
