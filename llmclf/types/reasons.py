"""Reasons: what predictions say for themselves, as columns, so that a million of them fit into memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, overload

from llmclf.errors import DataError, nearest

ReasonText = Literal["rationale", "thinking"]
"""Which words of a prediction are its reason: those of the answer, or what the vendor exposes of its reasoning."""

_DEFAULTS: dict[str, Any] = {
    "prediction_id": "", "created_at": "", "conversation_id": "", "turn": None, "classifier_id": "", "task": "",
    "label": None, "flagged": None, "score": None, "rationale": "", "thinking": "", "evidence": (),
    "ungrounded": False, "truncated": False, "error_kind": None, "input_tokens": None, "run_id": "", "cell_id": "",
    "route": "", "model": "", "prompt_id": "", "call_id": "", "simulated": False, "fields": {},
}  # fmt: skip
_JSON: dict[str, Any] = {"evidence": (), "fields": {}}
"""Columns that may hold JSON text, and what they are where that is empty: read when they are looked at, as a million
mappings would take more room than all the words."""
REASON_COLUMNS = tuple(_DEFAULTS)
"""What is known of each reason. `model` and `prompt_id` are of the call behind it; `fields` is a mapping of what the
prediction was asked with, such as `channel` or `turns`."""


class Reasons(Sequence[Mapping[str, Any]]):
    """Many reasons, kept as columns, oldest first; a row is a mapping by column name, made when looked at.

    >>> reasons = Reasons.of(["asked twice for a person", "no request"], conversation_ids=["c1", "c2"])
    >>> reasons[1]["rationale"], len(reasons[:1])
    ('no request', 1)
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self._columns: dict[str, list[Any]] = {name: [] for name in REASON_COLUMNS}
        for row in rows:
            _check_names(row)
            for name, default in _DEFAULTS.items():
                self._columns[name].append(row.get(name, default))
        self._name_nameless()

    @classmethod
    def of(cls, texts: Sequence[str], *, conversation_ids: Sequence[str] = (), **columns: Sequence[Any]) -> Reasons:
        """Reasons of texts alone, each of a conversation of its own unless `conversation_ids` are given."""
        given = {"conversation_id": conversation_ids} if conversation_ids else {}
        return cls.from_columns({"rationale": texts, **given, **columns})

    @classmethod
    def from_columns(cls, columns: Mapping[str, Sequence[Any]]) -> Reasons:
        """Reasons from columns of equal lengths; a missing column holds its default. DataError otherwise."""
        _check_names(columns)
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            raise DataError("columns are not equally long", where="reasons", got=lengths)
        made = cls()
        count = next(iter(lengths.values()), 0)
        made._columns = {
            name: list(columns[name]) if name in columns else [default] * count for name, default in _DEFAULTS.items()
        }
        made._name_nameless()
        return made

    def column(self, name: str) -> list[Any]:
        """One column, in order; a list of your own. DataError where there is none of that name."""
        _check_names([name])
        empty = _JSON.get(name)
        return list(self._columns[name]) if empty is None else [_read(value, empty) for value in self._columns[name]]

    def field(self, name: str) -> list[str | int | float | bool | None]:
        """What each was asked with under `name`, such as `channel` or `turns`; None where that is not known."""
        return [fields.get(name) for fields in map(_fields, self._columns["fields"])]

    def texts(self, source: ReasonText = "rationale") -> list[str]:
        """The words of each reason: those of `source`, or the other ones where there are none."""
        other: ReasonText = "thinking" if source == "rationale" else "rationale"
        pairs = zip(self._columns[source], self._columns[other], strict=True)
        return [first or second for first, second in pairs]

    def pick(self, indices: Iterable[int]) -> Reasons:
        """The reasons at `indices`, in that order."""
        chosen = list(indices)
        made = Reasons()
        made._columns = {name: [values[index] for index in chosen] for name, values in self._columns.items()}
        return made

    def __len__(self) -> int:
        return len(self._columns["prediction_id"])

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Reasons: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | Reasons:
        if isinstance(index, slice):
            made = Reasons()
            made._columns = {name: values[index] for name, values in self._columns.items()}
            return made
        row = {name: values[index] for name, values in self._columns.items()}
        return row | {name: _read(row[name], empty) for name, empty in _JSON.items()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"<{len(self)} reasons of {len(set(self._columns['conversation_id']))} conversations>"

    def _name_nameless(self) -> None:
        """A reason without an id is named by its place; one of no known conversation stands for one of its own."""
        ids, conversations = self._columns["prediction_id"], self._columns["conversation_id"]
        for place, (id_, conversation) in enumerate(zip(ids, conversations, strict=True)):
            ids[place] = id_ or f"reason-{place}"
            conversations[place] = conversation or ids[place]


def _read(value: Any, empty: Any) -> Any:
    try:
        found = json.loads(value) if isinstance(value, str) and value else value
    except ValueError:  # damaged by something else: one row must not keep all others from being looked at
        return empty
    return found or empty


def _fields(value: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _read(value, {})
    return found


def _check_names(names: Iterable[str]) -> None:
    unknown = [f"{name}: unknown column; {nearest(name, REASON_COLUMNS)}" for name in names if name not in _DEFAULTS]
    if unknown:
        raise DataError("these are not reasons", where="reasons", problems=unknown)
