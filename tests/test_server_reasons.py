"""Clustered reasons over HTTP: who may see the pages, what they show, and the anomalies for backends."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from label_session import Server
from made_reasons import MISSING_TRANSCRIPT, TASK, made_store

from llmclf.llm.runtime import Runtime
from llmclf.server.app import make_app
from llmclf.server.auth import is_basic
from llmclf.server.reasons import list_page
from llmclf.store import Store
from llmclf.workspace.reason_pages import clustering_page, standing_since
from llmclf.workspace.reason_records import clusterings
from llmclf.workspace.reasoning import cluster_stored

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

TOKEN = "a-token-of-sixteen-letters-or-more"
QUOTED = "no transcript to look at"


@pytest.fixture(scope="module")
def clustered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A store with a fault on its last day, clustered twice; the ids, oldest first."""
    path = tmp_path_factory.mktemp("clustered") / "s.db"
    made_store(path, fault="missing_transcript", reasons=900)
    with Runtime(path) as runtime:
        ids = [cluster_stored(runtime, since=since, baseline="14d").clustering_id for since in ("12h", "24h")]
    return path, ids


@pytest.fixture(scope="module")
def server(clustered: tuple[Path, list[str]]) -> Iterator[Server]:
    """It without a token, on loopback."""
    made = Server(clustered[0].parent, clustered[0]).start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def guarded(clustered: tuple[Path, list[str]]) -> Iterator[Server]:
    """The same with a token and behind a path."""
    made = Server(clustered[0].parent, clustered[0], "--root-path", "/llmclf", LLMCLF_SERVE_TOKEN=TOKEN).start()
    yield made
    made.stop()


def get(server: Server, path: str, **headers: str) -> httpx.Response:
    return httpx.get(server.url + path, headers=headers, timeout=30)


def test_the_list_leads_to_the_pages(server: Server, clustered: tuple[Path, list[str]]) -> None:
    """The newest of each task stands first, then earlier ones, each with its anomalies and a link that opens."""
    listed = get(server, "/reasons")
    assert listed.status_code == 200
    text = listed.text
    assert text.index("Newest of each task") < text.index(clustered[1][1]) < text.index("Earlier ones")
    assert text.index("Earlier ones") < text.index(clustered[1][0])
    assert TASK in text
    assert re.search(r"[1-9] anomal(y|ies)", text)
    assert text.count("as before, since") <= 1
    page = get(server, f"/reasons/{clustered[1][1]}")
    assert '<a href="/reasons">all clusterings</a>' in page.text
    assert page.status_code == 200
    assert "ANOMALY" in page.text
    assert MISSING_TRANSCRIPT[0].split(",")[0] in page.text or QUOTED in page.text


def test_the_list_says_what_is_the_same_as_before(clustered: tuple[Path, list[str]]) -> None:
    """Since when the same anomalies stand, without a gap, of clusterings with one filter; not of the first."""
    with Store(clustered[0]) as store:
        rows = [{**row, "filter": {}} for row in clusterings(store, 10)]
        newest = rows[0]
        again = [newest, {**newest, "until": "2026-01-02T00:00:00Z"}]
        assert standing_since(store, again) == {newest["clustering_id"]: "2026-01-02T00:00:00Z"}
        assert standing_since(store, rows[-1:]) == {}
        listed = list_page(again, "", {newest["clustering_id"]: "2026-01-02T00:00:00Z"})
    assert "as before, since 2 Jan 00:00" in listed.html


def test_a_page_is_served_under_its_own_policy(server: Server) -> None:
    """The header allows its script by hash and nothing else, no frame, and nothing is kept by a cache."""
    page = get(server, "/reasons/last")
    policy = page.headers["content-security-policy"]
    assert "script-src 'sha256-" in policy
    assert "frame-ancestors 'none'" in policy
    assert page.headers["cache-control"] == "no-store"


