"""Training a probe again: newest labels in, a candidate beside what runs, and the better one stays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llmclf.classifiers.loading import load_classifier, make_classifier, probe_weights
from llmclf.classifiers.probe import ProbeClassifier
from llmclf.config import ProbeFile, files, load_task
from llmclf.config.files import Found
from llmclf.data.files import atomic_writer
from llmclf.data.loading import load_dataset
from llmclf.errors import ConfigError
from llmclf.evaluation import Evaluation, evaluate
from llmclf.evaluation.comparison import Comparison, compare
from llmclf.llm.runtime import Runtime
from llmclf.render.tables import counted, usd_text
from llmclf.sweeps.run_card import came_from
from llmclf.types import Costs, Dataset, Estimate, Predictions, Task, content_hash
from llmclf.workspace.provenance import git_sha, versions
from llmclf.workspace.retraining_parts import Dealt, deal, dealt_again
from llmclf.workspace.retraining_result import NO_BETTER, Retraining, RetrainingPlan
from llmclf.workspace.run_results import LAST, find_run
from llmclf.workspace.verbs import booked_on, labelled_items

RUN_KIND = "retrain"


@dataclass(frozen=True)
class _Inputs:
    """What one training starts from."""

    found: Found
    file: ProbeFile
    task: Task
    labelled: Dataset
    dealt: Dealt
    running: ProbeClassifier | None
    path: Path
    """Where the weights are served from."""
    config: Mapping[str, Any]
    """What the run's row keeps: settings, names and parts, enough to train it again."""


def retrain_probe(
    found: Found, file: ProbeFile, *, runtime: Runtime, dataset: str, test_dataset: str, costs: Costs, seed: int
) -> Retraining:
    """Trains a candidate, compares it with the running weights on items it has not seen, and writes it if better.

    Where nothing runs yet the candidate is written unless it is shown to cost more than flagging nothing. Raises
    DataError where the labels are too few to train on.
    """
    inputs = _inputs(found, file, runtime, dataset, test_dataset, costs, seed)
    sha, task, test = git_sha(runtime.workspace or Path()), inputs.task, inputs.dealt.test
    card = {
        "inputs_hash": content_hash([inputs.config, inputs.labelled.content_hash, content_hash(task)]),
        "classifier": found.name,
        **came_from(inputs.labelled, task, git_sha=sha, versions=versions()),
        "config_sha256": content_hash(inputs.config),
        "seed": seed,
        "settings": file.model_dump(mode="json"),
        "parts": {"sha256": inputs.dealt.sha256, **inputs.dealt.counts(task), "seen": inputs.dealt.seen},
        "prices": {},
        "running": inputs.running.learned if inputs.running else "",
    }
    looks = tuple(_looks(inputs, runtime)) if inputs.running else ()
    run_id = runtime.store.start_run(
        RUN_KIND,
        inputs_hash=card["inputs_hash"],
        config=inputs.config,
        dataset_hash=inputs.labelled.content_hash,
        seed=seed,
        git_sha=sha,
        versions=versions(),
    )
    with booked_on(runtime, run_id):
        candidate = _trained(found, file, task, inputs.dealt)
        card["weights"] = candidate.learned
        said = _predicted(candidate, test)
        comparison = evaluation = None
        if inputs.running is None:
            evaluation = evaluate(said, test, task, costs=costs)
        else:
            comparison = compare(
                _predicted(inputs.running, test), said, test, task, costs=costs, names=("what runs", "the candidate")
            )
        verdict, sentence = _judged(comparison, evaluation)
        written = _accepted(candidate, inputs.path, sha) if verdict in ("first", "better") else {}
        result = Retraining(
            found.name,
            verdict,
            sentence,
            comparison,
            evaluation,
            card,
            written,
            (*_notes(inputs, written), *looks),
            run_id,
        )
    runtime.store.finish_run(run_id, "done", result=_kept(result))
    return result


def plan_probe(
    found: Found, file: ProbeFile, *, runtime: Runtime, dataset: str, test_dataset: str, seed: int
) -> RetrainingPlan:
    """The parts that `retrain_probe` would train and test on; nothing is trained or written."""
    inputs = _inputs(found, file, runtime, dataset, test_dataset, Costs(), seed)
    return RetrainingPlan(found.name, inputs.labelled.name, inputs.dealt.counts(inputs.task), tuple(_notes(inputs, {})))


