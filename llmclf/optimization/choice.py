"""Which candidate of a search goes to the test, and how the candidates look side by side."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from llmclf.errors import RETRYABLE_KINDS
from llmclf.evaluation.comparison import Comparison
from llmclf.optimization.book import Book, Tried
from llmclf.optimization.result import Row
from llmclf.render import Prompt
from llmclf.render.tables import usd_text
from llmclf.types import ErrorInfo

_OF_THE_VENDOR = RETRYABLE_KINDS | {"authentication", "bad_request", "not_found"}
"""Failures that lie in how a model is reached, not in what it is asked: the next item fails in the same way."""


def chosen(book: Book) -> Tried | None:
    """The candidate with the best mean score on validation; None unless that is above the parent's."""
    best = book.best()
    return None if best is book.parent else best


def named(tried: Tried, name: str) -> Prompt:
    """The candidate's prompt under the name it is written by, with the items that it shows."""
    return replace(tried.prompt, name=name)


def rows_of(book: Book) -> tuple[Row, ...]:
    """Every candidate with its figures on validation: best first, then those that were not tried in full."""
    complete = book.complete()
    others = [one for one in book.tried if one not in complete]
    return tuple(_row(book, one) for one in [*complete, *others])


def difference(old: Prompt, new: Prompt) -> str:
    """Unified, line by line; empty where they are the same."""
    lines = difflib.unified_diff(old.text.splitlines(), new.text.splitlines(), old.name, new.name, lineterm="", n=2)
    return "\n".join(lines)


def failures(errors: Sequence[ErrorInfo | None]) -> str:
    """`3 of 40 answers failed (timeout 2, refused 1)`, by kind; empty where none failed."""
    kinds = Counter(error.kind for error in errors if error is not None)
    if not kinds:
        return ""
    by_kind = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
    return f"{kinds.total()} of {len(errors)} answers failed ({by_kind})"


def is_hopeless(errors: Sequence[ErrorInfo | None]) -> bool:
    """Whether all failed alike, in a way that does not hang on the item: asking about more would fail as well."""
    kinds = {None if error is None else error.kind for error in errors}
    return len(kinds) == 1 and kinds <= _OF_THE_VENDOR


def kept_open(comparison: Any) -> str:
    """Which side's interval, in dollars, keeps a comparison of classifiers from being decided; else empty."""
    if not isinstance(comparison, Comparison) or comparison.verdict != "not decided":
        return ""
    costs, wide = comparison.a.costs, []
    for rate, usd in (
        (comparison.recall, costs.prevalence * (costs.missed_usd - costs.review_usd)),
        (comparison.false_alarms, (1 - costs.prevalence) * (costs.false_alarm_usd + costs.review_usd)),
    ):
        if rate.low is None or rate.high is None:
            return ""
        wide.append((1000 * usd * (rate.high - rate.low), rate.high - rate.low))
    (targets, recall), (others, alarms) = wide
    at = f"at a prevalence of {costs.prevalence:g}"
    if others >= targets:
        start = f"The others keep it open: their false-alarm rate is known to within {alarms / 2:.1%}"
        end = f"{usd_text(others / 2)} either way {at}; recall is worth {usd_text(targets / 2)}"
        more, hardly = "others", others > 3 * targets
    else:
        start = f"The targets keep it open: recall is known to within {recall / 2:.0%}"
        end = f"{usd_text(targets / 2)} either way {at}; false alarms are worth {usd_text(others / 2)}"
        more, hardly = "targets", targets > 3 * others
    less = {"others": "targets", "targets": "others"}[more]
    return f"{start}, which is {end}. Labels of {more} narrow that{f', of {less} hardly' if hardly else ''}."


def _row(book: Book, one: Tried) -> Row:
    score, keys = book.mean(one), book.parts.validation
    answered = [(book.student.instances[key], one.answered[key]) for key in keys if key in one.answered]
    found = [said.error is None and said.flagged for instance, said in answered if instance.positive]
    return Row(
        one.origin,
        one.prompt.id,
        None if score is None else book.objectives["validation"].mean_loss(book.scores(one)),
        score,
        sum(found) / len(found) if found and score is not None else None,
        len(one.candidate.demonstrations),
        one.input_tokens,
        sum(said.error is not None for _, said in answered),
        one.refused,
    )
