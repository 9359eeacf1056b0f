"""What every judge is: a rubric, a bar, a fingerprint, and one way to ask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from llmclf.classifiers.asking import together
from llmclf.errors import DataError
from llmclf.judges.status import CalibrationStatus, read_status, short_of
from llmclf.llm.model import Request
from llmclf.llm.runtime import Runtime
from llmclf.types import Bar, Case, Conversation, Judgment, Rubric
from llmclf.types.judgment import Probe

OnJudgment = Callable[[Judgment], None]
"""Called with each judgment as it comes in, perhaps on another thread."""
_MOST_PROBLEMS = 20


class Judge(ABC):
    """Says how good somebody's output is: a rationale, a label, a quote, a turn of a bot.

    A judge is frozen: whatever decides what it says is in its fingerprint, and a calibration belongs to one
    fingerprint. A failed case is a judgment with `error`; only misuse raises.
    """

    kind: str
    """The word for it in judge files."""

    def __init__(self, rubric: Rubric, *, runtime: Runtime, bar: Bar = Bar()) -> None:
        self.rubric = rubric
        self.runtime = runtime
        self.bar = bar

    @property
    def name(self) -> str:
        """As its file is called."""
        return self.rubric.name

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Sha256 over everything that decides what it says; where that is not known, `recorded-` and a hash of that."""

    @property
    def id(self) -> str:
        """`name@` and the first twelve digits of the fingerprint."""
        return f"{self.name}@{short_of(self.fingerprint)}"

    @property
    def status(self) -> CalibrationStatus:
        """What a calibration says of this very fingerprint, bar and guideline, as its file stands now."""
        return self.status_of(self.fingerprint)

    def status_of(self, fingerprint: str) -> CalibrationStatus:
        """What a calibration says of the judge as it was, or will be, by this fingerprint."""
        version = self.rubric.guideline.version
        return read_status(self.name, fingerprint, self.runtime.workspace, bar=self.bar, guideline=version)

    @property
    @abstractmethod
    def simulated(self) -> bool:
        """True where a simulated vendor makes its verdicts up."""

    @property
    def members(self) -> tuple[Judge, ...]:
        """The judges of a panel; of any other judge itself alone."""
        return (self,)

    def check(self) -> None:
        """Everything that would keep it from judging, before anything is paid: ConfigError or BudgetError."""

    def requests(
        self, case: Case, conversation: Conversation | None = None, *, probe: Probe = "", repeat: int = 0
    ) -> tuple[Request, ...]:
        """Every request that would be sent about a case, but for repairs; nothing is sent."""
        return ()

    @abstractmethod
    async def ajudge(
        self,
        case: Case,
        conversation: Conversation | None = None,
        *,
        probe: Probe = "",
        repeat: int = 0,
        timeout: float | None = None,
    ) -> Judgment:
        """What it says of one case; a model's failure is `judgment.error`.

        `probe` shows the case in another way (`swapped`, `padded`: docs/judges.md), each `repeat` from 0 is a fresh
        answer. `timeout` is seconds for all of it. Raises only misuse: DataError where the case lacks what the
        rubric sees, ConfigError or BudgetError where the model can't be used at all.
        """

    def judge(
        self,
        cases: Sequence[Case],
        conversations: Mapping[str, Conversation] = {},
        *,
        probe: Probe = "",
        repeat: int = 0,
        on_done: OnJudgment | None = None,
    ) -> list[Judgment]:
        """One judgment for each case, in order; blocks. `conversations` by id, where the rubric sees them.

        Raises what `ajudge` raises, for all cases at once and before the first is paid for.
        """
        self.check_cases(cases, conversations)
        self.check()
        return self.runtime.run(self._judge_all(cases, conversations, probe, repeat, on_done))

    def check_cases(self, cases: Sequence[Case], conversations: Mapping[str, Conversation] = {}) -> None:
        """DataError that lists every case that can't be shown, and ids that stand twice."""
        counts = Counter(case.id for case in cases)
        problems = [f"case {one!r} stands twice" for one, count in counts.items() if count > 1]
        problems += [
            f"case {case.id!r}: {problem}"
            for case in cases
            for problem in self.problems_of(case, conversations.get(case.conversation_id))
        ]
        if problems:
            more = len(problems) - _MOST_PROBLEMS
            shown = problems[:_MOST_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
            raise DataError("these cases can't be judged", where=self.name, problems=shown)

    def problems_of(self, case: Case, conversation: Conversation | None) -> list[str]:
        """What the rubric sees and the case does not show; a turn that is not there."""
        missing = [name for name in self.rubric.sees if name != "conversation" and name not in case.shown]
        found = [f"shows no {', '.join(missing)}"] if missing else []
        if "conversation" not in self.rubric.sees:
            return found
        if conversation is None:
            return [*found, f"there is no conversation {case.conversation_id!r}"]
        if case.turn is not None and not 0 <= case.turn < len(conversation.turns):
            found.append(f"there is no turn {case.turn} in {conversation.id!r}")
        return found

    def stamped(self, judgment: Judgment) -> Judgment:
        """The judgment with this judge's name and fingerprint, and whether that is calibrated."""
        return self.stamped_as(self.fingerprint, [judgment])[0]

    def stamped_as(self, fingerprint: str, judgments: Sequence[Judgment]) -> list[Judgment]:
        """Judgments with this judge's name, a fingerprint of it, and whether that one is calibrated."""
        calibrated = self.status_of(fingerprint).calibrated
        return [replace(one, judge=self.name, fingerprint=fingerprint, calibrated=calibrated) for one in judgments]

    async def _judge_all(
        self,
        cases: Sequence[Case],
        conversations: Mapping[str, Conversation],
        probe: Probe,
        repeat: int,
        on_done: OnJudgment | None,
    ) -> list[Judgment]:
        found: dict[int, Judgment] = {}
        rest = iter(enumerate(cases))

        async def work() -> None:
            for place, case in rest:  # shared by all workers: each takes the next
                conversation = conversations.get(case.conversation_id)
                judgment = await self.ajudge(case, conversation, probe=probe, repeat=repeat)
                found[place] = judgment
                if on_done:
                    on_done(judgment)

        await together([work() for _ in range(min(len(cases), 2 * self.runtime.concurrency))])
        return [found[place] for place in range(len(cases))]
