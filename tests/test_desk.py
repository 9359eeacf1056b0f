"""The desk: who is asked what, what they may see, and what becomes of what they say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from desk_session import RUBRIC, SECRET, conversation, make, opened

from llmclf.calibration.asks import Ask, Seat
from llmclf.calibration.desk import Desk
from llmclf.errors import ConfigError, DataError
from llmclf.render.redaction import Redaction
from llmclf.store import Store
from llmclf.types import Attachment, Conversation, Evidence, Turn
from llmclf.types.hashing import plain


@pytest.fixture
def store() -> Iterator[Store]:
    with Store() as store:
        yield store


def seats(desk: Desk) -> tuple[Seat, Seat, Seat]:
    ana, ben, cara = (desk.seat_of("last", name) for name in ("ana", "ben", "cara"))
    return ana, ben, cara


def say(desk: Desk, seat: Seat, *labels: str) -> list[str]:
    """Labels the next cases (empty: skips); their ids."""
    found = []
    for label in labels:
        ask = desk.ask(seat)
        assert ask is not None
        desk.save(seat, ask.case_id, label=label or None, skipped="" if label else "unclear")
        found.append(ask.case_id)
    return found


def test_first_labels_are_blind(store: Store) -> None:
    """No field of any ask of a first round holds a known label, stratum, chance, score or another's label."""
    desk = opened(store, *make(5, practice=2))
    ana, ben, _ = seats(desk)
    for number in range(7):
        ask = desk.ask(ben)
        assert ask is not None
        evidence = [Evidence("A person", 2)]
        desk.save(ben, ask.case_id, label="refused", rule="R1", note=f"{SECRET} note", evidence=evidence)
        seen = desk.ask(ana)
        assert seen is not None
        words = json.dumps(plain(seen)) + repr(seen)
        for secret in (SECRET, "refused", "R1", "ben", "0.1234", "align", "test", "by_verdict"):
            assert secret not in words
        assert seen.number == number + 1
        assert seen.practice == (number < 2)
        assert seen.shown == {"rationale": f"reason {number}"}
        assert seen.conversation is not None
        assert [turn.text for turn in seen.conversation.turns][2:] == ["A person, please!"]
        assert seen.others == ()
        desk.save(ana, seen.case_id, label="angry", note="mine")
        again = desk.ask(ana, seen.case_id)
        assert again is not None
        assert again.known == ("refused" if number < 2 else "")
        assert again.earlier is not None
        assert (again.earlier.label, again.earlier.note) == ("angry", "mine")
        assert SECRET not in repr(again)
        assert set(vars(again)) == {field for field in Ask.__dataclass_fields__}


def test_a_picture_of_later_turns_is_not_shown(store: Store) -> None:
    """An attachment that holds turns after the one asked about is left out, also of the store."""
    session, conversations = make(1)
    early = Attachment.from_bytes("image", "image/png", b"early", rendered=2)
    late = Attachment.from_bytes("image", "image/png", b"late", rendered=5)
    turns = conversations["c0"].turns
    conversations["c0"] = Conversation("c0", (replace(turns[0], attachments=(early, late)), *turns[1:]))
    desk = opened(store, session, conversations)
    ask = desk.ask(seats(desk)[0])
    assert ask is not None
    assert ask.conversation is not None
    assert [one.sha256 for one in ask.conversation.turns[0].attachments] == [early.sha256]
    assert late.sha256 not in json.dumps(store.query("SELECT * FROM session_items"))


def test_where_later_turns_may_be_seen_all_are_shown(store: Store) -> None:
    """A rubric of the whole conversation shows the whole conversation, without its metadata."""
    session, conversations = make(1, rubric=replace(RUBRIC, context="whole"))
    desk = opened(store, session, conversations)
    ask = desk.ask(seats(desk)[0])
    assert ask is not None
    assert ask.conversation == replace(conversations["c0"], metadata={})


