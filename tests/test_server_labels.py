"""Links, cookies and what the label page may ask: each person their own, blind, and every label once."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from label_session import ADJUDICATOR, BLIND, PEOPLE, Server, make_session

from llmclf.calibration.desk import Desk
from llmclf.server.running import links
from llmclf.store import Store

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

ROOT = "/tools/llmclf"


class Served:
    """A server behind a proxy's prefix, with the store it uses."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "s.db")
        self.desk = Desk(self.store)
        self.server = Server(folder, folder / "s.db", "--root-path", ROOT).start()

    def session(self, n: int = 3, **more: Any) -> tuple[Any, dict[str, str]]:
        """A session of its own with the links of its people."""
        session, conversations = make_session(n, **more)
        self.desk.open(session, conversations)
        return session, links(self.desk, session.id, self.server.url)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("labels"))
    yield made
    made.server.stop()
    made.store.close()


class Client:
    """One person's browser without its page."""

    def __init__(self, served: Served, link: str) -> None:
        self.http = httpx.Client(base_url=served.server.url, timeout=30)
        answer = self.http.get(link)
        assert answer.status_code == 303, answer.text
        self.page = answer.headers["location"]
        self.count = 0

    def get(self, path: str) -> Any:
        return self.http.get(f"{self.page}/api/{path}")

    def post(self, path: str, body: Any) -> Any:
        return self.http.post(f"{self.page}/api/{path}", json=body)

    def save(self, item: str, label: str | None = "clean", **more: Any) -> Any:
        self.count += 1
        return self.post("save", {"item": item, "label": label, "client_id": f"client-{self.count:06}", **more})

    def label_all(self, label: str) -> list[str]:
        """Labels everything that is open; every answer that came."""
        answer = self.get("current")
        answers = [answer.text]
        while answer.json()["ask"]:
            answer = self.save(answer.json()["ask"]["item"], label)
            assert answer.status_code == 200, answer.text
            answers.append(answer.text)
        return answers


def test_a_link_is_swapped_for_a_cookie(served: Served) -> None:
    """The answer leads to an address without the token, with a cookie that scripts and other sites can't have."""
    _, made = served.session()
    plain = httpx.get(made["ana"])
    token = made["ana"].rpartition("/")[2]
    assert plain.status_code == 303
    assert plain.headers["location"].startswith(f"{ROOT}/label/")
    assert token not in plain.headers["location"]
    cookie = plain.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert f"path={plain.headers['location']}" in cookie
    assert "secure" not in cookie
    https = httpx.get(made["ana"], headers={"x-forwarded-proto": "https"})
    assert "; secure" in https.headers["set-cookie"].lower()
    value = plain.cookies["llmclf_seat"]
    assert token not in value
    assert not served.store.query("SELECT 1 FROM session_tokens WHERE token_sha256 IN (?, ?)", (token, value))


def test_unknown_and_revoked_links_open_nothing(served: Served) -> None:
    """404 and a page that says what to do; what asks for JSON is told to open the link again."""
    session, made = served.session()
    client = Client(served, made["ana"])
    assert client.get("current").status_code == 200
    served.desk.revoke(session.id, "ana")
    for answer in (httpx.get(made["ana"]), httpx.get(made["ben"] + "x"), client.http.get(client.page)):
        assert answer.status_code == 404
        assert "Open the link you were given once more" in answer.text
    assert client.get("current").status_code == 401
    assert "open your link again" in client.save("x").json()["error"]["fix"]


def test_a_cookie_is_good_for_one_seat(served: Served) -> None:
    """Two people in one browser don't label for one another, and neither enters another session."""
    _, made = served.session()
    _, other = served.session()
    ana, ben, elsewhere = (Client(served, link) for link in (made["ana"], made["ben"], other["ana"]))
    assert len({ana.page, ben.page, elsewhere.page}) == 3
    stolen = {"cookie": f"llmclf_seat={ana.http.cookies['llmclf_seat']}"}
    for page in (ben.page, elsewhere.page):
        assert httpx.get(f"{served.server.url}{page}/api/current", headers=stolen).status_code == 401
    assert httpx.get(f"{served.server.url}{ana.page}/api/current", headers=stolen).status_code == 200
    assert httpx.get(f"{served.server.url}{ana.page}/api/current").status_code == 401


