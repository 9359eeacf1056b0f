"""A report card as one page that works offline: what is known of a judge, and how."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from llmclf.calibration.card_table import STATES, minutes_text, usd_of
from llmclf.calibration.figure_text import interval_text, value_text
from llmclf.calibration.interval_bars import SCALE, figure_bar, legend
from llmclf.calibration.people import Person
from llmclf.calibration.report_cases import cases_section, people_differ_section
from llmclf.calibration.result import Calibration
from llmclf.calibration.sentences import set_name
from llmclf.calibration.verdict import is_why
from llmclf.judges.status import short_of
from llmclf.render.pages import html_page, packaged_text
from llmclf.render.rates import rate_range, rate_text
from llmclf.render.tables import counted, usd_text
from llmclf.types import Estimate

_MOST_PEOPLE = 12
_DESIGNS = {
    "random": "cases drawn at random from the pool; every case counts alike",
    "by_verdict": "a number of cases drawn within each verdict, weighted by how often the pool has it",
    "class_balanced": "a number of cases drawn of each known label; sensitivity and specificity hold within a class, "
    "and how rare the target is only the judge's verdicts on the pool can say",
}


def card_page(calibration: Calibration) -> str:
    """The card as one HTML file without scripts; every text in it is escaped."""
    card = calibration
    alone = card.state == "people"
    parts = (
        [_head(card), _measured(card)]
        if card.is_unlabelled
        else [
            _head(card),
            _flags(card),
            "" if alone else _figures(card),
            "" if alone else _confusion(card),
            _people(card) if card.reference == "people" else "",
            "" if alone else _slices(card),
            "" if alone else cases_section(card.disagreements, card.reference),
            people_differ_section(card.people_differ),
            _correction(card),
            _spent(card),
            _measured(card),
        ]
    )
    name = card.judge or card.rubric.name
    title = f"{STATES[card.state].capitalize()}: {name}"
    return html_page(
        title, "\n".join(part for part in parts if part), packaged_text("llmclf.calibration", "report.css")
    )


def _head(card: Calibration) -> str:
    kind = "people's card" if card.state == "people" else "report card"
    stamps = '<span class="stamp">SIMULATED</span> ' if card.simulated else ""
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in card.sentences[1:])
    step = f'<p class="next">next: {escape(card.next_step)}</p>' if card.next_step else ""
    return (
        f'<p class="eyebrow">{kind} · session {escape(card.session)} · {escape(card.split)} split</p>'
        f"<h1>{stamps}{escape(card.judge or card.rubric.name)}</h1>"
        f'<p class="soft">{escape(card.rubric.question)}</p>'
        f'<div class="verdict {card.state}"><p class="state">{STATES[card.state]}</p>'
        f'<p class="why">{escape(card.reason)}</p>{step}</div>'
        f'<ul class="said">{said}</ul>'
    )


def _flags(card: Calibration) -> str:
    others = [flag for flag in card.flags if not is_why(flag, card.why)]
    if not others:
        return ""
    made = [
        f'<div class="flag{" grave" if flag.grave else ""}"><b>{escape(flag.kind.replace("_", " "))}</b>'
        f"{escape(flag.sentence)}</div>"
        for flag in others
    ]
    return f"<h2>What is wrong with it</h2>{''.join(made)}"


def _figures(card: Calibration) -> str:
    person, agreement = card.ceiling.person, card.ceiling.agreement
    by_people = card.reference == "people"
    first = "".join(
        figure_bar(
            name.replace("_", " "),
            getattr(card.rates, name),
            theirs=getattr(person, name) if by_people else None,
            beside=getattr(card.ceiling.judge, name) if by_people else None,
            least=getattr(card.bar, name),
        )
        for name in ("positive_agreement", "sensitivity", "specificity")
    )
    theirs: tuple[Estimate | None, ...] = (None, None, None, None)
    if agreement is not None:
        theirs = (agreement.kappa, agreement.alpha, agreement.ac1, agreement.observed)
    beside: list[tuple[str, Estimate, Estimate | None]] = [
        ("precision", card.precision, person.precision),
        ("kappa", card.kappa, theirs[0]),
        ("alpha", card.alpha, theirs[1]),
        ("AC1", card.ac1, theirs[2]),
        ("observed agreement", card.observed, theirs[3]),
    ]
    second = "".join(
        figure_bar(name, own, theirs=people if by_people else None, minor=True) for name, own, people in beside
    )
    marks = legend(people=by_people and not card.ceiling.why_not)
    return (
        f"<h2>How well it agrees with {escape(card.reference)}</h2>{marks}{first}{SCALE}<h3>Beside them</h3>{second}"
        f'<p class="soft">{escape(_beside(card))}</p>'
    )


def _beside(card: Calibration) -> str:
    said = f"Kappa, alpha, AC1 and observed agreement are of {set_name(card)}."
    said += " Nothing is decided by AC1: it is high wherever targets are rare."
    if card.majority is None:
        return said
    return (
        f"{said} Always saying “{card.majority.verdict}” has observed agreement {rate_range(card.majority.accuracy)}, "
        f"kappa 0, sensitivity {card.majority.sensitivity:.0f} and specificity {card.majority.specificity:.0f}."
    )


def _confusion(card: Calibration) -> str:
    names, targets = card.rubric.names, card.rubric.targets
    tags = {name: ' <span class="tag">looked for</span>' if name in targets else "" for name in names}
    head = "".join(f"<th>{escape(name)}{tags[name]}<small>says the judge</small></th>" for name in names)
    rows = []
    for truth, row in zip(names, card.confusion, strict=True):
        cells = "".join(
            f'<td class="{_shade(truth == said, number)}">{number:,}</td>'
            for said, number in zip(names, row, strict=True)
        )
        rows.append(f"<tr><th>{escape(truth)}{tags[truth]}<small>by {escape(card.reference)}</small></th>{cells}</tr>")
    counts = card.counts
    kinds = (("failed", counts.failed), ("cannot tell", counts.cannot_tell), ("not judged", counts.not_judged))
    left_out = ", ".join(f"{number} {kind}" for kind, number in kinds if number)
    note = f'<p class="soft">Not in it: {left_out}.</p>' if left_out else ""
    if len(names) > 2:
        sums = ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in card.cells.items())
        note = f'<p class="soft">With what is looked for as one: {sums}.</p>{note}'
    table = f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return (
        f'<h2>Where it is right and wrong</h2><div class="scroll"><table class="confusion">{table}</table></div>{note}'
    )


def _shade(right: bool, number: int) -> str:
    return "zero" if not number else "right" if right else "wrong"


def _people(card: Calibration) -> str:
    ceiling = card.ceiling
    if not ceiling.people:
        return ""
    alone = card.state == "people"
    bars = ""
    if not ceiling.why_not and alone:
        person, agreement = ceiling.person, ceiling.agreement
        figures = [
            ("positive agreement", person.positive_agreement),
            ("sensitivity", person.sensitivity),
            ("specificity", person.specificity),
        ]
        figures += [("kappa", agreement.kappa), ("alpha", agreement.alpha)] if agreement else []
        bars = "".join(figure_bar(name, one) for name, one in figures)
    said = (
        f"No ceiling: {ceiling.why_not}."
        if ceiling.why_not
        else f"{counted(ceiling.raters, 'person')}".replace("persons", "people")
        + f" on {counted(ceiling.n, 'case')} with two labels or more, each held against the vote of the others."
    )
    shown, more = ceiling.people[:_MOST_PEOPLE], ceiling.people[_MOST_PEOPLE:]
    table = _people_table(shown, alone)
    if more:
        table += f"<details><summary>{len(more)} more</summary>{_people_table(more, alone)}</details>"
    return f'<h2>People among themselves</h2><p class="soft">{escape(said)}</p>{bars}{table}'


def _people_table(people: Sequence[Person], alone: bool) -> str:
    adjudicated = any(one.truth.sensitivity.is_known or one.truth.specificity.is_known for one in people)
    several = any(one.others.n for one in people)
    head = ["", "labels"]
    head += ["positive agreement", "sensitivity", "specificity"] if several else []
    head += ["sensitivity to the truth", "specificity to it"] if adjudicated else []
    head += [] if alone else ["judge with this person", "kappa"]
    rows: list[tuple[str | Estimate, ...]] = []
    for one in people:
        figures = [one.others.positive_agreement, one.others.sensitivity, one.others.specificity] if several else []
        figures += [one.truth.sensitivity, one.truth.specificity] if adjudicated else []
        figures += [] if alone else [one.judge.positive_agreement, one.judge_kappa]
        rows.append((one.name, f"{one.labels:,}", *figures))
    return _grid(head, rows)


def _slices(card: Calibration) -> str:
    if not card.slices:
        return ""
    rows: list[tuple[str | Estimate, ...]] = []
    for one in card.slices:
        rates = one.rates
        least = min((p for p in (one.p_missed, one.p_false_alarm) if p is not None), default=None)
        said = "-" if least is None else f"{'differs' if one.differs else 'not shown to differ'}, p {least:.2g}"
        rows.append(
            (
                f"{one.by} = {one.value}",
                f"{rates.n:,}",
                f"{rates.n_positives:,}",
                rates.positive_agreement,
                rates.sensitivity,
                rates.specificity,
                said,
            )
        )
    head = ("", "cases", "positives", "positive agreement", "sensitivity", "specificity", "against the rest")
    note = "p is for all slices together (Holm); intervals alone mean too few positives for a value."
    return f'<h2>On parts of the cases</h2>{_grid(head, rows)}<p class="soft">{note}</p>'


def _correction(card: Calibration) -> str:
    share = card.correction.share
    names = " or ".join(name for name in card.rubric.names if name in card.rubric.targets)
    if share.is_known and share.value is not None:
        interval = "" if share.low is None or share.high is None else f"{_percent(share.low)} to {_percent(share.high)}"
        tile = f"<b>{_percent(share.value)}</b><span>{interval} of the pool is {escape(names)}</span>"
    elif share.is_upper_bound_only and share.high is not None:
        tile = (
            f"<b>at most {_percent(share.high)}</b><span>of the pool is {escape(names)}; {escape(share.why_not)}</span>"
        )
    else:
        return f"<h2>How common it is</h2><p>Not known: {escape(share.why_not)}.</p>"
    never = "" if card.state == "people" else " The judge’s own rate is not given: alone it misleads."
    return (
        f'<h2>How common it is</h2><div class="tiles"><div class="tile">{tile}</div></div>'
        f'<p class="soft">From {escape(card.correction.how)}.{never}</p>'
    )


def _percent(share: float) -> str:
    return rate_text(share, ".1%").replace("%", " %")


def _spent(card: Calibration) -> str:
    spent = card.spent
    each = "" if spent.seconds_a_label is None else f", {spent.seconds_a_label:.0f} seconds each"
    untimed = f"; {counted(spent.untimed, 'label')} without a time" if spent.untimed and spent.is_timed else ""
    timed = minutes_text(spent.minutes) + " min" if spent.is_timed else "not timed"
    tiles = [(timed, f"{'for ' if spent.is_timed else ''}{counted(spent.labels, 'label')}{each}{untimed}")]
    if spent.adjudications:
        deciding = f"for {counted(spent.adjudications, 'adjudication')}"
        tiles.append((f"{minutes_text(spent.adjudication_minutes)} min", deciding))
    tiles.append(("price unknown" if card.usd is None else usd_text(card.usd), usd_of(card)))
    made = "".join(f'<div class="tile"><b>{escape(top)}</b><span>{escape(below)}</span></div>' for top, below in tiles)
    return f'<h2>What it took</h2><div class="tiles">{made}</div>'


def _measured(card: Calibration) -> str:
    counts = card.counts
    facts = [
        ("design", _design(card)),
        (
            "split",
            f"{card.split}: {counts.cases:,} cases, {counts.labelled:,} with a truth, {counts.waiting:,} waiting",
        ),
        (
            "compared",
            f"{counts.compared:,} cases with a truth and a verdict, {card.rates.n_positives:,} of them positive",
        ),
        ("truth", _truth(card)),
        ("bar", _bar(card)),
        ("looks", f"{card.looks} at this split with this judge" if card.looks else "not counted"),
        (
            "judge",
            f"fingerprint {short_of(card.fingerprint)}; the card is of this judge alone, any change needs a new one",
        ),
        ("guideline", ", ".join(one[:12] for one in card.guidelines) or "not recorded"),
        ("intervals", "95 %; cases of one conversation or group are not taken as independent"),
    ]
    if card.state == "people":
        facts = [one for one in facts if one[0] not in ("compared", "bar", "looks", "judge")]
    listed = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts)
    return f'<h2>How it was measured</h2><dl class="facts">{listed}</dl>'


def _design(card: Calibration) -> str:
    if not card.contradicted:
        return _DESIGNS[card.design]
    return (
        "a number of cases drawn of each known label; as some of these are wrong, weighted by how often the pool has it"
    )


def _truth(card: Calibration) -> str:
    if card.reference != "people":
        return f"what {card.reference} says"
    return "the adjudicator's label, else what more than half of the annotators say, once all have answered"


def _bar(card: Calibration) -> str:
    bar = card.bar
    return (
        f"low ends of at least {bar.positive_agreement:g} for positive agreement, {bar.sensitivity:g} for sensitivity "
        f"and {bar.specificity:g} for specificity, on {bar.positives} positives or more"
    )


def _grid(head: Sequence[str], rows: Iterable[Sequence[str | Estimate]]) -> str:
    """A table whose first column is a name and whose others are figures; texts are escaped."""
    top = "".join(f"<th{_right(place)}>{escape(name)}</th>" for place, name in enumerate(head))
    body = "".join(f"<tr>{''.join(_grid_cells(row))}</tr>" for row in rows)
    return f'<div class="scroll"><table class="grid"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _grid_cells(row: Sequence[str | Estimate]) -> Iterator[str]:
    for place, cell in enumerate(row):
        yield f"<td{_right(place)}>{escape(cell) if isinstance(cell, str) else _stacked(cell)}</td>"


def _right(place: int) -> str:
    return ' class="n"' if place else ""


def _stacked(figure: Estimate) -> str:
    """A value over its interval; the interval alone where the value is withheld; a dash."""
    value, interval = value_text(figure), interval_text(figure)
    if not interval:
        return value or "-"
    return f"{value}<small>{interval}</small>"
