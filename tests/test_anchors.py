"""Anchors: the same texts judged again, and a move of a rate split into the judge's part and the system's."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desk_session import make, opened as desk_of
from judging_help import CONVERSATION, case, opened, said, write_judges
from rich.console import Console
from wire import Wire, chat

from llmclf.calibration.anchor_sets import (
    Drawn,
    anchor_set,
    anchors_of_session,
    anchors_path,
    read_anchors,
    write_anchors,
)
from llmclf.calibration.anchors import split_move
from llmclf.cli import run
from llmclf.errors import ConfigError, DataError
from llmclf.store import Store
from llmclf.types import CANNOT_TELL, Judgment
from llmclf.workspace.anchoring import anchors_of, judge_anchors, take_anchors


def judged(verdicts: Sequence[str | None], fingerprint: str = "aaaa", **more: Any) -> list[Judgment]:
    return [Judgment(f"k{place}", "j", fingerprint, verdict, **more) for place, verdict in enumerate(verdicts)]


def split(was: Sequence[str | None], now: Sequence[str | None], *rates: tuple[int, int], **more: Any) -> Any:
    return split_move(judged(was), judged(now, "bbbb"), *rates, targets={"yes"}, **more)


# --- the split ----------------------------------------------------------------------------------


def test_a_judge_that_finds_less_moved_and_not_the_system() -> None:
    """Of 50 positive anchors 25 stay: half of the earlier rate is what the new judge would have found."""
    move = split(["yes"] * 50 + ["no"] * 150, ["yes"] * 25 + ["no"] * 175, (2000, 10_000), (1000, 10_000))
    assert move.kept.value == 0.5 and move.turned.value == 0 and move.changed.value == pytest.approx(25 / 200)
    assert move.move.value == pytest.approx(-0.1) and move.by_judge.value == pytest.approx(-0.1)
    assert move.by_system.value == pytest.approx(0, abs=1e-12)
    assert move.by_judge.high < 0 and move.by_system.low < 0 < move.by_system.high
    assert "the judge moved: -10.0 points" in move.sentences[1]
    assert "the system: can't tell that it moved" in move.sentences[2]


def test_a_rate_that_moves_under_a_steady_judge_is_the_system() -> None:
    """No anchor changed, so the whole move is what is judged."""
    was = ["yes"] * 300 + ["no"] * 300
    move = split(was, was, (1000, 10_000), (2000, 10_000))
    assert move.by_judge.value == 0 and move.by_system.value == pytest.approx(0.1)
    assert move.by_system.low > 0.05 and "the system moved: +10.0 points" in move.sentences[2]
    assert move.sentences[0] == f"none of 600 anchors changed sides (at most {move.changed.high:.1%} would)"


def test_the_intervals_hold() -> None:
    """Both parts are covered at rates of 1 % and of 10 %, with anchors of which half are positive."""
    rng = np.random.default_rng(1)
    for before, after, kept, turned in ((0.10, 0.15, 0.9, 0.03), (0.01, 0.02, 0.95, 0.005)):
        would, held = before * kept + (1 - before) * turned, np.zeros(2)
        for seed in range(100):
            was = rng.random(120) < 0.5
            now = np.where(was, rng.random(120) < kept, rng.random(120) < turned)
            words = [["yes" if hit else "no" for hit in side] for side in (was, now)]
            rates = [(int(rng.binomial(4000, rate)), 4000) for rate in (before, after)]
            move = split(*words, *rates, draws=1000, seed=seed)
            truths = zip((move.by_judge, move.by_system), (would - before, after - would), strict=True)
            held += [part.low <= truth <= part.high for part, truth in truths]
        assert (held >= 90).all(), (before, held)


def test_anchors_of_one_group_count_as_one() -> None:
    """Forty turns of two dialogues say less than forty dialogues."""
    was = ["yes"] * 20 + ["no"] * 20
    now = ["yes"] * 10 + ["no"] * 30
    rates = ((1000, 10_000), (500, 10_000))
    alone = split(was, now, *rates)
    together = split(was, now, *rates, groups={f"k{place}": place // 10 for place in range(40)})
    assert together.kept.high - together.kept.low > 1.5 * (alone.kept.high - alone.kept.low)


def test_what_can_not_be_known_is_said() -> None:
    """Without a positive anchor, and without rates, there is no split; nothing is NaN."""
    rates = ((100, 1000), (90, 1000))
    blind = split(["no"] * 30, ["no"] * 30, *rates)
    assert not blind.by_judge.is_known and "no anchor had a positive verdict" in blind.sentences[1]
    assert not blind.kept.is_known and blind.move.is_known
    bare = split(["yes", "no"] * 10, ["yes", "no"] * 10)
    assert not bare.move.is_known and len(bare.sentences) == 1
    for move in (blind, bare, split(["yes"] * 3, ["no"] * 3, *rates)):
        json.dumps(move.to_dict(), allow_nan=False)


def test_anchors_without_a_verdict_are_left_out_and_counted() -> None:
    """Failed, cannot tell, and judged only once."""
    was, now = ["yes", None, "no", CANNOT_TELL, "no"], ["yes", "yes", "no", "no"]
    move = split(was, now)
    assert (move.anchors, move.left_out) == (2, 3)
    with pytest.raises(DataError, match="no anchor has a verdict then and now"):
        split([None, "yes"], ["yes", None])


def test_simulated_and_real_are_not_compared_and_stamps_stand() -> None:
    """Simulated judgments against real ones are refused; those of an uncalibrated judge say so."""
    real, made_up = judged(["yes", "no"]), judged(["yes", "no"], simulated=True)
    with pytest.raises(DataError, match="simulated"):
        split_move(real, made_up, targets={"yes"})
    assert split_move(made_up, made_up, targets={"yes"}).stamps == ("UNCALIBRATED", "SIMULATED")
    sure = judged(["yes", "no"], calibrated=True)
    assert split_move(sure, sure, targets={"yes"}).stamps == ()


@pytest.mark.parametrize("width", [80, 60])
def test_a_move_is_read_on_a_terminal(width: int) -> None:
    """The two parts and both versions, in the columns there are."""
    before, after = (judged(["yes", "no"] * 30, name, model=f"vendor-{name}") for name in ("aaaa", "bbbb"))
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(split_move(before, after, (30, 1000), (90, 1000), targets={"yes"}))
    text = console.export_text()
    assert "by the system" in text and "+6.00 %" in text and "bbbb, answered by vendor-bbbb" in text
    assert all(len(line) <= width for line in text.splitlines())


def test_anchors_of_unlike_chances_are_weighed() -> None:
    """Positives of the first judge are drawn a hundred times as often, and turn more often: intervals hold weighed."""
    pool_flagged, at_flagged, elsewhere = 0.01, 0.4, 0.01  # share of the pool; negatives of each part that turn
    rng = np.random.default_rng(3)
    held = plainly = 0
    for seed in range(60):
        flagged = np.arange(400) < 200
        was = np.where(flagged, rng.random(400) < 0.6, rng.random(400) < 0.01)
        now = np.where(was, rng.random(400) < 0.9, rng.random(400) < np.where(flagged, at_flagged, elsewhere))
        words = [["yes" if hit else "no" for hit in side] for side in (was, now)]
        before = pool_flagged * 0.6 + (1 - pool_flagged) * 0.01
        would = before * 0.9 + pool_flagged * 0.4 * at_flagged + (1 - pool_flagged) * 0.99 * elsewhere
        rates = [(int(rng.binomial(20_000, rate)), 20_000) for rate in (before, would)]
        weights = {f"k{place}": pool_flagged if hit else 1 - pool_flagged for place, hit in enumerate(flagged)}
        for drawn in (weights, None):
            move = split(*words, *rates, draws=1000, seed=seed, weights=drawn)
            hit = move.by_judge.low <= would - before <= move.by_judge.high
            held, plainly = held + (hit and drawn is not None), plainly + (hit and drawn is None)
    assert held >= 54 and plainly <= 6, (held, plainly)


def test_anchors_unlike_the_traffic_give_no_split() -> None:
    """Half targets, of which a fifth more are found: 10 points there, .2 in the traffic. Only the turns are told."""
    was, now = ["yes"] * 60 + ["no"] * 140, ["yes"] * 80 + ["no"] * 120
    move = split(was, now, (360, 10_000), (380, 10_000), unlike_traffic="they were picked by hand")
    assert move.move.is_known and not move.by_judge.is_known and not move.by_system.is_known
    assert "20 became positive, 0 ceased to be" in move.sentences[0] and (move.became, move.ceased) == (20, 0)
    assert "do not stand for the traffic (they were picked by hand)" in move.sentences[1] and len(move.sentences) == 2
    console = Console(width=60, record=True, file=io.StringIO())
    console.print(move)
    assert "do not stand for the traffic" in " ".join(console.export_text().split())


def test_a_split_says_what_it_takes_for_granted() -> None:
    """With every split stands that the anchors were drawn from the traffic."""
    move = split(["yes", "no"] * 30, ["yes", "no"] * 30, (30, 1000), (60, 1000))
    assert move.sentences[-1].startswith("for granted") and "drawn from it" in move.sentences[-1]


@pytest.mark.parametrize("rate", [(0, 0), (5, 4), (-1, 10)])
def test_a_rate_of_nothing_is_a_mistake(rate: tuple[int, int]) -> None:
    """It is named, and nothing is divided by 0."""
    with pytest.raises(DataError) as caught:
        split(["yes", "no"], ["yes", "no"], rate, (1, 10))
    assert f"the rate before is {rate[0]} of {rate[1]}" in str(caught.value)
    for weights in ({"k0": 1.0}, {"k0": 1.0, "k1": 0.0}):
        with pytest.raises(DataError, match="weight"):
            split(["yes", "no"], ["yes", "no"], weights=weights)


# --- the file -----------------------------------------------------------------------------------


def kept(path: Path, *ids: str, **more: Any) -> Any:
    cases = [case(one, f"Reason {one}.", label="unbacked") for one in ids]
    return anchor_set(path, "backed", "by hand", cases, {"c1": CONVERSATION}, **more)


def test_anchors_come_back_as_they_were(tmp_path: Path) -> None:
    """Cases and conversations, without the known label; the file is its owner's alone, and writes itself the same."""
    path = anchors_path(tmp_path, "backed")
    anchors = kept(path, "k1", "k2")
    write_anchors(anchors)
    first = path.read_bytes()
    assert read_anchors(path) == anchors
    assert [one.label for one in anchors.cases] == ["", ""] and b"unbacked" not in first
    assert path.stat().st_mode & 0o077 == 0
    write_anchors(anchors)
    assert path.read_bytes() == first


