"""The simulated vendor keeps what its page promises: rates by modality and thinking, faults, tokens, seconds, words."""

from __future__ import annotations

import asyncio
import json
import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from asking import answer, make
from hypothesis import given, strategies as st
from wire import chat

from llmclf.config import SimRow
from llmclf.errors import ModelError
from llmclf.llm import Model, Runtime
from llmclf.llm.model import Answer, Media, Message, Output, Request, Subject
from llmclf.llm.routes.sim import AUDIO_BYTES_PER_TOKEN, FAULTS, IMAGE_TOKENS, SimRoute, Truth, modality_of
from llmclf.render.prefaces import part_preface, recognition_preface
from llmclf.types import Conversation, Example, Item, Turn, dataset_of

ROW = SimRow(
    route="sim",
    recall=0.7,
    recall_by_failure_mode={"hidden": 0.4},
    false_alarm_rate=0.05,
    adjacent_factor=3,
    thinking_gain=0.25,
    error_factor_by_modality={"audio": 1.5, "image>text": 2.0, "image": 0.5},
    input_usd_per_million=1,
    output_usd_per_million=10,
)
CHOICES = ("refused", "frustrated", "clean")
COUNT = 2000
TARGET = Truth("refused", "target", "refused")
HIDDEN = Truth("refused", "target", "refused", ("hidden",))
ADJACENT = Truth("frustrated", "adjacent", "refused")
CLEAN = Truth("clean", "clean", "refused")
MEDIA = {
    "audio": Media("audio", "audio/wav", "a", bytes(3 * AUDIO_BYTES_PER_TOKEN)),
    "image": Media("image", "image/png", "b", b"png"),
}


def question(number: int, model: Model, modality: str = "text", repeat: int = 0, text: str = "[0] user: hi") -> Request:
    """What is asked about item `number`, as the llm classifier asks."""
    preface = recognition_preface(modality)  # type: ignore[arg-type]
    media = (MEDIA[modality],) if modality in MEDIA else ()
    message = Message("user", f"{preface}\n{text}" if preface else text, media)
    subject = Subject("t", f"c{number}", None, f"h{number}", "k", "p")
    return Request(model, (Message("system", "?"), message), Output("json", choices=CHOICES), subject, repeat)


def told(truth: Truth, row: SimRow = ROW, count: int = COUNT) -> SimRoute:
    return SimRoute("sim/m", row, {("t", f"h{number}", None): truth for number in range(count)})


def answers(route: SimRoute, requests: Sequence[Request]) -> list[Answer | ModelError]:
    """What the simulated vendor says to each, errors included."""

    async def send(request: Request) -> Answer | ModelError:
        try:
            return await route.send(request, {}, 1)
        except ModelError as error:
            return error

    async def send_all() -> list[Answer | ModelError]:
        return [await send(request) for request in requests]

    return asyncio.run(send_all())


def good(route: SimRoute, requests: Sequence[Request]) -> list[Answer]:
    found = answers(route, requests)
    assert not [one for one in found if isinstance(one, ModelError)]
    return [one for one in found if isinstance(one, Answer)]


def flags(given: Sequence[Answer]) -> list[bool]:
    return [json.loads(one.text)["label"] == "refused" for one in given]


def share(truth: Truth, ask: Callable[[int], Request], row: SimRow = ROW) -> float:
    """The share of COUNT items with this truth that are flagged."""
    return sum(flags(good(told(truth, row), [ask(number) for number in range(COUNT)]))) / COUNT


def near(rate: float) -> Any:
    """Within four standard errors of COUNT draws."""
    return pytest.approx(rate, abs=4 * math.sqrt(rate * (1 - rate) / COUNT))


# --- rates ------------------------------------------------------------------------------------

FACTORS = {"text": 1.0, "image": 0.5, "audio": 1.5, "image>text": 2.0, "audio>text": 1.0}


@pytest.mark.parametrize("modality", FACTORS)
@pytest.mark.parametrize(("thinking", "left"), [(None, 1.0), ("medium", 0.75**2)])
@pytest.mark.parametrize(
    ("truth", "missed", "alarms"),
    [(TARGET, 0.3, None), (HIDDEN, 0.6, None), (ADJACENT, None, 0.15), (CLEAN, None, 0.05)],
)
def test_rates_hold_in_every_modality_and_at_every_thinking(modality, thinking, left, truth, missed, alarms) -> None:
    """Errors are the row's, times what thinking leaves of them, times the modality's factor."""
    errors = left * FACTORS[modality]
    rate = 1 - min(0.999, missed * errors) if alarms is None else min(0.9, alarms * errors)
    model = Model("sim/m", thinking=thinking)
    assert share(truth, lambda number: question(number, model, modality)) == near(rate)


@pytest.mark.parametrize("temperature", [None, 0.0, 1.0, 2.0])
@pytest.mark.parametrize("repeat", [0, 3])
def test_temperature_and_repeats_change_no_rate(temperature, repeat) -> None:
    """They decide how often answers to one question differ, not how good they are."""
    model = Model("sim/m", temperature=temperature)
    assert share(TARGET, lambda number: question(number, model, repeat=repeat)) == near(0.7)


