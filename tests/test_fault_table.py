"""The table of faults, each tried over a real socket in every format: it ends as an answer or as a typed error."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import PRICE, PROMPT, TASK
from fault_rows import FAULTS, PAGE, TEXT, Fault, page_with_table
from vendor_wire import FORMATS, INPUT_TOKENS, OUTPUT_TOKENS, Format, VendorWire
from wire import Received

from llmclf.classifiers.base import Classifier
from llmclf.classifiers.loading import load_classifier
from llmclf.errors import ERROR_KINDS, RETRYABLE_KINDS
from llmclf.llm import Runtime
from llmclf.types import Conversation, Prediction, Turn

ROWS = [(fault, form) for faults in FAULTS.values() for fault in faults for form in FORMATS]
BILL = INPUT_TOKENS * 1000 + OUTPUT_TOKENS * 10_000  # nano-dollars at conftest's PRICE
WORDS = "Let me speak to a person."


@dataclass
class Outcome:
    """What became of one row in one format."""

    prediction: Prediction
    seconds: float
    received: list[Received]
    calls: list[dict[str, Any]]


@dataclass
class Bench:
    """A server for each format, and one runtime with a classifier for each, asked without a cache."""

    wires: dict[str, VendorWire]
    runtime: Runtime
    names: dict[str, str]
    """Of the classifiers: by format, and by `FORMAT closed` those whose server does not listen."""
    classifiers: dict[str, Classifier]
    folder: Path
    tried: dict[str, dict[str, Future[Outcome]]] = field(default_factory=dict)

    def outcome(self, fault: Fault, form: Format) -> Outcome:
        """A row in one format; the first who asks for a row tries it in all formats at once, so waits are shared."""
        if fault.name not in self.tried:
            with ThreadPoolExecutor(len(FORMATS)) as pool:
                self.tried[fault.name] = {
                    one.name: pool.submit(self._try, fault.in_format(one), one) for one in FORMATS
                }
        return self.tried[fault.name][form.name].result()

    def _try(self, row: Fault, form: Format) -> Outcome:
        wire = self.wires[form.name]
        wire.reset()
        replies = row.replies(form)
        if replies:
            wire.next(*replies[:-1])
            wire.default = replies[-1]
        conversation = Conversation(
            f"{form.name} {row.name}", (Turn("user", WORDS), Turn("bot", "I can help you with that myself."))
        )
        started = time.monotonic()
        prediction = self._ask(row, form, conversation)
        seconds = time.monotonic() - started
        self.runtime.store.flush()
        calls = self.runtime.store.query("SELECT * FROM calls WHERE conversation_id = ?", [conversation.id])
        return Outcome(prediction, seconds, list(wire.received), calls)

    def _ask(self, row: Fault, form: Format, conversation: Conversation) -> Prediction:
        name = f"{form.name} closed" if row.nobody_listens else form.name
        if not row.stands_still:
            return self.classifiers[name].classify(conversation, timeout=row.timeout)
        with Runtime(self.runtime.store, workspace=self.folder, max_usd=1, cache="off") as own:
            return load_classifier(self.names[name], runtime=own).classify(conversation, timeout=row.timeout)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Servers and one workspace for all rows; each row asks about a conversation of its own."""
    folder = tmp_path_factory.mktemp("faults")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}"
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.delenv("LLMCLF_HOME", raising=False)
        patch.setenv("WIRE_KEY", FORMATS[0].key)
        wires = {form.name: stack.enter_context(VendorWire()) for form in FORMATS}
        places = {form.name: (form, wires[form.name].address) for form in FORMATS}
        places |= {f"{form.name} closed": (form, closed) for form in FORMATS}
        names = _write_workspace(folder, places)
        runtime = stack.enter_context(Runtime(folder / "store.db", workspace=folder, max_usd=1000, cache="off"))
        classifiers = {place: load_classifier(name, runtime=runtime) for place, name in names.items()}
        for form in FORMATS:  # the first call of a process loads a client's parts, which no row's time-out is to pay
            wires[form.name].default = form.says(TEXT)
            classifiers[form.name].classify(Conversation("first", (Turn("user", WORDS), Turn("bot", "No."))))
        yield Bench(wires, runtime, names, classifiers, folder)


