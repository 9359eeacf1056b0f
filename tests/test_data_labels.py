"""Label sheets: out to a spreadsheet, back to examples."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from llmclf.data.check import check
from llmclf.data.labels import SHEET_COLUMNS, import_labels, write_label_sheet
from llmclf.data.sample import sample
from llmclf.data.spreadsheet import displayed, guarded, unguarded
from llmclf.errors import DataError
from llmclf.types import Conversation, Event, Example, FailureMode, Label, Task, Turn, dataset_of

TASK = Task(
    "refusal",
    "Is a person refused?",
    (Label("refused", "target", "x"), Label("fine", "clean", "y")),
    failure_modes=(FailureMode("flat", "no"), FailureMode("ignored", "nothing")),
)
TURNS = Task("breakdown", "?", (Label("X", "target", "x"), Label("O", "clean", "y")), unit="turn", context="so_far")
any_text = st.text(st.characters(exclude_categories=()), max_size=12)


def talk(id: str) -> Conversation:
    return Conversation(
        id, (Turn("user", "a person"), Turn("bot", "no", events=(Event("hang_up"),)), Turn("user", "=1+1"))
    )


IDS = [
    "c1",
    "007",
    "2026-05-01",
    "1234567890123456789",
    "1e5",
    "=cmd|'/c calc'!A0",
    "+49",
    "true",
    "mar-1",
    "'quoted",
    "é",
]
CHATS = {id: talk(id) for id in IDS}
EXAMPLES = [Example(id, stratum="=top", inclusion_probability=0.25) for id in IDS]


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))


def save(path: Path, rows: list[dict[str, str]], *, encoding: str = "utf-8-sig", delimiter: str = ",") -> Path:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, SHEET_COLUMNS, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def sheet(tmp_path: Path, examples: list[Example] = EXAMPLES, task: Task = TASK) -> tuple[Path, list[dict[str, str]]]:
    path = tmp_path / "sheet.csv"
    assert write_label_sheet(examples, CHATS, path, task) == len(examples)
    return path, rows_of(path)


@given(any_text, st.booleans())
def test_guarding_a_cell_is_undone_exactly(text: str, is_id: bool) -> None:
    """Whatever the text, apostrophes and half characters included, it comes back as it was."""
    assert unguarded(guarded(text, is_id=is_id), is_id=is_id) == text


@given(st.sampled_from(list("=+-@\t\r\n＝＋－＠")), any_text, st.sampled_from(["", " ", "  ", "'", "''"]))
def test_no_cell_starts_a_formula(start: str, rest: str, before: str) -> None:
    """A cell that a spreadsheet would compute begins with an apostrophe, also behind spaces."""
    assert guarded(before + start + rest).startswith("'")
    assert displayed(before + start + rest).startswith("'")


@given(words=any_text.filter(str.strip), stratum=any_text)
def test_a_sheet_holds_any_text(words: str, stratum: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Hostile conversations, half characters and NUL give a UTF-8 file of one row each, with no live formula."""
    chat = Conversation("c1", (Turn("user", words), Turn("bot", words * 3000)))
    path = tmp_path_factory.mktemp("data") / "sheet.csv"
    clean = stratum.encode("utf-8", "ignore").decode()
    write_label_sheet([Example("c1", stratum=clean)], {"c1": chat}, path, TASK)
    (row,) = rows_of(path)
    assert row["conversation_id"] == "c1"
    assert unguarded(row["stratum"]) == clean
    assert len(row["transcript"]) < 32_767
    for cell in row.values():
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_a_sheet_as_people_see_it(tmp_path: Path) -> None:
    """A byte order mark, the columns in order, an empty label, and the transcript that may be seen."""
    path, rows = sheet(tmp_path)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert tuple(rows[0]) == SHEET_COLUMNS
    assert [row["conversation_id"] for row in rows] == [
        "c1", "'007", "'2026-05-01", "'1234567890123456789", "'1e5", "'=cmd|'/c calc'!A0", "'+49", "'true", "'mar-1",
        "'quoted", "é",
    ]  # fmt: skip
    assert rows[0]["label"] == ""
    assert rows[0]["stratum"] == "'=top"
    assert rows[0]["transcript"] == "[0] user: a person\n[1] bot: no (hangs up)\n[2] user: =1+1"


