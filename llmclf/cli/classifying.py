"""classify, train, evaluate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from llmclf.cli.common import (
    ClassifierArgument,
    JsonOption,
    MaxItemsOption,
    MaxUsdOption,
    PlanOption,
    SeedOption,
    StoreOption,
    progress,
    runtime,
    show,
    tell,
    workspace,
)
from llmclf.cli.ending import check_ending, counting
from llmclf.cli.spending import CacheOption, YesOption, confirm, show_plan


def classify(
    name: ClassifierArgument,
    file: Annotated[str, typer.Argument(help="A pasted chat, JSON messages, or JSONL; - reads stdin.")] = "-",
    speaker: Annotated[
        list[str] | None, typer.Option("--speaker", help="Who a name is, as NAME=bot (or user, human_agent, ...).")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write all predictions here, JSON Lines.")] = None,
    store: StoreOption = None,
    max_usd: MaxUsdOption = None,
    cache: CacheOption = "read-write",
    yes: YesOption = False,
    plan: PlanOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say which label each conversation has. Exit 2 where a cap ended it, 1 where every item failed."""
    from llmclf.classifiers.loading import load_classifier
    from llmclf.cli.views import predictions_view
    from llmclf.data.pasted import read_any
    from llmclf.sweeps.plan import plan_items
    from llmclf.workspace import verbs

    if file == "-" and sys.stdin.isatty():
        tell("Paste a chat (lines such as 'Customer: ...' and 'Bot: ...'), then end with Ctrl-D.")
    text = sys.stdin.read() if file == "-" else None
    conversations = read_any(text if text is not None else Path(file), speakers_of(speaker))
    with runtime(store, max_usd, cache=cache) as opened:
        classifier = load_classifier(name, runtime=opened)
        if plan:
            show_plan(plan_items(classifier, conversations, opened), as_json)
            return
        confirm(lambda: plan_items(classifier, conversations, opened), opened, yes, "classify")
        with progress(classifier.name, None) as update:
            done = [0]

            def count(_: object) -> None:
                done[0] += 1
                update(done[0])

            predictions = verbs.classify(conversations, classifier, runtime=opened, on_done=count)
        if out is not None:
            _write_lines(out, predictions)
        show(predictions_view(predictions, conversations, classifier.task), as_json)
    check_ending(predictions.column("error"))


def train(
    name: ClassifierArgument,
    dataset: Annotated[str, typer.Option("--dataset", help="A name from configs/datasets, or a path.")],
    as_json: JsonOption = False,
) -> None:
    """Train a probe on your labels; the same inputs give the same file."""
    from llmclf.data.loading import load_dataset
    from llmclf.workspace import verbs

    probe, path = verbs.train(name, load_dataset(dataset, workspace()), workspace=workspace())
    if as_json:
        show({"classifier_id": probe.id, "path": str(path)}, True)
        return
    tell(f"{probe.id} is in {path}")
    tell(f"next: llmclf evaluate {name} --dataset {dataset}   (by cross-validation: it has seen these labels)")


