"""Labels out and in: lines that come back as they were, sheets that spreadsheets mangle, examples with a design."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from desk_session import SECRET, make, opened, task_session
from hypothesis import HealthCheck, given, settings, strategies as st

from llmclf.calibration.desk import Desk
from llmclf.calibration.exchange import examples_of, export_labels, export_soft, import_labels
from llmclf.calibration.session import SessionDesign
from llmclf.data.read import read_examples
from llmclf.data.write import write_examples
from llmclf.errors import ConfigError, DataError
from llmclf.render.redaction import Redaction
from llmclf.render.tables import rich_table
from llmclf.store import Store
from llmclf.types import Evidence, Stratum

PLAIN = Redaction(when="off")
NAMES = ("refused", "angry", "clean")
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
SAID = st.tuples(
    st.sampled_from([*NAMES, ""]),
    st.sampled_from(["", "R1", "R2"]),
    TEXT,
    st.one_of(st.none(), st.floats(0, 3600)),
    st.lists(st.tuples(TEXT.filter(str.strip), st.sampled_from([None, 0, 2])), max_size=2),
)
ONCE = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A session of three cases and one of practice; ana is done, ben has labelled two, cara has decided one."""
    with Store(redaction=PLAIN) as store:
        desk = opened(store, *make(3, practice=1))
        ana, ben, cara = (desk.seat_of("last", name) for name in ("ana", "ben", "cara"))
        for number, label in enumerate(("refused", "clean", "refused")):
            desk.save(ana, f"case {number}", label=label, rule="R1", note="=1+1", seconds=3.5)
        desk.save(ana, "case 3", skipped="no idea", seconds=2)
        desk.save(ben, "case 0", label="refused")
        desk.save(ben, "case 1", label="angry", evidence=[Evidence("A person", 2)], note="first\nsecond")
        desk.save(cara, "case 1", label="angry", rule="R2")
        yield desk


def rewritten(path: Path, change: Callable[[list[list[str]]], None], delimiter: str = ",") -> None:
    """The sheet as a spreadsheet saves it after a person has changed it."""
    rows = list(csv.reader(path.read_text("utf-8-sig").splitlines(keepends=True)))
    change(rows)
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)


def test_lines_are_in_an_order_that_stays(desk: Desk, tmp_path: Path) -> None:
    """One line a label, by case, then first labels, then the decision; the same labels, the same bytes."""
    path = tmp_path / "labels.jsonl"
    assert export_labels(desk, "last", path) == 7
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["case"], row["annotator"], row["round"]) for row in rows] == [
        ("case 0", "ana", "first"), ("case 0", "ben", "first"), ("case 1", "ana", "first"), ("case 1", "ben", "first"),
        ("case 1", "cara", "adjudication"), ("case 2", "ana", "first"), ("case 3", "ana", "first"),
    ]  # fmt: skip
    assert rows[-1]["skipped"] == "no idea"
    assert rows[3]["evidence"] == [{"quote": "A person", "turn": 2, "grounded": True}]
    before = path.read_bytes()
    export_labels(desk, "last", path)
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o077 == 0
    assert SECRET not in path.read_text()
    assert export_labels(desk, "last", tmp_path / "ben.jsonl", "ben") == 2


def test_lines_come_back_as_they_were(desk: Desk, tmp_path: Path) -> None:
    """In another store the same session then holds the same labels; a second time nothing changes."""
    path = tmp_path / "labels.jsonl"
    export_labels(desk, "last", path)
    again = import_labels(desk, "last", path)
    assert (again.added, again.unchanged, again.changes) == (0, 7, ())
    with Store(redaction=PLAIN) as store:
        other = opened(store, *make(3, practice=1))
        assert import_labels(other, "last", path).added == 7
        assert [one.annotations for one in other.labelled("last")] == [one.annotations for one in desk.labelled("last")]
        assert [one.adjudication for one in other.labelled("last")] == [
            one.adjudication for one in desk.labelled("last")
        ]
        assert import_labels(other, "last", path).unchanged == 7
        assert len(store.query("SELECT * FROM session_labels")) == 7


