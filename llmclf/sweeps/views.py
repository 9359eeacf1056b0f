"""A surface on a terminal, in a notebook and as a data frame."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType

from llmclf.evaluation.drawn import drawn
from llmclf.evaluation.notes import percent
from llmclf.evaluation.volume import volume_sentence
from llmclf.llm.plans import STANDARD
from llmclf.render.rates import rate_cells
from llmclf.render.tables import (
    TableText,
    counted,
    html_table,
    price_text,
    rich_table,
    usd_cells,
    usd_text,
)
from llmclf.stats import PRICE_UNKNOWN
from llmclf.sweeps import small_tables
from llmclf.sweeps.choice import share_text
from llmclf.sweeps.measured import MeasuredCell, column_seconds
from llmclf.sweeps.racing import racing_sentences
from llmclf.sweeps.surface import Surface
from llmclf.types import Costs

SIMULATED = "SIMULATED"
_WORTH_SAYING = 0.05
"""Of a cell off the front: the probability from which on it is said that it may be on it."""
_RIGHT = (1, 2, 3, 4, 5)
_HEADS = ("cell", "recall", "false alarms", "$ per 1,000", "p95 s", "failed")


def stopped_notes(surface: Surface) -> list[str]:
    """Why a sweep ended before its end, where the verdict does not say so."""
    if not surface.stopped or surface.unfinished:
        return []
    return [f"Stopped: {surface.why_stopped}; what is done is kept."]


def about(surface: Surface) -> str:
    """What was measured, on what and at which prevalence, in one sentence."""
    spoken_of = "the population" if known_design(surface) else "this set"
    return (
        f"{surface.task.name} on {surface.dataset.name}: {counted(len(surface.dataset), 'item')}, "
        f"{counted(surface.positives, 'target')} among them. Recall and false alarms are of {spoken_of}; dollars are "
        f"projected to an assumed prevalence of {percent(surface.costs.prevalence)}."
    )


def known_design(surface: Surface) -> bool:
    """True where the sampling design lets rates speak of production's traffic."""
    return drawn(surface.dataset, surface.dataset.examples).knows_prevalence


def marks(surface: Surface, cell: MeasuredCell) -> list[str]:
    """What is to be said of a cell beside its figures."""
    said = []
    on_front = any(cell is other for other in surface.pareto())
    chance = 0.0 if cell.simulated else surface.front_chances().get(cell.label, 0.0)
    if on_front or chance >= _WORTH_SAYING:
        said.append(f"{'on the front: ' if on_front else 'may be on the front: '}{share_text(chance)} of resamples")
    if cell.state in ("dropped", "incomplete", "failed"):
        said.append(cell.why_none)
    if cell.state == "waiting":
        said.append("not begun")
    if cell.usd.why_not.startswith(PRICE_UNKNOWN):
        said.append(cell.usd.why_not)
    if cell.effort is not None and cell.no_op:
        said.append(f"NO-OP: does what thinking {cell.effort.against} does")
    return said + list(cell.beyond)


def words(surface: Surface) -> list[str]:
    """What the table's words mean: the dollars and what they add up, flagging nothing, the front."""
    costs = surface.costs
    said = [
        f"$ per 1,000 adds up: a miss {price_text(costs.missed_usd)}, a flagged item's review "
        f"{price_text(costs.review_usd)}, a false alarm {price_text(costs.false_alarm_usd)} more, and the model's "
        "price.",
        f"Flagging nothing: no classifier at all, every target is missed; {usd_text(surface.flag_nothing_usd)} per "
        f"1,000 {surface.task.unit}s.",
    ]
    if surface.pareto():
        said.append(
            "On the front: no other cell is both cheaper (in $ per 1,000) and faster (in p95 seconds); beside it, in "
            "which share of resamples of the items that is so."
        )
        said += filter(None, [survivors_sentence(surface)])
    return said


def survivors_sentence(surface: Surface) -> str:
    """That the front is of the cells that are left, where a race was for the winner alone; else empty."""
    for_winner = surface.run_card.get("race", {}).get("keep") == "winner"
    if not for_winner or all(cell.state != "dropped" for cell in surface.real):
        return ""
    return "Cells that the race dropped may belong on the front: it was for the winner alone."


def volume_sentences(surface: Surface) -> list[str]:
    """How many items a conversation has, where a limit or a break-even hangs on it and no table of months says so."""
    in_use = surface.limits.usd_per_conversation is not None or any(cell.even_at is not None for cell in surface.cells)
    said_by_months = surface.costs.conversations_per_month is not None
    if surface.task.unit == "conversation" or said_by_months or not in_use:
        return []
    return [volume_sentence(surface.items_per_conversation)]


def plan_sentences(cells: Sequence[MeasuredCell], costs: Costs) -> list[str]:
    """What is to be known of each plan but paying as tokens come; for rented units also from where on they pay."""
    groups: dict[tuple[str, str], list[MeasuredCell]] = {}
    for cell in cells:
        if cell.cell.plan is not None and cell.plan != STANDARD:
            groups.setdefault((cell.plan, cell.cell.plan.note), []).append(cell)
    return [" ".join([f"Plan {name}: {note}.", *_break_evens(group, costs)]) for (name, note), group in groups.items()]


