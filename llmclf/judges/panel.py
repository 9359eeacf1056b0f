"""Several judges of one rubric: what more than half of them say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from llmclf.classifiers.asking import together
from llmclf.errors import ConfigError
from llmclf.judges.base import Judge
from llmclf.judges.recorded import RecordedJudge
from llmclf.llm.model import Request
from llmclf.llm.runtime import Runtime
from llmclf.types import CANNOT_TELL, Bar, Case, Conversation, ErrorInfo, Judgment, Rubric, Usage, content_hash
from llmclf.types.judgment import Probe

_RULE = "more than half of all members"


class PanelJudge(Judge):
    """Asks its members and takes the majority. Each member's judgment costs what it costs alone.

    `cannot_tell` where no verdict has more than half of all members (a member that failed counts as one of them);
    failed where all members failed, or where one did for a cap, because the rest is asked for once that is raised.
    """

    kind = "panel"

    def __init__(self, name: str, members: Sequence[Judge], *, runtime: Runtime, bar: Bar = Bar()) -> None:
        super().__init__(_common_rubric(name, members), runtime=runtime, bar=bar)
        self._members = tuple(members)

    @property
    def fingerprint(self) -> str:
        """Over the members' fingerprints and the rule; a recorded member's, of its newest import, with its name."""
        members = [
            f"{one.name}@{one.fingerprint}" if isinstance(one, RecordedJudge) else one.fingerprint
            for one in self._members
        ]
        return content_hash({"kind": self.kind, "rule": _RULE, "members": sorted(members)})

    @property
    def members(self) -> tuple[Judge, ...]:
        """The judges that vote, in the order of the file."""
        return self._members

    @property
    def simulated(self) -> bool:
        """True where any member is simulated."""
        return any(member.simulated for member in self._members)

    def check(self) -> None:
        """What would keep a member from judging."""
        for member in self._members:
            member.check()

    def requests(
        self, case: Case, conversation: Conversation | None = None, *, probe: Probe = "", repeat: int = 0
    ) -> tuple[Request, ...]:
        """Those of all members."""
        return tuple(
            request
            for member in self._members
            for request in member.requests(case, conversation, probe=probe, repeat=repeat)
        )

    async def ajudge(
        self,
        case: Case,
        conversation: Conversation | None = None,
        *,
        probe: Probe = "",
        repeat: int = 0,
        timeout: float | None = None,
    ) -> Judgment:
        """As of every judge; all members are asked at the same time."""
        self.check_cases([case], {} if conversation is None else {case.conversation_id: conversation})
        asked = [
            member.ajudge(case, conversation, probe=probe, repeat=repeat, timeout=timeout) for member in self._members
        ]
        return self._together(case, await together(asked), probe, repeat)

    def _together(self, case: Case, said: Sequence[Judgment], probe: Probe, repeat: int) -> Judgment:
        error = _failure(said)
        verdict = None if error else majority([one.verdict for one in said])
        reasons = [f"{one.judge}: {one.reason}" for one in said if one.verdict == verdict and one.reason]
        if verdict == CANNOT_TELL and not reasons:
            votes = ", ".join(f"{one.judge} {one.verdict or 'failed'}" for one in said)
            reasons = [f"no verdict has {_RULE}: {votes}"]
        seconds = [one.latency_seconds for one in said if one.latency_seconds is not None]
        costs = [one.cost_nano_usd for one in said]
        models = dict.fromkeys(one.model for one in said if one.model)
        return self.stamped(
            Judgment(
                case.id,
                self.name,
                self.fingerprint,
                verdict=verdict,
                reason="" if error else "\n".join(reasons),
                probe=probe,
                repeat=repeat,
                votes=tuple((one.judge, one.verdict) for one in said),
                error=error,
                model=", ".join(models),
                usage=_sum([one.usage for one in said]),
                cost_nano_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
                latency_seconds=max(seconds, default=None),
                cached=all(one.cached for one in said),
                simulated=any(one.simulated for one in said),
            )
        )


def majority(verdicts: Sequence[str | None]) -> str:
    """The verdict of more than half of all votes; `cannot_tell` where there is none. None is a failed vote.

    >>> majority(["safe", "safe", None]), majority(["safe", "unsafe"]), majority(["safe", None, None])
    ('safe', 'cannot_tell', 'cannot_tell')
    """
    counts = Counter(verdict for verdict in verdicts if verdict is not None)
    verdict, votes = next(iter(counts.most_common(1)), (CANNOT_TELL, 0))
    return verdict if 2 * votes > len(verdicts) else CANNOT_TELL


def _failure(said: Sequence[Judgment]) -> ErrorInfo | None:
    """Why the panel failed; None where it did not."""
    errors = [one.error for one in said if one.error is not None]
    capped = [error for error in errors if error.kind == "over_budget"]
    if capped:
        return capped[0]
    if len(errors) < len(said):
        return None
    kinds = ", ".join(f"{one.judge} {one.error.kind}" for one in said if one.error)
    first = errors[0]
    return ErrorInfo(first.kind, f"every member failed ({kinds}): {first.message}", any(e.retryable for e in errors))


def _sum(usages: Sequence[Usage]) -> Usage:
    total = usages[0]
    for usage in usages[1:]:
        total = total.plus(usage)
    return total


def _common_rubric(name: str, members: Sequence[Judge]) -> Rubric:
    """The rubric of the first member under the panel's name, with all that any member sees.

    ConfigError where the members do not share scale and verdicts, or one is a panel itself.
    """
    first = members[0].rubric
    sets: Mapping[str, object] = {one.name: _verdict_set(one.rubric) for one in members}
    problems = [f"{one.name} is a panel itself" for one in members if isinstance(one, PanelJudge)]
    problems += [
        f"{member} has {', '.join(one.rubric.names)} on a scale that is {one.rubric.scale}"
        for member, one in zip(sets, members, strict=True)
        if sets[member] != sets[first.name]
    ]
    if problems:
        what = f"the members must share the verdicts of {first.name}: {', '.join(first.names)}, {first.scale}"
        raise ConfigError(what, where=f"panel {name}", problems=problems)
    sees = tuple(dict.fromkeys(one for member in members for one in member.rubric.sees))
    whole = any(member.rubric.context == "whole" for member in members)
    return Rubric(name, first.question, first.verdicts, first.scale, sees, "whole" if whole else "so_far")


def _verdict_set(rubric: Rubric) -> object:
    roles = [(verdict.name, verdict.role == "target") for verdict in rubric.verdicts]
    return rubric.scale, tuple(roles if rubric.scale == "ordinal" else sorted(roles))
