"""The part of a card's page that lists cases: where judge and people differ, and what people differ on."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

from llmclf.calibration.disagreements import DifferingCases, Disagreement, DisagreementGroup, PersonSaid
from llmclf.calibration.soft import Disagreements, PairOfVerdicts
from llmclf.render.tables import counted

_OPEN = 2
_MOST_IDS = 12
_MOST_PEOPLE = 6
_MOST_CHARACTERS = 600


def cases_section(found: DifferingCases, reference: str = "people") -> str:
    """The disagreeing cases in their groups, the judge's reason beside the others'; the first groups open."""
    if not found.n:
        return ""
    groups = [
        _group(group, place < _OPEN, escape(reference)) for place, group in enumerate(found.groups) if group.shown
    ]
    left = found.n - found.n_shown
    more = f'<p class="soft">and {counted(left, "case")} more, which are counted above only.</p>' if left else ""
    head = f"<h2>{counted(found.n, 'case')} judged otherwise than by {escape(reference)}</h2>"
    return f"{head}{''.join(groups)}{more}"


def people_differ_section(found: Disagreements) -> str:
    """The pairs of verdicts that people can't tell apart, with the rules they cite on each side."""
    if not found.pairs:
        return ""
    rows = "".join(
        f"<tr><td><b>{escape(pair.first)}</b> or <b>{escape(pair.second)}</b></td>"
        f"<td>{len(pair.cases):,}</td><td>{_decided(pair)}</td>"
        f"<td>{_rules(pair.first_rules)}</td><td>{_rules(pair.second_rules)}</td><td>{_ids(pair.cases)}</td></tr>"
        for pair in found.pairs
    )
    head = (
        "<th></th><th class='n'>cases</th><th class='n'>decided</th><th>rules for the first</th><th>for the second</th>"
    )
    said = f"In {found.disagreeing:,} of {counted(found.labelled_twice, 'case')} with two labels or more. "
    said += "A pair with many cases, and the rules cited on both sides, is where the guideline needs words."
    return (
        f'<h2>What people differ on</h2><p class="soft">{said}</p><div class="scroll"><table class="grid">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _decided(pair: PairOfVerdicts) -> str:
    return f"{pair.to_first:,} / {pair.to_second:,}" if pair.to_first or pair.to_second else "-"


def _rules(rules: Mapping[str, int]) -> str:
    return escape(", ".join(f"{rule} {count}" for rule, count in rules.items()))


def _ids(cases: Sequence[str]) -> str:
    more = f" and {len(cases) - _MOST_IDS} more" if len(cases) > _MOST_IDS else ""
    listed = escape(", ".join(cases[:_MOST_IDS])) + more
    return f"<details><summary>which</summary>{listed}</details>"


def _group(group: DisagreementGroup, is_open: bool, reference: str) -> str:
    rule = f" · rule {escape(group.rule)}" if group.rule else ""
    shown = "" if len(group.shown) == group.n else f", {len(group.shown)} shown"
    summary = (
        f"{reference} <b>{escape(group.truth)}</b>, judge <b>{escape(group.verdict)}</b>{rule} "
        f'<span class="count">({counted(group.n, "case")}{shown})</span>'
    )
    asked = next((one.conversation_id for one in group.shown if one.conversation_id), "")
    command = f"llmclf data show DATA {shlex.quote(asked)}"
    how = (
        f'<p class="soft">A conversation in full: <code>{escape(command)}</code>, '
        "DATA the dataset or file that the cases come from.</p>"
        if asked
        else ""
    )
    head = f'<div class="case head"><span>case</span><span>the judge</span><span>{reference}</span></div>'
    cases = how + head + "".join(map(_case, group.shown))
    return f"<details{' open' if is_open else ''}><summary>{summary}</summary>{cases}</details>"


def _case(one: Disagreement) -> str:
    turn = "" if one.turn is None else f", turn {one.turn}"
    where = f" · {one.conversation_id}{turn}" if one.conversation_id and one.conversation_id != one.case else turn
    people = _people(one.people)
    words = "".join(f"<p><b>{escape(name)}</b> {escape(_clipped(text))}</p>" for name, text in one.words.items())
    words = f'<div class="words">{words}</div>' if words else ""
    reason = escape(one.reason.strip()) if one.reason.strip() else '<span class="soft">gave no reason</span>'
    return (
        f'<div class="case"><p class="id">{escape(one.case + where)}</p><p>{reason}</p><div>{people}</div>{words}</div>'
    )


def _clipped(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS].rstrip()} …"


def _people(people: Sequence[PersonSaid]) -> str:
    """Each person; of many the counts, and those who decide or wrote a note."""
    if len(people) <= _MOST_PEOPLE:
        return "".join(map(_person, people))
    votes = Counter(said.label for said in people if not said.adjudicates)
    counts = ", ".join(f"<b>{escape(label)}</b> {number}" for label, number in votes.most_common())
    told = [said for said in people if said.adjudicates or said.note]
    more = f'<p class="soft">and {len(told) - _MOST_PEOPLE} more notes</p>' if len(told) > _MOST_PEOPLE else ""
    return f"<p>{counts}</p>{''.join(map(_person, told[-_MOST_PEOPLE:]))}{more}"


def _person(said: PersonSaid) -> str:
    decides = " decides" if said.adjudicates else ""
    rule = f" ({escape(said.rule)})" if said.rule else ""
    note = f": {escape(said.note)}" if said.note else ""
    return f"<p>{escape(said.name)}{decides} <b>{escape(said.label)}</b>{rule}{note}</p>"