def test_a_turn_task_shows_nothing_of_the_future(tmp_path: Path) -> None:
    """For a task about turns the transcript ends with the turn asked about."""
    _, rows = sheet(tmp_path, [Example("c1", 1)], TURNS)
    assert rows[0]["turn"] == "1"
    assert rows[0]["transcript"].endswith("[1] bot: no (hangs up)")


def test_a_long_conversation_loses_its_front(tmp_path: Path) -> None:
    """A spreadsheet cuts cells at 32,767 characters: the sheet cuts before, and says so."""
    chat = Conversation("c1", tuple(Turn("user", f"{number} " + "word " * 100) for number in range(200)))
    write_label_sheet([Example("c1")], {"c1": chat}, tmp_path / "s.csv", TASK)
    text = rows_of(tmp_path / "s.csv")[0]["transcript"]
    assert text.startswith("[earlier turns left out]\n")
    assert "[199] user" in text


def test_labels_come_back_joined_to_their_sample(tmp_path: Path) -> None:
    """Label, evidence, failure modes and note are read; stratum and chance are the sample's, not the sheet's."""
    path, rows = sheet(tmp_path)
    for row in rows:
        row.update(label="fine", stratum="changed", inclusion_probability="0,25")
    rows[0].update(label=" REFUSED ", evidence_turns="0, 1;1", failure_modes="Flat; ignored", note="'=sure")
    found = import_labels(save(path, rows[::-1]), EXAMPLES, TASK, conversations=CHATS)
    assert found.examples[0] == Example(
        "c1",
        labels={"refusal": "refused"},
        stratum="=top",
        inclusion_probability=0.25,
        failure_modes=("flat", "ignored"),
        evidence_turns=(0, 1),
        note="=sure",
    )
    assert [example.conversation_id for example in found.examples] == IDS
    assert found.unlabelled == ()
    assert found.notes == ()


@pytest.mark.parametrize(("encoding", "delimiter"), [("utf-8", ";"), ("utf-16", "\t"), ("utf-8-sig", ",")])
def test_sheets_are_read_as_spreadsheets_save_them(encoding: str, delimiter: str, tmp_path: Path) -> None:
    """Comma, semicolon and tab; with and without a mark; apostrophes eaten; blank rows between."""
    path, rows = sheet(tmp_path)
    for row in rows:
        row.update(label="fine", conversation_id=unguarded(row["conversation_id"], is_id=True) + " ")
    rows.insert(3, dict.fromkeys(SHEET_COLUMNS, ""))
    found = import_labels(save(path, rows, encoding=encoding, delimiter=delimiter), EXAMPLES, TASK)
    assert [example.conversation_id for example in found.examples] == IDS


def test_everything_wrong_is_listed_at_once(tmp_path: Path) -> None:
    """Labels outside the closed set, missing, doubled and changed rows, cells that can't be read."""
    path, rows = sheet(tmp_path)
    by_id = {row["conversation_id"]: row for row in rows}
    by_id["c1"]["label"] = "refusd"
    by_id["'007"]["conversation_id"] = "7"
    by_id["'1234567890123456789"]["conversation_id"] = "1.23457E+18"
    by_id["'1e5"].update(label="refused", evidence_turns="one")
    by_id["'+49"].update(label="refused", failure_modes="odd")
    by_id["'true"].update(evidence_turns="1")
    by_id["'mar-1"].update(label="fine", failure_modes="flat")
    by_id["'quoted"].update(label="refused", evidence_turns="7")
    by_id["é"]["turn"] = "x"
    rows.append(dict(by_id["'2026-05-01"]))
    with pytest.raises(DataError) as caught:
        import_labels(save(path, rows), EXAMPLES, TASK, conversations=CHATS)
    text = str(caught.value)
    for words in (
        "label 'refusd' is not of task refusal; did you mean 'refused'?",
        "'7' is not in the sample: was the id or turn changed? did you mean '007'?",
        "'1.23457E+18' is not in the sample",
        "'007': its row is missing",
        "'2026-05-01' stands on line",
        "evidence_turns 'one': give numbers from 0",
        "failure mode 'odd' is unknown",
        "'true': evidence or failure modes and no label",
        "failure modes stand on refused only, not on fine",
        "no turn 7 (turns count from 0 to 2)",
        "turn 'x' is no number",
    ):
        assert words in text
    assert "mistakes in the sheet: 13" in text


