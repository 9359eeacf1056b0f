"""Vendors by litellm. Its own retries, silent parameter drops and `.env` loading are off."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import logging
import math
import os
import re
import sys
import threading
from collections.abc import Mapping
from typing import Any

from llmclf.config import PriceRow, VendorRow
from llmclf.errors import ModelError, nearest
from llmclf.llm.model import Answer, Model, Output, Request
from llmclf.llm.prices import Price, litellm_map, map_entry, price_of
from llmclf.llm.routes.base import Route
from llmclf.llm.routes.faults import cut, model_error
from llmclf.llm.routes.local import letter_logprobs
from llmclf.types import Usage

_EFFORT = {"off": "none", "minimal": "minimal", "low": "low", "medium": "medium", "high": "high", "max": "xhigh"}
_ADVICE = re.compile(r"\s*(?:To drop |If you want to |set `?litellm\.drop_params).*", re.DOTALL)
_IMPORTING = threading.Lock()
_loaded = threading.Event()
_MOST_TOKENS = 50_000_000  # a count above this is a fault of the endpoint, not a bill to believe

_ROOM = {"max_tokens": 65536}
_FORMS = (Output("json", schema={"type": "object"}), Output("letter", choices=("a", "b")))
"""One output of each kind, to see what would be sent for it."""


class LitellmRoute(Route):
    """One vendor's model, by litellm's `acompletion`."""

    name = "litellm"
    leaves_machine = True

    def __init__(self, model_id: str, row: VendorRow | None, prices: Mapping[str, PriceRow]) -> None:
        self.model_id = model_id
        self.row = row
        self.litellm_model = row.litellm_model if row else model_id
        self._prices = prices
        self._optional: dict[tuple[Model, str], dict[str, Any]] = {}

    def unsupported(self, model: Model) -> list[str]:
        """An unknown model, a thinking setting that would be lost on the way, a body that would be refused."""
        if not self._is_known:
            hint = nearest(self.model_id, [name for name in litellm_map() if "/" in name] + _bare_names())
            hint = hint if hint.startswith("did you mean") else "no name comes near"  # it knows thousands
            return [f"there is no model {self.model_id!r} in litellm's map ({hint}); give it a row in models.toml"]
        return self._thinking_problems(model) or self._body_problems(model)

    def missing_keys(self) -> list[str]:
        """The environment variables that litellm, or the row, wants a key in."""
        if not self._is_known:
            return []
        if self.row and self.row.key_env:
            missing = [] if os.environ.get(self.row.key_env) else [self.row.key_env]
        else:
            missing = load_litellm().validate_environment(self.litellm_model)["missing_keys"]
        return [f"{self.model_id} needs the key in ${' and $'.join(missing)}"] if missing else []

    def price(self) -> Price | None:
        """From prices.toml under our name, else litellm's map under its own."""
        return price_of(self.model_id, self._prices) or price_of(self.litellm_model, self._prices)

    def endpoint(self) -> str:
        """The vendor's name, or the base URL of the row."""
        return self.row.api_base if self.row and self.row.api_base else self.litellm_model.partition("/")[0]

    def load(self) -> None:
        """Imports litellm, which takes seconds, once in a process."""
        load_litellm()

    async def prepare(self) -> None:
        """As `load`, on another thread."""
        if not _loaded.is_set():
            await asyncio.to_thread(load_litellm)

    def body(self, request: Request) -> Mapping[str, Any]:
        """The keyword arguments of the call: what decides the answer, without keys and time-outs."""
        return {
            "model": self.litellm_model,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            **self._asked(request.model, request.output),
            **self._taken_as_well(request.model, request.output),
        }

    async def send(self, request: Request, body: Mapping[str, Any], timeout: float) -> Answer:
        """One attempt, with one deadline around all of it."""
        litellm = load_litellm()
        extra: dict[str, Any] = {"timeout": timeout, "num_retries": 0, "max_retries": 0, "drop_params": False}
        if self.row and self.row.api_base:
            extra["api_base"] = self.row.api_base
        if self.row and self.row.key_env:
            extra["api_key"] = os.environ.get(self.row.key_env, "")
        extra |= self._allowed(body)
        try:
            async with asyncio.timeout(timeout):
                reply = await litellm.acompletion(**body, **extra)
        except TimeoutError as error:
            raise ModelError(
                "timeout", f"no answer within {timeout:.1f} s", where=self.model_id, possibly_billed=True
            ) from error
        except Exception as error:  # litellm's errors have no common base; this is the one place they become ours
            key_env = self.row.key_env if self.row else ""
            raise model_error(error, self.model_id, key_env) from None  # the cause may quote the key
        return self._answer(reply, request, body)

    async def aclose(self) -> None:
        """Closes the clients that litellm keeps for this event loop: a later loop may get the same id."""
        if "litellm" not in sys.modules:
            return
        clients = load_litellm().in_memory_llm_clients_cache
        ending = f"-{id(asyncio.get_running_loop())}"
        for key in [key for key in clients.cache_dict if key.endswith(ending)]:
            clients.ttl_dict.pop(key, None)
            client = clients.cache_dict.pop(key)
            with contextlib.suppress(Exception):  # whatever it is, it is not needed any more
                await client.close()

    @property
    def _is_known(self) -> bool:
        return self.row is not None or map_entry(self.model_id) is not None

    def _asked(self, model: Model, output: Output) -> dict[str, Any]:
        """The arguments that stand for a setting or for the form of the answer: they are sent in any case."""
        asked: dict[str, Any] = {"max_tokens": model.output_limit(output), **thinking_arguments(model)}
        if model.temperature is not None:
            asked["temperature"] = model.temperature
        entry = map_entry(self.model_id) or {}
        if output.kind == "json" and (self.row.json_schema if self.row else entry.get("supports_response_schema")):
            schema = {"name": "answer", "schema": dict(output.schema), "strict": True}
            asked["response_format"] = {"type": "json_schema", "json_schema": schema}
        return asked

    def _taken_as_well(self, model: Model, output: Output) -> dict[str, Any]:
        """Temperature 0 and log-probabilities, each only where the model takes it together with all the rest."""
        key = (model, output.kind)
        if key not in self._optional:
            asked, found = self._asked(model, output), dict[str, Any]()
            if model.temperature is None and not self._refusal({**asked, "temperature": 0.0}):
                found["temperature"] = 0.0
            wanted = {"logprobs": True, "top_logprobs": 20}
            if output.kind == "letter" and (self.row is None or self.row.logprobs):
                found |= {} if self._refusal({**asked, **found, **wanted}) else wanted
            self._optional[key] = found
        return self._optional[key]

    def _body_problems(self, model: Model) -> list[str]:
        """What litellm or the vendor would refuse of the bodies that this route makes for `model`."""
        found = []
        for output in _FORMS:
            refusal = self._refusal({**self._asked(model, output), **self._taken_as_well(model, output)})
            found += [f"{self.model_id} would be refused: {refusal}"] if refusal else []
        if self.row and self.row.logprobs:
            refusal = self._refusal({"logprobs": True, "top_logprobs": 20})
            found += [f"{self.model_id} can't have `logprobs = true` in models.toml: {refusal}"] if refusal else []
        return list(dict.fromkeys(found))

    def _thinking_problems(self, model: Model) -> list[str]:
        if model.thinking is None:
            return []
        if self.row:
            if model.thinking in self.row.thinking:
                return []
            return [f"{self.model_id} takes thinking {', '.join(self.row.thinking) or 'none'}; got {model.thinking!r}"]
        sent = self._sent({**_ROOM, **thinking_arguments(model)})
        if isinstance(sent, str):
            return [f"{self.model_id} does not take thinking {model.thinking!r}"]
        if isinstance(model.thinking, int) and str(model.thinking) not in json.dumps(sent):
            return [f"{self.model_id} does not take an exact number of reasoning tokens; use a level"]
        if model.thinking == "off" and not _says_off(sent, map_entry(self.model_id) or {}):
            return [f"{self.model_id} can't be kept from thinking; leave `thinking` out or use a level"]
        if model.thinking not in ("off",) and sent == self._sent(_ROOM):
            return [f"{self.model_id} would silently ignore thinking {model.thinking!r}"]
        return []

    def _refusal(self, arguments: Mapping[str, Any]) -> str:
        """Why a call with `arguments` would be refused, or empty. Offline."""
        sent = self._sent(arguments)
        return sent if isinstance(sent, str) else _claude_refusal(self.litellm_model, sent)

    def _sent(self, arguments: Mapping[str, Any]) -> dict[str, Any] | str:
        """What litellm would send for `arguments`, or its words where it refuses them. Offline."""
        litellm = load_litellm()
        try:
            model, vendor, _, _ = litellm.get_llm_provider(self.litellm_model)
            found: dict[str, Any] = litellm.utils.get_optional_params(
                model=model,
                custom_llm_provider=vendor,
                drop_params=False,
                **self._allowed(arguments),
                **copy.deepcopy(dict(arguments)),  # it may change them
            )
        except Exception as error:  # any refusal means: not taken
            words = str(error).partition("Error: ")[2] or str(error)
            return cut(_ADVICE.sub("", words)) or type(error).__name__
        return found

    def _allowed(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """A row says itself whether its endpoint takes a level of thinking; litellm need not know."""
        return {"allowed_openai_params": ["reasoning_effort"]} if self.row and "reasoning_effort" in arguments else {}

    def _answer(self, reply: Any, request: Request, body: Mapping[str, Any]) -> Answer:
        if not reply.choices:
            raise ModelError("empty", "the answer holds no choice", where=self.model_id, possibly_billed=True)
        choice = reply.choices[0]
        message = choice.message
        refusal = (getattr(message, "provider_specific_fields", None) or {}).get("refusal")
        logprobs = None
        if request.output.kind == "letter":
            raw: Any = getattr(choice, "logprobs", None)
            logprobs = letter_logprobs(raw.model_dump() if hasattr(raw, "model_dump") else raw, request.output.letters)
        thinking = {name: body[name] for name in ("reasoning_effort", "thinking") if name in body}
        return Answer(
            message.content or "",
            reasoning=getattr(message, "reasoning_content", None) or "",
            finish_reason="refusal" if refusal else (choice.finish_reason or "stop"),
            usage=believable_usage(getattr(reply, "usage", None)),
            label_logprobs=logprobs,
            sent_thinking=json.dumps(thinking),
        )


def load_litellm() -> Any:
    """litellm, imported at first use (it takes seconds), kept offline and quiet."""
    with _IMPORTING:
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it asks the network at import
        os.environ.setdefault("LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS", "True")  # else Claude's first call does
        os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # else it loads .env files into the environment
        if "litellm" in sys.modules:
            import litellm
        else:
            import warnings

            with warnings.catch_warnings():  # it sets filters of its own for the whole process
                warnings.simplefilter("ignore")
                import litellm

                litellm.ModelResponse()  # pydantic warns when it builds this class, at its first use
        litellm.suppress_debug_info = True
        if not _loaded.is_set() and "LITELLM_LOG" not in os.environ:
            logging.getLogger("LiteLLM").setLevel(logging.ERROR)  # it warns of settings on every call
        _loaded.set()
        return litellm


def thinking_arguments(model: Model) -> dict[str, Any]:
    """litellm's arguments for a thinking setting; empty for the vendor's default."""
    if model.thinking is None:
        return {}
    if isinstance(model.thinking, int):
        return {"thinking": {"type": "enabled", "budget_tokens": model.thinking}}
    return {"reasoning_effort": _EFFORT[model.thinking]}


def believable_usage(usage: Any) -> Usage:
    """Token counts where they can be true; None for each that is missing, negative, zero or absurd."""
    prompt = _count(getattr(usage, "prompt_tokens", None))
    output = _count(getattr(usage, "completion_tokens", None))
    cached = getattr(getattr(usage, "prompt_tokens_details", None), "cached_tokens", None)
    reasoning = getattr(getattr(usage, "completion_tokens_details", None), "reasoning_tokens", None)
    return Usage(
        prompt,
        cached if isinstance(cached, int) and prompt and 0 <= cached <= prompt else None,
        output,
        reasoning if isinstance(reasoning, int) and output and 0 <= reasoning <= output else None,
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < _MOST_TOKENS else None


def _says_off(sent: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    if not entry.get("supports_reasoning"):
        return True
    text = json.dumps(sent).lower()
    if any(word in text for word in ('"none"', "disabled", '"thinkingbudget": 0', '"thinking_budget": 0')):
        return True
    says_nothing = not any(word in text for word in ("thinking", "reasoning", "effort"))
    return says_nothing and entry.get("litellm_provider") == "anthropic" and not entry.get("thinking_always_on")


def _claude_refusal(model: str, sent: Mapping[str, Any]) -> str:
    """What Anthropic refuses of a thinking Claude and litellm lets pass, or empty."""
    thinking = sent.get("thinking")
    if "claude" not in model or not isinstance(thinking, Mapping) or thinking.get("type") == "disabled":
        return ""
    if sent.get("temperature", 1) != 1:
        return f"Claude takes temperature 1 alone while it thinks, not {sent['temperature']}"
    budget, limit = thinking.get("budget_tokens", 0), sent.get("max_tokens", math.inf)
    return f"the output limit of {limit} leaves no room beside {budget} tokens of thinking" if budget >= limit else ""


def _bare_names() -> list[str]:
    return [
        f"{entry['litellm_provider']}/{name}"
        for name, entry in litellm_map().items()
        if "/" not in name and entry.get("mode") == "chat" and "litellm_provider" in entry
    ]
