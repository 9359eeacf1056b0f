"""From a classifier file to a classifier that can be asked."""

from __future__ import annotations

from pathlib import Path

from llmclf.classifiers.base import Classifier
from llmclf.classifiers.keyword import KeywordClassifier, KeywordRule
from llmclf.classifiers.llm import LlmClassifier
from llmclf.classifiers.probe import ProbeClassifier
from llmclf.config import KeywordFile, LlmFile, ProbeFile, files, load_task
from llmclf.errors import ConfigError
from llmclf.llm.model import Model
from llmclf.llm.runtime import Runtime
from llmclf.render import Window, load_prompt
from llmclf.stats.thresholds import ScoreScaling
from llmclf.types import Dataset, Task


def load_classifier(
    name: str, *, runtime: Runtime | None = None, workspace: str | Path | None = None, shots: Dataset | None = None
) -> Classifier:
    """The classifier `name` (configs/classifiers/NAME.toml, or a path), ready to be asked.

    `runtime` is what an llm classifier calls models through; without one it gets its own, in memory,
    under the workspace's cap. The library that calls a vendor's model is imported here, which takes
    seconds once in a process, so that the first call need not wait for it. A missing key or cap is an
    error of the first call: without them a classifier can still be loaded and its stored answers read.

    `shots` is the dataset its examples come from, where it shows any. A probe brings its trained
    weights; ConfigError where they are missing or of another task.
    """
    folder = Path(workspace) if workspace is not None else (runtime.workspace if runtime else None)
    found = files.find("classifier", name, folder)
    file: KeywordFile | ProbeFile | LlmFile = files.load("classifier", found.path)
    task = load_task(file.task, folder)
    if isinstance(file, ProbeFile):
        return ProbeClassifier.load(
            _weights(found.name, file, folder, found.path), task=task, threshold=file.threshold, name=found.name
        )
    made = make_classifier(found.name, file, task, runtime or _own_runtime(file, folder), folder)
    if isinstance(made, LlmClassifier):
        made.runtime.route(made.model.id).load()
    if isinstance(made, LlmClassifier) and made.shots:
        if shots is None:
            raise ConfigError(
                "the classifier shows examples",
                where=found.name,
                fix=f"pass shots=load_dataset({file.shots_from!r})",  # type: ignore[union-attr]
            )
        made.fit(shots)
    return made


def make_classifier(
    name: str,
    file: KeywordFile | ProbeFile | LlmFile,
    task: Task,
    runtime: Runtime | None = None,
    workspace: Path | None = None,
) -> Classifier:
    """A classifier with the settings of `file` and nothing learned yet.

    A scaling of scores in the file is used only while all that decides scores is as it was when it was fitted.
    """
    if isinstance(file, KeywordFile):
        for rule in file.rules:
            task.check_label(rule.label)
        rules = tuple(KeywordRule(**rule.model_dump()) for rule in file.rules)
        return KeywordClassifier(task, rules, name=name, threshold=file.threshold)
    if isinstance(file, ProbeFile):
        return ProbeClassifier(
            task,
            features=file.features,
            regularization=file.regularization,
            learn_from=file.learn_from,
            seed=file.seed,
            name=name,
            threshold=file.threshold,
        )
    if runtime is None:
        raise ConfigError("an llm classifier needs a runtime", where=name, fix="pass runtime=llmclf.Runtime(...)")
    asker = LlmClassifier(
        task,
        prompt=load_prompt(file.prompt, workspace),
        model=Model(file.model, file.thinking, file.temperature, file.max_output_tokens),
        runtime=runtime,
        answer=file.answer,
        window=Window(last_turns=file.last_turns, first_turns=file.first_turns),
        chunk_turns=file.chunk_turns,
        chunk_overlap=file.chunk_overlap,
        modality=file.modality,
        score_method=file.score_method,
        samples=file.samples,
        repair=file.repair,
        shots=file.shots,
        seed=file.seed,
        name=name,
        threshold=file.threshold,
    )
    origin = file.threshold_from
    if origin and origin.scaling and origin.configuration == asker.configuration:
        asker.scaling = ScoreScaling(**origin.scaling.model_dump())
    return asker


def probe_weights(name: str, file: ProbeFile, workspace: Path | None) -> Path:
    """Where a probe's learned values are kept: `weights` of its file, or `.llmclf/probes/NAME.npz`."""
    base = workspace or Path()
    return base / (file.weights or f".llmclf/probes/{name.replace('/', '-')}.npz")


def _weights(name: str, file: ProbeFile, workspace: Path | None, source: Path) -> Path:
    path = probe_weights(name, file, workspace)
    if not path.is_file():
        raise ConfigError(
            "the probe is not trained yet",
            where=str(source),
            got=f"no {path}",
            fix=f"llmclf train {name} --dataset NAME",
        )
    return path


def _own_runtime(file: KeywordFile | LlmFile, workspace: Path | None) -> Runtime | None:
    return Runtime(workspace=workspace) if isinstance(file, LlmFile) else None
