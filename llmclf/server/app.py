"""Which address leads where."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from llmclf.calibration.desk import Desk
from llmclf.errors import LlmclfError, MissingPieceError
from llmclf.llm.runtime import Runtime
from llmclf.server import classifying, labelling, pages
from llmclf.server.answers import Refusal, error_response
from llmclf.server.guard import HEADERS, Guard
from llmclf.store import Store


def make_app(
    *,
    store: str | Path | Store,
    workspace: str | Path | None = None,
    session_id: str | None = None,
    token: str | None = None,
    root_path: str = "",
    max_usd: float | None = None,
    concurrency: int = 64,
) -> Any:
    """The FastAPI app of `llmclf serve`, with one runtime, which is closed when the app ends.

    `token` is what /v1 asks for; without one only names of this machine are answered to, and `serve` listens at
    loopback only. `session_id` lets in the links of that session alone. `root_path` is what a proxy puts before
    every address. `max_usd` caps what this process spends; the workspace's caps hold as well.

    Raises MissingPieceError where fastapi is not installed, and what `Runtime` raises.
    """
    fastapi = _fastapi()
    from starlette.exceptions import HTTPException

    runtime = Runtime(store, max_usd=max_usd, workspace=workspace, concurrency=concurrency)

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        with runtime:
            yield

    root_path = "/" + root_path.strip("/") if root_path.strip("/") else ""
    app = fastapi.FastAPI(title="llmclf", openapi_url=None, lifespan=lifespan, redirect_slashes=False)
    app.add_middleware(Guard, local_names_only=token is None, root_path=root_path)
    app.add_exception_handler(LlmclfError, _our_error)
    app.add_exception_handler(HTTPException, _no_such_address)
    app.add_exception_handler(Exception, _fault)
    classifying.add_routes(app, runtime, token)
    labelling.add_routes(app, labelling.Labelling(Desk(runtime.store), session_id))
    app.add_route("/", _root, methods=["GET"])
    app.state.has_token = token is not None
    app.state.root_path = root_path
    return app


async def _root(request: Any) -> Any:
    return labelling.html_response(pages.front_page())


async def _our_error(request: Any, error: Any) -> Any:
    return error_response(error)


async def _no_such_address(request: Any, error: Any) -> Any:
    if "text/html" in request.headers.get("accept", ""):
        return labelling.html_response(pages.nothing_here(), error.status_code)
    return error_response(Refusal(error.status_code, str(error.detail), where=request.method))


async def _fault(request: Any, error: Exception) -> Any:
    """A fault of ours: the log has it, whoever asked learns only that there was one. Outside of the guard."""
    answer = error_response(LlmclfError("something went wrong here", fix="the log of the server has more"), 500)
    answer.headers.update(HEADERS)
    return answer


def _fastapi() -> Any:
    try:
        import fastapi
    except ImportError as error:
        raise MissingPieceError("fastapi is not installed", fix="pip install 'llmclf[serve]'") from error
    return fastapi
