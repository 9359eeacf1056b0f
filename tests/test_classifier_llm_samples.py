"""Several fresh answers to one question, and where scores come from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import CONVERSATION, answer, make
from hypothesis import given, strategies as st
from wire import chat

from llmclf.classifiers.answer import Reading
from llmclf.classifiers.conformance import check_classifier, small_dataset
from llmclf.classifiers.llm import LlmClassifier
from llmclf.classifiers.outcome import Bill, Outcome, combine_parts, combine_samples
from llmclf.classifiers.support import sampling_model
from llmclf.errors import ConfigError, ModelError
from llmclf.llm import Model, Runtime
from llmclf.llm.capabilities import Capabilities
from llmclf.render import Prompt, Window, load_prompt
from llmclf.types import Label, Task, Usage

TASK = Task("t", "?", (Label("bad", "target", "b"), Label("odd", "adjacent", "o"), Label("fine", "clean", "f")))
LABELS = st.sampled_from(["bad", "odd", "fine"])


@pytest.fixture
def runtime(workspace: Path, wire) -> Iterator[Runtime]:
    wire.default = chat(answer())
    with Runtime(workspace / "store.db", workspace=workspace, max_usd=5) as made:
        yield made


def say(wire, *labels: str) -> None:
    """Queues one answer for each label, with a rationale that numbers it; `?` can't be read."""
    replies = [
        chat("?" if label == "?" else answer(label=label, rationale=f"answer {number}"))
        for number, label in enumerate(labels)
    ]
    wire.next(*replies)


# --- samples ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "threshold", "label", "score", "flagged"),
    [
        (("refused", "refused", "clean", "clean"), 0.5, "refused", 0.5, True),
        (("refused", "clean", "frustrated", "clean"), 0.5, "clean", 0.25, False),
        (("refused", "clean", "frustrated", "clean"), 0.25, "refused", 0.25, True),
        (("refused", "refused", "refused", "clean"), 0.9, "clean", 0.75, False),
        (("refused", "refused", "frustrated", "clean"), None, "refused", 0.5, True),
        (("clean", "frustrated", "frustrated", "clean"), 0.5, "frustrated", 0.0, False),
        (("clean", "clean", "clean", "clean"), 0.5, "clean", 0.0, False),
    ],
)
def test_the_score_is_the_share_of_the_target(labels, threshold, label, score, flagged, wire, runtime) -> None:
    """The label follows the threshold, else it is the most frequent other; ties go by the task's order."""
    say(wire, *labels)
    found = make(runtime, samples=4, threshold=threshold).classify(CONVERSATION)
    assert (found.label, found.score, found.flagged) == (label, score, flagged)
    assert (found.score_method, found.calls, len(wire.received)) == ("samples", 4, 4)


def test_reasons_come_from_an_answer_with_the_label(wire, runtime) -> None:
    """Evidence and rationale are those of one answer that agrees, never of one that does not."""
    quote = [{"turn": 2, "quote": "Please, a person!"}]
    wire.default = lambda request: chat(answer(label="refused", rationale="agreed", evidence=quote))
    wire.next(chat(answer(label="clean", rationale="disagreed")))
    found = make(runtime, samples=3).classify(CONVERSATION)
    assert (found.label, found.rationale, found.score) == ("refused", "agreed", pytest.approx(2 / 3))
    assert [evidence.turn for evidence in found.evidence] == [2]


def test_samples_are_fresh_calls_and_are_kept(wire, runtime) -> None:
    """Each has a repeat number of its own: asked again they come from the store; the next repeat is fresh."""
    say(wire, "refused", "clean", "clean")
    first = make(runtime, samples=3).classify(CONVERSATION)
    again = make(runtime, samples=3).classify(CONVERSATION)
    assert (len(wire.received), again.cached, again.score) == (3, True, first.score)
    assert again.cost_nano_usd == first.cost_nano_usd == 3 * (100 * 1000 + 20 * 10_000)
    make(runtime, samples=3).classify(CONVERSATION, repeat=1)
    assert len(wire.received) == 6
    rows = runtime.store.query("SELECT repeat FROM calls ORDER BY repeat")
    assert [row["repeat"] for row in rows] == [0, 1, 2, 3, 4, 5]


def test_samples_are_asked_for_at_once(wire, runtime) -> None:
    """They do not wait for each other, and the latency is the slowest one's."""
    wire.next(*[chat(answer(), delay=0.5) for _ in range(4)])
    found = make(runtime, samples=4).classify(CONVERSATION)
    assert wire.most_at_once == 4
    assert found.latency_seconds is not None
    assert 0.5 <= found.latency_seconds < 2