def test_a_rubric_without_the_conversation_neither_shows_nor_keeps_it(store: Store) -> None:
    """What people may not see is not even in the session's rows."""
    session, _ = make(1, rubric=replace(RUBRIC, sees=("rationale",)))
    desk = opened(store, session, {})
    ask = desk.ask(seats(desk)[0])
    assert ask is not None
    assert ask.conversation is None
    assert ask.shown == {"rationale": "reason 0"}


def test_adjudication_from_the_first_label_to_the_truth(store: Store) -> None:
    """The adjudicator sees both labels with rules and notes once all are in, and what is decided counts."""
    desk = opened(store, *make(4))
    ana, ben, cara = seats(desk)
    say(desk, ana, "refused", "clean", "refused", "")
    assert desk.ask(cara) is None
    first = desk.labelled("last")[0]  # ana alone has labelled it
    assert (first.truth, first.truth_from, first.to_label, first.adjudicates) == (None, "", ("ben",), True)
    progress = desk.progress(cara)
    assert (progress.total, progress.waiting, progress.finished) == (0, 4, False)
    desk.save(ben, "case 0", label="refused")
    desk.save(ben, "case 1", label="angry", rule="R2", note="shouts")
    ask = desk.ask(cara)
    assert ask is not None
    assert (ask.case_id, ask.round, ask.number) == ("case 1", "adjudication", 1)
    assert [(one.annotator, one.label, one.rule, one.note) for one in ask.others] == [
        ("ana", "clean", "", ""),
        ("ben", "angry", "R2", "shouts"),
    ]
    assert [one.to_decide for one in desk.labelled("last")] == [False, True, False, False]
    desk.save(cara, "case 1", label="angry", rule="R2")
    desk.save(ben, "case 2", label="clean")
    desk.save(ben, "case 3", skipped="no idea")
    assert say(desk, cara, "") == ["case 2"]
    assert desk.progress(cara).finished
    truths = [(one.case.id, one.truth, one.truth_from) for one in desk.labelled("last")]
    assert truths == [
        ("case 0", "refused", "agreed"),
        ("case 1", "angry", "adjudicated"),
        ("case 2", None, ""),
        ("case 3", None, ""),
    ]
    third = desk.labelled("last")[2]
    assert third.undecided and not third.to_decide
    assert [(skip.annotator, skip.why) for skip in third.skips] == [("cara", "unclear")]
    decided = desk.labelled("last")[1].adjudication
    assert decided is not None
    assert decided.blind is False
    assert [one.blind for one in third.annotations] == [True, True]
    (summary,) = desk.sessions()
    assert (summary.done, summary.total) == ({"ana": 4, "ben": 4}, {"ana": 4, "ben": 4})
    assert (summary.to_adjudicate, summary.unlabelled, summary.closed) == (0, 1, False)


def test_practice_comes_first_and_is_never_decided(store: Store) -> None:
    """It is labelled by everybody, kept apart, and no adjudicator sees it."""
    desk = opened(store, *make(1, practice=2))
    ana, ben, cara = seats(desk)
    assert desk.progress(ana).practice_left == 2
    assert say(desk, ana, "clean", "clean", "clean") == ["case 0", "case 1", "case 2"]
    say(desk, ben, "refused", "refused", "clean")
    assert desk.ask(cara) is None
    assert [one.item.split for one in desk.labelled("last")] == ["practice", "practice", "test"]
    assert [one.case.id for one in desk.labelled("last", split="test")] == ["case 2"]


def test_a_practice_label_after_the_known_one_is_not_blind(store: Store) -> None:
    """Who has seen the known label and says something else was not blind any more."""
    desk = opened(store, *make(1, practice=1))
    ana = seats(desk)[0]
    say(desk, ana, "clean")
    assert desk.labelled("last")[0].annotations[0].blind is True
    desk.save(ana, "case 0", label="refused")
    assert desk.labelled("last")[0].annotations[0].blind is False


