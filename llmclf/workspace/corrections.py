"""From a verdict back to the data: a label that is wrong is put right, a false alarm becomes a hard negative."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llmclf.config import DatasetFile, files
from llmclf.data.files import atomic_writer, file_error
from llmclf.data.parse import parse_line
from llmclf.data.read import read_examples
from llmclf.data.write import write_examples
from llmclf.errors import ConfigError, DataError, nearest
from llmclf.store.moments import utc_text
from llmclf.types import Annotation, Example, Task
from llmclf.types.hashing import plain
from llmclf.workspace.feedback_files import add_conversations, feedback_files, one_at_a_time, write_dataset_file
from llmclf.workspace.run_results import RunResult
from llmclf.workspace.showing import VerdictInFull
from llmclf.workspace.verdicts import said_of, score_of

FORMER = "former label"
"""The annotator under whom a label is kept that nobody's annotation stands for."""
_STYLES = tuple(
    {"ensure_ascii": ascii_only, "separators": separators}
    for ascii_only in (False, True)
    for separators in (None, (",", ":"))
)
"""How JSON is commonly written: a line that was written so is written so again."""


@dataclass(frozen=True)
class Relabelled:
    """A label that was put right in its file."""

    item: str
    dataset: str
    path: Path
    before: str
    after: str
    annotations: int
    """How many annotations of the item stand in the file now."""
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {**plain(self), "path": str(self.path)}


