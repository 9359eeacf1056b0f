"""The simulated vendor: it errs at the documented rates, always the same way, and nobody mistakes it for a real one."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from llmclf.classifiers.llm import LlmClassifier
from llmclf.classifiers.loading import load_classifier
from llmclf.config import SimRow
from llmclf.errors import ConfigError
from llmclf.llm import Model, Runtime
from llmclf.llm.model import Message, Output, Request, Subject
from llmclf.llm.routes.sim import SimRoute, Truth
from llmclf.types import Conversation, Dataset, Example, Item, Label, Task, Turn, dataset_of

ROW = SimRow(
    route="sim",
    recall=0.7,
    recall_by_failure_mode={"hidden": 0.4},
    false_alarm_rate=0.05,
    adjacent_factor=3,
    thinking_gain=0.25,
    input_usd_per_million=1,
    output_usd_per_million=10,
)
CHOICES = ("refused", "frustrated", "clean")
COUNT = 4000


def share_flagged(truth: Truth, model: Model, row: SimRow = ROW, kind: str = "json") -> float:
    """How many of COUNT items with this truth the simulated vendor flags."""
    import asyncio

    route = SimRoute("sim/m", row, {("t", f"h{n}", None): truth for n in range(COUNT)})
    output = Output("letter", choices=CHOICES) if kind == "letter" else Output("json", choices=CHOICES)

    async def ask(number: int) -> bool:
        subject = Subject("t", f"c{number}", None, f"h{number}", "k", "p")
        request = Request(model, (Message("user", "[0] user: hi"),), output, subject)
        text = (await route.send(request, {}, 1)).text
        return (text == "A") if kind == "letter" else json.loads(text)["label"] == "refused"

    async def all_of_them() -> int:
        return sum([await ask(number) for number in range(COUNT)])

    return asyncio.run(all_of_them()) / COUNT


TARGET = Truth("refused", "target", "refused")
HIDDEN = Truth("refused", "target", "refused", ("hidden",))
ADJACENT = Truth("frustrated", "adjacent", "refused")
CLEAN = Truth("clean", "clean", "refused")


@pytest.mark.parametrize(
    ("truth", "thinking", "rate"),
    [
        (TARGET, None, 0.7),
        (TARGET, "off", 0.7),
        (TARGET, "low", 1 - 0.3 * 0.75),
        (TARGET, "high", 1 - 0.3 * 0.75**3),
        (HIDDEN, None, 0.4),
        (ADJACENT, None, 0.15),
        (CLEAN, None, 0.05),
        (CLEAN, "high", 0.05 * 0.75**3),
    ],
)
def test_the_documented_rates_hold(truth: Truth, thinking, rate: float) -> None:
    """Over 4,000 items the share flagged is the rate, within four standard errors."""
    error = 4 * math.sqrt(rate * (1 - rate) / COUNT)
    assert share_flagged(truth, Model("sim/m", thinking=thinking)) == pytest.approx(rate, abs=error)


def test_letters_are_drawn_as_explained_answers_are() -> None:
    """The form of the answer changes nothing about what is found."""
    model = Model("sim/m")
    assert share_flagged(TARGET, model, kind="letter") == share_flagged(TARGET, model)


@pytest.fixture
def runtime(workspace: Path) -> Iterator[Runtime]:
    with Runtime(workspace / "store.db", workspace=workspace) as made:
        yield made


def dataset(count: int = 60) -> Dataset:
    conversations = [
        Conversation(f"c{n}", (Turn("user", f"Person number {n}, please."), Turn("bot", f"Answer {n}")))
        for n in range(count)
    ]
    labels = ["refused", "frustrated", "clean"]
    examples = [
        Example(
            f"c{n}",
            labels={"refusal": labels[n % 3]},
            evidence_turns=(1,),
            failure_modes=("hidden",) if n % 3 == 0 else (),
        )
        for n in range(count)
    ]
    return dataset_of("d", conversations, examples)


def llm(runtime: Runtime, model: Model = Model("sim/m")) -> LlmClassifier:
    made = load_classifier("simulated", runtime=runtime)
    assert isinstance(made, LlmClassifier)
    return LlmClassifier(made.task, prompt=made.prompt, model=model, runtime=runtime)


def test_the_same_question_has_the_same_answer(runtime, workspace) -> None:
    """Another runtime, another order, nothing from the store: the same predictions; another repeat: others."""
    data = dataset()
    items = [example.item for example in data.examples]
    runtime.tell_simulator(data, llm(runtime).task)
    first = list(llm(runtime).predict(data.conversations, items))
    with Runtime(workspace=workspace, cache="off", concurrency=1) as other:
        other.tell_simulator(data, llm(other).task)
        again = list(llm(other).predict(data.conversations, items[::-1]))[::-1]
        repeated = [llm(other).classify(data.conversations[item.conversation_id], repeat=1) for item in items]
    assert [replace(p, call_id="") for p in first] == [replace(p, call_id="") for p in again]
    assert [p.score for p in repeated] != [p.score for p in first]


def test_simulated_predictions_say_so(runtime) -> None:
    """Every prediction and every stored call is stamped, with evidence that is grounded and a simulated price."""
    data = dataset(30)
    runtime.tell_simulator(data, llm(runtime).task)
    found = llm(runtime, Model("sim/m", thinking="high")).predict(data.conversations, [e.item for e in data.examples])
    assert all(p.simulated and not p.failed for p in found)
    assert any(p.evidence for p in found)
    assert not any(p.ungrounded for p in found)
    assert all(p.thinking and p.cost_nano_usd for p in found)
    assert all((p.usage.reasoning_tokens or 0) > 0 for p in found)
    assert runtime.store.query("SELECT DISTINCT simulated FROM calls") == [{"simulated": 1}]


def test_what_the_simulator_was_not_told_is_an_error(runtime) -> None:
    """An item without truth fails; it is not answered by chance."""
    found = llm(runtime).classify(Conversation("new", (Turn("user", "Hello"),)))
    assert found.error is not None
    assert (found.error.kind, found.label) == ("internal", None)
    assert "not told the truth" in found.error.message
    assert "llmclf.testing.fake_classifier" in found.error.message
    assert found.simulated


def test_the_truth_is_in_no_request(runtime) -> None:
    """What is sent and stored is the same whatever the truth is, so nothing of it can reach a real vendor."""
    data = dataset(3)
    task = llm(runtime).task
    bodies = []
    for label in ("refused", "clean"):
        told = replace(data, examples=tuple(replace(e, labels={"refusal": label}) for e in data.examples))
        runtime.tell_simulator(told, task)
        request = llm(runtime).request(data.conversations["c0"])
        bodies.append((request, runtime.route("sim/m").body(request)))
    assert bodies[0] == bodies[1]
    assert "hidden" not in str(bodies)


def test_two_tasks_over_one_conversation_are_told_apart(runtime) -> None:
    """The truth of one task is not the truth of another about the same words."""
    data = dataset(1)
    other = Task("other", "Rude?", (Label("rude", "target", "r"), Label("polite", "clean", "p")))
    both = replace(data, examples=(replace(data.examples[0], labels={"refusal": "clean", "other": "rude"}),))
    runtime.tell_simulator(both, llm(runtime).task)
    runtime.tell_simulator(both, other)
    first = llm(runtime)
    second = LlmClassifier(other, prompt=first.prompt, model=first.model, runtime=runtime)
    assert first.classify(data.conversations["c0"]).label in CHOICES
    assert second.classify(data.conversations["c0"]).label in ("rude", "polite")


def test_a_missed_target_is_never_called_the_target(runtime) -> None:
    """Also where the target is the last of the labels."""
    task = Task("refusal", "?", (Label("clean", "clean", "c"), Label("refused", "target", "r")))
    data = dataset(60)
    targets = data.where(lambda example: example.labels["refusal"] == "refused")
    runtime.tell_simulator(targets, task)
    made = LlmClassifier(task, prompt=llm(runtime).prompt, model=Model("sim/m"), runtime=runtime)
    found = made.predict(targets.conversations, [e.item for e in targets.examples])
    assert {p.label for p in found} == {"clean", "refused"}


def test_turns_of_one_conversation_have_their_own_truth(workspace, write) -> None:
    """For a task about turns each turn is told, and an untold turn is an error."""
    write(
        "configs/classifiers/sim_turns.toml",
        'version = 1\nkind = "llm"\nprompt = "ask"\nmodel = "sim/m"\ntask = "refused_turn"\n',
    )
    conversation = Conversation("c", tuple(Turn("bot", f"line {n}") for n in range(3)))
    examples = [Example("c", turn, labels={"refused_turn": "refused"}) for turn in (0, 1)]
    with Runtime(workspace=workspace) as runtime:
        classifier = load_classifier("sim_turns", runtime=runtime)
        runtime.tell_simulator(dataset_of("d", [conversation], examples), classifier.task)
        found = classifier.predict({"c": conversation}, [Item("c", n) for n in range(3)])
    assert [p.failed for p in found] == [False, False, True]


def test_a_level_of_thinking_it_does_not_take_is_named(runtime) -> None:
    """What the row does not list is refused before a run."""
    with pytest.raises(ConfigError, match="takes off, low, medium, high"):
        runtime.check([Model("sim/m", thinking="max")])


def test_counts_stay_within_the_output_limit() -> None:
    """However small the limit, no count is negative and none is above it; latency is the row's median."""
    import asyncio

    async def ask(number: int, limit: int):
        route = SimRoute("sim/m", ROW, {("t", f"h{number}", None): CLEAN})
        model = Model("sim/m", thinking="high", max_output_tokens=limit)
        subject = Subject("t", "c", None, f"h{number}", "k", "p")
        return await route.send(
            Request(model, (Message("user", "x"),), Output("json", choices=CHOICES), subject), {}, 1
        )

    async def all_of_them():
        return [(await ask(number, limit), limit) for number in range(200) for limit in (1, 50, 500)]

    answers = asyncio.run(all_of_them())
    for answer, limit in answers:
        assert 0 <= answer.usage.reasoning_tokens <= answer.usage.output_tokens <= limit
    seconds = [answer.latency_seconds for answer, limit in answers if limit == 500]
    assert statistics.median(seconds) == pytest.approx(1.8**3, rel=0.15)