def test_other_anchors_are_not_written_over(tmp_path: Path) -> None:
    """Unless it is asked for."""
    path = anchors_path(tmp_path, "backed")
    write_anchors(kept(path, "k1"))
    with pytest.raises(ConfigError, match="other anchors"):
        write_anchors(kept(path, "k2"))
    write_anchors(kept(path, "k2"), anew=True)
    assert [one.id for one in read_anchors(path).cases] == ["k2"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace(b"Reason", b"reason", 1),
        lambda text: text + b"\n",
        lambda text: text.replace(b'"version": 1', b'"version": 2'),
        lambda text: b"",
        lambda text: b"[]\n",
        lambda text: b"\xff\n",
    ],
)
def test_a_changed_byte_is_noticed(spoil: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """Verdicts of other texts can't be compared, so nothing is judged."""
    path = anchors_path(tmp_path, "backed")
    write_anchors(kept(path, "k1"))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError):
        read_anchors(path)


def test_no_anchors_is_a_mistake_to_mend(tmp_path: Path) -> None:
    """The message says how to take some."""
    with pytest.raises(ConfigError, match="--from SESSION"):
        read_anchors(anchors_path(tmp_path, "backed"))


def test_a_session_gives_its_test_cases_with_what_people_saw(tmp_path: Path) -> None:
    """Practice and align cases stay behind; conversations end where the session's did."""
    session, conversations = make(6, practice=2)
    with Store(tmp_path / "llmclf.db") as store:
        cases, texts = anchors_of_session(desk_of(store, session, conversations), session.id)
    wanted = [item.case.id for item in session.items if item.split == "test"]
    assert [one.id for one in cases] == wanted and len(wanted) == 3
    assert set(texts) == {one.conversation_id for one in cases}
    assert {len(text.turns) for text in texts.values()} == {3}


