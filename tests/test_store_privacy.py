"""Personal data and the file: what never gets in, and what is really gone when it is forgotten."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from llmclf.errors import ConfigError, StoreError
from llmclf.render.redaction import Redaction
from llmclf.store import CallDone, CallSent, Store
from llmclf.types import Conversation, ErrorInfo, Evidence, Prediction, Turn, canonical_json

NAME, PHONE, CARD = "Kowalska", "555-123-4567", "4111 1111 1111 1111"
PLANTED = (NAME, PHONE, CARD, "5551234567", "4111111111111111")
SAID = f"my name is Ana {NAME}, call {PHONE}, card {CARD}"
BODY = canonical_json({"model": "m", "messages": [{"role": "user", "content": f"[0] user: {SAID}\n5551234567 too"}]})
UNIQUE = "a heron stole the parcel"


def raw(path: Path) -> bytes:
    """Everything that stands on the disk for a store."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))


def fill(store: Store, conversation_id: str, said: str, *, sent_at: datetime | None = None) -> str:
    run = store.start_run("classify", inputs_hash="h", config={})
    body = canonical_json({"messages": [{"role": "user", "content": said}]})
    call = CallSent(f"call-{conversation_id}", run, "hash", conversation_id=conversation_id, request_json=body,
                    reserved_nano=9, sent_at=sent_at)  # fmt: skip
    store.call_sent(call)
    store.call_done(call.call_id, CallDone("done", text=f"answer: {said}", reasoning=f"hm, {said}", cost_nano=7,
                                           error_message=f"odd: {said}", label_logprobs={said[-9:]: -1.0}))  # fmt: skip
    store.add_predictions(
        run,
        [
            Prediction(conversation_id, "llm@1", "t", label="x", flagged=True, evidence=(Evidence(said, 0),),
                       rationale=f"They said: {said}", thinking=f"I think {said}", cost_nano_usd=7),
            Prediction(conversation_id, "llm@1", "t", error=ErrorInfo("unparsable", f"not JSON: {said}")),
        ],
    )  # fmt: skip
    store.finish_run(run, "done")
    return run


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "llmclf.db"


def test_planted_names_phones_and_cards_never_reach_the_file(path: Path) -> None:
    """Neither the file nor its log holds them, whatever they came in with; labels and placeholders do."""
    with Store(path) as store:
        run = fill(store, "c1", SAID)
        store.call_sent(CallSent("json", run, "other", conversation_id="c1", request_json=BODY))
        store.finish_run(run, "failed", why=f"stopped at: {SAID}")
        bytes_ = raw(path)
        assert b"[NAME_1]" in bytes_
        for planted in PLANTED:
            assert planted.encode() not in bytes_, planted
        assert store.predictions(run)[0].evidence[0].quote == "my name is [NAME_1], call [PHONE_1], card [CARD_1]"
        assert store.stored_answer("hash") is not None
    for planted in PLANTED:
        assert planted.encode() not in raw(path), planted


def test_placeholders_are_the_same_through_a_conversation(path: Path) -> None:
    """What the request introduced is replaced in answer and prediction, which do not introduce it."""
    with Store(path) as store:
        run = store.start_run("classify", inputs_hash="h", config={})
        store.call_sent(CallSent("a", run, "hash", conversation_id="c1", request_json=BODY))
        store.call_done("a", CallDone("done", text=f"Ms {NAME} wants {PHONE}"))
        store.add_predictions(run, [Prediction("c1", "llm@1", "t", label="x", rationale=f"Ana {NAME} asked")])
        answer = store.stored_answer("hash")
        assert answer is not None
        assert answer.text == "Ms [NAME_1] wants [PHONE_1]"
        store.flush()
        assert store.stored_answer("hash") == answer
        assert store.predictions(run)[0].rationale == "[NAME_1] asked"
        (row,) = store.query("SELECT request FROM call_texts")
        assert row["request"] == (
            '{"messages":[{"content":"[0] user: my name is [NAME_1], call [PHONE_1], card [CARD_1]\\n[PHONE_1] too",'
            '"role":"user"}],"model":"m"}'
        )


def test_quotes_are_redacted_like_the_conversation_once_it_is_learned(path: Path) -> None:
    """A classifier that never sends anything quotes raw words: `learn` tells the store what is personal in them."""
    conversation = Conversation(
        "c1", (Turn("user", f"I am called Ana {NAME}"), Turn("bot", "Hi")), metadata={"vip": "Z-9"}
    )
    with Store(path, redaction=Redaction(metadata_keys=("vip",))) as store:
        store.learn(conversation)
        run = store.start_run("classify", inputs_hash="h", config={})
        quote = Evidence(f"Ana {NAME} has Z-9", 0)
        store.add_predictions(run, [Prediction("c1", "keyword@1", "t", label="x", evidence=(quote,))])
        assert store.predictions(run)[0].evidence[0].quote == "[NAME_1] has [PERSONAL_1]"


def test_many_conversations_are_learned_before_their_predictions_come() -> None:
    """The first of thousands is still known at the end."""
    with Store() as store:
        for number in range(3_000):
            store.learn(
                Conversation(f"c{number}", (Turn("user", "I am called Ana" if number % 1_000 == 0 else "Hello"),))
            )
        run = store.start_run("classify", inputs_hash="h", config={})
        store.add_predictions(
            run, [Prediction(f"c{number}", "k", "t", rationale="Ana waits") for number in (0, 1, 2_000)]
        )
        assert store.predictions(run).column("rationale") == ["[NAME_1] waits", "Ana waits", "[NAME_1] waits"]


