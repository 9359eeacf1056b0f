"""The whole pipeline on the shipped conversations, with no key: what llmclf is, in a few minutes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from llmclf.config import LocalRow, load_models, load_task
from llmclf.data.check import check
from llmclf.data.loading import load_dataset
from llmclf.errors import LlmclfError, MissingPieceError
from llmclf.evaluation import Evaluation
from llmclf.evaluation.style import StyleLeak, style_leak
from llmclf.llm import weights
from llmclf.llm.runtime import Runtime
from llmclf.sweeps import Surface, write_report
from llmclf.workspace import verbs

LOCAL_MODEL = "local/smollm2-135m"
LOCAL_ITEMS = 24
TASK = "refusal_to_transfer"


class View(Protocol):
    """What the demo tells as it goes."""

    def step(self, title: str) -> None:
        """A new step begins."""

    def advance(self, done: int, total: int) -> None:
        """How far the step is."""

    def note(self, text: str) -> None:
        """A sentence about the step."""

    def result(self, value: Any) -> None:
        """A table worth showing."""

    def side_by_side(self, evaluations: Mapping[str, Evaluation]) -> None:
        """Several classifiers in one table."""


@dataclass
class DemoResult:
    """What the demo found and where it put it."""

    folder: Path
    store: Path
    report: Path
    seconds: float = 0.0
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    """Classifier name to its figures on the samples."""
    local_skipped: str = ""
    """Why the local model was left out, or empty."""
    style: StyleLeak | None = None
    surface: Surface | None = None

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON types."""
        return {
            "folder": str(self.folder),
            "store": str(self.store),
            "report": str(self.report),
            "seconds": round(self.seconds, 1),
            "local_skipped": self.local_skipped,
            "evaluations": {name: value.to_dict() for name, value in self.evaluations.items()},
            "surface": self.surface.to_dict() if self.surface else None,
        }


def run_demo(folder: Path, view: View) -> DemoResult:
    """Weights, samples, sweep, probe, local model, report, all in `folder`; run again, it reuses what is there."""
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    result = DemoResult(folder, folder / "llmclf.db", folder / "report.html")
    result.local_skipped = _get_weights(folder, view)
    with Runtime(result.store, workspace=folder) as runtime:
        dataset, task = load_dataset("samples", folder), load_task(TASK, folder)
        _check_samples(result, dataset, task, view)
        view.step("Measure patterns and trained probes; rehearse six simulated cells")
        result.surface = verbs.sweep("demo", runtime=runtime, progress=_progress(view))
        result.evaluations = {cell.label: cell.evaluation for cell in result.surface.real if cell.evaluation}
        view.result(result.surface)
        view.step("Train the probe on all labels, for use")
        _, path = verbs.train("refusal_probe", dataset, workspace=folder)
        view.note(f"Saved in {path}. Its figures above are by cross-validation, not on what it learned from.")
        if not result.local_skipped:
            _evaluate_local(result, dataset, runtime, view)
        view.step("Write the report")
        write_report(result.surface, result.report)
    result.seconds = time.monotonic() - began
    return result


def _get_weights(folder: Path, view: View) -> str:
    """Fetches the local model's weights; the reason where that can't be done."""
    view.step("Weights of the local demonstration model")
    row = load_models(folder)[LOCAL_MODEL]
    assert isinstance(row, LocalRow)
    try:
        weights.pull(LOCAL_MODEL, row, view.advance)
        import xllamacpp  # noqa: F401 - is it there?
    except MissingPieceError as error:
        view.note(f"Left out: {error}")
        return str(error)
    except ImportError:
        reason = "xllamacpp is not installed: pip install 'llmclf[local]'"
        view.note(f"Left out: {reason}")
        return reason
    view.note(row.note)
    return ""


def _check_samples(result: DemoResult, dataset: Any, task: Any, view: View) -> None:
    view.step(f"Check the {len(dataset)} shipped conversations")
    report = check(dataset, task=task)
    result.style = style_leak(dataset, task)
    for finding in report.findings:
        if finding.severity != "note":
            view.note(finding.sentence)
    view.note(str(result.style))


def _evaluate_local(result: DemoResult, dataset: Any, runtime: Runtime, view: View) -> None:
    view.step(f"Ask the local model about {LOCAL_ITEMS} of the conversations")
    done = [0]

    def count(_: object) -> None:
        done[0] += 1
        view.advance(done[0], LOCAL_ITEMS)

    try:
        evaluation, _ = verbs.evaluate_classifier(
            "refusal_local", dataset, runtime=runtime, max_items=LOCAL_ITEMS, on_done=count
        )
    except LlmclfError as error:  # the demo goes on without its smallest part
        result.local_skipped = str(error)
        view.note(f"Left out: {error}")
        return
    result.evaluations["refusal_local"] = evaluation
    view.side_by_side(result.evaluations)


def _progress(view: View) -> Callable[[str, int, int, float], None]:
    def tell(cell: str, done: int, total: int, usd: float) -> None:
        view.advance(done, total)

    return tell
