"""sweep plan, run, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmclf.cli.common import (
    JsonOption,
    MaxUsdOption,
    PlanOption,
    StoreOption,
    progress,
    runtime,
    show,
    tell,
    workspace,
)
from llmclf.cli.ending import check_ending
from llmclf.cli.spending import CacheOption, YesOption, confirm, show_plan

app = typer.Typer(no_args_is_help=True, help="A grid of settings, measured: dollars, seconds and errors of each cell.")

_Sweep = Annotated[str, typer.Argument(help="A name from configs/sweeps, or a path.", metavar="SWEEP")]
_Report = Annotated[
    Path | None,
    typer.Option("--report", help="Write the report here: .html (one self-contained file), .json or .csv."),
]


@app.command("plan")
def plan_(name: _Sweep, store: StoreOption = None, max_usd: MaxUsdOption = None, as_json: JsonOption = False) -> None:
    """Say what a sweep would cost and send, before it does."""
    from llmclf.sweeps import plan
    from llmclf.workspace import verbs

    with runtime(store, max_usd, verbs.sweep_concurrency(name, workspace())) as opened:
        file, dataset, task = verbs.sweep_inputs(name, opened)
        show_plan(plan(file, dataset, task, opened), as_json)


@app.command("run")
def run_(
    name: _Sweep,
    report: _Report = None,
    store: StoreOption = None,
    max_usd: MaxUsdOption = None,
    cache: CacheOption = "read-write",
    yes: YesOption = False,
    plan: PlanOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure every cell; continues what was begun. Exit 2 where a cap ended it, 1 where nothing was answered."""
    from llmclf.sweeps import SweepInterrupted, write_surface
    from llmclf.sweeps.plan import plan as plan_sweep
    from llmclf.sweeps.written import check_suffix
    from llmclf.workspace import verbs

    if report is not None:
        check_suffix(report)
    with runtime(store, max_usd, verbs.sweep_concurrency(name, workspace()), cache) as opened:
        file, dataset, task = verbs.sweep_inputs(name, opened)
        if plan:
            show_plan(plan_sweep(file, dataset, task, opened), as_json)
            return
        confirm(lambda: plan_sweep(file, dataset, task, opened), opened, yes, "sweep run")
        interrupted = False
        with progress(name, None) as update:
            try:
                surface = verbs.sweep(name, runtime=opened, progress=lambda cell, done, total, usd: update(done, total))
            except SweepInterrupted as stop:
                surface, interrupted = stop.surface, True
        if report is not None:
            write_surface(surface, report)
            tell(f"report {report.resolve()}")
    show(surface, as_json)
    if interrupted:
        raise KeyboardInterrupt
    check_ending([error for cell in surface.cells for error in cell.predictions.column("error")])
    if surface.nothing_answered:  # of the real cells; simulated ones may well have answered
        cells = surface.real or surface.simulated
        check_ending([error for cell in cells for error in cell.predictions.column("error")])


@app.command("report")
def report_(
    name: _Sweep,
    out: Annotated[Path, typer.Argument(help="The file: .html, .json or .csv.")],
    store: StoreOption = None,
) -> None:
    """Write the report of what a sweep has measured so far, from the store alone: nothing is bought."""
    from llmclf.cli.common import existing_store
    from llmclf.sweeps import stored_surface, write_surface
    from llmclf.sweeps.written import check_suffix
    from llmclf.workspace import verbs

    check_suffix(out)
    existing_store(store)
    with runtime(store) as opened:
        file, dataset, task = verbs.sweep_inputs(name, opened)
        write_surface(stored_surface(file, dataset, task, opened), out)
    typer.echo(str(out.resolve()))
