"""The service over real sockets: who may ask what, what is answered, and how it starts and ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from label_session import Server, free_port
from wire import Wire, chat

from llmclf.errors import ConfigError
from llmclf.server.auth import is_bearer, is_loopback, serve_token
from llmclf.server.running import serve
from llmclf.store import Store

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

TOKEN = "a-token-of-sixteen-letters-or-more"
REFUSED = [
    {"role": "user", "content": "I want to talk to a real person."},
    {"role": "assistant", "content": "I can't transfer you, but I can help you with that."},
]
ASK = {"classifier": "refusal_keyword", "messages": REFUSED}
ANSWER = json.dumps({"evidence": [], "rationale": "r", "label": "clean", "confidence": 0.5})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One without a token, on loopback, in an empty folder."""
    folder = tmp_path_factory.mktemp("serve")
    made = Server(folder, folder / "s.db").start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as made:
        yield made


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The parts of an error, which every refusal has."""
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert answer.json()["from"] == "llmclf"
    assert set(error) == {"where", "what", "got", "fix", "problems", "message"}
    assert error["message"].startswith(error["where"] or error["what"])
    return error


def test_it_says_how_it_is(client: httpx.Client) -> None:
    """Status, version and store, never to be cached."""
    answer = client.get("/healthz")
    assert answer.json()["status"] == answer.json()["store"] == "ok"
    assert answer.headers["cache-control"] == "no-store"


def test_a_conversation_is_classified(client: httpx.Client) -> None:
    """Messages and a conversation give what the classifier gives in Python, with a name of one's own."""
    import llmclf

    expected = llmclf.load_classifier("refusal_keyword").classify(llmclf.Conversation.from_messages(REFUSED, "mine"))
    by_messages = client.post("/v1/classify", json={**ASK, "id": "mine"}).json()
    given = llmclf.Conversation.from_messages(REFUSED, "mine").to_dict()
    by_conversation = client.post("/v1/classify", json={"classifier": "refusal_keyword", "conversation": given}).json()
    for got in (by_messages, by_conversation):
        assert got["flagged"] is True
        got["latency_seconds"] = expected.to_dict().get("latency_seconds")
        assert got == json.loads(json.dumps(expected.to_dict()))


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({**ASK, "classifier": "refusal_keywrd"}, 404, "did you mean 'refusal_keyword'"),
        ({**ASK, "classifier": "../../../etc/passwd"}, 404, "no such classifier"),
        ({**ASK, "classifier": "/etc/passwd.toml"}, 404, "no such classifier"),
        ({**ASK, "turn": 1}, 400, "takes no turn"),
        ({**ASK, "turn": "x", "timeout": -1, "clasifier": 1}, 400, "did you mean 'classifier'"),
        ({"classifier": "refusal_keyword", "messages": [], "turn": 10**400}, 400, "`turn` must be a whole number"),
        ({**ASK, "turn": -1}, 400, "`turn` must be a whole number"),
        ({**ASK, "timeout": 10**400}, 400, "`timeout` must be seconds"),
        ({"classifier": "refusal_keyword"}, 400, "one of them"),
        ({**ASK, "messages": [{"role": "wizard"}]}, 400, "unknown role"),
        ({**ASK, "messages": "hello"}, 400, "list of chat messages"),
        ({"classifier": "refusal_keyword", "conversation": {"id": "c", "turns": [{"speaker": "x"}]}}, 400, "speaker"),
        ([1], 400, "JSON object"),
    ],
)
def test_misuse_says_what_to_do(client: httpx.Client, body: Any, status: int, said: str) -> None:
    """Each mistake is an error with all its parts."""
    assert said in problem(client.post("/v1/classify", json=body), status)["message"]


