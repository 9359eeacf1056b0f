"""A probe's file: the same bytes for the same inputs, read back whole or not at all."""

import io
import json
import os
import subprocess
import sys
import textwrap
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from llmclf.classifiers.conformance import answer_of, small_dataset
from llmclf.classifiers.probe import ProbeClassifier
from llmclf.classifiers.probe_file import read_header
from llmclf.errors import ConfigError, DataError
from llmclf.types import Label

TASK, DATASET = small_dataset()
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def probe() -> ProbeClassifier:
    """A trained probe."""
    return ProbeClassifier(TASK, threshold=0.3, seed=5).fit(DATASET)


@pytest.fixture
def saved(probe: ProbeClassifier, tmp_path: Path) -> Path:
    """Its file."""
    probe.save(tmp_path / "probe.npz", git_sha="abc123")
    return tmp_path / "probe.npz"


def test_round_trip(probe: ProbeClassifier, saved: Path) -> None:
    """A loaded probe has the same settings, id and answers."""
    loaded = ProbeClassifier.load(saved, TASK)
    assert loaded.id == probe.id
    assert (loaded.settings, loaded.threshold) == (probe.settings, 0.3)
    items = [example.item for example in DATASET.examples]
    ours, theirs = (classifier.predict(DATASET.conversations, items) for classifier in (probe, loaded))
    assert [answer_of(p) for p in ours] == [answer_of(p) for p in theirs]


def test_the_file_brings_its_task_and_takes_another_threshold(probe: ProbeClassifier, saved: Path) -> None:
    """Without a task given the file's own is used; a threshold given replaces the saved one."""
    loaded = ProbeClassifier.load(saved, threshold=0.9, name="other")
    assert loaded.task == TASK
    assert (loaded.threshold, loaded.name) == (0.9, "other")
    assert loaded.learned == probe.learned


def test_the_header_says_where_it_came_from(saved: Path) -> None:
    """Dataset hash, commit, seed, counts and versions can be read without loading the probe."""
    header = read_header(saved)
    assert header["git_sha"] == "abc123"
    assert header["settings"]["seed"] == 5
    origin = header["origin"]
    assert origin["dataset"] == DATASET.content_hash
    assert (origin["n_items"], origin["n_positives"]) == (60, 20)
    assert {"numpy", "scikit-learn", "scipy", "wordllama"} <= set(origin["versions"])


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    """Trained twice, in two processes with different hash seeds and thread counts, the files are equal."""
    script = """
        import sys
        from llmclf.classifiers.conformance import small_dataset
        from llmclf.classifiers.probe import ProbeClassifier
        task, dataset = small_dataset("turn")
        ProbeClassifier(task, seed=1).fit(dataset).save(sys.argv[1], git_sha="f00")
    """
    paths = [tmp_path / "one.npz", tmp_path / "two.npz"]
    processes = []
    for number, path in enumerate(paths, start=1):
        environment = {**os.environ, "PYTHONHASHSEED": str(number), "OPENBLAS_NUM_THREADS": str(number)}
        processes.append(
            subprocess.Popen([sys.executable, "-c", textwrap.dedent(script), path], env=environment, cwd=ROOT)
        )
    assert [process.wait() for process in processes] == [0, 0]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_serving_needs_no_scikit_learn(saved: Path) -> None:
    """A loaded probe answers without importing scikit-learn."""
    script = """
        import sys
        from llmclf.classifiers.conformance import small_dataset
        from llmclf.classifiers.probe import ProbeClassifier
        task, dataset = small_dataset()
        probe = ProbeClassifier.load(sys.argv[1], task)
        assert probe.classify(dataset.conversations["small-0"]).flagged
        assert "sklearn" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(saved)], check=True, cwd=ROOT)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_truncated_anywhere(saved: Path, share: float) -> None:
    """A file cut off at any byte is an error that names the file, never a probe."""
    whole = saved.read_bytes()
    cut = saved.with_name("cut.npz")
    cut.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match=r"cut\.npz.*truncated"):
        ProbeClassifier.load(cut)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit(probe: ProbeClassifier, saved: Path, share: float, bit: int) -> None:
    """A file with one bit changed is an error, or the bit was none that matters."""
    data = bytearray(saved.read_bytes())
    data[int(len(data) * share)] ^= 1 << bit
    flipped = saved.with_name("flipped.npz")
    flipped.write_bytes(bytes(data))
    try:
        loaded = ProbeClassifier.load(flipped)
    except DataError as error:
        assert "flipped.npz" in str(error)
    else:
        assert loaded.learned == probe.learned


def rewritten(saved: Path, name: str, content: bytes) -> Path:
    """The file with one part replaced, as a well-formed zip."""
    other = saved.with_name("rewritten.npz")
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(other, "w") as new:
        for part in old.namelist():
            new.writestr(part, content if part == name else old.read(part))
    return other


def test_a_newer_format(saved: Path) -> None:
    """A file of a format that this llmclf does not know says which, and to upgrade."""
    header = {**read_header(saved), "format_version": 99}
    newer = rewritten(saved, "header.json", json.dumps(header).encode())
    with pytest.raises(DataError, match=r"format 99.*upgrade"):
        ProbeClassifier.load(newer)


@pytest.mark.parametrize("content", [b"{}", b"[1]", b"\xff", b'{"format": "llmclf-probe", "format_version": 1}'])
def test_a_header_of_something_else(saved: Path, content: bytes) -> None:
    """Headers that are no probe's are refused."""
    with pytest.raises(DataError):
        ProbeClassifier.load(rewritten(saved, "header.json", content))


