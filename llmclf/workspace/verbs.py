"""The verbs: one function each, the same behind Python, the command and HTTP."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from llmclf.classifiers.base import Classifier, items_of
from llmclf.classifiers.items import with_fields
from llmclf.classifiers.llm import LlmClassifier
from llmclf.classifiers.loading import load_classifier, make_classifier, probe_weights
from llmclf.classifiers.probe import ProbeClassifier
from llmclf.config import ClassifierFile, LlmFile, ProbeFile, SweepFile, files, load_task
from llmclf.data.loading import load_dataset
from llmclf.data.sample import take
from llmclf.errors import ConfigError, DataError
from llmclf.evaluation import Evaluation, cross_predict, evaluate as evaluate_predictions
from llmclf.evaluation.measure import check_choices
from llmclf.evaluation.notes import about_prompt
from llmclf.llm.runtime import Runtime
from llmclf.store.moments import moment_text
from llmclf.sweeps import Plan, Progress, Surface, plan_items, run as run_sweep
from llmclf.sweeps.money import cap_reached
from llmclf.types import Conversation, Costs, Dataset, Item, Prediction, Predictions, Task, content_hash
from llmclf.workspace.provenance import git_sha, versions

OnDone = Callable[[Prediction], None]


def classify(
    conversations: Iterable[Conversation],
    classifier: Classifier,
    *,
    runtime: Runtime | None = None,
    on_done: OnDone | None = None,
) -> Predictions:
    """What `classifier` says of each conversation, or of each bot turn where its task is about turns.

    With a `runtime` (an llm classifier brings its own) the predictions are recorded in its store as
    a run of kind `classify`, which is `stopped` where a cap left items out. A failed item is a prediction
    with `error`; only misuse raises.
    """
    by_id = {conversation.id: conversation for conversation in conversations}
    items = items_of(by_id.values(), classifier.task)
    kept_by = runtime or (classifier.runtime if isinstance(classifier, LlmClassifier) else None)
    if isinstance(classifier, LlmClassifier):
        classifier.check()
    if kept_by is None:
        return _predict(classifier, by_id, items, on_done)
    inputs = {"classifier": classifier.id, "conversations": sorted(c.content_hash for c in by_id.values())}
    run_id = kept_by.store.start_run(
        "classify",
        inputs_hash=content_hash(inputs),
        config={"classifier": classifier.id},
        versions=versions(),
        simulated=is_simulated(classifier),
    )
    with booked_on(kept_by, run_id):
        predictions = _predict(classifier, by_id, items, on_done)
        _record(kept_by, run_id, by_id, predictions, classifier.task)
    _finish(kept_by, run_id, predictions)
    return predictions


def evaluate(
    predictions: Predictions,
    dataset: Dataset,
    task: Task | None = None,
    *,
    costs: Costs = Costs(),
    beta: float = 2.0,
    review_share: float = 0.01,
    workspace: str | Path | None = None,
) -> Evaluation:
    """How good `predictions` are against the labels of `dataset`, every figure with its interval.

    `task` defaults to the one that the predictions name, looked up as `load_task` does. `beta` is how many times
    as important recall is in `f_beta`, `review_share` how much of all items people can review (above 0, at most 1).
    """
    if task is None:
        if not len(predictions):
            raise ConfigError("there is nothing to evaluate", where="evaluate", got="0 predictions")
        task = load_task(predictions[0].task, Path(workspace) if workspace is not None else None)
    return evaluate_predictions(predictions, dataset, task, costs=costs, beta=beta, review_share=review_share)


def evaluate_classifier(
    name: str,
    dataset: Dataset,
    *,
    runtime: Runtime,
    costs: Costs = Costs(),
    beta: float = 2.0,
    review_share: float = 0.01,
    folds: int = 5,
    hold_out: Sequence[str] = ("group",),
    max_items: int | None = None,
    seed: int = 0,
    prompt: str | None = None,
    dataset_from: str = "",
    on_done: OnDone | None = None,
) -> tuple[Evaluation, str]:
    """(evaluation, run id) of the classifier `name` on a labelled dataset.

    A probe is trained anew in each of `folds` folds, with nothing of `hold_out` (`group`, or names of
    metadata) on both sides; the others answer as they are. `max_items` draws that many, the target
    in proportion, by the seed. `prompt` stands in for the prompt of an llm classifier. `beta` and
    `review_share` are as in `evaluate`. Predictions are recorded as a run of kind `evaluate`, which is `stopped`
    where a cap left items out. `dataset_from` is what `dataset` was loaded by: a path is kept with the run, which
    can then be opened again.
    """
    check_choices(beta, review_share)
    found, file = _classifier_file(name, runtime, prompt)
    task = load_task(file.task, runtime.workspace)
    labelled = labelled_items(dataset, task, max_items, seed)
    classifier = make_classifier(found.name, file, task, runtime, runtime.workspace)
    shown = 0
    if isinstance(classifier, LlmClassifier):
        everything, hidden = len(labelled), classifier.prompt.shown
        labelled = labelled.where(lambda example: str(example.item) not in hidden) if hidden else labelled
        shown = everything - len(labelled)
        runtime.tell_simulator(labelled, task)
        classifier.check()
    learns = isinstance(file, ProbeFile)
    config = {"classifier": classifier.id, "folds": folds if learns else 0, "hold_out": list(hold_out), "seed": seed}
    ran_with: dict[str, Any] = {"file": file.model_dump(mode="json")}
    if isinstance(classifier, LlmClassifier):
        text = classifier.prompt
        runtime.store.put_prompt(text.name, text.sha256, text.text)
        ran_with["prompt_sha256"] = text.sha256
    if dataset_from.endswith(".toml"):
        ran_with["dataset_path"] = str(files.find("dataset", dataset_from, runtime.workspace).path.resolve())
    if prompt is not None:
        ran_with["name"] = with_prompt(found.name, prompt)
    run_id = runtime.store.start_run(
        "evaluate",
        inputs_hash=content_hash({**config, "dataset": labelled.content_hash}),
        config={**config, "dataset": labelled.name, "max_items": max_items, **ran_with},
        dataset_hash=labelled.content_hash,
        seed=seed,
        git_sha=git_sha(runtime.workspace or Path()),
        versions=versions(),
        simulated=is_simulated(classifier),
    )
    with booked_on(runtime, run_id):
        if learns:
            predictions = cross_predict(
                lambda: make_classifier(found.name, file, task), labelled, task, by=hold_out, k=folds, seed=seed
            )
            _report(predictions, on_done)
        else:
            if isinstance(file, LlmFile) and file.shots:
                classifier.fit(load_dataset(file.shots_from, runtime.workspace))
            items = [example.item for example in labelled.examples]
            predictions = _predict(classifier, labelled.conversations, items, on_done)
        _record(runtime, run_id, labelled.conversations, predictions, task)
        evaluation = evaluate_predictions(
            predictions, labelled, task, costs=costs, beta=beta, review_share=review_share
        )
        if isinstance(classifier, LlmClassifier):
            known = about_prompt(labelled, classifier.prompt.learned_from, shown)
            evaluation = replace(evaluation, notes=(*known, *evaluation.notes))
    _finish(runtime, run_id, predictions, evaluation.to_dict())
    return evaluation, run_id


def plan_evaluation(
    name: str,
    dataset: Dataset,
    *,
    runtime: Runtime,
    max_items: int | None = None,
    seed: int = 0,
    prompt: str | None = None,
) -> Plan:
    """What `evaluate_classifier` would cost and send, with the same arguments; nothing is sent."""
    found, file = _classifier_file(name, runtime, prompt)
    task = load_task(file.task, runtime.workspace)
    labelled = labelled_items(dataset, task, max_items, seed)
    classifier = make_classifier(found.name, file, task, runtime, runtime.workspace)
    if isinstance(file, LlmFile) and file.shots:
        classifier.fit(load_dataset(file.shots_from, runtime.workspace))
    items = [example.item for example in labelled.examples]
    return plan_items(classifier, labelled.conversations.values(), runtime, items)


def train(name: str, dataset: Dataset, *, workspace: str | Path | None = None) -> tuple[ProbeClassifier, Path]:
    """(the trained probe, its file): learns the classifier `name` from the labels of `dataset`.

    The file holds the settings, what was learned, the dataset's hash, the commit and the seed; the
    same inputs give the same file. ConfigError where `name` is not a probe.
    """
    folder = Path(workspace) if workspace is not None else None
    found = files.find("classifier", name, folder)
    file = files.load("classifier", found.path)
    if not isinstance(file, ProbeFile):
        raise ConfigError("only a probe can be trained", where=str(found.path), got=f"kind {file.kind!r}")
    task = load_task(file.task, folder)
    labelled = dataset.for_task(task.name)
    probe = make_classifier(found.name, file, task)
    assert isinstance(probe, ProbeClassifier)
    path = probe_weights(found.name, file, folder)
    probe.fit(labelled)
    path.parent.mkdir(parents=True, exist_ok=True)
    probe.save(path, git_sha=git_sha(folder or Path()))
    return probe, path


def sweep(
    name: str,
    *,
    runtime: Runtime,
    progress: Progress | None = None,
) -> Surface:
    """The surface of the sweep `name` (configs/sweeps/NAME.toml, or a path): every cell measured.

    Continues what was begun: an answer that is in the runtime's store is never bought again.
    """
    file, dataset, task = sweep_inputs(name, runtime)
    return run_sweep(
        file,
        dataset,
        task,
        runtime,
        progress=progress,
        git_sha=git_sha(runtime.workspace or Path()),
        versions=versions(),
        name=files.find("sweep", name, runtime.workspace).name,
    )


def sweep_inputs(name: str, runtime: Runtime) -> tuple[SweepFile, Dataset, Task]:
    """(file, dataset, task) of the sweep `name`."""
    found = files.find("sweep", name, runtime.workspace)
    file: SweepFile = files.load("sweep", found.path)
    first = file.classifier or (file.grid.classifier or ("",))[0]
    classifier = files.load_named("classifier", first, runtime.workspace)
    return file, load_dataset(file.dataset, runtime.workspace), load_task(classifier.task, runtime.workspace)


def sweep_concurrency(name: str, workspace: str | Path | None = None) -> int:
    """The `concurrency` of a sweep file: how many calls its runtime should let through at once."""
    file: SweepFile = files.load("sweep", files.find("sweep", name, Path(workspace or Path.cwd())).path)
    return file.concurrency


def labelled_items(dataset: Dataset, task: Task, max_items: int | None, seed: int) -> Dataset:
    """The examples that are labelled for the task, or `max_items` of them; DataError where none is."""
    labelled = dataset.for_task(task.name)
    if not len(labelled):
        known = sorted({name for example in dataset.examples for name in example.labels})
        raise DataError(
            f"no example has a label of task {task.name!r}",
            where=f"dataset {dataset.name}",
            fix=f"it has labels of {', '.join(known)}" if known else "it has no label at all",
        )
    return labelled if max_items is None else take(labelled, max_items, task, seed)


def is_simulated(classifier: Classifier) -> bool:
    """True where a simulated vendor makes its answers up."""
    return isinstance(classifier, LlmClassifier) and classifier.runtime.route(classifier.model.id).simulated


def with_prompt(classifier: str, prompt: str) -> str:
    """What people call a classifier with another prompt than its own."""
    return f"{classifier} with prompt {prompt}"


class booked_on:
    """Books the runtime's calls on a run; a run left by an exception is marked `failed` or `interrupted`."""

    def __init__(self, runtime: Runtime, run_id: str) -> None:
        self._runtime = runtime
        self._run_id = run_id
        self._before = runtime.run_id

    def __enter__(self) -> None:
        self._runtime.run_id = self._run_id

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        self._runtime.run_id = self._before
        if error is not None:
            state = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            self._runtime.store.finish_run(self._run_id, state, why=str(error))  # type: ignore[arg-type]


