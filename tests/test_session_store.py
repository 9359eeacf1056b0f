"""Sessions in the file: what a killed process leaves, two processes at once, a full disk, erasing, exporting."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from desk_session import make, opened

from llmclf.calibration.desk import Desk
from llmclf.calibration.session import Session
from llmclf.errors import DataError, StoreError
from llmclf.store import Store
from llmclf.types import Conversation, Evidence, Item, Judgment

N = 300
HERON = "a grey heron by the weir"
_LABEL = """
import sys
from llmclf.calibration.desk import Desk
from llmclf.store import Store
with Store(sys.argv[1]) as store:
    desk = Desk(store)
    seat = desk.seat_of("last", sys.argv[2])
    while (ask := desk.ask(seat)) is not None:
        desk.save(seat, ask.case_id, label=("refused", "clean")[ask.number % 2], client_id=f"k{ask.number}")
        print(ask.case_id, flush=True)
"""


def labeller(path: Path, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _LABEL, str(path), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def labels(desk: Desk, name: str) -> list[str]:
    return [one.case.id for one in desk.labelled("last") for said in one.annotations if said.annotator == name]


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    """A process killed in the middle of labelling loses no label that it said was kept, and goes on where it was."""
    path = tmp_path / "llmclf.db"
    with Store(path) as store:
        opened(store, *make(N))
    acknowledged: list[str] = []
    for stop in (25, 60):
        process = labeller(path, "ana")
        assert process.stdout is not None
        while len(acknowledged) < stop and (line := process.stdout.readline()):
            acknowledged.append(line.strip())
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split("\n")
        acknowledged += [line for line in rest[:-1] if line]
        process.wait(30)
        with Store(path) as store:
            kept = labels(Desk(store), "ana")
            assert set(acknowledged) <= set(kept)
            assert len(kept) - len(acknowledged) <= 1 + (stop == 60)
            assert store.query("SELECT count(*) AS n FROM session_labels") == [{"n": len(kept)}]
            assert store.query("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    assert len(set(acknowledged)) == len(acknowledged)


def test_two_processes_label_at_once(tmp_path: Path) -> None:
    """Two people served by processes of their own: both are done with all, and every label is there once."""
    path = tmp_path / "llmclf.db"
    with Store(path) as store:
        desk = opened(store, *make(60))
        processes = [labeller(path, name) for name in ("ana", "ben")]
        for process in processes:
            assert process.communicate(timeout=120)[0].count("\n") == 60
            assert process.returncode == 0
        assert len(labels(desk, "ana")) == len(labels(desk, "ben")) == 60
        assert store.query("SELECT count(*) AS n FROM session_labels") == [{"n": 120}]
        assert all(desk.progress(desk.seat_of("last", name)).finished for name in ("ana", "ben", "cara"))


def test_a_full_disk_is_said_and_nothing_half_is_kept(tmp_path: Path) -> None:
    """A label that can't be written raises, also to the next one; with room again labelling goes on."""
    with Store(tmp_path / "llmclf.db") as store:
        desk = opened(store, *make(3))
        ana = desk.seat_of("last", "ana")
        desk.save(ana, "case 0", label="clean", client_id="k0")
        room(store, 0)
        for _ in range(2):
            with pytest.raises(StoreError, match="disk is full"):
                desk.save(ana, "case 1", label="clean", note="x" * 9_000, client_id="k1")
        session, conversations = make(50)
        with pytest.raises(StoreError, match="disk is full"):
            desk.open(Session(**{**vars(session), "id": "s-2"}), conversations)
        room(store, 10_000)
        assert [one.id for one in desk.sessions()] == ["s-1"]
        assert labels(desk, "ana") == ["case 0"]
        desk.save(ana, "case 1", label="clean", note="x" * 9_000, client_id="k1")
        assert labels(desk, "ana") == ["case 0", "case 1"]


def room(store: Store, pages: int) -> None:
    """From here on the file may only grow by so many pages, as on a full disk."""

    def limit(connection: sqlite3.Connection) -> None:
        used = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {used + pages}")

    store.write(limit)


def heron_session() -> tuple[Session, dict[str, Conversation]]:
    """Two cases; the words of the first one's conversation, rationale, notes and quotes speak of a heron."""
    session, conversations = make(3)
    first = session.items[0]
    shown = {"rationale": HERON, "verdict": HERON}
    case = type(first.case)(**{**vars(first.case), "shown": shown})
    items = (type(first)(**{**vars(first), "case": case}), *session.items[1:])
    turns = conversations["c0"].turns
    conversations["c0"] = Conversation("c0", (type(turns[0])("user", HERON), *turns[1:]))
    return Session(**{**vars(session), "items": items}), conversations


def raw(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))


def fill(store: Store) -> Desk:
    desk = opened(store, *heron_session())
    ana, ben = desk.seat_of("last", "ana"), desk.seat_of("last", "ben")
    desk.save(ana, "case 0", label="refused", rule="R1", note=HERON, evidence=[Evidence(HERON, 0)], seconds=4)
    desk.save(ben, "case 0", skipped=HERON)
    desk.save(ben, "case 1", label="clean", note="stays")
    return desk


