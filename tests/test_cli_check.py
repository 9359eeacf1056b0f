"""`check`: a mistake is told once, where it is, with what to do; and what a model can't take is one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmclf.cli import run

HTTP = """
[models."http/m"]
route = "http"
api_base = "http://127.0.0.1:1/v1"
model = "m"
"""
CLASSIFIER = 'version = 1\nkind = "llm"\nprompt = "ask"\ntask = "refusal"\n'


@pytest.fixture(autouse=True)
def place(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder is a workspace."""
    monkeypatch.chdir(workspace)
    return workspace


def with_rows(place: Path, text: str) -> None:
    models = place / "configs/models.toml"
    models.write_text(models.read_text() + text)


def checked(capsys: pytest.CaptureFixture[str], *files: str, code: int = 1) -> str:
    assert run(["check", *files]) == code
    return capsys.readouterr().out


def test_one_file_of_ones_own_is_said_to_be_that(capsys: pytest.CaptureFixture[str]) -> None:
    """By a relative path, too; one file is not `1 files`."""
    assert checked(capsys, "configs/models.toml", code=0) == "1 file checked, 0 with mistakes\n"


def test_a_mistake_in_models_is_told_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the file that holds it; those that need it are listed in a line, and are no mistakes."""
    with_rows(place, HTTP + "speed = 3\n")
    text = checked(capsys)
    assert text.count("unknown key") == 1
    assert "1 with mistakes" in text
    assert "classifier explained" in text.partition("models.toml is mended: ")[2]
    assert run(["check", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["wrong"] == 1
    blocked = {row["name"]: row["blocked_by"] for row in found["files"]}
    assert blocked["explained"].endswith("models.toml")
    assert blocked["models"] == ""


@pytest.mark.parametrize(
    "line", ['api_key = "sk-not-a-real-key"', 'token = "sk-not-a-real-key"', 'API_KEY = "sk-not-a-real-key"']
)
def test_a_key_in_a_row_is_sent_to_the_environment(line: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is not taken for a mistyped api_base, and not repeated."""
    with_rows(place, HTTP + line + "\n")
    text = checked(capsys)
    assert "keep it in the environment, and key_env names its variable" in text
    assert "did you mean" not in text
    assert "sk-not-a-real-key" not in text


@pytest.mark.parametrize(
    ("value", "is_name"),
    [
        ("sk-aaaaaaaaaaaa", False),
        ("gsk_0a1b2c3d4e5f6a7b8c9d0e", False),
        ("AIza0a1b2c3d4e5f6a7b8c9d0e", False),
        ("Bearer MY_KEY", False),
        ("MY_KEY", True),
        ("my_second_key_2", True),
        ("OPENROUTER_API_KEY_OF_THE_WHOLE_TEAM_2026", True),
    ],
)
def test_a_key_in_place_of_its_variable_is_refused(
    value: str, is_name: bool, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And not repeated: output is kept in logs."""
    with_rows(place, HTTP + f'key_env = "{value}"\n')
    text = checked(capsys, code=0 if is_name else 1)
    assert ("is no name of an environment variable" in text) is not is_name
    assert value not in text


@pytest.mark.parametrize(
    ("model", "settings", "says"),
    [
        ("http/m", 'thinking = "high"\n', "takes thinking"),
        ("http/m", 'modality = "audio"\n', "does not take audio"),
        ("wire/m", 'thinking = "max"\n', "takes thinking low, high"),
        ("wire/m", 'modality = "image"\n', "does not take image"),
        ("replay/old", 'modality = "image"\n', "does not take image"),
        ("sim/m", "thinking = 4000\n", "does not take thinking"),
        ("wire/m", 'thinking = "low"\n', ""),
        ("http/m", "", ""),
    ],
)
def test_what_a_models_row_does_not_take_is_a_mistake(
    model: str, settings: str, says: str, place: Path, write: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A level of thinking or a modality that its row leaves out is found without asking anybody."""
    with_rows(place, HTTP + '[models."replay/old"]\nroute = "replay"\nmodel = "wire/m"\nsource = "old.db"\n')
    write("configs/classifiers/new.toml", CLASSIFIER + f'model = "{model}"\n' + settings)
    text = checked(capsys, code=1 if says else 0)
    assert says in text


def test_check_does_not_load_litellm() -> None:
    """Rows are enough: importing litellm would take seconds."""
    code = "import sys; from llmclf.cli import run\nassert run(['check']) == 0\nassert 'litellm' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_name_without_the_workspace_says_how_to_give_it(place: Path) -> None:
    """In a folder that is a workspace, a library call that was given none says so; elsewhere it does not."""
    from llmclf.classifiers.loading import load_classifier
    from llmclf.errors import ConfigError

    with pytest.raises(ConfigError, match=r"pass workspace='\.'"):
        load_classifier("explained")
    with pytest.raises(ConfigError) as caught:
        load_classifier("nothing", workspace=place)
    assert "pass workspace" not in str(caught.value)