def test_hidden_names_are_hidden_from_the_adjudicator(store: Store) -> None:
    """People are A1 and A2 in the session's order, without times."""
    session, conversations = make(1)
    desk = opened(store, replace(session, hide_names=True), conversations)
    ana, ben, cara = seats(desk)
    desk.save(ana, "case 0", label="clean", seconds=4)
    desk.save(ben, "case 0", label="refused", seconds=9)
    ask = desk.ask(cara)
    assert ask is not None
    assert [(one.annotator, one.seconds, one.at) for one in ask.others] == [("A1", None, ""), ("A2", None, "")]


def test_what_was_said_last_counts_and_can_be_taken_back(store: Store) -> None:
    """Undo takes back the last label; what was said of the case before counts again, and every row is kept."""
    desk = opened(store, *make(2))
    ana = seats(desk)[0]
    say(desk, ana, "clean", "clean")
    desk.save(ana, "case 0", label="refused", rule="R1")
    assert desk.labelled("last")[0].annotations[0].label == "refused"
    assert desk.undo(ana) == "case 0"
    assert desk.labelled("last")[0].annotations[0].label == "clean"
    assert [desk.undo(ana), desk.undo(ana), desk.undo(ana)] == ["case 1", "case 0", None]
    assert desk.progress(ana).done == 0
    rows = store.query("SELECT undone_at FROM session_labels")
    assert len(rows) == 3
    assert all(row["undone_at"] for row in rows)


def test_a_label_that_is_named_is_taken_back_once(store: Store) -> None:
    """Asked for again it stays as it is; what is no longer the last, or never was, is refused."""
    desk = opened(store, *make(3))
    ana, ben, _ = seats(desk)
    assert desk.last(ana) == 0
    say(desk, ben, "clean")
    say(desk, ana, "clean", "refused", "angry")
    assert (desk.last(ana), desk.last(ben)) == (3, 1)
    assert [desk.undo(ana, 3), desk.undo(ana, 3)] == ["case 2", "case 2"]
    assert (desk.last(ana), desk.progress(ana).done) == (2, 2)
    say(desk, ana, "clean")
    assert desk.last(ana) == 4
    with pytest.raises(DataError, match="saved since"):
        desk.undo(ana, 2)
    for number in (0, -1, 5):
        with pytest.raises(DataError, match="no such label"):
            desk.undo(ana, number)
    assert desk.progress(ana).done == 3


def test_a_decided_case_stays_as_it_was_decided(store: Store) -> None:
    """Once the adjudicator has decided a case, its first labels can't be changed or taken back."""
    desk = opened(store, *make(1))
    ana, ben, cara = seats(desk)
    say(desk, ana, "clean")
    say(desk, ben, "refused")
    say(desk, cara, "refused")
    with pytest.raises(DataError, match="adjudicator has decided"):
        desk.save(ana, "case 0", label="refused")
    with pytest.raises(DataError, match="adjudicator has decided"):
        desk.undo(ben)
    desk.save(cara, "case 0", label="clean")
    assert [desk.undo(cara), desk.undo(cara), desk.undo(ben)] == ["case 0", "case 0", "case 0"]
    with pytest.raises(DataError, match="nothing to decide"):
        desk.save(cara, "case 0", label="clean")


def test_everything_wrong_with_a_label_is_said_at_once(store: Store) -> None:
    """A wrong label, rule, time and quote stand in one message, and nothing is kept."""
    desk = opened(store, *make(1))
    ana = seats(desk)[0]
    with pytest.raises(DataError) as caught:
        desk.save(
            ana,
            "case 0",
            label="refuse",
            rule="R9",
            seconds=float("nan"),
            evidence=[Evidence("x", 4)],
            note="x" * 10_001,
        )
    for part in ("'refuse'", "'R9'", "seconds", "no turn 4", "10,001"):
        assert part in str(caught.value)
    for given in ({}, {"label": "clean", "skipped": "both"}):
        with pytest.raises(DataError, match="give a label, or why"):
            desk.save(ana, "case 0", **given)  # type: ignore[arg-type]
    for seconds in (-1, float("inf")):
        with pytest.raises(DataError, match="seconds"):
            desk.save(ana, "case 0", label="clean", seconds=seconds)
    assert desk.progress(ana).done == 0