def test_pages_ask_for_the_token(guarded: Server, clustered: tuple[Path, list[str]]) -> None:
    """Without it, or with a wrong one, no word is shown; a browser is asked for a password."""
    for path in ("/reasons", "/reasons/last", "/reasons/nothing", f"/reasons/{clustered[1][1]}"):
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic d3Jvbmc6d3Jvbmc="}):
            answer = get(guarded, path, **headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Basic ")
            assert "A token is needed" in answer.text
            assert clustered[1][1] not in answer.text


def test_the_token_opens_pages_and_anomalies(guarded: Server, clustered: tuple[Path, list[str]]) -> None:
    """As a bearer, and for pages as the password of any name; links carry the path that a proxy puts before."""
    for auth in (httpx.BasicAuth("anybody", TOKEN), None):
        headers = {} if auth else {"authorization": f"Bearer {TOKEN}"}
        listed = httpx.get(f"{guarded.url}/reasons", auth=auth, headers=headers)
        assert f'href="/llmclf/reasons/{clustered[1][1]}"' in listed.text
        assert httpx.get(f"{guarded.url}/reasons/last", auth=auth, headers=headers).status_code == 200
    assert get(guarded, "/v1/reasons/anomalies", authorization=f"Bearer {TOKEN}").status_code == 200
    for refused in ({}, {"authorization": "Bearer wrong"}):
        assert get(guarded, "/v1/reasons/anomalies", **refused).status_code == 401


def test_without_a_token_nobody_comes_through_a_proxy(server: Server) -> None:
    """What was passed on, or came by another name, is refused: others' quotes are only for this machine."""
    for path in ("/reasons", "/reasons/last", "/v1/reasons/anomalies"):
        assert get(server, path, **{"x-forwarded-for": "203.0.113.9"}).status_code == 403
        assert get(server, path, host="stranger.example").status_code == 421


def test_anomalies_are_figures_and_ids(server: Server, clustered: tuple[Path, list[str]]) -> None:
    """Newest first, with window and evidence; no reason's words; none since tomorrow."""
    body = get(server, "/v1/reasons/anomalies?since=2h&limit=50").json()
    assert {one["clustering_id"] for one in body["anomalies"]} <= set(clustered[1])
    newest = body["anomalies"][0]
    assert (newest["clustering_id"], newest["simulated"]) == (clustered[1][1], False)
    assert newest["kind"] in ("novelty", "new_cluster")
    assert newest["conversations"] >= 3
    assert newest["since"] < newest["until"]
    text = json.dumps(body)
    assert not [words for words in MISSING_TRANSCRIPT if words in text]
    assert get(server, "/v1/reasons/anomalies?since=2099-01-01").json()["anomalies"] == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("since=yesterday", "not a moment"),
        ("limit=0", "`limit` must be a whole number"),
        ("limit=9999999999999", "`limit` must be a whole number"),
        ("limit=%C2%B2", "`limit` must be a whole number"),
        ("sinze=2h&limit=x", "did you mean 'since'"),
    ],
)
def test_a_wrong_question_is_told_so(server: Server, query: str, said: str) -> None:
    """Every mistake of an address at once, as 400."""
    answer = get(server, f"/v1/reasons/anomalies?{query}")
    assert answer.status_code == 400
    assert said in answer.json()["error"]["message"]


def test_what_is_not_there_is_404(server: Server) -> None:
    """A page says so and names the newest ones; another method is refused."""
    for name in ("nothing", "%3Cscript%3E", "..%2f..%2fetc"):
        answer = get(server, f"/reasons/{name}")
        assert answer.status_code == 404
        assert "<script>" not in answer.text
    assert httpx.post(f"{server.url}/reasons", timeout=30).status_code == 405


def test_a_store_without_clusterings_says_how_to_make_one(tmp_path: Path) -> None:
    """The list is no error, a page is 404, and there are no anomalies."""
    transport = httpx.ASGITransport(app=make_app(store=tmp_path / "empty.db"))

    async def ask() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return [await client.get(path) for path in ("/reasons", "/reasons/last", "/v1/reasons/anomalies")]

    listed, page, anomalies = asyncio.run(ask())
    assert "llmclf reasons cluster" in listed.text
    assert page.status_code == 404
    assert anomalies.json()["anomalies"] == []


