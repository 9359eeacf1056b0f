"""serve."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from llmclf.cli.common import MaxUsdOption, StoreOption, store_path, tell, workspace

HostOption = Annotated[
    str,
    typer.Option("--host", help="Where to listen. Other than loopback needs a token in LLMCLF_SERVE_TOKEN."),
]
PortOption = Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")]
RootPathOption = Annotated[
    str, typer.Option("--root-path", help="What a proxy puts before every address, such as /llmclf.")
]


def serve(
    host: HostOption = "127.0.0.1",
    port: PortOption = 8321,
    store: StoreOption = None,
    max_usd: MaxUsdOption = None,
    root_path: RootPathOption = "",
) -> None:
    """Answer over HTTP: POST /v1/classify, GET /healthz, the pages of sessions, and what is strange under /reasons.

    Ends with Ctrl-C or SIGTERM.
    """
    from llmclf.server.app import make_app
    from llmclf.server.auth import serve_token
    from llmclf.server.running import serve as run_server

    token = serve_token(host)
    app = make_app(store=store_path(store), workspace=workspace(), token=token, root_path=root_path, max_usd=max_usd)

    def ready(url: str) -> None:
        asks = "asks for the token" if token else "asks for no token: whoever is on this machine may call it"
        tell(f"llmclf answers at {url}   (/v1 {asks})")
        beside = "" if store is None else f" --store {shlex.quote(str(store))}"
        tell(f"links to label: llmclf calibrate label SESSION --links-only --url {url}{beside}")

    run_server(app, host, port, on_ready=ready)
