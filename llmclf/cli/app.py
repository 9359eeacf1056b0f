"""The tree of commands."""

from __future__ import annotations

from typing import Annotated

import typer

from llmclf.cli import (
    calibrating,
    classifying,
    comparing,
    data,
    judging,
    models,
    optimizing,
    reasons,
    records,
    retraining,
    serving,
    sweeps,
    thresholds,
    verdicts,
    workspaces,
)

app = typer.Typer(
    name="llmclf",
    help="Ship classifiers for rare conversational breakdowns: cost, latency and error with honest intervals.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"llmclf {version('llmclf')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    pass


app.command()(workspaces.demo)
app.command()(workspaces.init)
app.command()(workspaces.check)
app.command()(workspaces.status)
app.add_typer(data.app, name="data")
app.add_typer(models.app, name="models")
app.command()(classifying.classify)
app.command()(classifying.train)
app.command()(retraining.retrain)
app.command()(classifying.evaluate)
app.command()(comparing.compare)
app.command()(verdicts.errors)
app.command()(verdicts.show)
app.command()(verdicts.explain)
app.add_typer(thresholds.app, name="threshold")
app.add_typer(judging.app, name="judge")
app.add_typer(calibrating.app, name="calibrate")
app.add_typer(sweeps.app, name="sweep")
app.command()(optimizing.optimize)
app.add_typer(reasons.app, name="reasons")
app.command()(records.spend)
app.add_typer(records.runs, name="runs")
app.add_typer(records.store, name="store")
app.command()(serving.serve)
