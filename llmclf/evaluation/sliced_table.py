"""Slices as one table, and what its reader must know."""

from __future__ import annotations

from llmclf.evaluation.sliced import SURE, Slice, Slices
from llmclf.render.rates import rate_cells
from llmclf.render.tables import TableText, counted
from llmclf.types import Estimate


def table_of(slices: Slices) -> TableText:
    """A row for each slice, smallest first; rates over their intervals; notes on what to make of it below."""
    return TableText(
        f"{slices.task}: {slices.classifier_id} on {slices.dataset}, {counted(len(slices.slices), 'slice')}",
        ("slice", "items", "targets", "recall", "false alarms", "p"),
        tuple(_row(one) for one in slices.slices),
        notes_of(slices),
        tuple(name for name, on in (("SIMULATED", slices.simulated), ("SYNTHETIC", slices.synthetic)) if on),
        right=(1, 2, 3, 4, 5),
    )


def notes_of(slices: Slices) -> tuple[str, ...]:
    """In plain words: which slices differ, how many were looked at, how p was reckoned, whose rates these are."""
    if not slices.slices:
        return ("There is nothing to slice by: no failure mode, no other label, and no metadata of 2 to 12 values.",)
    found = [_difference(one) for one in slices.different]
    by_chance = slices.n_comparisons * SURE
    looked = counted(len(slices.slices), "slice") + (" was" if len(slices.slices) == 1 else " were")
    compared = counted(slices.n_comparisons, "comparison")
    test = (
        "whole groups are dealt anew at random, because items of a group are not independent"
        if slices.clustered
        else "Fisher's exact test"
    )
    return (
        *(found or ["No slice differs from the rest by more than chance; small ones could not show it."]),
        f"{looked} looked at, {compared}: {_about(by_chance)} would look different at p < {SURE:g} by chance "
        "alone. p is the smaller of the two (missed targets, false alarms), adjusted for all of them (Holm).",
        f"Below each rate stands its {slices.level * 100:g} % interval.",
        f"p compares labelled items with those outside the slice, unweighted: {test}.",
        *(_few(slices)),
        *([f"Rates are of this set, because {slices.of_set}."] if slices.of_set else []),
    )


def _row(one: Slice) -> tuple[str, ...]:
    recall = _cell(one.recall, ".2f") if one.n_positives else "no target"
    if one.by == "label":
        recall = "-"
    alarms = "-" if one.by == "failure_mode" else _cell(one.false_alarm_rate, ".3f")
    failed = f"\n{one.n_failed} failed" if one.n_failed else ""
    p = "-" if one.least_p is None else _p_text(one.least_p)
    return (f"{one.by}: {one.value}", f"{one.n:,}{failed}", f"{one.n_positives:,}", recall, alarms, p)


def _cell(estimate: Estimate, spec: str) -> str:
    value, interval = rate_cells(estimate, spec)
    return f"{value}\n{interval}" if interval else value


def _p_text(p: float) -> str:
    return "<.001" if p < 0.001 else f"{p:.2g}" if p < 0.1 else f"{p:.1f}"


def _difference(one: Slice) -> str:
    said = []
    for p, more, what in (
        (one.p_missed_adjusted, one.missed_more, "targets are missed"),
        (one.p_false_alarm_adjusted, one.alarms_more, "others are flagged"),
    ):
        if p is not None and p < SURE:
            often = "more" if more else "less"
            said.append(f"{what} {often} often than elsewhere (p = {_p_text(p)})")
    return f"{one.by} = {one.value}: {'; '.join(said)}."


def _about(number: float) -> str:
    if number < 0.75:
        return "less than one"
    words = ("", "one", "two", "three", "four", "five")
    return f"about {words[round(number)] if number < 5.5 else f'{number:.0f}'}"


def _few(slices: Slices) -> list[str]:
    few = sum(1 for one in slices.slices if one.n_positives and one.recall.value is None)
    if not few:
        return []
    verb = "has" if few == 1 else "have"
    return [f"{counted(few, 'slice')} {verb} too few targets for a figure: the interval is what can be said."]
