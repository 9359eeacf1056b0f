"""One verdict with all that is known of it: labels, annotations, prompt and answer, and what others said."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from llmclf.config import load_task
from llmclf.errors import ConfigError, nearest
from llmclf.llm.runtime import Runtime
from llmclf.render.conversation import visible_turns
from llmclf.store import Store
from llmclf.types import Conversation, Example, Item, Prediction, Rule, Task, said_label
from llmclf.types.hashing import plain
from llmclf.workspace.run_results import KINDS, RunResult, run_result
from llmclf.workspace.verdicts import result_notes, run_name

_OTHERS = 30
"""So many other verdicts on the same item are shown."""
_ITEMS_NAMED = 20
_PREDICTION = "SELECT prediction_id, run_id, cell_id, conversation_id, turn, call_id, forgotten_at FROM predictions"
_RUN_WITH = """
SELECT run_id, cell_id FROM predictions JOIN runs USING (run_id)
WHERE conversation_id IN (?, ?) AND runs.kind IN (?, ?) ORDER BY prediction_id DESC LIMIT 1
"""
_CALL = """
SELECT calls.*, request, answer, reasoning, error_message FROM calls LEFT JOIN call_texts USING (call_id)
WHERE call_id = ?
"""
_SAME_CALLS = """
SELECT call_id FROM calls
WHERE run_id = ? AND conversation_id = ? AND turn IS ? AND classifier_id = ? AND call_id <> ? ORDER BY call_id
"""
_OTHER_VERDICTS = """
SELECT predictions.*, runs.kind AS kind, runs.config AS config, runs.dataset_hash AS dataset_hash,
       runs.started_at AS started_at, cells.settings AS settings
FROM predictions JOIN runs USING (run_id)
LEFT JOIN cells ON cells.run_id = predictions.run_id AND cells.cell_id = predictions.cell_id
WHERE predictions.conversation_id = ? AND predictions.turn IS ? AND predictions.task = ?
  AND NOT (predictions.run_id = ? AND predictions.cell_id = ?)
ORDER BY prediction_id DESC
"""


@dataclass(frozen=True)
class CallText:
    """What was sent to a model, and what came back, as the store keeps them."""

    call_id: str
    model: str
    state: str
    """`done`, `failed`, `sent` (nobody knows how it ended), ..."""
    sent_at: str
    messages: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """(role, text) of the request, in order; a picture or recording is named in brackets."""
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The rest of the request's body."""
    answer: str = field(default="", repr=False)
    reasoning: str = field(default="", repr=False)
    error: str = field(default="", repr=False)
    forgotten_at: str = ""
    """When its words were erased; empty: they were not."""
    more_calls: tuple[str, ...] = ()
    """Ids of the other calls about the same item: samples, parts, repairs."""


@dataclass(frozen=True)
class OtherVerdict:
    """What another configuration said of the same item."""

    run_id: str
    kind: str
    started_at: str
    name: str
    """The cell's label, or the classifier's id."""
    label: str | None
    flagged: bool | None
    score: float | None
    threshold: float | None
    error: str
    """The kind of error; empty: none."""
    simulated: bool
    prediction_id: str
    said: str
    """What it comes to, as `errors` says it, or how it failed."""


@dataclass(frozen=True)
class VerdictInFull:
    """One item: what it is, what people say of it, what a classifier said, and why."""

    run: str
    """What names the run, or the cell, again."""
    label: str
    """The cell's label, or the classifier's name."""
    task: Task = field(repr=False)
    prediction: Prediction
    prediction_id: str
    conversation: Conversation | None = field(repr=False)
    """None where the run was not made on a dataset: the store keeps no conversations."""
    example: Example | None
    result: RunResult | None = field(repr=False)
    call: CallText | None = field(repr=False)
    """None where no model was asked."""
    others: tuple[OtherVerdict, ...] = field(default=(), repr=False)
    """The newest of each other configuration, newest first."""
    more_others: int = 0
    dataset: str = ""
    """The name or path that the labels were read by; empty where there are none."""
    notes: tuple[str, ...] = ()

    @property
    def true_label(self) -> str | None:
        """What the item is, by its label."""
        return None if self.example is None else self.example.labels.get(self.task.name)

    @property
    def seen(self) -> int:
        """How many turns, from the first, a classifier may see: those after them were not read."""
        if self.conversation is None:
            return 0
        return len(visible_turns(self.conversation, self.task, self.prediction.turn))

    def rule(self, id: str) -> Rule | None:
        """The task's boundary rule of that id; None where the task has none such."""
        return next((rule for label in self.task.labels for rule in label.rules if rule.id == id), None)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        prediction = self.prediction.to_dict() | {"prediction_id": self.prediction_id}
        return {
            "id": str(self.prediction.item),
            "run": self.run,
            "label": self.label,
            "task": self.task.name,
            "true_label": self.true_label,
            "conversation": None if self.conversation is None else self.conversation.to_dict(),
            "example": None if self.example is None else plain(self.example),
            "prediction": prediction,
            "call": None if self.call is None else plain(self.call),
            "others": [plain(other) for other in self.others],
            "more_others": self.more_others,
            "notes": list(self.notes),
        }


