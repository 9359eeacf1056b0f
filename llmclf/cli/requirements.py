"""Conditions on an evaluation, such as `recall.low>=0.7`, for gates in CI."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any

from llmclf.errors import ConfigError, nearest

_FORM = re.compile(r"\s*([a-z0-9_]+)(?:\.(value|low|high))?\s*(>=|<=|>|<)\s*([0-9.eE+-]+)\s*")
_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def check_requirements(conditions: Sequence[str]) -> None:
    """Raises ConfigError for a condition that can't be read or names no figure: before anything is paid for."""
    from dataclasses import fields

    from llmclf.evaluation import Evaluation

    known = [field.name for field in fields(Evaluation)]
    for condition in conditions:
        match = _FORM.fullmatch(condition)
        if match is None:
            raise ConfigError("a condition looks like recall.low>=0.7", where="--require", got=condition)
        if match[1] not in known:
            raise ConfigError("there is no such figure", where="--require", got=match[1], fix=nearest(match[1], known))


def failed_requirements(evaluation: Mapping[str, Any], conditions: Sequence[str]) -> list[str]:
    """The conditions that `evaluation` (as JSON types) does not meet, each with what it got.

    A figure that is not estimable fails. Raises ConfigError for a condition that can't be read or
    names a figure that is not there.
    """
    failed = []
    for condition in conditions:
        match = _FORM.fullmatch(condition)
        if match is None:
            raise ConfigError("a condition looks like recall.low>=0.7", where="--require", got=condition)
        name, part, sign, limit = match.groups()
        if name not in evaluation:
            raise ConfigError(
                "there is no such figure", where="--require", got=name, fix=nearest(name, list(evaluation))
            )
        figure = evaluation[name]
        value = figure.get(part or "value") if isinstance(figure, Mapping) else figure
        if value is None or not _COMPARE[sign](float(value), float(limit)):
            why = f" ({figure['why_not']})" if isinstance(figure, Mapping) and figure.get("why_not") else ""
            failed.append(f"{condition}: got {'nothing' if value is None else f'{float(value):.4g}'}{why}")
    return failed
