"""From an item to the requests about it: what is shown of its conversation, in the words of a prompt."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import cached_property

from llmclf.classifiers.answer import answer_schema
from llmclf.classifiers.asking import Deadline
from llmclf.classifiers.seeing import Shown, Sight, parts_of
from llmclf.classifiers.support import sampling_model
from llmclf.classifiers.wording import AnswerForm, Shot, about_turn, fixed_values, messages_of
from llmclf.errors import DataError, ModelError
from llmclf.llm.model import Model, Output, Request, Subject
from llmclf.llm.runtime import Runtime
from llmclf.render import Prompt
from llmclf.types import Conversation, Item, Task


@dataclass(frozen=True)
class Questions:
    """Makes the requests of one classifier. Nothing is sent."""

    task: Task
    prompt: Prompt
    model: Model
    answer: AnswerForm
    sight: Sight
    samples: int
    shots: tuple[Shot, ...]
    runtime: Runtime

    def parts(self, conversation: Conversation, turn: int | None) -> tuple[Shown, ...]:
        """What is shown of a conversation, part by part; DataError where its media can't be used."""
        return parts_of(conversation, self.task, turn, self.sight, self.runtime.redacted)

    async def aparts(self, conversation: Conversation, turn: int | None, deadline: Deadline) -> tuple[Shown, ...]:
        """As `parts`, off the event loop where it may take time; ModelError where it can't be done, or not in time."""
        if self.sight.modality == "text":
            return self.parts(conversation, turn)
        try:
            async with asyncio.timeout(deadline.left):
                return await asyncio.to_thread(self.parts, conversation, turn)
        except TimeoutError:
            raise deadline.error(conversation.id, possibly_billed=False) from None
        except DataError as error:
            where = f"{conversation.id}: {error.where}"
            raise ModelError("bad_request", error.what, where=where, got=error.got, fix=error.fix) from error

    def about(self, item: Item, shown: Shown, repeat: int, classifier_id: str) -> list[Request]:
        """The requests about one part, one for each sample: repeats `repeat * samples` and on."""
        values = {**self._fixed_values, "conversation": shown.text, "item": about_turn(item.turn)}
        subject = Subject(
            self.task.name,
            item.conversation_id,
            item.turn,
            shown.content_hash,
            classifier_id,
            self.prompt.id,
            self.runtime.run_id,
            self._shows,
        )
        messages = messages_of(self.prompt, values, shown.media)
        redacted = self.runtime.redaction.before_sending
        request = Request(self._model, messages, self._output, subject, redacted=redacted)
        first = repeat * self.samples
        if self.samples == 1 and first == 0:
            return [request]
        return [replace(request, repeat=first + sample) for sample in range(self.samples)]

    @cached_property
    def _model(self) -> Model:
        return sampling_model(self.model, self.samples, self.runtime)

    @cached_property
    def _shows(self) -> tuple[str, ...]:
        """The conversations that examples are taken from."""
        return tuple(sorted(self.prompt.conversations.union(item.conversation_id for item, _, _ in self.shots)))

    @cached_property
    def _output(self) -> Output:
        names = self.task.label_names
        if self.answer == "label":
            return Output("letter", choices=names)
        return Output("json", schema=answer_schema(self.task), choices=names)

    @cached_property
    def _fixed_values(self) -> dict[str, str]:
        return fixed_values(self.task, self.answer, self.shots)
