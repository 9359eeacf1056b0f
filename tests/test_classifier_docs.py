"""The examples in the pages about classifiers and the simulator are files that load, and cover every setting."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from llmclf.config import LlmFile, ModelsFile, SimRow, load_task
from llmclf.llm.routes.sim import AUDIO_BYTES_PER_TOKEN, FAULTS, IMAGE_TOKENS
from llmclf.render import load_prompt

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[dict[str, Any]]:
    return [tomllib.loads(text) for text in BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))]


@pytest.mark.parametrize("block", blocks("classifiers.md"), ids=lambda block: "-".join(list(block)[5:]) or "plain")
def test_examples_of_classifiers_load(block: dict[str, Any]) -> None:
    """Each is a whole file of the real schema, with a task and a prompt that ship."""
    file = LlmFile.model_validate(block)
    assert "conversation" in load_prompt(file.prompt).placeholders
    assert load_task(file.task)


def test_every_setting_is_described() -> None:
    """What decides score, repair, window and modality is named on the page."""
    text = (DOCS / "classifiers.md").read_text(encoding="utf-8")
    names = ("answer", "score_method", "samples", "repair", "first_turns", "last_turns", "chunk_turns", "chunk_overlap")
    assert set(names) <= set(LlmFile.model_fields)
    missing = [name for name in (*names, "modality", "threshold", "shots") if name not in text]
    assert not missing


def test_the_page_of_the_simulator_is_true() -> None:
    """Its example loads; shares and counts of the tables are those of the code; every field of a row is named."""
    (block,) = blocks("simulator.md")
    ModelsFile.model_validate({"version": 1, **block})
    text = (DOCS / "simulator.md").read_text(encoding="utf-8")
    for share in FAULTS.values():
        assert f"| .{round(share * 100)} |" in text
    assert f"plus {IMAGE_TOKENS} for a picture and 1 for each {AUDIO_BYTES_PER_TOKEN:,} bytes" in text
    unnamed = [name for name in SimRow.model_fields if name not in text and name not in ("route", "modalities")]
    assert not unnamed
