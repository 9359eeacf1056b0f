"""The optimizers by name: what each takes, what it may cost, and how it runs."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmclf.config import OptimizationFile
from llmclf.errors import LlmclfError
from llmclf.optimization.batches import PositiveBatches
from llmclf.optimization.dspy_parts import MARK, load_dspy
from llmclf.optimization.engine import Reflection, lm_for
from llmclf.optimization.few_shot import ATTEMPTS, CANDIDATES, add_demonstrations, bootstrap, labeled_few_shot
from llmclf.optimization.named import compile_named, named_problems, setting_problems
from llmclf.optimization.program import Desk
from llmclf.optimization.reflection import Proposer
from llmclf.render import Prompt

ALIASES = {"LabeledFewShot": "labeled-few-shot", "BootstrapFewShot": "bootstrap", "GEPA": "gepa"}
"""dspy's names of those that we run in a way of our own."""
DEMONSTRATED = 3
"""Draws of demonstrations that the best instruction of `gepa` is tried with."""
_PROPOSALS, _ACCEPTED = 20, 6  # that the default of max_metric_calls has room for
_DEFAULTS: dict[str, dict[str, Any]] = {
    "labeled-few-shot": {"candidates": CANDIDATES["labeled-few-shot"]},
    "bootstrap": {"candidates": CANDIDATES["bootstrap"], "max_rounds": 1, "metric_threshold": 0.5},
    "gepa": {
        "auto": "light",
        "max_full_evals": 1,
        "max_metric_calls": 1,
        "reflection_minibatch_size": 4,
        "candidate_selection_strategy": "pareto",
        "skip_perfect_score": True,
        "perfect_score": 1.0,
    },
}
"""Settings of ours, each with a value of its type."""
_AUTO = {"light": 6, "medium": 12, "heavy": 18}
"""Settings of `auto` to the candidates that dspy's GEPA reckons with."""
_BUDGETS = ("auto", "max_full_evals", "max_metric_calls")
_COUNTS = ("candidates", "max_rounds", "max_full_evals", "max_metric_calls", "reflection_minibatch_size")


@dataclass(frozen=True, slots=True)
class Expected:
    """What a search asks for, the parent's validation among it; None where only the optimizer knows."""

    task_most: int | None
    """Answers of the student, all of them new."""
    reflection_most: int | None
    """Answers of the reflection model."""


def canonical(optimizer: str) -> str:
    """The name that we know an optimizer by: `GEPA` is `gepa`."""
    return ALIASES.get(optimizer, optimizer)


def check_optimizer(file: OptimizationFile, labels: int = 0) -> list[str]:
    """What keeps the file's optimizer from running, before any money: empty where nothing does.

    An unknown name (with the nearest), one that gives no single prompt, a package that is missing (with what to
    install), a reflection model that is needed and not given, settings that it has not. `labels` is how many labels
    the student has (0: not known yet): demonstrations must have room for each.
    """
    name = canonical(file.optimizer)
    problems = []
    if importlib.util.find_spec("dspy") is None:
        return ["dspy, which compiles prompts, is not installed: pip install dspy-ai"]
    if 0 < file.demonstrations < labels:
        problems.append(f"`demonstrations` must leave room for one of each of the {labels} labels, or be 0")
    if name not in _DEFAULTS:
        return problems + named_problems(file, sorted(_DEFAULTS))
    if name in CANDIDATES and not file.demonstrations:
        problems.append(f"{name} chooses demonstrations, and `demonstrations` is 0")
    takes = {
        key: inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=value)
        for key, value in _DEFAULTS[name].items()
    }
    problems += setting_problems(name, file.settings, takes)
    problems += [
        f"settings.{key} must be at least 1; got {file.settings[key]!r}"
        for key in _COUNTS
        if key in takes and _number(file, key, 1) < 1
    ]
    return problems + (_gepa_problems(file) if name == "gepa" else [])


