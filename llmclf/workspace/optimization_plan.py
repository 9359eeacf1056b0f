"""What an optimization would do and cost, before it does or costs anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmclf.llm.runtime import Runtime
from llmclf.optimization.classifier_student import ClassifierStudent
from llmclf.optimization.optimizers import expected
from llmclf.render.tables import Shown, TableText, counted, usd_text
from llmclf.sweeps.money import CapLeft, caps_left
from llmclf.sweeps.plan import plan_items
from llmclf.sweeps.planned import Span, scaled
from llmclf.workspace.optimization_inputs import OptimizationInputs, optimization_inputs
from llmclf.workspace.optimization_money import left_of


@dataclass(frozen=True)
class OptimizationPlan(Shown):
    """Calls, dollars and minutes of an optimization as ranges; nothing was sent to make it."""

    name: str
    items: dict[str, int]
    """Part to items."""
    task_calls: tuple[int, int | None]
    """Least (the parent alone) and most; None where only the optimizer knows. The store's answers count as calls."""
    reflection_calls: int | None
    """At most; None: only the optimizer knows."""
    task_usd: Span
    reflection_usd: Span
    minutes: Span
    leaving: dict[str, str]
    """Model to what it would be sent."""
    caps: tuple[CapLeft, ...]
    missing_keys: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    simulated: bool = False

    @property
    def usd(self) -> Span:
        """Dollars for both models."""
        return self.task_usd.plus(self.reflection_usd)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        return {
            "optimization": self.name,
            "items": self.items,
            "task_calls": list(self.task_calls),
            "reflection_calls": self.reflection_calls,
            "usd": list(self.usd),
            "task_usd": list(self.task_usd),
            "reflection_usd": list(self.reflection_usd),
            "minutes": list(self.minutes),
            "leaving": self.leaving,
            "caps": [cap._asdict() for cap in self.caps],
            "missing_keys": list(self.missing_keys),
            "problems": list(self.problems),
            "notes": list(self.notes),
            "simulated": self.simulated,
        }

    def _table(self) -> TableText:
        low, high = self.task_calls
        rows = (
            ("task model", f"{low:,} to {'?' if high is None else f'{high:,}'}", _usd(self.task_usd)),
            ("reflection", f"0 to {'?' if self.reflection_calls is None else self.reflection_calls}",
             _usd(self.reflection_usd)),
        )  # fmt: skip
        parts = ", ".join(f"{part} {counted(count, 'item')}" for part, count in self.items.items())
        notes = [f"{self.minutes.low:.1f} to {self.minutes.high:.1f} minutes for the task model's calls."]
        notes += [f"{model} is sent {what}." for model, what in self.leaving.items()]
        notes += [f"{cap.name}: {usd_text(cap.left_usd)} of {usd_text(cap.usd)} is left." for cap in self.caps]
        notes += [f"It would be refused: {one}" for one in self.problems]
        notes += [f"{one} before it runs." for one in self.missing_keys]
        stamps = ("SIMULATED",) if self.simulated else ()
        title = f"Optimization {self.name}: {parts}"
        return TableText(title, ("asked", "calls", "dollars"), rows, (*notes, *self.notes), stamps, right=(1, 2))


def plan_optimization(name: str | Path, *, runtime: Runtime) -> OptimizationPlan:
    """What `optimize` would do with the same arguments; nothing is sent, and no vendor's key is needed.

    The low end of dollars is the parent's alone; the high end is what the optimizer may ask for at most, each answer as
    dear as the parent's can be, or what is left of the budget where that is less.
    """
    inputs = optimization_inputs(name, runtime, keys=False)
    file, parts = inputs.file, inputs.parts
    task_nano, reflection_nano = left_of(file, inputs.inputs_hash, runtime)
    most = expected(file, len(parts.train), len(parts.validation), len(inputs.student.labels))
    least = len(parts.validation) + len(parts.test)
    calls = None if most.task_most is None else most.task_most + 2 * len(parts.test)
    usd, minutes, missing, problems = _parents(inputs, runtime)
    times = 1.0 if calls is None else calls / least
    left = task_nano / 1e9
    high = left if calls is None or usd is None else min(left, usd.high * times)
    reflected = [CapLeft("budget.reflection_usd", file.budget.reflection_usd, reflection_nano / 1e9)]
    reflected = reflected if file.reflection is not None else []
    caps = (
        CapLeft("budget.task_usd", file.budget.task_usd, left),
        *reflected,
        *caps_left(runtime),
    )
    leaving = {inputs.model: "all conversations of train, validation and test, some of them as examples in prompts"}
    if file.reflection is not None:
        route = runtime.route(file.reflection.model)
        missing += tuple(one for one in route.missing_keys() if one not in missing)
        also = "conversations of the train part with answers and feedback"
        leaving[file.reflection.model] = f"{leaving.get(file.reflection.model, '')}; {also}".lstrip("; ")
    return OptimizationPlan(
        inputs.name,
        {"train": len(parts.train), "validation": len(parts.validation), "test": len(parts.test)},
        (least, calls),
        most.reflection_most if file.reflection is not None else 0,
        Span(min(0.0 if usd is None else usd.low, left), high),
        Span(0.0, reflection_nano / 1e9 if file.reflection is not None else 0.0),
        Span(minutes.low, minutes.high * times),
        leaving,
        tuple(sorted(caps, key=lambda cap: cap.left_usd)),
        missing,
        problems,
        inputs.notes,
        inputs.simulated,
    )


def _parents(
    inputs: OptimizationInputs, runtime: Runtime
) -> tuple[Span | None, Span, tuple[str, ...], tuple[str, ...]]:
    """(dollars, minutes, missing keys, problems) of the parent on validation and test; dollars None: not known."""
    student = inputs.student
    keys = (*inputs.parts.validation, *inputs.parts.test)
    if isinstance(student, ClassifierStudent):
        items = [student.items[key] for key in keys]
        plan = plan_items(student.classifier, [student.conversation(key) for key in keys], runtime, items)
    else:
        from llmclf.optimization.judge_student import JudgeStudent  # a classifier needs nothing of it
        from llmclf.workspace.judging import plan_judging

        assert isinstance(student, JudgeStudent)
        cases = [student.case(key) for key in keys]
        plan = plan_judging(cases, student.judge, conversations=student.conversations)
    return plan.usd, scaled(plan.minutes, 1), plan.missing_keys, plan.problems


def _usd(span: Span) -> str:
    return f"{usd_text(span.low)} to {usd_text(span.high)}"
