"""Links, cookies and what the label page may ask: each person their own, blind, and every label once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
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

    def save(self, item: str, label: str | None = "clean", **more: Any) -> httpx.Response:
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
        ({"note": "x" * 4001}, "at most 4,000"),
        ({"evidence": [{"turn": 99, "quote": "x"}]}, "turn 99 is not shown"),
        ({"evidence": [{"turn": 0}]}, "`quote`"),
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


def test_undo_brings_the_case_back(served: Served) -> None:
    """The last label is taken back and its case asked again; where there is none, the next one is shown."""
    _, made = served.session()
    ana = Client(served, made["ana"])
    item = ana.get("current").json()["ask"]["item"]
    assert ana.post("undo", {}).json()["ask"]["item"] == item
    ana.save(item)
    after = ana.post("undo", {}).json()
    assert (after["ask"]["item"], after["progress"]["done"]) == (item, 0)


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
