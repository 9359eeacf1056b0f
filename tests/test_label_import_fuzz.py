"""Files of labels from anywhere: whatever JSON stands in a field, an import takes it or lists what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from desk_session import make, opened
from hypothesis import HealthCheck, example, given, settings, strategies as st

from llmclf.calibration.exchange import export_labels, import_labels
from llmclf.errors import DataError
from llmclf.render.redaction import Redaction
from llmclf.store import Store

PLAIN = Redaction(when="off")
GOOD = {"case": "case 1", "annotator": "ben", "round": "first", "label": "clean"}
QUOTE = {"quote": "A person", "turn": 2, "grounded": True}
FIELDS = (*GOOD, "skipped", "rule", "note", "at", "guideline", "evidence", "seconds", "blind", "stranger")
HUGE = 10**399
ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([HUGE, -HUGE, 1e308, -0.0, 10**18]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(["", " ", "\ud800", "\x00", "first", "case 1", "ana", "9999-12-31T23:59:59-23:59", "0001-01-01"]),
)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([*QUOTE, "x"]), inner, max_size=3),
        st.builds(lambda turn, quote: [{**QUOTE, "turn": turn, "quote": quote}], inner, inner),
    ),
    max_leaves=6,
)
ROWS = st.builds(
    lambda more, without: {name: value for name, value in {**GOOD, **more}.items() if name not in without},
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4),
    st.sets(st.sampled_from(FIELDS), max_size=1),
)
OFTEN = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@OFTEN
@given(rows=st.lists(ROWS, min_size=1, max_size=3))
@example(rows=[{**GOOD, "seconds": HUGE}])
@example(rows=[{**GOOD, "evidence": [{**QUOTE, "turn": -HUGE}]}])
@example(rows=[{**GOOD, "case": "\ud800", "annotator": "\ud800", "note": "\ud800", "evidence": [QUOTE]}])
def test_no_json_value_breaks_an_import(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """What is taken can be exported again, and comes back unchanged; all else is listed, and nothing of it taken."""
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with Store(redaction=PLAIN) as store:
        desk = opened(store, *make(3))
        try:
            taken = import_labels(desk, "last", path)
        except DataError as error:
            assert error.problems and store.query("SELECT * FROM session_labels") == []
            return
        assert export_labels(desk, "last", path) == taken.added > 0
        assert import_labels(desk, "last", path).unchanged == taken.added


@pytest.mark.parametrize("seconds", ["1" * 400, "1e400", "-1", "1" * 5000])
def test_a_number_that_is_no_time_is_a_listed_mistake(seconds: str, tmp_path: Path) -> None:
    """Of 400 digits, infinite as Python reads it, negative, or too long to be read at all."""
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps({**GOOD, "seconds": 0}).replace(": 0}", f": {seconds}}}") + "\n")
    with Store(redaction=PLAIN) as store:
        desk = opened(store, *make(3))
        with pytest.raises(DataError, match=r"line 1: (seconds must be a number from 0|holds a number)"):
            import_labels(desk, "last", path)