def reproduce(found: Found, run: str, *, runtime: Runtime) -> Retraining:
    """Trains the candidate of a run of `retrain` again, from its run card; writes neither file nor run.

    `reproduced` where the weights have the same digest. Otherwise, and also then, the notes name every input that is
    not what it was. `last` is the newest such run of the classifier. ConfigError where the run is of another kind or
    classifier, or did not finish.
    """
    row = _newest(found.name, runtime) if run == LAST else find_run(runtime.store, run)
    config, card = row["config"], (row["result"] or {}).get("run_card")
    if row["kind"] != RUN_KIND or config.get("classifier") != found.name or not card:
        raise ConfigError(
            f"this is no finished run of `llmclf retrain {found.name}` that trained a probe",
            where=f"run {row['run_id']}",
            got=f"kind {row['kind']}, {config.get('classifier', '')}, {row['state']}",
            fix="llmclf runs list names kinds and classifiers",
        )
    file = ProbeFile.model_validate_json(json.dumps(config["file"]))
    task = load_task(file.task, runtime.workspace)
    labelled = labelled_items(load_dataset(config["dataset"], runtime.workspace), task, None, 0)
    test = load_dataset(config["test_dataset"], runtime.workspace) if config["test_dataset"] else None
    dealt = dealt_again(labelled, config["parts"], seed=config["seed"], test=test)
    now = came_from(labelled, task, git_sha=git_sha(runtime.workspace or Path()), versions=versions())
    differs = list(_differences(card, now, dealt))
    weights = _trained(found, file, task, dealt).learned
    same = weights == card["weights"]
    sentence = f"Reproduced: the same digest, {weights[:12]}."
    if not same:
        sentence = f"Not reproduced: the digest is {weights[:12]}, and was {card['weights'][:12]}."
        differs = differs or ["No input is known to differ: it may be the processor, or its numerical library."]
    verdict = "reproduced" if same else "not reproduced"
    again = {**card, **now, "weights": weights}
    return Retraining(found.name, verdict, sentence, None, None, again, {}, tuple(differs), row["run_id"])


def _newest(classifier: str, runtime: Runtime) -> dict[str, Any]:
    for row in runtime.store.runs(kind=RUN_KIND, limit=100_000):
        if row["config"].get("classifier") == classifier and row["result"]:
            return row
    raise ConfigError(
        f"no run of `llmclf retrain {classifier}` has finished yet",
        where="--card last",
        fix=f"llmclf retrain {classifier} --dataset NAME",
    )


def _inputs(
    found: Found, file: ProbeFile, runtime: Runtime, dataset: str, test_dataset: str, costs: Costs, seed: int
) -> _Inputs:
    folder = runtime.workspace
    task = load_task(file.task, folder)
    labelled = labelled_items(load_dataset(dataset, folder), task, None, seed)
    test = labelled_items(load_dataset(test_dataset, folder), task, None, seed) if test_dataset else None
    path = probe_weights(found.name, file, folder)
    running = load_classifier(str(found.path), runtime=runtime) if path.is_file() else None
    assert running is None or isinstance(running, ProbeClassifier)
    dealt = deal(labelled, task, seed=seed, seen=_seen(running), test=test)
    config = {
        "classifier": found.name,
        "dataset": _source(dataset, folder),
        "test_dataset": _source(test_dataset, folder),
        "seed": seed,
        "costs": asdict(costs),
        "file": file.model_dump(mode="json"),
        "parts": dealt.hashes,
    }
    return _Inputs(found, file, task, labelled, dealt, running, path, config)


def _source(dataset: str, folder: Path | None) -> str:
    """A dataset's name, or its whole path: it is opened again by that."""
    return str(files.find("dataset", dataset, folder).path.resolve()) if dataset.endswith(".toml") else dataset


def _seen(running: ProbeClassifier | None) -> frozenset[str] | None:
    """What the running weights learned from; None where their file is older than that is kept."""
    if running is None:
        return frozenset()
    assert running.model_ is not None
    return frozenset(running.model_.origin.learned_from) or None


def _trained(found: Found, file: ProbeFile, task: Task, dealt: Dealt) -> ProbeClassifier:
    probe = make_classifier(found.name, file, task)
    assert isinstance(probe, ProbeClassifier)
    return probe.fit(dealt.train)


def _predicted(probe: ProbeClassifier, test: Dataset) -> Predictions:
    return probe.predict(test.conversations, [example.item for example in test.examples])


def _accepted(candidate: ProbeClassifier, path: Path, sha: str) -> dict[str, str]:
    """Writes the weights, each file whole or not at all; what ran until now is kept beside them."""
    written = {"weights": str(path)}
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file():
        previous = path.with_name(f"{path.stem}.previous{path.suffix}")
        with atomic_writer(previous) as file:
            file.write(path.read_bytes())
        written["previous"] = str(previous)
    candidate.save(path, git_sha=sha)
    return written


