"""What tests share: workspaces in empty folders, a real server that speaks the OpenAI wire, and the test data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import settings
from wire import Wire

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: two threads on two busy cores only wait for each other

# The same examples at each run, so that a change is judged by what it changed; `just test-all` searches further.
settings.register_profile("llmclf", deadline=None, derandomize=True)  # a busy machine is no failure
settings.register_profile("search", deadline=None)
settings.load_profile("llmclf")


WIRE_KEY = "wire-key-f00dfeed-0123456789"
PRICE = "input_usd_per_million = 1\noutput_usd_per_million = 10\ncached_input_usd_per_million = 0.1\n"
SIMULATED = """
[models."sim/m"]
route = "sim"
recall = 0.7
recall_by_failure_mode = {flat = 0.9, hidden = 0.4}
false_alarm_rate = 0.05
input_usd_per_million = 1
output_usd_per_million = 10
"""
TASK = """
version = 1
question = "Is the customer refused a person?"
[labels.refused]
role = "target"
definition = "asks for a person and gets none"
[labels.frustrated]
role = "adjacent"
definition = "angry without asking"
[labels.clean]
role = "clean"
definition = "nothing of it"
"""
PROMPT = """
=== system ===
{{question}}
{{labels}}
{{answer_format}}
{{examples}}
=== user ===
<conversation>
{{conversation}}
</conversation>
{{item}}
"""


@pytest.fixture(autouse=True)
def no_home_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests neither see nor change what the user keeps in $LLMCLF_HOME."""
    monkeypatch.delenv("LLMCLF_HOME", raising=False)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a text file under tmp_path, folders included, and returns its path."""

    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return path

    return write_file


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium; skips where it or playwright is not installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as api:
        opened = api.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def wire_server() -> Iterator[Wire]:
    """A server on loopback, one for each module."""
    with Wire() as server:
        yield server


@pytest.fixture
def wire(wire_server: Wire) -> Wire:
    """The module's server with nothing queued and nothing recorded."""
    wire_server.reset()
    return wire_server


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of public data sets; skips where there is none."""
    folder = Path(os.environ.get("LLMCLF_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the public data sets are not at {folder}; set LLMCLF_TEST_DATA")
    return folder


@pytest.fixture
def workspace(write: Callable[[str, str], Path], wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with a task, a prompt and classifiers that ask the wire server, at known prices.

    wire/m costs 1 dollar a million tokens in, 0.1 cached, 10 out; wire/unpriced has no price.
    """
    monkeypatch.setenv("WIRE_KEY", WIRE_KEY)
    row = f"""
        route = "litellm"
        litellm_model = "openai/wire-model"
        api_base = "{wire.url}"
        key_env = "WIRE_KEY"
        logprobs = true
        json_schema = true
        thinking = ["low", "high"]
    """
    write("configs/models.toml", f'version = 1\n[models."wire/m"]{row}\n[models."wire/unpriced"]{row}\n' + SIMULATED)
    write("configs/prices.toml", 'version = 1\n[prices."wire/m"]\n' + PRICE)
    write("configs/tasks/refusal.toml", TASK)
    write("configs/tasks/refused_turn.toml", TASK.replace("version = 1", 'version = 1\nunit = "turn"', 1))
    write("prompts/ask.txt", PROMPT)
    classifier = 'version = 1\nkind = "llm"\nprompt = "ask"\n'
    write("configs/classifiers/explained.toml", classifier + 'task = "refusal"\nmodel = "wire/m"\n')
    write("configs/classifiers/letter.toml", classifier + 'task = "refusal"\nmodel = "wire/m"\nanswer = "label"\n')
    once = classifier + 'task = "refusal"\nmodel = "wire/m"\nrepair = false\n'
    write("configs/classifiers/once.toml", once)
    write("configs/classifiers/letter_once.toml", once + 'answer = "label"\n')
    write("configs/classifiers/unpriced.toml", classifier + 'task = "refusal"\nmodel = "wire/unpriced"\n')
    write("configs/classifiers/simulated.toml", classifier + 'task = "refusal"\nmodel = "sim/m"\n')
    write("configs/classifiers/turns.toml", classifier + 'task = "refused_turn"\nmodel = "wire/m"\n')
    return tmp_path
