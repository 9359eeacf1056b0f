"""A report card as one table for the terminal."""

from __future__ import annotations

from llmclf.calibration.disagreements import DifferingCases
from llmclf.calibration.figure_text import figure_text
from llmclf.calibration.result import Calibration
from llmclf.render.tables import TableText, counted, price_text, usd_text
from llmclf.types import Estimate

STATES = {
    "calibrated": "CALIBRATED",
    "not_calibrated": "NOT CALIBRATED",
    "cant_tell": "CAN'T TELL YET",
    "people": "PEOPLE'S LABELS",
}
"""How a state is called where people read it."""
_MOST_PEOPLE = 12
_Cells = tuple[str, ...]


def table_of(card: Calibration) -> TableText:
    """The judge's figures beside the bar and a person's; below, the card in sentences and what is wrong."""
    alone = card.state == "people"
    columns: _Cells = ("", "a person") if alone else ("", "judge", "bar", "a person")
    rows = _people_rows(card) if alone else _judge_rows(card)
    if card.reference != "people":
        columns = columns[:-1]
        rows = [row[: len(columns)] for row in rows]
    return TableText(
        _title(card),
        columns,
        tuple((*row, *[""] * (len(columns) - len(row))) for row in rows),
        (
            *(flag.sentence for flag in card.flags),
            *card.sentences,
            *_differences(card.disagreements, card.reference),
            _spent(card),
        ),
        ("SIMULATED",) if card.simulated else (),
        right=(1, 2, 3)[: len(columns) - 1],
    )


def usd_of(card: Calibration) -> str:
    """What people and judge cost, in words."""
    spent = card.spent
    people = f"people {usd_text(spent.people_usd)} at {price_text(spent.usd_per_hour)} an hour"
    if card.reference != "people":
        people = f"the labels are of {card.reference}"
    elif not spent.is_timed:
        people = "people's time is not known"
    if card.state == "people":
        return people
    return f"{people}, judge {'price unknown' if spent.judge_usd is None else usd_text(spent.judge_usd)}"


def minutes_text(minutes: float) -> str:
    """`3.4`, from ten up without a decimal."""
    return f"{minutes:.1f}" if minutes < 9.95 else f"{minutes:,.0f}"


def _title(card: Calibration) -> str:
    name = card.judge or card.rubric.name
    counts = card.counts
    said = f"{counted(counts.labelled, 'labelled case')} ({card.split}), {counted(counts.positives, 'positive')}"
    return f"{STATES[card.state]}: {name}, session {card.session[:12]}, {said}"


def _judge_rows(card: Calibration) -> list[_Cells]:
    person, agreement = card.ceiling.person, card.ceiling.agreement
    bar = card.bar
    theirs: tuple[Estimate | None, ...] = (None, None, None)
    if agreement is not None:
        theirs = (agreement.kappa, agreement.alpha, agreement.ac1)
    figures: list[tuple[str, Estimate, float | None, Estimate | None]] = [
        ("positive agreement", card.positive_agreement, bar.positive_agreement, person.positive_agreement),
        ("sensitivity", card.sensitivity, bar.sensitivity, person.sensitivity),
        ("specificity", card.specificity, bar.specificity, person.specificity),
        ("precision", card.precision, None, person.precision),
        ("kappa", card.kappa, None, theirs[0]),
        ("alpha", card.alpha, None, theirs[1]),
        ("AC1", card.ac1, None, theirs[2]),
        ("observed agreement", card.observed, None, None if agreement is None else agreement.observed),
    ]
    rows: list[_Cells] = [
        (name, figure_text(own), "" if least is None else f"{least:.2f}", _range(other))
        for name, own, least, other in figures
    ]
    if card.majority is not None:
        rows.append((f"right by always {card.majority.verdict}", figure_text(card.majority.accuracy)))
    found, missed, false, quiet = card.cells.values()
    rows += [("found / missed", f"{found} / {missed}"), ("false alarms / quiet", f"{false} / {quiet}")]
    counts = card.counts
    kinds = (("failed", counts.failed), ("cannot tell", counts.cannot_tell), ("not judged", counts.not_judged))
    return rows + [(name, str(number)) for name, number in kinds if number]


def _people_rows(card: Calibration) -> list[_Cells]:
    person, agreement = card.ceiling.person, card.ceiling.agreement
    figures = [
        ("positive agreement", person.positive_agreement),
        ("sensitivity", person.sensitivity),
        ("specificity", person.specificity),
    ]
    if agreement is not None:
        figures += [("kappa", agreement.kappa), ("alpha", agreement.alpha), ("AC1", agreement.ac1)]
    rows: list[_Cells] = [] if card.ceiling.why_not else [(name, figure_text(one)) for name, one in figures]
    people = card.ceiling.people
    rows += [
        (f"{one.name}: positive agreement", figure_text(one.others.positive_agreement)) for one in people[:_MOST_PEOPLE]
    ]
    if len(people) > _MOST_PEOPLE:
        rows.append((f"and {len(people) - _MOST_PEOPLE} people more", ""))
    return rows


def _spent(card: Calibration) -> str:
    spent = card.spent
    if not spent.is_timed or card.reference != "people":
        return f"What it took: {usd_of(card)}."
    adjudicated = f", and {minutes_text(spent.adjudication_minutes)} to adjudicate" if spent.adjudications else ""
    untimed = f" ({counted(spent.untimed, 'label')} without a time)" if spent.untimed else ""
    return f"People took {minutes_text(spent.minutes)} minutes{adjudicated}{untimed}; {usd_of(card)}."


def _range(figure: Estimate | None) -> str:
    return "-" if figure is None or not figure.is_known else figure_text(figure)


def _differences(found: DifferingCases, reference: str) -> list[str]:
    """Pairs of truth and verdict with their counts, in one sentence."""
    pairs: dict[tuple[str, str], int] = {}
    for group in found.groups:
        pairs[group.truth, group.verdict] = pairs.get((group.truth, group.verdict), 0) + group.n
    named = [f"{number} x {truth}, judged {verdict}" for (truth, verdict), number in list(pairs.items())[:3]]
    more = f"; {len(pairs) - 3} other pairs" if len(pairs) > 3 else ""
    return (
        [f"{counted(found.n, 'case')} judged otherwise than by {reference}: {'; '.join(named)}{more}."]
        if found.n
        else []
    )
