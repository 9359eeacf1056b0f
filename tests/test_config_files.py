"""Where files are found, and what is said of files that can't be read at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from llmclf.config import KINDS, find, listing, load, load_models, load_prices, load_task, load_workspace
from llmclf.config.files import read_text, read_toml
from llmclf.errors import ConfigError
from llmclf.render import load_prompt

TASK = """
    version = 1
    question = "{question}"
    [labels.refused]
    role = "target"
    definition = "refused"
    [labels.clean]
    role = "clean"
    definition = "not"
"""


def test_the_workspace_beats_the_home_and_the_home_beats_the_package(write, tmp_path, monkeypatch) -> None:
    """A name is taken from the first place that has it, and the result says which."""
    packaged = find("task", "refusal_to_transfer")
    assert packaged.origin == "packaged"
    write("home/configs/tasks/refusal_to_transfer.toml", TASK.format(question="home?"))
    monkeypatch.setenv("LLMCLF_HOME", str(tmp_path / "home"))
    assert find("task", "refusal_to_transfer", tmp_path / "work").origin == "LLMCLF_HOME"
    assert load_task("refusal_to_transfer", tmp_path / "work").question == "home?"
    write("work/configs/tasks/refusal_to_transfer.toml", TASK.format(question="work?"))
    assert find("task", "refusal_to_transfer", tmp_path / "work").origin == "workspace"
    assert load_task("refusal_to_transfer", tmp_path / "work").question == "work?"
    assert load_task("refusal_to_transfer").question == "home?"


def test_the_working_folder_shadows_nothing(write, tmp_path, monkeypatch) -> None:
    """From Python a name is never looked up in the folder a backend happens to run in."""
    write("configs/tasks/refusal_to_transfer.toml", TASK.format(question="shadow?"))
    write("configs/tasks/only_here.toml", TASK.format(question="shadow?"))
    write("configs/models.toml", 'version = 1\n[models."sim/shadow"]\nroute = "sim"\n')
    write("llmclf.toml", "version = 1\nusd_per_month = 1\n")
    monkeypatch.chdir(tmp_path)
    assert find("task", "refusal_to_transfer").origin == "packaged"
    assert "sim/shadow" not in load_models()
    assert load_workspace(None).usd_per_month is None
    with pytest.raises(ConfigError):
        find("task", "only_here")
    assert find("task", "configs/tasks/only_here.toml").origin == "path"


def test_a_missing_name_lists_every_place_and_the_nearest(write, tmp_path, monkeypatch) -> None:
    """The error names each file that was looked for, and the name that was probably meant."""
    write("work/configs/tasks/refusals.toml", TASK.format(question="?"))
    monkeypatch.setenv("LLMCLF_HOME", str(tmp_path / "home"))
    with pytest.raises(ConfigError) as caught:
        find("task", "refusal", tmp_path / "work")
    text = str(caught.value)
    assert "did you mean 'refusals'?" in text
    assert str(tmp_path / "work/configs/tasks/refusal.toml") in text
    assert str(tmp_path / "home/configs/tasks/refusal.toml") in text
    assert len(caught.value.problems) == 3


def test_a_missing_path_lists_where_it_looked(tmp_path) -> None:
    """A relative path is looked for in the workspace and in the working folder."""
    with pytest.raises(ConfigError) as caught:
        find("task", "mine/t.toml", tmp_path)
    assert f"looked for {tmp_path / 'mine/t.toml'}" in caught.value.problems
    assert f"looked for {Path.cwd() / 'mine/t.toml'}" in caught.value.problems


@pytest.mark.parametrize("name", ["../t", "a/../t", "/etc/passwd", "a//b", "a\0b", "", "a b", ".hidden", "t/", "a\nb"])
def test_names_that_climb_are_refused(name: str, tmp_path) -> None:
    """A name never leads out of its folder."""
    with pytest.raises(ConfigError, match="not a name of a prompt"):
        find("prompt", name, tmp_path)


@given(st.sampled_from(sorted(KINDS)), st.text(max_size=300))
def test_any_name_ends_in_a_file_or_a_config_error(kind: str, name: str) -> None:
    """No name breaks the search, however long or odd."""
    try:
        found = find(kind, name)
    except ConfigError:
        return
    assert found.path.is_file()


def test_a_name_longer_than_files_may_have_is_only_missing(tmp_path) -> None:
    """The operating system's refusal of a long name reads as: there is none."""
    with pytest.raises(ConfigError, match="there is no task"):
        find("task", "a" * 400, tmp_path)


