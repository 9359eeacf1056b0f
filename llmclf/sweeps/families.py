"""Cells that are equal but for one setting: under other plans the answers are one, under other thinking compared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from llmclf.config import LlmFile
from llmclf.sweeps.effort import Effort, compare_efforts, level_order
from llmclf.sweeps.measured import MeasuredCell
from llmclf.types import Dataset


def with_one_progress(cells: Sequence[MeasuredCell]) -> tuple[MeasuredCell, ...]:
    """The same cells; those that stopped on the way and differ in their plan alone all have the most that was answered.

    Their answers are the same and are bought once, so how far they came is so as well.
    """
    furthest: dict[str, MeasuredCell] = {}
    for cell in cells:
        other = furthest.get(cell.cell.answers_id)
        if cell.state == "incomplete" and (other is None or _answered(cell) > _answered(other)):
            furthest[cell.cell.answers_id] = cell
    return tuple(
        replace(cell, predictions=furthest[cell.cell.answers_id].predictions) if cell.state == "incomplete" else cell
        for cell in cells
    )


def _answered(cell: MeasuredCell) -> int:
    return len(cell.predictions) - sum(cell.failed.values())


def with_efforts(cells: Sequence[MeasuredCell], dataset: Dataset) -> tuple[MeasuredCell, ...]:
    """The same cells; those that have a lower neighbour know what their thinking changed against it."""
    efforts: dict[str, Effort] = {}
    for family in _families(cells):
        for lower, higher in pairwise(family):
            names = (_name(lower), _name(higher))
            efforts[higher.cell.cell_id] = higher.effort or compare_efforts(
                lower.predictions, higher.predictions, names, dataset
            )
    return tuple(replace(cell, effort=efforts.get(cell.cell.cell_id)) for cell in cells)


def _families(cells: Iterable[MeasuredCell]) -> list[list[MeasuredCell]]:
    """Done cells by all their settings but thinking, the lowest setting first."""
    found: dict[tuple[str, str], list[MeasuredCell]] = {}
    for cell in cells:
        if cell.state == "done" and isinstance(cell.cell.file, LlmFile):
            key = (cell.cell.file.model_dump_json(exclude={"thinking"}), cell.plan)
            found.setdefault(key, []).append(cell)
    return [sorted(family, key=lambda cell: level_order(_thinking(cell))) for family in found.values()]


def _thinking(cell: MeasuredCell) -> object:
    file = cell.cell.file
    return file.thinking if isinstance(file, LlmFile) else None


def _name(cell: MeasuredCell) -> str:
    thinking = _thinking(cell)
    return "the vendor's default" if thinking is None else str(thinking)