def test_nobody_labels_what_is_not_theirs(store: Store) -> None:
    """A case of another person, an unknown case, and one that is not ready to be decided are refused."""
    session, conversations = make(2)
    items = (session.items[0], replace(session.items[1], annotators=("ben",)))
    desk = opened(store, replace(session, items=items), conversations)
    ana, _, cara = seats(desk)
    for case in ("case 1", "case 9", "' OR 1=1 --"):
        with pytest.raises(DataError, match="not one of this person's"):
            desk.save(ana, case, label="clean")
        with pytest.raises(DataError, match="not one of this person's"):
            desk.ask(ana, case)
    with pytest.raises(DataError, match="nothing to decide"):
        desk.save(cara, "case 0", label="clean")
    with pytest.raises(DataError, match="not one of this person's"):
        desk.ask(cara, "case 0")


def test_a_click_that_is_sent_twice_is_kept_once(store: Store) -> None:
    """Also after it was undone; another label under the same id is refused, not lost."""
    desk = opened(store, *make(2))
    ana, ben, _ = seats(desk)
    for _ in range(3):
        desk.save(ana, "case 0", label="clean", client_id="k1")
    assert store.query("SELECT count(*) AS n FROM session_labels") == [{"n": 1}]
    desk.save(ben, "case 0", label="clean", client_id="k1")
    desk.undo(ana)
    desk.save(ana, "case 0", label="clean", client_id="k1")
    assert desk.progress(ana).done == 0
    with pytest.raises(DataError, match="another label already"):
        desk.save(ana, "case 1", label="clean", client_id="k1")


def test_many_tabs_at_once_lose_nothing(store: Store) -> None:
    """Two people with four tabs each, all clicks twice: every label is there, once."""
    desk = opened(store, *make(30))
    people = seats(desk)[:2]

    def click(job: tuple[Seat, int]) -> None:
        seat, number = job
        label = ("refused", "clean")[number % 2]
        desk.save(seat, f"case {number}", label=label, client_id=f"k{number}", seconds=number)
        assert desk.progress(seat).done > 0

    jobs = [(seat, number) for number in range(30) for seat in people for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(click, jobs))
    assert store.query("SELECT count(*) AS n FROM session_labels") == [{"n": 60}]
    assert all(one.truth_from == "agreed" for one in desk.labelled("last"))


def test_progress_counts_the_minutes_left(store: Store) -> None:
    """The median of five timed labels or more; an hour at most of a page left open; unknown with fewer."""
    desk = opened(store, *make(7))
    ana = seats(desk)[0]
    for number, seconds in enumerate((30.0, 20.0, 10**400, None, 40.0, 10.0)):
        assert desk.progress(ana).seconds_a_label is None
        assert desk.progress(ana).minutes_left is None
        desk.save(ana, f"case {number}", label="clean", seconds=seconds)
    progress = desk.progress(ana)
    assert (progress.seconds_a_label, progress.minutes_left) == (30, 0.5)
    assert (progress.done, progress.total, progress.finished) == (6, 7, False)
    assert desk.labelled("last")[2].annotations[0].seconds == 3600


def test_quotes_are_looked_up_not_believed(store: Store) -> None:
    """A quote in the turn (spaces apart) is grounded, one that is not there is kept and marked."""
    desk = opened(store, *make(1))
    ana = seats(desk)[0]
    quotes = [Evidence("A  person,\nplease", 2, False), Evidence("A person", 0), Evidence("reason 0", None)]
    desk.save(ana, "case 0", label="refused", evidence=quotes)
    kept = desk.labelled("last")[0].annotations[0].evidence
    assert [one.grounded for one in kept] == [True, False, True]
    assert [one.turn for one in kept] == [2, 0, None]


