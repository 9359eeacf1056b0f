"""How the demo looks: a step at a time, with a bar, and an end that says what the numbers are worth."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from llmclf.evaluation import Evaluation
from llmclf.render.tables import usd_cells
from llmclf.types import Estimate
from llmclf.workspace.demo import DemoResult

_END = """\
What these numbers do not say
  The conversations were written for llmclf, by a language model: recall and
  specificity are of this set. Precision and dollars are projected to an assumed
  prevalence of 0.5 %. Your customers write otherwise, and your figures will
  differ, most likely for the worse.
  Simulated cells rehearse what a surface looks like; they measure nothing.
"""
_LOCAL = """\
  The local model (135M parameters) shows that the path works. Its own row says
  how little it can do.
"""
_NEXT = """\
Next
  open {report}
  llmclf init my-workspace              a workspace of your own
  llmclf data sample YOUR.jsonl --task refusal_to_transfer --n 400
                                        draw conversations of yours to label
  With a vendor's key (export OPENAI_API_KEY=...):
  llmclf evaluate refusal_to_transfer --dataset samples --max-usd 1
"""


class DemoView:
    """Steps, bars and tables on stderr and stdout; silent where `quiet`."""

    def __init__(self, quiet: bool = False) -> None:
        from rich.console import Console

        self._quiet = quiet
        self._out = Console()
        self._err = Console(stderr=True)
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        columns = (TextColumn("  "), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=self._err, transient=True, disable=self._quiet)
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def step(self, title: str) -> None:
        """A headline, and a fresh bar that runs until the step says how far it is."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(title, total=None)
        if not self._quiet:
            self._err.print(f"\n[bold]{title}[/bold]")

    def advance(self, done: int, total: int) -> None:
        """Moves the bar."""
        self._bar.update(self._task, completed=done, total=total)

    def note(self, text: str) -> None:
        """A sentence under the headline."""
        if not self._quiet:
            self._err.print(f"  {text}", highlight=False, markup=False)

    def result(self, value: Any) -> None:
        """A table, on stdout; the bar makes room for it."""
        if self._quiet:
            return
        self._bar.stop()
        self._out.print(value)
        self._bar.start()

    def side_by_side(self, evaluations: Mapping[str, Evaluation]) -> None:
        """One row for each classifier, on stdout: its items, recall, false alarms and dollars."""
        from rich.table import Table

        table = Table(title="Real classifiers", title_justify="left", box=None)
        for title in ("classifier", "targets", "recall", "specificity", "$ per 1,000"):
            table.add_column(title, no_wrap=title == "classifier")
        for name, found in evaluations.items():
            recall, specificity = _interval(found.recall, ".2f"), _interval(found.specificity, ".2f")
            value, interval = usd_cells(found.dollars_per_1000)
            dollars = f"{value} ({interval})" if interval else value
            table.add_row(name, f"{found.n_positives} of {found.n}", recall, specificity, dollars)
        self.result(table)

    def show_end(self, result: DemoResult) -> None:
        """Where everything is, what it does not say, and what to do next."""
        self._out.print(f"\nDone in {result.seconds:.0f} s.")
        self._out.print(f"  report  {result.report.resolve()}", soft_wrap=True, highlight=False)
        self._out.print(f"  store   {result.store.resolve()}\n", soft_wrap=True, highlight=False)
        self._out.print(_END + ("" if result.local_skipped else _LOCAL), highlight=False)
        self._out.print(_NEXT.format(report=result.report), highlight=False, markup=False)


def _interval(estimate: Estimate, spec: str) -> str:
    """`value low-high`, `? low-high` where there is no value, `?` where nothing can be said."""
    if estimate.low is None or estimate.high is None:
        return "?" if estimate.value is None else f"{estimate.value:{spec}}"
    value = "?" if estimate.value is None else f"{estimate.value:{spec}}"
    return f"{value} ({estimate.low:{spec}}-{estimate.high:{spec}})"
