"""The schema's page can't go stale."""

from __future__ import annotations

from pathlib import Path

from llmclf.store import Store, schema_markdown

PAGE = Path(__file__).parents[1] / "docs" / "store.md"
MARK = "<!-- schema -->\n"


def test_the_page_shows_the_schema_as_it_is() -> None:
    """docs/store.md holds what `schema_markdown()` gives; write it anew after a migration."""
    assert PAGE.read_text().split(MARK)[1] == schema_markdown()


def test_every_column_has_its_place_on_the_page(tmp_path: Path) -> None:
    """A real file has the tables and views of the page, and no others."""
    text = schema_markdown()
    with Store(tmp_path / "llmclf.db") as store:
        tables = store.query(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE '\\_%' ESCAPE '\\'"
        )
        assert {row["name"] for row in tables} == {line[4:] for line in text.splitlines() if line.startswith("### ")}
        for row in tables:
            for column in store.query("SELECT name FROM pragma_table_info(?)", [row["name"]]):
                assert f"`{column['name']}`" in text


def test_look_ups_use_an_index(tmp_path: Path) -> None:
    """No question that is asked often reads a whole table."""
    questions = (
        "SELECT 1 FROM calls WHERE request_hash = 'x' AND repeat = 0",
        "SELECT 1 FROM calls WHERE run_id = 'x'",
        "SELECT 1 FROM calls WHERE sent_at >= 'x'",
        "SELECT 1 FROM calls WHERE conversation_id = 'x'",
        "SELECT 1 FROM call_texts WHERE call_id = 'x'",
        "SELECT 1 FROM predictions WHERE run_id = 'x' AND cell_id = 'y'",
        "SELECT 1 FROM predictions WHERE created_at >= 'x'",
        "SELECT 1 FROM predictions WHERE conversation_id = 'x'",
        "SELECT 1 FROM runs WHERE inputs_hash = 'x' ORDER BY run_id DESC",
        "SELECT 1 FROM runs WHERE kind = 'x' ORDER BY run_id DESC",
        "SELECT 1 FROM cells WHERE run_id = 'x'",
        "SELECT 1 FROM cells WHERE cell_id = 'x'",
        "SELECT 1 FROM prompts WHERE name = 'x' AND sha256 = 'y'",
    )
    with Store(tmp_path / "llmclf.db") as store:
        for question in questions:
            plan = " ".join(row["detail"] for row in store.query(f"EXPLAIN QUERY PLAN {question}"))
            assert "SEARCH" in plan, question
            assert "SCAN" not in plan, question
            assert "TEMP B-TREE" not in plan, question
