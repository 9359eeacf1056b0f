"""Real judges whose verdicts are on file: what is wrong with them is found, and their kappas are right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from recorded_judges import PAIRS, PAIRS_TURNED, kappa_by_hand, not_plain  # noqa: E402
from recorded_sets import llmbar_lines, score_of  # noqa: E402


@pytest.mark.slow
def test_the_benchmark_reports_in_the_form_that_all_have(test_data: Path, tmp_path: Path) -> None:
    """A quick run holds its goals: the copy, the nulls and the inverted expert are flagged, kappas are right."""
    script = BENCHMARKS / "recorded_judges.py"
    command = [sys.executable, str(script), "--quick", "--json", "--data", str(test_data), "--cards", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert set(found) == {"figures", "goals", "holds", "quick", "machine"} and found["quick"]
    assert [goal["name"] for goal in found["goals"] if not goal["holds"]] == []
    rows = {row["judge"]: row for row in found["figures"]["judges"]}
    assert {flag["kind"] for flag in rows["bullshit_judge_3"]["flags"]} >= {"copied", "missing"}
    assert rows["dices_as_the_question_reads"]["flags"][0]["kind"] == "inverted"
    pages = {path.stem for path in tmp_path.glob("*.html")}
    assert pages == set(rows)


def test_without_the_data_it_says_so(tmp_path: Path) -> None:
    """The reason and what to do, on one line."""
    command = [sys.executable, str(BENCHMARKS / "recorded_judges.py"), "--data", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "set LLMCLF_TEST_DATA" in done.stderr and len(done.stderr.splitlines()) == 1


def test_the_pairs_whose_verdict_the_order_changes_are_those_of_the_data(test_data: Path) -> None:
    """427 of 1400; four pairs have a null on one side or both."""
    changed = nulls = total = 0
    for lines in llmbar_lines(test_data).values():
        orders = zip(lines[::2], lines[1::2], strict=True)
        for plain, turned in orders:
            assert plain["item"] == turned["item"] and (plain["probe"], turned["probe"]) == ("", "swapped")
            missing = None in (plain["verdict"], turned["verdict"])
            total, nulls = total + 1, nulls + missing
            changed += not missing and plain["verdict"] != turned["verdict"]
    assert (changed, total, nulls) == (PAIRS_TURNED, PAIRS, 4)


def test_scores_are_read_in_all_their_spellings() -> None:
    """A text without one score is no score."""
    spelled = ("Score: 2", "Score: 2 (Bad)", "Score: Bad (2)", "**Score: 5 (Very Good)**")
    assert [score_of(text) for text in spelled] == [2, 2, 2, 5]
    for text in ("Score: none", "Score: 2 or 3"):
        with pytest.raises(ValueError, match="not one score"):
            score_of(text)


def test_the_plain_loop_is_the_textbook_kappa() -> None:
    """Cohen's own form at two categories, weights of squares at three, and none where nobody varies."""
    one, other = "yynnnnnnnn", "ynynnnnnnn"
    assert kappa_by_hand(one, other, "yn", ordinal=False) == pytest.approx((0.8 - 0.68) / (1 - 0.68))
    assert kappa_by_hand("abc", "cba", "abc", ordinal=True) == pytest.approx(-1.0)
    assert kappa_by_hand("aaa", "aaa", "ab", ordinal=False) is None


def test_numbers_that_json_does_not_have_are_counted() -> None:
    """However deep they are."""
    assert not_plain({"a": [1.0, float("nan"), {"b": float("inf")}], "c": "nan", "d": None}) == 2