def test_listing_is_over_all_places(write, tmp_path, monkeypatch) -> None:
    """Names of the workspace, the home and the package, sorted, each once."""
    write("work/prompts/a/v1.txt", "x")
    write("home/prompts/a/v1.txt", "x")
    write("home/prompts/v1.2.txt", "x")
    monkeypatch.setenv("LLMCLF_HOME", str(tmp_path / "home"))
    names = listing("prompt", tmp_path / "work")
    assert names == sorted(set(names))
    assert {"a/v1", "v1.2"} <= set(names)


def test_models_and_prices_are_joined_over_all_places(write, tmp_path, monkeypatch) -> None:
    """Each place adds rows; the first that names a model wins."""
    row = '[models."local/m"]\nroute = "local"\npath = "{}"\n'
    price = '[prices."x/{}"]\ninput_usd_per_million = {}\noutput_usd_per_million = 1\n'
    write("work/configs/models.toml", "version = 1\n" + row.format("/work.gguf"))
    write("home/configs/models.toml", "version = 1\n" + row.format("/home.gguf") + row.replace("/m", "/n").format("/n"))
    write("work/configs/prices.toml", "version = 1\n" + price.format("a", 1))
    write("home/configs/prices.toml", "version = 1\n" + price.format("a", 2) + price.format("b", 3))
    monkeypatch.setenv("LLMCLF_HOME", str(tmp_path / "home"))
    models = load_models(tmp_path / "work")
    assert models["local/m"].path == "/work.gguf"
    assert models["local/n"].path == "/n"
    prices = load_prices(tmp_path / "work")
    assert (prices["x/a"].input_usd_per_million, prices["x/b"].input_usd_per_million) == (1, 3)


def test_a_prompt_is_read_by_name(write, tmp_path) -> None:
    """prompts/NAME.txt, a byte order mark dropped."""
    path = write("prompts/mine/v1.txt", "")
    path.write_bytes(b"\xef\xbb\xbfAsk: {{question}}")
    prompt = load_prompt("mine/v1", tmp_path)
    assert (prompt.name, prompt.text) == ("mine/v1", "Ask: {{question}}")


@pytest.mark.parametrize(
    ("data", "say"),
    [
        (b"version = = 1", "is not TOML: .*line 1"),
        (b"version = 1\nversion = 1", "is not TOML"),
        (b"a = '\xff'", r"is not UTF-8 text \(byte 5\); save it as UTF-8"),
        ("version = 1".encode("utf-16"), "is not UTF-8"),
        (b"a = " + b"[" * 5000, "is nested too deeply"),
        (b"\x00", "is not TOML"),
    ],
)
def test_what_is_not_toml_is_said_with_its_place(tmp_path, data: bytes, say: str) -> None:
    """Bytes, encodings and syntax that can't be TOML are one ConfigError that names the file."""
    path = tmp_path / "broken.toml"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=say) as caught:
        read_toml(path)
    assert caught.value.where == str(path)


def test_a_folder_or_a_missing_file_can_not_be_read(tmp_path) -> None:
    """The operating system's reason is passed on."""
    with pytest.raises(ConfigError, match="can't be read: Is a directory"):
        read_text(tmp_path)
    with pytest.raises(ConfigError, match="can't be read: No such file"):
        load("task", tmp_path / "none.toml")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_says_so(write) -> None:
    """A file without read permission is a ConfigError, not a crash."""
    path = write("t.toml", "version = 1")
    path.chmod(0)
    with pytest.raises(ConfigError, match="Permission denied"):
        read_text(path)


@given(st.binary(max_size=200))
def test_any_bytes_are_toml_or_a_config_error(tmp_path_factory, data: bytes) -> None:
    """Whatever is in a file, reading it ends in a table or one ConfigError."""
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(data)
    try:
        assert isinstance(read_toml(path), dict)
    except ConfigError as error:
        assert str(path) in str(error)