def test_repeats_differ_the_more_the_warmer() -> None:
    """Fresh answers to one question differ sometimes at 0, more often at 1, and most at 2."""

    def changed(temperature: float) -> float:
        model = Model("sim/m", temperature=temperature)
        first, second = (
            flags(good(told(TARGET), [question(number, model, repeat=repeat) for number in range(COUNT)]))
            for repeat in (0, 1)
        )
        return sum(one != other for one, other in zip(first, second, strict=True)) / COUNT

    cold, warm, hot = changed(0.0), changed(1.0), changed(2.0)
    assert 0.02 < cold < warm < hot < 2 * 0.7 * 0.3


def test_thinking_that_does_nothing_does_nothing() -> None:
    """With no_op_thinking all levels give the same answers, tokens and seconds, and reasoning is paid for."""
    row = ROW.model_copy(update={"no_op_thinking": True})
    given = {
        level: good(told(HIDDEN, row), [question(n, Model("sim/m", level, None, 9000)) for n in range(500)])
        for level in (None, "off", "low", "high")
    }
    facts = {
        level: [(one.text, one.usage, one.latency_seconds, one.reasoning) for one in found]
        for level, found in given.items()
    }
    assert facts[None] == facts["off"] == facts["low"] == facts["high"]
    assert all(one.usage.reasoning_tokens for one in given["off"])
    working = good(told(HIDDEN), [question(n, Model("sim/m", "low", None, 9000)) for n in range(500)])
    medians = [statistics.median(one.usage.reasoning_tokens or 0 for one in found) for found in (given["low"], working)]
    assert medians[0] == pytest.approx(medians[1], rel=0.15)
    assert share(HIDDEN, lambda number: question(number, Model("sim/m", "high")), row) == near(0.4)


# --- what is shown ----------------------------------------------------------------------------

LATE = Truth("refused", "target", "refused", (), (7,))


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("[6] user: a\n[8] bot: b", 0.7),
        ("[0] user: a\n[5] bot: b", 0.05),
        ("[0] user: a\n[...] (8 turns left out)\n[9] bot: b", 0.05),
        ("[0] user: a\n[...] (6 turns left out)\n[7] bot: b", 0.7),
    ],
)
def test_evidence_that_is_not_shown_is_not_found(text: str, rate: float) -> None:
    """A target whose evidence is left out is met as a clean item; a silent turn between others is no gap."""
    assert share(LATE, lambda number: question(number, Model("sim/m"), text=text)) == near(rate)


def test_parts_are_drawn_by_themselves() -> None:
    """Two parts of one conversation are not one draw."""
    first, second = (
        flags(
            good(
                told(TARGET),
                [question(n, Model("sim/m"), text=f"{part_preface(place, 2, 0, 3)}\n[0] user: a") for n in range(500)],
            )
        )
        for place in (1, 2)
    )
    assert first != second


def test_the_modality_is_what_can_be_seen_of_a_request() -> None:
    """Media, or the words that say who put the words down: nothing else reaches the simulated vendor."""
    for modality in FACTORS:
        assert modality_of(question(0, Model("sim/m"), modality)) == modality


# --- faults -----------------------------------------------------------------------------------


def test_faults_come_in_their_shares() -> None:
    """fault_rate is shared out over refusals, filters, cuts, unreadable answers and retryable errors."""
    route = told(CLEAN, ROW.model_copy(update={"fault_rate": 0.4}))
    kinds: Counter[str] = Counter()
    for one in answers(route, [question(number, Model("sim/m")) for number in range(COUNT)]):
        if isinstance(one, ModelError):
            assert one.retryable
            assert not one.possibly_billed
            kinds[one.kind] += 1
        elif one.finish_reason != "stop":
            kinds[{"refusal": "refused"}.get(one.finish_reason, one.finish_reason)] += 1
        elif not readable(one.text):
            kinds["unparsable"] += 1
    for kind, part in FAULTS.items():
        assert kinds[kind] / COUNT == near(0.4 * part), kind
    assert sum(FAULTS.values()) == pytest.approx(1)


def readable(text: str) -> bool:
    try:
        return json.loads(text)["label"] in CHOICES
    except (ValueError, KeyError, TypeError):
        return False


@pytest.fixture
def runtime(workspace, wire):
    models = workspace / "configs/models.toml"
    models.write_text(models.read_text().replace('route = "sim"', 'route = "sim"\nfault_rate = 0.9'))
    with Runtime(workspace=workspace, max_usd=5, concurrency=4) as made:
        yield made


def labelled(count: int) -> tuple[dict[str, Conversation], list[Example]]:
    conversations = {
        f"c{n}": Conversation(f"c{n}", (Turn("user", f"Person {n}?"), Turn("bot", "No"))) for n in range(count)
    }
    examples = [
        Example(f"c{n}", labels={"refusal": ("refused", "clean")[n % 2]}, failure_modes=("secret_mode",))
        for n in range(count)
    ]
    return conversations, examples


