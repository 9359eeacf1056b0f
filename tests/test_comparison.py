"""`llmclf.compare`: two sets of predictions on the same items."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable

import pytest
from rich.console import Console

import llmclf
from llmclf.errors import DataError
from llmclf.evaluation.comparison import Comparison
from llmclf.types import (
    Conversation,
    Costs,
    Dataset,
    Design,
    ErrorInfo,
    Example,
    Label,
    Prediction,
    Predictions,
    Task,
    Turn,
)

TASK = Task("rude", "Rude?", (Label("rude", "target", "is"), Label("clean", "clean", "is not")))
COSTS = Costs(prevalence=0.01)


def dataset(positives: int = 20, others: int = 80) -> Dataset:
    """Items i0, i1, ... of which the first are targets."""
    ids = [f"i{number}" for number in range(positives + others)]
    examples = tuple(
        Example(id, labels={"rude": "rude" if place < positives else "clean"}) for place, id in enumerate(ids)
    )
    return Dataset("set", {id: Conversation(id, (Turn("user", "hm"),)) for id in ids}, examples, Design("random"))


def said(
    flagged: Iterable[int],
    of: Iterable[int] = range(100),
    *,
    name: str = "one@1",
    failed: Iterable[int] = (),
    **other: object,
) -> Predictions:
    """Predictions about items `of`, by their numbers; those of `failed` timed out."""
    flags, fails = set(flagged), set(failed)
    error = ErrorInfo("timeout", "too late", True)
    return Predictions(
        Prediction(f"i{number}", name, "rude", error=error, **other)  # type: ignore[arg-type]
        if number in fails
        else Prediction(
            f"i{number}",
            name,
            "rude",
            label="rude" if number in flags else "clean",
            flagged=number in flags,
            score=0.9 if number in flags else 0.1,
            **other,  # type: ignore[arg-type]
        )
        for number in of
    )


def compared(a: Predictions, b: Predictions, **more: object) -> Comparison:
    """On the usual items and costs."""
    return llmclf.compare(a, b, dataset(), TASK, costs=COSTS, **more)  # type: ignore[arg-type]


def printed(comparison: Comparison, width: int = 80) -> str:
    """As it shows on a terminal."""
    out = io.StringIO()
    Console(width=width, file=out).print(comparison)
    return out.getvalue()


def test_better_and_worse_are_said_in_dollars() -> None:
    """Where all of the interval is below 0, B is better; with the sides swapped it is worse, by the same."""
    poor, good = said(range(4)), said(range(18), name="two@2")
    better, worse = compared(poor, good), compared(good, poor)
    assert better.verdict == "better" and worse.verdict == "worse"
    assert better.sentence.startswith("B is better: $272 (") and better.sentence.endswith(
        "cheaper per 1,000 conversations."
    )
    assert worse.sentence.startswith("B is worse: $272 (") and "dearer" in worse.sentence
    assert better.more is None
    assert better.targets.gains == 14 and better.targets.p == pytest.approx(2**-13)
    assert better.targets.method == "mcnemar-exact"


def test_what_is_not_decided_says_what_would_decide() -> None:
    """A small difference names the labels, and the targets among them, that would decide it."""
    made = compared(said(range(10)), said(range(12), name="two@2"))
    assert made.verdict == "not decided"
    assert made.more is not None and made.more.labels and made.more.positives
    assert (
        f"About {made.more.labels:,} more labels would decide ({made.more.positives:,} of them targets" in made.sentence
    )


def test_the_same_answers_are_never_decided() -> None:
    """A classifier against itself: no difference, no gain, and still an interval."""
    one = said(range(10))
    made = compared(one, one)
    assert made.dollars.value == 0 and made.dollars.low is not None and made.dollars.low < 0
    assert made.gains == made.losses == made.failures == ()
    assert made.sentence.startswith("A and B are the same: one@1.")


def test_gains_and_losses_are_told_item_by_item() -> None:
    """Found and lost targets, new and gone false alarms, each with its item and what both said."""
    made = compared(said([0, 30]), said([1, 31], name="two@2"))
    assert [(one.item, one.kind) for one in made.gains] == [("i1", "found"), ("i30", "quiet")]
    assert [(one.item, one.kind) for one in made.losses] == [("i0", "lost"), ("i31", "false alarm")]
    assert (made.gains[0].a, made.gains[0].b, made.gains[0].label) == ("clean", "rude", "rude")
    assert (made.gains[0].a_score, made.gains[0].b_score) == (0.1, 0.9)


def test_a_failed_item_is_neither_gain_nor_loss() -> None:
    """It stands apart, counts as missed for recall, and costs what on_error says."""
    a, b = said(range(10)), said(range(10), name="two@2", failed=[0, 50])
    made = compared(a, b)
    assert [(one.item, one.kind, one.b) for one in made.failures] == [
        ("i0", "failed", "failed: timeout"),
        ("i50", "failed", "failed: timeout"),
    ]
    assert made.gains == made.losses == ()
    assert made.recall.value == pytest.approx(-1 / 20)
    review = COSTS.review_usd
    assert made.dollars.value == pytest.approx(1000 * 0.99 * review / 80)  # a review either way for the found target
    as_miss = llmclf.compare(a, b, dataset(), TASK, costs=Costs(prevalence=0.01, on_error="miss"))
    assert as_miss.dollars.value == pytest.approx(1000 * 0.01 * (40 - review) / 20)


def test_only_items_of_both_count() -> None:
    """Items that one side alone predicted are in no figure, and are counted."""
    made = compared(said(range(10), range(90)), said(range(10), range(2, 100), name="two@2"))
    assert (made.items, made.positives, made.only_a, made.only_b) == (88, 18, 2, 10)
    assert "2 items were predicted by A alone" in printed(made)


def test_nothing_in_common_is_an_error() -> None:
    """Where no labelled item was predicted by both there is nothing to compare."""
    with pytest.raises(DataError, match="no labelled item was predicted by both"):
        compared(said([0], range(50)), said([0], range(50, 100)))


def test_simulated_is_not_compared_with_real() -> None:
    """A simulated vendor says nothing about a real one; two simulated ones are stamped."""
    with pytest.raises(DataError, match="real and simulated"):
        compared(said([0]), said([0], simulated=True))
    assert printed(compared(said([0], simulated=True), said([1], simulated=True))).startswith("SIMULATED")


def test_an_unknown_price_leaves_it_open() -> None:
    """Without B's price the dollars are not known, and nothing is decided."""
    made = compared(said(range(4)), said(range(18), name="two@2", cost_nano_usd=None))
    assert made.verdict == "not decided" and made.more is None
    assert "the model's own price is not known" in made.sentence