def _judged(comparison: Comparison | None, evaluation: Evaluation | None) -> tuple[str, str]:
    """(verdict, the sentence that says it): against what runs; of first weights, against flagging nothing."""
    if comparison is not None:
        return comparison.verdict, {
            "better": "The candidate is better, and runs from now on.",
            "worse": "What runs stays: the candidate is worse.",
            "not decided": "What runs stays: the candidate is not shown to be better.",
        }[comparison.verdict]
    assert evaluation is not None
    usd, nothing = evaluation.dollars_per_1000, evaluation.costs.flag_nothing_usd
    nothings = f"flagging nothing: {usd_text(nothing)} per 1,000"
    if usd.low is not None and usd.low > nothing:
        return NO_BETTER, (
            f"Nothing was written: the first weights cost {_dollars(usd)}, which is more than {nothings}. More labels, "
            "or the prices of your errors (--missed-usd, --false-alarm-usd, --prevalence), may change that. "
            "`llmclf train` writes weights whatever they are worth, and `llmclf threshold` finds the cut that pays."
        )
    if usd.high is not None and usd.high < nothing:
        return "first", f"The first weights run from now on. They cost {_dollars(usd)}, less than {nothings}."
    return "first", (
        f"The first weights run from now on, but are not shown to be better than {nothings}. They cost {_dollars(usd)}."
    )


def _dollars(usd: Estimate) -> str:
    if usd.low is None or usd.high is None:
        return "what can't be told"
    between = f"{usd_text(usd.low)} to {usd_text(usd.high)}"
    return between if usd.value is None else f"{usd_text(usd.value)} ({between})"


def _notes(inputs: _Inputs, written: Mapping[str, str]) -> Iterator[str]:
    """What must be known of the parts, and what is stale now."""
    dealt, test = inputs.dealt, counted(len(inputs.dealt.test), "test item")
    if dealt.seen is None:
        yield (
            f"The running weights don't say what they learned from (an older llmclf wrote them): they may have seen "
            f"any of {test}, which flatters them, not the candidate."
        )
    elif dealt.seen:
        yield (
            f"The running weights learned from {dealt.seen:,} of {test}, or from nearly the same: "
            "the comparison flatters them, not the candidate."
        )
    elif inputs.running is not None:
        yield f"Neither the running weights nor the candidate learned from any of {test}."
    if dealt.left_out:
        yield f"{counted(dealt.left_out, 'item')} not learned from: nearly the same as a test item, or of its group."
    if written and inputs.file.threshold_from is not None:
        name = inputs.found.name
        yield (
            "The threshold was chosen by the scores of other weights: llmclf evaluate "
            f"{name} --dataset {inputs.labelled.name}, then llmclf threshold set {name} --from last"
        )


def _looks(inputs: _Inputs, runtime: Runtime) -> Iterator[str]:
    """How often a candidate was held against what runs on this very test before."""
    tested = inputs.config["parts"]["test"]
    rows = [row for row in runtime.store.runs(kind=RUN_KIND, limit=100_000) if row["config"].get("parts")]
    before = sum(
        row["config"]["parts"]["test"] == tested and (row["result"] or {}).get("comparison") is not None for row in rows
    )
    if before:
        yield (
            f"{counted(before, 'retraining')} before this one compared on the same test: one that is tried often "
            "enough looks better by chance. Retrain when there are new labels."
        )


def _kept(result: Retraining) -> dict[str, Any]:
    """What the run's record keeps: the figures, and no item's name."""
    row = result.to_dict()
    if row["comparison"] is not None:
        row["comparison"] = {key: value for key, value in row["comparison"].items() if key not in _NAMES_OF_ITEMS}
    return row


_NAMES_OF_ITEMS = ("gains", "losses", "failures")


def _differences(card: Mapping[str, Any], now: Mapping[str, Any], dealt: Dealt) -> Iterator[str]:
    """Every input of a run card that is not what it was."""
    for what in ("dataset", "task"):
        was, found = card[what]["sha256"], now[what]["sha256"]
        if was != found:
            yield f"The {what} {card[what]['name']} changed: {found[:12]}, and was {was[:12]}."
    for name, part in (("train", dealt.train), ("test", dealt.test)):
        if missing := card["parts"][name]["items"] - len(part):
            yield f"{abs(missing):,} {'fewer' if missing > 0 else 'more'} {name} items than then."
    was, found = card["versions"], now["versions"]
    for name in sorted({*was, *found}):
        if was.get(name) != found.get(name):
            yield f"{name} is {found.get(name, 'not installed')}, and was {was.get(name, 'not installed')}."
    if card["git"] != now["git"]:
        yield f"The commit is {_commit(now['git'])}, and was {_commit(card['git'])}."
    if card["machine"] != now["machine"]:
        yield "The machine is another: " + ", ".join(
            f"{name} {value}, was {card['machine'].get(name)}"
            for name, value in now["machine"].items()
            if value != card["machine"].get(name)
        )


def _commit(git: Mapping[str, Any] | None) -> str:
    return f"{git['sha'][:12]}{' with uncommitted changes' if git['dirty'] else ''}" if git else "not known"


__all__ = ["RUN_KIND", "plan_probe", "reproduce", "retrain_probe"]
