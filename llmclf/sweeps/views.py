"""A surface on a terminal, in a notebook and as a data frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType

from llmclf.errors import MissingPieceError
from llmclf.evaluation.drawn import drawn
from llmclf.evaluation.notes import percent
from llmclf.render.tables import TableText, estimate_cells, html_table, rich_table
from llmclf.sweeps.choice import dollars_spec
from llmclf.sweeps.measured import MeasuredCell
from llmclf.sweeps.surface import Surface
from llmclf.types import Estimate

SIMULATED = "SIMULATED"
STOPPED = {
    "budget": "Stopped: the cap on dollars was reached. Raise budget_usd and run again; what is done is kept.",
    "interrupted": "Stopped by hand. Run it again to continue; what is done is kept.",
}
_RIGHT = (1, 2, 3, 4, 5)
_HEADS = ("cell", "recall", "false alarms", "$ per 1,000", "p95 s", "failed")


def about(surface: Surface) -> str:
    """What was measured, on what and at which prevalence, in one sentence."""
    spoken_of = "the population" if known_design(surface) else "this set"
    return (
        f"{surface.task.name} on {surface.dataset.name}: {len(surface.dataset)} items, {surface.positives} of them "
        f"targets. Recall and false alarms are of {spoken_of}; dollars are projected to an assumed "
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


def tables(surface: Surface) -> list[TableText]:
    """Real cells under the verdict, and simulated ones in a table of their own, stamped."""
    notes = [about(surface)]
    if surface.stopped:
        notes.append(STOPPED[surface.stopped])
    notes += [f"Left out: {skip.label}: {skip.why}" for skip in surface.skipped]
    stamps = ("SYNTHETIC DATA",) if surface.dataset.is_synthetic else ()
    made = [TableText(surface.best().sentence, _HEADS, _rows(surface, surface.real), tuple(notes), stamps, _RIGHT)]
    if surface.simulated:
        title = "Made-up answers that show how a surface looks. They decide nothing."
        made.append(TableText(title, _HEADS, _rows(surface, surface.simulated), (), (SIMULATED,), _RIGHT))
    return made


def terminal(surface: Surface) -> RenderableType:
    """Both tables for a terminal of 80 columns."""
    parts: list[RenderableType] = []
    for table in tables(surface):
        parts += [rich_table(table), ""]
    return Group(*parts[:-1])


def notebook(surface: Surface) -> str:
    """Both tables as HTML, every text escaped."""
    return "".join(html_table(table) for table in tables(surface))


def _rows(surface: Surface, cells: Sequence[MeasuredCell]) -> tuple[tuple[str, ...], ...]:
    return tuple(("\n".join([cell.label, *marks(surface, cell)]), *figures(cell)) for cell in cells)


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
    value, interval, _ = estimate_cells(estimate, spec)
    return f"{value}\n{interval}"


def frame(rows: Sequence[dict[str, Any]]) -> Any:
    """The rows as a pandas DataFrame."""
    try:
        import pandas
    except ImportError as error:
        raise MissingPieceError("a data frame needs pandas", fix="pip install 'llmclf[tables]'") from error
    return pandas.DataFrame(list(rows))
