"""A sweep, executed: every cell on every item, continued where an earlier execution stopped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from llmclf.classifiers.base import Classifier
from llmclf.classifiers.items import with_fields
from llmclf.classifiers.llm import LlmClassifier
from llmclf.classifiers.loading import make_classifier
from llmclf.config import SweepFile, load_pace
from llmclf.errors import ConfigError, LlmclfError
from llmclf.evaluation import cross_predict
from llmclf.llm.runtime import Runtime
from llmclf.store import RunState
from llmclf.sweeps.cells import Cell, numbers_of
from llmclf.sweeps.earlier import KIND, predictions_earlier
from llmclf.sweeps.inputs import Inputs, sweep_inputs
from llmclf.sweeps.measured import Dropped, MeasuredCell, measure_cell
from llmclf.sweeps.money import book, cap_reached, capped
from llmclf.sweeps.racing import Race, Track, race_card
from llmclf.sweeps.recording import Counter, Progress, Recorder
from llmclf.sweeps.run_card import make_run_card
from llmclf.sweeps.surface import WHY_STOPPED, Stopped, Surface
from llmclf.types import Dataset, Item, Prediction, Predictions, Task

ANSWERED_KINDS = frozenset({"refused", "content_filter", "length", "empty", "unparsable"})
"""Failures that were answered and paid for: asking again would buy the same answer."""


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
    `concurrency` lets them. Under `strategy = "racing"` they are asked in rounds, and no more once they are
    shown to be beaten: such cells are `dropped` and have no figures. What is in the store is used, unless the
    runtime's cache is off: a cell that an earlier sweep finished on the same items as a whole, else every
    answer by itself; the same request is then never bought twice.
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
    track = Track.of(inputs.dataset, task, file) if file.strategy == "racing" else None
    runtime.tell_simulator(inputs.dataset, task)
    for conversation in inputs.dataset.conversations.values():
        runtime.store.learn(conversation)  # quotes are redacted like the conversation they are from
    with capped(runtime, file.budget_usd, inputs.inputs_hash):
        classifiers = _checked_classifiers(inputs, runtime)
        card = make_run_card(inputs, classifiers.values(), runtime, git_sha=git_sha, versions=versions or {})
        card |= {} if track is None else {"race": race_card(file, track)}
        execution = _Execution(inputs, classifiers, runtime, progress, card, track)
        return execution.run(git_sha, versions or {}, name)


def _checked_classifiers(inputs: Inputs, runtime: Runtime) -> dict[str, Classifier]:
    """Cell id to classifier, after everything that can be wrong before the first call was looked at."""
    classifiers = {cell.cell_id: cell.classifier(inputs.task, runtime) for cell in inputs.cells}
    asking = [classifier for classifier in classifiers.values() if isinstance(classifier, LlmClassifier)]
    runtime.check(classifier.model for classifier in asking)
    first = next((e for e in inputs.dataset.examples if not inputs.dataset.conversation(e).is_empty), None)
    items = [example.item for example in inputs.dataset.examples]
    problems = []
    for classifier in asking:
        try:
            classifier.check_items(items)
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
        track: Track | None,
    ) -> None:
        self.inputs = inputs
        self.classifiers = classifiers
        self.runtime = runtime
        self.store = runtime.store
        self.card = card
        self.track = track
        self.run_id = ""
        numbers = numbers_of(cell.simulated for cell in inputs.cells)
        self.numbers = {cell.cell_id: number for cell, number in zip(inputs.cells, numbers, strict=True)}
        self.counter = Counter(progress, len(inputs.cells) * len(inputs.dataset))
        self.measured: dict[str, MeasuredCell] = {}
        """By cell id, as all that follows: cells that are done, or that a race has dropped."""
        self.begun: dict[str, Recorder] = {}
        self.answers: dict[str, Predictions] = {}
        """What cells said that are done, as it was bought: a cell that differs in its plan alone says the same."""

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
            for cell in self.inputs.cells:  # the store keeps them in this order, whichever is begun first
                self._put(cell, "waiting")
            if self.track is None:
                for cell in self.inputs.cells:
                    self._measure(cell)
            else:
                self._race(self.track)
        except KeyboardInterrupt:
            raise SweepInterrupted(self._ended(interrupted=True)) from None
        except BaseException as error:
            self.store.finish_run(self.run_id, "failed", why=f"{type(error).__name__}: {error}")
            raise
        finally:
            self.runtime.run_id = outer
        return self._ended()

    def _measure(self, cell: Cell) -> None:
        recorder = self._begin(cell)
        predictions = self._bought(cell)
        reused = predictions is not None
        if predictions is not None:
            predictions = Predictions(replace(p, cached=cell.kind == "llm") for p in predictions)
            recorder.take_all(predictions)
        else:
            predictions = self._asked(cell, recorder)
        self._finish(cell, predictions, reused)

    def _begin(self, cell: Cell) -> Recorder:
        self.counter.begin(cell.label)
        if cell.cell_id not in self.begun:
            self._put(cell, "running")
            self.begun[cell.cell_id] = Recorder(cell, self.store, self.run_id, self.counter, self._fields)
        return self.begun[cell.cell_id]

    def _fields(self, predictions: Iterable[Prediction]) -> Iterable[Prediction]:
        """The predictions with what they were asked with, as the store keeps it."""
        conversations, names = self.inputs.dataset.conversations, self.runtime.rules.reasons.fields
        return with_fields(predictions, conversations, self.inputs.task, names)

    def _bought(self, cell: Cell) -> Predictions | None:
        """What is known of all items without asking: from a cell that differs in its plan alone, or from the store."""
        if cell.answers_id in self.answers:
            return self.answers[cell.answers_id]
        return None if self.runtime.cache == "off" else predictions_earlier(self.store, cell, self.inputs.dataset)

    def _race(self, track: Track) -> None:
        """What costs nothing first; then rounds over the others, until they are dropped or done."""
        for cell in self.inputs.cells:
            if cell.kind != "llm" or self._bought(cell) is not None:
                self._measure(cell)
        race = Race(self.inputs, track, frozenset(self.measured))
        self.card["race"] = {**self.card["race"], "asked": [cell.label for cell in race.asked]}
        said = {key: {p.item: p for p in predictions} for key, predictions in self.answers.items()}
        for number in range(1, len(track.rounds) + 1):
            if not all(self._asked_in_round(cell, track.new(number), said) for cell in race.asked):
                break  # the cap is reached: nothing can be compared any more
            for cell, dropped in race.judge(number, said):
                self._drop(cell, self._in_order(said[cell.answers_id]), dropped)
        for cell in race.asked:
            if len(said.get(cell.answers_id, ())) == len(track.items):
                self._finish(cell, self._in_order(said[cell.answers_id]), reused=False)
        for cell in self.inputs.cells:
            if cell.cell_id not in self.measured and cell.answers_id in self.answers:
                self._measure(cell)

    def _asked_in_round(self, cell: Cell, items: Sequence[Item], said: dict[str, dict[Item, Prediction]]) -> bool:
        """Asks about the items and adds what was said; False where the cap kept one from being asked."""
        recorder, classifier = self._begin(cell), self.classifiers[cell.cell_id]
        assert isinstance(classifier, LlmClassifier)
        new = classifier.predict(self.inputs.dataset.conversations, items, recorder.take)
        recorder.flush()
        said.setdefault(cell.answers_id, {}).update((prediction.item, prediction) for prediction in new)
        return all(error is None or error.kind != "over_budget" for error in new.column("error"))

    def _in_order(self, said: Mapping[Item, Prediction]) -> Predictions:
        """Predictions in the order of the dataset, of the items that there are."""
        return Predictions(said[e.item] for e in self.inputs.dataset.examples if e.item in said)

    def _drop(self, cell: Cell, predictions: Predictions, dropped: Dropped) -> None:
        items = len(self.inputs.dataset)
        if cell.cell_id not in self.begun:  # its answers are those of a cell that differs in its plan alone
            self._begin(cell).take_all(Predictions(replace(p, cached=True) for p in predictions))
        self.begun[cell.cell_id].flush()
        self.measured[cell.cell_id] = MeasuredCell(cell, "dropped", items, predictions, dropped=dropped)
        self._put(cell, "dropped", asdict(dropped))
        self.counter.spare(items - len(predictions))

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

    def _finish(self, cell: Cell, predictions: Predictions, reused: bool) -> None:
        self.begun[cell.cell_id].flush()
        self.measured[cell.cell_id] = self._finished(cell, predictions, reused)

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
        names = {"label": cell.label, "number": self.numbers[cell.cell_id]}
        settings = {**cell.settings, **names, "file": cell.file.model_dump(mode="json")}
        self.store.put_cell(
            self.run_id, cell.cell_id, settings=settings, simulated=cell.simulated, state=state, result=result
        )

    def _ended(self, *, interrupted: bool = False) -> Surface:
        """The surface of what there is, after the run was marked with how it ended."""
        cells = [self._as_it_is(cell) for cell in self.inputs.cells]
        stopped: Stopped = "interrupted" if interrupted else ""
        if not interrupted and any(cell.state == "incomplete" for cell in cells):
            stopped = "budget"
        whys = {"": "", "interrupted": WHY_STOPPED["interrupted"], "budget": _cap_reached(cells)}
        surface = Surface(
            cells=tuple(cells),
            skipped=self.inputs.skipped,
            run_id=self.run_id,
            inputs_hash=self.inputs.inputs_hash,
            costs=self.inputs.file.as_costs,
            limits=self.inputs.file.limits,
            task=self.inputs.task,
            dataset=shown(self.inputs.dataset, self.runtime),
            pace=load_pace(self.runtime.workspace),
            seed=self.inputs.file.seed,
            stopped=stopped,
            run_card=self._full_card(whys[stopped]),
        )
        why = whys[stopped] or ("no cell was answered" if surface.nothing_answered else "")
        states: dict[Stopped, RunState] = {"": "done", "budget": "stopped", "interrupted": "interrupted"}
        self.store.finish_run(self.run_id, states[stopped], result=surface.summary(), why=why)
        return surface

    def _as_it_is(self, cell: Cell) -> MeasuredCell:
        """The cell as it was measured, or how far it came."""
        items, recorder = len(self.inputs.dataset), self.begun.get(cell.cell_id)
        if cell.cell_id in self.measured:
            return self.measured[cell.cell_id]
        if recorder is None:
            return MeasuredCell(cell, "waiting", items)
        recorder.flush()
        self._put(cell, "incomplete")
        return MeasuredCell(cell, "incomplete", items, recorder.predictions)

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


def _cap_reached(cells: Sequence[MeasuredCell]) -> str:
    return cap_reached(error for cell in cells for error in cell.predictions.column("error"))


def shown(dataset: Dataset, runtime: Runtime) -> Dataset:
    """The dataset with texts as the workspace's privacy lets them be sent or kept."""
    redaction = runtime.redaction
    if not (redaction.before_sending or redaction.before_storing):
        return dataset
    redacted = {key: redaction.redact(value).conversation for key, value in dataset.conversations.items()}
    return replace(dataset, conversations=redacted)
