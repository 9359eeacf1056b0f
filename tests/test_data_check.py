"""What `check` finds, and that it finds nothing where nothing is wrong."""

from __future__ import annotations

import io
import json
import random
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from rich.console import Console

from llmclf.data.check import CheckReport, check
from llmclf.data.checks.drift import ks_distance
from llmclf.data.checks.duplicates import find_duplicates, near_groups
from llmclf.data.read import read_conversations
from llmclf.types import (
    Conversation,
    Dataset,
    Design,
    Event,
    Example,
    FailureMode,
    Label,
    Stratum,
    Task,
    Turn,
    dataset_of,
)

TASK = Task(
    "refusal",
    "Is a person refused?",
    (Label("refused", "target", "x"), Label("fine", "clean", "y")),
    failure_modes=(FailureMode("flat", "no"),),
)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
WORDS = (
    "tea rain bill card lost phone order late refund ship track code bank door key light water price stay room".split()
)


def talk(id: str, seed: int | None = None, turns: int = 6, **fields: Any) -> Conversation:
    """A conversation of random words, unlike any with another seed."""
    chance = random.Random(id if seed is None else seed)
    said = (" ".join(chance.choices(WORDS, k=12)) for _ in range(turns))
    return Conversation(
        id, tuple(Turn("bot" if number % 2 else "user", text) for number, text in enumerate(said)), **fields
    )


def kinds(report: CheckReport) -> dict[str, int]:
    return {found.kind: found.count for found in report.findings}


def saying(id: str, text: str) -> Conversation:
    first, *rest = talk(id).turns
    return Conversation(id, (replace(first, text=text), *rest))


def test_sound_data_has_no_findings() -> None:
    """Ordinary conversations in several languages, with times and tools, are not complained about."""
    start = datetime(2026, 5, 1, 9, tzinfo=UTC)
    texts = [
        "Ça va? «CAFÉ»… É–",
        "Straße, Übergröße",
        "привет, как дела",
        "お願いします",
        "مرحبا",
        "50 € – “fine” 😀",
        "tab\there\r\n",
    ]
    conversations = [saying(f"c{number}", text) for number, text in enumerate(texts)]
    timed = tuple(replace(turn, time=start + timedelta(seconds=n)) for n, turn in enumerate(talk("t").turns))
    tools = (
        Turn("user", "where is it"),
        Turn("bot", events=(Event("tool_call", "track"),)),
        Turn("tool", events=(Event("tool_result", "track", "here"),)),
    )
    report = check([*conversations, Conversation("t", timed, start), Conversation("u", tools)], now=NOW)
    assert report.findings == ()
    assert report.worst is None


def test_empty_conversations_are_named_every_one() -> None:
    """Crashed runs stand by id in the table and in JSON, however many there are; no turn and blank turns alike."""
    empty = [Conversation(f"crash-{number}") for number in range(31)]
    empty.append(Conversation("crash-31", (Turn("user", " "), Turn("bot"))))
    report = check([talk("a"), *empty], now=NOW)
    assert report.of("empty_conversations").count == 32
    text = shown(report)
    for conversation in empty:
        assert conversation.id in report.of("empty_conversations").ids
        assert conversation.id in text
    assert report.worst == "warning"


