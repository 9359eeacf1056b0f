"""What every command that pays shares: its options, and the question before it spends much."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from llmclf.cli.common import show, tell

CacheOption = Annotated[
    str,
    typer.Option(
        "--cache",
        metavar="[read-write|read-only|off]",
        help="read-only asks no model: what is not in the store fails. off asks everything anew.",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Don't ask before spending.")]


def show_plan(planned: Any, as_json: bool) -> None:
    """Shows a plan; exits 1 where the run would be refused for more than a missing key."""
    show(planned, as_json)
    if planned.problems:
        raise typer.Exit(1)


def confirm(make_plan: Callable[[], Any], opened: Any, yes: bool, where: str) -> None:
    """Asks before work that may cost more than the workspace's `confirm_above_usd`.

    A cap at or below that needs no question, and no plan. Nobody is asked about work that could not be
    done: ConfigError where a key is missing, BudgetError where no cap holds, or nobody is there to answer.
    """
    from llmclf.errors import BudgetError, ConfigError
    from llmclf.render.tables import usd_text

    limit = opened.rules.confirm_above_usd
    cap = opened.budget.left_nano()
    if yes or (cap is not None and cap <= limit * 1e9) or opened.cache == "read-only":
        return
    planned = make_plan()
    if planned.usd.high <= limit:
        return
    if planned.missing_keys:
        raise ConfigError("these models can't be used", where=where, problems=planned.missing_keys)
    if not planned.caps:
        raise BudgetError(
            "a model that costs money needs a cap",
            where=where,
            fix="give --max-usd (or budget_usd in a sweep), or usd_per_month in llmclf.toml",
        )
    low, high = usd_text(planned.usd.low), usd_text(planned.usd.high)
    tell(f"This may cost {low} to {high} (confirm_above_usd is {usd_text(limit)}).")
    if not sys.stdin.isatty():
        raise BudgetError(
            "nobody is there to confirm the cost",
            where=where,
            fix="give --yes, or --max-usd of no more than confirm_above_usd, or raise confirm_above_usd in llmclf.toml",
        )
    typer.confirm("Go on?", abort=True, err=True)