def test_an_answer_is_given_where_the_store_is_full(tmp_path: Path) -> None:
    """It is paid for: whoever asked gets it, and /healthz counts it until the end and fails until there is room."""
    asked = {"classifier": "refusal_keyword", "messages": [{"role": "user", "content": "An agent! " * 500}]}
    store = Store(tmp_path / "s.db")
    connection = store._session._slot.connection
    used = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {used}")

    async def ask() -> None:
        transport = httpx.ASGITransport(app=make_app(store=store))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=60) as client:
            for number in range(40):
                answer = await client.post("/v1/classify", json={**asked, "id": f"c{number}"})
                assert answer.json()["label"]
                await asyncio.sleep(0.02)
            ill = await client.get("/healthz")
            assert (ill.status_code, ill.json()["status"]) == (503, "broken")
            connection.execute(f"PRAGMA max_page_count = {used + 1000}")
            well = await client.get("/healthz")
            assert well.json()["store"] == "ok"
            assert 0 < well.json()["not_recorded"] < 40
            lost = well.json()["not_recorded"]
        assert len(store.reasons()) == 40 - lost

    with store:
        asyncio.run(ask())


def test_what_could_not_be_told_is_not_called_quiet(tmp_path: Path) -> None:
    """A clustering without a baseline, or with one that is too small, is listed as that."""
    made_store(tmp_path / "s.db", reasons=120)
    with Runtime(tmp_path / "s.db") as runtime:
        cluster_stored(runtime, since="10d", baseline=None)
        text = list_page(clusterings(runtime.store, 10)).html
    assert "no baseline" in text
    assert "none" not in text.partition("<main>")[2]


def test_what_is_forgotten_leaves_the_page(clustered: tuple[Path, list[str]], tmp_path: Path) -> None:
    """Quotes are looked up when the page is made: a forgotten conversation's are gone, its figures stay."""
    path = tmp_path / "s.db"
    with sqlite3.connect(clustered[0]) as source, sqlite3.connect(path) as copy:
        source.backup(copy)
    with Store(path) as store:
        before = clustering_page(store, clustered[1][1][:-1])
        found = [one for one in MISSING_TRANSCRIPT if one in before]
        assert found
        for one in store.query("SELECT DISTINCT conversation_id FROM predictions WHERE conversation_id LIKE 'f%'"):
            store.forget(one["conversation_id"])
        after = clustering_page(store)
    assert "(forgotten)" in after
    assert not [one for one in found if one in after]
    assert "ANOMALY" in after


@pytest.mark.parametrize(
    ("header", "right"),
    [
        ("Basic " + "OmEtdG9rZW4tb2Ytc2l4dGVlbi1sZXR0ZXJzLW9yLW1vcmU=", True),
        ("basic " + "eDphLXRva2VuLW9mLXNpeHRlZW4tbGV0dGVycy1vci1tb3Jl", True),
        ("Basic " + "YS10b2tlbi1vZi1zaXh0ZWVuLWxldHRlcnMtb3ItbW9yZTo=", False),
        ("Basic !!!", False),
        ("Basic é", False),
        ("Bearer " + TOKEN, False),
        ("", False),
    ],
)
def test_a_password_is_the_token(header: str, right: bool) -> None:
    """Of any name; what is no base64 is wrong, not an error."""
    assert is_basic(header, TOKEN) is right


def test_a_browser_goes_from_the_list_to_a_cluster(server: Server, browser: Any) -> None:
    """The script runs under the policy that the server sends, and the console stays empty."""
    troubles: list[str] = []
    page = browser.new_context().new_page()
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.goto(f"{server.url}/reasons")
    page.click("tbody a")
    page.wait_for_selector(".filters", state="visible")
    page.click(".anomaly a[href^='#cluster-'] >> nth=0")
    page.wait_for_selector("details.cluster[open] blockquote", state="visible")
    assert troubles == []