def test_links_are_swapped_for_cookies_and_revoked(store: Store) -> None:
    """A link holds until it is revoked, on several machines; no token is in the store; a cookie is no link."""
    desk = opened(store, *make(1))
    link = desk.link_token("last", "ana")
    cookies = [desk.swap(link), desk.swap(link)]
    assert len({link, *cookies}) == 3
    kept = json.dumps(store.query("SELECT * FROM session_tokens"))
    for cookie in cookies:
        assert cookie is not None
        assert desk.seat(cookie) == Seat("s-1", "ana", False)
        assert desk.swap(cookie) is None
        assert cookie not in kept
    assert link not in kept
    assert desk.seat(link) is None
    other = desk.swap(desk.link_token("s-1", "cara"))
    assert other is not None
    assert desk.seat(other) == Seat("s-1", "cara", True)
    assert desk.revoke("s-1", "ana") == 3
    assert desk.swap(link) is None
    assert desk.seat(cookies[0] or "") is None
    assert desk.seat(other) is not None
    assert desk.revoke("s-1") == 2
    assert desk.seat(other) is None
    assert desk.seat("\ud800") is None
    with pytest.raises(ConfigError, match="takes no part"):
        desk.link_token("s-1", "anna")


def test_a_closed_session_takes_nothing_more(store: Store) -> None:
    """No label, no undo, no next case; what was said stays to be read."""
    desk = opened(store, *make(2))
    ana = seats(desk)[0]
    say(desk, ana, "clean")
    desk.close("s-1")
    assert desk.ask(ana) is None
    assert desk.progress(ana).closed
    with pytest.raises(DataError, match="closed"):
        desk.save(ana, "case 1", label="clean")
    with pytest.raises(DataError, match="closed"):
        desk.undo(ana)
    assert desk.sessions()[0].closed
    assert desk.labelled("s-1")[0].annotations[0].label == "clean"


def test_sessions_are_found_by_name_beginning_and_last(store: Store) -> None:
    """An unknown or ambiguous name gives the choices; a name is taken once; what was settled comes back as it was."""
    desk = Desk(store)
    with pytest.raises(ConfigError, match="calibrate start"):
        desk.session("last")
    session, conversations = make(2, practice=1)
    desk.open(session, conversations)
    desk.open(replace(session, id="s-2", created_at="2999-01-01T00:00:00.000000Z"), conversations)
    assert desk.session("last").id == "s-2"
    assert desk.session("s-1") == replace(session, created_at=desk.session("s-1").created_at)
    with pytest.raises(ConfigError, match=r"several sessions begin so.*s-2, s-1"):
        desk.session("s-")
    with pytest.raises(ConfigError, match="did you mean 's-1'"):
        desk.session("s_1")
    with pytest.raises(ConfigError, match="session of this name"):
        desk.open(session, conversations)
    assert [one.id for one in desk.sessions()] == ["s-2", "s-1"]


def test_a_session_that_can_not_be_opened_says_all_that_is_wrong(store: Store) -> None:
    """People, ids, chances, labels, conversations and turns are checked before anything is written."""
    session, conversations = make(4, practice=1)
    first, second, third, fourth, fifth = session.items
    wrong = replace(
        session,
        adjudicator="ana",
        items=(
            second,
            first,
            replace(third, case=replace(third.case, id="case 1", label="unheard of"), inclusion_probability=0.0),
            replace(fourth, case=replace(fourth.case, turn=99), annotators=("zoe",)),
            replace(fifth, case=replace(fifth.case, conversation_id="lost", id="\ud800")),
        ),
    )
    with pytest.raises(DataError) as caught:
        Desk(store).open(wrong, conversations)
    for part in (
        "labels and adjudicates", "'case 1' stands twice", "practice must come first", "'unheard of'", "probability",
        "no turn 99", "('zoe',)", "conversation 'lost'", "half characters",
    ):  # fmt: skip
        assert part in str(caught.value), part
    assert Desk(store).sessions() == []
    with pytest.raises(DataError, match=r"nobody labels(.|\n)*nothing to label"):
        Desk(store).open(replace(session, annotators=(), items=(), adjudicator=""), {})


