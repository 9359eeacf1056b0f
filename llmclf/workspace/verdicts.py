"""The wrong verdicts of a run as a list: what to look at first, and how many there are."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmclf.errors import ConfigError, nearest
from llmclf.evaluation.matching import match
from llmclf.evaluation.slicing import cuts
from llmclf.evaluation.wrong import MEANINGS, WRONG_KINDS, Wrong, WrongKind, kind_name, verdicts_of, wrong_predictions
from llmclf.render.conversation import for_terminal
from llmclf.render.tables import counted
from llmclf.store import Store
from llmclf.types import Item, Prediction, Predictions, Task, said_label
from llmclf.workspace.run_results import RunResult, cell_numbers

_SHORT = 100
_RUN_DIGITS = 12
"""Of a run's id: its first twelve are the millisecond it began in, so a later run does not begin so."""
_VALUES_NAMED = 12


@dataclass(frozen=True)
class WrongList:
    """The wrong verdicts of a run, by kind; of a part of its items where slices were asked for."""

    run: str
    """What names the run, or the cell, again."""
    label: str
    dataset: str
    task: Task
    items: int
    """How many verdicts were looked at."""
    right: int
    """How many of them are right."""
    wrong: Mapping[WrongKind, Sequence[Wrong]] = field(repr=False)
    """Every wrong verdict of the kinds that were asked for, the surest mistakes first."""
    slices: tuple[str, ...] = ()
    limit: int = 20
    """So many of each kind are listed; the rest is counted."""
    notes: tuple[str, ...] = ()

    @property
    def listed(self) -> list[Wrong]:
        """The first `limit` of each kind."""
        return [wrong for wrongs in self.wrong.values() for wrong in wrongs[: self.limit]]

    @property
    def title(self) -> str:
        """What this is a list of, in one line."""
        part = f" with {' and '.join(self.slices)}" if self.slices else ""
        return f"{self.label} on {self.dataset}: {counted(self.items, 'item')}{part}, {self.right} right"

    def to_dict(self) -> dict[str, Any]:
        """The list as JSON types: counts of every kind, and the first `limit` verdicts of each."""
        return {
            "run": self.run,
            "label": self.label,
            "dataset": self.dataset,
            "task": self.task.name,
            "slices": list(self.slices),
            "items": self.items,
            "right": self.right,
            "counts": {kind: len(wrongs) for kind, wrongs in self.wrong.items()},
            "verdicts": [_row(wrong, self.task) for wrong in self.listed],
            "notes": list(self.notes),
        }

    def __rich_console__(self, console: Any, options: Any) -> Iterable[Any]:
        from rich.padding import Padding
        from rich.text import Text

        yield Text(for_terminal(self.title), style="bold")
        for note in self.notes:
            yield Text(for_terminal(f"- {note}"), style="yellow")
        for kind, wrongs in self.wrong.items():
            name = kind_name(kind, len(wrongs))
            yield Text(f"\n{len(wrongs)} {name}{': ' + MEANINGS[kind] if wrongs else ''}")
            for wrong in wrongs[: self.limit]:
                yield Padding(Text(for_terminal(_line(wrong, self.task))), (0, 0, 0, 2), expand=False)
                if reason := reason_of(wrong.prediction):
                    yield Padding(Text(for_terminal(reason), style="dim"), (0, 0, 0, 6), expand=False)
            if len(wrongs) > self.limit:
                yield Text(f"  and {len(wrongs) - self.limit} more: --limit {len(wrongs)} lists them", style="dim")


def wrong_list(
    result: RunResult,
    run: str,
    kind: str | None = None,
    slices: Sequence[str] = (),
    limit: int = 20,
) -> WrongList:
    """The wrong verdicts of a run: of one kind (`missed`, `false-alarm`, `failed`, `ungrounded`), or of all.

    `slices` are `KEY=VALUE`: label, failure_mode, length, source, stratum, language, or a name of metadata, with
    the values an evaluation's slices have; an item must fit all of them. `run` is what names the run for people.
    ConfigError lists every slice that fits nothing, with what there is.
    """
    kinds = WRONG_KINDS if kind is None else (_kind(kind),)
    predictions, part = result.predictions, result.dataset
    if slices:
        keep = [int(row) for row in np.flatnonzero(_part(result, slices))]
        predictions, part = Predictions(predictions[row] for row in keep), part.pick(keep)
    found = wrong_predictions(predictions, part, result.task)
    outcomes = Counter(verdict for _, verdict in verdicts_of(predictions, part, result.task))
    return WrongList(
        run=run,
        label=result.label,
        dataset=result.dataset.name,
        task=result.task,
        items=len(predictions),
        right=outcomes["found"] + outcomes["quiet"],
        wrong={one: found[one] for one in kinds},
        slices=tuple(slices),
        limit=limit,
        notes=result_notes(result),
    )


def result_notes(result: RunResult) -> tuple[str, ...]:
    """What must be known of a run before its verdicts are judged."""
    notes = []
    if result.simulated:
        notes.append("SIMULATED: a made-up vendor answered; this says nothing about any model")
    if result.labels_changed:
        notes.append("the dataset has changed since the run: labels are as they stand now")
    if result.partial:
        asked = counted(len(result.predictions), "item")
        notes.append(f"only {asked} were asked: a race dropped this cell, or its run ended before")
    return tuple(notes)


