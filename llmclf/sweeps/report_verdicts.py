"""The wrong verdicts of each cell in the report: counts as text, the rest as data from which the page builds a
verdict when it is opened.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmclf.evaluation.wrong import MEANINGS, WRONG_KINDS, WrongKind, kind_name
from llmclf.render.conversation import spoken_text
from llmclf.sweeps.cells import numbers_of
from llmclf.sweeps.measured import MeasuredCell
from llmclf.sweeps.report_words import Numbered, common_notes, folded, name_of, own_notes
from llmclf.sweeps.surface import Surface
from llmclf.sweeps.verdicts import CellVerdicts, cell_verdicts
from llmclf.types import Annotation, Example, Prediction, Task

MOST_PER_KIND = 40
"""So many of a kind are listed for one cell; the rest is counted."""
MOST_LISTED = 8000
"""About so many of a kind are listed over all cells: a browser has to open the page."""
LEAST_PER_KIND = 5
RUN_DIGITS = 12
"""Of a run's id; enough to name it in a command."""
_OUTCOMES = np.frombuffer(b"-fqmax", np.uint8)
"""One letter for each code of an outcome, as the page's script reads them."""


class ShownVerdicts:
    """Which verdicts of which cells the report lists, and the data the page needs for them."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._cells = cell_verdicts(surface.cells, surface.dataset, surface.task)
        self._of_cell = {id(one.cell): (place, one) for place, one in enumerate(self._cells)}
        self._most = max(LEAST_PER_KIND, min(MOST_PER_KIND, MOST_LISTED // max(1, len(self._cells))))
        rows = {int(row) for one in self._cells for kind in WRONG_KINDS for row in one.wrong[kind][: self._most]}
        self._items = {row: number for number, row in enumerate(sorted(rows))}
        """Examples that are shown, with their number on the page."""

    def section(self, cells: Numbered) -> str:
        """One folded list for each cell of a group: how many are missed, false alarms, failed, ungrounded."""
        common = common_notes(self._surface)
        parts = []
        for number, cell in cells:
            place, found = self._of_cell[id(cell)]
            if not len(cell.predictions):
                continue
            counts = ", ".join(
                f"{len(found.wrong[kind])} {kind_name(kind, len(found.wrong[kind]))}" for kind in _kinds(found)
            )
            notes = "".join(f'<p class="soft">{escape(note)}</p>' for note in own_notes(cell, common))
            parts.append(
                f'<details class="cell-verdicts" data-cell="{place}"><summary>{name_of(cell, number)} '
                f'<span class="soft">{counts or "nothing wrong"}</span></summary>{notes}</details>'
            )
        return folded(parts, "".join)

    def outcome(self, cell: MeasuredCell) -> NDArray[np.int8]:
        """(n,) how each item came out in a cell, as `llmclf.sweeps.verdicts` codes it."""
        return self._of_cell[id(cell)][1].outcome

    def data(self) -> dict[str, Any]:
        """Items, their conversations, and each cell's verdicts about them, as JSON types."""
        dataset, task = self._surface.dataset, self._surface.task
        examples = [dataset.examples[row] for row in self._items]
        ids = dict.fromkeys(example.conversation_id for example in examples)
        rules = {rule.id: rule.text for label in task.labels for rule in label.rules}
        numbers = numbers_of(one.cell.simulated for one in self._cells)
        return {
            "target": task.target,
            "kinds": {kind: [kind_name(kind, 1), kind_name(kind, 2), MEANINGS[kind]] for kind in WRONG_KINDS},
            "conversations": {
                key: [[at, turn.speaker, spoken_text(turn)] for at, turn in enumerate(dataset.conversations[key].turns)]
                for key in ids
            },
            "items": [_item(example, task, rules) for example in examples],
            "cells": [self._cell(one, number) for one, number in zip(self._cells, numbers, strict=True)],
        }

    def _cell(self, one: CellVerdicts, number: str) -> dict[str, Any]:
        rows = np.array(list(self._items), np.intp)
        score = one.score[rows]
        return {
            "group": "simulated" if one.cell.simulated else "real",
            "number": number,
            "label": one.cell.label,
            "run": shlex.quote(f"{self._surface.run_id[:RUN_DIGITS]}/{number}") if self._surface.run_id else "last",
            "said": _OUTCOMES[one.outcome[rows]].tobytes().decode(),
            "hundredths": []
            if np.isnan(score).all()
            else np.nan_to_num(100 * score, nan=-1).round().astype(int).tolist(),
            "lists": {
                kind: {
                    "count": len(one.wrong[kind]),
                    "verdicts": [self._verdict(one, int(row)) for row in one.wrong[kind][: self._most]],
                }
                for kind in _kinds(one)
            },
        }

    def _verdict(self, one: CellVerdicts, row: int) -> dict[str, Any]:
        prediction, example = one.prediction(row), self._surface.dataset.examples[row]
        return {"item": self._items[row], **_said(prediction, example, self._surface.task)}


def _kinds(found: CellVerdicts) -> list[WrongKind]:
    return [kind for kind in WRONG_KINDS if len(found.wrong[kind])]


def _item(example: Example, task: Task, rules: Mapping[str, str]) -> dict[str, Any]:
    """What is known of an item, whatever a cell said; empty values are left out."""
    facts = []
    if example.failure_modes:
        facts.append(f"failure mode {', '.join(example.failure_modes)}")
    if example.source != "gold":
        facts.append(f"label is {example.source}")
    if example.note:
        facts.append(f"note: {example.note}")
    annotations = [one for one in example.annotations if one.task == task.name]
    as_typed = ("-- " if str(example.item).startswith("-") else "") + shlex.quote(str(example.item))
    made = {
        "turn": example.turn,
        "command": "" if as_typed == str(example.item) else as_typed,
        "labelled": list(example.evidence_turns),
        "facts": facts,
        "annotations": [_annotation(one, rules) for one in annotations],
    }
    label = example.labels[task.name]
    return {"id": str(example.item), "conversation": example.conversation_id, "label": label, **_told(made)}


def _annotation(annotation: Annotation, rules: Mapping[str, str]) -> list[str]:
    """Who said what, and why: rule and note, each empty where there is none."""
    rule = annotation.rule and f"{annotation.rule} {rules.get(annotation.rule, '')}".strip()
    return [annotation.annotator, annotation.label, rule, annotation.note]


def _said(prediction: Prediction, example: Example, task: Task) -> dict[str, Any]:
    """What a cell said of one item; empty values are left out."""
    error = prediction.error
    said = prediction.label if error is None else error.kind
    truth = example.labels[task.name]
    doubted = said if error is None and said and said != truth and said in task.label_names else ""
    made = {
        "said": said,
        "score": None if error or prediction.score is None else round(prediction.score, 3),
        "threshold": None if error or prediction.score is None else prediction.threshold,
        "message": "" if error is None else error.message,
        "rationale": prediction.rationale,
        "quotes": [[quote.turn, quote.quote, quote.grounded] for quote in prediction.evidence],
        "truncated": prediction.truncated,
        "relabel": doubted and shlex.quote(doubted),
        "hard_negative": bool(prediction.flagged) and truth != task.target,
        "asked": bool(prediction.call_id),
    }
    return _told(made)


def _told(made: Mapping[str, Any]) -> dict[str, Any]:
    """What says something; 0 does."""
    return {
        name: value
        for name, value in made.items()
        if value is not None and value is not False and value not in ("", [])
    }