def test_unlabelled_rows_are_kept_apart_and_never_negatives(tmp_path: Path) -> None:
    """They are counted; the labelled ones of their stratum stand for them, and the design says so."""
    pool = {f"c{number}": talk(f"c{number}") for number in range(100)}
    scores = {id: int(id[1:]) / 100 for id in pool}
    drawn = sample(pool, "score", n=40, task=TASK, scores=scores, strata=2)
    path = tmp_path / "sheet.csv"
    write_label_sheet(drawn, pool, path, TASK)
    rows = rows_of(path)
    rest = [row for row in rows if row["stratum"] == "rest"]
    for row in rows:
        row["label"] = "fine"
    for row in rest[:10]:
        row["label"] = "  "
    found = import_labels(save(path, rows), drawn, TASK)
    assert (len(found.examples), len(found.unlabelled)) == (30, 10)
    assert all(example.labels == {} for example in found.unlabelled)
    assert "10 of 40 drawn were not labelled (rest: 10)" in found.notes[0]
    assert "10 of 40 drawn were not labelled" in found.design.note
    assert sum(example.weight for example in found.examples) == pytest.approx(100)
    kinds = {one.kind for one in check(dataset_of("d", list(pool.values()), found.examples, found.design)).findings}
    assert not kinds & {"design_short", "design_sizes", "weights_differ"}


def test_a_part_of_a_sheet_can_come_back(tmp_path: Path) -> None:
    """With `partial` the missing rows count as unlabelled; without it they are mistakes."""
    path, rows = sheet(tmp_path)
    rows[0]["label"] = "fine"
    save(path, rows[:2])
    with pytest.raises(DataError, match=r"mistakes in the sheet: 9; .*--partial"):
        import_labels(path, EXAMPLES, TASK)
    found = import_labels(path, EXAMPLES, TASK, partial=True, source="silver")
    assert [example.source for example in found.examples] == ["silver"]
    assert len(found.unlabelled) == 10


def test_a_sheet_nobody_filled_in_is_refused(tmp_path: Path) -> None:
    """No label at all is a mistake, with the labels to choose from; a new sheet is its owner's alone."""
    path, _ = sheet(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(DataError, match="no row of the sheet has a label; fill in the column `label`: refused, fine"):
        import_labels(path, EXAMPLES, TASK)


def test_labels_of_another_task_are_kept(tmp_path: Path) -> None:
    """A second question over the same examples adds to what is known of them."""
    known = Example("c1", labels={"other": "x"}, note="before")
    path, rows = sheet(tmp_path, [known])
    rows[0]["label"] = "fine"
    found = import_labels(save(path, rows), [known], TASK)
    assert found.examples[0].labels == {"other": "x", "refusal": "fine"}
    assert found.examples[0].note == "before"


def test_files_that_are_no_sheet(tmp_path: Path) -> None:
    """Another encoding, no header, no file: each with what to do."""
    path, rows = sheet(tmp_path)
    with pytest.raises(DataError, match=r"not UTF-8.*CSV UTF-8"):
        import_labels(save(path, rows, encoding="cp1252"), EXAMPLES, TASK)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no column conversation_id and label"):
        import_labels(path, EXAMPLES, TASK)
    with pytest.raises(DataError, match="there is no such file"):
        import_labels(tmp_path / "none.csv", EXAMPLES, TASK)
    with pytest.raises(DataError, match="conversations of the sample that are not there: 1"):
        write_label_sheet([Example("zz")], CHATS, path, TASK)
    with pytest.raises(DataError, match="half a character"):
        write_label_sheet([Example("c1", stratum="\ud800")], CHATS, path, TASK)