@pytest.mark.parametrize(
    ("labels", "score", "calls"),
    [(("refused", "clean", "refused", "?", "?"), 2 / 3, 7), (("refused", "?", "?", "clean", "?", "?"), None, 10)],
)
def test_at_least_half_must_be_readable(labels, score, calls, wire, runtime) -> None:
    """Those that failed, and whose repair did, are left out of the score; with too many the item fails."""
    say(wire, *labels)
    wire.default = chat("?")
    found = make(runtime, samples=len(labels)).classify(CONVERSATION)
    assert found.calls == calls == len(wire.received)
    assert found.score == (None if score is None else pytest.approx(score))
    assert found.repaired
    if score is None:
        assert found.error is not None
        assert found.error.kind == "unparsable"
        assert "(4 of 6 answers failed)" in found.error.message


def test_letters_can_be_sampled(wire, runtime) -> None:
    """The letters are counted; their log-probabilities are not."""
    wire.next(*[chat(letter, logprobs={"A": -0.01, "B": -5.0, "C": -5.0}) for letter in "ABCC"])
    found = make(runtime, answer="label", samples=4).classify(CONVERSATION)
    assert (found.score, found.score_method, found.label) == (0.25, "samples", "clean")


@pytest.mark.parametrize(
    ("settings", "sent"),
    [({}, 0.0), ({"samples": 2}, 1.0), ({"samples": 2, "model": Model("wire/m", temperature=0.3)}, 0.3)],
)
def test_samples_are_drawn_at_a_temperature_that_lets_them_differ(settings, sent, wire, runtime) -> None:
    """One answer at 0; several at 1, or at what was given."""
    make(runtime, **settings).classify(CONVERSATION)
    assert wire.received[-1].json["temperature"] == sent


def test_a_model_that_takes_no_temperature_can_be_sampled(workspace, wire) -> None:
    """It is asked without one; one that takes 1 alone is asked at 1. Neither is made unusable."""
    models = workspace / "configs/models.toml"
    row = f'[models."http/cold"]\nroute = "http"\napi_base = "{wire.url}"\nmodel = "m"\ntemperature = false\n'
    models.write_text(models.read_text() + row)
    with Runtime(workspace=workspace, max_usd=5) as runtime:
        for model, temperature in ((Model("http/cold"), None), (Model("openai/gpt-6.1-sol"), 1.0)):
            assert sampling_model(model, 5, runtime).temperature == temperature
            assert make(runtime, model=model, samples=5).unsupported() == []


# --- where scores come from -------------------------------------------------------------------


def test_a_score_method_that_does_not_fit_is_refused(runtime) -> None:
    """A log-probability belongs to a single letter, a verbalized confidence to a single explained answer."""
    for settings in (
        {"score_method": "logprob"},
        {"score_method": "logprob", "answer": "label", "samples": 2},
        {"score_method": "verbalized", "answer": "label"},
        {"score_method": "samples"},
        {"samples": 0},
    ):
        with pytest.raises(ConfigError, match="samples"):
            make(runtime, **settings)


def test_log_probabilities_that_a_model_lacks_are_named_before_the_run(wire, runtime, monkeypatch) -> None:
    """With score_method = "logprob" nothing is sent to a model that gives none."""
    route = runtime.route("wire/m")
    made = make(runtime, answer="label", score_method="logprob")
    monkeypatch.setattr(type(route), "capabilities", lambda self: Capabilities(logprobs=False))
    assert made.unsupported() == ["wire/m gives no log-probabilities, and score_method is 'logprob'"]
    with pytest.raises(ConfigError, match="gives no log-probabilities"):
        made.classify(CONVERSATION)
    assert make(runtime, answer="label").unsupported() == []
    assert not wire.received


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"samples": 3},
        {"answer": "label", "score_method": "logprob"},
        {"answer": "label", "samples": 2},
        {"chunk_turns": 2, "chunk_overlap": 1},
    ],
)
def test_sampled_classifiers_conform(settings: dict[str, Any], runtime) -> None:
    """Whatever its score comes from, the classifier keeps the promises of every classifier."""
    task, dataset = small_dataset()
    runtime.tell_simulator(dataset, task)

    def remake(values: Any) -> LlmClassifier:
        return LlmClassifier(task, runtime=runtime, **{**values, "prompt": load_prompt("ask", runtime.workspace)})

    first = remake({"model": Model("sim/m"), **settings})
    check_classifier(first, dataset, remake=remake, most_items=6)


