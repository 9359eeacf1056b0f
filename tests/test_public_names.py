"""The names at the top of the package: few, sorted, documented, and the same for type checkers."""

from __future__ import annotations

import ast
from pathlib import Path

import llmclf

ROOT = Path(__file__).parents[1]


def test_names_are_few_and_sorted() -> None:
    """At most 32 names, in order, each of which can be had: the verbs of DESIGN, and `train` and `record`."""
    assert list(llmclf.__all__) == sorted(llmclf.__all__)
    assert len(llmclf.__all__) <= 32
    for name in llmclf.__all__:
        assert getattr(llmclf, name) is not None


def test_the_stub_names_the_same() -> None:
    """What type checkers see is what there is."""
    tree = ast.parse((ROOT / "llmclf" / "__init__.pyi").read_text())
    stubbed = {alias.asname for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert stubbed == set(llmclf.__all__)


def test_every_name_says_what_it_is() -> None:
    """Each public name has a docstring of its own."""
    for name in llmclf.__all__:
        assert (getattr(llmclf, name).__doc__ or "").strip(), name


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails as it does in any module."""
    try:
        llmclf.clasify  # noqa: B018
    except AttributeError as error:
        assert "clasify" in str(error)
    else:
        raise AssertionError("no error")
