"""The runtime: one purchase of each question, from any loop, thread or process, and a clean end."""

from __future__ import annotations

import asyncio
import contextvars
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from wire import Received, Reply, chat, failure

from llmclf.classifiers.llm import LlmClassifier
from llmclf.classifiers.loading import load_classifier
from llmclf.errors import ConfigError, LlmclfError, ModelError, StoreError
from llmclf.llm import Runtime
from llmclf.store import Store
from llmclf.types import Conversation, Item, Prediction, Turn

ANSWER = json.dumps({"evidence": [], "rationale": "r", "label": "clean", "confidence": 0.5})
CONVERSATION = Conversation("c0", (Turn("user", "Hello?"), Turn("bot", "Hi.")))


def many(count: int) -> dict[str, Conversation]:
    return {f"c{n}": Conversation(f"c{n}", (Turn("user", f"Hello {n}"),)) for n in range(count)}


def llm(runtime: Runtime, name: str = "explained") -> LlmClassifier:
    made = load_classifier(name, runtime=runtime)
    assert isinstance(made, LlmClassifier)
    return made


@pytest.fixture
def runtime(workspace: Path, wire) -> Iterator[Runtime]:
    wire.default = chat(ANSWER)
    with Runtime(workspace / "store.db", workspace=workspace, max_usd=5) as made:
        yield made


# --- the cache -------------------------------------------------------------------------------


def test_the_same_question_is_bought_once(workspace, wire, runtime) -> None:
    """The second answer comes from the store, says so, and carries what the first one cost."""
    first, second = (llm(runtime).classify(CONVERSATION) for _ in range(2))
    assert len(wire.received) == 1
    assert (first.cached, second.cached) == (False, True)
    assert replace(second, cached=False) == first
    assert runtime.budget.spent_nano == first.cost_nano_usd


def test_two_runtimes_on_one_file_buy_once(workspace, wire) -> None:
    """What one process bought, the next finds; an answer that is unusable is not bought again either."""
    wire.next(chat(ANSWER), chat("no JSON at all"))
    for _ in range(2):
        with Runtime(workspace / "store.db", workspace=workspace, max_usd=5) as runtime:
            found = llm(runtime, "once").predict(many(2), [Item("c0"), Item("c1")])
            assert sorted(str(p.label) for p in found) == ["None", "clean"]
    assert len(wire.received) == 2


def test_another_id_with_the_same_words_is_the_same_question(wire, runtime) -> None:
    """Our own ids are not part of what is asked."""
    llm(runtime).classify(CONVERSATION)
    found = llm(runtime).classify(replace(CONVERSATION, id="other"))
    assert (found.conversation_id, found.cached, len(wire.received)) == ("other", True, 1)


def test_a_repeat_is_a_fresh_call(wire, runtime) -> None:
    """repeat=1 asks the same again, and is itself asked once; the body that is sent is the same."""
    for repeat in (0, 1, 1, 0):
        llm(runtime).classify(CONVERSATION, repeat=repeat)
    assert len(wire.received) == 2
    assert wire.received[0].json == wire.received[1].json


def test_a_failed_call_is_asked_again(wire, runtime) -> None:
    """Only answers are kept: what failed may succeed in the next run."""
    wire.next(failure(401))
    assert llm(runtime).classify(CONVERSATION).failed
    assert llm(runtime).classify(CONVERSATION).label == "clean"


def test_without_cache_every_question_is_asked(workspace, wire) -> None:
    """cache="off" neither reads nor joins."""
    wire.default = chat(ANSWER)
    with Runtime(workspace / "store.db", workspace=workspace, max_usd=5, cache="off") as runtime:
        assert not llm(runtime).classify(CONVERSATION).cached
        assert not llm(runtime).classify(CONVERSATION).cached
    assert len(wire.received) == 2


def test_another_endpoint_is_another_question(workspace, wire) -> None:
    """The same body to another base URL is not answered from the store."""
    wire.default = chat(ANSWER)
    path = workspace / "configs/models.toml"
    for base in (wire.url, wire.url.replace("127.0.0.1", "localhost")):
        path.write_text(path.read_text().replace(wire.url, base))
        with Runtime(workspace / "store.db", workspace=workspace, max_usd=5) as runtime:
            llm(runtime).classify(CONVERSATION)
    assert len(wire.received) == 2


