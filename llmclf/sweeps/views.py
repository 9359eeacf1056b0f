"""A surface on a terminal, in a notebook and as a data frame."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from llmclf.errors import MissingPieceError
from llmclf.evaluation.drawn import drawn
from llmclf.evaluation.notes import percent
from llmclf.sweeps.choice import dollars_spec
from llmclf.sweeps.measured import MeasuredCell
from llmclf.sweeps.surface import Surface
from llmclf.types import Estimate

SIMULATED = "SIMULATED"
WIDTH = 80
STOPPED = {
    "budget": "Stopped: the cap on dollars was reached. Raise budget_usd and run again; what is done is kept.",
    "interrupted": "Stopped by hand. Run it again to continue; what is done is kept.",
}
_HEADS = ("cell", "recall", "false alarms", "$ per 1,000", "p95 s", "failed")


def about(surface: Surface) -> str:
    """What was measured, on what and at which prevalence, in one sentence."""
    synthetic = " SYNTHETIC data." if surface.dataset.is_synthetic else ""
    spoken_of = "the population" if known_design(surface) else "this set"
    return (
        f"{surface.task.name} on {surface.dataset.name}: {len(surface.dataset)} items, {surface.positives} of them "
        f"targets.{synthetic} Recall and false alarms are of {spoken_of}; dollars are projected to an assumed "
        f"prevalence of {percent(surface.costs.prevalence)}."
    )


def known_design(surface: Surface) -> bool:
    """True where the sampling design lets rates speak of production's traffic."""
    return drawn(surface.dataset, surface.dataset.examples).knows_prevalence


def false_alarms(cell: MeasuredCell) -> Estimate:
    """Share of the items without the target that were flagged: 1 - specificity."""
    if cell.evaluation is None:
        return Estimate.unknown(cell.usd.why_not)
    return complement(cell.evaluation.specificity)


def complement(estimate: Estimate) -> Estimate:
    """1 - the estimate, with its interval the other way round."""
    value, low, high = estimate.value, estimate.low, estimate.high
    return Estimate(
        None if value is None else 1 - value,
        None if high is None else 1 - high,
        None if low is None else 1 - low,
        method=estimate.method,
        n_positives=estimate.n_positives,
        why_not=estimate.why_not,
    )


def marks(surface: Surface, cell: MeasuredCell) -> list[str]:
    """What is to be said of a cell beside its figures."""
    said = []
    if any(cell is other for other in surface.pareto()):
        said.append("on the front")
    if cell.state == "incomplete":
        said.append(f"incomplete: {len(cell.predictions)} of {cell.items} items came in")
    if cell.state == "waiting":
        said.append("not begun")
    if cell.evaluation is not None and not cell.usd.is_known:
        said.append(f"dollars {cell.usd}")
    return said + list(cell.beyond)


def terminal(surface: Surface) -> RenderableType:
    """Tables that fit 80 columns: real cells, then simulated ones apart and stamped."""
    parts: list[RenderableType] = [Text(about(surface))]
    if surface.stopped:
        parts.append(Text(STOPPED[surface.stopped], style="bold yellow"))
    if surface.real:
        parts.append(_table("Real cells", surface, surface.real))
        parts.append(Text(surface.best().sentence, style="bold"))
    if surface.simulated:
        title = f"{SIMULATED} cells: made-up answers that show how the surface works. They decide nothing."
        parts.append(_table(title, surface, surface.simulated, style="yellow"))
    parts += [Text(f"Left out: {skip.label}: {skip.why}", style="dim") for skip in surface.skipped]
    return Group(*parts)


def _table(title: str, surface: Surface, cells: Sequence[MeasuredCell], style: str = "") -> Table:
    table = Table(title=title, title_justify="left", title_style=f"bold {style}", width=WIDTH, box=SIMPLE_HEAD)
    table.add_column(_HEADS[0], overflow="fold")
    for head in _HEADS[1:]:
        table.add_column(head, justify="right", no_wrap=True)
    for cell in cells:
        label = Text(f"{SIMULATED} " if cell.simulated else "", style="bold yellow")
        label.append(Text(cell.label, style="bold" if not cell.simulated else "not bold default"))
        for mark in marks(surface, cell):
            label.append(Text(f"\n{mark}", style="not bold dim default"))
        table.add_row(label, *(Text(text) for text in figures(cell)))
    return table


def figures(cell: MeasuredCell) -> tuple[str, str, str, str, str]:
    """Recall, false alarms, dollars, p95 seconds and failed items as short texts, intervals on a second line."""
    failed = sum(cell.failed.values())
    return (
        _short(cell.recall, ".2f"),
        _short(false_alarms(cell), ".3f"),
        _short(cell.usd, dollars_spec(cell.usd)),
        seconds_text(cell.p95_seconds),
        str(failed) if failed else "-",
    )


def seconds_text(seconds: float | None) -> str:
    """Seconds with two digits that mean something; `-` where they are not known."""
    if seconds is None:
        return "-"
    if seconds < 0.01:
        return "<0.01"
    return f"{seconds:.2g}" if seconds < 10 else f"{seconds:.0f}"


def _short(estimate: Estimate, spec: str) -> str:
    interval = "" if estimate.low is None or estimate.high is None else f"{estimate.low:{spec}}-{estimate.high:{spec}}"
    if estimate.value is None:
        return f"?\n{interval}" if interval else "?"
    return f"{estimate.value:{spec}}\n{interval}"


def notebook(surface: Surface) -> str:
    """The same as small HTML tables, every text escaped."""
    parts = [f"<p>{escape(about(surface))}</p>"]
    if surface.stopped:
        parts.append(f"<p><b>{escape(STOPPED[surface.stopped])}</b></p>")
    if surface.real:
        parts.append(_html_table("Real cells", surface, surface.real))
        parts.append(f"<p><b>{escape(surface.best().sentence)}</b></p>")
    if surface.simulated:
        parts.append(_html_table(f"{SIMULATED}: made-up answers, they decide nothing", surface, surface.simulated))
    return "".join(parts)


def _html_table(title: str, surface: Surface, cells: Sequence[MeasuredCell]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in _HEADS)
    rows = []
    for cell in cells:
        stamp = f"<b>{SIMULATED}</b> " if cell.simulated else ""
        small = "".join(f"<br><small>{escape(mark)}</small>" for mark in marks(surface, cell))
        values = "".join(f"<td>{escape(text).replace(chr(10), '<br>')}</td>" for text in figures(cell))
        rows.append(f"<tr><td>{stamp}{escape(cell.label)}{small}</td>{values}</tr>")
    return f"<table><caption>{escape(title)}</caption><tr>{head}</tr>{''.join(rows)}</table>"


def frame(rows: Sequence[dict[str, Any]]) -> Any:
    """The rows as a pandas DataFrame."""
    try:
        import pandas
    except ImportError as error:
        raise MissingPieceError("a data frame needs pandas", fix="pip install 'llmclf[tables]'") from error
    return pandas.DataFrame(list(rows))