@ONCE
@given(said=st.lists(SAID, min_size=3, max_size=3))
def test_any_words_come_back_from_lines_and_sheets(said: list[Any], tmp_path: Path) -> None:
    """Whatever people write into notes, reasons and quotes, both ways give the same labels in a new store."""
    lines, sheet = tmp_path / "labels.jsonl", tmp_path / "ana.csv"
    with Store(redaction=PLAIN) as store:
        desk = opened(store, *make(3))
        ana = desk.seat_of("last", "ana")
        for number, (label, rule, text, seconds, quotes) in enumerate(said):
            evidence = [Evidence(quote, turn) for quote, turn in quotes]
            if label:
                desk.save(ana, f"case {number}", label=label, rule=rule, note=text, seconds=seconds, evidence=evidence)
            elif text.strip():
                desk.save(ana, f"case {number}", skipped=text)
        export_labels(desk, "last", lines)
        export_labels(desk, "last", sheet, "ana")
        for path in (lines, sheet):
            result = import_labels(desk, "last", path)
            assert (result.added, result.changes) == (0, ())
        whole = desk.labelled("last")
    for path in (lines, sheet):
        with Store(redaction=PLAIN) as store:
            other = opened(store, *make(3))
            import_labels(other, "last", path)
            for one, two in zip(whole, other.labelled("last"), strict=True):
                assert [skip.why for skip in one.skips] == [skip.why for skip in two.skips]
                if path == lines:
                    assert one.annotations == two.annotations
                for old, new in zip(one.annotations, two.annotations, strict=True):
                    assert (old.label, old.rule, old.note) == (new.label, new.rule, new.note)


def test_all_mistakes_of_a_file_are_listed_and_nothing_is_taken(desk: Desk, tmp_path: Path) -> None:
    """Wrong case, person, round, label, rule, time, key, type, a double: in one message; the store stays as it was."""
    good = {"case": "case 2", "annotator": "ben", "round": "first", "label": "clean"}
    bad = [
        "no json", "[]", {**good, "case": "case 9"}, {**good, "annotator": "bem"}, {**good, "round": "adjudication"},
        {**good, "lable": 1}, {**good, "case": "case 3", "seconds": "4", "at": "yesterday", "evidence": [{"quote": 1}]},
        good, good, {"annotator": "ben"},
    ]  # fmt: skip
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in bad))
    with pytest.raises(DataError) as caught:
        import_labels(desk, "last", path)
    for part in (
        "line 1: not JSON", "line 2: not an object", "no case 'case 9'", "did you mean 'ben'", "round of ben is first",
        "'lable'", "seconds must", "at must be ISO", "evidence must", "line 9: this label stands on line 8", "missing",
    ):  # fmt: skip
        assert part in str(caught.value), part
    path.write_text(
        "\n".join(json.dumps({**good, **more}) for more in ({"label": "cleen"}, {"case": "case 3", "rule": "R7"}))
    )
    with pytest.raises(DataError, match=r"'cleen'(.|\n)*'R7'"):
        import_labels(desk, "last", path)
    path.write_text(json.dumps(good) + "\n" + json.dumps({**good, "case": "case 1"}))
    with pytest.raises(DataError, match="adjudicator has decided"):
        import_labels(desk, "last", path)
    with pytest.raises(DataError, match="ana's alone"):
        import_labels(desk, "last", path, "ana")
    assert desk.progress(desk.seat_of("last", "ben")).done == 2
    with pytest.raises(ConfigError, match=r"\.jsonl"):
        import_labels(desk, "last", tmp_path / "labels.xlsx")


