"""Agreement by slice: does a judge do worse on one part of the cases, and could that be chance?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from llmclf.calibration.compared import Compared
from llmclf.calibration.figures import Rates, part_of, rates_of
from llmclf.stats import difference_p, holm

MOST_VALUES = 8
"""Metadata with more values than this is no slice."""
SURE = 0.05
"""Below this adjusted p a slice is taken to differ from the rest."""
_NONE = "(none)"
_Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CaseSlice:
    """One part of the compared cases, against all others."""

    by: str
    """The key of `Case.metadata`."""
    value: str
    rates: Rates
    p_missed: float | None
    """That its targets are missed as often as those of the rest, adjusted for all slices (Holm)."""
    p_false_alarm: float | None

    @property
    def differs(self) -> bool:
        """True where it is worse or better than the rest by more than chance."""
        return min((p for p in (self.p_missed, self.p_false_alarm) if p is not None), default=1.0) < SURE


def slices_of(compared: Compared, *, seed: int = 0) -> tuple[CaseSlice, ...]:
    """The slices by each key of the cases' metadata that has two to eight values among those compared."""
    mask = compared.is_said
    if not mask.any() or compared.unweighable(mask):
        return ()
    cases = [one.case for one, there in zip(compared.cases, mask, strict=True) if there]
    found: list[CaseSlice] = []
    tested: list[tuple[float | None, float | None]] = []
    for key in sorted({key for case in cases for key in case.metadata}):
        values = [_NONE if (value := case.metadata.get(key)) is None else str(value) for case in cases]
        distinct = sorted(set(values))
        if not 2 <= len(distinct) <= MOST_VALUES:
            continue
        parts = [np.array([value == one for value in values]) for one in distinct]
        found += [_slice(compared, mask, key, value, part, seed) for value, part in zip(distinct, parts, strict=True)]
        tested += _tests(compared, mask, parts, seed)
    return _adjusted(found, tested)


def _slice(compared: Compared, mask: _Mask, by: str, value: str, inside: _Mask, seed: int) -> CaseSlice:
    positive, flagged = _sides(compared, mask)
    sampling = part_of(inside, compared.sampling(mask))
    rates = rates_of(positive[inside], flagged[inside], sampling, by_class=compared.by_class, seed=seed)
    return CaseSlice(by, value, rates, None, None)


def _sides(compared: Compared, mask: _Mask) -> tuple[_Mask, _Mask]:
    return compared.is_target(compared.truth[mask]), compared.is_target(compared.said[mask])


def _tests(compared: Compared, mask: _Mask, parts: list[_Mask], seed: int) -> list[tuple[float | None, float | None]]:
    """(p of misses, p of false alarms) of each part against the rest; of two parts both are one and the same test."""
    positive, flagged = _sides(compared, mask)
    group = None if compared.groups is None else compared.groups[mask]

    def p(among: _Mask, inside: _Mask) -> float | None:
        if not among.any():
            return None
        return difference_p(flagged[among], inside[among], None if group is None else group[among], seed=seed)

    asked = parts[:1] if len(parts) == 2 else parts
    made = [(p(positive, inside), p(~positive, inside)) for inside in asked]
    return made + [(None, None)] * (len(parts) - len(asked))


def _adjusted(found: list[CaseSlice], tested: list[tuple[float | None, float | None]]) -> tuple[CaseSlice, ...]:
    adjusted = holm([p for pair in tested for p in pair])
    pairs = list(zip(adjusted[::2], adjusted[1::2], strict=True))
    values = [sum(other.by == one.by for other in found) for one in found]
    done = []
    for place, one in enumerate(found):
        second_of_two = values[place] == 2 and place > 0 and found[place - 1].by == one.by
        missed, alarm = pairs[place - 1] if second_of_two else pairs[place]
        done.append(replace(one, p_missed=missed, p_false_alarm=alarm))
    return tuple(done)
