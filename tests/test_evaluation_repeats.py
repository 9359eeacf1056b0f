"""Repeats where answers failed: a failure is not a change of mind."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from llmclf.evaluation.repeats import Repeats, repeats
from llmclf.types import (
    Conversation,
    Design,
    ErrorInfo,
    Example,
    Label,
    Prediction,
    Predictions,
    Task,
    Turn,
    dataset_of,
)

TASK = Task("rude", "Rude?", (Label("rude", "target", "is"), Label("clean", "clean", "is not")))
DATASET = dataset_of(
    "set",
    [Conversation(f"i{n}", (Turn("user", "hm"),)) for n in range(200)],
    [Example(f"i{n}", labels={"rude": "rude" if n < 40 else "clean"}) for n in range(200)],
    Design("random"),
)


def said(failed: Callable[[int], bool]) -> Predictions:
    """The same answers each time, but for those that failed."""
    flags = [n % 4 != 0 if n < 40 else n % 20 == 0 for n in range(200)]
    return Predictions(
        Prediction(f"i{n}", "c@1", "rude", error=ErrorInfo("timeout", "late"))
        if failed(n)
        else Prediction(f"i{n}", "c@1", "rude", label="rude" if flag else "clean")
        for n, flag in enumerate(flags)
    )


def shown(made: Repeats) -> str:
    out = io.StringIO()
    Console(file=out, width=300).print(made)
    return " ".join(out.getvalue().split())


def test_failures_are_no_noise_of_the_model() -> None:
    """Half of a run failed and no answer changed: no noise, no talk of another model, but of the failures."""
    made = repeats([said(lambda n: False), said(lambda n: n % 2 == 1)], DATASET, TASK)
    assert made.recall is not None and made.dollars_per_1000 is not None
    assert (made.recall.model_share.value, made.dollars_per_1000.model_share.value, made.recall.p_steady) == (0, 0, 1)
    assert made.recall.by_run[0] == made.recall.by_run[1]
    assert (made.n_always, made.failed_sometimes) == (100, 100)
    text = shown(made)
    assert "100 failed in some runs only" in text and "of the 100 items that every run answered" in text
    assert "something else changed" not in text and "answers an item would" not in text


def test_without_an_item_that_all_answered_nothing_is_split() -> None:
    """Each item failed in one of two runs: no noise is spoken of, and the table says why."""
    made = repeats([said(lambda n: n % 2 == 0), said(lambda n: n % 2 == 1)], DATASET, TASK)
    assert made.recall is None and made.dollars_per_1000 is None
    assert "no item was answered in every run" in shown(made)


def test_without_failures_nothing_is_left_out() -> None:
    """All items count, and what more answers would buy is said."""
    made = repeats([said(lambda n: False)] * 2, DATASET, TASK)
    assert made.n_always == 200
    assert made.recall is not None and made.recall.by_run == pytest.approx((0.75, 0.75))
    assert "answers an item would" in shown(made) and "Failed" not in shown(made)