@pytest.mark.parametrize(
    ("design", "stands"), [("random", True), ("by_verdict", True), ("class_balanced", False), ("", False)]
)
def test_how_anchors_were_drawn_is_kept_in_their_file(design: str, stands: bool, tmp_path: Path) -> None:
    """With the stratum and chance of each; of known labels, and of hand-picked ones, they stand for no traffic."""
    path = anchors_path(tmp_path, "backed")
    drawn = {"k1": Drawn("yes", 0.5), "k2": Drawn("no", 0.01)} if design else {}
    write_anchors(kept(path, "k1", "k2", design=design, drawn=drawn))
    found = read_anchors(path)
    assert (found.design, found.drawn) == (design, drawn)
    assert found.weights == ({"k1": 2.0, "k2": 100.0} if stands else None)
    assert bool(found.unlike_traffic) is not stands
    assert kept(path, "k1", design="by_verdict").unlike_traffic  # whose chances nobody knows


def test_anchors_of_a_session_keep_its_design(judges: Path) -> None:
    """A session by verdict gives each case's stratum and chance to the anchors, and so to their file."""
    session, conversations = make(6, practice=2)
    shown = {"label": "refused", "rationale": "R."}
    items = tuple(replace(item, case=replace(item.case, shown=shown)) for item in session.items)
    with opened(judges) as judge:
        desk_of(judge.runtime.store, replace(session, items=items), conversations)
        taken = take_anchors(judge, session.id)
        write_anchors(taken)
        assert anchors_of(judge) == taken
    assert taken.design == "by_verdict" and len(taken.drawn) == len(taken.cases) == 3
    assert {one.probability for one in taken.drawn.values()} == {0.123456} and not taken.unlike_traffic


# --- judging them -------------------------------------------------------------------------------


