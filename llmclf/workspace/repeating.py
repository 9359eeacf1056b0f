"""Evaluating the same classifier several times afresh: is a verdict the classifier's, or the day's?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmclf.classifiers.llm import LlmClassifier
from llmclf.classifiers.loading import make_classifier
from llmclf.config import LlmFile, files, load_task
from llmclf.data.loading import load_dataset
from llmclf.errors import ConfigError
from llmclf.evaluation import Evaluation
from llmclf.evaluation.repeats import Repeats, repeats as measure_repeats
from llmclf.llm.runtime import Runtime
from llmclf.sweeps import Plan, plan_items
from llmclf.sweeps.money import cap_reached
from llmclf.types import Costs, Dataset, Prediction, Predictions, content_hash
from llmclf.workspace.provenance import git_sha, versions
from llmclf.workspace.verbs import OnDone, booked_on, evaluate_classifier, is_simulated, labelled_items


def evaluate_repeatedly(
    name: str,
    dataset: Dataset,
    *,
    runtime: Runtime,
    repeats: int,
    costs: Costs = Costs(),
    max_items: int | None = None,
    seed: int = 0,
    on_done: OnDone | None = None,
    **figures: Any,
) -> tuple[Evaluation, str, Repeats]:
    """(evaluation of the first run, its run id, what all `repeats` runs say) of an llm classifier.

    Every repeat is a fresh answer, bought once: asked again, it comes from the store. The first is the answer that
    `evaluate_classifier` gives, and is recorded as its run; the calls of the others are booked on a run of kind
    `repeats`, which keeps the figures and no predictions. `figures` is whatever else `evaluate_classifier` takes.
    Raises ConfigError for fewer than two repeats and for classifiers that answer the same every time, before anything
    is sent.
    """
    classifier, file, labelled = _repeated(name, dataset, runtime, repeats, max_items, seed)
    first: list[Prediction] = []

    def keep(prediction: Prediction) -> None:
        first.append(prediction)
        if on_done:
            on_done(prediction)

    evaluation, evaluation_id = evaluate_classifier(
        name, dataset, runtime=runtime, costs=costs, max_items=max_items, seed=seed, on_done=keep, **figures
    )
    inputs = {"classifier": classifier.id, "dataset": labelled.content_hash, "repeats": repeats, "seed": seed}
    run_id = runtime.store.start_run(
        "repeats",
        inputs_hash=content_hash(inputs),
        config={
            "classifier": classifier.id,
            "dataset": labelled.name,
            "max_items": max_items,
            "repeats": repeats,
            "first": evaluation_id,
            "file": file.model_dump(mode="json"),
            "prompt_sha256": classifier.prompt.sha256,
        },
        dataset_hash=labelled.content_hash,
        seed=seed,
        git_sha=git_sha(runtime.workspace or Path()),
        versions=versions(),
        simulated=is_simulated(classifier),
    )
    items = [example.item for example in labelled.examples]
    with booked_on(runtime, run_id):
        runs = [Predictions(first)]
        for number in range(1, repeats):
            runs.append(classifier.predict(labelled.conversations, items, on_done, repeat=number))
        measured = measure_repeats(runs, labelled, classifier.task, costs=costs)
    why = cap_reached([error for one in runs for error in one.column("error")])
    runtime.store.finish_run(run_id, "stopped" if why else "done", result=_figures(measured), why=why or "")
    return evaluation, evaluation_id, measured


def plan_repeats(
    name: str, dataset: Dataset, *, runtime: Runtime, repeats: int, max_items: int | None = None, seed: int = 0
) -> Plan:
    """What `evaluate_repeatedly` would cost and send, with the same arguments: a cell for each run; nothing is sent."""
    classifier, _, labelled = _repeated(name, dataset, runtime, repeats, max_items, seed)
    conversations = list(labelled.conversations.values())
    items = [example.item for example in labelled.examples]
    plans = [plan_items(classifier, conversations, runtime, items, repeat=number) for number in range(repeats)]
    cells = [
        replace(cell, label=f"{cell.label}, run {number}")
        for number, plan in enumerate(plans, 1)
        for cell in plan.cells
    ]
    return replace(plans[0], cells=tuple(cells))


def _repeated(
    name: str, dataset: Dataset, runtime: Runtime, repeats: int, max_items: int | None, seed: int
) -> tuple[LlmClassifier, LlmFile, Dataset]:
    """(the classifier, ready to be asked; its file; the examples it is asked about)."""
    found = files.find("classifier", name, runtime.workspace)
    file = files.load("classifier", found.path)
    if repeats < 2:
        raise ConfigError("repeats are two runs at least", where="repeats", got=repeats)
    if not isinstance(file, LlmFile):
        raise ConfigError(
            f"repeats show nothing of a {file.kind} classifier: it answers the same every time",
            where=str(found.path),
            fix="leave --repeats out",
        )
    task = load_task(file.task, runtime.workspace)
    labelled = labelled_items(dataset, task, max_items, seed)
    classifier = make_classifier(found.name, file, task, runtime, runtime.workspace)
    assert isinstance(classifier, LlmClassifier)
    runtime.tell_simulator(labelled, task)
    if file.shots:
        classifier.fit(load_dataset(file.shots_from, runtime.workspace))
    return classifier, file, labelled


def _figures(measured: Repeats) -> Mapping[str, Any]:
    """What the run's record keeps: the figures, and no item's name."""
    return {name: value for name, value in measured.to_dict().items() if name != "changed"}
