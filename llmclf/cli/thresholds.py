"""threshold set, show."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from llmclf.cli.common import (
    ClassifierArgument,
    JsonOption,
    StoreOption,
    existing_store,
    runtime,
    show,
    tell,
    workspace,
)

app = typer.Typer(
    no_args_is_help=True, help="From which score a classifier flags: choose it from a run, or look it up."
)


@app.command("set")
def set_(
    name: ClassifierArgument,
    run: Annotated[str, typer.Option("--from", help="A run of this classifier: RUN, RUN/CELL of a sweep, or last.")],
    goal: Annotated[
        str | None,
        typer.Option(help="dollars, flags (needs --flags-per-day) or recall. Default: by the options given."),
    ] = None,
    recall: Annotated[
        float | None, typer.Option(help="For recall: the share of targets to find. Default: 0.9.")
    ] = None,
    confidence: Annotated[float, typer.Option(help="For recall: how sure that must be.")] = 0.95,
    flags_per_day: Annotated[float | None, typer.Option(help="For flags: how many reviewers can take.")] = None,
    conversations_per_month: Annotated[
        int | None, typer.Option(min=1, help="Production's volume. Default: the run's.")
    ] = None,
    prevalence: Annotated[
        float | None, typer.Option(help="Production's share of the target. Default: the run's.")
    ] = None,
    missed_usd: Annotated[
        float | None, typer.Option(min=0, help="Dollars of a missed target. Default: the run's.")
    ] = None,
    false_alarm_usd: Annotated[
        float | None, typer.Option(min=0, help="Dollars of a false alarm, beyond its review. Default: the run's.")
    ] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Labels, where they moved since the run.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show it, write nothing.")] = False,
    anyway: Annotated[bool, typer.Option("--anyway", help="Write it though flagging nothing would cost less.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose a threshold from a run's scores and labels, and write it into the classifier's file.

    Exit 1 where more targets have to be labelled first, 2 where no threshold reaches the goal or the one that does
    costs no less than flagging nothing; the file then stays.
    """
    from dataclasses import replace

    from llmclf.workspace.run_results import run_result
    from llmclf.workspace.thresholds import choose_threshold, write_threshold

    wanted = _wanted(goal, recall, confidence, flags_per_day)
    given: dict[str, Any] = {
        "conversations_per_month": conversations_per_month,
        "prevalence": prevalence,
        "missed_usd": missed_usd,
        "false_alarm_usd": false_alarm_usd,
    }
    existing_store(store)
    with runtime(store) as opened:
        result = run_result(run, opened, dataset=dataset)
        costs = replace(result.costs, **{key: value for key, value in given.items() if value is not None})
        choice = choose_threshold(name, result, opened, wanted=wanted, costs=costs)
        chosen = choice.points.chosen
        refused = "" if anyway else choice.points.does_not_pay
        writes = chosen.threshold is not None and not dry_run and not refused
        if writes:
            write_threshold(choice, name, opened)
    written = {"path": str(choice.path), "before": choice.before, "written": writes}
    show({**choice.points.to_dict(), "run": result.name, **written} if as_json else choice.points, as_json)
    if result.labels_changed:
        tell("the labels are not those of the run any more: its answers are held against those of today")
    if chosen.threshold is None:
        tell(f"no threshold is set: {chosen.why_not}")
        raise typer.Exit(1 if wanted.goal == "recall" and choice.points.certificate.missing else 2)
    if refused:
        tell(f"no threshold is set: {refused}; --anyway writes it all the same")
        raise typer.Exit(2)
    before = "none" if choice.before is None else f"{choice.before:.10g}"
    verb = f"is now in {choice.path}" if writes else f"would be written to {choice.path}"
    tell(f"threshold {chosen.threshold:.10g} {verb} (it was {before})")


@app.command("show")
def show_(name: ClassifierArgument, as_json: JsonOption = False) -> None:
    """Say where a classifier's threshold comes from, and whether that still holds."""
    from llmclf.llm.runtime import Runtime
    from llmclf.workspace.thresholds import threshold_story

    with Runtime(workspace=workspace()) as opened:
        story = threshold_story(name, opened)
    show(story, as_json)


def _wanted(goal: str | None, recall: float | None, confidence: float, flags_per_day: float | None) -> Any:
    """What is asked for; ConfigError for an unknown goal, or for two."""
    from llmclf.errors import ConfigError, nearest
    from llmclf.evaluation.operating_point import GOALS, Wanted

    if goal is None and recall is not None and flags_per_day is not None:
        raise ConfigError(
            "--recall and --flags-per-day are two goals, and one threshold can be chosen for one",
            where="threshold",
            fix="say --goal recall or --goal flags; the table has a row for each",
        )
    if goal is None:
        goal = "flags" if flags_per_day is not None else "dollars" if recall is None else "recall"
    if goal not in GOALS:
        raise ConfigError("no such goal", where="--goal", got=goal, fix=nearest(goal, GOALS))
    return Wanted(goal, flags_per_day, 0.9 if recall is None else recall, confidence)
