"""A rubric, a prompt file and a model: the judge that reads."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from llmclf.classifiers.answer import Reading
from llmclf.classifiers.asking import Asker, Deadline
from llmclf.classifiers.outcome import Bill, Outcome
from llmclf.errors import ModelError
from llmclf.judges.answer import PARSER, answer_schema, read_verdict
from llmclf.judges.base import Judge
from llmclf.judges.probes import meant, shown_case, shown_conversation, shown_verdicts
from llmclf.judges.wording import (
    ANSWER_FORMAT,
    case_text,
    check_prompt,
    empty_case_text,
    messages_of,
    redacted_case,
)
from llmclf.llm.model import Model, Output, Request, Response, Subject
from llmclf.llm.routes.sim_words import Truth
from llmclf.llm.runtime import Runtime
from llmclf.render import Prompt, Window
from llmclf.render.redaction import Redaction
from llmclf.types import CANNOT_TELL, Bar, Case, Conversation, ErrorInfo, Judgment, Rubric, content_hash
from llmclf.types.judgment import Probe

_SIMULATED_SHARE = 0.2
"""Share of cases that a simulated vendor takes for targets where nobody knows."""


class LlmJudge(Judge):
    """Asks a model, with the rubric's question, verdicts and rules in the prompt and the case as data.

    `model_settings` are whatever else decides what the model says: the fields of its row in models.toml.
    """

    kind = "llm"

    def __init__(
        self,
        rubric: Rubric,
        *,
        prompt: Prompt,
        model: Model,
        runtime: Runtime,
        bar: Bar = Bar(),
        window: Window = Window(),
        model_settings: Mapping[str, Any] = {},
    ) -> None:
        super().__init__(rubric, runtime=runtime, bar=bar)
        check_prompt(prompt)
        self.prompt = prompt
        self.model = model
        self.window = window
        self.model_settings = dict(model_settings)

    @cached_property
    def fingerprint(self) -> str:
        """Over the request about an empty case, the window, what is redacted, model with settings, parser's version."""
        messages = messages_of(self.prompt, self.rubric, self.rubric.verdicts, empty_case_text(self.rubric))
        sight = (self.rubric.sees, self.rubric.context, self.window)
        targets = sorted(self.rubric.targets)
        return content_hash(
            {
                "kind": self.kind,
                "messages": [(message.role, message.content) for message in messages],
                "verdicts": self._verdicts,
                "targets": targets,
                "sight": sight,
                "redaction": _taken_out(self.runtime.redaction),
                "model": self.model,
                "model_settings": self.model_settings,
                "parser": PARSER,
            }
        )

    @property
    def simulated(self) -> bool:
        """True where its model is simulated."""
        return self.runtime.route(self.model.id).simulated

    def problems_of(self, case: Case, conversation: Conversation | None) -> list[str]:
        """As of every judge; and a case that the prompt shows with its verdict can't be judged by it."""
        found = super().problems_of(case, conversation)
        return (
            [*found, f"prompt {self.prompt.name} shows it with its verdict"] if case.id in self.prompt.shown else found
        )

    def check(self) -> None:
        """A missing key, an unknown or forbidden model, a setting it can't honour, no cap, no price."""
        self.runtime.check([self.model])

    def requests(
        self, case: Case, conversation: Conversation | None = None, *, probe: Probe = "", repeat: int = 0
    ) -> tuple[Request, ...]:
        """The one request that would be sent, but for a repair; none for a conversation that holds nothing."""
        self.check_cases([case], {} if conversation is None else {case.conversation_id: conversation})
        return () if self._holds_nothing(conversation) else (self._request(case, conversation, probe, repeat),)

    async def ajudge(
        self,
        case: Case,
        conversation: Conversation | None = None,
        *,
        probe: Probe = "",
        repeat: int = 0,
        timeout: float | None = None,
    ) -> Judgment:
        """As of every judge; asks the model once, and once more where the answer can't be read."""
        self.check_cases([case], {} if conversation is None else {case.conversation_id: conversation})
        await self.runtime.prepare(self.model.id)
        if self._holds_nothing(conversation):
            error = ModelError("empty", "the conversation holds no turns", where=case.id)
            return self._judgment(case, Outcome(Bill(), error=error), probe, repeat, "")
        version: list[str] = []

        def read(text: str, response: Response) -> Reading:
            version.append(response.answer.model)
            return read_verdict(text, self._verdicts, case.id)

        asker = Asker(self.runtime, True, ANSWER_FORMAT)
        request = self._request(case, conversation, probe, repeat)
        outcome = await asker.ask(request, read, case.id, Deadline.after(timeout))
        return self._judgment(case, outcome, probe, repeat, "".join(version[-1:]))

    def _request(self, case: Case, conversation: Conversation | None, probe: Probe, repeat: int) -> Request:
        if conversation is not None:
            conversation = shown_conversation(conversation, case, self.rubric, probe)
        shown = shown_case(case, self.rubric, probe)
        sent, conversation = redacted_case(shown, conversation, self.rubric, self.runtime)
        verdicts = shown_verdicts(self.rubric, probe)
        text = case_text(sent, conversation, self.rubric, self.window)
        names = tuple(verdict.name for verdict in verdicts)
        subject = Subject(
            self.name,
            case.conversation_id,
            case.turn,
            content_hash((case.id, case.item)),
            self.id,
            self.prompt.id,
            self.runtime.run_id,
            tuple(sorted(self.prompt.conversations)),
        )
        if self.simulated:
            self.runtime.tell_truth(subject, _truth(case, self.rubric))
        return Request(
            self.model,
            messages_of(self.prompt, self.rubric, verdicts, text),
            Output("json", schema=answer_schema([*names, CANNOT_TELL]), choices=names),
            subject,
            repeat=repeat,
            redacted=self.runtime.redaction.before_sending,
        )

    def _judgment(self, case: Case, outcome: Outcome, probe: Probe, repeat: int, version: str) -> Judgment:
        reading, error, bill = outcome.reading, outcome.error, outcome.bill
        return self.stamped(
            Judgment(
                case.id,
                self.name,
                self.fingerprint,
                verdict=meant(reading.label, self.rubric, probe) if reading else None,
                reason=reading.rationale if reading else "",
                probe=probe,
                repeat=repeat,
                error=ErrorInfo.of(error) if error else None,
                model=version or self.model.id,
                thinking=outcome.thinking,
                simulated=self.simulated,
                **{name: value for name, value in bill.as_fields().items() if name != "calls"},
            )
        )

    def _holds_nothing(self, conversation: Conversation | None) -> bool:
        return "conversation" in self.rubric.sees and conversation is not None and conversation.is_empty

    @property
    def _verdicts(self) -> tuple[str, ...]:
        return (*self.rubric.names, CANNOT_TELL)


def _taken_out(redaction: Redaction) -> dict[str, list[str]] | None:
    """What is replaced in texts before they are sent; None where nothing is."""
    if not redaction.before_sending:
        return None
    return {name: sorted(set(getattr(redaction, name))) for name in ("kinds", "names", "metadata_keys")}


def _truth(case: Case, rubric: Rubric) -> Truth:
    """What a simulated vendor is told: the verdict that is known, else one that is drawn by the case's id."""
    roles = {verdict.name: verdict.role for verdict in rubric.verdicts}
    targets = [name for name in rubric.names if name in rubric.targets]
    others = [name for name in rubric.names if name not in rubric.targets]
    known = case.label
    if known not in roles:
        draw = int(content_hash(("simulated truth", rubric.name, case.id))[:8], 16) / 16**8
        known = targets[0] if draw < _SIMULATED_SHARE else others[int(draw * 1_000) % len(others)]
    return Truth(known, roles[known], known if known in targets else targets[0])
