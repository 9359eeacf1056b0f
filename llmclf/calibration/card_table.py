"""A report card as one table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from llmclf.calibration.disagreements import DifferingCases
from llmclf.calibration.figure_text import figure_text, interval_text
from llmclf.calibration.result import Calibration
from llmclf.calibration.soft import Disagreements
from llmclf.calibration.verdict import is_why
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
_MOST_PAIRS = 3
_MOST_RULES = 3
_DECIDE = ("positive_agreement", "sensitivity", "specificity")
_Cells = tuple[str, ...]


def table_of(card: Calibration) -> TableText:
    """State, why and the next step; the judge's figures beside the bar and a person's; the rest in sentences."""
    stamps = ("SIMULATED",) if card.simulated else ()
    if card.is_unlabelled:
        return TableText(_head(card), (), (), (), stamps)
    alone = card.state == "people"
    columns: _Cells = ("", "a person") if alone else ("", "judge", "bar", "a person")
    rows = _people_rows(card) if alone else _judge_rows(card)
    if card.reference != "people":
        columns = columns[:-1]
        rows = [row[: len(columns)] for row in rows]
    return TableText(
        _head(card),
        columns,
        tuple((*row, *[""] * (len(columns) - len(row))) for row in rows),
        (
            *(flag.sentence for flag in card.flags if not is_why(flag, card.why)),
            *card.sentences[1:],
            *(_pairs(card.people_differ) if alone else _differences(card.disagreements, card.reference)),
            *_withheld(card),
            _spent(card),
        ),
        stamps,
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
    price = "price unknown" if spent.judge_usd is None else usd_text(spent.judge_usd)
    return f"{people}, judge {price}{' in simulated dollars' if card.simulated and spent.judge_usd is not None else ''}"


def minutes_text(minutes: float) -> str:
    """`3.4`, from ten up without a decimal."""
    return f"{minutes:.1f}" if minutes < 9.95 else f"{minutes:,.0f}"


def _head(card: Calibration) -> str:
    lines = [_title(card), card.reason, *([f"next: {card.next_step}"] if card.next_step else [])]
    return "\n".join(lines)


def _title(card: Calibration) -> str:
    name = card.judge or card.rubric.name
    about = f"{STATES[card.state]}: {name}, session {card.session}"
    if card.state == "people":
        return f"{about} ({card.split})"
    counts = card.counts
    said = f"{counted(counts.labelled, 'labelled case')} ({card.split}), {counted(counts.positives, 'positive')}"
    return f"{about}, {said}"


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
    ]
    beside: list[tuple[str, Estimate, float | None, Estimate | None]] = [
        ("kappa", card.kappa, None, theirs[0]),
        ("alpha", card.alpha, None, theirs[1]),
        ("AC1", card.ac1, None, theirs[2]),
        ("observed agreement", card.observed, None, None if agreement is None else agreement.observed),
    ]
    found, missed, false, quiet = card.cells.values()
    rows = _figure_rows(figures)
    rows += [("found / missed", f"{found} / {missed}"), ("false alarms / quiet", f"{false} / {quiet}")]
    rows += _figure_rows(beside)
    if card.majority is not None:
        rows.append((f"right by always {card.majority.verdict}", _range(card.majority.accuracy)))
    counts = card.counts
    kinds = (("failed", counts.failed), ("cannot tell", counts.cannot_tell), ("not judged", counts.not_judged))
    return rows + [(name, str(number)) for name, number in kinds if number]


def _figure_rows(figures: list[tuple[str, Estimate, float | None, Estimate | None]]) -> list[_Cells]:
    return [
        (name, _own(figure), "" if least is None else f"{least:.2f}", _range(theirs))
        for name, figure, least, theirs in figures
    ]


def _people_rows(card: Calibration) -> list[_Cells]:
    """What was labelled and by whom; where cases have two labels, how well people agree."""
    rows: list[_Cells] = [("label that counts", _kinds(card.truths))]
    people = list(card.labels.items())
    rows += [(f"{name}: {sum(said.values()):,} labels", _kinds(said)) for name, said in people[:_MOST_PEOPLE]]
    if len(people) > _MOST_PEOPLE:
        rows.append((f"and {len(people) - _MOST_PEOPLE} people more", ""))
    if card.ceiling.why_not:
        return rows
    rows += [(name, _known(figure)) for name, figure in _people_figures(card)]
    several = card.ceiling.people if card.ceiling.raters > 2 else ()  # of two, each is held against the other alone
    return rows + [
        (f"{one.name}: positive agreement", _known(one.others.positive_agreement)) for one in several[:_MOST_PEOPLE]
    ]


def _people_figures(card: Calibration) -> list[tuple[str, Estimate]]:
    person, agreement = card.ceiling.person, card.ceiling.agreement
    figures = [(name.replace("_", " "), getattr(person, name)) for name in _DECIDE]
    if agreement is not None:
        figures += [("kappa", agreement.kappa), ("alpha", agreement.alpha), ("AC1", agreement.ac1)]
    return figures


def _kinds(counts: Mapping[str, int]) -> str:
    """`12 supported, 7 unsupported`, one below the other where there are many; what nobody said is left out."""
    said = [f"{number:,} {name}" for name, number in counts.items() if number]
    return (", " if len(said) < 3 else "\n").join(said) or "none"


def _withheld(card: Calibration) -> list[str]:
    """Why a figure has no value, each reason once."""
    figures = [(name.replace("_", " "), one) for name, one in card.figures.items() if name != "prevalence"]
    if card.state == "people":
        figures = [] if card.ceiling.why_not else _people_figures(card)
    reasons: dict[str, list[str]] = {}
    for name, figure in figures:
        if not figure.is_known and figure.why_not and figure.why_not not in card.why:
            reasons.setdefault(figure.why_not, []).append(name)
    return [f"No value for {', '.join(names)}: {why}." for why, names in reasons.items()]


def _pairs(found: Disagreements) -> list[str]:
    """The labels that people differ on most, with the rules cited for each."""
    said = []
    for pair in found.pairs[:_MOST_PAIRS]:
        decided = f" (decided {pair.to_first:,} / {pair.to_second:,})" if pair.to_first or pair.to_second else ""
        said.append(
            f"They differ between {pair.first} and {pair.second} in {counted(len(pair.cases), 'case')}{decided}; "
            f"rules: {_cited(pair.first_rules)} for {pair.first}, {_cited(pair.second_rules)} for {pair.second}."
        )
    more = len(found.pairs) - _MOST_PAIRS
    return [*said, f"They differ between {counted(more, 'more pair')} of labels."] if more > 0 else said


def _cited(rules: Mapping[str, int]) -> str:
    """`R2 3, R1 1`, the most cited first."""
    most = sorted(rules.items(), key=lambda rule: -rule[1])[:_MOST_RULES]
    return ", ".join(f"{name} {count}" for name, count in most) or "none"


def _spent(card: Calibration) -> str:
    spent = card.spent
    if not spent.is_timed or card.reference != "people":
        return f"What it took: {usd_of(card)}."
    adjudicated = f", and {minutes_text(spent.adjudication_minutes)} to adjudicate" if spent.adjudications else ""
    untimed = f" ({counted(spent.untimed, 'label')} without a time)" if spent.untimed else ""
    return f"People took {minutes_text(spent.minutes)} minutes{adjudicated}{untimed}; {usd_of(card)}."


def _own(figure: Estimate) -> str:
    """A figure of the judge; the interval alone, which the bar is held against, where the value is withheld."""
    return figure_text(figure) if figure.is_known else interval_text(figure) or "not known"


def _known(figure: Estimate) -> str:
    return figure_text(figure) if figure.is_known else "not known"


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
