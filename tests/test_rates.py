"""Rates as short texts."""

from __future__ import annotations

import pytest
from hypothesis import example, given, strategies as st

from llmclf.render.rates import rate_cells, rate_range, rate_text
from llmclf.types import Estimate


@pytest.mark.parametrize(
    ("share", "spec", "text"),
    [
        (0.86, ".2f", "0.86"),
        (0.00265, ".2f", "0.0027"),
        (0.0123, ".2f", "0.012"),
        (0.0, ".2f", "0.00"),
        (1.0, ".3f", "1.000"),
        (0.994, ".2f", "0.99"),
        (0.9996, ".2f", "0.9996"),
        (0.9996, ".3f", "0.9996"),
        (0.00004, ".3f", "0.000040"),
        (0.0053, ".2%", "0.53%"),
        (0.0000265, ".2%", "0.0027%"),
        (1e-9, ".2f", "<0.000001"),
        (1 - 1e-8, ".2f", ">0.999999"),
        (1 - 1e-15, ".2f", "1.00"),
        (1 - 1e-10, ".2%", ">99.999999%"),
    ],
)
def test_small_rates_keep_two_digits(share: float, spec: str, text: str) -> None:
    """Two digits that mean something near 0, and never a round 1 for what is less."""
    assert rate_text(share, spec) == text


@example(0.994140625, ".1f")
@example(0.995, ".2f")
@given(st.floats(1e-6, 1 - 1e-6), st.sampled_from([".1f", ".2f", ".3f"]))
def test_only_0_reads_as_0_and_only_1_as_1(share: float, spec: str) -> None:
    """No exponent; below a half two digits are right; near 1 it is less than 1, and no further off than 1 itself."""
    text = rate_text(share, spec)
    assert "e" not in text
    assert 0 < float(text) < 1
    off = abs(float(text) - share)
    assert off <= (0.0501 * share if share < 0.5 else 0.501 * 10.0 ** -(len(text) - 2))
    assert off <= 1.001 * min(share, 1 - share)


def test_an_estimate_is_a_value_and_its_interval() -> None:
    """Each number with its own digits; `?` without a value, and why."""
    assert rate_cells(Estimate(0.00265, 0.0011, 0.012)) == ("0.0027", "0.0011-0.012")
    assert rate_range(Estimate(0.00265, 0.0011, 0.012)) == "0.0027 (0.0011-0.012)"
    assert rate_cells(Estimate.unknown("few")) == ("?", "")
    assert rate_range(Estimate.unknown("few")) == "not estimable (few)"