def test_the_page_is_of_the_session_and_blind(served: Served) -> None:
    """Question, rules and labels are in the page; nothing of any case is, and nothing of the token."""
    _, made = served.session()
    ana = Client(served, made["ana"])
    html = ana.http.get(ana.page).text
    assert "Does the bot refuse or evade" in html
    assert all(f">{rule}<" in html for rule in ("R1", "R2", "R3"))
    assert made["ana"].rpartition("/")[2] not in html
    assert "order 1000" not in html
    assert not [word for word in BLIND if word in html]


def test_answers_hold_what_is_named_and_nothing_else(served: Served) -> None:
    """Field by field: an answer has these keys, at every depth, through both rounds and practice."""
    _, made = served.session(4, practice=1, shown={"rationale": "rationale-secret"})
    answers = Client(served, made["ana"]).label_all("clean") + Client(served, made["ben"]).label_all("refused")
    decided = Client(served, made[ADJUDICATOR]).label_all("clean")
    asks = [json.loads(answer)["ask"] for answer in answers + decided if json.loads(answer)["ask"]]
    assert {frozenset(ask) for ask in asks} == {
        frozenset("item number practice decides turn turns shown earlier skipped others".split())
    }
    turns = {frozenset(turn) for ask in asks for turn in ask["turns"]}
    assert turns == {frozenset(("speaker", "text", "events", "media"))}
    assert all(ask["shown"] == [] for ask in asks)
    assert not [word for word in BLIND for answer in answers + decided if word in answer]
    first = [json.loads(answer) for answer in answers]
    assert not [one for one in first if one["ask"] and one["ask"]["others"]]
    assert [one["practice"] for one in first if one.get("practice")] == [
        {"said": "clean", "known": "refused"},
        {"said": "refused", "known": "refused"},
    ]
    said = [sorted((one["who"], one["label"]) for one in json.loads(answer)["ask"]["others"]) for answer in decided[:4]]
    assert said == [[("ana", "clean"), ("ben", "refused")]] * 4


def test_what_is_sent_twice_is_kept_once(served: Served) -> None:
    """The same client id again is answered as the first time, also when the first answer never came."""
    session, made = served.session()
    ana = Client(served, made["ana"])
    item = ana.get("current").json()["ask"]["item"]
    for _ in range(3):
        answer = ana.post("save", {"item": item, "label": "clean", "client_id": "the-very-same"})
        assert answer.json()["progress"]["done"] == 1
    rows = served.store.query("SELECT * FROM session_labels WHERE session_id = ?", (session.id,))
    assert [row["label"] for row in rows] == ["clean"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": "cleen"}, "clean"),
        ({"label": None}, ""),
        ({"label": 3}, "must be text"),
        ({"item": "0" * 16}, "no such case"),
        ({"client_id": "x"}, "client_id"),
        ({"seconds": -1}, "seconds"),
        ({"seconds": True}, "seconds"),
        ({"seconds": 10**400}, "seconds"),
        ({"seconds": 86_401}, "seconds"),
        ({"note": "x" * 4001}, "at most 4,000"),
        ({"evidence": [{"turn": 99, "quote": "x"}]}, "turn 99 is not shown"),
        ({"evidence": [{"turn": 0}]}, "`quote`"),
        ({"evidence": [{"turn": 10**400, "quote": "x"}]}, "is not shown"),
        ({"evidence": {}}, "must be a list"),
        ({"rule": "R99"}, "R99"),
        ({"labell": "x"}, "unknown key"),
    ],
)
def test_what_can_not_be_kept_says_why(served: Served, change: dict[str, Any], said: str) -> None:
    """400, in words, and nothing reaches the store."""
    session, made = served.session(people=("ana",))
    ana = Client(served, made["ana"])
    item = ana.get("current").json()["ask"]["item"]
    answer = ana.post("save", {"item": item, "label": "clean", "client_id": "12345678", **change})
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["error"]["message"]
    assert not served.store.query("SELECT 1 FROM session_labels WHERE session_id = ?", (session.id,))