@pytest.mark.parametrize("when", ["off", "sending"])
def test_without_redaction_texts_are_stored_as_handed_over(path: Path, when: str) -> None:
    """Where privacy does not cover storing, every text comes back as it was."""
    with Store(path, redaction=Redaction(when=when)) as store:  # type: ignore[arg-type]
        run = fill(store, "c1", SAID)
        assert store.predictions(run)[0].evidence[0].quote == SAID
        answer = store.stored_answer("hash")
        assert answer is not None
        assert answer.text == f"answer: {SAID}"


def cleared(rows: dict[str, int]) -> dict[str, int]:
    return {table: count for table, count in rows.items() if count}


def test_forgetting_really_erases(path: Path) -> None:
    """After `forget` no word of the conversation stands in file or log; counts, labels and money stay."""
    with Store(path) as store:
        run = fill(store, "c1", UNIQUE)
        fill(store, "c2", "another story")
        store.flush()
        assert UNIQUE.encode() in raw(path)
        assert cleared(store.forget("c1")) == {"calls": 1, "call_texts": 1, "predictions": 2}
        words = raw(path)
        assert UNIQUE.encode() not in words
        assert b"another story" in words
        found = store.predictions(run)
        assert [prediction.label for prediction in found] == ["x", None]
        assert found[0].evidence == ()
        assert found[0].rationale == found[0].thinking == ""
        assert found[1].error == ErrorInfo("unparsable", "")
        assert store.spent_nano().settled == 14
        assert store.stored_answer("hash") is not None  # the other conversation's
        assert [row["conversation_id"] for row in store.reasons()] == ["c2"]
        assert cleared(store.forget("c1", "never heard of")) == {}


def test_forgetting_while_others_read(path: Path) -> None:
    """Readers of other threads do not keep the old words alive."""
    with Store(path) as store, ThreadPoolExecutor(3) as pool:
        fill(store, "c1", UNIQUE)
        readings = [pool.submit(lambda: [store.reasons() for _ in range(30)]) for _ in range(3)]
        store.forget("c1")
        for reading in readings:
            reading.result(30)
        assert b"heron" not in raw(path)


def test_a_reader_that_holds_the_log_is_told(path: Path) -> None:
    """Where somebody keeps an old view of the file open, erasing does not pretend to be complete."""
    with Store(path, lock_seconds=0.3) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        fill(store, "c1", UNIQUE)
        store.flush()
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM runs").fetchall()
        with pytest.raises(StoreError, match="still in the log"):
            store.forget("c1")
        other.execute("COMMIT")
        assert store.forget("c1")["call_texts"] == 0
        assert b"heron" not in raw(path)


def test_a_call_under_way_brings_nothing_back(path: Path) -> None:
    """An answer that arrives after its conversation was forgotten is counted and paid, not stored."""
    with Store(path) as store:
        run = store.start_run("classify", inputs_hash="h", config={})
        store.call_sent(CallSent("a", run, "hash", conversation_id="c1", request_json=f'"{UNIQUE}"', reserved_nano=9))
        store.forget("c1")
        store.call_done("a", CallDone("done", text=UNIQUE, cost_nano=7)).result(10)
        assert store.spent_nano().settled == 7
        assert store.stored_answer("hash") is None
        assert UNIQUE.encode() not in raw(path)


def test_a_forgotten_conversation_may_come_again(path: Path) -> None:
    """Forgetting is about what was, not about what comes."""
    with Store(path) as store:
        fill(store, "c1", UNIQUE)
        store.forget("c1")
        run = store.start_run("classify", inputs_hash="h", config={})
        store.add_predictions(run, [Prediction("c1", "llm@1", "t", label="x", rationale="new words")])
        assert [row["rationale"] for row in store.reasons()] == ["new words"]


def test_old_words_expire(path: Path) -> None:
    """`expire` erases by age, and leaves what is younger."""
    with Store(path) as store:
        fill(store, "c1", UNIQUE, sent_at=datetime.now(UTC) - timedelta(days=10))
        assert cleared(store.expire(7)) == {"calls": 1, "call_texts": 1}
        assert store.query("SELECT * FROM call_texts") == []
        assert len(store.reasons()) == 1
        assert cleared(store.expire(0)) == {"predictions": 2}
        assert not len(store.reasons())
        assert store.spent_nano().settled == 7
        with pytest.raises(ConfigError, match="negative"):
            store.expire(-1)


def test_forgetting_in_memory() -> None:
    """A store without a file forgets as well."""
    with Store() as store:
        run = fill(store, "c1", UNIQUE)
        assert store.forget("c1")["predictions"] == 2
        assert store.predictions(run)[0].rationale == ""


def test_a_custom_redaction_that_fails_stores_nothing(path: Path) -> None:
    """Unredacted words never get in because somebody's function broke."""
    with Store(path, redaction=Redaction(custom=lambda text: str(1 / 0))) as store:
        with pytest.raises(ConfigError, match="your own redaction failed"):
            store.call_sent(CallSent("a", "run", "hash", request_json=f'["{UNIQUE}"]'))
        with pytest.raises(ConfigError, match="your own redaction failed"):
            store.add_predictions("run", [replace(Prediction("c1", "k", "t"), rationale=UNIQUE)])
        store.flush()
        assert UNIQUE.encode() not in raw(path)
