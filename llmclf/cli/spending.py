"""What every command that pays shares: its options, and the question before it spends much."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from llmclf.cli.common import tell

CacheOption = Annotated[
    str,
    typer.Option(
        "--cache",
        metavar="[read-write|read-only|off]",
        help="read-only asks no model: what is not in the store fails. off asks everything anew.",
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Don't ask before spending.")]


def confirm(make_plan: Callable[[], Any], opened: Any, yes: bool, where: str) -> None:
    """Asks before work that may cost more than the workspace's `confirm_above_usd`.

    A cap at or below that needs no question, and no plan. BudgetError where nobody is there to answer.
    """
    from llmclf.errors import BudgetError

    limit = opened.rules.confirm_above_usd
    cap = opened.budget.left_nano()
    if yes or (cap is not None and cap <= limit * 1e9) or opened.cache == "read-only":
        return
    planned = make_plan()
    if planned.usd.high <= limit:
        return
    tell(f"This may cost ${planned.usd.low:.2f} to ${planned.usd.high:.2f} (confirm_above_usd is ${limit:.2f}).")
    if not sys.stdin.isatty():
        raise BudgetError(
            "nobody is there to confirm the cost",
            where=where,
            fix="give --yes, or --max-usd of no more than confirm_above_usd, or raise confirm_above_usd in llmclf.toml",
        )
    typer.confirm("Go on?", abort=True, err=True)
