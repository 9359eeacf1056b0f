"""The reasons of predictions, read into columns: a million of them fit into memory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llmclf.errors import ConfigError, nearest
from llmclf.types import REASON_COLUMNS, Reasons

Columns = Callable[[str, Sequence[object]], list[Sequence[Any]]]

MEASURED = "('sweep', 'evaluate')"
"""Kinds of runs that measure a classifier on examples: what they say is no traffic."""
OF_TRAFFIC = f"predictions.run_id NOT IN (SELECT run_id FROM runs WHERE kind IN {MEASURED})"  # noqa: S608
"""True of predictions that are traffic."""
REASON_FILTERS = (
    "prediction_id", "classifier_id", "task", "label", "flagged", "conversation_id", "turn", "run_id", "cell_id",
    "route", "simulated", "ungrounded", "truncated", "error_kind", "model", "prompt_id", "fields.NAME",
)  # fmt: skip
"""What `reasons(where=...)` can ask for; NAME is that of a field that predictions are stored with."""

_FIELD = re.compile(r"fields\.([A-Za-z0-9_]+)")
_OF_RUN = ("run_id", "cell_id", "prediction_id")  # who names one of these wants it, whatever it is
_COLUMNS = {"model": "coalesce(calls.model, predictions.route)", "prompt_id": "coalesce(calls.prompt_id, '')"}
_CALLS = "LEFT JOIN calls ON calls.call_id = predictions.call_id"
_SAYS_WHY = "(coalesce(predictions.rationale, '') <> '' OR coalesce(predictions.thinking, '') <> '')"
_KEPT = "predictions.forgotten_at IS NULL"
_PAGE = 5_000
_FLAGS = frozenset({"flagged", "ungrounded", "truncated", "simulated"})
_TEXTS = frozenset({"rationale", "thinking"})
_REPEATED = frozenset(REASON_COLUMNS) - {"prediction_id", "call_id", "rationale", "thinking", "evidence"}


def read_reasons(
    read: Columns, since: str | None, until: str | None, where: Mapping[str, Any], *, wordless: bool = False
) -> Reasons:
    """Predictions with a rationale or exposed thinking, oldest first; with `wordless` those without them as well.

    Words that were forgotten are no lack of words: such predictions are left out. Those of sweeps and evaluations are
    left out as well, unless `where` asks for their run, cell or ids. ConfigError lists every filter that is unknown.
    """
    ids = [id_ for column in read(*_which(since, until, where, wordless)) for id_ in column]
    columns: dict[str, list[Any]] = {name: [] for name in REASON_COLUMNS}
    known: dict[Any, Any] = {}
    for start in range(0, len(ids), _PAGE):
        page = read(_EVERY_OF if wordless else _PAGE_OF, (json.dumps(ids[start : start + _PAGE]),))
        for name, values in zip(REASON_COLUMNS, page, strict=bool(page)):  # of a page that was forgotten there are none
            columns[name] += _kept(name, values, known)
    return Reasons.from_columns(columns)


def _which(since: str | None, until: str | None, where: Mapping[str, Any], wordless: bool) -> tuple[str, list[object]]:
    """The query for the ids that are asked for. They come first, and at once: a position in a table that others
    write meanwhile could not be kept by time alone, as rows of a batch share theirs.
    """
    unknown = [name for name in where if name not in REASON_FILTERS[:-1] and not _FIELD.fullmatch(name)]
    if unknown:
        problems = [f"{name}: {nearest(name, REASON_FILTERS)}" for name in unknown]
        raise ConfigError("reasons can't be filtered by that", where="reasons(where=...)", problems=problems)
    tests, values = [_KEPT if wordless else _SAYS_WHY], list[object]()
    if not any(name in where for name in _OF_RUN):
        tests.append(OF_TRAFFIC)
    for test, moment in (("predictions.created_at >= ?", since), ("predictions.created_at < ?", until)):
        if moment is not None:
            tests.append(test)
            values.append(moment)
    for name, wanted in where.items():
        test, more = _filter(name, wanted)
        tests.append(test)
        values += more
    joined = f" {_CALLS}" if _COLUMNS.keys() & where.keys() else ""
    sql = f"SELECT prediction_id FROM predictions{joined} WHERE {' AND '.join(tests)}"  # noqa: S608
    return f"{sql} ORDER BY predictions.created_at, prediction_id", values


def _filter(name: str, wanted: Any) -> tuple[str, list[object]]:
    """(test, values) of a filter: a value, any of several, or None for what is not known."""
    field = _FIELD.fullmatch(name)
    column = _COLUMNS.get(name, f"predictions.{name}") if field is None else "json_extract(predictions.fields, ?)"
    values: list[object] = [] if field is None else [f"$.{field[1]}"]
    if wanted is None:
        return f"{column} IS NULL", values
    if isinstance(wanted, list | tuple | set | frozenset):
        return f"{column} IN (SELECT value FROM json_each(?))", [*values, json.dumps(list(wanted))]  # noqa: S608
    return f"{column} = ?", [*values, wanted]


_PAGE_OF = f"""
SELECT {", ".join(f"{_COLUMNS.get(name, f'predictions.{name}')} AS {name}" for name in REASON_COLUMNS)}
FROM json_each(?) AS asked JOIN predictions ON predictions.prediction_id = asked.value {_CALLS}
WHERE {_SAYS_WHY} ORDER BY asked.key
"""  # noqa: S608
_EVERY_OF = _PAGE_OF.replace(_SAYS_WHY, _KEPT)


def _kept(name: str, values: Sequence[Any], known: dict[Any, Any]) -> list[Any]:
    """Values as they stand in the column `name`. Equal ones are kept once; JSON stays as it is until looked at."""
    if name in _FLAGS:
        return [None if value is None else bool(value) for value in values]
    if name in _TEXTS:
        return [value or "" for value in values]
    if name in _REPEATED:
        return [known.setdefault(value, value) for value in values]
    return list(values)
