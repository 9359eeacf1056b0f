"""POST /v1/classify."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from llmclf.classifiers.base import Classifier
from llmclf.classifiers.loading import load_classifier
from llmclf.config import LlmFile, files
from llmclf.data.loading import load_dataset
from llmclf.data.parse import parse_line
from llmclf.errors import ConfigError, DataError, StoreError, nearest
from llmclf.llm.runtime import Runtime
from llmclf.server.answers import Refusal, error_response, fault_text, json_object, json_response, unknown_keys
from llmclf.server.guard import check_may_ask
from llmclf.server.health import Health
from llmclf.types import Conversation
from llmclf.workspace.verbs import record

MAX_BODY = 64 * 1024 * 1024
"""Bytes of a request: a recording of 45 MB as base64."""
MAX_SECONDS = 600.0
_MOST_TURNS = 10**9
_KEYS = ("classifier", "conversation", "messages", "id", "turn", "timeout")


@dataclass(frozen=True)
class Question:
    """What a request asks."""

    classifier: str
    conversation: Conversation
    turn: int | None
    timeout: float | None


class Classifiers:
    """Each classifier of the workspace, loaded once, when it is first asked for."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._loaded: dict[str, asyncio.Task[Classifier]] = {}

    async def get(self, name: str) -> Classifier:
        """The classifier `name`: a name, never a path. Refusal 404 where there is none.

        Loading takes seconds, once: meanwhile others who want it wait, and nobody else does.
        """
        loading = self._loaded.get(name)
        if loading is None:
            loading = self._loaded[name] = asyncio.create_task(asyncio.to_thread(self._load, name))
        try:
            return await asyncio.shield(loading)
        except Exception:
            if self._loaded.get(name) is loading:  # what is mended meanwhile is found the next time
                del self._loaded[name]
            raise

    def _load(self, name: str) -> Classifier:
        folder = self._runtime.workspace
        known = files.listing("classifier", folder)
        if name not in known:
            raise Refusal(404, "there is no such classifier", where="classifier", got=name, fix=nearest(name, known))
        file = files.load_named("classifier", name, folder)
        shots = load_dataset(file.shots_from, folder) if isinstance(file, LlmFile) and file.shots else None
        return load_classifier(name, runtime=self._runtime, shots=shots)


def question_of(body: dict[str, Any]) -> Question:
    """What a body asks; DataError with everything that is wrong with it."""
    problems = unknown_keys(body, _KEYS)
    name, turn, timeout = body.get("classifier"), body.get("turn"), body.get("timeout")
    if not (isinstance(name, str) and name):
        problems.append("`classifier` must be the name of one")
    if turn is not None and not (isinstance(turn, int) and not isinstance(turn, bool) and 0 <= turn < _MOST_TURNS):
        problems.append("`turn` must be a whole number, counted from 0, or left out")
    if timeout is not None and not _is_seconds(timeout):
        problems.append(f"`timeout` must be seconds, above 0 and at most {MAX_SECONDS:g}")
    conversation = _conversation(body, problems)
    if problems or conversation is None:
        raise DataError("can't be answered", where="body", problems=problems)
    return Question(str(name), conversation, turn, timeout)


def _conversation(body: dict[str, Any], problems: list[str]) -> Conversation | None:
    """The conversation of a body; what is wrong with it is added to `problems`."""
    if ("conversation" in body) == ("messages" in body):
        problems.append("give `conversation` or `messages`, one of them")
        return None
    if "conversation" in body:
        parsed = parse_line(json.dumps(body["conversation"]).encode(), Conversation)
        if isinstance(parsed, list):
            problems += [f"conversation: {fault_text(fault)}" for fault in parsed]
            return None
        if any(medium.path is not None for turn in parsed.turns for medium in turn.attachments):
            problems.append("conversation: attachments can't be paths here; send their bytes, as parts of `messages`")
        if "id" in body:
            problems.append("`id` goes with `messages`; a conversation has its own")
        return parsed
    messages, id = body["messages"], body.get("id")
    if not isinstance(messages, list):
        problems.append("`messages` must be a list of chat messages")
        return None
    if id is not None and not (isinstance(id, str) and id.strip() and id.isprintable()):
        problems.append("`id` must be printable text, or left out")
        return None
    try:
        return Conversation.from_messages(messages, id)
    except DataError as error:
        problems += error.problems or (str(error),)
        return None


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MAX_SECONDS


def add_routes(app: Any, runtime: Runtime, token: str | None, health: Health) -> None:
    """Adds /v1/classify to a FastAPI app; `token` None: who reaches the socket from this machine may ask.

    An answer that the store can't keep is given all the same, as it is paid for; `health` is told.
    """
    from starlette.requests import Request

    classifiers = Classifiers(runtime)

    async def classify(request: Request) -> Any:
        check_may_ask(request, token)
        question = question_of(await json_object(request, MAX_BODY))
        try:
            classifier = await classifiers.get(question.classifier)
            prediction = await classifier.aclassify(question.conversation, question.turn, timeout=question.timeout)
        except (DataError, Refusal):
            raise
        except ConfigError as error:  # a missing key, a file with mistakes: whoever asks can't mend it
            return error_response(_of_the_operator(error, question.classifier), 503)
        try:
            await asyncio.to_thread(record, prediction, question.conversation, classifier, runtime=runtime)
        except StoreError:
            health.lost()
        return json_response(prediction.to_dict())

    app.add_route("/v1/classify", classify, methods=["POST"])


def _of_the_operator(error: ConfigError, classifier: str) -> ConfigError:
    """The same with all its parts; a lone problem, such as a missing key, is what is wrong."""
    alone = len(error.problems) == 1
    what = f"{error.what}: {error.problems[0]}" if alone else error.what
    where = error.where or f"classifier {classifier}"
    fix = error.fix or "it must be mended where the server runs; then ask again"
    return ConfigError(what, where=where, got=error.got, fix=fix, problems=() if alone else error.problems)
