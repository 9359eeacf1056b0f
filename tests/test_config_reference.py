"""The page about files can't go stale, and every example in it is read by the very models it describes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel, TypeAdapter

from llmclf.config import HttpRow, VendorRow, WorkspaceFile, load
from llmclf.config.files import KINDS
from llmclf.config.reference import reference_markdown
from llmclf.errors import ConfigError
from llmclf.llm.routes.making import RouteMaker
from llmclf.llm.rules import check_allowed
from llmclf.store.recorded import open_recorded
from llmclf.types import USAGE_COUNTS
from llmclf.workspace.creation import NewWorkspace, create

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "files.md"
MARK = "<!-- reference -->\n"
EXAMPLES = re.findall(r"^```toml\n# (\S+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
KIND_OF = {"llmclf.toml": "workspace", "configs/models.toml": "models", "configs/prices.toml": "prices"} | {
    folder: kind for kind, (folder, _, model) in KINDS.items() if model is not None and folder != "configs"
}
OFF = re.compile(r"^# (?=\[|[a-z_]+ = )", re.MULTILINE)


def fields_of_files() -> list[str]:
    """`Model.field` of every table that a file can hold, found through the models that read them."""
    schemas = [TypeAdapter(model).json_schema() for _, _, model in KINDS.values() if model is not None]
    tables = [table for schema in schemas for table in (schema, *schema["$defs"].values()) if "properties" in table]
    return [
        f"{table['title']}.{name}: {node.get('description', '')}"
        for table in tables
        for name, node in table["properties"].items()
    ]


def test_the_page_shows_the_models_as_they_are() -> None:
    """docs/files.md holds what `reference_markdown()` gives; write it anew after a change to a schema."""
    assert PAGE.read_text(encoding="utf-8").split(MARK)[1] == reference_markdown()


@pytest.mark.parametrize(("path", "text"), EXAMPLES, ids=lambda value: value.split("\n")[0])
def test_an_example_is_read(path: str, text: str, tmp_path: Path) -> None:
    """Each TOML example of the page begins with the file's name, and is one that can be used as it stands."""
    file = tmp_path / "example.toml"
    file.write_text(text, encoding="utf-8")
    assert isinstance(load(KIND_OF.get(path) or KIND_OF[path.rpartition("/")[0]], file), BaseModel)


def test_every_toml_block_is_such_an_example() -> None:
    """No block is passed over because it does not say which file it is, and each kind of file has one."""
    assert PAGE.read_text(encoding="utf-8").count("```toml\n") == len(EXAMPLES)
    shown = {KIND_OF.get(path) or KIND_OF[path.rpartition("/")[0]] for path, _ in EXAMPLES}
    assert shown == set(KINDS) - {"prompt"}


def test_every_field_says_what_it_means() -> None:
    """Each field of each table has a meaning, and a line on the page that shows it."""
    fields = fields_of_files()
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert len(fields) > 100
    for field in fields:
        name, _, meaning = field.partition(": ")
        key = name.rpartition(".")[2]
        assert meaning, field
        assert any(
            line.startswith(f"| `{key}` | ") and line.endswith(f"{' '.join(meaning.split())} |") for line in lines
        ), field


def test_what_init_offers_can_be_switched_on(tmp_path: Path) -> None:
    """The lines that `llmclf init` writes as comments into llmclf.toml and models.toml are right once the # is gone."""
    create(tmp_path, NewWorkspace("Is it rude?", "rude", ()))
    for kind, name in (("workspace", "llmclf.toml"), ("models", "configs/models.toml")):
        path = tmp_path / name
        off = load(kind, path)
        path.write_text(OFF.sub("", path.read_text(encoding="utf-8")), encoding="utf-8")
        on = load(kind, path)
        assert on != off
        if kind == "models":
            assert {row.route for row in on.models.values()} == {"http", "litellm", "replay"}
            assert on.pace
        else:
            assert on.usd_per_hour and on.usd_per_day and on.allowed_endpoints and on.privacy.send_media