def expected(file: OptimizationFile, train: int, validation: int, labels: int) -> Expected:
    """The most that a search asks for, from the sizes of the parts and the number of labels."""
    name = canonical(file.optimizer)
    if name not in _DEFAULTS:
        return Expected(None, None)
    count = _number(file, "candidates", CANDIDATES.get(name, 0))
    if name == "labeled-few-shot":
        return Expected((1 + count) * validation, 0)
    if name == "bootstrap":
        tried = min(train, ATTEMPTS * max(labels, file.demonstrations)) * _number(file, "max_rounds", 1)
        return Expected((1 + count) * validation + min(count * tried, train * tried), 0)
    calls = metric_calls(file, train, validation)
    shown = DEMONSTRATED * validation if file.demonstrations else 0
    batch = _batch(file)
    return Expected(calls + validation + 2 * batch + shown, max(1, (calls - validation) // (2 * batch) + 1))


def metric_calls(file: OptimizationFile, train: int, validation: int) -> int:
    """How many answers GEPA may ask for: the file's, else room for 20 proposals and 6 that are tried in full."""
    if "max_metric_calls" in file.settings:
        return _number(file, "max_metric_calls", 0)
    if "max_full_evals" in file.settings:
        return _number(file, "max_full_evals", 0) * (train + validation)
    if "auto" in file.settings:
        return int(load_dspy().dspy.GEPA.auto_budget(None, 1, _AUTO[str(file.settings["auto"])], validation))
    return (1 + _ACCEPTED) * validation + _PROPOSALS * 2 * _batch(file)


def compile_with(desk: Desk, reflection: Reflection | None, prompt: Prompt | None) -> None:
    """Runs the file's optimizer until it is done; what it tried is in the desk's book.

    `prompt` is what the reflection model is asked with by `gepa`. Raises Stopped where money ended, and LlmclfError
    where the optimizer itself broke.
    """
    file, dspy = desk.file, load_dspy().dspy
    lm = lm_for(reflection, f"optimizer {file.optimizer} asked for a reflection model, and the file has none")
    settings = {
        **{"lm": lm, "adapter": None, "callbacks": [], "trace": [], "track_usage": False, "disable_history": True},
        **{"max_errors": 10**9, "num_threads": file.concurrency, MARK: True},
    }
    try:
        with dspy.context(**settings):
            _run(canonical(file.optimizer), desk, lm, reflection, prompt)
    except LlmclfError:
        raise
    except Exception as error:
        raise LlmclfError(
            f"the optimizer ended by {type(error).__name__}", where=f"optimizer {file.optimizer}", got=str(error)[:200]
        ) from error


def _run(name: str, desk: Desk, lm: Any, reflection: Reflection | None, prompt: Prompt | None) -> None:
    settings: Mapping[str, Any] = desk.file.settings
    if name == "labeled-few-shot":
        labeled_few_shot(desk, settings)
    elif name == "bootstrap":
        bootstrap(desk, settings)
    elif name == "gepa" and reflection is not None and prompt is not None:
        _gepa(desk, reflection, prompt)
        add_demonstrations(desk, DEMONSTRATED)
    else:
        compile_named(desk, lm, settings)


def _gepa(desk: Desk, reflection: Reflection, prompt: Prompt) -> None:
    """dspy's GEPA with our metric, batches and proposer. Nothing is written but by our Runtime."""
    file, book = desk.file, desk.book
    train = book.parts.train
    own = {name: value for name, value in file.settings.items() if name not in (*_BUDGETS, "reflection_minibatch_size")}
    positive = [desk.student.instances[key].positive for key in train]
    batches = PositiveBatches(positive, size=_batch(file), positives=file.batch_positives, seed=file.seed)
    book.phase = "gepa"
    optimizer = load_dspy().dspy.GEPA(
        metric=desk.metric_with_feedback(),
        max_metric_calls=metric_calls(file, len(train), len(book.parts.validation)),
        **{"perfect_score": desk.good_score(), **own},
        reflection_minibatch_size=None,
        instruction_proposer=Proposer(reflection, prompt, desk.inputs[0]),
        use_merge=False,  # there is one instruction: nothing to merge
        num_threads=file.concurrency,
        seed=file.seed,
        gepa_kwargs={"batch_sampler": batches},
    )
    program = optimizer.compile(
        desk.program(), trainset=desk.examples(train), valset=desk.examples(book.parts.validation)
    )
    desk.try_program(program)


def _number(file: OptimizationFile, name: str, default: int) -> int:
    """A count in the file's settings; the default where it has none, or something else (which `check` tells)."""
    value = file.settings.get(name, default)
    return value if isinstance(value, int) else default


def _batch(file: OptimizationFile) -> int:
    """Items in each batch that the reflection model learns from: as many others as targets."""
    return _number(file, "reflection_minibatch_size", 2 * file.batch_positives)


def _gepa_problems(file: OptimizationFile) -> list[str]:
    problems = []
    if file.reflection is None:
        problems.append("gepa writes instructions with a reflection model: add [reflection]")
    several = [name for name in _BUDGETS if name in file.settings]
    if len(several) > 1:
        problems.append(f"give one of {', '.join(f'settings.{name}' for name in several)}: they say the same")
    if _batch(file) < file.batch_positives:
        problems.append("settings.reflection_minibatch_size must have room for `batch_positives`")
    if file.settings.get("auto", "light") not in _AUTO:
        problems.append("settings.auto must be light, medium or heavy")
    return problems
