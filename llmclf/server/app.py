"""Which address leads where."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

from llmclf.calibration.desk import Desk
from llmclf.errors import LlmclfError, MissingPieceError, StoreError
from llmclf.llm.runtime import Runtime
from llmclf.server import classifying, health, labelling, pages, reasons
from llmclf.server.answers import Refusal, error_response
from llmclf.server.guard import HEADERS, Guard
from llmclf.store import Store


def make_app(
    *,
    store: str | Path | Store,
    workspace: str | Path | None = None,
    token: str | None = None,
    root_path: str = "",
    max_usd: float | None = None,
    concurrency: int = 64,
) -> Any:
    """The FastAPI app of `llmclf serve`, with one runtime, which is closed when the app ends.

    `token` is what /v1 asks for; without one only names of this machine are answered to, and `serve` listens at
    loopback only. `root_path` is what a proxy puts before every address. `max_usd` caps what this process spends;
    the workspace's caps hold as well.

    Raises MissingPieceError where fastapi is not installed, and what `Runtime` raises.
    """
    _fastapi()  # before anything is opened
    runtime = Runtime(store, max_usd=max_usd, workspace=workspace, concurrency=concurrency)
    app = _app(runtime.store, runtime, None, for_others=token is not None, root_path=root_path)
    classifying.add_routes(app, runtime, token, app.state.health)
    reasons.add_routes(app, runtime.store, token)
    return app


def make_label_app(store: Store, session_id: str, *, for_others: bool = False, root_path: str = "") -> Any:
    """The FastAPI app of `llmclf calibrate label`: the pages of one session, and no classifier to ask.

    `for_others` answers also to names that are not this machine's. The store stays open in the end. Raises
    MissingPieceError where fastapi is not installed.
    """
    return _app(store, nullcontext(), session_id, for_others=for_others, root_path=root_path)


def _app(
    store: Store, opened: AbstractContextManager[Any], session_id: str | None, *, for_others: bool, root_path: str
) -> Any:
    """What both have: the pages of sessions (of one, or None: of all) and /healthz; ends `opened` in the end."""
    fastapi = _fastapi()
    from starlette.exceptions import HTTPException

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        with opened:
            yield

    async def root(request: Any) -> Any:
        return labelling.html_response(pages.front_page(classifies=session_id is None))

    state = health.Health(store)

    async def our_error(request: Any, error: Any) -> Any:
        if isinstance(error, StoreError):
            state.failed()
        return error_response(error)

    async def no_such_address(request: Any, error: Any) -> Any:
        if "text/html" in request.headers.get("accept", ""):
            return labelling.html_response(pages.nothing_here(), error.status_code)
        answer = error_response(_misplaced(request, error, classifies=session_id is None))
        answer.headers.update(error.headers or {})  # a wrong method: which are right
        return answer

    root_path = "/" + root_path.strip("/") if root_path.strip("/") else ""
    app = fastapi.FastAPI(title="llmclf", openapi_url=None, lifespan=lifespan, redirect_slashes=False)
    app.add_middleware(Guard, local_names_only=not for_others, root_path=root_path)
    app.add_exception_handler(LlmclfError, our_error)
    app.add_exception_handler(HTTPException, no_such_address)
    app.add_exception_handler(Exception, _fault)
    health.add_routes(app, state)
    labelling.add_routes(app, labelling.Labelling(Desk(store), session_id))
    app.add_route("/", root, methods=["GET"])
    app.state.health = state
    app.state.for_others = for_others
    app.state.root_path = root_path
    return app


def _misplaced(request: Any, error: Any, *, classifies: bool) -> Refusal:
    """Why nothing answers to a method and an address, and which there are."""
    path = request.url.path
    if error.status_code == 405:
        methods = (error.headers or {}).get("Allow", "")
        return Refusal(405, "the address takes another method", where=path, got=request.method, fix=f"send {methods}")
    ask = "POST /v1/classify asks a classifier, " if classifies else ""
    fix = f"{ask}GET /healthz says how the server is; to label, open the link you were given"
    return Refusal(error.status_code, "there is nothing at this address", where="address", got=path, fix=fix)


async def _fault(request: Any, error: Exception) -> Any:
    """A fault of ours: the log has it, whoever asked learns only that there was one. Outside of the guard."""
    answer = error_response(
        LlmclfError("something went wrong here", where="server", fix="the log of the server has more"), 500
    )
    answer.headers.update(HEADERS)
    return answer


def _fastapi() -> Any:
    try:
        import fastapi
    except ImportError as error:
        raise MissingPieceError("fastapi is not installed", fix="pip install 'llmclf[serve]'") from error
    return fastapi