def test_what_was_said_later_stays(desk: Desk, tmp_path: Path) -> None:
    """An old file does not take back what a person has said since; a newer one changes it and says so."""
    path = tmp_path / "labels.jsonl"
    export_labels(desk, "last", path)
    desk.save(desk.seat_of("last", "ana"), "case 2", label="clean")
    result = import_labels(desk, "last", path)
    assert (result.older, result.unchanged, result.changes) == (1, 6, ())
    line = {"case": "case 2", "annotator": "ana", "round": "first", "label": "angry", "at": "2999-01-01"}
    path.write_text(json.dumps(line))
    result = import_labels(desk, "last", path)
    assert result.changes == ("case 2, ana: clean -> angry",)
    assert result.to_dict()["changes"] == ["case 2, ana: clean -> angry"]
    assert desk.labelled("last")[2].annotations[0].label == "angry"


def test_labels_come_back_after_their_words_were_erased(desk: Desk, tmp_path: Path) -> None:
    """A file from before an erasure brings labels, and no erased word."""
    path = tmp_path / "labels.jsonl"
    export_labels(desk, "last", path)
    desk._store.forget("c1")
    result = import_labels(desk, "last", path)
    assert (result.unchanged, result.erased, result.changes) == (7, 0, ())
    assert desk.labelled("last")[1].annotations[1].note == ""
    with Store(redaction=PLAIN) as store:
        other = opened(store, *make(3, practice=1))
        store.forget("c1")
        result = import_labels(other, "last", path)
        assert (result.added, result.erased) == (7, 2)
        assert [(one.label, one.note, one.evidence) for one in other.labelled("last")[1].annotations] == [
            ("clean", "", ()),
            ("angry", "", ()),
        ]


def test_a_sheet_shows_no_other_persons_labels(desk: Desk, tmp_path: Path) -> None:
    """A row for each of ben's cases with what may be seen; formulas are guarded; ana's labels are nowhere."""
    path = tmp_path / "ben.csv"
    assert export_labels(desk, "last", path, "ben") == 4
    text = path.read_text("utf-8-sig")
    rows = list(csv.DictReader(text.splitlines(keepends=True)))
    assert [row["label"] for row in rows] == ["refused", "angry", "", ""]
    assert [row["practice"] for row in rows] == ["yes", "no", "no", "no"]
    assert rows[3]["shown_rationale"] == "reason 3"
    assert rows[3]["transcript"].endswith("[2] user: A person, please!")
    for secret in (SECRET, "ana", "R1", "1+1", "no idea"):
        assert secret not in text
    export_labels(desk, "last", path, "ana")
    assert '"\'=1+1"' in path.read_text("utf-8-sig")
    with pytest.raises(ConfigError, match="say whose: ana, ben, cara"):
        export_labels(desk, "last", path)


def test_the_adjudicators_sheet_holds_what_people_said(desk: Desk, tmp_path: Path) -> None:
    """Cases on which people differ, with both labels and notes; its labels come back as decisions."""
    path = tmp_path / "cara.csv"
    desk.undo(desk.seat_of("last", "cara"))
    export_labels(desk, "last", path, "cara")
    (row,) = csv.DictReader(path.read_text("utf-8-sig").splitlines(keepends=True))
    assert "ana: clean (R1) =1+1" in row["said"]
    assert "ben: angry" in row["said"]

    def decide(rows: list[list[str]]) -> None:
        rows[1][4] = "refused"

    rewritten(path, decide)
    assert import_labels(desk, "last", path).added == 1
    assert desk.labelled("last")[1].truth_from == "adjudicated"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_sheet_comes_back_from_a_spreadsheet(desk: Desk, tmp_path: Path, delimiter: str) -> None:
    """Labels in any case, other delimiters; what was there stays with its time; empty rows take nothing back."""
    path = tmp_path / "ben.csv"
    export_labels(desk, "last", path, "ben")

    def fill(rows: list[list[str]]) -> None:
        rows[1][4] = ""
        rows[2][6] = "another note"
        rows[3][4:7] = ["CLEAN", "r2", "'quoted'"]
        rows[4][7] = "not my field"

    desk.undo(desk.seat_of("last", "cara"))
    rewritten(path, fill, delimiter)
    result = import_labels(desk, "last", path)
    assert (result.added, result.empty, result.unchanged) == (2, 1, 0)
    assert result.changes == ("case 1, ben: angry -> angry",)
    kept = desk.labelled("last")
    assert kept[0].annotations[1].label == "refused"
    assert kept[1].annotations[1].evidence == (Evidence("A person", 2, True),)
    assert [one.label for one in kept[2].annotations] == ["refused", "clean"]
    assert (kept[2].annotations[1].rule, kept[2].annotations[1].note) == ("R2", "'quoted'")
    assert kept[2].annotations[1].blind is True
    assert [skip.why for skip in kept[3].skips] == ["no idea", "not my field"]
    again = import_labels(desk, "last", path)
    assert (again.added, again.changes, again.unchanged) == (0, (), 3)