@dataclass(frozen=True)
class HardNegative:
    """An item that stands in a dataset of hard negatives."""

    item: str
    dataset: str
    path: Path
    """The dataset file."""
    added: bool
    """False where it stood there already: nothing was changed."""
    items: int
    """How many the dataset holds now."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {**plain(self), "path": str(self.path), "added": self.added}


def relabel(
    verdict: VerdictInFull, label: str, by: str, *, workspace: Path | None, rule: str = "", note: str = ""
) -> Relabelled:
    """Writes `label` as the item's label into its labels file, with an annotation of who said so and why.

    The former label stays as an annotation, and every other line stays byte for byte. Raises ConfigError that
    lists everything that is wrong with the request: a label outside the closed set, an unknown rule, nobody's
    name, a dataset that is packaged or has no labels file; DataError where the file does not hold the item.
    """
    _result(verdict)
    task = verdict.task
    path, problems = _labels_file(verdict.dataset, workspace)
    before = verdict.true_label or ""
    problems += _request_problems(task, by, rule)
    if label not in task.label_names:
        problems.append(f"{label!r} is no label of task {task.name}: {nearest(label, task.label_names)}")
    elif label == before:
        problems.append(f"{verdict.prediction.item} is labelled {label} already")
    if problems or path is None:
        raise ConfigError("the label stays as it is", where=str(verdict.prediction.item), problems=problems)
    said = _annotation(verdict, label, by, rule, note)

    def change(row: dict[str, Any]) -> None:
        given = row.get("annotations", [])
        if not any(one["task"] == task.name and one["label"] == before for one in given):
            # Not blind: whoever gave it, it is no independent vote beside the correction.
            why = "the label before it was changed; who gave it is not known"
            first = Annotation(FORMER, task.name, before, note=why, blind=False)
            given = [*given, plain(first)]
        others = [one for one in given if (one["annotator"], one["task"]) != (said.annotator, said.task)]
        row["labels"][task.name] = label
        row["annotations"] = [*others, plain(said)]

    changed = _change_line(path, verdict.prediction.item, change)
    return Relabelled(
        str(verdict.prediction.item),
        verdict.dataset,
        path,
        before,
        label,
        len(changed.annotations),
        tuple(_after_words(changed, verdict)),
    )


def add_hard_negative(
    verdict: VerdictInFull, by: str, *, workspace: Path, to: str = "hard_negatives", note: str = ""
) -> HardNegative:
    """Adds the item, with its conversation, to the workspace's dataset `to`, which is made where there is none.

    Its history (run, classifier, score, who, when) is in an annotation. Nothing changes where the item stands
    there already. Raises ConfigError for a target: that is no negative.
    """
    result, task, example = _result(verdict), verdict.task, verdict.example
    assert example is not None  # a result has examples
    problems = _request_problems(task, by, "")
    if verdict.true_label == task.target:
        problems.append(f"{example.item} is labelled {task.target}, the target: put its label right first (--relabel)")
    if to == result.dataset.name:
        problems.append(f"{example.item} is of the dataset {to} itself")
    if problems:
        raise ConfigError("it can't be a hard negative", where=str(example.item), problems=problems)
    dataset_path, conversations, labels = feedback_files(to, workspace, where="--to")
    prediction = verdict.prediction
    history = (
        f"hard negative of {result.dataset.name}: {prediction.classifier_id} said {said_of(prediction, task)}"
        f"{', ' + score_of(prediction) if score_of(prediction) else ''} (run {result.name})"
    )
    said = _annotation(verdict, example.labels[task.name], by, "", f"{history}; {note}" if note else history)
    added = replace(
        example,
        stratum="",
        inclusion_probability=None,
        group=example.group_or_conversation,
        pair="",
        annotations=(*(one for one in example.annotations if not _same_voice(one, said)), said),
    )
    with one_at_a_time(workspace):
        before = read_examples(labels).examples if labels.is_file() else ()
        new = not any(one.item == example.item for one in before)
        if new:
            add_conversations(conversations, [result.dataset.conversation(example)], where="--to")
            write_examples(labels, (*before, added))
    if not dataset_path.is_file():  # also where an earlier run was killed before it came to that
        what = f"Verdicts that were false alarms, or nearly: {task.name} must stay quiet on them."
        write_dataset_file(dataset_path, to, what, "a classifier was wrong on them")
    return HardNegative(str(example.item), to, dataset_path, new, len(before) + new)


def _result(verdict: VerdictInFull) -> RunResult:
    if verdict.result is None:
        raise ConfigError(
            "this run was not made on a dataset: there is no label to change",
            where=str(verdict.prediction.item),
            fix="name an item of a run of `llmclf evaluate` or `llmclf sweep run`",
        )
    return verdict.result


def _request_problems(task: Task, by: str, rule: str) -> list[str]:
    problems = []
    if not by.strip():
        problems.append("nobody's name is given: say --by NAME")
    rules = [one.id for label in task.labels for one in label.rules]
    if rule and rule not in rules:
        known = nearest(rule, rules) if rules else "it has none"
        problems.append(f"{rule!r} is no rule of task {task.name}: {known}")
    return problems


def _annotation(verdict: VerdictInFull, label: str, by: str, rule: str, note: str) -> Annotation:
    """What somebody says who has the classifier's answer before them.

    It takes the place of what they said before, which its note tells: agreement counts a person once.
    """
    task = verdict.task
    said = Annotation(
        by.strip(), task.name, label, rule, note, blind=False, at=utc_text(), guideline=task.guideline.version
    )
    before = [one for one in verdict.example.annotations if _same_voice(one, said)] if verdict.example else []
    told = [f"before: {_in_words(one)}" for one in before]
    return replace(said, note="; ".join([*([note] if note else []), *told]))


def _same_voice(one: Annotation, other: Annotation) -> bool:
    return (one.annotator, one.task) == (other.annotator, other.task)


def _in_words(one: Annotation) -> str:
    parts = [one.label, one.rule, one.at[:10], "blind" if one.blind else "", f"({one.note})" if one.note else ""]
    return " ".join(part for part in parts if part)


def _after_words(changed: Example, verdict: VerdictInFull) -> list[str]:
    """What somebody who changes labels must know."""
    task = verdict.task
    words = []
    label = changed.labels[task.name]
    if label != task.target and changed.failure_modes:
        words.append(f"failure_modes {', '.join(changed.failure_modes)} still stand on the line: take them out by hand")
    if label == task.target and not changed.failure_modes and task.failure_modes:
        words.append("it has no failure_modes yet: write them into the line, or recall by mode leaves it out")
    words.append(
        "labels that are looked at again only where a classifier disagrees make it look better than it is: "
        "have some read again on which it agreed, too"
    )
    return words


# --- the labels file --------------------------------------------------------------------------


def _labels_file(name: str, workspace: Path | None) -> tuple[Path | None, list[str]]:
    """(labels file of a dataset, why it can't be changed)."""
    found = files.find("dataset", name, workspace)
    file: DatasetFile = files.load("dataset", found.path)
    if not file.labels:
        return None, [f"dataset {name} has no labels file ({found.path})"]
    path = (found.path.parent / file.labels).resolve()
    if found.origin == "packaged":
        return None, [
            f"dataset {name} is packaged with llmclf and is never changed; for a copy of it in your workspace: "
            f"llmclf data split {name} --part {name}=1 --out configs/datasets"
        ]
    if not os.access(path, os.W_OK):
        return None, [f"{path} is read-only"]
    return path, []


def _change_line(path: Path, item: tuple[str, int | None], change: Callable[[dict[str, Any]], None]) -> Example:
    """Changes the line about `item`, and no other byte of the file; the example as it stands then."""
    try:
        before = path.read_bytes()
    except OSError as error:
        raise file_error(path, error) from error
    packed = before.startswith(b"\x1f\x8b")
    lines = (gzip.decompress(before) if packed else before).split(b"\n")
    for number, line in enumerate(lines):
        example = parse_line(line.removeprefix(b"\xef\xbb\xbf"), Example) if line.strip() else []
        if isinstance(example, Example) and example.item == item:
            lines[number], changed = _changed(line, change, path, number + 1)
            break
    else:
        raise DataError("no line is about this item", where=str(path), got=str(item), fix="was it taken out meanwhile?")
    after = b"\n".join(lines)
    with atomic_writer(path) as file:
        file.write(gzip.compress(after, mtime=0) if packed and path.suffix != ".gz" else after)
        if path.read_bytes() != before:
            raise DataError("somebody else changed the file just now", where=str(path), fix="run the same again")
    return changed


def _changed(line: bytes, change: Callable[[dict[str, Any]], None], path: Path, number: int) -> tuple[bytes, Example]:
    """The line with its row changed, in the style it was written in, and the example it is then."""
    mark = b"\xef\xbb\xbf" if line.startswith(b"\xef\xbb\xbf") else b""
    words = line.removeprefix(mark)
    end = words[len(words.rstrip()) :]
    row = json.loads(words)
    style = next((one for one in _STYLES if _dumped(row, one) == words.strip()), _STYLES[0])
    change(row)
    made = _dumped(row, style)
    example = parse_line(made, Example)
    if not isinstance(example, Example):
        problems = [fault.what for fault in example]
        raise DataError("the changed line could not be read again", where=f"{path} line {number}", problems=problems)
    return mark + made + end, example


def _dumped(row: dict[str, Any], style: dict[str, Any]) -> bytes:
    return json.dumps(row, **style).encode("utf-8", "surrogatepass")