def test_questions_under_way_are_joined(wire, runtime) -> None:
    """Forty who ask the same at once cause one call; one of them paid."""
    wire.default = chat(ANSWER, delay=0.2)
    copies = {f"c{n}": replace(CONVERSATION, id=f"c{n}") for n in range(40)}
    found = llm(runtime).predict(copies, [Item(name) for name in copies])
    assert len(wire.received) == 1
    assert all(p.label == "clean" for p in found)
    assert sum(not p.cached for p in found) == 1
    assert runtime.budget.spent_nano == 300_000


def test_who_joins_shares_the_failure(wire, runtime) -> None:
    """A failed call fails for all who waited for it, and is sent once."""
    wire.default = failure(404, delay=0.2)
    copies = {f"c{n}": replace(CONVERSATION, id=f"c{n}") for n in range(5)}
    found = llm(runtime).predict(copies, [Item(name) for name in copies])
    assert {p.error.kind for p in found if p.error} == {"not_found"}
    assert len(wire.received) == 1


def test_one_who_leaves_does_not_end_the_call_for_others(wire, runtime) -> None:
    """A cancelled asker leaves; whoever still waits gets the answer."""
    wire.default = chat(ANSWER, delay=0.4)
    classifier = llm(runtime)

    async def go() -> Prediction:
        leaving = asyncio.create_task(classifier.aclassify(CONVERSATION))
        await asyncio.sleep(0.1)
        staying = asyncio.create_task(classifier.aclassify(CONVERSATION))
        await asyncio.sleep(0.1)
        leaving.cancel()
        return await staying

    assert asyncio.run(go()).label == "clean"
    assert len(wire.received) == 1


def test_one_with_more_time_asks_again(wire, runtime) -> None:
    """Joining somebody in a hurry does not make one's own call end early."""
    wire.next(chat(ANSWER, delay=5), chat(ANSWER))
    classifier = llm(runtime)

    async def go() -> list[Prediction]:
        hasty = asyncio.create_task(classifier.aclassify(CONVERSATION, timeout=0.5))
        await asyncio.sleep(0.1)
        return [await classifier.aclassify(CONVERSATION, timeout=20), await hasty]

    patient, hasty = asyncio.run(go())
    assert patient.label == "clean"
    assert hasty.error is not None
    assert hasty.error.kind == "timeout"


# --- loops, threads, time ---------------------------------------------------------------------


def test_concurrency_is_a_limit(workspace, wire) -> None:
    """No more calls are under way than the runtime allows."""
    wire.default = chat(ANSWER, delay=0.05)
    items = many(12)
    with Runtime(workspace=workspace, max_usd=5, concurrency=3) as runtime:
        llm(runtime).predict(items, [Item(name) for name in items])
    assert wire.most_at_once == 3


def test_predictions_keep_their_order(wire, runtime) -> None:
    """Whichever answer comes first, predictions stand in the order of the items; on_done sees each once."""

    def slow_first(request: Received) -> Reply:
        first = "Hello 0" in request.body.decode()
        return chat(ANSWER, delay=0.3 if first else 0.0)

    wire.default = slow_first
    items = many(6)
    seen: list[str] = []
    found = llm(runtime).predict(items, [Item(name) for name in items], lambda p: seen.append(p.conversation_id))
    assert found.column("conversation_id") == list(items)
    assert sorted(seen) == sorted(items)
    assert seen[-1] == "c0"


def test_from_inside_a_running_loop(runtime) -> None:
    """Both forms work inside a notebook's or a server's own event loop."""

    async def go() -> list[Prediction]:
        awaited = await llm(runtime).aclassify(CONVERSATION)
        return [awaited, llm(runtime).classify(CONVERSATION)]

    assert [p.label for p in asyncio.run(go())] == ["clean", "clean"]


def test_from_several_loops_one_after_the_other(wire, runtime) -> None:
    """Each asyncio.run has its own loop; the runtime's clients don't mind."""
    for name, conversation in many(3).items():
        assert asyncio.run(llm(runtime).aclassify(conversation)).label == "clean", name
    assert len(wire.received) == 3


def test_from_many_threads(wire, runtime) -> None:
    """Sixteen threads share one runtime."""
    classifier = llm(runtime)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(classifier.classify, many(32).values()))
    assert all(p.label == "clean" for p in found)
    assert len(wire.received) == 32


