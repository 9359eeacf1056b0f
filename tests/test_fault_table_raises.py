"""What raises and what comes back as `prediction.error`: misuse stops everybody, a failed item is data."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fault_rows import GOOD, PAGE
from wire import Wire, chat

from llmclf.classifiers.base import Classifier
from llmclf.classifiers.llm import LlmClassifier
from llmclf.classifiers.loading import load_classifier
from llmclf.errors import BudgetError, ConfigError, DataError, LlmclfError, StoreError
from llmclf.llm import Model, Runtime
from llmclf.types import Conversation, Item, Turn

CONVERSATION = Conversation("c1", (Turn("user", "A person, please."), Turn("bot", "I can help you with that myself.")))
ROW = re.compile(r"^\| ([^|]+) \| `([^`|]+)`[^|]* \|$", re.MULTILINE)


class Stage:
    """A workspace, the server that its models ask, and runtimes in it that are closed at the end."""

    def __init__(self, folder: Path, wire: Wire, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.wire = wire
        self.patch = patch
        self.runtimes: list[Runtime] = []
        wire.default = chat(json.dumps(GOOD))

    def runtime(self, **more: Any) -> Runtime:
        made = Runtime(self.folder / "store.db", workspace=self.folder, **{"max_usd": 1, **more})
        self.runtimes.append(made)
        return made

    def classifier(self, name: str = "explained", **more: Any) -> Classifier:
        return load_classifier(name, runtime=self.runtime(**more))


@pytest.fixture
def stage(workspace: Path, wire: Wire, monkeypatch: pytest.MonkeyPatch):
    made = Stage(workspace, wire, monkeypatch)
    yield made
    for runtime in made.runtimes:
        runtime.close()


# --- what raises ---------------------------------------------------------------------------------


def _no_key(stage: Stage) -> Any:
    stage.patch.delenv("WIRE_KEY")
    return stage.classifier().classify(CONVERSATION)


def _unknown_model(stage: Stage) -> Any:
    return _with_model(stage, Model("openai/gtp-4.1-mini")).classify(CONVERSATION)


def _setting(stage: Stage) -> Any:
    return _with_model(stage, Model("wire/m", thinking="max")).classify(CONVERSATION)


def _not_allowed(stage: Stage) -> Any:
    (stage.folder / "llmclf.toml").write_text('version = 1\nallowed_models = ["sim/*"]\n')
    return stage.classifier().classify(CONVERSATION)


def _no_price(stage: Stage) -> Any:
    return stage.classifier("unpriced").classify(CONVERSATION)


def _no_cap(stage: Stage) -> Any:
    return stage.classifier(max_usd=None).classify(CONVERSATION)


def _no_conversation(stage: Stage) -> Any:
    given: Any = "A person, please."
    return stage.classifier().classify(given)


def _no_such_turn(stage: Stage) -> Any:
    return stage.classifier("turns").classify(CONVERSATION, 7)


def _store_closed(stage: Stage) -> Any:
    runtime = stage.runtime()
    classifier = load_classifier("explained", runtime=runtime)
    runtime.store.close()
    return classifier.classify(CONVERSATION)


def _closed(stage: Stage) -> Any:
    classifier = stage.classifier()
    stage.runtimes[0].close()
    return classifier.classify(CONVERSATION)


def _closed_meanwhile(stage: Stage) -> Any:
    stage.wire.default = chat(json.dumps(GOOD), delay=30)
    classifier = stage.classifier()
    threading.Thread(target=lambda: (_until_asked(stage), stage.runtimes[0].close())).start()
    return classifier.classify(CONVERSATION)


def _cancelled(stage: Stage) -> Any:
    stage.wire.default = chat(json.dumps(GOOD), delay=30)
    classifier = stage.classifier()

    async def cancelled() -> Any:
        task = asyncio.create_task(classifier.aclassify(CONVERSATION))
        await asyncio.to_thread(_until_asked, stage)
        task.cancel()
        return await task

    return asyncio.run(cancelled())


RAISED: dict[str, tuple[type[BaseException], Callable[[Stage], Any]]] = {
    "a model that nobody knows": (ConfigError, _unknown_model),
    "no key in the environment": (ConfigError, _no_key),
    "a setting that the model can't honour": (ConfigError, _setting),
    "a model that `allowed_models` leaves out": (ConfigError, _not_allowed),
    "a model without a known price": (BudgetError, _no_price),
    "a model that costs money, and no cap": (BudgetError, _no_cap),
    "something that is no conversation": (DataError, _no_conversation),
    "a turn that is not there, or a task that takes none": (DataError, _no_such_turn),
    "a store that can't be read or written": (StoreError, _store_closed),
    "a runtime that is closed": (LlmclfError, _closed),
    "a runtime that is closed while the call is under way": (LlmclfError, _closed_meanwhile),
    "a caller that cancels": (asyncio.CancelledError, _cancelled),
}


@pytest.mark.parametrize("what", RAISED)
def test_misuse_raises(what: str, stage: Stage) -> None:
    """What no other item would escape either is raised, and before anything is sent where nothing was under way."""
    expected, make = RAISED[what]
    with pytest.raises(expected) as caught:
        make(stage)
    assert type(caught.value) is expected
    under_way = "under way" in what or "cancels" in what
    assert len(stage.wire.received) == under_way


# --- what comes back -----------------------------------------------------------------------------


def _out_of_time(stage: Stage) -> Any:
    stage.wire.default = chat(json.dumps(GOOD), delay=30)
    return stage.classifier().classify(CONVERSATION, timeout=0.3)


def _cap_reached(stage: Stage) -> Any:
    return stage.classifier(max_usd=0.000001).classify(CONVERSATION)


def _holds_nothing(stage: Stage) -> Any:
    return stage.classifier().classify(Conversation("c2", ()))


def _refused(stage: Stage) -> Any:
    stage.wire.default = chat(None, message={"refusal": "I can't help with that."})
    return stage.classifier().classify(CONVERSATION)


def _unreadable(stage: Stage) -> Any:
    stage.wire.default = chat("It is refused, I think.")
    return stage.classifier().classify(CONVERSATION)


def _not_in_the_store(stage: Stage) -> Any:
    return stage.classifier(cache="read-only").classify(CONVERSATION)


RETURNED: dict[str, tuple[str, Callable[[Stage], Any]]] = {
    "the deadline passes": ("timeout", _out_of_time),
    "the cap is reached": ("over_budget", _cap_reached),
    "the conversation holds nothing": ("empty", _holds_nothing),
    "the model refuses": ("refused", _refused),
    "the answer can't be read": ("unparsable", _unreadable),
    '`cache="read-only"`, and it was not asked before': ("not_found", _not_in_the_store),
}


@pytest.mark.parametrize("what", RETURNED)
def test_a_failed_item_is_data(what: str, stage: Stage) -> None:
    """What happens to one item comes back as a prediction without a label, and the next item is answered."""
    kind, make = RETURNED[what]
    prediction = make(stage)
    assert prediction.error is not None
    assert prediction.error.kind == kind
    assert (prediction.label, prediction.flagged, prediction.score) == (None, None, None)
    stage.wire.default = chat(json.dumps(GOOD))
    assert stage.classifier().classify(CONVERSATION, repeat=1).label == "refused"


def test_one_failed_item_does_not_end_a_run(stage: Stage) -> None:
    """Of many items one is refused: it is one prediction with an error among answers, in order."""
    talks = {f"c{n}": Conversation(f"c{n}", (Turn("user", f"A person, please. I asked {n} times."),)) for n in range(5)}
    good, bad = chat(json.dumps({**GOOD, "evidence": []})), chat(None, message={"refusal": "No."})
    stage.wire.default = lambda request: bad if "asked 2 times" in request.body.decode() else good
    predictions = stage.classifier().predict(talks, [Item(name) for name in talks])
    assert [prediction.label for prediction in predictions] == ["refused", "refused", None, "refused", "refused"]
    assert [error and error.kind for error in predictions.column("error")] == [None, None, "refused", None, None]


def test_the_page_lists_what_raises_and_what_comes_back() -> None:
    """docs/faults.md has the same rows as are tested here, no more and no fewer."""
    page = PAGE.read_text(encoding="utf-8")
    raised = page.partition("## What raises")[2].partition("\n## ")[0]
    returned = page.partition("## What comes back")[2].partition("\n## ")[0]
    names = {what: getattr(kind, "__qualname__", "") for what, (kind, _) in RAISED.items()}
    assert {what: found.rpartition(".")[2] for what, found in ROW.findall(raised)} == names
    assert dict(ROW.findall(returned)) == {what: kind for what, (kind, _) in RETURNED.items()}


def _with_model(stage: Stage, model: Model) -> LlmClassifier:
    made: Any = stage.classifier()
    return LlmClassifier(made.task, prompt=made.prompt, model=model, runtime=made.runtime)


def _until_asked(stage: Stage) -> None:
    end = time.monotonic() + 10
    while not stage.wire.received and time.monotonic() < end:
        time.sleep(0.01)