def test_changed_weights(saved: Path) -> None:
    """Weights that are not those it was saved with are refused, though the file is well formed."""
    with zipfile.ZipFile(saved) as file:
        words = np.load(io.BytesIO(file.read("words.npy")))
    buffer = io.BytesIO()
    np.save(buffer, words + np.float32(0.5))
    with pytest.raises(DataError, match="changed after it was written"):
        ProbeClassifier.load(rewritten(saved, "words.npy", buffer.getvalue()))


def test_no_pickle(saved: Path) -> None:
    """An array that would have to be unpickled is refused, not run."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([object()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="do not fit together"):
        ProbeClassifier.load(rewritten(saved, "words.npy", buffer.getvalue()))


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + b"\0" * 40, b"\x80\x04K\x01."])
def test_foreign_files(tmp_path: Path, content: bytes) -> None:
    """Something else under the name is told as such; a pickle is not opened."""
    path = tmp_path / "foreign.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="no whole probe file"):
        ProbeClassifier.load(path)


def test_missing_file_and_folder(probe: ProbeClassifier, tmp_path: Path) -> None:
    """No file to read and no folder to write are errors that name the path; nothing is left behind."""
    with pytest.raises(DataError, match=r"none\.npz: there is no such file"):
        ProbeClassifier.load(tmp_path / "none.npz")
    with pytest.raises(DataError, match="can't be read"):
        ProbeClassifier.load(tmp_path)
    with pytest.raises(DataError, match="can't be written"):
        probe.save(tmp_path / "no" / "probe.npz")
    assert list(tmp_path.iterdir()) == []


def test_another_task(saved: Path) -> None:
    """A probe of a task with another name and other labels is refused, all differences at once."""
    other = replace(TASK, name="other", labels=(*TASK.labels, Label("fourth", "adjacent", "Something else.")))
    with pytest.raises(ConfigError) as caught:
        ProbeClassifier.load(saved, other)
    assert len(caught.value.problems) == 2


def test_another_wording_of_the_same_task(saved: Path) -> None:
    """A definition put in other words does not make the probe useless."""
    labels = tuple(replace(label, definition="In other words.") for label in TASK.labels)
    assert ProbeClassifier.load(saved, replace(TASK, labels=labels)).learned
