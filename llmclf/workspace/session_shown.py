"""Cases that a judge's own prompt shows with their answer: they say nothing of how it judges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from llmclf.calibration.flag import Flag
from llmclf.calibration.session import LabelledCase, SessionItem, Split
from llmclf.judges.base import Judge
from llmclf.judges.llm import LlmJudge
from llmclf.render.tables import counted

_Of = TypeVar("_Of", SessionItem, LabelledCase)


def unshown(cases: Sequence[_Of], judge: Judge | None) -> tuple[_Of, ...]:
    """Those that no prompt of the judge, or of a panel's members, shows."""
    shown = _shown_by(judge)
    return tuple(one for one in cases if one.case.id not in shown)


def left_out_as_shown(cases: Sequence[LabelledCase], judge: Judge | None, split: Split) -> tuple[Flag, ...]:
    """That cases of the split were left out of a report, where some were."""
    shown = _shown_by(judge)
    count = sum(one.case.id in shown for one in cases if one.item.split == split)
    if not count:
        return ()
    what = "is shown in the judge's prompt and is" if count == 1 else "are shown in the judge's prompt and are"
    return (Flag("shown", f"{counted(count, 'case')} {what} left out: it was told the answer."),)


def _shown_by(judge: Judge | None) -> frozenset[str]:
    members = judge.members if judge is not None else ()
    prompts = [one.prompt for one in members if isinstance(one, LlmJudge)]
    return frozenset(id for prompt in prompts for id in prompt.shown)
