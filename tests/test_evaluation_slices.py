"""Slices: what they are cut by, what they say, and what they do not claim."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

import numpy as np
import pytest
from rich.console import Console

from llmclf.errors import ConfigError
from llmclf.evaluation import Slices, evaluate, slices
from llmclf.types import (
    Conversation,
    Dataset,
    Design,
    ErrorInfo,
    Example,
    FailureMode,
    Label,
    Prediction,
    Predictions,
    Task,
    Turn,
    dataset_of,
)

TASK = Task(
    "refusal",
    "Is a person refused?",
    (Label("refusal", "target", "x"), Label("frustration", "adjacent", "x"), Label("clean", "clean", "x")),
    failure_modes=(FailureMode("flat", "says no"), FailureMode("loop", "goes round")),
)


def metadata(number: int) -> Mapping[str, str | int]:
    known: dict[str, str | int] = {"channel": "voice" if number % 4 == 0 else "chat", "number": number}
    return known | ({"language": "de"} if number % 10 == 1 and number >= 80 else {"language": "en"})


def a_set(turns: bool = False, grouped: bool = False) -> tuple[Predictions, Dataset]:
    """80 targets of 400, of which voice's are missed; adjacent ones are flagged; German has no target."""
    conversations, examples, answers = [], [], []
    for i in range(400):
        label = "refusal" if i < 80 else "frustration" if i < 120 else "clean"
        said = tuple(Turn("user", "hello " * (1 + i % 7)) for _ in range(1 + i % 8 if turns else 2))
        conversations.append(Conversation(f"c{i}", said, metadata=metadata(i)))
        modes = () if i >= 80 else ("loop",) if i % 3 else ("flat",)
        group = f"g{i // 2}" if grouped else ""
        examples.append(Example(f"c{i}", labels={"refusal": label}, failure_modes=modes, group=group))
        flag = (i % 4 > 0) if i < 80 else i % 3 == 0 if i < 120 else False
        answers.append(Prediction(f"c{i}", "k@1", "refusal", label="refusal" if flag else "clean", score=float(flag)))
    return Predictions(answers), dataset_of("set", conversations, examples, Design("random"))


def named(got: Slices) -> dict[tuple[str, str], int]:
    return {(one.by, one.value): place for place, one in enumerate(got.slices)}


