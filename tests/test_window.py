"""Long conversations: head and tail, and parts that are asked about one by one. Nothing is left out in silence."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from asking import CONVERSATION, answer, make, sent_text
from hypothesis import given, strategies as st
from wire import chat, failure

from llmclf.classifiers.loading import load_classifier
from llmclf.classifiers.seeing import Sight, parts_of, spans
from llmclf.errors import ConfigError
from llmclf.llm import Runtime
from llmclf.render import Window, transcript
from llmclf.types import Conversation, Label, Task, Turn

TASK = Task("t", "?", (Label("bad", "target", "b"), Label("fine", "clean", "f")))
TURNS = st.lists(st.sampled_from(["", "hello", "a person?"]), min_size=1, max_size=30).map(
    lambda texts: tuple(Turn("user", text) for text in texts)
)
SIZES = st.tuples(st.integers(2, 9), st.integers(0, 8)).filter(lambda pair: pair[1] < pair[0])


def talk(count: int) -> Conversation:
    return Conversation("long", tuple(Turn(("user", "bot")[n % 2], f"line {n}") for n in range(count)))


@pytest.fixture
def runtime(workspace: Path, wire) -> Iterator[Runtime]:
    wire.default = chat(answer())
    with Runtime(workspace / "store.db", workspace=workspace, max_usd=5) as made:
        yield made


# --- head and tail ----------------------------------------------------------------------------


def test_head_and_tail_say_what_is_left_out() -> None:
    """A line that no turn can pose as stands between the ends, with the number of turns it stands for."""
    made = transcript(talk(17).turns, Window(first_turns=2, last_turns=3))
    assert made.text.splitlines() == [
        "[0] user: line 0",
        "[1] bot: line 1",
        "[...] (12 turns left out)",
        "[14] user: line 14",
        "[15] bot: line 15",
        "[16] user: line 16",
    ]
    assert made.truncated
    assert [number for number, _ in made.turns] == [0, 1, 14, 15, 16]
    assert transcript(talk(3).turns, Window(first_turns=2)).text.endswith("\n[...] (1 turn left out)")


@given(TURNS, st.integers(1, 9), st.none() | st.integers(1, 9), st.none() | st.integers(0, 29))
def test_ends_and_gaps_are_the_whole(turns, first, last, about) -> None:
    """Turns shown and turns said to be left out are all there are; the one asked about is always shown."""
    about = None if about is None else about % len(turns)
    made = transcript(turns, Window(first_turns=first, last_turns=last), about)
    spoken = [number for number, turn in enumerate(turns) if turn.text or number == about]
    kept = [number for number, _ in made.turns]
    gaps = [line for line in made.text.splitlines() if line.startswith("[...] (")]
    left_out = sum(int(line.split("(")[1].split()[0]) for line in gaps)
    assert len(kept) + left_out == len(spoken)
    assert made.truncated == bool(gaps)
    assert set(spoken[:first]) | set(spoken[-last:] if last else []) | ({about} - {None}) == set(kept)


def test_head_and_tail_are_sent(wire, runtime) -> None:
    """What is sent is what is said to be sent; quotes from what was left out are not grounded."""
    quote = [{"turn": 5, "quote": "line 5"}, {"turn": 9, "quote": "line 9"}]
    wire.next(chat(answer(evidence=quote)))
    found = make(runtime, window=Window(first_turns=1, last_turns=2)).classify(talk(10))
    assert "[0] user: line 0\n[...] (7 turns left out)\n[8] user: line 8" in sent_text(wire)
    assert (found.truncated, found.calls) == (True, 1)
    assert [evidence.grounded for evidence in found.evidence] == [False, True]


# --- parts ------------------------------------------------------------------------------------


@given(st.integers(0, 40), SIZES)
def test_parts_cover_every_turn(count, sizes) -> None:
    """Each turn is in a part, neighbours share what they should, all parts are equally long, none is too many."""
    size, overlap = sizes
    if count <= size:
        return
    found = spans(range(count), size, overlap)
    assert {turn for first, end in found for turn in range(first, end)} == set(range(count))
    assert all(end - first == size for first, end in found)
    shared = [one[1] - other[0] for one, other in pairwise(found)]
    assert all(turns == overlap for turns in shared[:-1])
    assert shared[-1] >= overlap
    assert all(one[0] < other[0] for one, other in pairwise(found))


@given(TURNS, SIZES)
def test_parts_keep_numbers_and_words(turns, sizes) -> None:
    """A part is lines of the whole under their own numbers; nothing is truncated, and each part says which it is."""
    if all(turn.is_empty for turn in turns):
        return
    conversation = Conversation("c", turns)
    parts = parts_of(conversation, TASK, None, Sight(Window(), *sizes), lambda one: one)
    whole = transcript(turns).turns
    assert {line for part in parts for line in part.transcript.turns} == set(whole)
    assert not any(part.transcript.truncated for part in parts)
    assert {part.content_hash for part in parts} == {conversation.content_hash}
    prefaces = [part.preface.partition(" of a long")[0] for part in parts]
    count = len(parts)
    assert prefaces == ([""] if count == 1 else [f"(Part {place} of {count}" for place in range(1, count + 1)])


def by_part(**answers: Any):
    """A server that answers by the part it is asked about; an answer of None is a failure."""

    def reply(request):
        text = request.json["messages"][-1]["content"]
        key = next((f"part{n}" for n in (1, 2, 3) if f"(Part {n} of 3" in text), "whole")
        said = answers.get(key, answer())
        return failure(400) if said is None else chat(said)

    return reply


def flagged(place: int, confidence: float = 0.8) -> str:
    quote = [{"turn": place, "quote": f"line {place}"}]
    return answer(label="refused", confidence=confidence, evidence=quote, rationale=f"turn {place}")


def test_the_likeliest_part_decides(wire, runtime) -> None:
    """Three parts are asked about; the score is the highest, reasons are the deciding part's, all is paid for."""
    wire.default = by_part(part2=flagged(5), part3=answer(label="frustrated"))
    found = make(runtime, chunk_turns=4, chunk_overlap=1).classify(talk(10))
    assert len(wire.received) == 3
    assert (found.label, found.score, found.flagged, found.rationale) == ("refused", 0.9, True, "turn 5")
    assert [(evidence.turn, evidence.grounded) for evidence in found.evidence] == [(5, True)]
    assert (found.calls, found.truncated, found.usage.input_tokens) == (3, False, 300)
    assert found.cost_nano_usd == 3 * (100 * 1000 + 20 * 10_000)
    first = next(r for r in wire.received if "(Part 1 of 3" in r.json["messages"][-1]["content"])
    text = first.json["messages"][-1]["content"]
    assert "<conversation>\n(Part 1 of 3 of a long conversation: turns 0 to 3.)\n[0] user: line 0\n" in text
    assert "[4]" not in text


