"""The whole pipeline on the shipped conversations, with no key: what llmclf is, in a few minutes."""

from __future__ import annotations

import time
from collections.abc import Callable
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
    """Weights, samples, probe, evaluations, sweep, report, all in `folder`; run again, it reuses what is there."""
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    result = DemoResult(folder, folder / "llmclf.db", folder / "report.html")
    result.local_skipped = _get_weights(folder, view)
    with Runtime(result.store, max_usd=5.0, workspace=folder) as runtime:
        dataset, task = load_dataset("samples", folder), load_task(TASK, folder)
        _check_samples(result, dataset, task, view)
        view.step("Train the probe on the samples' labels")
        _, path = verbs.train("refusal_probe", dataset, workspace=folder)
        view.note(f"Saved in {path}. Below it is judged by cross-validation, not on what it learned from.")
        _evaluate(result, dataset, runtime, view)
        view.step("Sweep: two real cells, six simulated ones")
        result.surface = verbs.sweep("demo", runtime=runtime, progress=_progress(view))
        view.result(result.surface)
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


def _evaluate(result: DemoResult, dataset: Any, runtime: Runtime, view: View) -> None:
    plan: list[tuple[str, int | None]] = [("refusal_keyword", None), ("refusal_probe", None)]
    if not result.local_skipped:
        plan.append(("refusal_local", LOCAL_ITEMS))
    for name, items in plan:
        total = items or len(dataset)
        view.step(f"Evaluate {name} on {total} conversations")
        done = [0]

        def count(_: object, total: int = total, done: list[int] = done) -> None:
            done[0] += 1
            view.advance(done[0], total)

        try:
            evaluation, _ = verbs.evaluate_classifier(name, dataset, runtime=runtime, max_items=items, on_done=count)
        except LlmclfError as error:
            if name != "refusal_local":
                raise
            result.local_skipped = str(error)
            view.note(f"Left out: {error}")
            continue
        result.evaluations[name] = evaluation
        view.result(evaluation)


def _progress(view: View) -> Callable[[str, int, int, float], None]:
    def tell(cell: str, done: int, total: int, usd: float) -> None:
        view.advance(done, total)

    return tell