def test_a_label_that_is_too_large_and_one_from_elsewhere(served: Served) -> None:
    """A body above the limit is 413, one from somebody's page 403, one that is no JSON 415."""
    _, made = served.session()
    ana = Client(served, made["ana"])
    assert ana.post("save", {"note": "x" * 300_000}).status_code == 413
    url = f"{ana.page}/api/save"
    assert ana.http.post(url, json={}, headers={"origin": "https://evil.example"}).status_code == 403
    assert ana.http.post(url, content=b"{}").status_code == 415
    assert ana.http.post(f"{ana.page}/api/undo", content=b"").status_code == 415
    infinite = b'{"item": "x", "label": "clean", "client_id": "12345678", "seconds": 1e999}'
    assert ana.http.post(url, content=infinite, headers={"content-type": "application/json"}).status_code == 400


def test_undo_brings_the_case_back(served: Served) -> None:
    """The last label is taken back and its case asked again; asked for twice, it is one label."""
    _, made = served.session()
    ana = Client(served, made["ana"])
    now = ana.get("current").json()
    first = now["ask"]["item"]
    assert now["last"] == 0
    now = ana.save(first).json()
    second = now["ask"]["item"]
    now = ana.save(second).json()
    for _ in range(3):  # as if the first answers were lost
        after = ana.post("undo", {"last": now["last"]}).json()
        assert (after["ask"]["item"], after["progress"]["done"], after["last"]) == (second, 1, 1)
    after = ana.post("undo", {"last": after["last"]}).json()
    assert (after["ask"]["item"], after["progress"]["done"], after["last"]) == (first, 0, 0)


def test_undo_takes_back_what_was_meant(served: Served) -> None:
    """One that another tab has made old, one that never was, and a body without any are refused."""
    _, made = served.session()
    ana = Client(served, made["ana"])
    before = ana.save(ana.get("current").json()["ask"]["item"]).json()
    now = ana.save(before["ask"]["item"]).json()
    refused = ana.post("undo", {"last": before["last"]})
    assert (refused.status_code, "saved since" in refused.text) == (400, True)
    for body in ({}, {"last": 0}, {"last": 9}, {"last": True}, {"last": 10**400}, {"last": 1.5}, {"lst": 1}):
        assert ana.post("undo", body).status_code == 400, body
    assert ana.get("progress").json()["progress"]["done"] == 2 == now["last"]


def test_errors_say_nothing_of_the_case(served: Served) -> None:
    """No refusal, whatever its reason, holds the id of a case: it may say what is known of it."""
    session, made = served.session(2)
    ana, ben, cara = (Client(served, made[name]) for name in ("ana", "ben", ADJUDICATOR))
    item = ana.get("current").json()["ask"]["item"]
    said = [ana.save(item, "cleen"), cara.save(item)]
    last = ana.save(item, "clean").json()["last"]
    ben.save(item, "refused")
    cara.save(item, "refused")
    said += [ana.save(item, "refused"), ana.post("undo", {"last": last})]
    other = ana.get("current").json()["ask"]["item"]
    served.store.forget(*(one.case.conversation_id for one in session.items))
    said += [ana.save(other), ana.save(other, evidence=[{"turn": 0, "quote": "x"}]), cara.save(item, None, skipped="x")]
    served.desk.close(session.id)
    said.append(ana.save(other))
    assert [answer.status_code for answer in said] == [400] * len(said)
    assert not [word for word in BLIND for answer in said if word in answer.text]
    assert all(answer.json()["error"]["problems"] or answer.json()["error"]["what"] for answer in said)