def test_all_mistakes_of_a_sheet_are_listed(desk: Desk, tmp_path: Path) -> None:
    """A wrong label and rule, a row of another session, a double row, a rule without a label; nothing is taken."""
    path = tmp_path / "ben.csv"
    export_labels(desk, "last", path, "ben")

    def spoil(rows: list[list[str]]) -> None:
        rows[3][4:6] = ["cleen", "R8"]
        rows[4][5] = "R1"
        rows.append(list(rows[1]))
        rows.append(["case 77", "ben", "", "", "clean", "", "", ""])

    rewritten(path, spoil)
    with pytest.raises(DataError) as caught:
        import_labels(desk, "last", path)
    for part in ("'cleen'", "'R8'", "give a label", "stands on line 2 already", "'case 77'"):
        assert part in str(caught.value), part
    assert desk.progress(desk.seat_of("last", "ben")).done == 2
    with pytest.raises(DataError, match="should be ana's"):
        import_labels(desk, "last", path, "ana")
    path.write_text("case_id,annotator,label\ncase 2,zoe,clean\n")
    with pytest.raises(DataError, match="'zoe'"):
        import_labels(desk, "last", path)
    path.write_text("case_id,annotator,label\ncase 2,,clean\n")
    with pytest.raises(DataError, match="says nowhere whose"):
        import_labels(desk, "last", path)
    assert import_labels(desk, "last", path, "ben").added == 1
    path.write_text("case,label\n1,clean\n")
    with pytest.raises(DataError, match="case_id and annotator"):
        import_labels(desk, "last", path, "ben")


def test_an_import_is_shown_in_words(desk: Desk, tmp_path: Path) -> None:
    """Counts as a table of 60 columns, and each change in a line."""
    from io import StringIO

    from rich.console import Console

    path = tmp_path / "labels.jsonl"
    line = {"case": "case 2", "annotator": "ana", "round": "first", "label": "angry", "rule": "R2"}
    path.write_text(json.dumps(line))
    result = import_labels(desk, "last", path)
    console = Console(file=StringIO(), width=60)
    console.print(rich_table(result._table()))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "case 2, ana: refused by R1 -> angry by R2" in text
    assert max(map(len, text.splitlines())) <= 60


