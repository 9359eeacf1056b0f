"""Optimizers of dspy by their own names: what they take, what they need, and which can't give one prompt."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Mapping
from typing import Any

from llmclf.config import OptimizationFile
from llmclf.errors import nearest
from llmclf.optimization.dspy_parts import load_dspy
from llmclf.optimization.program import Desk

REFUSED: dict[str, str] = {
    "KNNFewShot": "it chooses other demonstrations for each item, so that there is no one prompt",
    "Ensemble": "it makes several programs that vote, not one prompt",
    "BootstrapFinetune": "it trains a model's weights, not a prompt",
    "GRPO": "it trains a model's weights, not a prompt",
    "BetterTogether": "it trains a model's weights, not a prompt alone",
    "AvatarOptimizer": "it optimizes agents with tools, not a prompt",
    "Teleprompter": "it is what all optimizers derive from",
}
EXTRAS: dict[str, tuple[str, str]] = {
    "MIPROv2": ("optuna", "optimize"),
    "BootstrapFewShotWithOptuna": ("optuna", "optimize"),
}
"""Optimizer to (the package it needs beyond dspy, the extra of ours that has it)."""
_OURS = frozenset(
    {"self", "metric", "prompt_model", "task_model", "reflection_lm", "teacher_settings", "teacher", "num_threads"}
    | {"max_errors", "seed", "log_dir", "student", "trainset", "valset", "eval_kwargs", "restrict"}
    | {"requires_permission_to_run", "provide_traceback", "use_wandb", "use_mlflow"}
)
"""Keywords that are filled, or left alone, by us: not settings."""
_COUNTS = frozenset({"num_candidates", "num_trials"})
_TRIED = 4  # programs of those that an optimizer ranks itself which are tried on the validation part


def optimizer_class(name: str) -> Any | None:
    """The optimizer in dspy.teleprompt, or None where it has none of that name."""
    parts = load_dspy().teleprompt
    found = getattr(parts, name, None)
    return found if isinstance(found, type) and issubclass(found, parts.Teleprompter) else None


def names_in_dspy() -> list[str]:
    """Those that can be given by their own name."""
    parts = load_dspy().teleprompt
    return sorted(name for name in dir(parts) if optimizer_class(name) is not None and name not in REFUSED)


def named_problems(file: OptimizationFile, known: list[str]) -> list[str]:
    """What keeps an optimizer of dspy from being used with the file's settings; `known` are names of ours."""
    name = file.optimizer
    if name in REFUSED:
        return [f"optimizer {name} can't be used: {REFUSED[name]}"]
    found = optimizer_class(name)
    if found is None:
        return [f"unknown optimizer {name!r}; {nearest(name, [*known, *names_in_dspy()])}"]
    problems = []
    package, extra = EXTRAS.get(name, ("", ""))
    if package and importlib.util.find_spec(package) is None:
        problems.append(f"optimizer {name} needs the package {package}: pip install 'llmclf[{extra}]'")
    if needs_reflection(name) and file.reflection is None:
        problems.append(f"optimizer {name} writes instructions with a reflection model: add [reflection]")
    takes = settings_of(found)
    problems += setting_problems(name, file.settings, takes)
    given = {*file.settings, *_defaults(file, 1, 1)}
    for parameter in takes.values():
        if parameter.default is inspect.Parameter.empty and parameter.name not in given:
            problems.append(f"optimizer {name} needs settings.{parameter.name}")
    if name == "MIPROv2" and not problems:
        problems += _counts_problems(file.settings)
    return problems


def needs_reflection(name: str) -> bool:
    """True where an optimizer of dspy asks a model for instructions."""
    found = optimizer_class(name)
    return found is not None and (
        name == "InferRules" or bool({"prompt_model", "reflection_lm"} & set(_made_by(found)))
    )


def settings_of(found: Any) -> dict[str, inspect.Parameter]:
    """The keywords of an optimizer's constructor and compile that a file may set."""
    return {name: one for name, one in {**_compiled_by(found), **_made_by(found)}.items() if name not in _OURS}


