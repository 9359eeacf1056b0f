"""What litellm would send for given arguments, found out without sending anything."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping
from typing import Any

from llmclf.llm.routes.faults import cut
from llmclf.llm.routes.litellm_library import load_litellm
from llmclf.llm.routes.litellm_map import wants_sign_in

_ADVICE = re.compile(r"\s*(?:To drop |If you want to |set `?litellm\.drop_params).*", re.DOTALL)
_ROOM = {"max_tokens": 65536}


class LitellmProbe:
    """Asks litellm about one model, offline."""

    def __init__(self, litellm_model: str, *, effort_is_taken: bool) -> None:
        self.model = litellm_model.replace("/responses/", "/", 1)
        self.effort_is_taken = effort_is_taken
        """True where a row says that its endpoint takes a level of thinking, so litellm need not know."""
        self._refuses_effort: bool | None = None

    def sent(self, arguments: Mapping[str, Any]) -> dict[str, Any] | str:
        """What litellm would send for `arguments`, or its words where it refuses them."""
        return self._made(arguments, **self.allowed(arguments))

    def _made(self, arguments: Mapping[str, Any], **more: Any) -> dict[str, Any] | str:
        if wants_sign_in(self.model):  # litellm would ask its server at once
            return "it wants somebody to sign in by a browser"
        litellm = load_litellm()
        try:
            model, vendor, _, _ = litellm.get_llm_provider(self.model)
            found: dict[str, Any] = litellm.utils.get_optional_params(
                model=model,
                custom_llm_provider=vendor,
                drop_params=False,
                **more,
                **copy.deepcopy(dict(arguments)),  # it may change them
            )
        except Exception as error:  # any refusal means: not taken
            words = str(error).partition("Error: ")[2] or str(error)
            return cut(_ADVICE.sub("", words)) or type(error).__name__
        return found

    def added(self, arguments: Mapping[str, Any]) -> dict[str, Any] | str:
        """What `arguments` put into a request that is not there without them, or litellm's words."""
        sent, without = self.sent({**_ROOM, **arguments}), self.sent(_ROOM)
        if isinstance(sent, str) or isinstance(without, str):
            return sent if isinstance(sent, str) else str(without)
        return {key: value for key, value in sent.items() if key not in without or without[key] != value}

    def refusal(self, arguments: Mapping[str, Any]) -> str:
        """Why a call with `arguments` would be refused, or empty."""
        sent = self.sent(arguments)
        return sent if isinstance(sent, str) else _claude_refusal(self.model, sent)

    def allowed(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """litellm's argument that lets a level of thinking pass where a row vouches for it."""
        return {"allowed_openai_params": ["reasoning_effort"]} if self._vouched(arguments) else {}

    def _vouched(self, arguments: Mapping[str, Any]) -> bool:
        """Only where litellm would refuse every level: else it would send the level beside what it makes of it."""
        if not self.effort_is_taken or "reasoning_effort" not in arguments:
            return False
        if self._refuses_effort is None:
            self._refuses_effort = isinstance(self._made({**_ROOM, "reasoning_effort": "low"}), str)
        return self._refuses_effort


def _claude_refusal(model: str, sent: Mapping[str, Any]) -> str:
    """What Anthropic refuses of a thinking Claude and litellm lets pass, or empty."""
    thinking = sent.get("thinking")
    if "claude" not in model or not isinstance(thinking, Mapping) or thinking.get("type") == "disabled":
        return ""
    if sent.get("temperature", 1) != 1:
        return f"Claude takes temperature 1 alone while it thinks, not {sent['temperature']}"
    budget, limit = thinking.get("budget_tokens", 0), sent.get("max_tokens", math.inf)
    return f"the output limit of {limit} leaves no room beside {budget} tokens of thinking" if budget >= limit else ""