def find_verdict(
    id: str, runtime: Runtime, run: str = "last", *, dataset: str | None = None, raw: bool = False
) -> VerdictInFull:
    """What is known of `id`: an item of `run` (`conv-12`, `conv-12[4]`), or a prediction's or call's id.

    An id of the store brings its own run. Conversations are redacted as the workspace sends them, but for
    `raw`. ConfigError where there is no such item, with the nearest ones.
    """
    store = runtime.store
    row = _stored(id, store)
    if row is not None and not _has_labels(row["run_id"], store):
        return _without_labels(row, runtime)
    name = run if row is None else f"{row['run_id']}/{row['cell_id']}".removesuffix("/")
    result = run_result(name, runtime, dataset=dataset)
    item = id if row is None else str(Item(row["conversation_id"], row["turn"]))
    prediction = _prediction_of(item, result, store)
    call_id = "" if row is None else row["call_id"]
    return verdict_in_full(prediction, result, runtime, call_id=call_id, raw=raw)


def verdict_in_full(
    prediction: Prediction,
    result: RunResult,
    runtime: Runtime,
    *,
    call_id: str = "",
    raw: bool = False,
) -> VerdictInFull:
    """All that is known of one prediction of a run; of its call `call_id`, or else of its first."""
    store, item = runtime.store, prediction.item
    example = next(example for example in result.dataset.examples if example.item == item)
    conversation = result.dataset.conversation(example)
    if not raw and runtime.redaction.before_sending:
        conversation = runtime.redaction.redact(conversation).conversation
    keys = [result.run_id, result.cell_id, *item]
    sql = f"{_PREDICTION} WHERE run_id = ? AND cell_id = ? AND conversation_id = ? AND turn IS ?"
    row = (store.query(sql, keys) or [{"prediction_id": "", "forgotten_at": None}])[0]
    run = store.query("SELECT dataset_hash FROM runs WHERE run_id = ?", [result.run_id])[0]
    others = _others(prediction, result, run["dataset_hash"], store)
    return VerdictInFull(
        run=run_name(result, store),
        label=result.label,
        task=result.task,
        prediction=prediction,
        prediction_id=row["prediction_id"],
        conversation=conversation,
        example=example,
        result=result,
        call=_call(call_id or prediction.call_id, prediction, store),
        others=tuple(others[:_OTHERS]),
        more_others=max(0, len(others) - _OTHERS),
        dataset=result.labels_from,
        notes=(*result_notes(result), *_forgotten(row)),
    )


def _stored(id: str, store: Store) -> dict[str, Any] | None:
    """The prediction's row that an id of the store stands for, with the call to show; None where it is no such id."""
    rows = store.query(f"{_PREDICTION} WHERE prediction_id = ?", [id])
    if rows:
        return rows[0]
    calls = store.query("SELECT run_id, conversation_id, turn, classifier_id FROM calls WHERE call_id = ?", [id])
    if not calls:
        return None
    sql = f"{_PREDICTION} WHERE call_id = ? OR (run_id = ? AND conversation_id = ? AND turn IS ? AND classifier_id = ?)"
    rows = store.query(f"{sql} ORDER BY call_id = ? DESC, prediction_id DESC LIMIT 1", [id, *calls[0].values(), id])
    if not rows:
        raise ConfigError(
            "no prediction came of this call",
            where=f"call {id}",
            fix="the run may have been ended before; llmclf store export has the call's row",
        )
    return rows[0] | {"call_id": id}


def _has_labels(run_id: str, store: Store) -> bool:
    rows = store.query("SELECT kind FROM runs WHERE run_id = ?", [run_id])
    return bool(rows) and rows[0]["kind"] in KINDS


def _without_labels(row: Mapping[str, Any], runtime: Runtime) -> VerdictInFull:
    """A prediction of a run that has no dataset: `llmclf classify`, or a backend's own."""
    store = runtime.store
    found = store.predictions(row["run_id"], cell_id=row["cell_id"])
    prediction = next(one for one in found if one.item == (row["conversation_id"], row["turn"]))
    note = "this run was not made on a dataset: the store keeps neither conversation nor label of it"
    return VerdictInFull(
        run=row["run_id"],
        label=prediction.classifier_id,
        task=load_task(prediction.task, runtime.workspace),
        prediction=prediction,
        prediction_id=row["prediction_id"],
        conversation=None,
        example=None,
        result=None,
        call=_call(row["call_id"], prediction, store),
        notes=(note, *_forgotten(row)),
    )