def _break_evens(cells: Sequence[MeasuredCell], costs: Costs) -> list[str]:
    measured = [cell for cell in cells if cell.state == "done" and cell.cell.plan is not None]
    if not measured or all(cell.cell.plan and cell.cell.plan.kind != "provisioned" for cell in measured):
        return []
    even = ", ".join(f"{cell.even_at:,} for {cell.name_without_plan}" for cell in measured if cell.even_at is not None)
    never = ", ".join(cell.name_without_plan for cell in measured if cell.even_at is None)
    volume = costs.conversations_per_month
    yours = "" if volume is None else f" (you have {volume:,})"
    said = [f"Cheaper than paying for each token from so many conversations a month on: {even}{yours}."] if even else []
    return [*said, f"Never known to be cheaper for {never}."] if never else said


def effort_sentences(cells: Sequence[MeasuredCell]) -> list[str]:
    """What thinking settings changed, one sentence for each cell that can be compared, whatever its plan."""
    said = {cell.cell.answers_id: cell for cell in reversed(cells) if cell.effort is not None}
    return [f"{cell.name_without_plan}: {cell.effort.sentence}." for cell in reversed(said.values()) if cell.effort]


def unknown_dollars(cells: Sequence[MeasuredCell]) -> list[str]:
    """Why measured cells have no dollars, those with the same reason in one sentence."""
    labels: dict[str, list[str]] = {}
    for cell in cells:
        if cell.state == "done" and not cell.usd.is_known:
            labels.setdefault(cell.usd.why_not.split("; ")[0], []).append(cell.label)
    return [f"No dollars for {', '.join(named)}: {why}." for why, named in labels.items()]


def _why_failed(cells: Sequence[MeasuredCell]) -> list[str]:
    """The first errors of cells of which no item was answered, the same ones in one sentence."""
    labels: dict[str, list[str]] = {}
    for cell in cells:
        if cell.state == "failed" and cell.evaluation is not None and cell.evaluation.error_messages:
            quoted = " and ".join(f"'{message}'" for message in cell.evaluation.error_messages)
            labels.setdefault(quoted, []).append(cell.label)
    return [f"Errors of {', '.join(named)}, for example: {quoted}." for quoted, named in labels.items()]


def tables(surface: Surface) -> list[TableText]:
    """Real cells under the verdict with the tables about them, and simulated ones in tables of their own, stamped."""
    notes = [
        about(surface),
        *racing_sentences(surface),
        *unknown_dollars(surface.real),
        *_why_failed(surface.real),
        *(words(surface) if surface.real else ()),
    ]
    notes += stopped_notes(surface)
    if surface.real and surface.costs.conversations_per_month is None:
        notes.append("Set costs.conversations_per_month to see what a month costs.")
    notes += volume_sentences(surface)
    notes += [*plan_sentences(surface.real, surface.costs), *effort_sentences(surface.real)]
    notes += [f"Left out: {skip.label}: {skip.why}" for skip in surface.skipped]
    stamps = ("SYNTHETIC DATA",) if surface.dataset.is_synthetic else ()
    made = [TableText(surface.best().sentence, _HEADS, _rows(surface, surface.real), tuple(notes), stamps, _RIGHT)]
    made += small_tables.part_tables(surface, surface.real, stamps)
    made += [table for table in (small_tables.tipping_table(surface), small_tables.month_table(surface)) if table]
    if surface.simulated:
        title = "Made-up answers that show how a surface looks. They decide nothing."
        notes = [*unknown_dollars(surface.simulated), *_why_failed(surface.simulated)]
        notes += [*plan_sentences(surface.simulated, surface.costs), *effort_sentences(surface.simulated)]
        rows = _rows(surface, surface.simulated)
        made.append(TableText(title, _HEADS, rows, tuple(notes), (SIMULATED,), _RIGHT))
        made += small_tables.part_tables(surface, surface.simulated, (SIMULATED,))
    return made


def terminal(surface: Surface) -> RenderableType:
    """All tables for a terminal of 80 columns."""
    parts: list[RenderableType] = []
    for table in tables(surface):
        parts += [rich_table(table), ""]
    return Group(*parts[:-1])


def notebook(surface: Surface) -> str:
    """All tables as HTML, every text escaped."""
    return "".join(html_table(table) for table in tables(surface))


def _rows(surface: Surface, cells: Sequence[MeasuredCell]) -> tuple[tuple[str, ...], ...]:
    return tuple(("\n".join([cell.label, *marks(surface, cell)]), *figures(cell)) for cell in cells)


def figures(cell: MeasuredCell) -> tuple[str, str, str, str, str]:
    """Recall, false alarms, dollars, p95 seconds and failed items as short texts, intervals on a second line."""
    failed = cell.unanswered
    return (
        "\n".join(rate_cells(cell.recall)),
        "\n".join(rate_cells(cell.false_alarms, ".3f")),
        "\n".join(usd_cells(cell.usd)),
        p95_text(cell),
        str(failed) if failed else "-",
    )


def p95_text(cell: MeasuredCell) -> str:
    """The p95 in seconds, in hours from two on; of a batch what is promised, which nobody measured."""
    return "24 h" if is_promised(cell) else column_seconds(cell.p95_seconds)


def is_promised(cell: MeasuredCell) -> bool:
    """True where its seconds are what a vendor promises of a batch."""
    return cell.state == "done" and cell.cell.plan is not None and cell.cell.plan.kind == "batch"
