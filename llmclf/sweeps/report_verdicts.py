"""The wrong verdicts of each cell in the report; the page builds a conversation when its verdict is opened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from llmclf.sweeps.measured import MeasuredCell
from llmclf.sweeps.report_words import common_notes, name_of, own_notes
from llmclf.sweeps.surface import Surface
from llmclf.sweeps.verdicts import Wrong, WrongKind, wrong_in, wrong_verdicts
from llmclf.types import Item

MOST_PER_KIND = 40
"""So many of a kind are listed for one cell; the rest is counted."""

_TITLES: dict[WrongKind, tuple[str, str]] = {
    "missed": ("missed", "targets that were not flagged, the least suspected first"),
    "false_alarm": ("false alarms", "flagged without being the target, the surest first"),
    "failed": ("failed", "no label: neither right nor wrong"),
    "ungrounded": ("ungrounded", "evidence that is not in the conversation"),
}


def verdict_lists(surface: Surface, cells: Sequence[MeasuredCell]) -> str:
    """One folded list for each cell: missed, false alarms, failed, ungrounded."""
    wrong_counts = wrong_in(_answering(surface), surface.dataset, surface.task)
    common = common_notes(surface)
    parts = []
    for number, cell in enumerate(cells, start=1):
        if not len(cell.predictions):
            continue
        found = wrong_verdicts(cell, surface.dataset, surface.task)
        counts = ", ".join(f"{len(wrongs)} {_name(kind, len(wrongs))}" for kind, wrongs in found.items() if wrongs)
        groups = "".join(_kind(kind, wrongs, surface, wrong_counts) for kind, wrongs in found.items() if wrongs)
        notes = "".join(f'<p class="soft">{escape(note)}</p>' for note in own_notes(cell, common))
        parts.append(
            f'<details><summary>{name_of(cell, number)} <span class="soft">{counts or "nothing wrong"}</span></summary>'
            f"{notes}{groups}</details>"
        )
    return "".join(parts)


def shown_conversations(surface: Surface) -> list[str]:
    """Ids of the conversations that the lists of any cell speak of, sorted."""
    return sorted(
        {
            wrong.prediction.conversation_id
            for cell in surface.cells
            for wrongs in wrong_verdicts(cell, surface.dataset, surface.task).values()
            for wrong in wrongs[:MOST_PER_KIND]
        }
    )


def _answering(surface: Surface) -> list[MeasuredCell]:
    """Real cells that answered something: one that failed on every item says nothing about a label."""
    return [cell for cell in surface.real if cell.state != "failed"]


def _kind(kind: WrongKind, wrongs: Sequence[Wrong], surface: Surface, wrong_counts: Mapping[Item, int]) -> str:
    name, meaning = _name(kind, len(wrongs)), _TITLES[kind][1]
    rest = len(wrongs) - MOST_PER_KIND
    more = f'<p class="soft">and {rest} more, in the store</p>' if rest > 0 else ""
    shown = "".join(_verdict(wrong, surface, wrong_counts) for wrong in wrongs[:MOST_PER_KIND])
    return (
        f'<details><summary>{len(wrongs)} {name} <span class="soft">{meaning}</span></summary>{shown}{more}</details>'
    )


def _name(kind: WrongKind, number: int) -> str:
    name = _TITLES[kind][0]
    return name.removesuffix("s") if number == 1 and kind == "false_alarm" else name


def _verdict(wrong: Wrong, surface: Surface, wrong_counts: Mapping[Item, int]) -> str:
    prediction = wrong.prediction
    about = {
        "conversation": prediction.conversation_id,
        "turn": prediction.turn,
        "labelled": list(wrong.example.evidence_turns),
        "quotes": [[quote.turn, quote.quote] for quote in prediction.evidence if quote.grounded],
    }
    said = prediction.label if prediction.error is None else prediction.error.kind
    body = "".join(_body(wrong, surface, wrong_counts))
    return (
        f'<details class="verdict" data-about="{escape(json.dumps(about))}">'
        f"<summary>{escape(str(prediction.item))}: is <b>{escape(wrong.true_label)}</b>, said "
        f'<b>{escape(str(said))}</b> <span class="soft">{escape(_score(wrong))}</span></summary>'
        f'<div class="body">{body}</div></details>'
    )


def _body(wrong: Wrong, surface: Surface, wrong_counts: Mapping[Item, int]) -> Iterator[str]:
    prediction, example = wrong.prediction, wrong.example
    if prediction.error is not None:
        yield f"<p>{escape(prediction.error.message)}</p>"
    if prediction.rationale:
        yield f"<p>{escape(prediction.rationale)}</p>"
    for quote in prediction.evidence:
        turn = "" if quote.turn is None else f"turn {quote.turn}: "
        missing = "" if quote.grounded else ' <span class="stamp">NOT IN THE CONVERSATION</span>'
        yield f'<blockquote><span class="soft">{turn}</span>{escape(quote.quote)}{missing}</blockquote>'
    facts = []
    if example.failure_modes:
        facts.append(f"failure mode {', '.join(example.failure_modes)}")
    if example.source != "gold":
        facts.append(f"label is {example.source}")
    if prediction.truncated:
        facts.append("it did not see the whole conversation")
    measured = sum(1 for cell in _answering(surface) if len(cell.predictions))
    count = wrong_counts.get(prediction.item, 0)
    if measured > 1 and count and wrong.kind != "ungrounded":
        doubt = "; is the label right?" if count == measured > 2 else ""
        facts.append(f"wrong in {count} of {measured} real cells{doubt}")
    if facts:
        yield f'<p class="soft">{escape(" · ".join(facts))}</p>'


def _score(wrong: Wrong) -> str:
    prediction = wrong.prediction
    if prediction.error is not None or prediction.score is None:
        return ""
    limit = "" if prediction.threshold is None else f", threshold {prediction.threshold:.2f}"
    return f"score {prediction.score:.3f}{limit}"
