"""Vendors by litellm. Its own retries, silent parameter drops and `.env` loading are off."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmclf.config import Media, PriceRow, VendorRow
from llmclf.errors import ModelError
from llmclf.llm.capabilities import Capabilities, ThinkingRow
from llmclf.llm.model import Answer, Model, Output, Request, Thinking
from llmclf.llm.prices import Price, map_entry, price_of
from llmclf.llm.routes.base import Route
from llmclf.llm.routes.faults import model_error
from llmclf.llm.routes.litellm_answer import completion_answer
from llmclf.llm.routes.litellm_library import close_clients, is_loaded, load_litellm
from llmclf.llm.routes.litellm_map import drops_audio, modalities_of, nearest_models, wants_sign_in
from llmclf.llm.routes.litellm_probe import LitellmProbe
from llmclf.llm.routes.litellm_responses import (
    INFIX,
    reasoning_of,
    responses_answer,
    responses_arguments,
    responses_model,
)
from llmclf.llm.routes.parts import content_parts, with_data
from llmclf.llm.thinking import SETTINGS, Chosen, choose, family_of, generic_arguments, sample_of, taken_words

__all__ = ["LitellmRoute", "load_litellm"]

_SUMMARY_VENDORS = ("openai", "azure")
_BASE_VARIABLES = {
    "openai": ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    "anthropic": ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"),
    "fireworks_ai": ("FIREWORKS_API_BASE",),
    "ollama_chat": ("OLLAMA_API_BASE",),
    "vertex_ai": ("VERTEXAI_API_BASE", "VERTEX_API_BASE"),
}
"""Where litellm looks for a base URL, in its order; for other vendors in VENDOR_API_BASE."""
_NO_SUMMARY = re.compile(r"summar|must be verified|verify (?:your )?organi[sz]ation", re.IGNORECASE)
_LOGPROBS = {"logprobs": True, "top_logprobs": 20}
_FORMS = (Output("json", schema={"type": "object"}), Output("letter", choices=("a", "b")), Output("text"))
"""One output of each kind, to see what would be sent for it."""
_CLIENT_SECONDS = 86_400.0


class LitellmRoute(Route):
    """One vendor's model, by litellm's `acompletion`, or `aresponses` where a summary of the reasoning is to be had."""

    name = "litellm"
    leaves_machine = True

    def __init__(self, model_id: str, row: VendorRow | None, prices: Mapping[str, PriceRow]) -> None:
        self.model_id = model_id
        self.row = row
        self.litellm_model = row.litellm_model if row else model_id
        self._prices = prices
        self._probe = LitellmProbe(self.litellm_model, effort_is_taken=row is not None)
        self._entry: Mapping[str, Any] = map_entry(self._probe.model) or {}
        self._optional: dict[tuple[Model, str], dict[str, Any]] = {}
        self._choices: dict[Thinking, Chosen] = {}
        self._sent_texts: dict[str, str] = {}
        self._capabilities: Capabilities | None = None

    def unsupported(self, model: Model) -> list[str]:
        """An unknown model, a thinking setting that would be lost on the way, a body that would be refused."""
        if not self._is_known:
            hint = nearest_models(self.model_id)
            return [f"there is no model {self.model_id!r} in litellm's map ({hint}); give it a row in models.toml"]
        if wants_sign_in(self.litellm_model):
            return [f"{self.model_id} wants somebody to sign in by a browser, which llmclf does not do"]
        return self._row_problems() or self._thinking_problems(model) or self._body_problems(model)

    def capabilities(self) -> Capabilities:
        """What the model takes, by litellm's map, by what litellm would send, or by the row."""
        if self._capabilities is None:
            schema = self.row.json_schema if self.row else bool(self._entry.get("supports_response_schema"))
            logprobs = (self.row is None or self.row.logprobs) and not self._is_responses_only
            entry = {} if self.row and self.row.api_base else self._entry
            self._capabilities = Capabilities(
                thinking=self._thinking_rows(),
                modalities=self._modalities(),
                json_schema=schema,
                logprobs=logprobs and not self._probe.refusal(_LOGPROBS),
                temperature=not self._probe.refusal({"temperature": 0.0}),
                context_tokens=_whole(entry.get("max_input_tokens")),
                output_tokens=_whole(entry.get("max_output_tokens")),
            )
        return self._capabilities

    def missing_keys(self) -> list[str]:
        """The environment variables that litellm, or the row, wants a key in."""
        if not self._is_known or wants_sign_in(self.litellm_model):
            return []
        if self.row and self.row.key_env:
            missing = [] if os.environ.get(self.row.key_env) else [self.row.key_env]
        else:
            missing = load_litellm().validate_environment(self._probe.model)["missing_keys"]
            if self.row and self.row.api_version:
                missing = [name for name in missing if name != "AZURE_API_VERSION"]
            if self.row and self.row.api_base:
                missing = [name for name in missing if not name.endswith("_BASE")]
        either = all(name.endswith("_API_KEY") for name in missing)  # several names for one key; else all are needed
        return (
            [f"{self.model_id} needs the key in ${(' or $' if either else ' and $').join(missing)}"] if missing else []
        )

    def missing_pieces(self) -> list[str]:
        """The package that litellm's Responses interface needs."""
        if not self._gives_summaries and not self._is_responses_only:
            return []
        if importlib.util.find_spec("mcp") is not None:
            return []
        return [f"{self.model_id} needs the package mcp: pip install mcp"]

    def price(self) -> Price | None:
        """From prices.toml under our name, else the row's own, else litellm's map under its own."""
        row = self.row.price if self.row else None
        return price_of(self.model_id, self._prices, row=row, listed_as=self._probe.model)

    def endpoint(self) -> str:
        """The base URL of the row or of the environment, else the vendor's name."""
        if self.row and self.row.api_base:
            return self.row.api_base
        vendor = self.litellm_model.partition("/")[0]
        return _without_user(_base_of_environment(vendor)) or vendor

    def load(self) -> None:
        """Imports litellm, which takes seconds, once in a process."""
        load_litellm()

    async def prepare(self) -> None:
        """As `load`, on another thread."""
        if not is_loaded():
            await asyncio.to_thread(load_litellm)

    def body(self, request: Request) -> Mapping[str, Any]:
        """The keyword arguments of the call: what decides the answer, without keys and time-outs.

        Pictures and recordings stand in it by their sha256. Raises ModelError where the model takes none.
        """
        self._check_media(request)
        model, output = request.model, request.output
        arguments = {**self._asked(model, output), **self._taken_as_well(model, output)}
        name = self.litellm_model
        if self._by_responses(model, output):
            name = responses_model(name)
            arguments |= self._reasoning(arguments)
        messages = [{"role": message.role, "content": content_parts(message)} for message in request.messages]
        return {"model": name, "messages": messages, **arguments}

    async def send(self, request: Request, body: Mapping[str, Any], timeout: float) -> Answer:
        """One attempt, with one deadline around all of it."""
        litellm = load_litellm()
        by_responses = INFIX in body["model"]
        full = with_data(body, request)
        call, arguments = (
            (litellm.aresponses, responses_arguments(full)) if by_responses else (litellm.acompletion, full)
        )
        extra = {} if by_responses else {"drop_params": False, **self._probe.allowed(body)}
        try:
            async with asyncio.timeout(timeout):
                reply = await call(**arguments, **extra, **self._connection())
        except TimeoutError as error:
            raise ModelError(
                "timeout", f"no answer within {timeout:.1f} s", where=self.model_id, possibly_billed=True
            ) from error
        except Exception as error:  # litellm's errors have no common base; this is the one place they become ours
            key_env = self.row.key_env if self.row else ""
            found = model_error(error, self.model_id, key_env)
            raise _with_way_out(found, body) from None  # the cause may quote the key
        sent_thinking = self._sent_thinking(body)
        if by_responses:
            return responses_answer(reply, self.model_id, sent_thinking)
        return completion_answer(reply, request, self.model_id, sent_thinking)

    async def aclose(self) -> None:
        """Closes the clients that litellm keeps for this event loop."""
        await close_clients()

    # --- what is sent -------------------------------------------------------------------------------------------

    def _connection(self) -> dict[str, Any]:
        """Where to and by which key; no retries, and the same time-out for all.

        litellm keeps a client, with its open connections, for each time-out it is given: `send` has
        the deadline, and what is passed must never differ.
        """
        found: dict[str, Any] = {"timeout": _CLIENT_SECONDS, "num_retries": 0, "max_retries": 0}
        if self.row and self.row.api_base:
            found["api_base"] = self.row.api_base
        elif base := _base_of_environment(self.litellm_model.partition("/")[0]):
            found["api_base"] = base  # so that it goes where `endpoint` says, also where litellm would not look
        if self.row and self.row.key_env:
            found["api_key"] = os.environ.get(self.row.key_env, "")
        if self.row and self.row.api_version:
            found["api_version"] = self.row.api_version
        return found

    def _asked(self, model: Model, output: Output) -> dict[str, Any]:
        """The arguments that stand for a setting or for the form of the answer: they are sent in any case."""
        asked: dict[str, Any] = {"max_tokens": model.output_limit(output)}
        if model.thinking is not None:
            asked |= self._chosen(model.thinking).arguments
        if model.temperature is not None:
            asked["temperature"] = model.temperature
        takes_schema = self.row.json_schema if self.row else self._entry.get("supports_response_schema")
        if output.kind == "json" and takes_schema:
            schema = {"name": "answer", "schema": dict(output.schema), "strict": True}
            asked["response_format"] = {"type": "json_schema", "json_schema": schema}
        return asked

    def _taken_as_well(self, model: Model, output: Output) -> dict[str, Any]:
        """Temperature 0 and log-probabilities, each only where the model takes it together with all the rest."""
        key = (model, output.kind)
        if key not in self._optional:
            asked, found = self._asked(model, output), dict[str, Any]()
            if model.temperature is None and not self._probe.refusal({**asked, "temperature": 0.0}):
                found["temperature"] = 0.0
            wants = output.kind == "letter" and not self._is_responses_only and (self.row is None or self.row.logprobs)
            if wants and not self._probe.refusal({**asked, **found, **_LOGPROBS}):
                found |= _LOGPROBS
            self._optional[key] = found
        return self._optional[key]

    def _by_responses(self, model: Model, output: Output) -> bool:
        """True where the Responses interface is used: it alone is there, or it gives a summary of the reasoning."""
        if self._is_responses_only:
            return True
        thinks = model.thinking != "off" and (
            model.thinking is not None or self._entry.get("default_reasoning_effort") != "none"
        )
        return self._gives_summaries and thinks and output.kind != "letter"  # letters need chat's log-probabilities

    def _reasoning(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The effort that stands in `arguments`, or the vendor's default, with the wish for a summary."""
        effort = {"effort": arguments["reasoning_effort"]} if "reasoning_effort" in arguments else {}
        wish = {"summary": "auto"} if self._gives_summaries and effort.get("effort") != "none" else {}
        return {"reasoning_effort": {**effort, **wish}} if effort or wish else {}

    def _sent_thinking(self, body: Mapping[str, Any]) -> str:
        """What stands in the request for thinking, as JSON text."""
        asked = {name: body[name] for name in ("reasoning_effort", "thinking") if name in body}
        if INFIX in body["model"]:
            return json.dumps({"reasoning": reasoning_of(asked)} if asked else {})
        key = json.dumps(asked)
        if key not in self._sent_texts:
            self._sent_texts[key] = json.dumps(self._probe.added(asked) if asked else {})
        return self._sent_texts[key]

    # --- what is taken ------------------------------------------------------------------------------------------

    @property
    def _is_known(self) -> bool:
        return self.row is not None or map_entry(self.model_id) is not None

    @property
    def _is_responses_only(self) -> bool:
        return INFIX in self.litellm_model or self._entry.get("mode") == "responses"

    @property
    def _gives_summaries(self) -> bool:
        if self.row:
            return self.row.reasoning_summary
        elsewhere = bool(_base_of_environment("openai"))
        if elsewhere or not self.litellm_model.startswith("openai/") or not self._entry.get("supports_reasoning"):
            return False
        return self._chosen("medium").row.status != "unsupported"

    def _modalities(self) -> tuple[Media, ...]:
        if self.row:
            return self.row.modalities
        return modalities_of(self.litellm_model, self._entry)

    def _check_media(self, request: Request) -> None:
        kinds = dict.fromkeys(media.kind for message in request.messages for media in message.media)
        taken = self._modalities() if kinds else ()
        for kind in kinds:
            if kind not in taken:
                raise ModelError("bad_request", f"it takes {', '.join(taken)} and no {kind}", where=self.model_id)

    def _chosen(self, thinking: Thinking) -> Chosen:
        """What a thinking setting comes to."""
        if thinking not in self._choices:
            found = choose(self._probe.model, thinking, self._entry, self._probe.added)
            self._choices[thinking] = self._by_row(self.row, thinking, found) if self.row else found
        return self._choices[thinking]

    def _by_row(self, row: VendorRow, thinking: Thinking, found: Chosen) -> Chosen:
        """A row lists what its endpoint takes; what litellm makes of it must still be that."""
        if thinking not in row.thinking:
            return Chosen(ThinkingRow("unsupported", "", "the row in models.toml does not list it"), {})
        if found.row.status == "unsupported":
            arguments = generic_arguments(thinking)
            sent = self._probe.added(arguments)
            if isinstance(sent, str) or sent.get("reasoning_effort") != arguments.get("reasoning_effort"):
                return found
            return Chosen(ThinkingRow("unverified", json.dumps(sent), "as the row says"), arguments)
        if row.api_base and found.row.status == "exact":
            return Chosen(ThinkingRow("unverified", found.row.sent, "as the row says"), found.arguments)
        return found

    def _thinking_rows(self) -> dict[str, ThinkingRow]:
        rows = {setting: sample_of(setting, self._chosen) for setting in SETTINGS}
        if not self._gives_summaries and not self._is_responses_only:
            return rows
        changed = [setting for setting in rows if setting != "off" or self._is_responses_only]
        return rows | {name: replace(rows[name], sent=self._sent_by_responses(rows[name].sent)) for name in changed}

    def _sent_by_responses(self, sent: str) -> str:
        """What the Responses interface is sent where chat is sent `sent`."""
        asked = json.loads(sent) if sent else {}
        return json.dumps({"reasoning": reasoning_of(self._reasoning(asked))}) if asked else sent

    def _thinking_problems(self, model: Model) -> list[str]:
        if model.thinking is None:
            return []
        row = self._chosen(model.thinking).row
        if row.status != "unsupported":
            return []
        taken = taken_words(self._thinking_rows(), None if self.row else family_of(self._probe.model))
        takes = f"takes thinking {taken}" if taken else "takes no thinking setting: leave `thinking` out"
        return [f"{self.model_id} {takes}; got {model.thinking!r}" + (f" ({row.note})" if row.note else "")]

    def _body_problems(self, model: Model) -> list[str]:
        """What litellm or the vendor would refuse of the bodies that this route makes for `model`."""
        found = []
        for output in _FORMS:
            refusal = self._probe.refusal({**self._asked(model, output), **self._taken_as_well(model, output)})
            found += [f"{self.model_id} would be refused: {refusal}"] if refusal else []
        return list(dict.fromkeys(found))

    def _row_problems(self) -> list[str]:
        """What a row promises and its vendor can't give."""
        found: list[str] = []
        if self.row is None:
            return found
        name = f"{self.model_id} can't have"
        refusal = self._probe.refusal(_LOGPROBS) if self.row.logprobs else ""
        if refusal:
            found.append(f"{name} `logprobs = true` in models.toml: {refusal}")
        if self.row.reasoning_summary and not self.litellm_model.startswith(_SUMMARY_VENDORS):
            found.append(f"{name} `reasoning_summary = true` in models.toml: only OpenAI's interface gives one")
        if "audio" in self.row.modalities and drops_audio(self.litellm_model):
            found.append(f"{name} audio among its `modalities` in models.toml: recordings for Claude would be dropped")
        return found


def _with_way_out(error: ModelError, body: Mapping[str, Any]) -> ModelError:
    """The error, with what to do where the vendor gives no summary of the reasoning to this account."""
    asked = reasoning_of(body) if INFIX in body["model"] else {}
    if "summary" not in asked or not _NO_SUMMARY.search(error.what):
        return error
    return ModelError(
        error.kind,
        error.what,
        where=error.where,
        fix="give the model a row in models.toml with reasoning_summary = false",
        status=error.status,
        retry_after=error.retry_after,
        possibly_billed=error.possibly_billed,
    )


def _base_of_environment(vendor: str) -> str:
    """The base URL that a variable of the environment names for a vendor, or empty."""
    names = _BASE_VARIABLES.get(vendor, (f"{vendor.upper()}_API_BASE",))
    return next((base for name in names if _without_user(base := os.environ.get(name, ""))), "")


def _without_user(url: str) -> str:
    """A base URL as it may be kept: no user, key or query."""
    scheme, _, rest = url.partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}".rstrip("/") if rest else ""


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