def shown(got: Slices, width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(got)
    return out.getvalue()


def test_what_is_worse_is_found_and_what_is_not_is_not() -> None:
    """Voice misses more, adjacent ones are flagged more, both after adjustment; languages and modes do not differ."""
    got = slices(*a_set(), TASK)
    place = named(got)
    voice, adjacent = got.slices[place["channel", "voice"]], got.slices[place["label", "frustration"]]
    assert voice.recall.value == 0 and voice.missed_more and voice.p_missed_adjusted < 1e-6  # type: ignore[operator]
    assert adjacent.false_alarm_rate.value == pytest.approx(13 / 40) and adjacent.alarms_more
    assert {(one.by, one.value) for one in got.different} >= {("channel", "voice"), ("label", "frustration")}
    assert not {one.by for one in got.different} & {"failure_mode", "language", "length"}
    assert "channel = voice: targets are missed more often than elsewhere" in shown(got, 300)


def test_figures_of_slices_are_those_of_the_evaluation() -> None:
    """Failure modes and labels have the same recall and the same share of false alarms as in `evaluate`."""
    predictions, dataset = a_set(grouped=True)
    whole, got = evaluate(predictions, dataset, TASK), slices(predictions, dataset, TASK, ["failure_mode", "label"])
    for one in got.slices:
        if one.by == "failure_mode":
            assert one.recall == whole.by_failure_mode[one.value]
        else:
            assert one.false_alarm_rate == whole.by_label[one.value]


def test_the_smallest_come_first_and_all_are_counted() -> None:
    """Slices stand by size; a note says how many were looked at and how many would look odd by chance."""
    got = slices(*a_set(turns=True), TASK)
    sizes = [one.n for one in got.slices]
    assert sizes == sorted(sizes)
    assert {one.by for one in got.slices} == {"failure_mode", "label", "length", "channel", "language"}
    assert got.n_comparisons == sum(p is not None for one in got.slices for p in (one.p_missed, one.p_false_alarm))
    text = " ".join(shown(got, 300).split())
    assert (
        f"{len(sizes)} slices were looked at, {got.n_comparisons} comparisons: about one would look different" in text
    )
    assert "Fisher's exact test" in text


def test_a_slice_without_targets_says_so() -> None:
    """No target in it is no recall of 0: not a number, no interval, no p."""
    got = slices(*a_set(), TASK, ["language"])
    german = got.slices[named(got)["language", "de"]]
    assert german.n_positives == 0 and german.recall.value is german.recall.high is german.p_missed is None
    assert german.recall.why_not == "no target in it: recall can't be known"
    assert "no target" in shown(got, 80)
    assert german.p_false_alarm is not None


def test_lengths_are_bands_of_turns_or_of_characters() -> None:
    """Bands hold about a quarter each; where all have as many turns, characters are counted."""
    turns, characters = (slices(*a_set(turns=on), TASK, ["length"]).slices for on in (True, False))
    assert {one.value for one in turns} == {"1-2 turns", "3-4 turns", "5-6 turns", "7-8 turns"}
    assert all(one.value.endswith(" characters") for one in characters) and len(characters) == 4
    assert sum(one.n for one in turns) == sum(one.n for one in characters) == 400


def test_metadata_is_by_default_what_has_few_values() -> None:
    """A number of each conversation is no slice unless asked for; an unknown name is an error with the nearest."""
    predictions, dataset = a_set()
    assert "number" not in {one.by for one in slices(predictions, dataset, TASK).slices}
    with pytest.raises(ConfigError, match="did you mean 'channel'"):
        slices(predictions, dataset, TASK, ["chanel"])


def test_groups_are_dealt_as_wholes() -> None:
    """With groups the note says how p was reckoned, and p of a slice inside of groups is still found small."""
    got = slices(*a_set(grouped=True), TASK, ["channel"])
    assert got.clustered and "whole groups are dealt anew" in " ".join(shown(got, 300).split())
    assert got.slices[0].p_missed < 0.001  # type: ignore[operator]


def test_failed_items_are_counted_and_missed() -> None:
    """A failed target is missed in its slice, and the slice says how many failed."""
    predictions, dataset = a_set()
    broken = [
        Prediction(one.conversation_id, "k@1", "refusal", error=ErrorInfo("timeout", "x")) if i in (1, 2, 300) else one
        for i, one in enumerate(predictions)
    ]
    got = slices(Predictions(broken), dataset, TASK, ["channel"])
    chat = got.slices[named(got)["channel", "chat"]]
    assert chat.n_failed == 2 and chat.recall.value == pytest.approx(58 / 60)
    assert "2 failed" in shown(got, 80)


def test_every_form_holds_every_slice() -> None:
    """Terminal at 80 and 60 columns, HTML, JSON and rows; nothing is wider than it may be, nothing is markup."""
    predictions, dataset = a_set()
    got = slices(predictions, dataset, TASK)
    for width in (80, 60):
        text = shown(got, width)
        assert max(map(len, text.splitlines())) <= width and "channel: voice" in text
    document = json.loads(got.to_json())
    assert len(document["slices"]) == len(got.slices) == len(got.to_rows()) == len(got.to_frame())
    assert document["notes"] and document["slices"][0]["recall"].keys() >= {"value", "low", "high", "why_not"}
    assert got._repr_html_().count("<tr>") == len(got.slices) + 1
    assert np.isnan(got.to_frame()["recall"].astype(float)).any()


def test_nothing_to_slice_by_says_so() -> None:
    """One label, one length, no metadata: no table of nothing, but a sentence."""
    examples = [Example(f"c{i}", labels={"refusal": "refusal"}) for i in range(20)]
    dataset = dataset_of("set", [Conversation(f"c{i}", (Turn("user", "hi"),)) for i in range(20)], examples)
    answers = Predictions(Prediction(f"c{i}", "k@1", "refusal", label="clean") for i in range(20))
    assert "nothing to slice by" in " ".join(shown(slices(answers, dataset, TASK), 80).split())