def test_forgetting_takes_the_words_and_leaves_the_labels(tmp_path: Path) -> None:
    """No word of the conversation stands in file or log; verdicts, rules and seconds stay; nobody is asked again."""
    path = tmp_path / "llmclf.db"
    with Store(path) as store:
        desk = fill(store)
        judgment = Judgment("case 0", "j", "f", "refused", HERON, thinking=HERON)
        store.add_judgments("", [judgment], items={"case 0": Item("c0", 2)})
        store.flush()
        assert HERON.encode() in raw(path)
        cleared = store.forget("c0", "c2")
        assert {name: count for name, count in cleared.items() if count} == {
            "judgments": 1, "session_items": 2, "session_labels": 2,
        }  # fmt: skip
        assert b"heron" not in raw(path)
        first, second, _ = desk.labelled("last")
        said = first.annotations[0]
        assert (said.label, said.rule, said.seconds, said.note, said.evidence) == ("refused", "R1", 4, "", ())
        assert first.skips[0].why == "forgotten"
        assert first.case.shown == {}
        assert second.annotations[0].note == "stays"
        (row,) = store.query("SELECT verdict, reason, thinking, forgotten_at FROM judgments")
        assert row.pop("forgotten_at")
        assert row == {"verdict": "refused", "reason": None, "thinking": None}
        for same in (desk, Desk(store)):
            ana = same.seat_of("last", "ana")
            ask = same.ask(ana)
            assert ask is not None
            assert ask.case_id == "case 1"
            with pytest.raises(DataError, match="erased"):
                same.ask(ana, "case 0")
            with pytest.raises(DataError, match="erased"):
                same.save(ana, "case 0", label="clean")
        desk.save(desk.seat_of("last", "ana"), "case 1", label="clean")
        assert desk.ask(desk.seat_of("last", "ana")) is None
        progress = desk.progress(desk.seat_of("last", "ana"))
        assert (progress.done, progress.total, progress.finished) == (2, 2, True)
        assert all(count == 0 for count in store.forget("c0").values())


def test_words_of_an_old_session_expire(tmp_path: Path) -> None:
    """What a session shows is as old as the session; notes are as old as they are, or older."""
    path = tmp_path / "llmclf.db"
    with Store(path) as store:
        desk = fill(store)
        assert not any(store.expire(1).values())
        old = (datetime.now(UTC) - timedelta(days=9)).isoformat()
        store.write(lambda connection: connection.execute("UPDATE sessions SET created_at = ?", (old,)).rowcount)
        cleared = store.expire(7)
        assert (cleared["session_items"], cleared["session_labels"]) == (3, 3)
        assert b"heron" not in raw(path)
        assert desk.ask(desk.seat_of("last", "ana")) is None
        assert [len(one.annotations) for one in desk.labelled("last")] == [1, 1, 0]


def test_a_store_is_exported_with_its_sessions_and_without_its_tokens(tmp_path: Path) -> None:
    """Every table but the one of links; JSON columns as JSON."""
    with Store(tmp_path / "llmclf.db") as store:
        desk = fill(store)
        link = desk.link_token("last", "ana")
        desk.look("last", "j", "f")
        files = store.export(tmp_path / "out")
        rows = {file.stem: [json.loads(line) for line in file.read_text().splitlines()] for file in files}
        assert [len(rows[name]) for name in ("sessions", "session_items", "session_labels", "session_looks")] == [
            1, 3, 3, 1,
        ]  # fmt: skip
        assert "session_tokens" not in rows
        assert link not in json.dumps(rows)
        assert rows["sessions"][0]["rubric"]["verdicts"][0]["rules"][0]["id"] == "R1"
        assert rows["session_items"][0]["conversation"]["turns"][0]["text"] == HERON
        assert rows["session_labels"][0]["evidence"] == [{"quote": HERON, "turn": 0, "grounded": True}]


def test_look_ups_of_a_session_use_an_index(tmp_path: Path) -> None:
    """No question that a click asks reads a whole table."""
    questions: Sequence[str] = (
        "SELECT 1 FROM session_tokens WHERE token_sha256 = 'x' AND kind = 'cookie'",
        "SELECT 1 FROM session_items WHERE session_id = 'x' AND case_id = 'y'",
        "SELECT 1 FROM session_labels WHERE session_id = 'x' AND undone_at IS NULL ORDER BY label_id",
        "SELECT 1 FROM session_labels WHERE session_id = 'x' AND case_id = 'y' AND undone_at IS NULL",
        "SELECT 1 FROM session_labels WHERE session_id = 'x' AND annotator = 'y' AND client_id = 'z'"
        " AND client_id <> ''",
        "SELECT 1 FROM session_items WHERE conversation_id = 'x'",
    )
    with Store(tmp_path / "llmclf.db") as store:
        for question in questions:
            plan = " ".join(row["detail"] for row in store.query(f"EXPLAIN QUERY PLAN {question}"))
            assert "SCAN" not in plan, (question, plan)


def test_sessions_of_labellers_work_in_memory() -> None:
    """A store without a file opens sessions as well."""
    with Store() as store:
        desk = opened(store, *make(1))
        desk.save(desk.seat_of("last", "ana"), "case 0", label="clean")
        assert labels(desk, "ana") == ["case 0"]