def _prediction_of(id: str, result: RunResult, store: Store) -> Prediction:
    """The prediction whose item is written so; ConfigError with the turns, or the nearest items, where none is."""
    predictions = result.predictions
    columns = zip(predictions.column("conversation_id"), predictions.column("turn"), strict=True)
    items = [str(Item(*pair)) for pair in columns]
    if id in items:
        return predictions[items.index(id)]
    turns = [item for item in items if item.startswith(f"{id}[")]
    where = f"run {result.name}"
    if turns:
        raise ConfigError("the task is about turns: say which", where=where, got=id, problems=turns[:_ITEMS_NAMED])
    known = store.query(_RUN_WITH, [id, id.rpartition("[")[0], *KINDS])
    if known:
        fix = f"another run has it: --run {'/'.join(filter(None, known[0].values()))}"
    else:
        near = nearest(id, items)
        fix = near if len(items) <= _ITEMS_NAMED or "did you mean" in near else "llmclf errors lists items by their id"
    raise ConfigError(
        "it is no item of this run, and no id of a prediction or call in the store", where=where, got=id, fix=fix
    )


def _forgotten(row: Mapping[str, Any]) -> tuple[str, ...]:
    moment = row["forgotten_at"]
    return (f"quotes, rationale and thinking were erased on {moment[:10]}",) if moment else ()


# --- the call ---------------------------------------------------------------------------------


def _call(call_id: str, prediction: Prediction, store: Store) -> CallText | None:
    rows = store.query(_CALL, [call_id]) if call_id else []
    if not rows:
        return None
    row = rows[0]
    same = store.query(_SAME_CALLS, [row["run_id"], *prediction.item, row["classifier_id"], call_id])
    body = json.loads(row["request"]) if row["request"] else {}
    return CallText(
        call_id=call_id,
        model=row["model"],
        state=row["state"],
        sent_at=row["sent_at"],
        messages=tuple(_messages(body)),
        settings={key: value for key, value in body.items() if key not in _WORDS},
        answer=row["answer"] or "",
        reasoning=row["reasoning"] or "",
        error=row["error_message"] or "",
        forgotten_at=row["forgotten_at"] or "",
        more_calls=tuple(one["call_id"] for one in same),
    )


_WORDS = ("instructions", "system", "messages", "input", "prompt")
"""Keys of a body, over all routes, that hold what the model reads."""


def _messages(body: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for key in _WORDS:
        value = body.get(key)
        if isinstance(value, str):
            yield {"instructions": "system", "system": "system"}.get(key, "user"), value
        elif isinstance(value, list):
            for message in value:
                if isinstance(message, Mapping):
                    yield str(message.get("role", key)), _content(message.get("content"))
                elif isinstance(message, list) and len(message) == 2:  # the simulated vendor's: role, content
                    yield str(message[0]), _content(message[1])


def _content(content: Any) -> str:
    if not isinstance(content, list):
        return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    parts = []
    for part in content:
        text = part.get("text") if isinstance(part, Mapping) else None
        parts.append(text if isinstance(text, str) else f"[{json.dumps(part, ensure_ascii=False)}]")
    return "\n".join(parts)


# --- what others said -------------------------------------------------------------------------


def _others(prediction: Prediction, result: RunResult, dataset_hash: str, store: Store) -> list[OtherVerdict]:
    """The newest verdict of every other configuration on the same item of the same dataset, newest first."""
    rows = store.query(_OTHER_VERDICTS, [*prediction.item, prediction.task, result.run_id, result.cell_id])
    found: dict[tuple[str, bool], OtherVerdict] = {}
    for row in rows:
        if row["kind"] not in KINDS:
            continue
        config = json.loads(row["config"])
        if row["dataset_hash"] != dataset_hash and _dataset_name(config) != result.dataset.name:
            continue
        settings = json.loads(row["settings"]) if row["settings"] else {}
        key = (row["classifier_id"], bool(row["simulated"]))
        if key not in found:
            found[key] = _other(row, str(settings.get("label") or row["classifier_id"]), result.task)
    return list(found.values())


def _dataset_name(config: Mapping[str, Any]) -> str:
    name = str(config.get("dataset", ""))
    return PurePath(name).stem if name.endswith(".toml") else name


def _other(row: Mapping[str, Any], name: str, task: Task) -> OtherVerdict:
    flagged = None if row["flagged"] is None else bool(row["flagged"])
    error = row["error_kind"] or ""
    return OtherVerdict(
        run_id=row["run_id"],
        kind=row["kind"],
        started_at=row["started_at"],
        name=name,
        label=row["label"],
        flagged=flagged,
        score=row["score"],
        threshold=row["threshold"],
        error=error,
        simulated=bool(row["simulated"]),
        prediction_id=row["prediction_id"],
        said=f"no answer ({error})" if error else said_label(flagged, row["label"], task.target),
    )