def test_a_repair_mends_half_and_a_retry_all(runtime) -> None:
    """What is unparsable at first is mended half of the time; who is unavailable answers the next attempt."""
    conversations, examples = labelled(500)
    made = make(runtime, model=Model("sim/m"))
    runtime.tell_simulator(dataset_of("d", conversations.values(), examples), made.task)
    found = list(made.predict(conversations, [Item(name) for name in conversations]))
    repaired = [one for one in found if one.repaired]
    mended = sum(not one.failed for one in repaired)
    assert len(repaired) / 500 == pytest.approx(0.9 * FAULTS["unparsable"], abs=0.085)
    assert mended / len(repaired) == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(len(repaired)))
    assert all(one.calls == 2 for one in repaired)
    kinds = Counter(one.error.kind for one in found if one.error)
    assert set(kinds) == {"refused", "length", "content_filter", "unparsable"}
    retried = runtime.store.query("SELECT count(*) AS n FROM calls WHERE attempts = 2 AND state = 'done'")[0]["n"]
    assert retried / 500 == pytest.approx(0.9 * FAULTS["unavailable"], abs=0.07)


# --- tokens, seconds, words -------------------------------------------------------------------


def test_tokens_and_seconds_are_distributed_as_documented() -> None:
    """Log-normal around the row's medians; reasoning doubles and time grows by 1.8 with each level."""
    for level, step in (("off", 0), ("low", 1), ("medium", 2), ("high", 3)):
        given = good(told(CLEAN), [question(n, Model("sim/m", level, None, 60_000)) for n in range(1000)])
        seconds = [math.log(one.latency_seconds or 0) for one in given]
        assert statistics.median(seconds) == pytest.approx(math.log(1.8**step), abs=0.06)
        assert statistics.stdev(seconds) == pytest.approx(0.4, abs=0.04)
        reasoning = [one.usage.reasoning_tokens or 0 for one in given]
        words = [math.log((one.usage.output_tokens or 0) - (one.usage.reasoning_tokens or 0)) for one in given]
        assert statistics.median(reasoning) == pytest.approx(250 * 2 ** (step - 1) if step else 0, rel=0.06)
        assert statistics.median(words) == pytest.approx(math.log(90), abs=0.05)
        assert statistics.stdev(words) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(("modality", "tokens", "audio"), [("text", 0, 0), ("image", IMAGE_TOKENS, 0), ("audio", 3, 3)])
def test_media_are_tokens_too(modality, tokens, audio) -> None:
    """Four characters are a token; a picture is 800, a second of speech 25, counted apart."""
    request = question(0, Model("sim/m"), modality)
    usage = good(told(CLEAN), [request])[0].usage
    characters = sum(len(message.content) for message in request.messages)
    assert (usage.input_tokens, usage.audio_tokens) == (-(-characters // 4) + tokens, audio)


def test_reasons_follow_the_failure_mode_and_the_thinking() -> None:
    """Reasons name the failure mode in several ways; more thinking says more; without thinking there is none."""
    route = told(replace(HIDDEN, failure_modes=("deflection_loop",)), ROW.model_copy(update={"recall": 1.0}))
    by_level = {
        level: good(route, [question(n, Model("sim/m", level)) for n in range(200)]) for level in ("off", "low", "high")
    }
    found = [json.loads(one.text) for one in by_level["off"]]
    rationales = {one["rationale"] for one in found if one["label"] == "refused"}
    assert len(rationales) >= 4
    assert all("deflection loop" in text for text in rationales)
    assert not any(one.reasoning for one in by_level["off"])
    low, high = ([one.reasoning for one in by_level[level]] for level in ("low", "high"))
    assert len(set(low)) > 20
    assert statistics.mean(map(len, high)) > 1.5 * statistics.mean(map(len, low))
    assert all(text.startswith("Simulated thinking.") for text in low + high)


@given(
    st.sampled_from([TARGET, HIDDEN, ADJACENT, CLEAN, LATE]), st.integers(0, 50), st.sampled_from(["json", "letter"])
)
def test_every_answer_is_one_of_the_closed_set(truth: Truth, number: int, kind: str) -> None:
    """Without faults the answer can always be read, whatever is true."""
    output = Output("letter" if kind == "letter" else "json", choices=CHOICES)
    request = replace(question(number, Model("sim/m", "low")), output=output)
    text = good(told(truth), [request])[0].text
    assert (text in "ABC") if kind == "letter" else readable(text)


# --- truth ------------------------------------------------------------------------------------


def test_the_truth_reaches_no_real_vendor(wire, runtime) -> None:
    """Real requests are byte for byte the same, whatever the simulated vendor was told."""
    wire.default = chat(answer())
    conversations, examples = labelled(2)
    made = make(runtime)
    sent = []
    for label, mode in (("refused", "secret_mode"), ("clean", "other_mode")):
        changed = [replace(one, labels={"refusal": label}, failure_modes=(mode,)) for one in examples]
        runtime.tell_simulator(dataset_of("d", conversations.values(), changed), made.task)
        made.classify(conversations["c0"], repeat=len(sent))
        sent.append(wire.received[-1].body)
    assert sent[0] == sent[1]
    assert "secret_mode" not in "".join(wire.texts)
