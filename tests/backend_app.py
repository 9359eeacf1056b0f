"""A product's backend, as small as it can be: a FastAPI app that asks a classifier about each conversation.

Run by `uvicorn backend_app:app` in a workspace; the store is $STORE, the cap $MAX_USD.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

import llmclf


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One runtime for the life of the process."""
    with llmclf.Runtime(
        os.environ["STORE"], workspace=".", max_usd=float(os.environ["MAX_USD"]), concurrency=64
    ) as runtime:
        app.state.classifier = llmclf.load_classifier("direct", runtime=runtime)
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/classify")
async def classify(body: dict[str, Any]) -> dict[str, Any]:
    """The prediction for a list of chat messages."""
    conversation = llmclf.Conversation.from_messages(body["messages"])
    prediction = await app.state.classifier.aclassify(conversation, timeout=body.get("timeout", 10.0))
    await asyncio.to_thread(llmclf.record, prediction, conversation, app.state.classifier)
    return {
        "label": prediction.label,
        "error": prediction.error.kind if prediction.error else None,
        "pid": os.getpid(),
    }