@pytest.fixture
def judges(workspace: Path, write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    write_judges(write)
    lines = [json.dumps({"id": f"k{n}", "conversation_id": "c1", "shown": {"label": "refused", "rationale": f"R{n}."}})
             for n in range(6)]  # fmt: skip
    write("anchors.jsonl", "\n".join(lines) + "\n")
    turns = [{"speaker": turn.speaker, "text": turn.text} for turn in CONVERSATION.turns]
    write("conversations.jsonl", json.dumps({"id": "c1", "turns": turns}) + "\n")
    monkeypatch.chdir(workspace)
    return workspace


TAKE = ("--from", "anchors.jsonl", "--conversations", "conversations.jsonl")


def command(*more: str) -> int:
    return run(["judge", "anchors", "backed", "--max-usd", "1", "--yes", *more])


def version(verdict: str, model: str) -> Any:
    """What a vendor answers under a snapshot's name."""
    reply = chat(said(verdict))
    return type(reply)(body=reply.body.replace(b"wire-model", model.encode()))


def test_anchors_are_judged_afresh_each_time_and_compared(judges: Path, wire: Wire, capsys) -> None:
    """The first reading has nothing to compare; the second asks the vendor again, and names both its versions."""
    wire.default = version("backed", "snapshot-1")
    wire.next(*[version("unbacked", "snapshot-1")] * 2)
    assert command(*TAKE) == 0
    first = capsys.readouterr()
    assert "nothing to compare yet" in first.err and "customers' words" in first.err
    wire.default = version("backed", "snapshot-2")
    assert command("--rate-before", "300/1000", "--rate-after", "10/1000", "--json") == 0
    assert len(wire.received) == 12  # nothing came from the cache
    found = json.loads(capsys.readouterr().out)
    move = found["move"]
    assert "snapshot-1" in move["before"] and "snapshot-2" in move["after"]
    assert (move["anchors"], move["kept"]["value"], move["changed"]["value"]) == (6, 0, pytest.approx(2 / 6))
    assert (move["became"], move["ceased"]) == (0, 2) and found["stamps"] == ["UNCALIBRATED"]
    assert move["by_judge"]["value"] is None and "picked by hand" in move["sentences"][1]  # a file of cases
    assert command() == 0
    assert "the same judge and version answered" in capsys.readouterr().err


def test_a_plan_asks_nobody_and_writes_nothing(judges: Path, wire: Wire, capsys) -> None:
    """It says what one more reading would cost."""
    assert command(*TAKE, "--plan") == 0
    assert not wire.received and not anchors_path(judges, "backed").exists()
    wire.default = chat(said())
    assert command(*TAKE) == 0
    capsys.readouterr()
    assert command("--plan", "--json") == 0
    assert len(wire.received) == 6
    assert json.loads(capsys.readouterr().out)


def test_a_reading_that_a_cap_ended_goes_on(judges: Path, wire: Wire) -> None:
    """The cap leaves anchors out; raised, only those are bought, and the comparison is with the reading before."""
    wire.default = chat(said(), usage={"prompt_tokens": 100, "completion_tokens": 2000, "total_tokens": 2100})
    with opened(judges) as judge:
        anchors = take_anchors(judge, TAKE[1], conversations=TAKE[3])
        write_anchors(anchors)
        assert judge_anchors(judge, anchors).move is None
    with opened(judges, max_usd=0.075, concurrency=1) as judge:
        stopped = judge_anchors(judge, anchors_of(judge))
        assert 0 < sum(one.verdict is None for one in stopped.judgments) < 6
    with opened(judges) as judge:
        assert judge_anchors(judge, anchors_of(judge)).move.anchors == 6
    assert len(wire.received) == 12


def test_mistakes_are_listed_before_anything_is_paid(judges: Path, wire: Wire, capsys) -> None:
    """Rates that are none, a case the judge can't be shown, a judge that can't be asked again."""
    assert command(*TAKE, "--rate-before", "5/2", "--rate-after", "much") == 1
    assert "'5/2'" in (problems := capsys.readouterr().err) and "'much'" in problems
    assert command(*TAKE, "--rate-before", "5/20") == 1
    assert "go together" in capsys.readouterr().err
    assert command("--from", "anchors.jsonl") == 1
    assert "there is no conversation" in capsys.readouterr().err
    assert command() == 1
    assert "there are no anchors yet" in capsys.readouterr().err
    (judges / "said.jsonl").write_text('{"item": "k1", "verdict": "bad"}\n{"item": "k2", "verdict": "fine"}\n')
    assert run(["judge", "import", "elsewhere", "said.jsonl", "--positive", "bad"]) == 0
    assert run(["judge", "anchors", "elsewhere", *TAKE]) == 1
    assert "can't be asked again" in capsys.readouterr().err
    assert not wire.received