def _classifier_file(name: str, runtime: Runtime, prompt: str | None) -> tuple[files.Found, ClassifierFile]:
    """(where it is, what it says, with `prompt` instead of its own); ConfigError where it has none."""
    found = files.find("classifier", name, runtime.workspace)
    file: ClassifierFile = files.load("classifier", found.path)
    if prompt is None:
        return found, file
    if not isinstance(file, LlmFile):
        raise ConfigError("only an llm classifier has a prompt", where=str(found.path), got=f"kind {file.kind!r}")
    return found, file.model_copy(update={"prompt": prompt})


def record(
    prediction: Prediction,
    conversation: Conversation,
    classifier: Classifier,
    *,
    runtime: Runtime | None = None,
    at: str | datetime | None = None,
) -> None:
    """Keeps in the store what a backend was told, so that `status` and `reasons` know of it: it belongs to no run.

    `classify` and `evaluate_classifier` do that themselves; `aclassify` does not. `runtime` is the classifier's own,
    where it has one. `at` is when it was made, where that is not now: a time (UTC where it names no zone) or ISO text;
    so what was predicted earlier or elsewhere is imported. The same prediction recorded twice is there twice.

    It waits where the store has much to write, so an event loop calls it by `asyncio.to_thread`. ConfigError where
    there is no runtime or `at` is no moment, StoreError where the store can't be written.
    """
    kept_by = runtime or (classifier.runtime if isinstance(classifier, LlmClassifier) else None)
    if kept_by is None:
        raise ConfigError("there is no store to keep it in", where=classifier.name, fix="give `runtime`")
    made_at = "" if at is None else moment_text(at, name="at")
    _record(kept_by, "", {conversation.id: conversation}, Predictions([prediction]), classifier.task, made_at)


