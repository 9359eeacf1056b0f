"""The llm classifier: examples in its prompt, personal data, and how one is made."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asking import CONVERSATION, answer, labelled, make, sent_text
from wire import chat

from llmclf.classifiers.llm import LlmClassifier
from llmclf.classifiers.loading import load_classifier
from llmclf.config import load_models, load_prices, load_task, load_workspace
from llmclf.errors import ConfigError, DataError
from llmclf.llm import Model, Runtime
from llmclf.render import Prompt, Window, load_prompt
from llmclf.types import Conversation, Event, Example, Item, Turn, dataset_of


@pytest.fixture
def runtime(workspace: Path, wire) -> Iterator[Runtime]:
    wire.default = chat(answer())
    with Runtime(workspace / "store.db", workspace=workspace, max_usd=5) as made:
        yield made


# --- examples in the prompt --------------------------------------------------------------------


def test_examples_are_spread_over_the_labels(wire, runtime) -> None:
    """However rare a label is, it is shown as often as the others; the seed decides which."""
    classifier = make(runtime, shots=6, seed=3).fit(labelled())
    labels = [label for _, _, label in classifier.shots_]
    assert sorted(labels) == sorted(["refused", "frustrated", "clean"] * 2)
    assert classifier.shots_ == make(runtime, shots=6, seed=3).fit(labelled()).shots_
    assert classifier.shots_ != make(runtime, shots=6, seed=4).fit(labelled()).shots_
    classifier.classify(CONVERSATION)
    system = wire.received[-1].json["messages"][0]["content"]
    assert system.count("<example>") == system.count("</example>") == 6
    assert 'its label is "frustrated"' in system


def test_examples_change_the_id(runtime) -> None:
    """Which examples are shown, and what stands in them, is part of what the classifier is."""
    plain, shown = make(runtime), make(runtime, shots=3).fit(labelled())
    data = labelled()
    edited = replace(
        data,
        conversations={name: replace(c, turns=(Turn("user", "edited"),)) for name, c in data.conversations.items()},
    )
    assert len({plain.id, shown.id, make(runtime, shots=3).fit(edited).id, make(runtime, shots=3, seed=1).id}) == 4
    assert make(runtime).fit(labelled()).id == plain.id


def test_examples_that_are_shown_are_never_evaluated(wire, runtime) -> None:
    """Asking about an item that stands in the prompt is refused, before anything is sent."""
    data = labelled()
    classifier = make(runtime, shots=3).fit(data)
    shown = classifier.shots_[0][0]
    with pytest.raises(DataError, match="can't be evaluated"):
        classifier.predict(data.conversations, [example.item for example in data.examples])
    with pytest.raises(DataError, match=str(shown)):
        classifier.classify(data.conversations[shown.conversation_id])
    assert not wire.received


def test_examples_must_have_been_chosen(runtime) -> None:
    """With shots and no fit there is nothing to show: an error in every form."""
    for act in (
        lambda: make(runtime, shots=3).classify(CONVERSATION),
        lambda: asyncio.run(make(runtime, shots=3).aclassify(CONVERSATION)),
        lambda: make(runtime, shots=3).predict({"c1": CONVERSATION}, [Item("c1")]),
    ):
        with pytest.raises(ConfigError, match=r"call fit\(dataset\) first"):
            act()
    with pytest.raises(DataError, match="3 of 4"):
        make(runtime, shots=4).fit(labelled().pick([0, 4, 6]))


def test_counterparts_are_not_shown_together(runtime) -> None:
    """Of a pair that differs only in the breakdown, at most one is shown, whichever names the other."""
    conversations = [Conversation(f"p{n}", (Turn("user", f"pair {n}"),)) for n in range(4)]
    examples = [
        Example("p0", labels={"refusal": "refused"}, pair="p1"),
        Example("p1", labels={"refusal": "clean"}),
        Example("p2", labels={"refusal": "clean"}, group="family"),
        Example("p3", labels={"refusal": "refused"}, group="family"),
    ]
    for seed in range(8):
        chosen = make(runtime, shots=2, seed=seed).fit(dataset_of("d", conversations, examples)).shots_
        names = {item.conversation_id for item, _, _ in chosen}
        assert names not in ({"p0", "p1"}, {"p2", "p3"})
    with pytest.raises(DataError, match="2 of 3"):
        make(runtime, shots=3).fit(dataset_of("d", conversations, examples))


def test_letters_of_examples_are_letters(wire, runtime) -> None:
    """With answer = "label" an example shows the letter that is wanted."""
    wire.next(chat("A"))
    make(runtime, shots=3, answer="label").fit(labelled()).classify(CONVERSATION)
    system = wire.received[-1].json["messages"][0]["content"]
    assert {"Answer: A", "Answer: B", "Answer: C"} <= set(system.splitlines())


# --- privacy ----------------------------------------------------------------------------------

PLANTED = Conversation(
    "private",
    (
        Turn("user", "Hello, my name is Ana Kowalska, my number is +1 555 010 0199."),
        Turn("bot", "Thank you, Ana. Is your card still 4111 1111 1111 1111?"),
        Turn("user", "Yes. Write to ana.kowalska@example.com. A person, please!"),
        Turn(
            "bot", "No, Ms Kowalska.", events=(Event("tool_call", "lookup", '{"email": "ana.kowalska@example.com"}'),)
        ),
    ),
    metadata={"customer": "Marguerite"},
)
SECRETS = ("Kowalska", "555 010 0199", "4111 1111", "4111111111111111", "ana.kowalska", "Marguerite")


@pytest.mark.parametrize("redact", ["both", "sending", "storing", "off"])
def test_personal_data_go_no_further_than_allowed(redact: str, workspace, wire, write) -> None:
    """Names, phones and cards are neither on the wire nor in the file, each where privacy says so."""
    write("llmclf.toml", f'version = 1\n[privacy]\nredact = "{redact}"\nmetadata_keys = ["customer"]\n')
    said = "Ana Kowalska (4111 1111 1111 1111) was refused, says Marguerite"
    raw = redact in ("storing", "off")
    about_ana = chat(answer(rationale=said if raw else "[NAME_1] was refused"))
    wire.default = lambda request: about_ana if "card" in request.json["messages"][-1]["content"] else chat(answer())
    with Runtime(workspace / "store.db", workspace=workspace, max_usd=5) as runtime:
        classifier = make(runtime)
        shots = dataset_of("d", [PLANTED], [Example("private", labels={"refusal": "refused"})])
        found = classifier.predict({"private": PLANTED}, [Item("private")])
        make(runtime, shots=1).fit(shots).classify(CONVERSATION)
        runtime.store.add_predictions(runtime.store.start_run("classify", inputs_hash="x", config={}), found)
    sent = "\n".join(wire.texts)
    kept = b"".join(path.read_bytes() for path in workspace.glob("store.db*")).decode("latin-1")
    on_wire = [secret for secret in SECRETS if secret in sent]
    in_file = [secret for secret in SECRETS if secret in kept]
    assert bool(on_wire) == raw
    assert bool(in_file) == (redact == "off")  # what was taken out before sending never came back
    assert "A person, please!" in sent


def test_quotes_of_what_was_sent_are_grounded(wire, runtime) -> None:
    """A quote with a placeholder is word for word in the text that was sent."""
    make(runtime).classify(PLANTED)
    name = re.search(r"my name is (\[NAME_\d\])", sent_text(wire))
    assert name
    wire.next(chat(answer(evidence=[{"turn": 0, "quote": f"my name is {name[1]}"}])))
    found = make(runtime, threshold=0.4).classify(PLANTED, repeat=1)
    assert not found.ungrounded


# --- making one --------------------------------------------------------------------------------


def test_a_prompt_without_the_conversation_is_refused(runtime) -> None:
    """A prompt that never shows the conversation would be answered all the same."""
    with pytest.raises(ConfigError, match=r"has no .*conversation"):
        make(runtime, prompt=Prompt("p", "{{question}} {{Conversation}}"))


def test_ids_follow_every_setting(runtime) -> None:
    """Two classifiers that could answer differently never share an id, and equal ones do."""
    made = [
        make(runtime),
        make(runtime, answer="label"),
        make(runtime, model=Model("wire/m", thinking="low")),
        make(runtime, model=Model("wire/m", temperature=0.5)),
        make(runtime, window=Window(last_turns=3)),
        make(runtime, prompt=Prompt("ask", "other {{conversation}}")),
        make(runtime, threshold=0.6),
        make(runtime, "refused_turn"),
    ]
    assert len({classifier.id for classifier in made}) == len(made)
    assert make(runtime).id == make(runtime).id


def test_loading_says_what_is_missing(workspace, write) -> None:
    """A classifier that shows examples needs them; one that is unknown is named with its nearest."""
    text = (workspace / "configs/classifiers/explained.toml").read_text()
    write("configs/classifiers/shown.toml", text + 'shots = 3\nshots_from = "mine"\n')
    with Runtime(workspace=workspace, max_usd=1) as runtime:
        with pytest.raises(ConfigError, match=r"pass shots=load_dataset\('mine'\)"):
            load_classifier("shown", runtime=runtime)
        made = load_classifier("shown", runtime=runtime, shots=labelled())
        assert isinstance(made, LlmClassifier)
        assert len(made.shots_) == 3
        with pytest.raises(ConfigError, match="did you mean 'explained'"):
            load_classifier("explaned", runtime=runtime)


def test_a_classifier_without_a_runtime_gets_its_own(workspace, wire, write) -> None:
    """In memory, under the workspace's cap; without a cap a model that costs money is refused when asked."""
    wire.default = chat(answer())
    made = load_classifier("explained", workspace=workspace)
    assert isinstance(made, LlmClassifier)
    with pytest.raises(Exception, match="needs a cap"):
        made.classify(CONVERSATION)
    made.runtime.close()
    write("llmclf.toml", "version = 1\nusd_per_month = 1\n")
    made = load_classifier("explained", workspace=workspace)
    assert isinstance(made, LlmClassifier)
    assert made.classify(CONVERSATION).label == "clean"
    assert made.runtime.store.path is None
    made.runtime.close()


