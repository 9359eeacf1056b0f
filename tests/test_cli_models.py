"""models show and models list: what a model takes and costs, without asking anybody."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from llmclf.cli import run
from llmclf.config import load_models

DOCS = Path(__file__).parents[1] / "docs" / "models.md"
ROWS = """
version = 1
[models."mine/audio"]
route = "litellm"
litellm_model = "openai/gpt-audio-1.5"
api_base = "http://127.0.0.1:1/v1"
key_env = "MINE_KEY"
modalities = ["text", "audio"]
thinking = ["low"]
price = { input_usd_per_million = 3, output_usd_per_million = 4 }
[models."mine/direct"]
route = "http"
api_base = "http://127.0.0.1:1/v1"
model = "m"
json_schema = true
[models."local/mine"]
route = "local"
path = "nowhere.gguf"
note = "a note"
"""


@pytest.fixture(autouse=True)
def in_workspace(write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command runs in a workspace with rows of its own, and without keys."""
    folder = write("configs/models.toml", ROWS).parents[1]
    monkeypatch.chdir(folder)
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "MINE_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run(["models", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_vendors_model_is_described(capsys) -> None:
    """What it takes, what is sent for each thinking setting, prices with their source, and the missing key."""
    found = shown(capsys, "show", "openai/gpt-5")
    assert (found["modalities"], found["json_schema"], found["logprobs"], found["temperature"]) == (
        ["text", "image"],
        True,
        False,
        False,
    )
    assert found["thinking"]["off"] == {"status": "unsupported", "sent": "", "note": "it always reasons"}
    assert json.loads(found["thinking"]["low"]["sent"]) == {"reasoning": {"effort": "low", "summary": "auto"}}
    assert found["usd_per_million"]["input"] == 1.25
    assert found["usd_per_million"]["batch_input"] == pytest.approx(0.625)
    assert found["price_from"] == "litellm's price map"
    assert found["problems"] == ["openai/gpt-5 needs the key in $OPENAI_API_KEY"]
    assert found["context_tokens"] > 100_000


@pytest.mark.parametrize(
    ("name", "route", "modalities", "low"),
    [
        ("mine/audio", "litellm", ["text", "audio"], "unverified"),
        ("mine/direct", "http", ["text"], "unsupported"),
        ("local/mine", "local", ["text"], "unsupported"),
        ("sim/small", "sim", ["text", "image", "audio"], "exact"),
    ],
)
def test_every_kind_of_row_is_described(name: str, route: str, modalities: list[str], low: str, capsys) -> None:
    """Rows say what they take; the same keys for every route."""
    found = shown(capsys, "show", name)
    assert (found["route"], found["modalities"], found["thinking"]["low"]["status"]) == (route, modalities, low)
    assert set(found) == set(shown(capsys, "show", "openai/gpt-5"))


