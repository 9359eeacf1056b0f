"""What this process knows of its calls before the file does."""

from __future__ import annotations

import threading
from dataclasses import replace

from llmclf.store.calls import answer_of
from llmclf.store.records import CallDone, CallSent, StoredAnswer


class Pending:
    """Calls under way, and answers that are queued but not committed yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[str, CallSent] = {}
        self._answers: dict[tuple[str, int], StoredAnswer] = {}

    def begin(self, call: CallSent) -> None:
        """A call is under way; its request is not kept here."""
        with self._lock:
            self._calls[call.call_id] = replace(call, request_json="")

    def end(self, call_id: str) -> CallSent | None:
        """The call is over; what was known of it, or None where another process sent it."""
        with self._lock:
            return self._calls.pop(call_id, None)

    def add(self, call: CallSent, outcome: CallDone) -> StoredAnswer:
        """An answer that is being written; the first one of a request stays."""
        answer = answer_of(call, outcome)
        with self._lock:
            self._answers.setdefault((call.request_hash, call.repeat), answer)
        return answer

    def remove(self, call: CallSent, answer: StoredAnswer) -> None:
        """The answer is in the file."""
        key = (call.request_hash, call.repeat)
        with self._lock:
            if self._answers.get(key) is answer:
                del self._answers[key]

    def answer(self, request_hash: str, repeat: int) -> StoredAnswer | None:
        """The queued answer to a request."""
        with self._lock:
            return self._answers.get((request_hash, repeat))
