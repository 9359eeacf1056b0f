"""llama.cpp in this process: any GGUF file, no key, no network."""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib.util
import json
import math
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmclf.config import LocalRow
from llmclf.errors import ErrorKind, LlmclfError, MissingPieceError, ModelError
from llmclf.llm.capabilities import Capabilities, ThinkingRow
from llmclf.llm.model import Answer, Model, Request
from llmclf.llm.prices import FREE, Price
from llmclf.llm.routes.base import Route
from llmclf.llm.thinking import SETTINGS
from llmclf.llm.weights import own_path, weights_path
from llmclf.types import Usage

_STARTED_IN: set[int] = set()  # processes in which llama.cpp ran: ending it in a forked child hangs or aborts
_INSTALL = "pip install 'llmclf[local]'"
_STATUS_TO_KIND: dict[int, ErrorKind] = {400: "bad_request", 404: "not_found", 429: "rate_limited", 503: "unavailable"}


class LocalRoute(Route):
    """One model of this process. Weights are loaded at the first call and given back by `aclose`."""

    name = "local"

    def __init__(self, model_id: str, row: LocalRow, workspace: Path | None) -> None:
        self.model_id = model_id
        self.row = row
        self.workspace = workspace
        self._server: Any = None
        self._lock = threading.Lock()
        self._free_slots = asyncio.Semaphore(row.slots)
        self._pool = concurrent.futures.ThreadPoolExecutor(row.slots, thread_name_prefix="llmclf-local")

    def unsupported(self, model: Model) -> list[str]:
        """A thinking setting: llama.cpp's models here take none."""
        if model.thinking in (None, "off"):
            return []
        return [f"{self.model_id} does not think; leave `thinking` out or set it to 'off'"]

    def capabilities(self) -> Capabilities:
        """Words alone; an answer by a grammar, so that it has the form that was asked for."""
        never = ThinkingRow("unsupported", note="llama.cpp's models here don't think")
        off = ThinkingRow("exact", "{}", "it does not think: nothing is sent")
        return Capabilities(
            thinking={setting: off if setting == "off" else never for setting in SETTINGS},
            json_schema=True,
            logprobs=True,
            context_tokens=self.row.context_tokens,
            output_tokens=self.row.context_tokens,
        )

    def missing_pieces(self) -> list[str]:
        """The package, or the weights."""
        found = []
        if importlib.util.find_spec("xllamacpp") is None:
            found.append(f"{self.model_id} needs the package xllamacpp: {_INSTALL}")
        try:
            weights_path(self.model_id, self.row, self.workspace)
        except MissingPieceError as error:
            found.append(str(error))
        return found

    def price(self) -> Price:
        """Nothing: it runs on this machine."""
        return FREE

    def endpoint(self) -> str:
        """The weights are the endpoint: other weights are another question."""
        if self.row.weights:
            return f"local:{self.row.weights.sha256}"
        try:
            found = own_path(self.row, self.workspace).stat()
        except OSError:
            return f"local:{self.row.path}"
        return f"local:{self.row.path}:{found.st_size}:{found.st_mtime_ns}"

    def body(self, request: Request) -> Mapping[str, Any]:
        """An OpenAI-style chat body, with a grammar that admits only a letter, or a JSON schema, or neither."""
        body: dict[str, Any] = {
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            "max_tokens": request.model.output_limit(request.output),
            "temperature": request.model.temperature or 0.0,
            "seed": request.repeat,
            "cache_prompt": True,
        }
        if request.output.kind == "letter":
            grammar = " | ".join(f'"{letter}"' for letter in request.output.letters)
            # top_logprobs are of the whole vocabulary, before the grammar; letters are picked out later
            body |= {"max_tokens": 1, "grammar": f"root ::= {grammar}", "logprobs": True, "top_logprobs": 100}
        elif request.output.kind == "json":
            schema = {"name": "answer", "schema": request.output.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    async def send(self, request: Request, body: Mapping[str, Any], timeout: float) -> Answer:
        """One answer from llama.cpp, on a thread of its own. The time-out counts from when a slot is free."""
        await self._free_slots.acquire()
        asked = asyncio.get_running_loop().run_in_executor(self._pool, self._ask, dict(body))
        asked.add_done_callback(self._slot_is_free)  # which may be after the time-out: llama.cpp can't be stopped
        try:
            async with asyncio.timeout(timeout):
                reply, seconds = await asyncio.shield(asked)
        except TimeoutError:
            raise ModelError("timeout", f"no answer within {timeout:.1f} s", where=self.model_id) from None
        if "error" in reply:
            raise _model_error(self.model_id, reply["error"])
        return _answer(reply, request, seconds)

    async def aclose(self) -> None:
        """Stops llama.cpp and frees the weights."""
        self._pool.shutdown(wait=True)
        with self._lock:
            self._server = None

    def _slot_is_free(self, asked: asyncio.Future[tuple[dict[str, Any], float]]) -> None:
        self._free_slots.release()
        if not asked.cancelled():
            asked.exception()  # whoever still waits sees it; else it is of no interest

    def _ask(self, body: dict[str, Any]) -> tuple[dict[str, Any], float]:
        """(reply, seconds): without the wait for a free slot and for the weights, which is not the model's."""
        server = self._loaded()
        started = time.monotonic()
        return server.handle_chat_completions(body), time.monotonic() - started

    def _loaded(self) -> Any:
        with self._lock:
            if self._server is None:
                self._server = _start(self.model_id, self.row, weights_path(self.model_id, self.row, self.workspace))
            return self._server


def _start(model_id: str, row: LocalRow, weights: Path) -> Any:
    if _STARTED_IN and os.getpid() not in _STARTED_IN:
        raise LlmclfError(
            "llama.cpp can't be used in a child that was forked from a process that used it",
            where=model_id,
            fix="start the child anew (with multiprocessing: the method 'spawn')",
        )
    # libgomp reads these when it is loaded; with its default spinning two threads are ten times slower
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    try:
        import xllamacpp
    except ImportError as error:
        raise MissingPieceError("it needs the package xllamacpp", where=model_id, fix=_INSTALL) from error

    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = [model_id]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [os.urandom(16).hex()]  # llama.cpp opens a port on loopback; nobody else is to use it
    params.n_parallel = row.slots
    params.n_ctx = row.context_tokens * row.slots
    params.n_batch = params.n_ubatch = 512
    threads = max(1, min(8, os.cpu_count() or 1))
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.verbosity = -1
    params.warmup = False
    params.cache_ram_mib = 64
    _STARTED_IN.add(os.getpid())
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise MissingPieceError(
            "llama.cpp can't load the weights (cut short, or of a kind it does not know)",
            where=model_id,
            got=str(weights),
            fix="get the file again",
        ) from error


def _model_error(model_id: str, error: Mapping[str, Any]) -> ModelError:
    kind = _STATUS_TO_KIND.get(int(error.get("code", 500)), "internal")
    if error.get("type") == "exceed_context_size_error":
        kind = "context_overflow"
    fix = "set last_turns in the classifier, or context_tokens in models.toml" if kind == "context_overflow" else ""
    return ModelError(kind, str(error.get("message", "unknown error"))[:200], where=model_id, fix=fix)


def _answer(reply: Mapping[str, Any], request: Request, seconds: float) -> Answer:
    choice = reply["choices"][0]
    counts = reply.get("usage") or {}
    details = counts.get("prompt_tokens_details") or {}
    usage = Usage(counts.get("prompt_tokens"), details.get("cached_tokens"), counts.get("completion_tokens"), 0)
    finish = choice.get("finish_reason") or "stop"
    logprobs = None
    if request.output.kind == "letter":
        finish = "stop"  # one token was asked for, so every answer ends by length
        logprobs = letter_logprobs(choice.get("logprobs"), request.output.letters)
    return Answer(
        choice["message"].get("content") or "",
        finish_reason=finish,
        usage=usage,
        label_logprobs=logprobs,
        sent_thinking=json.dumps({}),
        latency_seconds=seconds,
    )


def letter_logprobs(logprobs: Mapping[str, Any] | None, letters: tuple[str, ...]) -> dict[str, float] | None:
    """The log-probability of each letter in OpenAI-style top logprobs of the first token.

    Tokens count by their text without spaces; several spellings of a letter are summed. A letter
    that is not among them gets the smallest that is listed. What is no log-probability (NaN, above 0)
    does not count. None where no letter is listed.
    """
    content = (logprobs or {}).get("content") or []
    if not content:
        return None
    listed = [entry for entry in content[0].get("top_logprobs") or [content[0]] if _is_logprob(entry.get("logprob"))]
    mass: dict[str, float] = {}
    for entry in listed:
        letter = str(entry.get("token", "")).strip()
        if letter in letters:
            mass[letter] = mass.get(letter, 0.0) + math.exp(min(0.0, entry["logprob"]))
    if not mass:
        return None
    floor = min(math.exp(min(0.0, entry["logprob"])) for entry in listed)
    return {letter: math.log(max(mass.get(letter, floor), 1e-12)) for letter in letters}


def _is_logprob(value: object) -> bool:
    """A number up to 0, or above it by no more than rounding; NaN compares false."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e6 < value < 0.01
