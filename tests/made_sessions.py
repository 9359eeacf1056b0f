"""Calibration sessions made in memory: what people and judge said of cases, by number or by chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from llmclf.calibration.card import Calibration, calibrate
from llmclf.calibration.session import LabelledCase, Session, SessionDesign, SessionItem, Split
from llmclf.types import CANNOT_TELL, Annotation, Case, Judgment, Label, Rubric

FINGERPRINT = "f" * 64
YES, NO = "unsupported", "supported"
RUBRIC = Rubric(
    "faithfulness",
    "Does the conversation support the reason?",
    (Label(NO, "clean", "all of it stands there"), Label(YES, "target", "a claim of it does not")),
    "binary",
)


@dataclass(frozen=True)
class Row:
    """One case: what each person says, what the adjudicator decides, and the judge's verdict (None: failed)."""

    said: Sequence[str]
    verdict: str | None = NO
    decided: str = ""
    stratum: str = ""
    split: Split = "test"
    group: str = ""
    metadata: Mapping[str, Any] | None = None
    rule: str = ""
    reason: str = "so it seems"
    judged: bool = True


def rows(found: int = 0, missed: int = 0, false: int = 0, quiet: int = 0, **more: Any) -> list[Row]:
    """So many cases of each kind, labelled by one person."""
    kinds = ((found, YES, YES), (missed, YES, NO), (false, NO, YES), (quiet, NO, NO))
    return [Row([truth], verdict, **more) for number, truth, verdict in kinds for _ in range(number)]


def made(
    given: Sequence[Row],
    *,
    rubric: Rubric = RUBRIC,
    design: SessionDesign = "random",
    people: Sequence[str] = ("ana", "ben", "dan"),
    adjudicator: str = "cara",
    **session: Any,
) -> tuple[Session, list[LabelledCase], list[Judgment]]:
    """The session, its labels and the judgments of the rows, case by case (`c000`, `c001`, ...)."""
    items = [
        SessionItem(
            Case(f"c{place:03}", group=row.group, metadata=row.metadata or {}),
            row.split,
            row.stratum,
            None,
            tuple(people[: len(row.said)]),
        )
        for place, row in enumerate(given)
    ]
    whole = Session("S1", "judge", rubric, design, tuple(items), tuple(people), adjudicator, **session)
    labelled = [
        LabelledCase(
            item,
            tuple(_label(name, said, row) for name, said in zip(people, row.said, strict=False)),
            _label("cara", row.decided, row) if row.decided else None,
            adjudicates=bool(adjudicator),
        )
        for item, row in zip(items, given, strict=True)
    ]
    judgments = [
        Judgment(item.case.id, whole.name, FINGERPRINT, row.verdict, row.reason, cost_nano_usd=2_000_000)
        for item, row in zip(items, given, strict=True)
        if row.judged
    ]
    return whole, labelled, judgments


def card_of(given: Sequence[Row], *, options: Mapping[str, Any] | None = None, **session: Any) -> Calibration:
    """The report card of the rows; `options` go to `calibrate`."""
    return calibrate(*made(given, **session), **(options or {}))


def drawn_at_random(
    n: int, prevalence: float, sensitivity: float, specificity: float, seed: int, *, people: int = 1
) -> list[Row]:
    """Cases by chance; each person is right 95 times of 100, and where they differ the truth is adjudicated."""
    chance = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        truth = bool(chance.random() < prevalence)
        flagged = bool(chance.random() < (sensitivity if truth else 1 - specificity))
        names = [NO, YES]
        said = [names[truth]] if people == 1 else [names[truth ^ (chance.random() < 0.05)] for _ in range(people)]
        decided = names[truth] if len(set(said)) > 1 else ""
        found.append(Row(said, names[flagged], decided))
    return found


def with_verdict(row: Row, verdict: str | None) -> Row:
    """The row with another verdict."""
    return replace(row, verdict=verdict)


VERDICTS = (NO, YES, CANNOT_TELL, None)


def _label(name: str, said: str, row: Row) -> Annotation:
    return Annotation(name, RUBRIC.name, said, row.rule, "as the rule says", 90.0, blind=True, guideline="g1")
