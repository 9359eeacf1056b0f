"""optimize."""

from __future__ import annotations

import sys
import time
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


_SECONDS = 10.0


@contextmanager
def told() -> Iterator[Callable[[Any], None]]:
    """Says on stderr how far it is: one line that moves on a terminal; elsewhere a line where the parent or a candidate
    begins with a part, and one every ten seconds.
    """
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console

    with Console(stderr=True).status("") as line:
        yield lambda step: line.update(_words(step))


class _Lines:
    """A line on stderr where a part begins, and every ten seconds."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self, step: Any) -> None:
        """Says the step, where it begins something or the last was said a while ago."""
        begins = step.done is not None and step.done < min(step.of, 1)
        if begins or time.monotonic() - self.at >= _SECONDS:
            self.at = time.monotonic()
            tell(_words(step))


def _words(step: Any) -> str:
    from llmclf.render.tables import counted, usd_text

    said = [f"{step.origin} on {step.part}" + ("" if step.of is None else f": {step.done} of {step.of}")]
    if step.candidates:
        said.append(f"{counted(step.candidates, 'candidate')} tried, best score {step.best:.4g}")
    if step.reflections:
        said.append(counted(step.reflections, "reflection"))
    said += [f"{name} {usd_text(one.usd)} of {usd_text(one.budget_usd)}" for name, one in step.spend.items()]
    return "; ".join(said)
