"""An instruction that quotes a conversation is known to, so that it can be forgotten."""

from __future__ import annotations

from llmclf.optimization.quotes import Quotes
from llmclf.optimization.values import Instance

WORDS = "so my heron stole the blue parcel on a wet Monday morning"


def instance(number: int, text: str) -> Instance:
    return Instance(f"k{number}", text, "clean", False, conversation_id=f"c{number}")


def test_eight_words_in_a_row_are_a_quote() -> None:
    """Whatever the case and punctuation; fewer words, and what the parent's instruction says too, are none."""
    known = Quotes([instance(1, WORDS), instance(2, "other words " * 9)], "Be strict.")
    assert known.of('Flag: "My heron STOLE the blue parcel, on a wet Monday."') == {"c1"}
    assert known.of("my heron stole the blue parcel on") == frozenset()
    assert Quotes([instance(1, WORDS)], WORDS).of(WORDS) == frozenset()


def test_what_many_say_is_nobodys() -> None:
    """A bot's greeting does not name every conversation."""
    known = Quotes([instance(number, WORDS) for number in range(11)], "")
    assert known.of(WORDS) == frozenset()