def _record(
    runtime: Runtime,
    run_id: str,
    conversations: Mapping[str, Conversation],
    predictions: Predictions,
    task: Task,
    made_at: str = "",
) -> None:
    """Stores predictions; the store first learns the names to look for in their quotes and rationales."""
    for conversation in conversations.values():
        runtime.store.learn(conversation)
    names = runtime.rules.reasons.fields
    runtime.store.add_predictions(run_id, with_fields(predictions, conversations, task, names), made_at=made_at)


def _finish(runtime: Runtime, run_id: str, predictions: Predictions, result: Mapping[str, Any] | None = None) -> None:
    """Marks a run with how it ended: `stopped` where a cap left items out. Why holds no words of a vendor."""
    errors = predictions.column("error")
    why = cap_reached(errors)
    if why:
        runtime.store.finish_run(run_id, "stopped", result=result, why=why)
        return
    kinds = Counter(error.kind for error in errors if error is not None)
    if errors and all(errors):
        why = f"every item failed: {', '.join(f'{kind} {count}' for kind, count in kinds.most_common())}"
    runtime.store.finish_run(run_id, "done", result=result, why=why)


def _predict(
    classifier: Classifier, conversations: Mapping[str, Conversation], items: Sequence[Item], on_done: OnDone | None
) -> Predictions:
    if isinstance(classifier, LlmClassifier):
        return classifier.predict(conversations, items, on_done)
    predictions = classifier.predict(conversations, items)
    _report(predictions, on_done)
    return predictions


def _report(predictions: Predictions, on_done: OnDone | None) -> None:
    """Tells of predictions that were made at once."""
    for prediction in predictions if on_done else ():
        on_done(prediction)  # type: ignore[misc]


__all__ = [
    "booked_on",
    "classify",
    "evaluate",
    "evaluate_classifier",
    "load_classifier",
    "plan_evaluation",
    "record",
    "sweep",
    "sweep_concurrency",
    "sweep_inputs",
    "train",
]
