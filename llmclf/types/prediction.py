"""What a classifier says of an item: a label with its reasons, or a typed error. Never a silent no."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, overload

from llmclf.errors import DataError, ErrorKind, ModelError, nearest
from llmclf.types.dataset import Item
from llmclf.types.evidence import Evidence
from llmclf.types.hashing import plain

ScoreMethod = Literal["keyword", "probe", "logprob", "verbalized", "samples", "none"]


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """Why an item has no label."""

    kind: ErrorKind
    message: str
    retryable: bool = False

    @classmethod
    def of(cls, error: ModelError) -> ErrorInfo:
        """The lasting part of a `ModelError`."""
        return cls(error.kind, error.message, error.retryable)


@dataclass(frozen=True, slots=True)
class Usage:
    """Raw token counts as the vendor reported them; None where it did not, or not credibly."""

    input_tokens: int | None = None
    """All prompt tokens, cached ones included."""
    cached_tokens: int | None = None
    output_tokens: int | None = None
    """All answer tokens, reasoning included."""
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    """Prompt tokens of recordings, of `input_tokens`."""
    cache_write_tokens: int | None = None
    """Prompt tokens that the vendor put into its cache for later calls, of `input_tokens`."""

    def plus(self, other: Usage) -> Usage:
        """Both together; a count that either does not know is not known."""
        return Usage(*(_sum(getattr(self, name), getattr(other, name)) for name in USAGE_COUNTS))


def is_flagged(flagged: bool | None, label: str | None, target: str) -> bool:
    """Whether a prediction flags its item: by its threshold where it had one, else by its label."""
    return label == target if flagged is None else flagged


def said_label(flagged: bool | None, label: str | None, target: str) -> str:
    """What a prediction says of its item: the target where it flags it, else its label, or `not` the target.

    A threshold overrules the label, so that of an item that is not flagged nobody reads that it is the target.
    """
    if is_flagged(flagged, label, target):
        return target
    return f"not {target}" if label in (None, target) else str(label)


USAGE_COUNTS = tuple(field.name for field in fields(Usage))
"""Names of the counts of a `Usage`; columns of the store have the same."""


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one classifier says of one item.

    Either `label` is set, or `error` is: a failed item is data and is never a negative.
    """

    conversation_id: str
    classifier_id: str
    task: str
    turn: int | None = None
    label: str | None = None
    flagged: bool | None = None
    """True where the score reaches the threshold (or, without a score, the label is the target)."""
    score: float | None = None
    """The target's raw score, 0 to 1; higher is more likely the target."""
    score_method: ScoreMethod = "none"
    threshold: float | None = None
    probabilities: Mapping[str, float] | None = field(default=None, hash=False)
    """Label to probability after score scaling, at `probabilities_at` prevalence."""
    probabilities_at: float | None = None
    evidence: tuple[Evidence, ...] = ()
    rationale: str = ""
    """The reason in the answer itself."""
    thinking: str = ""
    """The reasoning text or summary that the vendor exposes."""
    truncated: bool = False
    """True where the model did not see the whole conversation."""
    error: ErrorInfo | None = None
    usage: Usage = field(default_factory=Usage)
    cost_nano_usd: int | None = 0
    """Billions of a dollar; None is unknown, which is not zero."""
    latency_seconds: float | None = None
    route: str = ""
    call_id: str = ""
    """The call in the store that this came from; the first, where there were several."""
    calls: int = 0
    """Calls to a model behind it: samples, parts of a long conversation, repairs; answered ones of earlier, too."""
    repaired: bool = False
    """True where an answer could not be read and was asked for once more."""
    cached: bool = False
    """True where an earlier answer was used: nothing was paid now."""
    simulated: bool = False
    fields: Mapping[str, str | int | float | bool | None] = field(default_factory=dict, hash=False)
    """What it was asked with, once it is recorded: `turns` and `characters` that were given to the classifier, and
    the metadata that the workspace names in `[reasons] fields`."""

    @property
    def item(self) -> Item:
        """The conversation, or the turn, this is about."""
        return Item(self.conversation_id, self.turn)

    @property
    def cost_usd(self) -> float | None:
        """Dollars this prediction cost when it was bought; None where the price is unknown."""
        return None if self.cost_nano_usd is None else self.cost_nano_usd / 1e9

    @property
    def ungrounded(self) -> bool:
        """True where any quoted evidence is not in the conversation; such an item goes to review."""
        return any(not quote.grounded for quote in self.evidence)

    @property
    def failed(self) -> bool:
        """True where there is no label."""
        return self.error is not None

    def to_dict(self) -> dict[str, Any]:
        """The prediction as JSON types; fields that hold their default are left out."""
        row: dict[str, Any] = plain(self)
        row["label"] = self.label
        row["cost_usd"] = self.cost_usd
        row.pop("cost_nano_usd", None)
        return row


_FIELDS = tuple(field.name for field in fields(Prediction))
_FRESH: Mapping[str, Any] = {"usage": Usage(), "fields": {}}  # of those whose default is made anew
_DEFAULTS = {f.name: _FRESH.get(f.name, f.default) for f in fields(Prediction)}
_REQUIRED = tuple(name for name, default in _DEFAULTS.items() if default is MISSING)


class Predictions(Sequence[Prediction]):
    """Many predictions, kept as columns; objects are made when looked at."""

    def __init__(self, predictions: Iterable[Prediction] = ()) -> None:
        self._columns: dict[str, list[Any]] = {name: [] for name in _FIELDS}
        for prediction in predictions:
            for name in _FIELDS:
                self._columns[name].append(getattr(prediction, name))

    @classmethod
    def from_columns(cls, columns: Mapping[str, Sequence[Any]]) -> Predictions:
        """Predictions from columns by field name; a missing column holds its default.

        Raises DataError for an unknown column, a missing one that has no default, and columns that
        are not equally long.
        """
        problems = [f"{name}: unknown column; {nearest(name, _FIELDS)}" for name in columns if name not in _FIELDS]
        problems += [f"{name}: is missing" for name in _REQUIRED if name not in columns]
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            problems.append(f"columns are not equally long: {lengths}")
        if problems:
            raise DataError("these columns are not predictions", problems=problems)
        made = cls()
        for name in _FIELDS:
            made._columns[name] = (
                list(columns[name]) if name in columns else [_DEFAULTS[name]] * lengths["conversation_id"]
            )
        return made

    def column(self, name: str) -> list[Any]:
        """One field of all predictions, in order; a list of your own."""
        return list(self._columns[name])

    def __len__(self) -> int:
        return len(self._columns["conversation_id"])

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> Predictions: ...
    def __getitem__(self, index: int | slice) -> Prediction | Predictions:
        if isinstance(index, slice):
            return Predictions.from_columns({name: values[index] for name, values in self._columns.items()})
        return Prediction(**{name: values[index] for name, values in self._columns.items()})

    def __iter__(self) -> Iterator[Prediction]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        failed = sum(error is not None for error in self.column("error"))
        flagged = sum(bool(flag) for flag in self.column("flagged"))
        return f"<{len(self)} predictions: {flagged} flagged, {failed} failed>"
