"""data plan-labels."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from llmclf.cli.common import JsonOption, StoreOption, existing_store, runtime, show


def plan_labels(
    run: Annotated[
        str | None, typer.Option("--from", help="A pilot: a run with scores and labels (RUN, RUN/CELL or last).")
    ] = None,
    half_width: Annotated[float, typer.Option(help="Recall is wanted to plus or minus this.")] = 0.05,
    recall: Annotated[float, typer.Option(help="Without --from: the recall to expect.")] = 0.8,
    roc_auc: Annotated[float, typer.Option(help="Without --from: how well scores rank, as ROC AUC.")] = 0.94,
    prevalence: Annotated[
        float | None, typer.Option(help="Share of the target in the pool. Default: the run's, or 0.005.")
    ] = None,
    pool: Annotated[int, typer.Option(help="Items there are to draw from.")] = 100_000,
    review_minutes: Annotated[float, typer.Option(min=0, help="Minutes of a person for one label.")] = 1.5,
    reviewer_usd_per_hour: Annotated[float, typer.Option(min=0, help="Dollars an hour of that costs.")] = 48.0,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how many labels a recall takes, drawn at random or by score, and print the command that draws them."""
    from llmclf.types import Costs
    from llmclf.workspace.label_plans import plan_assumed, plan_from_run
    from llmclf.workspace.run_results import run_result

    costs = Costs(review_minutes=review_minutes, reviewer_usd_per_hour=reviewer_usd_per_hour)
    if prevalence is not None:
        costs = replace(costs, prevalence=prevalence)
    if run is None:
        made = plan_assumed(
            recall=recall,
            roc_auc=roc_auc,
            half_width=half_width,
            pool=pool,
            costs=costs,
        )
    else:
        existing_store(store)
        with runtime(store) as opened:
            result = run_result(run, opened)
            if prevalence is None:
                costs = replace(costs, prevalence=result.costs.prevalence)
            made = plan_from_run(result, half_width=half_width, pool=pool, costs=costs, workspace=opened.workspace)
    show(made, as_json)