def test_what_it_said_is_kept_with_its_reason(tmp_path: Path) -> None:
    """Each prediction stands in the store, so that `status` and `reasons` know of traffic; a refusal does not."""
    made = Server(tmp_path, tmp_path / "s.db").start()
    try:
        assert httpx.post(f"{made.url}/v1/classify", json={**ASK, "id": "mine"}, timeout=60).status_code == 200
        assert (
            httpx.post(f"{made.url}/v1/classify", json={**ASK, "id": "other", "turn": 1}, timeout=60).status_code == 400
        )
    finally:
        made.stop()
    with Store(tmp_path / "s.db") as store:
        (reason,) = store.reasons("1h")
        assert (reason["conversation_id"], reason["flagged"]) == ("mine", True)
        assert reason["fields"] == {"turns": 2, "characters": sum(len(turn["content"]) for turn in REFUSED)}
        assert store.status()["traffic"][0]["predictions"] == 1


def test_all_mistakes_come_at_once(client: httpx.Client) -> None:
    """A body with three mistakes is told of three."""
    body = {"classifier": "", "turn": True, "timeout": 1e9, "messages": REFUSED}
    told = problem(client.post("/v1/classify", json=body), 400)
    assert len(told["problems"]) == 3
    assert "problems" in told["fix"]


def test_files_of_the_server_can_not_be_named(client: httpx.Client) -> None:
    """An attachment by path would make the server read its own disk."""
    medium = {"kind": "image", "media_type": "image/png", "sha256": "0" * 64, "path": "secret.png"}
    turns = [{"speaker": "user", "text": "look", "attachments": [medium]}]
    body = {"classifier": "refusal_keyword", "conversation": {"id": "c", "turns": turns}}
    assert "can't be paths" in problem(client.post("/v1/classify", json=body), 400)["message"]


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"a": 1, "a": 2}', "application/json", 400),
        (b'{"a": NaN}', "application/json", 400),
        (b'{"timeout": 1e999}', "application/json", 400),
        (b'{"turn": -1e999}', "application/json", 400),
        (b'{"turn": ' + b"9" * 5000 + b"}", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "application/x-www-form-urlencoded", 415),
    ],
)
def test_bodies_that_are_no_json(client: httpx.Client, content: bytes, kind: str, status: int) -> None:
    """They are refused in words; the server goes on."""
    problem(client.post("/v1/classify", content=content, headers={"content-type": kind}), status)
    assert client.get("/healthz").status_code == 200


def test_a_body_that_is_too_large(server: Server) -> None:
    """Refused by its length, before it is read."""
    head = (
        "POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 999999999"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(f"{head}\r\n\r\n{{".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_strangers_names_and_pages_are_refused(client: httpx.Client) -> None:
    """A foreign name that was made to lead here, and a POST from somebody else's page, get nothing."""
    refused = problem(client.get("/healthz", headers={"host": "evil.example"}), 421)
    assert "127.0.0.1" in refused["fix"] and "--url" in refused["fix"]
    problem(client.get("/", headers={"host": "localhost.evil.example:80"}), 421)
    for headers in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}):
        assert problem(client.post("/v1/classify", json=ASK, headers=headers), 403)["fix"]
    for name in ("localhost", "127.0.0.1:1", "[::1]:99"):
        assert client.get("/healthz", headers={"host": name}).status_code == 200
    assert client.post("/v1/classify", json=ASK, headers={"sec-fetch-site": "same-origin"}).status_code == 200


@pytest.mark.parametrize(
    "header",
    ["forwarded", "x-forwarded-for", "X-Forwarded-Proto", "x-forwarded-host", "x-real-ip", "via"],
)
def test_a_proxy_in_front_needs_a_token(client: httpx.Client, header: str) -> None:
    """Without a token what was passed on from elsewhere is refused, though it comes from loopback and names it."""
    refused = problem(client.post("/v1/classify", json=ASK, headers={header: "203.0.113.9"}), 403)
    assert "LLMCLF_SERVE_TOKEN" in refused["fix"]
    assert client.get("/healthz", headers={header: "203.0.113.9"}).status_code == 200


def test_a_proxy_as_it_comes_needs_a_token(server: Server) -> None:
    """nginx without any settings speaks HTTP/1.0, keeps our own name, and says nothing of itself."""
    body = json.dumps(ASK)
    head = f"POST /v1/classify HTTP/1.0\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(f"{head}{body}".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 403")


