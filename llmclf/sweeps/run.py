"""A sweep, executed: every cell on every item, continued where an earlier execution stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmclf.classifiers.base import Classifier
from llmclf.classifiers.llm import LlmClassifier
from llmclf.classifiers.loading import make_classifier
from llmclf.config import SweepFile
from llmclf.errors import ConfigError, LlmclfError
from llmclf.evaluation import cross_predict
from llmclf.llm.runtime import Runtime
from llmclf.store import RunState
from llmclf.sweeps.cells import Cell
from llmclf.sweeps.earlier import KIND, predictions_earlier
from llmclf.sweeps.inputs import Inputs, sweep_inputs
from llmclf.sweeps.measured import MeasuredCell, measure_cell
from llmclf.sweeps.money import book, cap_reached, capped
from llmclf.sweeps.recording import Counter, Progress, Recorder
from llmclf.sweeps.run_card import make_run_card
from llmclf.sweeps.surface import Stopped, Surface
from llmclf.types import Dataset, Predictions, Task

ANSWERED_KINDS = frozenset({"refused", "content_filter", "length", "empty", "unparsable"})
"""Failures that were answered and paid for: asking again would buy the same answer."""

_INTERRUPTED = "a person stopped it; run again to continue"


class SweepInterrupted(KeyboardInterrupt):
    """The person stopped the sweep. What there is by then is in `surface`, and all of it in the store."""

    def __init__(self, surface: Surface) -> None:
        super().__init__("the sweep was interrupted; run it again to continue")
        self.surface = surface


def run(
    file: SweepFile,
    dataset: Dataset,
    task: Task,
    runtime: Runtime,
    *,
    progress: Progress | None = None,
    git_sha: str = "",
    versions: Mapping[str, str] | None = None,
    name: str = "",
) -> Surface:
    """The surface of a sweep: every cell on every item of `dataset` that carries a label of `task`.

    Cells are measured in the order of the file, items of one cell at once as far as the runtime's
    `concurrency` lets them. What is in the store is used, unless the runtime's cache is off: a cell that
    an earlier sweep finished on the same items as a whole, else every answer by itself; the same request
    is then never bought twice.
    Cells that learn are trained and tested by cross-validation over `folds`, with nothing of
    `hold_out` on both sides. Predictions are written to the store as they come.

    `budget_usd` of the file and the runtime's own cap both hold, over all executions of the same
    inputs together. Where one is reached, the items left fail as `over_budget` and the surface says
    `stopped = "budget"`; its run card and the run in the store say which cap it was, under `why`. Ctrl-C
    raises SweepInterrupted with the surface so far. `git_sha` and `versions` go to the run card, and
    `name`, what people call the sweep, stands with its settings in the store.

    Raises before anything is sent: ConfigError (every mistake at once), BudgetError (a model without
    price, or no cap), DataError (no usable labels).
    """
    inputs = sweep_inputs(file, dataset, task, runtime)
    runtime.tell_simulator(inputs.dataset, task)
    for conversation in inputs.dataset.conversations.values():
        runtime.store.learn(conversation)  # quotes are redacted like the conversation they are from
    with capped(runtime, file.budget_usd, inputs.inputs_hash):
        classifiers = _checked_classifiers(inputs, runtime)
        card = make_run_card(inputs, classifiers.values(), runtime, git_sha=git_sha, versions=versions or {})
        execution = _Execution(inputs, classifiers, runtime, progress, card)
        return execution.run(git_sha, versions or {}, name)


def _checked_classifiers(inputs: Inputs, runtime: Runtime) -> dict[str, Classifier]:
    """Cell id to classifier, after everything that can be wrong before the first call was looked at."""
    classifiers = {cell.cell_id: cell.classifier(inputs.task, runtime) for cell in inputs.cells}
    asking = [classifier for classifier in classifiers.values() if isinstance(classifier, LlmClassifier)]
    runtime.check(classifier.model for classifier in asking)
    first = next((e for e in inputs.dataset.examples if not inputs.dataset.conversation(e).is_empty), None)
    problems = []
    for classifier in asking:
        try:
            if first is not None:
                classifier.request(inputs.dataset.conversation(first), first.turn)  # can the prompt be filled?
        except LlmclfError as error:
            problems.append(str(error))
        runtime.store.put_prompt(classifier.prompt.name, classifier.prompt.sha256, classifier.prompt.text)
    if problems:
        raise ConfigError("requests of the sweep can't be made", problems=list(dict.fromkeys(problems)))
    return classifiers


class _Execution:
    """One execution of a sweep: the run in the store, and its cells as they get done."""

    def __init__(
        self,
        inputs: Inputs,
        classifiers: Mapping[str, Classifier],
        runtime: Runtime,
        progress: Progress | None,
        card: dict[str, Any],
    ) -> None:
        self.inputs = inputs
        self.classifiers = classifiers
        self.runtime = runtime
        self.store = runtime.store
        self.card = card
        self.run_id = ""
        self.counter = Counter(progress, len(inputs.cells) * len(inputs.dataset))
        self.measured: list[MeasuredCell] = []
        self.answers: dict[str, Predictions] = {}
        """What cells said that are done, as it was bought: a cell that differs in its plan alone says the same."""
        self.under_way: Recorder | None = None

    def run(self, git_sha: str, versions: Mapping[str, str], name: str = "") -> Surface:
        """Measures every cell; the run is marked with how it ended, whatever happens."""
        self.run_id = self.store.start_run(
            KIND,
            inputs_hash=self.inputs.inputs_hash,
            config={**self.inputs.config, **({"name": name} if name else {})},
            dataset_hash=self.inputs.dataset.content_hash,
            seed=self.inputs.file.seed,
            git_sha=git_sha,
            versions=dict(versions),
            simulated=any(cell.simulated for cell in self.inputs.cells),
        )
        book(self.runtime, self.run_id)
        outer, self.runtime.run_id = self.runtime.run_id, self.run_id
        try:
            for cell in self.inputs.cells:
                self.measured.append(self._measure(cell))
        except KeyboardInterrupt:
            raise SweepInterrupted(self._ended(interrupted=True)) from None
        except BaseException as error:
            self.store.finish_run(self.run_id, "failed", why=f"{type(error).__name__}: {error}")
            raise
        finally:
            self.runtime.run_id = outer
        return self._ended()

    def _measure(self, cell: Cell) -> MeasuredCell:
        self.counter.begin(cell.label)
        self._put(cell, "running")
        self.under_way = recorder = Recorder(cell, self.store, self.run_id, self.counter)
        predictions = self.answers.get(cell.answers_id)
        if predictions is None and self.runtime.cache != "off":
            predictions = predictions_earlier(self.store, cell, self.inputs.dataset)
        reused = predictions is not None
        if predictions is not None:
            predictions = Predictions(replace(p, cached=cell.kind == "llm") for p in predictions)
            recorder.take_all(predictions)
        else:
            predictions = self._asked(cell, recorder)
        recorder.flush()
        measured = self._finished(cell, predictions, reused)
        self.under_way = None
        return measured

    def _asked(self, cell: Cell, recorder: Recorder) -> Predictions:
        inputs, classifier = self.inputs, self.classifiers[cell.cell_id]
        items = [example.item for example in inputs.dataset.examples]
        if isinstance(classifier, LlmClassifier):
            return classifier.predict(inputs.dataset.conversations, items, recorder.take)
        if cell.learns:
            predictions = cross_predict(
                lambda: make_classifier(cell.name, cell.file, inputs.task),
                inputs.dataset,
                inputs.task,
                by=inputs.file.hold_out,
                k=inputs.file.folds,
                seed=inputs.file.seed,
            )
        else:
            predictions = classifier.predict(inputs.dataset.conversations, items)
        recorder.take_all(predictions)
        return predictions

    def _finished(self, cell: Cell, predictions: Predictions, reused: bool) -> MeasuredCell:
        inputs = self.inputs
        kinds = {error.kind for error in predictions.column("error") if error is not None}
        self.answers[cell.answers_id] = predictions
        if "over_budget" in kinds:
            self._put(cell, "incomplete")
            return MeasuredCell(cell, "incomplete", len(inputs.dataset), predictions)
        measured = measure_cell(cell, predictions, inputs.dataset, inputs.task, inputs.file, reused=reused)
        assert measured.evaluation is not None
        # calls that never got an answer are made again next time; they cost nothing yet
        final = cell.kind != "llm" or kinds <= ANSWERED_KINDS
        self._put(cell, "done" if final else "incomplete", measured.evaluation.to_dict())
        return measured

    def _put(self, cell: Cell, state: str, result: dict[str, Any] | None = None) -> None:
        settings = {**cell.settings, "label": cell.label, "file": cell.file.model_dump(mode="json")}
        self.store.put_cell(
            self.run_id, cell.cell_id, settings=settings, simulated=cell.simulated, state=state, result=result
        )

    def _ended(self, *, interrupted: bool = False) -> Surface:
        """The surface of what there is, after the run was marked with how it ended."""
        items = len(self.inputs.dataset)
        if self.under_way is not None:
            self.under_way.flush()
            got = self.under_way.predictions
            self._put(self.under_way.cell, "incomplete")
            self.measured.append(MeasuredCell(self.under_way.cell, "incomplete", items, got))
        waiting = [MeasuredCell(cell, "waiting", items) for cell in self.inputs.cells[len(self.measured) :]]
        stopped: Stopped = "interrupted" if interrupted else ""
        if not interrupted and any(cell.state == "incomplete" for cell in self.measured):
            stopped = "budget"
        whys = {"": "", "interrupted": _INTERRUPTED, "budget": self._cap_reached()}
        surface = Surface(
            cells=(*self.measured, *waiting),
            skipped=self.inputs.skipped,
            run_id=self.run_id,
            inputs_hash=self.inputs.inputs_hash,
            costs=self.inputs.file.as_costs,
            limits=self.inputs.file.limits,
            task=self.inputs.task,
            dataset=shown(self.inputs.dataset, self.runtime),
            stopped=stopped,
            run_card=self._full_card(whys[stopped]),
        )
        why = whys[stopped] or ("no cell was answered" if surface.nothing_answered else "")
        states: dict[Stopped, RunState] = {"": "done", "budget": "stopped", "interrupted": "interrupted"}
        self.store.finish_run(self.run_id, states[stopped], result=surface.summary(), why=why)
        return surface

    def _cap_reached(self) -> str:
        return cap_reached(error for cell in self.measured for error in cell.predictions.column("error"))

    def _full_card(self, why: str) -> dict[str, Any]:
        self.store.flush()
        spent = self.store.spent_nano(run_ids=[self.run_id])
        return {
            "run_id": self.run_id,
            **self.card,
            "spent_usd": spent.settled / 1e9,
            "set_aside_usd": spent.reserved_unsettled / 1e9,
            "calls": spent.calls,
            "possibly_billed": spent.possibly_billed,
            **({"why": why} if why else {}),
        }


def shown(dataset: Dataset, runtime: Runtime) -> Dataset:
    """The dataset with texts as the workspace's privacy lets them be sent or kept."""
    redaction = runtime.redaction
    if not (redaction.before_sending or redaction.before_storing):
        return dataset
    redacted = {key: redaction.redact(value).conversation for key, value in dataset.conversations.items()}
    return replace(dataset, conversations=redacted)
