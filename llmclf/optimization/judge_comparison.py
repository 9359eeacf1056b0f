"""A judge with two prompts on the same labelled cases: which agrees better with people, and how surely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from llmclf.errors import DataError
from llmclf.optimization.judge_objective import agrees
from llmclf.optimization.judge_student import JudgeStudent, check_unseen
from llmclf.optimization.values import Answered, Instance
from llmclf.render import Prompt
from llmclf.render.tables import Shown, TableText, counted
from llmclf.stats.paired import (
    Discordance,
    MoreLabels,
    discordance,
    more_labels,
    paired_balanced,
    paired_cells,
    paired_false_alarms,
    paired_recall,
)
from llmclf.stats.sampling import Sampling
from llmclf.types import CANNOT_TELL, Estimate

Verdict = Literal["better", "worse", "not decided"]


@dataclass(frozen=True)
class JudgeComparison(Shown):
    """The candidate prompt less the parent's, on cases that neither was chosen by. Rates are by the design."""

    judge: str
    names: tuple[str, str]
    """Ids of the parent's and the candidate's prompt."""
    verdict: Verdict
    """By the interval of `gain`: `better` above 0, `worse` below it."""
    sentence: str
    gain: Estimate
    """Of balanced agreement, -1 to 1; `cannot_tell` and failures are wrong."""
    sensitivity: Estimate
    """Difference in the share of what is looked for that is found."""
    specificity: Estimate
    """Difference in the share of the others that are not flagged."""
    agreement: tuple[float, float]
    """Balanced agreement of each on these cases."""
    targets: Discordance
    """McNemar's exact test over what is looked for."""
    others: Discordance
    """The same over the others."""
    undecided: tuple[int, int]
    """Cases that each left without a verdict: failed, or `cannot_tell`."""
    items: int
    positives: int
    more: MoreLabels | None
    """What would decide it; None where it is decided, or no figure is known."""
    looks: int
    """How often this test split was looked at, with any prompt."""
    level: float = 0.95
    simulated: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know of it."""
        said = [f"Looks at this test split so far, with any prompt: {self.looks}."]
        if self.verdict == "better":
            said.append(
                f"With this prompt {self.judge} is another judge and UNCALIBRATED: label a new session for it (llmclf "
                "calibrate start --help). This test split has chosen the prompt, which flatters the gain by at most "
                "about 0.4 of its standard errors on average."
            )
        if any(self.undecided):
            said.append(f"Without a verdict, old and new: {self.undecided[0]}, {self.undecided[1]}; counted as wrong.")
        return tuple(said)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        return {
            "judge": self.judge,
            "prompts": list(self.names),
            "verdict": self.verdict,
            "sentence": self.sentence,
            "unit": "balanced agreement",
            "items": self.items,
            "positives": self.positives,
            "level": self.level,
            "gain": self.gain.to_dict(),
            "sensitivity": self.sensitivity.to_dict(),
            "specificity": self.specificity.to_dict(),
            "agreement": list(self.agreement),
            "tests": {"targets": self.targets.to_dict(), "others": self.others.to_dict()},
            "undecided": list(self.undecided),
            "more_labels": None if self.more is None else self.more.to_dict(),
            "looks": self.looks,
            "notes": list(self.notes),
            "simulated": self.simulated,
        }

    def _table(self) -> TableText:
        rows = (
            ("balanced agreement", self.gain.format("+.3f"), "", ""),
            ("sensitivity", self.sensitivity.format("+.3f"), _steps(self.targets), f"{self.targets.p:.3g}"),
            ("specificity", self.specificity.format("+.3f"), _steps(self.others), f"{self.others.p:.3g}"),
        )
        title = f"{self.judge}: {self.names[1]} less {self.names[0]}, on {self.items} cases ({self.positives} targets)"
        heads = ("", "new less old", "only new, only old right", "p")
        return TableText(title, heads, rows, self.notes, ("SIMULATED",) if self.simulated else (), right=(3,))


def compare_judges(
    student: JudgeStudent, parent: Prompt, candidate: Prompt, keys: Sequence[str], *, seed: int = 0
) -> JudgeComparison:
    """What the judge says with both prompts about the test cases `keys`, held against people; it asks what it lacks.

    The look is recorded. `keys` stand in the session's order. DataError where a prompt shows one of them, one is no
    test case, or they can't stand for the pool.
    """
    check_unseen([parent, candidate], keys)
    sampling, why_not = student.sampling(keys)
    if why_not:
        raise DataError(f"the test cases can't stand for the pool: {why_not}", where=student.name)
    instances = [student.instances[key] for key in keys]
    answers = student.ask_all(parent, keys), student.ask_all(candidate, keys)
    names = parent.id, candidate.id
    looks = student.looked(candidate)
    return _compared(student, names, instances, answers, sampling, looks, seed)


def _compared(
    student: JudgeStudent,
    names: tuple[str, str],
    instances: Sequence[Instance],
    answers: tuple[Sequence[Answered], Sequence[Answered]],
    sampling: Sampling,
    looks: int,
    seed: int,
) -> JudgeComparison:
    positive = np.array([each.positive for each in instances], bool)
    right_a, right_b = (
        np.array([agrees(*pair) for pair in zip(instances, side, strict=True)], bool) for side in answers
    )
    # What is wrong is flagged among the others and not among the targets: so `cannot_tell` and failures count.
    nothing = np.zeros(len(instances), bool)
    pairs = paired_cells(positive, (right_a == positive, right_b == positive), (nothing, nothing), sampling, seed=seed)
    gain = paired_balanced(pairs)
    alarms = paired_false_alarms(pairs)
    verdict = _verdict(gain)
    more = more_labels(pairs, gain) if verdict == "not decided" else None
    weight = sampling.weight
    agreement = _balanced(right_a, positive, weight), _balanced(right_b, positive, weight)
    return JudgeComparison(
        student.name,
        names,
        verdict,
        _sentence(verdict, gain, agreement, more),
        gain,
        paired_recall(pairs),
        _negated(alarms),
        agreement,
        discordance(pairs, "targets"),
        discordance(pairs, "others"),
        (_silent(answers[0]), _silent(answers[1])),
        len(instances),
        int(positive.sum()),
        more,
        looks,
        simulated=student.judge.simulated,
    )


def _verdict(gain: Estimate) -> Verdict:
    if gain.value is None or gain.low is None or gain.high is None:
        return "not decided"
    return "better" if gain.low > 0 else "worse" if gain.high < 0 else "not decided"


def _sentence(verdict: Verdict, gain: Estimate, agreement: tuple[float, float], more: MoreLabels | None) -> str:
    start = f"balanced agreement with people goes from {agreement[0]:.3f} to {agreement[1]:.3f}"
    said = f"{start}, a gain of {gain.format('+.3f')}."
    if verdict != "not decided":
        return said
    if more is None:
        return f"{said} That decides nothing."
    if more.labels is None:
        return f"{said} That decides nothing, nor would 100,000 labels more."
    return (
        f"{said} That decides nothing; about {counted(more.labels, 'more label')} would, if it is what it looks like."
    )


def _negated(estimate: Estimate) -> Estimate:
    """The figure with its sign turned, as a fall of false alarms is a rise of specificity."""
    return estimate.complement().plus(-1.0)


def _balanced(right: Any, positive: Any, weight: Any) -> float:
    halves = [float(np.average(right[side], weights=weight[side])) for side in (positive, ~positive) if side.any()]
    return sum(halves) / len(halves)


def _steps(found: Discordance) -> str:
    return f"{found.gains}, {found.losses}"


def _silent(answers: Sequence[Answered]) -> int:
    return sum(one.error is not None or one.said == CANNOT_TELL for one in answers)
