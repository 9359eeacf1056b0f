"""Reasons to vectors: each distinct text once, and a reservoir of whole conversations."""

from __future__ import annotations

import functools
import re
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from llmclf.embedding import static_embedder
from llmclf.types.reasons import Reasons, ReasonText

IntArray = npt.NDArray[np.intp]
FloatMatrix = npt.NDArray[np.float32]

LONGEST = 8000
"""Characters of a reason that are read: what comes after them changes neither its vector nor what it is equal to."""


@dataclass(frozen=True, eq=False)
class Embedded:
    """Reasons that hold words, their distinct texts and one vector for each of these."""

    reasons: Reasons
    """Those with any words, in the order they were given."""
    texts: list[str]
    """Shape (d,): one spelling, the first, of each distinct text."""
    of: IntArray
    """Shape (n,): reason to distinct text."""
    vectors: FloatMatrix
    """Shape (d, 256): unit rows; zeros where the embedder knows none of the words."""
    groups: IntArray
    """Shape (n,): number of each reason's conversation, 0 to conversations - 1, by first appearance."""
    conversations: int
    embedder: str
    wordless: int = 0
    """Reasons that were left out because they hold no words."""

    @property
    def weights(self) -> IntArray:
        """Shape (d,): reasons of each distinct text."""
        counts: IntArray = np.bincount(self.of, minlength=len(self.texts)).astype(np.intp)
        return counts


def embed_reasons(reasons: Reasons, text: ReasonText = "rationale") -> Embedded:
    """The distinct texts of `reasons` as vectors; those without any words are left out and counted.

    Texts that differ in case, digits, punctuation or blanks alone are one, so that a repeated reason costs
    nothing. Of each, the first 8,000 characters are read.

    >>> made = embed_reasons(Reasons.of(["Asked 2 times.", "asked 3 times", "..."]))
    >>> made.texts, made.of.tolist(), made.wordless
    (['Asked 2 times.'], [0, 0], 1)
    """
    words = [one[:LONGEST] for one in reasons.texts(text)]
    texts, of_all = _distinct(words)
    spoken = np.flatnonzero(of_all >= 0)
    kept = reasons if len(spoken) == len(reasons) else reasons.pick(spoken.tolist())
    groups, conversations = _numbered(kept.column("conversation_id"))
    embedder = static_embedder()
    return Embedded(
        reasons=kept,
        texts=texts,
        of=of_all[spoken],
        vectors=embedder.embed(texts),
        groups=groups,
        conversations=conversations,
        embedder=embedder.name,
        wordless=len(reasons) - len(spoken),
    )


def draw_reservoir(reasons: Reasons, size: int, seed: int) -> Reasons:
    """At most `size` reasons: whole conversations, drawn with equal chances from equal stretches of `reasons`.

    A conversation of more than `size` reasons is not drawn. In the order they were given.
    """
    if len(reasons) <= size:
        return reasons
    groups, conversations = _numbered(reasons.column("conversation_id"))
    sizes = np.bincount(groups, minlength=conversations)
    # A stretch for each conversation that is wanted, and one of each: no day is left out by chance.
    rng = np.random.default_rng(seed)
    wanted = min(conversations, max(1, round(conversations * size / len(reasons))))
    places = ((np.arange(wanted) + rng.random(wanted)) * conversations / wanted).astype(np.intp)
    drawn = rng.permutation(np.unique(places))
    fitting = drawn[sizes[drawn] <= size]
    chosen = fitting[np.cumsum(sizes[fitting]) <= size]
    return reasons.pick(np.flatnonzero(np.isin(groups, chosen)).tolist())


def normalised(text: str) -> str:
    """What two texts share that are taken as one: casefolded, numbers as one sign, all between words as a blank.

    >>> normalised("  Seat 12A -- is FREE! ")
    'seat 0a is free'
    """
    if text.isascii():
        words = b" ".join(text.encode().translate(_ASCII).split())
        return (_ZEROS.sub(b"0", words) if b"00" in words else words).decode()
    return _between().sub(" ", _DIGITS.sub("0", text.casefold())).strip()


_ASCII = bytes(
    ord("0" if chr(code).isdigit() else chr(code).lower() if chr(code).isalpha() else " ") for code in range(128)
).ljust(256)
"""The same for ASCII texts, which most are, in a tenth of the time."""
_ZEROS = re.compile(rb"0+")
_DIGITS = re.compile(r"\d+")


@functools.cache
def _between() -> re.Pattern[str]:
    """All but letters, digits and the marks that scripts such as Devanagari write vowels with."""
    marks = "".join(chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) in ("Mn", "Mc"))
    return re.compile(rf"(?:[^\w{marks}]|_)+")


def _distinct(words: Sequence[str]) -> tuple[list[str], IntArray]:
    """The first spelling of each distinct text, and text by reason: -1 where there are no words."""
    number_of_key: dict[bytes, int] = {}
    number_of_spelling: dict[str, int] = {}
    texts: list[str] = []
    of = np.empty(len(words), np.intp)
    for place, text in enumerate(words):
        number = number_of_spelling.get(text)
        if number is None:
            key = normalised(text)
            # Short digests, not the keys: these would be as large as all texts once more.
            digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest() if key else b""
            number = number_of_key.setdefault(digest, len(texts)) if key else -1
            if number == len(texts):
                texts.append(text)
            number_of_spelling[text] = number
        of[place] = number
    return texts, of


def _numbered(ids: Sequence[str]) -> tuple[IntArray, int]:
    """Number of each id by first appearance, and how many there are."""
    numbers: dict[str, int] = {}
    each = np.fromiter((numbers.setdefault(id_, len(numbers)) for id_ in ids), np.intp, len(ids))
    return each, len(numbers)