def test_runtimes_one_after_the_other(workspace, wire) -> None:
    """Clients of a closed runtime are gone: later ones, whose loops may get the same id, work."""
    wire.default = chat(ANSWER)
    for name, conversation in many(6).items():
        with Runtime(workspace=workspace, max_usd=5) as runtime:
            assert llm(runtime).classify(conversation).label == "clean", name


def test_the_whole_wait_counts_for_a_timeout(workspace, wire) -> None:
    """timeout= holds although the call has to wait for its turn; what was never sent costs nothing."""
    wire.default = chat(ANSWER, delay=1.5)
    with Runtime(workspace=workspace, max_usd=5, concurrency=1) as runtime:
        first, second = many(2).values()

        async def go() -> Prediction:
            busy = asyncio.create_task(llm(runtime).aclassify(first))
            await asyncio.sleep(0.2)
            started = time.monotonic()
            found = await llm(runtime).aclassify(second, timeout=0.4)
            assert time.monotonic() - started < 1
            await busy
            return found

        found = asyncio.run(go())
        assert found.error is not None
        assert found.error.kind == "timeout"
        assert len(wire.received) == 1
        assert runtime.budget.reserved_nano == 0


def test_a_cancelled_call_keeps_its_reservation(wire, runtime) -> None:
    """Nobody knows whether it was billed: the money stays reserved, in memory and in the file."""
    wire.default = chat(ANSWER, delay=5)

    async def go() -> None:
        task = asyncio.create_task(llm(runtime).aclassify(CONVERSATION))
        while not wire.received:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.1)

    asyncio.run(go())
    spent = runtime.store.spent_nano()
    assert runtime.budget.reserved_nano == spent.reserved_unsettled > 0
    assert (spent.settled, spent.possibly_billed) == (0, 1)


def test_context_variables_cross_over(wire, runtime) -> None:
    """What the caller set (a trace id) is seen where the call is made, for sync and async callers alike."""
    trace: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="none")
    seen: list[str] = []
    route = runtime.route("wire/m")
    send = route.send

    async def watched(*args: Any) -> Any:
        seen.append(trace.get())
        return await send(*args)

    route.send = watched  # type: ignore[method-assign]
    one, two = many(2).values()
    trace.set("sync")
    llm(runtime).classify(one)

    async def go() -> None:
        trace.set("async")
        await llm(runtime).aclassify(two)

    asyncio.run(go())
    assert seen == ["sync", "async"]


def test_misuse_is_one_clear_error(wire, runtime) -> None:
    """A mistake that fails many items alike is raised once, by itself, before anything is sent."""
    with pytest.raises(LlmclfError, match="c9"):
        llm(runtime).predict(many(2), [Item("c0"), Item("c1"), Item("c9")])
    with pytest.raises(LlmclfError, match="takes no turn"):
        llm(runtime).predict(many(2), [Item("c0"), Item("c1", 0)])
    assert not wire.received


def test_an_exception_of_on_done_reaches_the_caller(wire, runtime) -> None:
    """It is raised as it is, not in a group; what was bought stays bought."""

    def fail(prediction: Prediction) -> None:
        raise ZeroDivisionError(prediction.conversation_id)

    with pytest.raises(ZeroDivisionError):
        llm(runtime).predict(many(3), [Item("c0")], fail)
    assert llm(runtime).classify(many(1)["c0"]).cached


def test_blocking_in_the_runtimes_own_thread_is_refused(runtime) -> None:
    """A callback that asks and waits would wait for itself forever; it gets an error instead."""
    classifier = llm(runtime)

    def ask_again(prediction: Prediction) -> None:
        classifier.classify(CONVERSATION)

    with pytest.raises(LlmclfError, match="runtime's own thread"):
        classifier.predict(many(1), [Item("c0")], ask_again)


def test_ctrl_c_ends_what_is_under_way(wire, runtime) -> None:
    """Once KeyboardInterrupt is raised no prediction comes in any more and nothing more is asked."""
    wire.default = chat(ANSWER, delay=0.1)
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    seen: list[str] = []

    def press(prediction: Prediction) -> None:
        seen.append(prediction.conversation_id)
        if len(seen) == 3:
            signal.pthread_kill(main_thread, signal.SIGINT)

    items = many(60)
    with pytest.raises(KeyboardInterrupt):
        llm(runtime).predict(items, [Item(name) for name in items], press)
    then = len(seen), len(wire.received)
    time.sleep(0.4)
    assert (len(seen), len(wire.received)) == then
    assert then[1] < 60
    assert llm(runtime).classify(items["c59"]).label == "clean"  # the runtime goes on