def test_a_store_that_can_not_be_written_is_seen(tmp_path: Path) -> None:
    """Health is 503 from a failed write on, until one succeeds; the label is not lost silently."""
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("limits of another process can be set on Linux alone")
    served = Served(tmp_path)
    _, made = served.session()
    ana = Client(served, made["ana"])
    item = ana.get("current").json()["ask"]["item"]
    assert served.server.process is not None
    pid = served.server.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))  # no file may grow any more
    assert ana.http.get("/healthz").json()["store"] == "ok"
    assert ana.save(item).status_code == 503
    for _ in range(2):
        health = ana.http.get("/healthz")
        assert health.status_code == 503
        assert health.json()["status"] == "broken"
        assert health.json()["store"].startswith("failing: ")
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    assert ana.http.get("/healthz").json()["store"] == "ok"
    assert ana.save(item).json()["progress"]["done"] == 1
    served.server.stop()
    assert not served.store.query("SELECT 1 FROM session_tokens WHERE token_sha256 = ''")
    served.store.close()


def label_server(folder: Path, *more: str) -> tuple[Store, Any, Server]:
    """`llmclf calibrate label` over a new session, not started yet."""
    store = Store(folder / "s.db")
    session, conversations = make_session()
    Desk(store).open(session, conversations)
    verb = ("calibrate", "label", session.id, "--no-browser", *more)
    return store, session, Server(folder, folder / "s.db", verb=verb)


def test_who_labels_can_ask_no_classifier(tmp_path: Path) -> None:
    """`calibrate label` has pages and health, and no /v1: the score would not be blind."""
    store, session, server = label_server(tmp_path)
    made = links(Desk(store), session.id, server.url)
    server.start()
    with httpx.Client(base_url=server.url, timeout=30) as client:
        body = {"classifier": "refusal_keyword", "messages": [{"role": "user", "content": "A person, please."}]}
        assert client.post("/v1/classify", json=body).status_code == 404
        assert client.get("/healthz").json()["status"] == "ok"
        assert "/v1" not in client.get("/").text
        assert client.get(made["ana"]).status_code == 303
        assert client.get("/healthz", headers={"host": "evil.example"}).status_code == 421
    server.stop()
    store.close()


def test_links_hold_until_there_are_new_ones(tmp_path: Path) -> None:
    """Where the port is taken nothing is taken back; `--as` makes and takes back one person's links alone."""
    store, session, server = label_server(tmp_path, "--new-links", "--as", "ana")
    desk = Desk(store)
    made = {name: link.rpartition("/")[2] for name, link in links(desk, session.id, "http://x").items()}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", server.port))
        taken.listen()
        command = server.command
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert (done.returncode, "listens there already" in done.stderr) == (1, True), done.stderr
    assert all(desk.swap(token) for token in made.values())
    count = "SELECT count(*) AS n FROM session_tokens WHERE kind = 'link'"
    before = store.query(count)[0]["n"]
    server.start().stop()
    assert [desk.swap(made[name]) is None for name in ("ana", "ben", ADJUDICATOR)] == [True, False, False]
    assert store.query(count)[0]["n"] == before + 1
    store.close()


def test_links_are_made_beside_a_server(served: Served) -> None:
    """What `llmclf serve` prints works as it stands; an address that no browser opens is refused with the right one."""
    session, _ = served.session()
    begin = [sys.executable, "-c", "from llmclf.cli import main; main()", "calibrate", "label", session.id]
    begin += ["--links-only", "--store", str(served.store.path), "--url"]

    def run(url: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*begin, url], capture_output=True, text=True, timeout=60)

    done = run(served.server.url)
    link = done.stdout.splitlines()[0].removeprefix("ana: ")
    assert httpx.get(link).status_code == 303
    assert "in the clear" not in done.stderr
    for url, said in (
        ("192.0.2.2:8461", "--url http://192.0.2.2:8461"),
        ("http://", "such as"),
        ("ftp://x", "such as"),
    ):
        refused = run(url)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert said in " ".join(refused.stderr.split())
    assert "in the clear" in run("http://192.0.2.2:8461").stderr
    assert "in the clear" not in run("https://labels.example.org").stderr