def test_the_line_of_a_replay_is_read(tmp_path: Path) -> None:
    """The example of docs/models.md can be replayed, and a line with every field of the table there as well."""
    page = (DOCS / "models.md").read_text(encoding="utf-8")
    (example,) = re.findall(r'^\{"request_hash".*$', page, re.MULTILINE)
    section = page.split("### A line of JSON Lines")[1].split("\n## ")[0]
    rows = [line.split("|")[1:4] for line in section.splitlines() if line.startswith("| `")]
    documented = [name for names, _, _ in rows for name in re.findall(r"`(\w+)`", names)]
    values = {"request_hash": "0" * 64, "text": "A", "repeat": 1, "reasoning": "", "finish_reason": "stop"}
    values |= {"cost_usd": 0.1, "latency_seconds": 1.5, "label_logprobs": {"A": -0.1}, "model": "m"}
    values |= {"usage": dict.fromkeys(USAGE_COUNTS, 1), "call_id": "c", "attempts": 1, "finished_at": ""}
    assert set(documented) == {*values, "simulated"}
    assert set(re.findall(r"`(\w+)`", next(what for names, what, _ in rows if "`usage`" in names))) == set(USAGE_COUNTS)

    path = tmp_path / "answers.jsonl"
    path.write_text(f"{example}\n{json.dumps({**values, 'simulated': False})}\n", encoding="utf-8")
    recorded = open_recorded(path)
    shown = recorded.answer(json.loads(example)["request_hash"], 0)
    assert shown is not None and json.loads(shown.text)["label"] == "clean"
    assert recorded.answer("0" * 64, 1) is not None


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_to_a_heading_find_it(page: Path) -> None:
    """What stands after the # of a link is a heading of the page it leads to."""
    for target, anchor in re.findall(r"\]\(([\w.-]*)#([\w-]+)\)", page.read_text(encoding="utf-8")):
        text = (page.parent / target if target else page).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert anchor in slugs, f"{target}#{anchor}"


SERVER = "http://10.0.0.5:8911"
VENDOR = "openai/gpt-5.4-mini"


@pytest.mark.parametrize(
    ("entry", "model", "allowed"),
    [
        ("openai", VENDOR, True),
        ("openai", f"litellm {SERVER}/v1", False),
        ("openai", "litellm http://127.0.0.1:8000/v1", False),
        (f"{SERVER}/v1", f"http {SERVER}/v1", True),
        (f"{SERVER}/v1", f"litellm {SERVER}/v1", True),
        (f"{SERVER}/v1", f"http {SERVER}/v1/", False),
        (f"{SERVER}/v1", f"http {SERVER}", False),
        (f"{SERVER}/*", f"http {SERVER}/v1", True),
        (f"{SERVER}/*", "http http://10.0.0.5:8912/v1", False),
        ("https://*.example.com/*", "http https://llm.example.com/v1", True),
        ("https://*.example.com/*", "http https://example.com/v1", False),
        ("http://10.0.0.5*", "http http://10.0.0.55/v1", True),
        ("nowhere", "http http://localhost:8000/v1", True),
        ("nowhere", "http http://127.0.0.9:8000/v1", True),
        ("nowhere", "http http://[::1]:8000/v1", True),
        ("nowhere", f"replay/{VENDOR}", True),
        ("nowhere", VENDOR, False),
    ],
)
def test_endpoints_are_allowed_as_the_page_says(entry: str, model: str, allowed: bool, monkeypatch) -> None:
    """What docs/files.md says of `allowed_endpoints`: `model` is a name, or a route with its base URL."""
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    kind, _, base = model.partition(" ")
    rows = {
        "http": HttpRow(route="http", api_base=base or SERVER, model="m"),
        "litellm": VendorRow(route="litellm", litellm_model="openai/m", api_base=base or SERVER),
    }
    rules = WorkspaceFile(version=1, allowed_endpoints=(entry,))
    route = RouteMaker(rows, {}, None, {}).make(kind)
    if allowed:
        check_allowed(kind, route, rules)
        return
    with pytest.raises(ConfigError, match="allowed_endpoints"):
        check_allowed(kind, route, rules)


def test_a_replay_needs_leave_of_its_own() -> None:
    """An entry of `allowed_models` for the original does not cover its replay."""
    route = RouteMaker({}, {}, None, {}).make(f"replay/{VENDOR}")
    check_allowed(f"replay/{VENDOR}", route, WorkspaceFile(version=1, allowed_models=("replay/*",)))
    with pytest.raises(ConfigError, match="allowed_models"):
        check_allowed(f"replay/{VENDOR}", route, WorkspaceFile(version=1, allowed_models=("openai/*",)))
