"""What the prompt of a judge is optimized from: the labelled cases of a calibration session."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from llmclf.calibration.compared import Compared, compare
from llmclf.calibration.desk import Desk
from llmclf.calibration.session import LabelledCase, Session
from llmclf.config import OptimizationFile
from llmclf.data.checks.duplicates import NEAR, near_groups
from llmclf.errors import ConfigError, DataError
from llmclf.judges.llm import LlmJudge
from llmclf.judges.loading import load_judge
from llmclf.llm.runtime import Runtime
from llmclf.optimization.judge_objective import agreement_objective
from llmclf.optimization.judge_student import JudgeStudent
from llmclf.optimization.objective import Objective
from llmclf.optimization.parts import Parts
from llmclf.stats.stratified import LEAST_POSITIVES
from llmclf.types import Conversation, Rubric
from llmclf.workspace.session_match import same_guideline, same_verdicts
from llmclf.workspace.session_missing import kept_conversations


@dataclass(frozen=True)
class JudgeInputs:
    """The judge, who is in which part, and what candidates are chosen by."""

    student: JudgeStudent
    parts: Parts
    objectives: Mapping[str, Objective]
    """`train` and `validation`."""
    notes: tuple[str, ...]


def judge_inputs(file: OptimizationFile, runtime: Runtime) -> JudgeInputs:
    """The inputs of an optimization of `file.judge` from the labels of `file.session`; nothing is sent.

    Train and validation are the align split, by group in the ratio of `file.parts`; the test is the test split. What
    is nearly the same as a test case is in neither. Raises ConfigError where there is no such session, it is of other
    verdicts or another guideline, or the judge has no prompt; DataError with how many labels are missing.
    """
    session = Desk(runtime.store).session(file.session)
    judge = _judge(file, session, runtime)
    labelled = Desk(runtime.store).labelled(session.id)
    align, tests = (compare(session, labelled, (), split) for split in ("align", "test"))
    shown = [one for one in (*align.cases, *tests.cases) if one.case.id in judge.prompt.shown]
    if shown:
        raise DataError("the judge's prompt shows cases of this session", where=judge.name, got=shown[0].case.id)
    _check_labels(align, tests)
    every = np.ones(len(tests.cases), bool)
    if why := tests.unweighable(every):
        raise DataError(f"the test split can't stand for the pool: {why}", where=f"session {session.id}")
    conversations = kept_conversations(session, runtime)
    kept, left_out = _apart(align.cases, tests.cases, judge.rubric, conversations, ("align", "test"))
    train, validation = _parted(kept, file, judge.rubric)
    train, more = _apart(train, validation, judge.rubric, conversations, ("train", "validation"))
    _check_parts({"train": train, "validation": validation}, judge.rubric, session.id)
    weights, unweighed = _weights(align)
    used = {one.case.id: one for one in (*train, *validation, *tests.cases)}
    weights |= dict(zip([one.case.id for one in tests.cases], tests.sampling(every).weight.tolist(), strict=True))
    student = JudgeStudent(judge, used, conversations, tests, weights)
    student.check_prompt(student.parent)
    judge.check_cases([one.case for one in used.values()], conversations)
    members = {"train": train, "validation": validation, "test": tests.cases}
    keys = {name: tuple(one.case.id for one in cases) for name, cases in members.items()}
    notes = (*left_out, *more, *unweighed, *_few(members, judge.rubric))
    counts = {name: dict(Counter(one.truth or "" for one in cases)) for name, cases in members.items()}
    objectives = {
        name: agreement_objective([student.instances[key] for key in keys[name]]) for name in ("train", "validation")
    }
    return JudgeInputs(student, Parts(**keys, notes=notes, counts=counts), objectives, notes)


def _judge(file: OptimizationFile, session: Session, runtime: Runtime) -> LlmJudge:
    judge = load_judge(file.judge or "", runtime=runtime)
    if not isinstance(judge, LlmJudge):
        raise ConfigError("only an llm judge has a prompt to optimize", where=judge.name, got=f"kind {judge.kind!r}")
    where = f"session {session.id}, judge {judge.name}"
    if not same_verdicts(judge.rubric, session.rubric):
        raise ConfigError("people labelled with other verdicts", where=where, got=", ".join(session.rubric.names))
    if not same_guideline(judge.rubric, session.rubric):
        raise ConfigError("people labelled by another guideline", where=where, fix="begin a new session")
    if judge.rubric.context == "whole" and session.rubric.context != "whole":
        raise ConfigError("the judge sees whole conversations, the session keeps only their beginnings", where=where)
    runtime.route(judge.model.id).load()
    return judge


def _check_labels(align: Compared, tests: Compared) -> None:
    problems = []
    for name, compared, least in (("align", align, 2), ("test", tests, 1)):
        targets = int(compared.is_target(compared.truth).sum())
        for noun, have in (("of what is looked for", targets), ("of the others", len(compared.cases) - targets)):
            if have < least:
                problems.append(f"split {name}: {have} labelled cases {noun}; {least - have} more needed at least")
    if problems:
        raise DataError("too few labels to optimize from", where=f"session {align.session.id}", problems=problems)


def _apart(
    learned: Sequence[LabelledCase],
    judged: Sequence[LabelledCase],
    rubric: Rubric,
    conversations: Mapping[str, Conversation],
    names: tuple[str, str],
) -> tuple[list[LabelledCase], list[str]]:
    """(those `learned` from that share no group with the `judged` and are not nearly one, what was left out)."""

    def text(one: LabelledCase) -> str:
        found = conversations.get(one.case.conversation_id) if "conversation" in rubric.sees else None
        turns = [turn.text for turn in found.turns] if found else []
        return "\n".join([*turns, *(one.case.shown.get(name, "") for name in rubric.sees)])

    cases = [*learned, *judged]
    near: set[int] = set()
    for group in near_groups([text(one) for one in cases]):
        if max(group) >= len(learned):
            near.update(group)
    groups = {one.case.own_group for one in judged}
    kept = [one for place, one in enumerate(learned) if place not in near and one.case.own_group not in groups]
    count = len(learned) - len(kept)
    said = f"{count} {names[0]} cases left out: of a group with a {names[1]} case, or alike in {NEAR:.0%} or more"
    return kept, [said] if count else []


def _parted(
    cases: Sequence[LabelledCase], file: OptimizationFile, rubric: Rubric
) -> tuple[list[LabelledCase], list[LabelledCase]]:
    """Train and validation: whole groups, those with a target and those without in the ratio of the file's parts."""
    groups: dict[str, list[LabelledCase]] = {}
    for one in cases:
        groups.setdefault(one.case.own_group, []).append(one)
    share = file.parts.train / (file.parts.train + file.parts.validation)
    generator = random.Random(file.seed)  # noqa: S311 - a draw, not a secret
    train: set[str] = set()
    for wanted in (True, False):
        names = sorted(name for name, members in groups.items() if _has_target(members, rubric) is wanted)
        generator.shuffle(names)
        train.update(names[: min(max(1, round(share * len(names))), max(1, len(names) - 1))])
    parts = ([one for one in cases if (one.case.own_group in train) is side] for side in (True, False))
    train_cases, validation = parts
    return train_cases, validation