def evaluate(
    name: ClassifierArgument,
    dataset: Annotated[str, typer.Option("--dataset", help="A labelled dataset: a name, or a path.")],
    folds: Annotated[int, typer.Option(min=2, max=20, help="Folds for a probe, which is trained anew in each.")] = 5,
    hold_out: Annotated[
        list[str] | None,
        typer.Option("--hold-out", help="Never on both sides of a fold: group, or a name of metadata. Repeatable."),
    ] = None,
    max_items: MaxItemsOption = None,
    prevalence: Annotated[float, typer.Option(min=0, max=1, help="Production's share of the target.")] = 0.005,
    missed_usd: Annotated[float, typer.Option(min=0, help="Dollars of a missed target.")] = 40.0,
    false_alarm_usd: Annotated[float, typer.Option(min=0, help="Dollars of a false alarm, beyond its review.")] = 2.0,
    beta: Annotated[float, typer.Option(help="F-beta: how many times as important recall is.")] = 2.0,
    review_share: Annotated[
        float, typer.Option(max=1, help="Share of all items that people can review: recall among the top scores.")
    ] = 0.01,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            help="Slices too: failure_mode, label, length, source, stratum, a name of metadata (metadata.source where "
            "it is called as one of those), or all. Repeatable.",
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option("--require", help="A condition such as 'recall.low>=0.7'; exit 2 where it fails. Repeatable."),
    ] = None,
    repeats: Annotated[
        int,
        typer.Option(min=1, help="Ask a model so many times afresh, and show how steady it is. Costs as many times."),
    ] = 1,
    seed: SeedOption = 0,
    store: StoreOption = None,
    max_usd: MaxUsdOption = None,
    cache: CacheOption = "read-write",
    yes: YesOption = False,
    plan: PlanOption = False,
    as_json: JsonOption = False,
) -> None:
    """Measure a classifier against labels, with intervals. Exit 2 where a cap ended it, 1 where every item failed."""
    from llmclf.cli.requirements import check_requirements, failed_requirements
    from llmclf.data.loading import load_dataset
    from llmclf.evaluation.slicing import check_names
    from llmclf.types import Costs
    from llmclf.workspace import repeating, verbs

    check_requirements(require or [])
    labelled = load_dataset(dataset, workspace())
    names = None if "all" in (by or ()) else by
    check_names(labelled, names or ())
    costs = Costs(missed_usd=missed_usd, false_alarm_usd=false_alarm_usd, prevalence=prevalence)
    with runtime(store, max_usd, cache=cache) as opened:
        drawn: Any = {"runtime": opened, "max_items": max_items, "seed": seed}

        def planned() -> Any:
            if repeats > 1:
                return repeating.plan_repeats(name, labelled, repeats=repeats, **drawn)
            return verbs.plan_evaluation(name, labelled, **drawn)

        if plan:
            show_plan(planned(), as_json)
            return
        confirm(planned, opened, yes, "evaluate")
        with progress(name, repeats * (max_items or len(labelled))) as update:
            errors: list[Any] = []
            asked = drawn | {
                "costs": costs,
                "beta": beta,
                "review_share": review_share,
                "on_done": counting(errors, update),
            }
            asked["dataset_from"] = dataset
            made: dict[str, Any] = {}
            if repeats > 1:
                evaluation, run_id, made["repeats"] = repeating.evaluate_repeatedly(
                    name, labelled, repeats=repeats, **asked
                )
            else:
                evaluation, run_id = verbs.evaluate_classifier(
                    name, labelled, folds=folds, hold_out=tuple(hold_out or ("group",)), **asked
                )
        if not as_json:
            show(evaluation, False)  # what was paid for is seen, whatever comes of the rest
        made |= _parts_of(run_id, opened, dataset, names, sliced=bool(by))
    if as_json:
        show(evaluation.to_dict() | {part: one.to_dict() for part, one in made.items()}, True)
    else:
        for one in made.values():
            show(one, False)
    tell(f"run {run_id}")
    failed = failed_requirements(evaluation.to_dict(), require or [])
    for line in failed:
        tell(f"not met: {line}")
    check_ending(errors)
    if failed:
        raise typer.Exit(2)


def _parts_of(run_id: str, opened: Any, dataset: str, names: list[str] | None, *, sliced: bool) -> dict[str, Any]:
    """Slices and the annotators' ceiling of a run, where asked for and where there is something to say.

    One that can't be made is told of on stderr: the evaluation stands without it.
    """
    from llmclf.errors import LlmclfError
    from llmclf.evaluation import slices
    from llmclf.evaluation.annotators import annotator_ceiling, several_annotations
    from llmclf.workspace.run_results import run_result

    made: dict[str, Any] = {}
    part = "slices and annotators"
    try:
        result = run_result(run_id, opened, dataset=dataset)
        given = (result.predictions, result.dataset, result.task)
        part = "slices"
        if sliced:
            made[part] = slices(*given, names)
        part = "annotators"
        if not all(result.predictions.column("error")) and several_annotations(result.dataset, result.task):
            made[part] = annotator_ceiling(*given)
    except LlmclfError as error:
        tell(f"left out: {part}: {error}")
    return made


def speakers_of(given: list[str] | None) -> dict[str, Any]:
    """`NAME=SPEAKER` pairs as a mapping; ConfigError where one is none."""
    from llmclf.errors import ConfigError
    from llmclf.types import SPEAKERS

    pairs = {name: speaker for name, _, speaker in (pair.partition("=") for pair in given or ())}
    wrong = [name for name, speaker in pairs.items() if speaker not in SPEAKERS]
    if wrong:
        raise ConfigError("--speaker takes NAME=SPEAKER", got=given, fix=f"a speaker is one of {', '.join(SPEAKERS)}")
    return pairs


def _write_lines(path: Path, predictions: Any) -> None:
    import json

    from llmclf.cli.views import prediction_dict

    with path.open("w", encoding="utf-8") as file:
        for prediction in predictions:
            print(json.dumps(prediction_dict(prediction), ensure_ascii=False), file=file)
