"""Conditions on the figures of a result, such as `recall.low>=0.7`, for gates in CI."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from llmclf.errors import ConfigError, nearest

_FORM = re.compile(
    r"\s*([a-z0-9_]+)(?:\.(value|low|high))?\s*(>=|<=|>|<)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(%?)\s*"
)
_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_ESTIMATE = "Estimate"
_NO_RATES = ("dollars", "dollars_per_1000", "calibration_slope")
"""Estimates that may be above 1."""
_NUMBERS = ("int", "float", "float | None", "int | None")


def check_requirements(conditions: Sequence[str], of: type | None = None) -> None:
    """Raises ConfigError that lists every condition that can't be read or names no figure: before anything is paid for.

    `of` is the class of the result, a dataclass; its figures are its Estimates. Default: Evaluation, of which plain
    numbers are figures, too.
    """
    from llmclf.evaluation import Evaluation

    kinds = {field.name: str(field.type) for field in fields(of or Evaluation)}  # types are text here
    numbers = _NUMBERS if of is None else ()
    figures = [name for name, kind in kinds.items() if kind in (_ESTIMATE, *numbers)]
    problems = []
    for condition in conditions:
        match = _FORM.fullmatch(condition)
        if match is None:
            problems.append(f"{condition!r}: a condition looks like recall.low>=0.7")
        elif match[1] not in figures:
            problems.append(f"{condition!r}: there is no figure {match[1]!r}; {nearest(match[1], figures)}")
        elif match[2] and kinds[match[1]] != _ESTIMATE:
            problems.append(f"{condition!r}: {match[1]} is a plain number, it has no .{match[2]}")
        elif wrong := _out_of_range(match, kinds[match[1]], signed=of is not None and of is not Evaluation):
            problems.append(f"{condition!r}: {wrong}")
    if problems:
        raise ConfigError("these conditions can't be checked", where="--require", problems=problems)


def _out_of_range(match: re.Match[str], kind: str, *, signed: bool) -> str:
    """Why no value of the figure can be so; empty where it can. Differences of rates are signed."""
    name, limit, percent = match[1], float(match[4]), bool(match[5])
    is_rate = kind == _ESTIMATE and name not in _NO_RATES
    least = -1 if signed else 0
    if is_rate and (percent or not least <= limit <= 1):
        share = limit / 100
        say = f"; say {share:g}" if least <= share <= 1 and (percent or abs(limit) >= 2) else ""
        return f"{name} lies between {least} and 1{say}"
    return f"{name} is no share of something, it has no %" if percent else ""


def failed_requirements(result: Mapping[str, Any], conditions: Sequence[str]) -> list[str]:
    """The conditions (that `check_requirements` let pass) which `result` (as JSON types) does not meet.

    Each with what was got. A figure, or an end of its interval, that is not known fails with its reason.
    """
    failed = []
    for condition in conditions:
        match = _FORM.fullmatch(condition)
        assert match is not None
        name, part, sign, limit, _ = match.groups()
        figure = result[name]
        value = figure[part or "value"] if isinstance(figure, Mapping) else figure
        if value is None or not _COMPARE[sign](float(value), float(limit)):
            why = f" ({figure['why_not']})" if isinstance(figure, Mapping) and figure["why_not"] else ""
            failed.append(f"{condition}: got {'nothing' if value is None else f'{float(value):.4g}'}{why}")
    return failed
