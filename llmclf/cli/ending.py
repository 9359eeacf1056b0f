"""How a command ends that asked about items: by a cap, with failures alone, or well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import typer

from llmclf.cli.common import tell
from llmclf.render.tables import counted
from llmclf.types import ErrorInfo, Judgment, Prediction

_MOST_OF_A_MESSAGE = 300


def counting(errors: list[ErrorInfo | None], update: Callable[[int], None]) -> Callable[[Prediction | Judgment], None]:
    """What is called with each prediction or judgment: keeps its error, or None, in `errors`, and moves the bar."""

    def count(one: Prediction | Judgment) -> None:
        errors.append(one.error)
        update(len(errors))

    return count


def check_ending(*sides: Sequence[ErrorInfo | None]) -> None:
    """Says why and exits 2 where a cap left items out, else 1 where every item of a side failed.

    A side (a classifier that was asked) has an error, or None, for each of its items.
    """
    from llmclf.sweeps.money import cap_reached

    errors = [error for side in sides for error in side]
    why = cap_reached(errors)
    if why:
        over = sum(error is not None and error.kind == "over_budget" for error in errors)
        tell(f"stopped with {over:,} of {counted(len(errors), 'item')} left: {why}; what is done is kept")
        raise typer.Exit(2)
    failed = [side for side in sides if side and all(error is not None for error in side)]
    for side in failed:
        tell(f"every item {'failed' if len(sides) == 1 else 'of one side failed'}; {commonest(side)}")
    if failed:
        raise typer.Exit(1)


def commonest(errors: Sequence[ErrorInfo | None]) -> str:
    """The commonest kind of error in a line, with the first message of that kind."""
    kinds = Counter(error.kind for error in errors if error is not None)
    ((kind, count),) = kinds.most_common(1)
    message = next(error.message for error in errors if error is not None and error.kind == kind)
    first = " ".join(message.split())[:_MOST_OF_A_MESSAGE]
    return f"{kind} {count:,} of {len(errors):,}: {first}"
