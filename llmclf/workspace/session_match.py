"""Do a judge and the people of a session speak of the same: verdicts by name, guidelines by what they say?"""

from __future__ import annotations

import shlex

from llmclf.calibration.session import Session
from llmclf.judges.base import Judge
from llmclf.judges.recorded import RecordedJudge
from llmclf.types import Rubric
from llmclf.types.task import guideline_of
from llmclf.workspace.judging import ELSEWHERE


def same_verdicts(one: Rubric, other: Rubric) -> bool:
    """True where labels by one can be held against verdicts by the other; only a scale has an order."""
    ordered = one.names == other.names or "ordinal" not in (one.scale, other.scale)
    return set(one.names) == set(other.names) and one.targets == other.targets and ordered


def same_guideline(one: Rubric, other: Rubric) -> bool:
    """True where both say the same of each verdict; in which order they stand matters on a scale alone."""
    if one.guideline.version == other.guideline.version:
        return True
    texts = [sorted(guideline_of([verdict]).text for verdict in rubric.verdicts) for rubric in (one, other)]
    return texts[0] == texts[1] and "ordinal" not in (one.scale, other.scale)


def says_no_guideline(judge: Judge) -> bool:
    """True of a recorded judge as it was imported: nobody has said yet what its verdicts mean."""
    verdicts = judge.rubric.verdicts
    return isinstance(judge, RecordedJudge) and all(one.definition == ELSEWHERE and not one.rules for one in verdicts)


def how_to_rename(session: Session, judge: Judge) -> str:
    """What helps where verdicts mean the same and are called otherwise: of recorded ones, an import that renames."""
    if not isinstance(judge, RecordedJudge):
        return "begin a session for the judge as it is now"
    theirs, its = session.rubric, judge.rubric
    targets = [name for name in theirs.names if name in theirs.targets]
    quiet = next((one.name for one in theirs.verdicts if one.role == "clean"), "THEIRS")
    found, others = sorted(its.targets), set(its.names) - its.targets
    told = ["llmclf", "judge", "import", f"{judge.name}_{session.name}", "FILE", "--from", judge.name]
    told += [part for target in targets for part in ("--positive", target)]
    told += ["--verdicts", ",".join(theirs.names)]
    means = dict.fromkeys(found, targets[0]) if len(found) == len(targets) == 1 else {}
    means |= dict.fromkeys(others, quiet) if len(others) == 1 else {}
    for name in its.names:
        told += ["--map", f"{name}={means.get(name, 'THEIRS')}"] if name not in theirs.names else []
    return f"where they mean the same, import them under the names of the session: {shlex.join(told)}"