def _check_parts(parts: Mapping[str, Sequence[LabelledCase]], rubric: Rubric, session: str) -> None:
    problems = []
    for name, members in parts.items():
        targets = sum(one.truth in rubric.targets for one in members)
        problems += [f"{name}: none of what is looked for; label 1 more at least"] if not targets else []
        problems += [f"{name}: none of the others; label 1 more at least"] if targets == len(members) else []
    if problems:
        raise DataError("a part holds nothing of a kind", where=f"session {session}, align", problems=problems)


def _has_target(members: Sequence[LabelledCase], rubric: Rubric) -> bool:
    return any(one.truth in rubric.targets for one in members)


def _weights(align: Compared) -> tuple[dict[str, float], list[str]]:
    every = np.ones(len(align.cases), bool)
    if why := align.unweighable(every):
        return {}, [f"Train and validation count every case alike: {why}"]
    ids = [one.case.id for one in align.cases]
    return dict(zip(ids, align.sampling(every).weight.tolist(), strict=True)), []


def _few(members: Mapping[str, Sequence[LabelledCase]], rubric: Rubric) -> list[str]:
    return [
        f"{name} holds {count} of what is looked for: with fewer than {LEAST_POSITIVES}, little is decided by them"
        for name in ("validation", "test")
        if (count := sum(one.truth in rubric.targets for one in members[name])) < LEAST_POSITIVES
    ]
