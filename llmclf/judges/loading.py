"""From a judge file to a judge that can be asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmclf.config import files, load_models
from llmclf.config.judge_schemas import JudgeFile, LlmJudgeFile, PanelFile, RecordedFile
from llmclf.errors import ConfigError
from llmclf.judges.base import Judge
from llmclf.judges.llm import LlmJudge
from llmclf.judges.panel import PanelJudge
from llmclf.judges.recorded import RecordedJudge
from llmclf.llm.model import Model
from llmclf.llm.runtime import Runtime
from llmclf.render import Window, load_prompt
from llmclf.types import Label, Rubric, Rule

_DECIDES_NOTHING = {"price", "input_usd_per_million", "output_usd_per_million", "key_env", "note"}
"""Fields of a row in models.toml that don't change what a model says: what it costs, who pays, what to know of it."""


def load_judge(name: str, *, runtime: Runtime | None = None, workspace: str | Path | None = None) -> Judge:
    """The judge `name` (judges/NAME.toml, or a path), ready to be asked.

    `runtime` is what models are called through; without one it gets its own, in memory, under the workspace's cap.
    ConfigError lists every mistake of its file; a missing key or cap is an error of the first call.
    """
    folder = Path(workspace) if workspace is not None else (runtime.workspace if runtime else None)
    found = files.find("judge", name, folder)
    file: JudgeFile = files.load("judge", found.path)
    return make_judge(found.name, file, runtime or Runtime(workspace=folder), folder)


def make_judge(name: str, file: JudgeFile, runtime: Runtime, workspace: Path | None = None) -> Judge:
    """A judge with the settings of `file`; ConfigError where a prompt or a member is missing or does not fit."""
    if isinstance(file, PanelFile):
        members = [_member(name, member, runtime, workspace) for member in file.judges]
        return PanelJudge(name, members, runtime=runtime, bar=file.as_bar)
    if isinstance(file, RecordedFile):
        return RecordedJudge(rubric_of(name, file), runtime=runtime, bar=file.as_bar)
    return LlmJudge(
        rubric_of(name, file),
        prompt=load_prompt(file.prompt, workspace),
        model=Model(file.model, file.thinking, file.temperature, file.max_output_tokens),
        runtime=runtime,
        bar=file.as_bar,
        window=Window(last_turns=file.last_turns, first_turns=file.first_turns),
        model_settings=_model_settings(file.model, workspace),
    )


def rubric_of(name: str, file: LlmJudgeFile | RecordedFile) -> Rubric:
    """The rubric that a judge file states."""
    verdicts = tuple(
        Label(verdict, table.role, table.definition, tuple(Rule(*rule) for rule in table.rules.items()))
        for verdict, table in file.verdicts.items()
    )
    context = file.context if isinstance(file, LlmJudgeFile) else "whole"
    return Rubric(name, file.question, verdicts, file.scale, file.sees, context)


def _member(panel: str, name: str, runtime: Runtime, workspace: Path | None) -> Judge:
    found = files.find("judge", name, workspace)
    file: JudgeFile = files.load("judge", found.path)
    if isinstance(file, PanelFile):
        raise ConfigError("a panel can't be a member of a panel", where=f"panel {panel}", got=name)
    return make_judge(found.name, file, runtime, workspace)


def _model_settings(model: str, workspace: Path | None) -> Mapping[str, Any]:
    """What models.toml says of a model that decides its answers; empty for a name that leads to a vendor directly."""
    row = load_models(workspace).get(model)
    if row is None:
        return {}
    # without what only repeats a default, so that a new field of a later version changes no fingerprint
    said: dict[str, Any] = row.model_dump(mode="json", exclude=_DECIDES_NOTHING, exclude_defaults=True)
    return said
