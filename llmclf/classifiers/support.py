"""What an llm classifier's settings want, held against its model, this machine and the workspace's rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from llmclf.classifiers.wording import AnswerForm
from llmclf.config import Modality
from llmclf.errors import ConfigError, MissingPieceError
from llmclf.llm.model import Model
from llmclf.llm.runtime import Runtime
from llmclf.media.deriving import engine_id, missing_pieces
from llmclf.types import Task

ScoreFrom = Literal["logprob", "samples", "verbalized"]
_SAMPLING_TEMPERATURE = 1.0  # what vendors take by default; at 0 fresh answers would be one answer


def check_scoring(answer: AnswerForm, method: ScoreFrom | None, samples: int, where: str) -> None:
    """Raises ConfigError where a score can't come from `method` with this form and number of answers."""
    if samples < 1 or (method == "samples" and samples < 2):
        raise ConfigError("samples must be at least 1, and 2 for score_method 'samples'", where=where, got=samples)
    form: dict[str, AnswerForm] = {"logprob": "label", "verbalized": "explained"}
    if method in form and (answer != form[method] or samples > 1):
        raise ConfigError(f"score_method {method!r} needs answer = {form[method]!r} and samples = 1", where=where)


def sampling_model(model: Model, samples: int, runtime: Runtime) -> Model:
    """The model; for several samples at a temperature that lets them differ, where it takes one."""
    if samples == 1 or model.temperature is not None:
        return model
    warm = replace(model, temperature=_SAMPLING_TEMPERATURE)
    return model if runtime.route(model.id).unsupported(warm) else warm


def language_of(task: Task) -> str:
    """The two letters that recognition knows the task's language by."""
    return task.language.partition("-")[0].lower()


def engine_of(modality: Modality, task: Task) -> str:
    """What recognises words for a modality; empty where nothing has to, `none` where nothing is there."""
    if not modality.endswith(">text"):
        return ""
    try:
        return engine_id(modality, language_of(task))
    except (ConfigError, MissingPieceError):
        return "none"


def beyond_the_model(
    model: Model, task: Task, modality: Modality, score_method: ScoreFrom | None, runtime: Runtime
) -> list[str]:
    """What can't be honoured of a modality and a score method, one sentence each; nothing is sent."""
    if modality == "text" and score_method != "logprob":
        return []
    route = runtime.route(model.id)
    takes, found = route.capabilities(), list[str]()
    if modality.endswith(">text"):
        found += missing_pieces(modality, language_of(task))
    if modality in ("image", "audio"):
        if modality not in takes.modalities:
            found.append(f"{model.id} does not take {modality}; it takes {', '.join(takes.modalities)}")
        if route.leaves_machine and not runtime.rules.privacy.send_media:
            found.append(
                f"modality {modality!r} sends recordings or pictures, in which nothing can be replaced, to {model.id}; "
                "the workspace allows that with send_media = true under [privacy] in llmclf.toml"
            )
    if score_method == "logprob" and not takes.logprobs:
        found.append(f"{model.id} gives no log-probabilities, and score_method is 'logprob'")
    return found
