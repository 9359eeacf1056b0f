"""Texts on their way into the store: redacted where privacy says so, and fit for SQLite."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from llmclf.render.redaction import Memory, Redaction
from llmclf.store.records import CallDone, CallSent
from llmclf.types import Conversation, Evidence, Judgment, Prediction

FieldValue = str | int | float | bool | None

LONGEST_FIELD = 80
"""Characters of a text that is stored as a field of a prediction."""
_CONVERSATIONS = 50_000  # with personal data, whose placeholders are remembered; the longest unused goes first


class Keeper:
    """Redacts what is handed to the store, with the same placeholders all through a conversation."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._memories: OrderedDict[str, Memory] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def redacts(self) -> bool:
        """True where texts are redacted before they are stored."""
        return self._redaction.before_storing

    def learn(self, conversation: Conversation) -> None:
        """Remembers names and personal metadata of a conversation for the texts that come about it."""
        self.conversation(conversation)

    def conversation(self, conversation: Conversation) -> Conversation:
        """The conversation as it may be stored, half characters left as they are."""
        if not self.redacts:
            return conversation
        with self._lock, self._memory(conversation.id) as memory:
            return self._redaction.redact(conversation, memory).conversation

    def forget(self, conversation_id: str) -> None:
        """Drops what placeholders of a conversation stand for."""
        with self._lock:
            self._memories.pop(conversation_id, None)

    def texts(self, conversation_id: str, texts: list[str]) -> list[str]:
        """Texts about one conversation as they may be stored, in order."""
        texts = [storable(text) for text in texts]
        if not self.redacts or not any(texts):
            return texts
        with self._lock, self._memory(conversation_id) as memory:
            return self._redaction.redact_texts(texts, memory)

    def sent(self, call: CallSent) -> CallSent:
        """The call with its request as it may be stored."""
        if not call.request_json or (call.redacted and call.request_json.isascii()):
            return call
        if call.redacted:
            return replace(call, request_json=storable(call.request_json))
        return replace(call, request_json=self._request(call.conversation_id, call.request_json))

    def done(self, conversation_id: str, outcome: CallDone) -> CallDone:
        """The outcome with answer, reasoning and error message as they may be stored."""
        given = [outcome.text or "", outcome.reasoning or "", outcome.error_message or ""]
        text, reasoning, message = kept = self.texts(conversation_id, given)
        return outcome if kept == given else replace(outcome, text=text, reasoning=reasoning, error_message=message)

    def prediction(self, prediction: Prediction) -> Prediction:
        """The prediction with quotes, rationale, thinking, error message and fields as they may be stored.

        Left out are fields that are personal, or longer than `LONGEST_FIELD`: those are no fields but words.
        """
        error, evidence = prediction.error, prediction.evidence
        if not (prediction.rationale or prediction.thinking or evidence or error or prediction.fields):
            return prediction
        fields = self._fields(prediction.fields)
        values = [value for value in fields.values() if isinstance(value, str)]
        quotes = [quote.quote for quote in evidence]
        texts = [prediction.rationale, prediction.thinking, error.message if error else ""]
        kept = iter(self.texts(prediction.conversation_id, [*texts, *values, *quotes]))
        rationale, thinking, message = next(kept), next(kept), next(kept)
        return replace(
            prediction,
            fields={name: next(kept) if isinstance(value, str) else value for name, value in fields.items()},
            rationale=rationale,
            thinking=thinking,
            error=replace(error, message=message) if error else None,
            evidence=tuple(Evidence(text, old.turn, old.grounded) for text, old in zip(kept, evidence, strict=True)),
        )

    def _fields(self, fields: Mapping[str, FieldValue]) -> dict[str, FieldValue]:
        personal = self._redaction.metadata_keys if self.redacts else ()
        return {
            name: value
            for name, value in fields.items()
            if name not in personal and not (isinstance(value, str) and len(value) > LONGEST_FIELD)
        }

    def judgment(self, judgment: Judgment, conversation_id: str) -> Judgment:
        """The judgment with reason, thinking and error message as they may be stored."""
        error = judgment.error
        given = [judgment.reason, judgment.thinking, error.message if error else ""]
        reason, thinking, message = kept = self.texts(conversation_id, given)
        if kept == given:
            return judgment
        kept_error = replace(error, message=message) if error else None
        return replace(judgment, reason=reason, thinking=thinking, error=kept_error)

    def _request(self, conversation_id: str, text: str) -> str:
        """A request's words redacted inside its JSON, where a line break is two characters."""
        if not self.redacts:
            return storable(text)
        try:
            body = json.loads(text)
        except ValueError:
            return self.texts(conversation_id, [text])[0]
        words = list(_words(body))
        redacted = self.texts(conversation_id, words)
        if redacted == words:
            return storable(text)
        take = iter(redacted)
        return json.dumps(
            _mapped(body, lambda _: next(take)), ensure_ascii=False, separators=(",", ":"), sort_keys=True
        )

    @contextmanager
    def _memory(self, conversation_id: str) -> Iterator[Memory]:
        """What is known of a conversation, kept where it is anything; under the lock."""
        known = self._memories.pop(conversation_id, None)
        memory = Memory() if known is None else known
        try:
            yield memory
        finally:
            if conversation_id and not memory.is_empty:
                self._memories[conversation_id] = memory
                if len(self._memories) > _CONVERSATIONS:
                    self._memories.popitem(last=False)


def storable(text: str) -> str:
    """`text` without lone surrogates, which SQLite can't hold; pairs of them become their character."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _words(item)
    elif isinstance(value, list):
        for item in value:
            yield from _words(item)


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, change) for item in value]
    return value