@pytest.mark.parametrize("timeout", [None, 5.0])
def test_every_classifier_can_be_awaited_with_a_timeout(timeout, workspace, write) -> None:
    """A backend awaits keyword classifiers in the same way as those that ask a model."""
    text = 'version = 1\nkind = "keyword"\ntask = "refusal"\n[[rules]]\nlabel = "refused"\nuser = ["person"]\n'
    write("configs/classifiers/words.toml", text)
    made = load_classifier("words", workspace=workspace)
    assert asyncio.run(made.aclassify(CONVERSATION, timeout=timeout)).flagged
    assert made.classify(CONVERSATION, timeout=timeout).flagged


@pytest.mark.parametrize("given", ["hello", [{"role": "user", "content": "hello"}], None, {"id": "c"}])
def test_what_is_no_conversation_is_said(given: Any, wire, runtime) -> None:
    """A text or a list of messages is a DataError that names the way to a conversation, awaited or not."""
    made = make(runtime)
    for act in (
        lambda: made.classify(given),
        lambda: asyncio.run(made.aclassify(given)),
        lambda: made.classify_turns(given),
        lambda: load_classifier("refusal_keyword").classify(given),
        lambda: asyncio.run(load_classifier("refusal_keyword").aclassify(given)),
    ):
        with pytest.raises(DataError, match=r"Conversation\.from_messages\(messages\) makes one"):
            act()
    assert not wire.received


def test_a_workspace_may_be_text(workspace, runtime) -> None:
    """Everything that is loaded by name takes the folder as text or as a path."""
    folder = str(workspace)
    assert load_task("refusal", folder) == load_task("refusal", workspace)
    assert load_prompt("ask", folder) == load_prompt("ask", workspace)
    assert load_models(folder) == load_models(workspace)
    assert load_prices(folder) == load_prices(workspace)
    assert load_workspace(folder) == load_workspace(workspace)
    assert load_classifier("explained", workspace=folder).id == load_classifier("explained", workspace=workspace).id
    wrong: Any = 3
    with pytest.raises(ConfigError, match="workspace must be a folder"):
        load_task("refusal", wrong)
