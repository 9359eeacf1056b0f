"""Heat maps of the report: what each cell finds, what it flags by mistake, and what it gave no answer to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from llmclf.render.rates import rate_text
from llmclf.render.tables import counted
from llmclf.sweeps.measured import MeasuredCell
from llmclf.sweeps.report_verdicts import ShownVerdicts
from llmclf.sweeps.report_words import Numbered, estimate_html, explained, name_of, table
from llmclf.sweeps.surface import Surface
from llmclf.sweeps.verdicts import FOUND
from llmclf.types import Estimate

_SCALE = '<p class="scale soft"><span>0</span><i class="{css}"></i><span>1</span><span>{about}</span></p>'


def modes_caught(surface: Surface, cells: Numbered, shown: ShownVerdicts) -> str:
    """Recall per failure mode and cell: darker is more. The number of targets stands in the head."""
    modes = list(dict.fromkeys(mode for _, cell in cells if cell.figures for mode in cell.figures.by_failure_mode))
    if not modes:
        return ""
    target = np.array([label == surface.task.target for label in surface.dataset.labels(surface.task.name)], bool)
    shows = {
        mode: target & np.array([mode in example.failure_modes for example in surface.dataset.examples], bool)
        for mode in modes
    }
    heads = ["cell"] + [_head(mode, counted(int(shows[mode].sum()), "target")) for mode in modes]
    rows, few = [], False
    for number, cell in cells:
        if cell.figures is None:
            continue
        found = shown.outcome(cell) == FOUND
        estimates = [cell.figures.by_failure_mode.get(mode) for mode in modes]
        few |= any(estimate is not None and estimate.value is None for estimate in estimates)
        counts = [(int((found & shows[mode]).sum()), int(shows[mode].sum())) for mode in modes]
        rows.append(_heat_row(name_of(cell, number), estimates, counts))
    said = (
        "Recall among the targets that show each failure mode. Look at the small counts before believing a difference."
    )
    if few:
        said += " Striped: too few targets for a figure, so the count stands there."
    return explained(said, _SCALE.format(css="good", about="share found") + table(heads, rows, "heat"))


def false_alarms(surface: Surface, cells: Numbered) -> str:
    """Share flagged of each label that is not the target; adjacent labels are the hard ones."""
    labels = [label for label in surface.task.labels if label.role != "target"]
    counts = {label.name: surface.dataset.labels(surface.task.name).count(label.name) for label in labels}
    labels = [label for label in labels if counts[label.name]]
    heads = ["cell"] + [_head(label.name, f"{counts[label.name]:,} {label.role}") for label in labels]
    rows = [
        _heat_row(name_of(cell, number), [cell.figures.by_label.get(label.name) for label in labels], bad=True)
        for number, cell in cells
        if cell.figures is not None
    ]
    return (
        explained("Share flagged. Adjacent labels look like the target and are not.", table(heads, rows, "heat"))
        if rows
        else ""
    )


def failures(cells: Numbered) -> str:
    """Items without an answer by kind, with their share; those whose answer came and could not be used as a rate."""
    kinds = sorted({kind for _, cell in cells for kind in cell.failed})
    if not kinds:
        return "<p>Every item that was asked got an answer.</p>" if any(cell.figures for _, cell in cells) else ""
    rows = []
    for number, cell in cells:
        if cell.failed:
            values = [*(_of_kind(cell, kind) for kind in kinds), *_rates(cell), str(cell.asked)]
            tds = "".join(f"<td>{value}</td>" for value in values)
            rows.append(f'<tr><th scope="row">{name_of(cell, number)}</th>{tds}</tr>')
    heads = ["cell", *(escape(kind.replace("_", " ")) for kind in kinds), "all", "invalid", "asked"]
    said = (
        "Failed items are neither flagged nor clean. Invalid: an answer came and could not be used, because it was "
        "unparsable, empty or cut off."
    )
    return explained(said, table(heads, rows, "heat"))


def _of_kind(cell: MeasuredCell, kind: str) -> str:
    return str(cell.failed.get(kind) or "-")


def _rates(cell: MeasuredCell) -> tuple[str, str]:
    if cell.parts is None:
        return "-", "-"
    return estimate_html(cell.parts.failed, ".1%"), estimate_html(cell.parts.invalid, ".1%")


def _head(name: str, count: str) -> str:
    return f"{escape(name).replace('_', ' ')}<br><small>{escape(count)}</small>"


def _heat_row(
    name: str, shares: Sequence[Estimate | None], counts: Sequence[tuple[int, int]] = (), *, bad: bool = False
) -> str:
    tds = []
    for place, share in enumerate(shares):
        if share is None:
            tds.append("<td>-</td>")
        elif share.value is None:
            tds.append(_too_few(share, *counts[place]) if counts else f"<td>{estimate_html(share)}</td>")
        else:
            # shares of false alarms are small: their root shows them apart
            dark = math.sqrt(share.value) if bad else share.value
            css = "filled bad" if bad else "filled"
            tds.append(f'<td class="{css}" style="--share:{dark:.3f}">{estimate_html(share)}</td>')
    return f'<tr><th scope="row">{name}</th>{"".join(tds)}</tr>'


def _too_few(share: Estimate, found: int, of: int) -> str:
    """The count in place of a figure, with the interval that there is."""
    between = ""
    if share.low is not None and share.high is not None:
        between = f"<small>{rate_text(share.low)} to {rate_text(share.high)}</small>"
    style = f"--share:{found / of if of else 0:.3f}"
    return f'<td class="filled few" style="{style}" title="{escape(share.why_not)}">{found} of {of}{between}</td>'
