"""The wheel holds everything: it works away from the checkout, without the checkout's files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout and installed alone into an empty folder."""
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    [wheel] = folder.glob("*.whl")
    site = folder / "site"
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--no-index",
        "-q",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return site


def run(site: Path, folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """The command of the installed wheel, started in `folder`."""
    code = "import sys, llmclf; assert llmclf.__file__.startswith(sys.argv[1]), llmclf.__file__; "
    code += "from llmclf.cli import run; sys.exit(run(sys.argv[2:]))"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    environment.pop("LLMCLF_HOME", None)
    return subprocess.run(
        [sys.executable, "-c", code, str(site), *arguments],
        cwd=folder,
        env=environment,
        input=stdin,
        capture_output=True,
        text=True,
    )


def test_check_finds_every_packaged_file(installed: Path, tmp_path: Path) -> None:
    """`llmclf check` in an empty folder reads the packaged tasks, prompts, classifiers and samples."""
    result = run(installed, tmp_path, "check", "--json")
    assert result.returncode == 0, result.stderr + result.stdout
    found = json.loads(result.stdout)
    assert found["wrong"] == 0
    assert {"task", "prompt", "dataset", "classifier", "sweep"} <= {row["kind"] for row in found["files"]}
    assert all(str(installed) in row["path"] for row in found["files"])


def test_a_pasted_chat_is_classified(installed: Path, tmp_path: Path) -> None:
    """The installed wheel classifies a chat from stdin."""
    chat = "Customer: Let me speak to a real person, please.\nBot: Our help pages know everything.\n"
    result = run(installed, tmp_path, "classify", "refusal_keyword", "-", "--json", stdin=chat)
    assert result.returncode == 0, result.stderr
    [prediction] = json.loads(result.stdout)["predictions"]
    assert prediction["label"] == "refusal_to_transfer"
    assert prediction["flagged"] is True


def test_the_wheel_says_that_it_is_typed(installed: Path) -> None:
    """Type checkers of users find the marker and the stub."""
    assert (installed / "llmclf" / "py.typed").is_file()
    assert (installed / "llmclf" / "__init__.pyi").is_file()