# --- the end ----------------------------------------------------------------------------------


def test_closing_ends_calls_under_way(workspace, wire) -> None:
    """close does not wait for a silent vendor; who waits gets a clear error, and the file keeps the reservation."""
    wire.default = chat(ANSWER, delay=30)
    runtime = Runtime(workspace / "store.db", workspace=workspace, max_usd=5)
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            llm(runtime).classify(CONVERSATION)
        except BaseException as error:
            caught.append(error)

    def ask_async() -> None:
        try:
            asyncio.run(llm(runtime).aclassify(many(1)["c0"]))
        except BaseException as error:
            caught.append(error)

    threads = [threading.Thread(target=ask), threading.Thread(target=ask_async)]
    for thread in threads:
        thread.start()
    while len(wire.received) < 2:
        time.sleep(0.01)
    started = time.monotonic()
    runtime.close()
    for thread in threads:
        thread.join(5)
    assert time.monotonic() - started < 3
    assert [type(error) for error in caught] == [LlmclfError, LlmclfError]
    assert all("closed while calls were under way" in str(error) for error in caught)
    with Store(workspace / "store.db") as store:
        assert store.spent_nano().possibly_billed == 2


def test_use_after_close_is_a_clear_error(runtime) -> None:
    """Every form says that the runtime is closed; closing again does nothing."""
    classifier = llm(runtime)
    runtime.close()
    runtime.close()
    with pytest.raises(LlmclfError, match="the runtime is closed; use it inside its `with` block"):
        classifier.classify(CONVERSATION)
    with pytest.raises(LlmclfError, match="closed"):
        asyncio.run(classifier.aclassify(CONVERSATION))
    with pytest.raises(LlmclfError, match="closed"):
        classifier.predict(many(2), [Item("c0")])


def test_a_store_of_ones_own_stays_open(workspace, wire) -> None:
    """Who brings a store closes it."""
    wire.default = chat(ANSWER)
    with Store(workspace / "mine.db") as store:
        with Runtime(store, workspace=workspace, max_usd=5) as runtime:
            llm(runtime).classify(CONVERSATION)
        assert store.spent_nano().calls == 1


def test_no_thread_is_left(workspace, wire) -> None:
    """After close neither the loop's nor the store's thread runs."""
    wire.default = chat(ANSWER)
    before = set(threading.enumerate())
    with Runtime(workspace / "store.db", workspace=workspace, max_usd=5) as runtime:
        llm(runtime).classify(CONVERSATION)
    left = [thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("llmclf")]
    assert left == []


def test_a_broken_workspace_leaves_nothing_open(workspace, write) -> None:
    """Files are read before the store is opened."""
    write("configs/models.toml", "version = 3\n")
    before = threading.active_count()
    with pytest.raises(ConfigError, match=r"models\.toml"):
        Runtime(workspace / "store.db", workspace=workspace)
    assert threading.active_count() == before
    assert not (workspace / "store.db").exists()


def test_without_a_store_to_write_nothing_is_sent(workspace, wire, runtime) -> None:
    """Money is only spent once the store knows of it; the failure is the store's, and frees the reservation."""
    runtime.store.close()
    with pytest.raises(StoreError, match="closed"):
        llm(runtime).classify(CONVERSATION)
    assert not wire.received
    assert runtime.budget.reserved_nano == 0


FORK = """
import os, sys
from pathlib import Path
from llmclf.classifiers.loading import load_classifier
from llmclf.llm import Runtime
from llmclf.types import Conversation, Turn

workspace = Path(sys.argv[1])
runtime = Runtime(workspace / "store.db", workspace=workspace, max_usd=5)
classifier = load_classifier("explained", runtime=runtime)
simulated = load_classifier("simulated", runtime=runtime)

def ask(text):
    return classifier.classify(Conversation(text, (Turn("user", text),)), timeout=100).label

assert ask("before the fork") == "clean"
runtime.store.flush()
child = os.fork()
if child == 0:
    try:
        assert ask("in the child") == "clean"
        assert ask("before the fork") == "clean"
        assert simulated.classify(Conversation("x", (Turn("user", "x"),))).error.kind == "internal"
        runtime.close()
        os._exit(0)
    except BaseException as error:
        print("child:", repr(error), flush=True)
        os._exit(3)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
assert ask("after the fork") == "clean"
runtime.close()
"""


