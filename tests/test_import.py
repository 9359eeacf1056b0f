"""What `import llmclf` does to a process: very little."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import llmclf

NOT_AT_IMPORT = ("litellm", "dspy", "sklearn", "numpy", "pydantic", "aiohttp", "plotly")
REFUSE_NETWORK = """
import socket
def refuse(*args, **more): raise AssertionError(f"network: {args}")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
"""


def python(code: str, folder: Path) -> str:
    """What `code` prints, run in a fresh interpreter in an empty folder, without network."""
    root = str(Path(llmclf.__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", REFUSE_NETWORK + code],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return run.stdout


def loaded(code: str, folder: Path) -> list[str]:
    """Which of the heavy libraries are loaded after `code`."""
    code += f"\nimport json, sys\nprint(json.dumps([n for n in {NOT_AT_IMPORT!r} if n in sys.modules]))"
    found: list[str] = json.loads(python(code, folder))
    return found


def test_importing_llmclf_loads_nothing_heavy(tmp_path) -> None:
    """No vendor library, no numbers, no models: names are loaded when first used."""
    assert loaded("import llmclf", tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_values_need_only_the_standard_library(tmp_path) -> None:
    """A backend that only passes conversations and predictions around loads nothing heavy either."""
    code = "import llmclf\nllmclf.Conversation.from_messages([{'role': 'user', 'content': 'hi'}])\nllmclf.Prediction"
    assert loaded(code, tmp_path) == []


def test_a_runtime_does_not_load_a_vendor(tmp_path) -> None:
    """Opening and closing a runtime needs neither litellm nor scikit-learn."""
    found = loaded("import llmclf\nwith llmclf.Runtime(): pass", tmp_path)
    assert not {"litellm", "dspy", "sklearn", "aiohttp", "plotly"} & set(found)


def test_import_changes_no_global_setting(tmp_path) -> None:
    """Warning filters, the environment, signal handlers and threads are as they were."""
    code = """
import os, signal, sys, threading, warnings
def state():
    return list(warnings.filters), dict(os.environ), signal.getsignal(signal.SIGINT), threading.active_count()
before = state()
import llmclf
assert state() == before
"""
    python(code, tmp_path)


@pytest.mark.parametrize("name", llmclf.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """What __all__ promises can be taken, and dir() shows it."""
    assert getattr(llmclf, name) is not None
    assert name in dir(llmclf)


def test_the_stub_names_what_is_public() -> None:
    """Editors and type checkers see exactly the names that exist."""
    stub = ast.parse((Path(llmclf.__file__).parent / "__init__.pyi").read_text(encoding="utf-8"))
    names = {
        alias.asname or alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert names == set(llmclf.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        llmclf.nothing  # noqa: B018
