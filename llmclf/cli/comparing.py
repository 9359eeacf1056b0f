"""compare."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from llmclf.cli.common import (
    JsonOption,
    MaxItemsOption,
    MaxUsdOption,
    PlanOption,
    SeedOption,
    StoreOption,
    progress,
    runtime,
    show,
    tell,
)
from llmclf.cli.ending import check_ending, counting
from llmclf.cli.spending import CacheOption, YesOption, confirm, show_plan

_Which = "A run (RUN, RUN/CELL, last), a classifier or a prompt file."


def compare(
    a: Annotated[str, typer.Argument(help=_Which, metavar="A")],
    b: Annotated[str, typer.Argument(help="The same; it is B that is better or worse.", metavar="B")],
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="A labelled dataset; needed where no side is a run.")
    ] = None,
    classifier: Annotated[
        str | None, typer.Option("--classifier", help="Whose prompt a prompt file stands in for.")
    ] = None,
    max_items: MaxItemsOption = None,
    prevalence: Annotated[
        float | None, typer.Option(min=0, max=1, help="Production's share of the target. Default: the run's, or .005.")
    ] = None,
    missed_usd: Annotated[
        float | None, typer.Option(min=0, help="Dollars of a missed target. Default: the run's, or 40.")
    ] = None,
    false_alarm_usd: Annotated[
        float | None, typer.Option(min=0, help="Dollars of a false alarm. Default: the run's, or 2.")
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option("--require", help="A condition such as 'dollars.high<0'; exit 2 where it fails. Repeatable."),
    ] = None,
    seed: SeedOption = 0,
    store: StoreOption = None,
    max_usd: MaxUsdOption = None,
    cache: CacheOption = "read-write",
    yes: YesOption = False,
    plan: PlanOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say whether B is better than A, worse, or how many more labels would decide.

    A name is looked up as a classifier, then as a prompt, then as a run; run:NAME, classifier:NAME and
    prompt:NAME say which. Classifiers and prompts are asked now; answers in the store are not bought again.
    Exit 2 where a --require fails or a cap ended it, 1 where every item of a side failed.
    """
    from llmclf.cli.requirements import check_requirements, failed_requirements
    from llmclf.evaluation.comparison import Comparison
    from llmclf.workspace.comparing import compare_sides, plan_comparison, sides_of

    check_requirements(require or [], of=Comparison)
    given = {"prevalence": prevalence, "missed_usd": missed_usd, "false_alarm_usd": false_alarm_usd}
    prices = {name: value for name, value in given.items() if value is not None}
    with runtime(store, max_usd, cache=cache) as opened:
        sides = sides_of(
            a, b, opened, dataset=dataset, classifier=classifier, max_items=max_items, seed=seed, prices=prices
        )
        if plan:
            show_plan(plan_comparison(sides, opened), as_json)
            return
        if sides.asked:
            confirm(lambda: plan_comparison(sides, opened), opened, yes, "compare")
        errors: list[Any] = []
        with progress("compare", len(sides.asked) * len(sides.dataset)) as update:
            comparison = compare_sides(sides, opened, seed=seed, on_done=counting(errors, update))
    show(comparison, as_json)
    failed = failed_requirements(comparison.to_dict(), require or [])
    for line in failed:
        tell(f"not met: {line}")
    size = len(sides.dataset)  # one side is asked after the other
    check_ending(*(errors[start : start + size] for start in range(0, len(errors), size)))
    if failed:
        raise typer.Exit(2)