def test_a_child_made_by_fork_works_and_so_does_its_parent(workspace, wire) -> None:
    """After a fork the child makes its own thread and clients; answers bought before are found by both."""
    wire.default = chat(ANSWER)
    run = python(FORK, workspace)
    assert (run.returncode, run.stdout) == (0, ""), run.stderr
    assert len(wire.received) == 3


KILLED = """
import sys
from pathlib import Path
from llmclf.classifiers.loading import load_classifier
from llmclf.llm import Runtime
from llmclf.types import Conversation, Item, Turn

workspace = Path(sys.argv[1])
runtime = Runtime(workspace / "store.db", workspace=workspace, max_usd=5, concurrency=2)
items = {f"c{n}": Conversation(f"c{n}", (Turn("user", f"Hello {n}"),)) for n in range(12)}
load_classifier("explained", runtime=runtime).predict(items, [Item(name) for name in items])
"""


def test_a_killed_process_is_resumed(workspace, wire) -> None:
    """After SIGKILL the next run asks only what was not answered, and those in flight."""
    wire.default = chat(ANSWER, delay=0.1)
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(workspace)], env=environment())
    deadline = time.monotonic() + 60
    while len(wire.received) < 6 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert 6 <= len(wire.received) < 12
    items = many(12)
    with Runtime(workspace / "store.db", workspace=workspace, max_usd=5) as runtime:
        assert all(p.label == "clean" for p in llm(runtime).predict(items, [Item(name) for name in items]))
    bodies = [request.body for request in wire.received]
    assert len(set(bodies)) == 12
    assert len(bodies) - len(set(bodies)) <= 4  # two in flight, and those answered within the last 50 ms


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}


def python(code: str, *args: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_errors_of_a_call_are_model_errors(wire, runtime) -> None:
    """Asking the runtime itself raises the typed error, with what the vendor said."""
    wire.default = failure(429, "slow down", headers={"retry-after": "3600"})
    request = replace(llm(runtime).request(CONVERSATION), timeout=5)
    with pytest.raises(ModelError) as caught:
        runtime.run(runtime.arespond(request))
    assert (caught.value.kind, caught.value.status, caught.value.retry_after) == ("rate_limited", 429, 3600)
    assert "slow down" in str(caught.value)


@pytest.mark.parametrize(
    ("named", "say"),
    [
        ({"max_usd": "5"}, "max_usd must be a number of dollars"),
        ({"max_usd": -1}, "0 .nothing may be spent. or more; got -1"),
        ({"max_usd": True}, "got True"),
        ({"max_usd": float("nan")}, "got nan"),
        ({"store": 3}, "store must be a path, a Store or None; got 3"),
        ({"workspace": 3}, "workspace must be a folder"),
        ({"concurrency": "8"}, "concurrency must be a whole number"),
        ({"concurrency": 0}, "concurrency must be a whole number, at least 1"),
    ],
)
def test_wrong_arguments_are_named(named: dict[str, Any], say: str) -> None:
    """What can't be a cap, a store, a folder or a number of calls is a ConfigError that says what can."""
    with pytest.raises(ConfigError, match=say):
        Runtime(**named)


def test_a_store_in_memory_has_two_names(tmp_path, monkeypatch) -> None:
    """None and ":memory:" both leave no file behind."""
    monkeypatch.chdir(tmp_path)
    for store in (None, ":memory:"):
        with Runtime(store) as made:
            assert made.store.path is None
            made.store.flush()
    assert list(tmp_path.iterdir()) == []


def test_a_cap_of_nothing_spends_nothing(workspace, wire) -> None:
    """max_usd = 0 is allowed: paid calls fail as over_budget, with the dollars in the message."""
    with Runtime(workspace=workspace, max_usd=0) as made:
        error = llm(made).classify(CONVERSATION).error
    assert error is not None
    assert error.kind == "over_budget"
    assert "$0.000000 of the cap is left" in error.message
    assert not wire.received
