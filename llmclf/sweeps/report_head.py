"""The top of the report (what was asked, of what, and the answer) and its foot (where the numbers come from)."""

from __future__ import annotations

import re
from html import escape
from string import Template

from llmclf.evaluation.notes import percent
from llmclf.render.tables import counted, price_text
from llmclf.sweeps.report_words import STAMP, common_notes, page_text
from llmclf.sweeps.run_card import card_lines
from llmclf.sweeps.surface import Surface
from llmclf.sweeps.views import known_design, stopped_notes, unknown_dollars, volume_sentences


def head(surface: Surface) -> str:
    """Question, data, stamps, the verdict in one sentence, and what the numbers do not say."""
    stamps = []
    if surface.dataset.is_synthetic:
        stamps.append('<span class="stamp">SYNTHETIC DATA</span>')
    if surface.stopped:
        stamps.append(f'<span class="stamp">STOPPED: {escape(surface.stopped.upper())}</span>')
    started = str(surface.run_card.get("started_at", ""))[:10]
    eyebrow = " · ".join(part for part in ("llmclf sweep", surface.task.name, surface.dataset.name, started) if part)
    asked = (
        f"{counted(len(surface.cells), 'configuration')}, asked about the same "
        f"{counted(len(surface.dataset), surface.task.unit)}."
    )
    return Template(page_text("head.html")).substitute(
        eyebrow=escape(eyebrow),
        question=escape(surface.task.question),
        asked=asked,
        stamps=" ".join(stamps),
        verdict=escape(surface.best().sentence),
        about=escape(_about(surface)),
        prices=escape(_prices(surface)),
        notes="".join(f"<li>{escape(note)}</li>" for note in _notes(surface)),
    )


def _about(surface: Surface) -> str:
    spoken_of = "the population" if known_design(surface) else "this set"
    return (
        f"{counted(surface.positives, 'target')} among {counted(len(surface.dataset), surface.task.unit)}. Recall and "
        f"false alarms are of {spoken_of}; dollars are at an assumed prevalence of {percent(surface.costs.prevalence)}."
    )


def _prices(surface: Surface) -> str:
    costs = surface.costs
    failed = "a review" if costs.on_error == "review" else "a miss where it was a target"
    return (
        f"Dollars add up model, reviews, misses and false alarms: a miss costs {price_text(costs.missed_usd)}, a "
        f"flagged item {costs.review_minutes:g} minutes of a reviewer at {price_text(costs.reviewer_usd_per_hour)} an "
        f"hour, a false alarm {price_text(costs.false_alarm_usd)} more, a failed item {failed}."
    )


def _notes(surface: Surface) -> list[str]:
    """What a reader must know before believing a figure; each thing once."""
    notes = [*stopped_notes(surface), *unknown_dollars([*surface.real, *surface.simulated]), *common_notes(surface)]
    notes += volume_sentences(surface)
    if surface.dataset.design.note:
        notes.append(f"About the data: {surface.dataset.design.note.rstrip('.')}.")
    notes += [f"Left out: {skip.label}: {skip.why}." for skip in surface.skipped]
    if surface.simulated:
        one = len(surface.simulated) == 1
        are = "is simulated. It stands" if one else "are simulated. They stand"
        decide = "decides" if one else "decide"
        notes.append(f"{counted(len(surface.simulated), 'cell')} {are} apart at the end and {decide} nothing.")
    return notes


def foot(surface: Surface) -> str:
    """The run card, and how to read the page."""
    card = {"run_id": surface.run_id, "inputs_hash": surface.inputs_hash, **surface.run_card}
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{_with_hashes(text)}</dd>" for name, text in card_lines(card))
    simulated = f"{STAMP} is made up by a simulated vendor that is told the truth." if surface.simulated else ""
    return Template(page_text("foot.html")).substitute(rows=rows, simulated=simulated)


def _with_hashes(text: str) -> str:
    """The text with what looks like a hash set as code."""
    return re.sub(r"\b[0-9a-f]{32,64}\b", r"<code>\g<0></code>", escape(text))
