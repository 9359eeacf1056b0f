"""How many tokens a text is, before anything is sent. Offline."""

from __future__ import annotations

import importlib.util
import os
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

_O200K_FILE = "fb374d419588a4632f3f557e76b4b70aebbca790"
"""The name under which tiktoken looks for o200k_base in its cache; litellm's wheel has it there."""

FOREIGN_FACTOR = 1.5
"""Other vendors' tokenizers may need so many times more tokens than o200k_base."""


class Tokens(NamedTuple):
    """A count that is known to lie between two numbers."""

    low: int
    high: int


def count_tokens(text: str, model: str) -> Tokens:
    """The tokens of `text` for a model: exact for OpenAI's, up to 1.5 times more for other vendors'.

    Without the tokenizer file: a quarter of the bytes, to every byte.
    """
    counted = _o200k_count(text)
    if counted is None:
        size = len(text.encode())
        return Tokens(-(-size // 4), size)
    exact = model.startswith("openai/")
    return Tokens(counted, counted if exact else min(len(text.encode()), round(counted * FOREIGN_FACTOR)))


def tokens_by() -> str:
    """How the counts are made, in words."""
    if _encoding() is None:
        return "bytes (no tokenizer file is installed)"
    return f"tiktoken's o200k_base; for other vendors than OpenAI up to {FOREIGN_FACTOR:g} times as many"


@lru_cache(maxsize=8192)  # cells of one sweep share most of their texts
def _o200k_count(text: str) -> int | None:
    encoding = _encoding()
    # as plain text: a customer may well write "<|endoftext|>"
    return None if encoding is None else len(encoding.encode(text, disallowed_special=()))


@cache
def _encoding() -> Any:
    """tiktoken's o200k_base from the copy inside litellm's package; None where it is not there."""
    spec = importlib.util.find_spec("litellm")  # does not import it
    folder = Path(spec.origin).parent / "litellm_core_utils" / "tokenizers" if spec and spec.origin else None
    if folder is None or not (folder / _O200K_FILE).is_file() or importlib.util.find_spec("tiktoken") is None:
        return None
    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)  # read while loading; anything else would ask the network
    try:
        import tiktoken

        return tiktoken.get_encoding("o200k_base")
    finally:
        if before is None:
            del os.environ["TIKTOKEN_CACHE_DIR"]
        else:
            os.environ["TIKTOKEN_CACHE_DIR"] = before
