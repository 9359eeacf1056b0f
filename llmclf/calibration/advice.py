"""Where a planned session can tell too little: the smallest other one of its pool that can, tried by its own plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llmclf.calibration.drawing import TARGETS, Drawn, spelled
from llmclf.calibration.expected import (
    GOOD_CHANCE,
    MOST_ITEMS,
    Assumed,
    Layout,
    expected,
    is_enough,
    items_needed,
    least_labels,
    least_number,
    pool_needed,
    rounded_up,
)
from llmclf.calibration.session import SessionDesign
from llmclf.types import Bar

Redraw = Callable[[SessionDesign, int], Drawn | None]
"""What a session of so many items would draw by another design; None where this pool can't be drawn from by it."""
_WAYS: tuple[SessionDesign, ...] = ("by_verdict", "random", "class_balanced")
_FREE: tuple[SessionDesign, ...] = ("by_verdict", "random")
_TRIES = 8
_FIRST = 20
"""Items of a draw that only shows how large the strata are."""


@dataclass(frozen=True, slots=True)
class Found:
    """A session of the same pool that can calibrate."""

    design: SessionDesign
    items: int
    drawn: Drawn
    chance: float
    """To pass, as the plan of this very session says."""


def layout_of(design: SessionDesign, drawn: Drawn, targets: frozenset[str]) -> Layout:
    """How the test labels of a draw are spread: `positive` are those drawn from positive verdicts (known targets)."""
    tested = [item for item in drawn.items if item.split == "test"]
    positive = sum(item.stratum in _looked_for(design, targets) for item in tested)
    return Layout(design, sum(drawn.population.values()), len(tested), positive)


def smallest(
    redraw: Redraw, targets: frozenset[str], share: float, assumed: Assumed, bar: Bar, *, pool: int, seed: int = 0
) -> Found | None:
    """The session with the fewest items, of any design, with which the judge passes in 8 of 10; None: none of the pool.

    A `share` of the items tests. Each is drawn as it would be, and its chance is that of its own plan.
    """
    found = [
        one
        for design in _WAYS
        if (seen := redraw(design, min(_FIRST, pool))) is not None
        and (one := _smallest(design, seen, redraw, targets, share, assumed, bar, seed)) is not None
    ]
    return min(found, key=lambda one: one.items, default=None)


def _smallest(
    design: SessionDesign,
    seen: Drawn,
    redraw: Redraw,
    targets: frozenset[str],
    share: float,
    assumed: Assumed,
    bar: Bar,
    seed: int,
) -> Found | None:
    most = sum(seen.population.values())
    looked_for = _looked_for(design, targets)
    held = sum(size for name, size in seen.population.items() if name in looked_for)

    def enough(items: int) -> bool:
        positive = min(held, max(items // 2, items - (most - held)))
        labels = max(1, round(items * share))
        layout = Layout(design, most, labels, min(labels, round(positive * share)))
        return is_enough(layout, assumed, bar, seed=seed)

    items = least_number(enough, min(rounded_up(least_labels(bar) / share), most), most)
    for _ in range(_TRIES):
        drawn = None if items is None else redraw(design, items)
        if items is None or drawn is None:
            return None
        chance = expected(layout_of(design, drawn, targets), assumed, bar, seed=seed).chance
        if chance >= GOOD_CHANCE:
            return Found(design, items, drawn, chance)
        items = min(most, rounded_up(1.1 * items)) if items < most else None
    return None


def larger_pool(assumed: Assumed, bar: Bar, share: float, pool: int, *, seed: int = 0) -> tuple[str, int]:
    """(what would do where no session of this pool can, items of it or 0)."""
    needed = {way: items_needed(way, assumed, bar, seed=seed) for way in _FREE}
    free = {way: rounded_up(labels / share) for way, labels in needed.items() if labels}
    start = f"no session of this pool of {pool:,} can"
    if not free:
        return (
            f"{start}, nor one of up to {MOST_ITEMS:,} items of a larger pool: the bar in its file is too high for "
            "targets as rare as these"
        ), 0
    way = min(free, key=free.__getitem__)
    items = free[way]
    size = max(items, pool_needed(assumed, items) if way == "by_verdict" else items)
    if size <= pool:  # it is near the edge: more of the same is what helps
        size = rounded_up(1.1 * pool)
    return f"{start}. A larger pool is needed, of about {size:,} cases: {spelled(way)}, {items:,} items", items


def _looked_for(design: SessionDesign, targets: frozenset[str]) -> frozenset[str]:
    """The strata that hold positive verdicts, or known targets."""
    return {"random": frozenset[str](), "class_balanced": frozenset({TARGETS}), "by_verdict": targets}[design]
