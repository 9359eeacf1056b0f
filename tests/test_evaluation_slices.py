"""Slices: what they are cut by, what they say, and what they do not claim."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from llmclf.errors import ConfigError
from llmclf.evaluation import Slices, evaluate, slices
from llmclf.evaluation.drawn import drawn
from llmclf.evaluation.matching import match
from llmclf.evaluation.parts import Parts
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
    Stratum,
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


SIZES, LABELLED = np.array([250.0, 750.0, 4000.0, 95000.0]), [50, 50, 100, 200]
TARGETS, ALARMS = np.array([0.6, 0.2, 0.02, 0.001]), np.array([0.3, 0.1, 0.03, 0.004])
RECALLS = np.array([0.9, 0.8, 0.6, 0.4])


def stratified(rng: np.random.Generator, alarms: NDArray[np.float64] = ALARMS) -> tuple[Predictions, Dataset]:
    """A set of four strata, cut so that targets are rare in the last, which is nearly everything."""
    conversations, examples, answers = [], [], []
    for i, stratum in enumerate(np.repeat(np.arange(4), LABELLED).tolist()):
        target = rng.random() < TARGETS[stratum]
        flag = bool(rng.random() < (RECALLS if target else alarms)[stratum])
        label = "refusal" if target else "clean"
        examples.append(Example(f"c{i}", labels={"refusal": label}, stratum=str(stratum)))
        conversations.append(Conversation(f"c{i}", (Turn("user", "hello"),)))
        answers.append(Prediction(f"c{i}", "k@1", "refusal", label="refusal" if flag else "clean", score=float(flag)))
    strata = tuple(Stratum(str(h), int(SIZES[h]), LABELLED[h]) for h in range(4))
    return Predictions(answers), dataset_of("set", conversations, examples, Design("stratified", strata=strata))


def test_an_unseen_false_alarm_may_lie_where_none_was_seen() -> None:
    """0 of 200 flagged in a stratum is up to about 1.5 % there, and what a label adds up to is no surer for it."""
    predictions, dataset = stratified(np.random.default_rng(0), ALARMS * [1, 1, 1, 0])
    found = {one.value: one.false_alarm_rate for one in slices(predictions, dataset, TASK, ["stratum"]).slices}
    assert found["3"].value == 0 and found["3"].high is not None and found["3"].high > 0.012
    assert found["0"].high is not None and found["0"].high < 0.6, "nor is a small stratum blurred by the large one"
    made = evaluate(predictions, dataset, TASK)
    assert made.specificity.low is not None
    assert made.by_label["clean"].high == pytest.approx(1 - made.specificity.low, rel=0.2)


def test_intervals_of_parts_hold_in_strata() -> None:
    """Of 150 stratified sets at least .9 have each true rate in its interval: by label, and within a stratum."""
    rng = np.random.default_rng(3)
    others = SIZES * (1 - TARGETS)
    truths = {"label": float(others @ ALARMS / others.sum()), "rest": ALARMS[3], "top": ALARMS[0], "recall": RECALLS[0]}
    stratum = np.repeat(np.arange(4), LABELLED)
    held = dict.fromkeys(truths, 0)
    for seed in range(150):
        predictions, dataset = stratified(rng)
        matched = match(predictions, dataset, TASK)
        parts = Parts(matched, drawn(dataset, matched.examples), 0.95, seed)
        estimates = {
            "label": parts.flagged(~matched.positive, "label"),
            "rest": parts.flagged(stratum == 3, "stratum"),
            "top": parts.flagged(stratum == 0, "stratum"),
            "recall": parts.recall(stratum == 0, stratum == 0),
        }
        for name, one in estimates.items():
            assert one.low is not None and one.high is not None
            held[name] += one.low <= truths[name] <= one.high
    assert min(held.values()) >= 0.9 * 150, held
