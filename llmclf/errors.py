"""Every error llmclf raises on purpose.

    LlmclfError
      ConfigError          a file, flag or argument is wrong; lists every mistake it holds
      DataError            conversations or labels can't be used as they are
      StoreError           the store file: broken, read-only, full, locked, too new
      ModelError           one call to a model failed; becomes `Prediction.error`, never a label
      BudgetError          money: no cap, no price, or the cap is reached
      MissingPieceError    an optional package or the weights of a local model are absent

A message says where, what, got and what to do, in that order. The user's mistakes are found
before anything is paid for. A failed *item* is data: classifiers put a `ModelError` into
`Prediction.error` and go on; only misuse raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

ErrorKind = Literal[
    "authentication",
    "bad_request",
    "connection",
    "content_filter",
    "context_overflow",
    "empty",
    "internal",
    "length",
    "not_found",
    "over_budget",
    "rate_limited",
    "refused",
    "timeout",
    "unavailable",
    "unparsable",
]
"""Why an item has no label. `refused`, `content_filter`, `length`, `empty` and `unparsable` were
answered (and paid for) without a usable label; the others never got an answer."""

ERROR_KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)

RETRYABLE_KINDS: frozenset[ErrorKind] = frozenset({"connection", "rate_limited", "timeout", "unavailable"})
"""Kinds that may go away by asking again; all others are permanent for the same request."""


class LlmclfError(Exception):
    """Base of every error of llmclf: where it is, what is wrong, what was got, what to do.

    `str(error)` is one readable message; the parts stay available as attributes.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", got: object = None, fix: str = "") -> None:
        self.where = where
        self.what = what
        self.got = got
        self.fix = fix
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The parts as one line: `where: what; got ...; fix`."""
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.got is not None:
            text += f"; got {shorten(self.got)}"
        if self.fix:
            text += f"; {self.fix}"
        return text


class ConfigError(LlmclfError):
    """A file, flag or argument is wrong. `problems` holds every mistake, one line each."""

    def __init__(
        self, what: str, *, where: str = "", got: object = None, fix: str = "", problems: Sequence[str] = ()
    ) -> None:
        self.problems = tuple(problems)
        super().__init__(what, where=where, got=got, fix=fix)

    @property
    def message(self) -> str:
        """The one-line message, with one indented line for each problem after it."""
        return "\n".join([super().message, *(f"  - {problem}" for problem in self.problems)])


class DataError(ConfigError):
    """Conversations or labels can't be used as they are; lists every bad line it knows of."""


class StoreError(LlmclfError):
    """The store file can't be opened, read or written."""


class BudgetError(LlmclfError):
    """Money: a paid run without a cap, a model without a price under a cap, or the cap is reached."""

    exit_code = 2


class MissingPieceError(LlmclfError):
    """An optional package, or the weights of a local model, are not there."""


class ModelError(LlmclfError):
    """One call to a model that ended without a usable answer.

    `kind` says which way it failed, `retryable` whether asking again may help, `possibly_billed`
    whether the vendor may have charged for it, `retry_after` the seconds the vendor asked to wait.
    """

    def __init__(
        self,
        kind: ErrorKind,
        what: str,
        *,
        where: str = "",
        got: object = None,
        fix: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        possibly_billed: bool = False,
    ) -> None:
        self.kind: ErrorKind = kind
        self.status = status
        self.retry_after = retry_after
        self.possibly_billed = possibly_billed
        super().__init__(what, where=where, got=got, fix=fix)

    @property
    def retryable(self) -> bool:
        """True where the same request may succeed later."""
        return self.kind in RETRYABLE_KINDS


def shorten(value: object, limit: int = 120) -> str:
    """`repr(value)` cut to `limit` characters, so that a message never carries a whole conversation."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def nearest(word: str, choices: Sequence[str]) -> str:
    """The hint `did you mean 'x'?` for a mistyped word, or the sorted choices, or nothing."""
    import difflib

    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(sorted(choices))}" if choices else ""
