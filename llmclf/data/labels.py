"""Label sheets: a CSV that people fill in, and the way back to examples."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from llmclf.data.design import thinned
from llmclf.data.files import atomic_writer, file_error
from llmclf.data.sample import Sample
from llmclf.data.spreadsheet import displayed, guarded, unguarded
from llmclf.errors import DataError, nearest, shorten
from llmclf.render.conversation import Window, transcript, visible_turns
from llmclf.types import Conversation, Design, Example, Item, Source, Task

SHEET_COLUMNS = (
    "conversation_id",
    "turn",
    "label",
    "evidence_turns",
    "failure_modes",
    "note",
    "stratum",
    "inclusion_probability",
    "transcript",
)
_NEEDED = ("conversation_id", "label")
_TRANSCRIPT = Window(max_characters=31_000)
_LISTED = 200
_GOT = 60


@dataclass(frozen=True)
class LabelImport:
    """What came back in a label sheet."""

    examples: tuple[Example, ...]
    """The labelled ones, in the order of the sample, with stratum and inclusion probability."""
    unlabelled: tuple[Example, ...]
    """Drawn and not labelled: kept apart, and never negatives."""
    design: Design
    """Of the labelled ones: where some are missing, those of the same stratum stand for them."""
    notes: tuple[str, ...] = ()


def write_label_sheet(
    sample: Sample | Sequence[Example],
    conversations: Mapping[str, Conversation],
    path: str | Path,
    task: Task,
) -> int:
    """Writes a CSV with one row for each example, for people to fill in, and returns how many rows.

    UTF-8 with a byte order mark, so that spreadsheets show it right; text that a spreadsheet would
    compute has an apostrophe before it. `label` is empty; `transcript` is what may be seen for the
    task, its front left out where it is longer than a cell. A new file is its owner's alone (mode 0600).
    DataError where a conversation is missing.
    """
    examples = _examples(sample)
    missing = sorted({example.conversation_id for example in examples} - set(conversations))
    if missing:
        problems = [shorten(id, _GOT) for id in missing[:_LISTED]]
        raise DataError(
            f"conversations of the sample that are not there: {len(missing)}", where=str(path), problems=problems
        )
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(SHEET_COLUMNS)
    for example in examples:
        writer.writerow(_row(example, conversations[example.conversation_id], task))
    try:
        data = text.getvalue().encode("utf-8-sig")
    except UnicodeEncodeError as error:
        raise DataError("an id or stratum holds half a character (a lone surrogate)", where=str(path)) from error
    with atomic_writer(Path(path), private=True) as file:
        file.write(data)
    return len(examples)


def import_labels(
    sheet: str | Path,
    sample: Sample | Sequence[Example],
    task: Task,
    *,
    conversations: Mapping[str, Conversation] | None = None,
    source: Source = "gold",
    partial: bool = False,
) -> LabelImport:
    """The labels of a filled-in sheet, joined to the sample they were drawn with.

    Stratum and inclusion probability come from the sample, never from the sheet. Comma, semicolon
    and tab are understood, as spreadsheets save them. Rows without a label are kept apart.

    Args:
        sheet: The CSV that came back.
        sample: What `write_label_sheet` was given.
        task: Whose closed set the labels must be of (upper and lower case alike).
        conversations: Where given, evidence turns must exist in them.
        source: Who says so: `gold` for people.
        partial: True for a sheet that holds only a part of the sample; the rest is unlabelled.

    Raises DataError that lists every label outside the closed set, every missing, doubled or unknown
    row, and every cell that can't be read; and where no row has a label.
    """
    path = Path(sheet)
    drawn = {example.item: example for example in _examples(sample)}
    problems: list[str] = []
    rows = _joined(sheet_rows(path, _NEEDED), drawn, problems)
    missing = [] if partial else [item for item in drawn if item not in rows]
    problems += [f"{_name(item)}: its row is missing" for item in missing]
    labelled: dict[Item, Example] = {}
    for item, (line, cells) in rows.items():
        example = _labelled(drawn[item], cells, task, conversations, source, f"line {line}, {_name(item)}", problems)
        if example is not None:
            labelled[item] = example
    if problems:
        shown = problems[:_LISTED] + ([f"and {len(problems) - _LISTED} more"] if len(problems) > _LISTED else [])
        fix = "a sheet that holds only a part of the sample is taken with partial=True (--partial)" if missing else ""
        raise DataError(f"mistakes in the sheet: {len(problems)}", where=str(path), problems=shown, fix=fix)
    if not labelled:
        fix = f"fill in the column `label`: {', '.join(task.label_names)}"
        raise DataError("no row of the sheet has a label", where=str(path), fix=fix)
    return labels_of(list(drawn.values()), labelled, sample.design if isinstance(sample, Sample) else Design())


def labels_of(drawn: Sequence[Example], labelled: Mapping[Item, Example], design: Design) -> LabelImport:
    """Of the examples that were drawn those that are labelled, in their order, with a design that fits them."""
    kept = [index for index, example in enumerate(drawn) if example.item in labelled]
    unlabelled = tuple(example for example in drawn if example.item not in labelled)
    examples = tuple(labelled[drawn[index].item] for index in kept)
    if not unlabelled:
        return LabelImport(examples, unlabelled, design)
    by_stratum = Counter(example.stratum for example in unlabelled)
    named = ", ".join(f"{name}: {count}" for name, count in sorted(by_stratum.items()) if name)
    note = f"{len(unlabelled)} of {len(drawn)} drawn were not labelled" + (f" ({named})" if named else "")
    everything = [labelled.get(example.item, example) for example in drawn]
    examples, design = thinned(everything, kept, design, note)
    return LabelImport(examples, unlabelled, design, (f"{note}; those labelled of the same stratum stand for them.",))


def _examples(sample: Sample | Sequence[Example]) -> Sequence[Example]:
    return sample.examples if isinstance(sample, Sample) else sample


def _row(example: Example, conversation: Conversation, task: Task) -> list[str]:
    shown = transcript(visible_turns(conversation, task, example.turn), _TRANSCRIPT)
    text = ("[earlier turns left out]\n" if shown.truncated else "") + shown.text
    chance = example.inclusion_probability
    return [
        guarded(example.conversation_id, is_id=True),
        "" if example.turn is None else str(example.turn),
        "",
        "",
        "",
        "",
        guarded(example.stratum),
        "" if chance is None else f"{chance:.6g}",
        displayed(text),
    ]


def sheet_rows(path: Path, needed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """(line, cells by column) of a sheet as any spreadsheet saved it; blank rows left out.

    DataError where it can't be read, or has no column of a `needed` name.
    """
    text = _sheet_text(path)
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[tuple[int, dict[str, str]]] = []
    limit = csv.field_size_limit(len(text) + 1)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        missing = [name for name in needed if name not in header]
        if missing:
            raise DataError(
                f"no column {' and '.join(missing)}",
                where=str(path),
                got=shorten(header, _GOT),
                fix="keep the first row",
            )
        line = reader.line_num
        for values in reader:
            if any(value.strip() for value in values):
                rows.append((line + 1, dict(zip(header, values, strict=False))))
            line = reader.line_num
    except csv.Error as error:
        raise DataError(f"not CSV ({error})", where=f"{path}, line {reader.line_num}") from error
    finally:
        csv.field_size_limit(limit)
    return rows


def _sheet_text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise file_error(path, error) from error
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        fix = "save it as CSV UTF-8 (in Excel: Save as, CSV UTF-8)"
        raise DataError("the sheet is not UTF-8", where=str(path), fix=fix) from error


def _joined(
    rows: Sequence[tuple[int, dict[str, str]]], drawn: Mapping[Item, Example], problems: list[str]
) -> dict[Item, tuple[int, dict[str, str]]]:
    found: dict[Item, tuple[int, dict[str, str]]] = {}
    ids = {item.conversation_id for item in drawn}
    for line, cells in rows:
        item = _item(cells, ids, line, problems)
        if item is None:
            continue
        if item not in drawn:
            problem = f"line {line}: {_name(item)} is not in the sample: was the id or turn changed?"
            if item.conversation_id not in ids and len(problems) < _LISTED:  # looking for the nearest takes long
                problem += f" {_hint(item.conversation_id, sorted(ids))}"
            problems.append(problem)
        elif item in found:
            problems.append(f"line {line}: {_name(item)} stands on line {found[item][0]} already")
        else:
            found[item] = (line, cells)
    return found


def _item(cells: Mapping[str, str], ids: set[str], line: int, problems: list[str]) -> Item | None:
    cell = cells.get("conversation_id", "")
    id = unguarded(cell, is_id=True)
    # A spreadsheet may have eaten the apostrophe, or put a space at an end.
    id = next((one for one in (id, cell, id.strip(), cell.strip()) if one in ids), id)
    turn = cells.get("turn", "").strip()
    if not turn:
        return Item(id)
    number = re.fullmatch(r"(\d{1,9})(?:[.,]0+)?", turn)
    if number is None:
        problems.append(f"line {line}: turn {shorten(turn, _GOT)} is no number")
        return None
    return Item(id, int(number[1]))


def _labelled(
    example: Example,
    cells: Mapping[str, str],
    task: Task,
    conversations: Mapping[str, Conversation] | None,
    source: Source,
    where: str,
    problems: list[str],
) -> Example | None:
    """The example with what the row says; None where it says nothing, or something wrong."""
    text = unguarded(cells.get("label", "").strip())
    before = len(problems)
    turns = _evidence(cells.get("evidence_turns", ""), example, conversations, where, problems)
    modes = _modes(cells.get("failure_modes", ""), task, where, problems)
    if not text:
        if turns or modes:
            problems.append(f"{where}: evidence or failure modes and no label")
        return None
    label = choice_of(text, task.label_names)
    if label is None:
        problems.append(
            f"{where}: label {shorten(text, _GOT)} is not of task {task.name}; {nearest(text, task.label_names)}"
        )
    elif modes and label != task.target:
        problems.append(f"{where}: failure modes stand on {task.target} only, not on {label}")
    if label is None or len(problems) > before:
        return None
    note = unguarded(cells.get("note", "")) or example.note
    labels = {**example.labels, task.name: label}
    return replace(example, labels=labels, evidence_turns=turns, failure_modes=modes, note=note, source=source)


def _evidence(
    text: str,
    example: Example,
    conversations: Mapping[str, Conversation] | None,
    where: str,
    problems: list[str],
) -> tuple[int, ...]:
    words = unguarded(text.strip()).replace(",", " ").replace(";", " ").split()
    wrong = [word for word in words if not re.fullmatch(r"\d{1,9}", word)]
    if wrong:
        problems.append(f"{where}: evidence_turns {shorten(' '.join(wrong), _GOT)}: give numbers from 0, as 3 5")
        return ()
    turns = tuple(dict.fromkeys(int(word) for word in words))
    if conversations is not None and example.conversation_id in conversations:
        count = len(conversations[example.conversation_id].turns)
        beyond = [turn for turn in turns if turn >= count]
        if beyond:
            problems.append(f"{where}: no turn {beyond[0]} (turns count from 0 to {count - 1})")
    return turns


def _modes(text: str, task: Task, where: str, problems: list[str]) -> tuple[str, ...]:
    known = [mode.name for mode in task.failure_modes]
    found: list[str] = []
    for word in re.split(r"[,;]", unguarded(text.strip())):
        if not word.strip():
            continue
        mode = choice_of(word.strip(), known) if known else word.strip()
        if mode is None:
            problems.append(f"{where}: failure mode {shorten(word.strip(), _GOT)} is unknown; {nearest(word, known)}")
        else:
            found.append(mode)
    return tuple(dict.fromkeys(found))


def choice_of(text: str, choices: Sequence[str]) -> str | None:
    """The choice that `text` names; another case is accepted where it leaves no doubt."""
    if text in choices:
        return text
    alike = [choice for choice in choices if choice.casefold() == text.casefold()]
    return alike[0] if len(alike) == 1 else None


def _hint(id: str, ids: Sequence[str]) -> str:
    """The id of the sample that a spreadsheet may have turned into `id`."""
    digits = re.sub(r"\D", "", id).lstrip("0")
    same = [one for one in ids if digits and re.sub(r"\D", "", one).lstrip("0") == digits]
    return f"did you mean {shorten(same[0], _GOT)}?" if same else nearest(id[:100], ids[:2000])[:200]


def _name(item: Item) -> str:
    return shorten(str(item), _GOT)