def run_name(result: RunResult, store: Store) -> str:
    """The shortest thing that names the result again: the beginning of a run's id, and a cell's number."""
    others = [str(row["run_id"]) for row in store.query("SELECT run_id FROM runs WHERE run_id <> ?", [result.run_id])]
    digits = range(_RUN_DIGITS, len(result.run_id) + 1)
    short = next(
        (result.run_id[:count] for count in digits if not any(one.startswith(result.run_id[:count]) for one in others)),
        result.run_id,
    )
    if not result.cell_id:
        return short
    cells = store.cells(result.run_id)
    numbers = dict(zip((row["cell_id"] for row in cells), cell_numbers(cells), strict=True))
    return f"{short}/{numbers[result.cell_id]}"


def show_command(item: Item, run: str) -> str:
    """The command that shows an item, to be copied into a shell."""
    return f"llmclf show {shlex.quote(str(item))} --run {run}"


def said_of(prediction: Prediction, task: Task) -> str:
    """What a prediction comes to in a few words: the target where it flags, else another label; or how it failed."""
    if prediction.error is not None:
        return f"no answer ({prediction.error.kind})"
    return said_label(prediction.flagged, prediction.label, task.target)


def score_of(prediction: Prediction) -> str:
    """`score 0.93, threshold 0.50`; empty where there is no score."""
    if prediction.score is None:
        return ""
    limit = "" if prediction.threshold is None else f", threshold {prediction.threshold:.2f}"
    return f"score {prediction.score:.3f}{limit}"


def reason_of(prediction: Prediction) -> str:
    """The first quote of a prediction, or else its rationale or error, shortened."""
    if prediction.error is not None:
        return _shortened(prediction.error.message)
    if prediction.evidence:
        quote = next((one for one in prediction.evidence if not one.grounded), prediction.evidence[0])
        mark = "" if quote.grounded else " (NOT IN THE CONVERSATION)"
        return f'"{_shortened(quote.quote)}"{mark}'
    return _shortened(prediction.rationale)


def _part(result: RunResult, slices: Sequence[str]) -> NDArray[np.bool_]:
    """(items,) which fit every slice; ConfigError that lists each slice which names nothing there is."""
    inside = np.ones(len(result.dataset), bool)
    problems: list[str] = []
    for key, value in (text.partition("=")[::2] for text in slices):
        try:
            values = _values(result, key)
        except ConfigError as error:
            problems += [f"no such key: {problem}" for problem in error.problems]
            continue
        if value in values:
            inside &= values[value]
        else:
            problems.append(_no_such_value(key, value, values))
    if problems:
        raise ConfigError("no item fits", where="--slice", problems=problems, fix="say --slice KEY=VALUE")
    if not inside.any():
        raise ConfigError("no item fits all of these at once", where="--slice", got=list(slices))
    return inside


def _values(result: RunResult, key: str) -> dict[str, NDArray[np.bool_]]:
    """Value to the items that have it, (items,); as the slices of an evaluation, and the target's label besides."""
    dataset, task = result.dataset, result.task
    if key == "label":
        labels = np.array(dataset.labels(task.name), dtype=object)
        return {name: labels == name for name in task.label_names if (labels == name).any()}
    if key == "language" and not any(key in one.metadata for one in dataset.conversations.values()):
        return {task.language: np.ones(len(dataset), bool)}
    found = cuts(match(result.predictions, dataset, task), dataset, task, [key])
    return {cut.value: cut.inside for cut in found}


def _no_such_value(key: str, value: str, values: Mapping[str, NDArray[np.bool_]]) -> str:
    if not values:
        return f"no item has a {key}"
    counts = sorted(((int(inside.sum()), name) for name, inside in values.items()), reverse=True)
    common = ", ".join(f"{name} ({count})" for count, name in counts[:_VALUES_NAMED])
    more = f" and {len(counts) - _VALUES_NAMED} more" if len(counts) > _VALUES_NAMED else ""
    return f"{key}: no item has {value!r}; there are {common}{more}"


def _kind(given: str) -> WrongKind:
    for kind in WRONG_KINDS:
        if given.replace("-", "_") == kind:
            return kind
    names = [kind.replace("_", "-") for kind in WRONG_KINDS]
    raise ConfigError("there is no such kind of wrong verdict", where="--kind", got=given, fix=nearest(given, names))


def _line(wrong: Wrong, task: Task) -> str:
    facts = [f"is {wrong.true_label}", f"said {said_of(wrong.prediction, task)}", score_of(wrong.prediction)]
    return f"{wrong.prediction.item}: {', '.join(fact for fact in facts if fact)}"


def _row(wrong: Wrong, task: Task) -> dict[str, Any]:
    prediction = wrong.prediction
    return {
        "id": str(prediction.item),
        "kind": wrong.kind,
        "conversation_id": prediction.conversation_id,
        "turn": prediction.turn,
        "true_label": wrong.true_label,
        "label": prediction.label,
        "said": said_of(prediction, task),
        "score": prediction.score,
        "threshold": prediction.threshold,
        "error": None if prediction.error is None else prediction.error.kind,
        "reason": reason_of(prediction),
        "failure_modes": list(wrong.example.failure_modes),
    }


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHORT else f"{line[: _SHORT - 1]}…"