def setting_problems(where: str, settings: Mapping[str, Any], takes: Mapping[str, inspect.Parameter]) -> list[str]:
    """Settings that an optimizer has not, and those that are of another type than its default."""
    problems = []
    for name, value in settings.items():
        if name not in takes:
            hint = "llmclf sets it itself" if name in _OURS else nearest(name, sorted(takes)) or "it has no settings"
            problems.append(f"settings.{name} is not a setting of {where}; {hint}")
        elif not _fits(value, takes[name].default):
            kind = type(takes[name].default).__name__
            problems.append(f"settings.{name} must be of type {kind}, as its default is; got {value!r}")
    return problems


def compile_named(desk: Desk, lm: Any, settings: Mapping[str, Any]) -> None:
    """Runs an optimizer of dspy, then tries what it made, and what it ranked next, on the validation part."""
    file = desk.file
    found = optimizer_class(file.optimizer)
    train, validation = desk.examples(desk.book.parts.train), desk.examples(desk.book.parts.validation)
    values = {
        "metric": desk.metric(),
        **dict.fromkeys(("prompt_model", "task_model", "reflection_lm"), lm),
        **{"num_threads": file.concurrency, "max_errors": 10**9, "seed": file.seed},
        **{"trainset": train, "valset": validation, "program_aware_proposer": False},
        "eval_kwargs": {"num_threads": file.concurrency, "display_progress": False},
        **_defaults(file, len(train), len(validation)),
        **({"auto": None} if set(settings) >= _COUNTS else {}),
        **settings,
    }
    making, compiling = _made_by(found), _compiled_by(found)
    desk.book.phase = file.optimizer
    optimizer = found(**{name: value for name, value in values.items() if name in making})  # type: ignore[misc]
    left = {name: value for name, value in values.items() if name in compiling and name not in making}
    program = optimizer.compile(desk.program(), **left)
    ranked = [one["program"] for one in getattr(program, "candidate_programs", ())][:_TRIED]
    for each in [program, *ranked]:
        desk.try_program(each)


def _defaults(file: OptimizationFile, train: int, validation: int) -> dict[str, Any]:
    """What the file says in words of its own, for those keywords that an optimizer has."""
    most = file.demonstrations
    return {
        "max_bootstrapped_demos": min(4, most),
        "max_labeled_demos": most,
        "max_demos": min(4, most),
        "bsize": min(32, train),
        "minibatch_size": min(35, validation),
    }


def _made_by(found: Any) -> dict[str, inspect.Parameter]:
    """Keywords of the constructor; where it passes on what it does not know, those of its parents' too."""
    taken: dict[str, inspect.Parameter] = {}
    for each in found.__mro__:
        if "__init__" not in vars(each) or each is object:
            continue
        own = inspect.signature(each.__init__).parameters
        taken = {**_keywords(own), **taken}
        if not any(one.kind is inspect.Parameter.VAR_KEYWORD for one in own.values()):
            break
    return taken


def _compiled_by(found: Any) -> dict[str, inspect.Parameter]:
    return {name: one for name, one in _keywords(inspect.signature(found.compile).parameters).items() if name != "self"}


def _keywords(parameters: Mapping[str, inspect.Parameter]) -> dict[str, inspect.Parameter]:
    several = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {name: one for name, one in parameters.items() if one.kind not in several}


def _fits(value: object, default: object) -> bool:
    if default is None or default is inspect.Parameter.empty or value is None:
        return True
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    return isinstance(value, int | float) if isinstance(default, float) else isinstance(value, type(default))


def _counts_problems(settings: Mapping[str, Any]) -> list[str]:
    """MIPROv2 takes its counts from `auto`, or both from the file."""
    given = sorted(_COUNTS & set(settings))
    if given and ("auto" in settings or len(given) < len(_COUNTS)):
        return ["MIPROv2 takes settings.num_candidates and settings.num_trials together, and then no settings.auto"]
    return []
