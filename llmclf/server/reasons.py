"""Pages of clustered reasons, which quote conversations, and the anomalies as JSON, which do not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from html import escape
from types import MappingProxyType
from typing import Any

from llmclf.errors import ConfigError, shorten
from llmclf.reasons.report_page import reasons_policy
from llmclf.reasons.report_words import moment, reasons_of, short_moment
from llmclf.render.pages import html_page, page_policy
from llmclf.render.tables import counted
from llmclf.server.answers import Refusal, json_response, unknown_keys
from llmclf.server.auth import TOKEN_NAME, is_basic, is_bearer
from llmclf.server.guard import check_may_ask
from llmclf.server.labelling import html_response
from llmclf.server.pages import Page, message_page, served
from llmclf.store import Store
from llmclf.workspace.reason_pages import anomalies_since, clustering_page, standing_since
from llmclf.workspace.reason_records import clusterings

MOST = 200
"""Clusterings that the list shows."""
MOST_ANOMALIES = 1_000
_KEYS = ("since", "limit")
_STYLE = """
body { max-width: 60rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .4rem; } a { color: var(--accent); }
.scroll { overflow-x: auto; } table { width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .4rem 1rem .4rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-size: .8rem; } .n { text-align: right; } td { min-width: 5rem; }
.some { font-weight: 700; color: var(--warn); }
"""


def list_page(
    rows: Sequence[Mapping[str, Any]], root_path: str = "", since: Mapping[str, str] = MappingProxyType({})
) -> Page:
    """The newest clustering of each task, then all earlier ones; rows as `clusterings` gives them, newest first.

    `since` as `standing_since` gives it: what an earlier one had found is said to be the same.
    """
    if not rows:
        return message_page(
            "No reasons were clustered yet",
            "`llmclf reasons cluster` looks at what predictions of the last day say for themselves;"
            " `llmclf reasons anomalies` holds that against the days before, and is made for cron.",
        )
    newest: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        newest.setdefault(_task(row), row)
    earlier = [row for row in rows if row is not newest[_task(row)]]
    body = f"<h1>Reasons</h1><h2>Newest of each task</h2>{_table(list(newest.values()), root_path, since)}"
    if earlier:
        body += f"<h2>Earlier ones</h2>{_table(earlier, root_path, since)}"
    return Page(html_page("Reasons", f"<main>{body}</main>", _STYLE), served(page_policy()))


def _task(row: Mapping[str, Any]) -> str:
    return str(row["filter"].get("task") or "")


def _table(rows: Sequence[Mapping[str, Any]], root_path: str, since: Mapping[str, str]) -> str:
    made = "".join(_row(row, root_path, since) for row in rows)
    head = "<th>window until</th><th>task</th><th>anomalies</th><th>looked at</th>"
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{made}</tbody></table></div>'


def _row(row: Mapping[str, Any], root_path: str, since: Mapping[str, str]) -> str:
    stamp = ' <span class="stamp">SIMULATED</span>' if row["simulated"] else ""
    found = {"quiet": "none", "cant_tell": "can’t tell" if row["baseline_since"] else "no baseline"}.get(row["state"])
    if found is None:
        count = counted(row["anomalies"], "anomaly").replace("anomalys", "anomalies") if row["anomalies"] else "silence"
        found = f'<span class="some">{count}</span>'
        first = since.get(row["clustering_id"])
        found += f"<br><small>as before, since {escape(short_moment(first))}</small>" if first else ""
    link = f"{escape(root_path)}/reasons/{escape(row['clustering_id'])}"
    return (
        f'<tr><td><a href="{link}">{escape(moment(row["until"]))}</a>{stamp}</td>'
        f"<td>{escape(_task(row)) or 'all'}</td><td>{found}</td>"
        f"<td>{escape(reasons_of(row['reasons'], row['conversations']))}</td></tr>"
    )


def add_routes(app: Any, store: Store, token: str | None) -> None:
    """Adds /reasons, /reasons/ID and /v1/reasons/anomalies to a FastAPI app.

    Pages ask a browser for the token as the password of any name. `token` None: who reaches the socket from this
    machine may look.
    """
    from starlette.requests import Request

    def paged(make: Callable[[Any], Page]) -> Any:
        async def handler(request: Request) -> Any:
            if not _may_look(request, token):
                answer = html_response(_locked(), 401)
                answer.headers["www-authenticate"] = 'Basic realm="llmclf reasons", charset="UTF-8"'
                return answer
            try:
                return html_response(await asyncio.to_thread(make, request))
            except ConfigError as error:
                if error.where != "clustering":
                    raise
                return html_response(message_page("There is no such clustering", error.fix), 404)

        return handler

    def listed(request: Any) -> Page:
        rows = clusterings(store, MOST)
        return list_page(rows, request.scope.get("root_path", ""), standing_since(store, rows))

    def one(request: Any) -> Page:
        back = f"{request.scope.get('root_path', '')}/reasons"
        return Page(clustering_page(store, request.path_params["name"], back=back), served(reasons_policy()))

    async def anomalies(request: Request) -> Any:
        check_may_ask(request, token)
        since, limit = _asked(request.query_params)
        rows = await asyncio.to_thread(anomalies_since, store, since, limit)
        return json_response({"since": since, "anomalies": rows})

    app.add_route("/reasons", paged(listed), methods=["GET"])
    app.add_route("/reasons/{name}", paged(one), methods=["GET"])
    app.add_route("/v1/reasons/anomalies", anomalies, methods=["GET"])


def _may_look(request: Any, token: str | None) -> bool:
    """With a token: does the request carry it? Without one: Refusal for what a proxy passed on."""
    if token is None:
        check_may_ask(request, None)
        return True
    given = request.headers.get("authorization", "")
    return is_bearer(given, token) or is_basic(given, token)


def _locked() -> Page:
    return message_page(
        "A token is needed",
        f"These pages quote conversations. Give what {TOKEN_NAME} holds where the server runs as the password;"
        " the name does not matter.",
    )


def _asked(given: Mapping[str, str]) -> tuple[str, int]:
    """`since` and `limit` of an address; Refusal with everything that is wrong with it."""
    problems = unknown_keys(given, _KEYS)
    limit = given.get("limit", "100")
    if not (limit.isascii() and limit.isdigit() and 0 < int(limit[:9]) <= MOST_ANOMALIES and len(limit) < 9):
        problems.append(f"`limit` must be a whole number from 1 to {MOST_ANOMALIES:,}; got {shorten(limit, 40)}")
    if problems:
        raise Refusal(400, "can't be answered", where="address", problems=problems)
    return given.get("since", "24h"), int(limit)
