"""A session that was begun, and all sessions, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from llmclf.calibration.asks import SessionSummary
from llmclf.calibration.drawing import spelled
from llmclf.calibration.plan import SMALL_CHANCE, SessionPlan
from llmclf.calibration.session import Session
from llmclf.errors import ConfigError
from llmclf.render.tables import Shown, TableText, counted


class SessionView(Shown):
    """What was drawn, and who labels how much of it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def to_dict(self) -> dict[str, Any]:
        """Everything but the cases."""
        session = self._session
        kept = ("id", "name", "kind", "design", "annotators", "adjudicator", "per_item", "population", "fingerprint")
        row: dict[str, Any] = {name: getattr(session, name) for name in (*kept, "seed", "hide_names", "created_at")}
        row["guideline"] = session.rubric.guideline.version
        row["splits"] = dict(Counter(item.split for item in session.items))
        row["strata"] = dict(Counter(item.stratum for item in session.items if item.stratum))
        row["labels"] = self._labels()
        return row

    def _labels(self) -> dict[str, int]:
        counts = Counter(name for item in self._session.items for name in item.annotators)
        return {name: counts[name] for name in self._session.annotators}

    def _table(self) -> TableText:
        session = self._session
        splits = Counter(item.split for item in session.items)
        strata = Counter(item.stratum for item in session.items if item.stratum)
        rows = [(split, f"{splits[split]:,} cases") for split in ("practice", "align", "test") if splits[split]]
        rows += [
            (f"drawn: {name}", f"{strata[name]:,} of {session.population[name]:,}")
            for name in session.population
            if strata[name]
        ]
        rows += [(name, f"{count:,} labels") for name, count in self._labels().items()]
        rows += [(session.adjudicator, "decides where they differ")] if session.adjudicator else []
        title = f"session {session.id}: {session.kind} {session.name}, {spelled(session.design)}"
        return TableText(title, ("", ""), tuple(rows), interval=True)


def share_of(given: str | None) -> float | None:
    """`0.12`, `12%` or `12 %` as a share; ConfigError for anything else."""
    if given is None:
        return None
    number, sign, rest = given.partition("%")
    try:
        share = float(number) / 100 if sign and not rest.strip() else float(given)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        fix = "a share such as 0.12, or a percentage such as 12%"
        raise ConfigError("no share between 0 and 1", where="--prevalence", got=given, fix=fix)
    return share


def lines_after(plan: SessionPlan) -> list[str]:
    """The commands that come after a plan: to what it proposes; to the session itself, unless it has little chance."""
    better = plan.proposal.steps if plan.proposal else ()
    own = plan.steps if plan.kind == "task" or plan.chance >= SMALL_CHANCE else ()
    between = ["or, to hold a classifier against the labels:"] if own and better else []
    return [*(f"next: {step}" for step in own), *between, *(f"next: {step}" for step in better)]


def steps_after(summary: SessionSummary, labelled: int) -> list[str]:
    """What comes after the card of people alone: labels that are left, cases to decide, then what the labels are for.

    `labelled` is the count of cases with a label that counts.
    """
    steps = []
    open_ = [name for name in summary.annotators if summary.done[name] < summary.total[name]]
    if open_ and not summary.closed:
        left = ", ".join(f"{name} {summary.total[name] - summary.done[name]:,}" for name in open_)
        steps.append(f"llmclf calibrate label {summary.id}   (still to label: {left})")
    if summary.to_adjudicate and not summary.closed:
        cases = counted(summary.to_adjudicate, "case")
        steps.append(f"llmclf calibrate label {summary.id} --as {summary.adjudicator}   ({cases} to decide)")
    if labelled and summary.kind == "task":
        steps.append(f"llmclf calibrate export {summary.id} labels.jsonl --examples   (a labels file of a dataset)")
        steps.append("llmclf evaluate CLASSIFIER --dataset DATASET   (once a dataset file names those labels)")
    return steps


class SessionsView(Shown):
    """How far everybody is."""

    def __init__(self, sessions: Sequence[SessionSummary]) -> None:
        self._sessions = sessions

    def to_dict(self) -> dict[str, Any]:
        """All of them, newest first."""
        return {"sessions": [asdict(one) for one in self._sessions]}

    def _table(self) -> TableText:
        rows = []
        for one in self._sessions:
            done = ", ".join(f"{name} {one.done.get(name, 0):,}/{one.total.get(name, 0):,}" for name in one.annotators)
            state = "closed" if one.closed else "open"
            left = f"{one.to_adjudicate:,}" if one.adjudicator else "-"
            rows.append((one.id, done, left, state))
        columns = ("session", "labelled", "to decide", "state")
        return TableText(f"sessions: {len(rows)}", columns, tuple(rows), right=(2,))