def test_settings_hold_only_what_is_no_default(runtime) -> None:
    """A new setting changes no id of a classifier that does not use it."""
    assert set(make(runtime).settings) == {"prompt", "model", "answer", "window", "shots", "seed"}
    several = make(runtime, samples=3, score_method="samples", repair=False, chunk_turns=8, modality="image")
    assert set(several.settings) - set(make(runtime).settings) == {
        "samples",
        "score_method",
        "repair",
        "chunk_turns",
        "modality",
    }


def test_ids_of_classifiers_without_new_settings_stay(runtime) -> None:
    """Answers and cells in stores are found by these: the ids that the first version gave."""
    base: dict[str, Any] = {"prompt": Prompt("ask", "{{conversation}}"), "model": Model("sim/m"), "runtime": runtime}
    made = [
        LlmClassifier(TASK, **base),
        LlmClassifier(TASK, **base, window=Window(last_turns=3), answer="label"),
        LlmClassifier(TASK, **{**base, "model": Model("sim/m", "low", 0.5, 99)}, shots=2, seed=1, threshold=None),
    ]
    assert [one.id for one in made] == ["t-llm@7c613168a42b", "t-llm@284ebfccb2d0", "t-llm@e0ebb1ff9666"]


# --- combining --------------------------------------------------------------------------------


def outcome(label: str | None, score: float | None = None) -> Outcome:
    bill = Bill(1, Usage(10, 0, 2, 0), 5, 1.0, "id")
    if label is None:
        return Outcome(bill, error=ModelError("unparsable", "no"))
    return Outcome(bill, Reading(label, score, "verbalized", f"because {label}"))


def test_a_cap_that_is_reached_fails_the_item() -> None:
    """A share of fewer answers would stay when the cap is raised; an error is asked about again."""
    broke = Outcome(Bill(), error=ModelError("over_budget", "nothing is left"))
    made = combine_samples([outcome("bad"), outcome("bad"), broke], TASK, 0.5)
    assert made.error is not None
    assert (made.error.kind, made.bill.calls, made.reading) == ("over_budget", 2, None)


@given(st.lists(st.none() | LABELS, min_size=1, max_size=9), st.none() | st.floats(0, 1))
def test_samples_make_one_sound_outcome(labels, threshold) -> None:
    """The score is a share, the label of the closed set and on the flag's side; every call is on the bill."""
    made = combine_samples([outcome(label) for label in labels], TASK, threshold)
    read = [label for label in labels if label]
    assert (made.bill.calls, made.bill.cost_nano_usd, made.bill.latency_seconds) == (len(labels), 5 * len(labels), 1.0)
    assert (made.reading is None) == (2 * len(read) < len(labels) or not read)
    if made.reading is not None:
        assert made.reading.score == read.count("bad") / len(read)
        if threshold is not None:
            assert (made.reading.label == "bad") == made.reading.flags("bad", threshold)
        assert made.reading.rationale == (f"because {made.reading.label}" if made.reading.label in read else "")


PARTS = st.lists(st.none() | st.tuples(LABELS, st.none() | st.floats(0, 1)), min_size=2, max_size=6)


@given(PARTS, st.none() | st.floats(0, 1))
def test_parts_make_one_sound_outcome(parts, threshold) -> None:
    """The highest score decides; a part that failed fails the item unless another one flags it."""
    made = combine_parts([outcome(*part) if part else outcome(None) for part in parts], TASK, threshold)
    read = [part for part in parts if part]
    scores = [score for _, score in read if score is not None]
    if made.reading is None:
        assert len(read) < len(parts)
        assert made.error is not None
        return
    assert made.reading.score == (max(scores) if scores else None)
    assert (made.reading.label == "bad") == any(label == "bad" for label, _ in read)
    assert len(read) == len(parts) or made.reading.flags("bad", threshold)
    assert made.bill.calls == len(parts)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=5))
def test_bills_add_up(rows) -> None:
    """Unknown costs stay unknown, calls that were never made change nothing, and cached means all of it."""
    total = Bill()
    for known, cached in rows:
        total = total.then(Bill(1, Usage(1), 7 if known else None, 1.0, "id", cached))
        total = total.then(Bill())
    assert total.calls == len(rows)
    assert total.latency_seconds == float(len(rows))
    assert total.cost_nano_usd == (7 * len(rows) if all(known for known, _ in rows) else None)
    assert total.cached == all(cached for _, cached in rows)