def test_prices_of_rows(capsys) -> None:
    """A row's own price; nothing for weights of one's own; unknown where nobody says, which is not zero."""
    mine = shown(capsys, "show", "mine/audio")
    assert (mine["usd_per_million"]["input"], mine["price_from"]) == (3, "models.toml")
    assert "estimate" in mine["batch_from"]
    assert shown(capsys, "show", "local/mine")["usd_per_million"]["output"] == 0
    assert shown(capsys, "show", "mine/direct")["usd_per_million"] is None
    assert run(["models", "show", "mine/direct"]) == 0
    assert "price        unknown" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("openai/gpt5.4-mini", "openai/gpt-5.4-mini"), ("mine/adio", "mine/audio"), ("sim/smal", "sim/small")],
)
def test_a_typo_ends_with_the_nearest_names(typed: str, meant: str, capsys) -> None:
    """Exit code 1, nothing on stdout, and what may have been meant."""
    assert run(["models", "show", typed]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert f"'{meant}'" in err


def test_nothing_comes_near(capsys) -> None:
    """A name like no other is said to be that."""
    assert run(["models", "show", "zzzz/qqqqq-9"]) == 1
    assert "no name comes near" in capsys.readouterr().err


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("name", ["openai/gpt-5.4-mini", "anthropic/claude-haiku-5-5", "mine/audio", "local/mine"])
def test_it_fits_the_terminal(width: int, name: str, capsys, monkeypatch) -> None:
    """No line is wider than the terminal, and no word that counts is cut."""
    monkeypatch.setenv("COLUMNS", str(width))
    assert run(["models", "show", name]) == 0
    out = capsys.readouterr().out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= width
    for word in ("unsupported", "JSON schema", "logprobs", "price"):
        assert word in out
    assert "…" not in out


def test_models_are_listed_by_modality(capsys) -> None:
    """Rows first, then every model of litellm's map that takes it; none of Claude's takes recordings."""
    found = shown(capsys, "list", "--modality", "audio")["models"]
    names = [row["model"] for row in found]
    assert names[0] == "mine/audio"
    assert {"gemini/gemini-2.5-flash", "openai/gpt-audio-1.5", "sim/small"} <= set(names)
    assert not {"mine/direct", "local/mine", "openai/gpt-4.1-mini"} & set(names)
    assert not any("claude" in name for name in names)
    assert len(names) == len(set(names))
    both = shown(capsys, "list", "gemini-2.5", "--modality", "image")["models"]
    assert both
    assert all("gemini-2.5" in row["model"] and "image" in row["modalities"] for row in both)


def test_rows_alone_are_listed_without_a_search(capsys) -> None:
    """Without a search the list is what models.toml says."""
    names = [row["model"] for row in shown(capsys, "list")["models"]]
    assert {"mine/audio", "mine/direct", "local/mine", "sim/large"} <= set(names)
    assert not any(name.startswith("openai/") for name in names)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_long_list_is_cut_and_says_so(width: int, capsys, monkeypatch) -> None:
    """Forty lines at most on a terminal; stderr says how many more there are."""
    monkeypatch.setenv("COLUMNS", str(width))
    assert run(["models", "list", "--modality", "image"]) == 0
    out, err = capsys.readouterr()
    assert max(len(line.rstrip()) for line in out.splitlines()) <= width
    assert re.search(r"^\d+ more: ", err)


def test_an_unknown_modality_is_named(capsys) -> None:
    """A modality that is none is a mistake, not an empty list."""
    assert run(["models", "list", "--modality", "smell"]) == 1
    assert "smell" in capsys.readouterr().err


def test_the_list_does_not_load_litellm() -> None:
    """Listing reads the map's file; importing litellm would take seconds."""
    code = (
        "import sys; from llmclf.cli import run\n"
        "assert run(['models', 'list', '--modality', 'audio', '--json']) == 0\n"
        "assert not {'litellm', 'openai', 'aiohttp'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_vendor_that_is_listed_is_one_litellm_asks() -> None:
    """One model of each vendor in the list is known to litellm under the name it is listed by."""
    from llmclf.llm.routes.litellm_library import load_litellm
    from llmclf.llm.routes.litellm_map import known_models

    vendors = {name.partition("/")[0]: name for name in known_models()}
    assert {"openai", "anthropic", "gemini", "mistral", "deepseek", "xai"} <= set(vendors)
    for vendor, name in vendors.items():
        assert load_litellm().get_llm_provider(name)[1] in (vendor, "openai"), name


@pytest.mark.parametrize("vendor", ["github_copilot", "chatgpt", "microsoft_365_copilot"])
def test_no_vendor_is_asked_to_sign_somebody_in(vendor: str, capsys, monkeypatch) -> None:
    """litellm asks some vendors' servers at the mere name of a model; it is kept from that."""

    def refuse(*more: Any, **named: Any) -> None:
        raise AssertionError("network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    from llmclf.llm import Model
    from llmclf.llm.prices import litellm_map
    from llmclf.llm.routes.litellm import LitellmRoute

    name = next(name for name in litellm_map() if name.startswith(f"{vendor}/"))
    route = LitellmRoute(name, None, {})
    assert route.capabilities().thinking["low"].status == "unsupported"
    assert all("sign in by a browser" in problem or "no model" in problem for problem in route.problems(Model(name)))
    assert route.problems(Model(name))


def test_what_a_model_takes_is_found_out_offline(monkeypatch) -> None:
    """No vendor's name makes litellm, or llmclf, connect anywhere."""
    from llmclf.llm import Model
    from llmclf.llm.routes.litellm import LitellmRoute, load_litellm
    from llmclf.llm.routes.litellm_map import known_models

    load_litellm()
    tried: list[Any] = []

    def refuse(*more: Any, **named: Any) -> None:
        tried.append(more)
        raise OSError("no network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    vendors = {name.partition("/")[0]: name for name in known_models()}
    for name in vendors.values():
        route = LitellmRoute(name, None, {})
        route.capabilities()
        route.problems(Model(name, "low"))
        assert not tried, name


def test_the_rows_in_the_docs_load(write) -> None:
    """The models.toml of docs/models.md is a valid one."""
    (block,) = re.findall(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    folder = write("docs/configs/models.toml", block).parents[1]
    assert {"mine/large", "mine/fast"} <= set(load_models(folder))


@pytest.mark.parametrize("name", ["ollama_chat/x", "hosted_vllm/y"])
def test_an_unknown_model_is_told_how_to_get_a_row(name: str, capsys) -> None:
    """Where a name leads nowhere, the message says which row would lead somewhere."""
    assert run(["models", "show", name]) == 1
    err = capsys.readouterr().err
    assert f'[models."{name}"] with route = "litellm" (or "http") in configs/models.toml' in err


def test_made_up_prices_are_said_to_be_that(capsys) -> None:
    """In words that make sense, for the batch price as well."""
    assert run(["models", "show", "sim/small"]) == 0
    out = capsys.readouterr().out
    assert "made up, like all of a simulated model" in out
    assert "from simulated" not in out
    assert "half of simulated" not in out


def test_no_hit_is_said(capsys) -> None:
    """An empty list is no answer to a search."""
    assert run(["models", "list", "zzzzz"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("", "no model has 'zzzzz' in its name\n")
    assert shown(capsys, "list", "zzzzz") == {"models": []}


def test_a_replay_takes_what_the_original_took(capsys, write) -> None:
    """The list and the model's own page agree."""
    replay = '[models."replay/mine"]\nroute = "replay"\nmodel = "mine/audio"\nsource = "old.jsonl"\n'
    write("configs/models.toml", ROWS + replay)
    (row,) = shown(capsys, "list", "replay/mine")["models"]
    assert row["modalities"] == shown(capsys, "show", "replay/mine")["modalities"] == ["text", "audio"]


@pytest.mark.parametrize(
    ("name", "why"),
    [("mine/direct", "not among the row's thinking"), ("sim/small", ""), ("local/mine", ""), ("mine/audio", "")],
)
def test_every_unsupported_setting_has_a_reason(name: str, why: str, capsys) -> None:
    """No reason is left empty."""
    rows = shown(capsys, "show", name)["thinking"]
    assert all(row["note"] for row in rows.values() if row["status"] == "unsupported")
    assert why in rows["high"]["note"]