def test_what_is_not_there(client: httpx.Client) -> None:
    """An unknown address is JSON for programs and a page for people, a wrong method says so; no docs are open."""
    nothing, wrong = problem(client.get("/v1/nothing"), 404), problem(client.get("/v1/classify"), 405)
    assert (nothing["where"], nothing["got"]) == ("address", "'/v1/nothing'")
    assert "POST /v1/classify" in nothing["fix"]
    assert (wrong["where"], wrong["got"], wrong["fix"]) == ("/v1/classify", "'GET'", "send POST")
    assert client.get("/v1/classify").headers["allow"] == "POST"
    assert "may be opened again" in client.get("/").text
    assert "nothing at this address" in client.get("/x", headers={"accept": "text/html"}).text
    for address in ("/docs", "/openapi.json", "/redoc"):
        assert client.get(address).status_code == 404


@pytest.mark.parametrize("address", ["/", "/healthz", "/enter/nobody", "/label/nobody", "/v1/nothing", "/v1/classify"])
def test_every_answer_has_its_headers(client: httpx.Client, address: str) -> None:
    """No caching, no referrer, no frames, no script that is not ours."""
    headers = client.get(address).headers
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe-inline" not in headers["content-security-policy"].partition("script-src")[2]
    assert "server" not in headers


def test_a_token_opens_v1_and_nothing_else_does(tmp_path: Path) -> None:
    """With one in the environment /v1 asks for it, under any name; health and pages of links do not."""
    made = Server(tmp_path, tmp_path / "s.db", "--root-path", "/llmclf/", LLMCLF_SERVE_TOKEN=TOKEN).start()
    with httpx.Client(base_url=made.url, timeout=30) as client:
        for header in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}):
            refused = problem(client.post("/v1/classify", json=ASK, headers=header), 401)
            assert refused["what"] == ("this is not the token" if header else "a token is needed")
            assert refused["where"] == "Authorization"
            assert "Bearer TOKEN" in refused["fix"]
        mine = {"authorization": f"Bearer {TOKEN}", "host": "llmclf.example.org", "x-forwarded-for": "203.0.113.9"}
        assert client.post("/v1/classify", json=ASK, headers=mine).json()["flagged"] is True
        assert client.post("/llmclf/v1/classify", json=ASK, headers=mine).json()["flagged"] is True
        assert client.get("/healthz", headers={"host": "llmclf.example.org"}).status_code == 200
        assert client.get("/enter/nobody").status_code == 404
    said = made.stop()
    assert TOKEN not in said
    assert made.process is not None
    assert made.process.returncode == 0


def serve_once(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from llmclf.cli import main; main()", "serve", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, env=_clean())


def _clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "LLMCLF_SERVE_TOKEN"}


def test_it_does_not_start_where_it_should_not(tmp_path: Path, server: Server) -> None:
    """Open to others without a token, or on a taken port: exit 1 and what to do."""
    for options, said in (
        (("--host", "0.0.0.0", "--port", "0"), "LLMCLF_SERVE_TOKEN"),
        (("--port", str(server.port)), "listens there already"),
    ):
        done = serve_once(tmp_path, *options)
        assert done.returncode == 1, done.stderr
        assert said in done.stderr
        assert done.stdout == ""


def test_where_it_can_not_listen() -> None:
    """An address that is not there, or one that others reach for an app that was made without a token."""
    with_token, without = (
        SimpleNamespace(state=SimpleNamespace(for_others=is_, root_path="")) for is_ in (True, False)
    )
    with pytest.raises(ConfigError, match="no such address"):
        serve(with_token, "no.such.host.invalid", 0)
    with pytest.raises(ConfigError, match="for this machine alone"):
        serve(without, "0.0.0.0", 0)
    with pytest.raises(ConfigError, match="at least 16"):
        serve_token("127.0.0.1", {"LLMCLF_SERVE_TOKEN": "short"})