def test_the_crashed_runs_of_the_airline_set_are_named(test_data: Path) -> None:
    """Of the 650 public runs the 32 without a trajectory are found, and nothing worse."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
    try:
        readers = pytest.importorskip("readers")
    finally:
        sys.path.pop(0)
    report = check(readers.read_td_eval_airline(test_data))
    assert (report.conversations, report.of("empty_conversations").count) == (650, 32)
    assert report.worst == "warning"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("cut \ud83d here", "half_characters"),
        ("caf\ufffd", "lost_characters"),
        ("cafÃ© ", "mojibake"),
        ("itâ€™s", "mojibake"),
        ("ðŸ˜€", "mojibake"),
        ("Â£20", "mojibake"),
        ("Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "mojibake"),
        ("a\x00b", "control_characters"),
        ("\x1b[31mred", "control_characters"),
        ("a\x85b", "control_characters"),
    ],
)
def test_damaged_text_is_found(text: str, kind: str) -> None:
    """Each kind of damage is named with the turn it stands in."""
    report = check([saying("a", text), talk("b")], now=NOW)
    assert report.of(kind).ids == ("a[0]",)


def test_damage_in_what_a_tool_said_is_found() -> None:
    """Event texts are looked at too."""
    turns = (*talk("a").turns, Turn("tool", events=(Event("tool_result", "x", "caf\ufffd"),)))
    assert check([Conversation("a", turns)], now=NOW).of("lost_characters").ids == ("a[6]",)


def test_blank_null_and_one_sided() -> None:
    """Blank turns are a note, null text an error, and a conversation of one side a warning."""
    blank = Conversation("blank", (*talk("x").turns, Turn("bot", "  ")))
    null = Conversation("null", (*talk("y").turns, Turn("bot", None)))  # type: ignore[arg-type]
    alone = Conversation("alone", (Turn("system", "be kind"), Turn("user", "hello?"), Turn("user", "anyone?")))
    report = check([blank, null, alone], now=NOW)
    assert report.of("blank_turns").ids == ("blank[6]",)
    assert report.of("null_turns").ids == ("null[6]",)
    assert report.of("one_speaker").ids == ("alone",)


def test_a_result_before_its_call_is_out_of_order() -> None:
    """A tool that answers before it is asked shows that turns were shuffled."""
    turns = (
        Turn("tool", events=(Event("tool_result", "track", "x"),)),
        Turn("bot", "wait", events=(Event("tool_call", "track"),)),
    )
    assert check([Conversation("a", turns)], now=NOW).of("results_before_calls").ids == ("a",)


def at(id: str, *times: datetime | None, start: datetime | None = None) -> Conversation:
    turns = talk(id, turns=max(2, len(times))).turns
    timed = [replace(turn, time=time) for turn, time in zip(turns, times, strict=False)]
    return Conversation(id, (*timed, *turns[len(timed) :]), start)


def test_impossible_times() -> None:
    """Before 1990 and in the future, with or without a zone, at either end of the calendar."""
    day = datetime(2026, 5, 1, 9, tzinfo=UTC)
    bad = [
        at("epoch", datetime(1970, 1, 1, tzinfo=UTC)),
        at("future", NOW + timedelta(days=2)),
        at("naive", datetime(2126, 1, 1)),
        at("first", datetime.min.replace(tzinfo=timezone(timedelta(hours=5)))),
        at("last", datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))),
        at("start", day, start=datetime(1969, 1, 1, tzinfo=UTC)),
    ]
    report = check([*bad, at("good", day), at("soon", NOW + timedelta(hours=20))], now=NOW)
    assert report.of("impossible_times").ids == tuple(conversation.id for conversation in bad)
    assert check([at("late", NOW)], now=datetime(2020, 1, 1)).of("impossible_times").ids == ("late",)
    assert report.worst == "error"


def test_times_going_back_and_mixed_zones() -> None:
    """Turns before their predecessor are named; times with and without a zone are mixed, not compared."""
    day = datetime(2026, 5, 1, 9, tzinfo=UTC)
    later, naive = day + timedelta(minutes=1), datetime(2026, 5, 1, 3)
    other = day.astimezone(timezone(timedelta(hours=5, minutes=30)))
    report = check(
        [at("a", later, day), at("b", day, None, later, start=later), at("c", naive, day), at("d", other, later)],
        now=NOW,
    )
    assert report.of("times_going_back").ids == ("a[1]", "b[0]")
    assert report.of("mixed_time_zones").ids == ("c",)
    offsets = report.of("several_utc_offsets")
    assert offsets.ids == ("d",)
    assert "+00:00: 4, +05:30: 1" in offsets.sentence


def test_the_same_words_under_two_ids() -> None:
    """Exact copies are found whatever their times; other words, and empty ones, are none."""
    a = talk("a")
    copy = Conversation("copy", tuple(replace(turn, time=NOW) for turn in a.turns))
    report = check([a, talk("b"), copy, Conversation("e1"), Conversation("e2")], now=NOW)
    assert report.of("duplicates").groups == (("a", "copy"),)
    assert report.of("near_duplicates") is None


def test_nearly_the_same_words_are_found_and_half_the_words_are_not() -> None:
    """One word changed is a near duplicate; half of the turns changed is another conversation."""
    a = talk("a", turns=10)
    near = Conversation("near", (replace(a.turns[0], text=a.turns[0].text + " tomorrow"), *a.turns[1:]))
    half = Conversation("half", (*a.turns[:5], *talk("z", turns=10).turns[5:]))
    report = check([a, near, half, *(talk(f"c{number}") for number in range(50))], now=NOW)
    assert report.of("near_duplicates").groups == (("a", "near"),)
    assert report.of("duplicates") is None


def test_case_and_punctuation_make_near_duplicates() -> None:
    """Short texts and texts without spaces between words are compared too."""
    assert near_groups(["Hi there!", "hi there", "", "hi you"]) == [[0, 1]]
    chinese = "我要取消昨天的订单因为地址写错了请尽快处理谢谢"
    assert near_groups([chinese, chinese + "哦", "今天天气很好我们去公园散步吧怎么样"]) == [[0, 1]]


def test_a_known_pair_is_no_near_duplicate() -> None:
    """Counterfactual halves are meant to be alike and are not complained about."""
    a = talk("a", turns=20)
    b = Conversation("b", (*a.turns[:-1], Turn("bot", "no")))
    examples = [Example("a", pair="b"), Example("b", pair="a")]
    assert check(dataset_of("d", [a, b]), now=NOW).of("near_duplicates").groups == (("a", "b"),)
    assert check(dataset_of("d", [a, b], examples), now=NOW).of("near_duplicates") is None


def jaccard(first: str, second: str) -> float:
    def shingles(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return {tuple(words[n : n + 3]) for n in range(max(1, len(words) - 2))}

    a, b = shingles(first), shingles(second)
    return len(a & b) / len(a | b)


def test_near_duplicates_agree_with_comparing_all_pairs() -> None:
    """Nearly everything at .86 similarity is found, and nothing that no chain of pairs at .8 connects.

    Candidates are found by hashing, so a pair can be missed by chance; 60 draws, at most 2 % missed.
    """
    pairs = missed = 0
    for seed in range(60):
        chance = random.Random(seed)
        texts = [" ".join(chance.choices(WORDS, k=chance.randint(3, 60))) for _ in range(12)]
        for _ in range(12):
            words = chance.choice(texts).split()
            words[chance.randrange(len(words))] = "changed"
            texts.append(" ".join(words))
        groups = near_groups(texts)
        together = {index: number for number, group in enumerate(groups) for index in group}
        for one in range(len(texts)):
            for other in range(one):
                if jaccard(texts[one], texts[other]) >= 0.86:
                    pairs += 1
                    missed += together.get(one, -1) != together.get(other, -2)
        for group in groups:
            for index in group:
                assert any(jaccard(texts[index], texts[other]) >= 0.8 for other in group if other != index)
    assert pairs > 100
    assert missed <= 0.02 * pairs


def test_boilerplate_does_not_hide_copies() -> None:
    """Hundreds of chats that share a long script are told apart, and a copy among them is found."""
    script = " ".join(random.Random(1).choices(WORDS, k=150))
    chats = [Conversation(f"c{n}", (Turn("bot", script), *talk(f"c{n}", turns=9).turns)) for n in range(400)]
    copy = Conversation("copy", (*chats[200].turns, Turn("user", "thanks")))
    found = find_duplicates({chat.id: chat for chat in [*chats, copy]})
    assert found.near == (("c200", "copy"),)


def test_twenty_thousand_conversations_take_less_than_a_minute() -> None:
    """The whole check of 20,000 conversations of about 200 words, with 100 planted copies that are all found."""
    words = [f"word{number}" for number in range(5000)]

    def chat(seed: int) -> tuple[Turn, ...]:
        chance = random.Random(seed)
        return tuple(Turn("bot" if n % 2 else "user", " ".join(chance.choices(words, k=20))) for n in range(10))

    data = {f"c{seed}": Conversation(f"c{seed}", chat(seed)) for seed in range(20_000)}
    for seed in range(100):
        data[f"copy{seed}"] = Conversation(f"copy{seed}", (*chat(seed), Turn("user", "and one more thing")))
    started = time.perf_counter()
    report = check(data.values(), now=NOW)
    assert time.perf_counter() - started < 60
    assert report.of("near_duplicates").count == 100


def labelled(*examples: Example, design: Design = Design(), ids: str = "abcdef") -> Dataset:
    return dataset_of("d", [talk(id) for id in ids], examples, design)


def test_examples_that_fit_nothing() -> None:
    """Missing conversations, turns and evidence, doubled examples and labelled crashes are errors, by item."""
    examples = [
        Example("zz", labels={"refusal": "fine"}),
        Example("a", turn=6),
        Example("b", turn=-1),
        Example("c", evidence_turns=(9,)),
        Example("d"),
        Example("d"),
        Example("crash", labels={"refusal": "fine"}),
    ]
    data = dataset_of("d", [*(talk(id) for id in "abcd"), Conversation("crash")], examples)
    report = check(data, now=NOW)
    assert report.of("missing_conversations").ids == ("zz",)
    assert report.of("missing_turns").ids == ("a[6]", "b[-1]")
    assert report.of("missing_evidence_turns").ids == ("c",)
    assert report.of("duplicate_examples").ids == ("d",)
    assert report.of("labelled_empty").ids == ("crash",)
    assert report.worst == "error"


def test_labels_against_the_task() -> None:
    """Labels, units and failure modes the task does not know, and examples without a label, are told."""
    report = check(
        labelled(
            Example("a", labels={"refusal": "refused"}, failure_modes=("odd",)),
            Example("b", labels={"refusal": "refusd"}),
            Example("c", turn=1, labels={"refusal": "fine"}),
            Example("d", labels={"other": "x"}),
        ),
        task=TASK,
        now=NOW,
    )
    assert report.of("labels_outside_task").ids == ("b",)
    assert "'refusd' (1); it knows refused, fine" in report.of("labels_outside_task").sentence
    assert report.of("wrong_unit").ids == ("c[1]",)
    assert report.of("failure_modes_outside_task").ids == ("a",)
    assert report.of("unlabelled").ids == ("d",)
    assert report.of("few_positives").count == 1


def test_no_positives_is_an_error() -> None:
    """Without one target neither recall nor precision can be known, and the finding says how to get some."""
    report = check(labelled(Example("a", labels={"refusal": "fine"})), task=TASK, now=NOW)
    assert report.of("no_positives").severity == "error"
    assert "llmclf data sample" in report.of("no_positives").sentence


def test_designs_that_do_not_fit() -> None:
    """Weights out of range or unlike the design, unknown strata and wrong sizes are each told."""
    chances = {"a": 0, "b": 1.5, "c": float("nan"), "d": 1}
    report = check(labelled(*(Example(id, inclusion_probability=chance) for id, chance in chances.items())), now=NOW)
    assert report.of("inclusion_probability").ids == ("a", "b", "c")
    assert check(labelled(Example("a"), design=Design("weighted")), now=NOW).of("no_inclusion_probability").count == 1
    assert check(labelled(Example("a"), design=Design("stratified")), now=NOW).of("no_strata").severity == "error"
    strata = (Stratum("top", 2, 2), Stratum("rest", 100, 3), Stratum("odd", 1, 5), Stratum("none", 7, 4))
    examples = [
        *(Example(id, stratum="top", inclusion_probability=1.0) for id in "abc"),
        Example("d", stratum="rest", inclusion_probability=0.5),
        Example("e", stratum="other"),
    ]
    report = check(labelled(*examples, design=Design("stratified", strata)), now=NOW)
    assert report.of("strata_unknown").ids == ("e",)
    assert "top: 3 examples, 2 sampled; odd: 5 sampled of 1" in report.of("design_sizes").sentence
    assert "rest: 1 of 3" in report.of("design_short").sentence
    assert report.of("weights_differ").ids == ("d",)


def test_what_leaks_between_splits() -> None:
    """A conversation, a group, a pair, a copy or a near copy on both sides is found."""
    a = talk("a", turns=20)
    copy, near = (
        Conversation("copy", a.turns),
        Conversation("near", (*talk("b", turns=20).turns[:-1], Turn("bot", "x"))),
    )
    train = dataset_of(
        "train", [a, talk("b", turns=20), talk("c"), talk("p")], [Example("c", group="g"), Example("p", pair="q")]
    )
    test = dataset_of(
        "test", [copy, near, talk("c"), talk("d"), talk("q")], [Example("d", group="g"), Example("q", pair="p")]
    )
    report = check([talk("x")], splits={"train": train, "test": test}, now=NOW)
    assert report.of("leak_conversations").ids == ("c",)
    assert report.of("leak_groups").ids == ("g",)
    assert report.of("leak_pairs").groups == (("p", "q"),)
    assert report.of("leak_duplicates").groups == (("a", "copy"),)
    assert report.of("leak_near_duplicates").groups == (("b", "near"),)
    assert report.conversations == 1


def test_drift_against_an_earlier_dataset() -> None:
    """Metadata, speakers, lengths and changed conversations are compared; the same data has no drift."""
    old = [talk(f"c{number}", metadata={"lang": "en", "old": 1, "share": "x"}) for number in range(100)]
    new = [talk(f"c{number}", turns=2, metadata={"lang": 1, "new": 1}) for number in range(50)]
    new += [Conversation(f"n{number}", (Turn("tool", "word " * 40), Turn("user", "hm"))) for number in range(50)]
    report = check(new, earlier=old, now=NOW)
    assert report.of("metadata_appeared").ids == ("new",)
    assert report.of("metadata_vanished").ids == ("old", "share")
    assert report.of("metadata_share").ids == ("lang",)
    assert "lang: str to int" in report.of("metadata_types").sentence
    assert "tool 0% to 25%" in report.of("speakers_mix").sentence
    assert report.of("turn_lengths").severity == "warning"
    assert "median went from 6 to 2" in report.of("turn_counts").sentence
    assert report.of("changed_conversations").count == 50
    assert check(old, earlier=old, now=NOW).findings == ()


@given(st.lists(st.integers(0, 9), max_size=20), st.lists(st.integers(0, 9), max_size=20))
def test_the_distance_of_two_samples_is_the_largest_gap(first: list[int], second: list[int]) -> None:
    """Kolmogorov-Smirnov as its definition has it; 0 where there is nothing to compare."""

    def share(values: list[int], limit: int) -> float:
        return sum(value <= limit for value in values) / len(values)

    gaps = [abs(share(first, limit) - share(second, limit)) for limit in range(10)] if first and second else [0.0]
    assert ks_distance(first, second) == pytest.approx(max(gaps))


def test_what_a_reader_put_aside_is_told(tmp_path: Path) -> None:
    """Bad lines and unknown speakers of a file are findings of its check."""
    path = tmp_path / "c.jsonl"
    good = json.dumps(talk("a").to_dict())
    path.write_text(f'{good}\n{{"id":"b","turns":[{{"speaker":"agent"}}]}}\n{{\n')
    read = read_conversations(path, rejects=tmp_path / "rejects.jsonl")
    report = check(read, now=NOW)
    assert report.of("bad_lines").count == 2
    assert report.of("unknown_speakers").ids == ("agent",)


def test_no_conversations_and_doubled_ids_are_errors() -> None:
    """Nothing to look at is an error, and so is an id that names two conversations."""
    assert kinds(check([], now=NOW)) == {"no_conversations": 1}
    assert check([talk("a"), talk("a", seed=7)], now=NOW).of("duplicate_ids").ids == ("a",)


def shown(report: CheckReport) -> str:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    console.print(report)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_table_fits_a_terminal_and_obeys_no_id() -> None:
    """80 columns; markup and control characters in hostile ids are shown, not executed; ten ids, then a count."""
    hostile = [Conversation(f"[red]{number}\x1b[2J[/]", (Turn("user", "hm"),)) for number in range(14)]
    report = check(hostile, now=NOW)
    text = shown(report)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "[red]0\\x1b[2J[/]" in text
    assert "and 4 more" in text
    assert len(report.to_dict()["findings"][0]["ids"]) >= 13
    assert json.loads(report.to_json())["worst"] == report.worst


def test_findings_come_worst_first_and_say_what_was_not_checked() -> None:
    """Errors before warnings before notes; what needs more input is named."""
    report = check([talk("a"), Conversation("e"), saying("h", "\ud800")], now=NOW)
    order = [found.severity for found in report.findings]
    assert order == sorted(order, key=["error", "warning", "note"].index)
    assert len(report.not_checked) == 3
