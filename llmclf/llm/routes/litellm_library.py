"""The package litellm: imported at first use, kept offline and quiet, its connections closed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
import warnings
from typing import Any

_IMPORTING = threading.Lock()
_loaded = threading.Event()


def load_litellm() -> Any:
    """litellm, imported at first use (it takes seconds), kept offline and quiet."""
    with _IMPORTING:
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it asks the network at import
        os.environ.setdefault("LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS", "True")  # else Claude's first call does
        os.environ.setdefault("LITELLM_MODE", "PRODUCTION")  # else it loads .env files into the environment
        if "litellm" in sys.modules:
            import litellm
        else:
            with warnings.catch_warnings():  # it sets filters of its own for the whole process
                warnings.simplefilter("ignore")
                # litellm imports it at the first call, in two threads at once: one then finds it half made
                with contextlib.suppress(ImportError):
                    import httpx2  # noqa: F401
                import litellm

                litellm.ModelResponse()  # pydantic warns when it builds this class, at its first use
        if not _loaded.is_set():  # pydantic quotes what it did not expect of an answer
            warnings.filterwarnings("ignore", "Pydantic serializer warnings", UserWarning)
        litellm.suppress_debug_info = True
        if not _loaded.is_set() and "LITELLM_LOG" not in os.environ:
            for name in ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router"):  # their lines quote answers, also as errors
                logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        _loaded.set()
        return litellm


def is_loaded() -> bool:
    """True once `load_litellm` has returned in this process."""
    return _loaded.is_set()


async def close_clients() -> None:
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