def test_a_tasks_labels_become_examples_with_their_design(tmp_path: Path) -> None:
    """What counts is the label, single labels stand with it; undecided cases are stood for by their stratum."""
    with Store(redaction=PLAIN) as store:
        desk = opened(store, *task_session(4, practice=1))
        ana, ben = desk.seat_of("last", "ana"), desk.seat_of("last", "ben")
        for number, (one, two) in enumerate(
            [("clean", "clean"), ("refused", "refused"), ("clean", "clean"), ("clean", "refused"), ("clean", "clean")]
        ):
            desk.save(ana, f"case {number}", label=one, evidence=[Evidence("A person", 2)])
            desk.save(ben, f"case {number}", label=two)
        found = examples_of(desk.session("last"), desk.labelled("last"))
        assert [example.conversation_id for example in found.examples] == ["c1", "c2", "c4"]
        assert [example.labels for example in found.examples] == [
            {"refusal": "refused"}, {"refusal": "clean"}, {"refusal": "clean"},
        ]  # fmt: skip
        first = found.examples[0]
        assert (first.turn, first.evidence_turns, first.group) == (2, (2,), f"{SECRET} group 0")
        assert [one.annotator for one in first.annotations] == ["ana", "ben"]
        assert first.inclusion_probability == pytest.approx(0.123456 * 3 / 4)
        assert found.design.kind == "stratified"
        assert found.design.strata == (Stratum(f"{SECRET} stratum", 40, 3),)
        assert [example.conversation_id for example in found.unlabelled] == ["c3"]
        assert found.unlabelled[0].labels == {}
        path = tmp_path / "labels.jsonl"
        assert write_examples(path, found.examples) == 3
        assert read_examples(path).examples == found.examples


def test_soft_labels_are_lines_and_names_stay_hidden(tmp_path: Path) -> None:
    """One line a case with shares and probabilities that sum to 1; people are called as in reports; practice is out."""
    with Store() as store:
        session, conversations = task_session(3, practice=1)
        desk = opened(store, replace(session, hide_names=True), conversations)
        for name, said in (("ana", "clean refused clean"), ("ben", "clean refused refused")):
            for number, label in enumerate(said.split()):
                desk.save(desk.seat_of("last", name), f"case {number + 1}", label=label)
        path = tmp_path / "soft.jsonl"
        found = export_soft(desk.session("last"), desk.labelled("last"), path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["case"] for row in rows] == ["case 1", "case 2", "case 3"]
    assert rows[1]["shares"] == {"refused": 1, "angry": 0, "clean": 0} and rows[1]["truth"] == "refused"
    assert rows[2]["shares"]["clean"] == rows[2]["shares"]["refused"] == 0.5 and rows[2]["truth"] is None
    assert all(sum(row["probabilities"].values()) == pytest.approx(1) for row in rows)
    assert rows[2]["entropy"] > rows[0]["entropy"] >= 0
    assert [one.annotator for one in found.annotators] == ["A1", "A2"]
    assert "ana" not in json.dumps(found.to_dict())


@pytest.mark.parametrize(("design", "kind"), [("random", "random"), ("class_balanced", "class_balanced")])
def test_other_designs_are_stated_as_they_are(design: SessionDesign, kind: str) -> None:
    """Drawn at random is random; drawn by label says that it knows no prevalence."""
    with Store() as store:
        desk = opened(store, *task_session(2, design=design, people=("ana",), adjudicator=""))
        desk.save(desk.seat_of("last", "ana"), "case 0", label="clean")
        found = examples_of(desk.session("last"), desk.labelled("last"))
        assert (found.design.kind, len(found.examples)) == (kind, 1)


def test_only_labels_that_count_make_examples(desk: Desk) -> None:
    """A judge's verdicts are no labels of conversations; a session without a label has no examples."""
    with pytest.raises(ConfigError, match="judge's session"):
        examples_of(desk.session("last"), desk.labelled("last"))
    with Store() as store:
        empty = opened(store, *task_session(1))
        with pytest.raises(DataError, match="no case has a label"):
            examples_of(empty.session("last"), empty.labelled("last"))


def test_a_session_of_one_person_has_one_sheet(tmp_path: Path) -> None:
    """Whose it is needs no saying where only one person labels."""
    with Store() as store:
        session, conversations = make(1, people=("ana",), adjudicator="")
        desk = opened(store, replace(session, per_item=1), conversations)
        assert export_labels(desk, "last", tmp_path / "a.csv") == 1
        result = import_labels(desk, "last", tmp_path / "a.csv")
        assert (result.added, result.empty) == (0, 1)
