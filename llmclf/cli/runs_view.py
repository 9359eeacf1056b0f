"""Runs in a table that keeps what tells them apart, however narrow the terminal is; and one run with its card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_HEADS = ("run", "kind", "what", "started", "state", "why")
_KEPT = ("run", "what", "started", "state", "kind", "why")
"""The order in which columns get their place."""
_LEAST = {"what": 18, "why": 14}
"""Columns that a text may be folded into; the others stand whole."""
_BETWEEN = 2
_ID_DIGITS = 12
"""That begin an id: the time in milliseconds, which tells runs apart."""
_MOST_CELLS = 30
_OF_A_CELL = {"recall": "recall", "dollars_per_1000": "dollars per 1,000"}
_OF_THE_SET = ("recall", "specificity")
_OF_A_RUN = {
    "recall": "recall",
    "precision": "precision",
    "projected_precision": "precision at the assumed prevalence",
    "specificity": "specificity",
    "dollars_per_1000": "dollars per 1,000",
}


class RunsView:
    """Runs as `Store.runs` or `Store.status` brings them, newest first; ids cut to `id_digits`."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], *, id_digits: int = _ID_DIGITS) -> None:
        self._rows = [_cells(row, id_digits) for row in rows]

    def __rich_console__(self, console: Any, options: Any) -> Iterable[Any]:
        from rich.table import Table
        from rich.text import Text

        heads = self._fitting(options.max_width)
        table = Table(box=None, pad_edge=False, padding=(0, _BETWEEN, 0, 0))
        for head in heads:
            table.add_column(head, no_wrap=head not in _LEAST, overflow="fold")
        for row in self._rows:
            table.add_row(*(Text(row[head]) for head in heads))
        yield table

    def _fitting(self, width: int) -> list[str]:
        """The columns there is room for, in the order they are shown; empty ones are left out."""
        chosen, left = list[str](), width
        for head in _KEPT:
            widest = max((len(row[head]) for row in self._rows), default=0)
            needed = max(len(head), min(widest, _LEAST.get(head, widest))) + (_BETWEEN if chosen else 0)
            if chosen and (needed > left or (self._rows and not widest)):
                continue
            chosen.append(head)
            left -= needed
        return [head for head in _HEADS if head in chosen]