def test_looks_at_the_test_split_are_counted(store: Store) -> None:
    """Looks count, whichever judge they were at; the same once more, or at the align split, does not."""
    desk = opened(store, *make(1))
    assert desk.look("last", "j", "f1") == 1
    assert desk.look("last", "j", "f2", split="align") == 1
    assert desk.look("last", "j", "f2") == 2 == desk.look("last", "j", "f2")
    assert (desk.looks("last"), desk.looks("last", "f2"), desk.looks("last", "f3")) == (2, 1, 0)


def test_words_are_redacted_on_their_way_in() -> None:
    """Conversation, what is shown, notes, reasons to skip and quotes; personal metadata is left out."""
    session, conversations = make(2)
    case = replace(
        session.items[0].case, shown={"rationale": "mail ana@example.com"}, metadata={"account": "Z-9", "tier": "a"}
    )
    said = Conversation("c0", (Turn("user", "Write to ana@example.com"), Turn("bot", "ok"), Turn("user", "now")))
    conversations["c0"] = replace(said, metadata={"account": "Z-9"})
    items = (replace(session.items[0], case=case), session.items[1])
    with Store(redaction=Redaction(metadata_keys=("account",))) as store:
        desk = opened(store, replace(session, items=items), conversations)
        ana = seats(desk)[0]
        ask = desk.ask(ana)
        assert ask is not None
        assert ask.conversation is not None
        assert ask.conversation.turns[0].text == "Write to [EMAIL_1]"
        assert ask.shown == {"rationale": "mail [EMAIL_1]"}
        desk.save(ana, "case 0", label="clean", note="it is ana@example.com, Z-9", evidence=[Evidence("[EMAIL_1]", 0)])
        desk.save(ana, "case 1", skipped="ring +1 555 010 0199")
        kept = desk.labelled("last")
        assert kept[0].annotations[0].note == "it is [EMAIL_1], [PERSONAL_1]"
        assert kept[0].annotations[0].evidence == (Evidence("[EMAIL_1]", 0, True),)
        assert kept[1].skips[0].why == "ring [PHONE_1]"
        assert kept[0].case.metadata == {"tier": "a"}
        text = json.dumps([store.query(f"SELECT * FROM {name}") for name in ("session_items", "session_labels")])
        for personal in ("example.com", "555", "Z-9"):
            assert personal not in text


@pytest.mark.parametrize(
    "text",
    ["'); DROP TABLE session_labels; --", "<script>alert(1)</script>", "\x00\x1b[2J\u202e", "\ud800 half", "=1+1"],
)
def test_hostile_texts_are_only_texts(store: Store, text: str) -> None:
    """In turns, what is shown, notes and skips they come back as they went in, but for half characters."""
    session, conversations = make(2)
    case = replace(session.items[0].case, shown={"rationale": text})
    conversations["c0"] = Conversation("c0", (*conversation(0).turns[:2], Turn("user", text)))
    desk = opened(
        store, replace(session, items=(replace(session.items[0], case=case), session.items[1])), conversations
    )
    ana = seats(desk)[0]
    ask = desk.ask(ana)
    held = text.replace("\ud800", "\ufffd")
    assert ask is not None
    assert ask.conversation is not None
    assert ask.conversation.turns[2].text == held
    assert ask.shown["rationale"] == held
    desk.save(ana, "case 0", label="clean", note=text, evidence=[Evidence(text, 2)])
    desk.save(ana, "case 1", skipped=text)
    first, second = desk.labelled("last")
    assert first.annotations[0].note == held
    assert second.skips[0].why == held


def test_a_skip_keeps_its_note_in_its_reason(store: Store) -> None:
    """A person who had typed a note and then skips loses nothing of it."""
    desk = opened(store, *make(1))
    desk.save(seats(desk)[0], "case 0", skipped="unclear", note="two customers?", rule="R1")
    assert desk.labelled("last")[0].skips[0].why == "unclear (two customers?)"