def _write_workspace(folder: Path, places: dict[str, tuple[Format, str]]) -> dict[str, str]:
    """Configs and a prompt; returns the classifier's name by the place's."""
    files = {"configs/tasks/refusal.toml": TASK, "prompts/ask.txt": PROMPT}
    models, prices, names = ["version = 1"], ["version = 1"], {}
    for number, (place, (form, url)) in enumerate(places.items()):
        row = form.row.replace("{url}", url)
        models.append(f'[models."wire/{number}"]\n{row}')
        prices.append(f'[prices."wire/{number}"]\n{PRICE}')
        names[place] = f"asks{number}"
        files[f"configs/classifiers/asks{number}.toml"] = (
            f'version = 1\nkind = "llm"\ntask = "refusal"\nprompt = "ask"\nmodel = "wire/{number}"\n'
        )
    files |= {"configs/models.toml": "\n".join(models), "configs/prices.toml": "\n".join(prices)}
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return names


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize(("fault", "form"), ROWS, ids=[f"{fault.name} ({form.name})" for fault, form in ROWS])
def test_each_fault_becomes_what_the_table_says(
    fault: Fault, form: Format, bench: Bench, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """An answer or an error of its kind, never a negative; sent as often as may help; a lost bill is kept open."""
    row = fault.in_format(form)
    with caplog.at_level(logging.DEBUG):
        found = bench.outcome(fault, form)

    _check_prediction(found.prediction, row)
    assert len(found.received) == row.attempts
    assert row.takes[0] <= found.seconds <= row.takes[1]
    assert sum(call["possibly_billed"] for call in found.calls) == row.lost
    assert {call["cost_nano"] for call in found.calls if call["possibly_billed"]} <= {None}
    assert found.prediction.cost_nano_usd == {"nothing": 0, "as billed": BILL * row.answers}.get(row.cost)
    logged = [record.getMessage() for record in caplog.records]
    said = [*capfd.readouterr(), *logged, str(found.prediction), str(found.calls)]
    assert not [words[:300] for words in said if form.key in words]
    for request in found.received:
        assert request.path.partition("?")[0].endswith(form.path)
        assert WORDS in request.body.decode()
        assert form.key in f"{request.path} {request.headers}"  # it is sent, as it must be, and only so
        assert form.key not in request.body.decode()


def _check_prediction(prediction: Prediction, row: Fault) -> None:
    if row.becomes == "answer":
        assert prediction.error is None
        assert (prediction.label, prediction.flagged) == ("refused", True)
        return
    error = prediction.error
    assert error is not None, prediction
    assert error.kind == row.becomes, error
    assert error.retryable == (row.becomes in RETRYABLE_KINDS)
    assert (prediction.label, prediction.flagged, prediction.score) == (None, None, None)
    assert len(error.message) < 500


def test_the_table_is_sound() -> None:
    """Names are unique, kinds exist, what is permanent is sent once, what can't be read twice, the rest four times."""
    rows = [fault.in_format(form) for fault, form in ROWS]
    assert len({fault.name for fault, _ in ROWS}) * len(FORMATS) == len(ROWS)
    assert {row.becomes for row in rows} <= {"answer", *ERROR_KINDS}
    assert {name for row in rows for name in row.instead} <= {form.name for form in FORMATS}
    for row in rows:
        if row.attempts > 1:
            assert row.becomes in RETRYABLE_KINDS or (row.becomes in ("answer", "unparsable") and row.attempts == 2)
        assert row.attempts <= 4
        assert row.lost <= row.attempts


def test_no_key_is_in_the_files_of_the_store(bench: Bench) -> None:
    """After everything above, the key that every vendor quoted stands in no file of the workspace."""
    bench.runtime.store.flush()
    keys = {form.key.encode() for form in FORMATS}
    files = [path for path in bench.folder.rglob("*") if path.is_file()]
    assert any(path.name.startswith("store.db") for path in files)
    assert not [path.name for path in files for key in keys if key in path.read_bytes()]


def test_the_page_shows_this_table() -> None:
    """docs/faults.md holds the table as it is tested; `python tests/fault_rows.py` writes it anew."""
    page = PAGE.read_text(encoding="utf-8")
    assert page == page_with_table(page)