class RunView:
    """One run for people: what came out, and its run card. As JSON it is the row of the store."""

    def __init__(self, row: Mapping[str, Any], cells: Sequence[Mapping[str, Any]] = ()) -> None:
        self._row = row
        self._cells = cells
        """Of a sweep, as `Store.cells` brings them."""

    def to_dict(self) -> dict[str, Any]:
        """The row."""
        return dict(self._row)

    def __rich_console__(self, console: Any, options: Any) -> Iterable[Any]:
        from rich.table import Table
        from rich.text import Text

        from llmclf.render.conversation import for_terminal
        from llmclf.sweeps.run_card import card_lines, run_card_of

        shown = _cells(self._row, _ID_DIGITS)
        about = f"{shown['kind']} {shown['what']}: {shown['state']}".replace("  ", " ")
        yield Text(for_terminal(about + (f" ({shown['why']})" if shown["why"] else "")), style="bold")
        for stamp in self._stamps():
            yield Text(stamp, style="bold yellow")
        for line in self._came_out():
            yield Text(for_terminal(line))
        yield Text("\nRun card", style="bold")
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, _BETWEEN, 0, 0))
        table.add_column(no_wrap=True, style="dim")
        table.add_column(overflow="fold")
        for name, text in card_lines(run_card_of(self._row)):
            table.add_row(name, Text(for_terminal(text)))
        yield table

    def _stamps(self) -> Iterable[str]:
        """What must not be overlooked."""
        result = self._row.get("result") or {}
        card = result.get("run_card") or {}
        if self._row.get("simulated") or result.get("simulated"):
            yield "SIMULATED: at least a part of it was made up by the simulated vendor."
        if self._row["kind"] == "judge" and self._row["config"].get("calibration", "") != "calibrated":
            yield "UNCALIBRATED: no calibration of this judge, as it was then, had passed its bar."
        if result.get("synthetic") or (card.get("dataset") or {}).get("synthetic"):
            yield "SYNTHETIC: at least a part of the conversations was written for testing, not observed."

    def _came_out(self) -> Iterable[str]:
        """A verdict and cells, an evaluation's figures, how often it was repeated; nothing of other runs."""
        from llmclf.stats import LEAST_POSITIVES
        from llmclf.workspace.run_results import cell_numbers

        result = self._row.get("result") or {}
        if best := result.get("best"):
            yield best["sentence"]
        if self._row["kind"] == "retrain" and result:
            yield f"{result['sentence']} {(result['comparison'] or {}).get('sentence', '')}".rstrip()
        for number, cell in list(zip(cell_numbers(self._cells), self._cells, strict=True))[:_MOST_CELLS]:
            settings = cell["settings"]
            stamp = " SIMULATED" if cell["simulated"] else ""
            figures = _figures(cell.get("result") or {}, _OF_A_CELL) if cell["state"] == "done" else []
            yield f"{number}  {settings['label']}{stamp}: {'; '.join(figures) or cell['state']}"
        if len(self._cells) > _MOST_CELLS:
            yield f"and {len(self._cells) - _MOST_CELLS} cells more: --json of `llmclf sweep report` has all"
        if self._row["kind"] == "evaluate":
            yield from _figures(result, _OF_A_RUN, "" if result.get("knows_prevalence", True) else " (of this set)")
        if self._row["kind"] == "judge" and result:
            yield _judged(result)
        if self._row["kind"] == "repeats":
            config, recall = self._row["config"], (result.get("recall") or {}).get("by_run") or ()
            yield f"{config['repeats']} runs; figures of the first: llmclf runs show {config['first']}"
            if recall and result["n_positives"] >= LEAST_POSITIVES:
                yield f"recall of each run: {', '.join(f'{one:.2f}' for one in recall)}"


def _judged(result: Mapping[str, Any]) -> str:
    """Counts of a judge's verdicts, as they stood."""
    counts = {**result["verdicts"], **{f"failed ({kind})": count for kind, count in result["failed"].items()}}
    said = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return f"{result['cases']:,} cases: {said}"


def _figures(result: Mapping[str, Any], names: Mapping[str, str], of_set: str = "") -> list[str]:
    """Estimates of a stored evaluation, by their names for people; `of_set` follows those of a set alone."""
    from llmclf.render.rates import rate_range
    from llmclf.render.tables import usd_range
    from llmclf.types import Estimate

    said = []
    for key, name in names.items():
        if isinstance(result.get(key), Mapping):
            estimate = Estimate(**result[key])
            shown = usd_range(estimate) if key == "dollars_per_1000" else rate_range(estimate)
            said.append(f"{name}{of_set if key in _OF_THE_SET else ''} {shown}")
    return said


def _cells(row: Mapping[str, Any], id_digits: int) -> dict[str, str]:
    ended = row.get("seems_ended")
    return {
        "run": row["run_id"][:id_digits],
        "kind": row["kind"],
        "what": what(row),
        "started": str(row["started_at"])[:16].replace("T", " "),
        "state": "ended?" if ended else row["state"] + _verdict(row),
        "why": row.get("why") or ("no sign of life; run it again to continue" if ended else ""),
    }


def _verdict(row: Mapping[str, Any]) -> str:
    """What a prompt or probe that was made came to, held against the one before."""
    said = (row.get("result") or {}).get("verdict")
    return f": {said}" if said and row["kind"] in ("optimize", "retrain") else ""


def what(row: Mapping[str, Any]) -> str:
    """What was run, on what: a sweep's or classifier's name, and the dataset's."""
    config = row.get("config") or {}
    if row.get("kind") == "reflection":
        return f"for optimization {config.get('name')}"
    classifier = str(config.get("classifier") or "").partition("@")[0]
    name = str(config.get("name") or classifier)
    dataset = str(config.get("dataset") or "")
    return f"{name} on {dataset}" if name and dataset else name or dataset