def test_a_price_is_part_of_the_difference() -> None:
    """A dollar an item more is 1,000 dollars more for 1,000 items."""
    made = compared(said(range(9)), said(range(9), name="two@2", cost_nano_usd=10**9))
    assert made.dollars.value == pytest.approx(1000) and made.verdict == "worse"


def test_few_targets_decide_nothing() -> None:
    """With fewer than ten targets there is an interval, no figure, and the number that is missing."""
    few = dataset(5, 95)
    made = llmclf.compare(said([]), said(range(5), name="two@2"), few, TASK, costs=COSTS)
    assert made.verdict == "not decided" and "needs 5 more at least" in made.sentence


def test_the_table_fits_any_terminal() -> None:
    """At 80 and at 60 columns no line is longer, the sentence stands first, and ten gains are shown of fourteen."""
    made = compared(said(range(4)), said(range(18), name="two@2"))
    for width in (80, 60):
        text = printed(made, width)
        assert text.startswith("B is better")
        assert max(len(line.rstrip()) for line in text.splitlines()) <= width
        assert "and 4 more; --json has all" in " ".join(text.split())


def test_json_has_everything() -> None:
    """The document holds every gain, the differences as estimates, and both sides."""
    made = compared(said(range(4)), said(range(18), name="two@2"))
    document = json.loads(made.to_json())
    assert len(document["gains"]) == 14
    assert document["verdict"] == "better" and document["sentence"] == made.sentence
    assert document["dollars"]["high"] < 0
    assert document["a"]["name"] == "one@1" and document["b"]["recall"]["value"] == 0.9
    assert "<table>" in made._repr_html_()


def test_the_same_inputs_give_the_same_figures() -> None:
    """Draws go by the seed alone."""
    a, b = said(range(4)), said(range(9), name="two@2")
    assert compared(a, b).to_dict() == compared(a, b).to_dict()
