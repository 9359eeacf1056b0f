"""retrain."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from llmclf.cli.common import (
    ClassifierArgument,
    JsonOption,
    MaxUsdOption,
    PlanOption,
    StoreOption,
    existing_store,
    runtime,
    show,
    tell,
    workspace,
)
from llmclf.cli.optimizing import told
from llmclf.cli.spending import YesOption, confirm, show_plan


def retrain(
    name: ClassifierArgument,
    dataset: Annotated[
        str, typer.Option("--dataset", help="Labels as they are now: a name, or a path. A probe needs it.")
    ] = "",
    test_dataset: Annotated[
        str, typer.Option("--test-dataset", help="Labels of their own for the test, such as a random sample.")
    ] = "",
    optimization: Annotated[
        str, typer.Option("--optimization", help="Which one, where several are about the llm classifier.")
    ] = "",
    apply: Annotated[
        bool, typer.Option("--apply", help="Write a better prompt's name into the llm classifier's file.")
    ] = False,
    card: Annotated[
        str, typer.Option("--card", metavar="RUN", help="Train the candidate of that run again, from its run card.")
    ] = "",
    prevalence: Annotated[
        float | None, typer.Option(min=0, max=1, help="Production's share of the target. Default: .005.")
    ] = None,
    missed_usd: Annotated[float | None, typer.Option(min=0, help="Dollars of a missed target. Default: 40.")] = None,
    false_alarm_usd: Annotated[
        float | None, typer.Option(min=0, help="Dollars of a false alarm, beyond its review. Default: 2.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Deals a probe's labels into train and test.")] = 0,
    store: StoreOption = None,
    max_usd: MaxUsdOption = None,
    yes: YesOption = False,
    plan: PlanOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a probe, or optimize a prompt, with the newest labels; keep it only where it is better than what runs.

    Exit 2 where nothing new runs (also where first weights are worse than flagging nothing), or a run card is not
    reproduced.
    """
    from llmclf.types import Costs
    from llmclf.workspace.retraining import calls_at_once, plan_retraining, retrain as retrain_

    given = {"prevalence": prevalence, "missed_usd": missed_usd, "false_alarm_usd": false_alarm_usd}
    prices: Any = {key: value for key, value in given.items() if value is not None}
    what: Any = {"dataset": dataset, "test_dataset": test_dataset, "optimization": optimization}
    if card:
        existing_store(store)
    calls = calls_at_once(name, optimization, workspace())
    with runtime(store, max_usd, calls or 1) as opened:
        if plan:
            show_plan(plan_retraining(name, runtime=opened, seed=seed, **what), as_json)
            return
        if calls and not card:
            confirm(lambda: plan_retraining(name, runtime=opened, seed=seed, **what), opened, yes, "retrain")
        costs = Costs(**prices) if prices else None
        with told() as on_step:
            result = retrain_(
                name, runtime=opened, apply=apply, card=card, costs=costs, seed=seed, on_step=on_step, **what
            )
    show(result, as_json)
    for kind, path in result.files.items():
        tell(f"{kind}: {path}")
    if result.way_back:
        tell(f"to go back: {result.way_back}")
    tell(f"run card: llmclf runs show {result.run_id}")
    if not result.is_yes:
        raise typer.Exit(2)