def test_port_0_takes_a_free_one(tmp_path: Path) -> None:
    """The line on stderr says where it is."""
    command = [sys.executable, "-c", "from llmclf.cli import main; main()", "serve", "--port", "0"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=_clean())
    assert process.stderr is not None
    url = process.stderr.readline().split(" at ")[1].split()[0]
    assert f"llmclf calibrate label SESSION --links-only --url {url}\n" in process.stderr.readline()
    assert httpx.get(f"{url}/healthz", timeout=30).json()["status"] == "ok"
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.fixture
def asked(workspace: Path, wire: Wire, write: Callable[[str, str], Path]) -> Path:
    """A workspace with a classifier whose calls need no vendor's library, and one without a price."""
    models = workspace / "configs" / "models.toml"
    row = f'route = "http"\napi_base = "{wire.url}"\nmodel = "m"\nkey_env = "WIRE_KEY"\n'
    price = "input_usd_per_million = 1\noutput_usd_per_million = 10\n"
    rows = f'[models."http/m"]\n{row}[models."http/m".price]\n{price}[models."http/unpriced"]\n{row}'
    models.write_text(models.read_text() + rows)
    for name, model in (("direct", "http/m"), ("free", "http/unpriced")):
        text = f'version = 1\nkind = "llm"\nprompt = "ask"\ntask = "refusal"\nmodel = "{model}"\n'
        write(f"configs/classifiers/{name}.toml", text)
    return workspace


def test_a_models_failure_is_an_answer_and_a_missing_price_is_not(asked: Path, wire: Wire) -> None:
    """What the vendor does wrong is 200 with `error`; a cap holds; what only the operator can mend is 503."""
    wire.default = chat(ANSWER)
    made = Server(asked, asked / "s.db", "--max-usd", "0.000001").start()
    bodies = {name: {"classifier": name, "messages": REFUSED, "timeout": 20} for name in ("direct", "free")}
    with httpx.Client(base_url=made.url, timeout=60) as client:
        over = client.post("/v1/classify", json=bodies["direct"])
        assert over.status_code == 200
        assert over.json()["error"]["kind"] == "over_budget"
        assert "label" in over.json()
        unpriced = problem(client.post("/v1/classify", json=bodies["free"]), 503)
        assert unpriced["where"] and unpriced["fix"]
    made.stop()
    assert len(wire.received) == 0


def test_a_missing_key_is_told_in_full(asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with where, what and fix: which classifier needs which variable."""
    monkeypatch.delenv("WIRE_KEY")
    made = Server(asked, asked / "s.db", "--max-usd", "1").start()
    told = problem(httpx.post(f"{made.url}/v1/classify", json={**ASK, "classifier": "direct"}, timeout=60), 503)
    made.stop()
    assert told["where"] == "classifier direct"
    assert "$WIRE_KEY" in told["what"]
    assert "where the server runs" in told["fix"]


def test_sigterm_lets_what_is_under_way_end(asked: Path, wire: Wire) -> None:
    """An answer that takes a second still arrives after SIGTERM, and is in the store; the exit is clean."""
    wire.default = chat(ANSWER, delay=1.0)
    made = Server(asked, asked / "s.db", "--max-usd", "1").start()
    body = {"classifier": "direct", "messages": REFUSED, "timeout": 20}
    answers: list[httpx.Response] = []
    asking = threading.Thread(
        target=lambda: answers.append(httpx.post(f"{made.url}/v1/classify", json=body, timeout=60))
    )
    asking.start()
    while not wire.received:
        time.sleep(0.02)
    assert made.process is not None
    made.process.send_signal(signal.SIGTERM)
    asking.join()
    assert answers[0].json()["label"] == "clean"
    made.process.wait(40)
    assert made.process.returncode == 0
    assert made.stop().count("Traceback") == 0


def test_loopback_and_tokens() -> None:
    """What counts as this machine, and which header carries the token."""
    assert all(map(is_loopback, ("localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]")))
    assert not any(map(is_loopback, ("", "0.0.0.0", "::", "10.0.0.1", "localhost.evil.example", "127.0.0.1.nip.io")))
    assert is_bearer(f"bearer {TOKEN}", TOKEN)
    assert not any(
        is_bearer(given, TOKEN) for given in ("", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é")
    )
    assert serve_token("127.0.0.1", {}) is None
    assert serve_token("0.0.0.0", {"LLMCLF_SERVE_TOKEN": TOKEN}) == TOKEN
    with pytest.raises(ConfigError, match="a token is needed"):
        serve_token("::", {})
    assert free_port() > 0