@pytest.mark.parametrize("known", ["192.0.2.7", ""])
def test_links_for_other_machines_name_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], known: str
) -> None:
    """With --host 0.0.0.0 links have this machine's address, or what to do where it can't be known."""
    from llmclf.cli import run
    from llmclf.server import running

    store, session, _ = label_server(tmp_path)
    store.close()
    name = known or "0.0.0.0"
    monkeypatch.setattr(running, "_callable", lambda host: name)
    real = running.serve

    def serve(app: Any, host: str, port: int, *, on_ready: Any) -> None:
        def ready(address: str) -> None:
            on_ready(address)
            raise KeyboardInterrupt

        real(app, host, port, on_ready=ready)

    monkeypatch.setattr(running, "serve", serve)
    monkeypatch.chdir(tmp_path)
    command = ["calibrate", "label", session.id, "--no-browser", "--host", "0.0.0.0", "--port", "0"]
    assert run([*command, "--store", str(tmp_path / "s.db")]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"ana: http://{name}:")
    told = " ".join(said.err.split())
    assert ("give that with --url" if known else "put this machine's address in its place") in told
    assert "in the clear" in told
    assert running.is_every_address("[::]")
    assert not running.is_every_address("localhost")


def test_who_is_missing_is_told_without_breaking_blindness(served: Served) -> None:
    """Who labels learns only that others do; who decides how much is left, and of whom where names are shown."""
    for hide in (False, True):
        session, conversations = make_session(2)
        session = replace(session, hide_names=hide)
        served.desk.open(session, conversations)
        made = links(served.desk, session.id, served.server.url)
        ana, ben, cara = (Client(served, made[name]) for name in ("ana", "ben", ADJUDICATOR))
        assert ana.get("current").json()["progress"]["still"] is None
        ana.label_all("refused")
        assert ana.get("current").json()["progress"]["still"] == {"others": True}
        people = [] if hide else [{"who": "ben", "left": 2}]
        still = cara.get("progress").json()["progress"]["still"]
        assert still == {"others": True, "left": 2, "people": people}
        ben.label_all("refused")
        assert ana.get("progress").json()["progress"]["still"] == {"others": False}


def test_the_label_page_opens_its_store_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's locks are the process's: closing one opening of a file takes them from another."""
    from llmclf.cli import run
    from llmclf.server import running

    store, session, _ = label_server(tmp_path)
    store.close()
    opened: list[object] = []
    begin = Store.__init__

    def counted(self: Store, path: Any = None, **settings: Any) -> None:
        opened.append(path)
        begin(self, path, **settings)

    monkeypatch.setattr(Store, "__init__", counted)
    monkeypatch.setattr(running, "serve", lambda *_, **__: None)
    monkeypatch.chdir(tmp_path)
    assert run(["calibrate", "label", session.id, "--no-browser", "--store", str(tmp_path / "s.db")]) == 0
    assert opened == [tmp_path / "s.db"]


def test_a_closed_session_takes_no_more(served: Served) -> None:
    """The page is told that it is closed; what still comes is refused and says so."""
    session, made = served.session()
    ana = Client(served, made["ana"])
    item = ana.get("current").json()["ask"]["item"]
    served.desk.close(session.id)
    now = ana.get("current").json()
    assert (now["ask"], now["progress"]["closed"]) == (None, True)
    assert "closed" in ana.save(item).json()["error"]["message"]


def test_every_person_gets_a_link_of_their_own(served: Served) -> None:
    """Annotators and the adjudicator, each with another token, under the address given."""
    _, made = served.session()
    assert list(made) == [*PEOPLE, ADJUDICATOR]
    assert len(set(made.values())) == 3
    assert all(link.startswith(f"{served.server.url}/enter/") for link in made.values())


@pytest.mark.slow
def test_the_benchmark_loses_nothing() -> None:
    """Two people at once over a killed server, as `benchmarks/label_session.py --quick` measures it."""
    script = Path(__file__).parents[1] / "benchmarks" / "label_session.py"
    done = subprocess.run(
        [sys.executable, str(script), "--quick", "--json"], capture_output=True, text=True, check=True
    )
    figures = json.loads(done.stdout)["figures"]
    assert (figures["lost"], figures["twice"], figures["labels"]) == (0, 0, 2 * figures["items"])