def test_without_a_target_the_likeliest_part_gives_the_label(wire, runtime) -> None:
    """The part that comes nearest to the target speaks for the whole."""
    wire.default = by_part(part1=answer(confidence=0.9), part2=answer(label="frustrated", confidence=0.1))
    found = make(runtime, chunk_turns=4, chunk_overlap=1).classify(talk(10))
    assert (found.label, found.flagged, found.score) == ("frustrated", False, pytest.approx(0.45))


def test_a_short_conversation_is_asked_about_at_once(wire, runtime) -> None:
    """What fits into one part is sent as ever: the same request as without parts."""
    made = make(runtime, chunk_turns=4)
    assert made.request(CONVERSATION).messages == make(runtime).request(CONVERSATION).messages
    assert made.classify(CONVERSATION).calls == 1


@pytest.mark.parametrize(("other", "label"), [(answer(), None), (flagged(9), "refused")])
def test_a_part_that_failed_is_no_negative(other, label, wire, runtime) -> None:
    """A conversation that was not read whole is flagged by another part, or fails."""
    wire.default = by_part(part1=None, part3=other)
    found = make(runtime, chunk_turns=4, chunk_overlap=1).classify(talk(10))
    assert (found.label, found.calls) == (label, 3)
    if label is None:
        assert found.error is not None
        assert (found.error.kind, found.flagged) == ("bad_request", None)
        assert "part 1 of 3, and no other part is flagged" in found.error.message
        assert found.cost_nano_usd


def test_parts_can_be_sampled(wire, runtime) -> None:
    """Each part is asked about `samples` times; `requests` shows all that would be sent."""
    made = make(runtime, chunk_turns=4, chunk_overlap=1, samples=2)
    assert [request.repeat for request in made.requests(talk(10))] == [0, 1, 0, 1, 0, 1]
    assert made.classify(talk(10)).calls == 6
    assert len(wire.received) == 6


@pytest.mark.parametrize(
    ("task", "settings", "message"),
    [
        ("refused_turn", {"chunk_turns": 4}, "is about turns"),
        ("refusal", {"chunk_turns": 4, "window": Window(last_turns=2)}, "goes with no window"),
        ("refusal", {"chunk_turns": 2, "chunk_overlap": 2}, "above chunk_overlap"),
        ("refusal", {"chunk_turns": 1, "chunk_overlap": 0}, "at least 2"),
    ],
)
def test_parts_that_make_no_sense_are_refused(task, settings, message, runtime) -> None:
    """Before anything is asked."""
    with pytest.raises(ConfigError, match=message):
        make(runtime, task, **settings)


def test_windows_are_read_from_the_file(workspace, write, runtime) -> None:
    """What the file says of windows is what the classifier does; parts of a task about turns are refused at loading."""
    head = 'version = 1\nkind = "llm"\nprompt = "ask"\nmodel = "wire/m"\n'
    write("configs/classifiers/ends.toml", head + 'task = "refusal"\nfirst_turns = 3\nlast_turns = 5\n')
    write("configs/classifiers/parts.toml", head + 'task = "refusal"\nchunk_turns = 6\nchunk_overlap = 3\n')
    write("configs/classifiers/turns_in_parts.toml", head + 'task = "refused_turn"\nchunk_turns = 6\n')
    ends, parts = (load_classifier(name, runtime=runtime) for name in ("ends", "parts"))
    assert ends.window == Window(first_turns=3, last_turns=5)
    assert (parts.settings["chunk_turns"], parts.settings["chunk_overlap"]) == (6, 3)
    with pytest.raises(ConfigError, match="parts are of a whole conversation"):
        load_classifier("turns_in_parts", runtime=runtime)
