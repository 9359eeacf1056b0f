"""The one thing to do after a judge's card that gives no `calibrated`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from llmclf.calibration.compared import Compared
from llmclf.calibration.needs import Needs
from llmclf.calibration.verdict import Verdict

_ITEMS = "--items ITEMS"


def next_step(
    verdict: Verdict, compared: Compared, *, judge: str, waits: Mapping[str, int], needs: Needs | None
) -> str:
    """A command, or what to do, with the reason in brackets; empty where nothing is left to do.

    Nothing is said of people's cards, and of references other than people: these stand in no store.
    """
    session = compared.session
    if session.reference != "people":
        return ""
    report = f"llmclf calibrate report {session.id}"
    report += f" --judge {shlex.quote(judge)}" if judge not in ("", session.name) else ""
    start = f"llmclf calibrate start {shlex.quote(session.name)} {_ITEMS}"
    if verdict.act == "label" or (verdict.act == "more" and not compared.counts.is_complete):
        return f"llmclf calibrate label {session.id}{_whom(compared, waits)}"
    if verdict.act == "mend":
        changed = " (by the cases judged otherwise; the test split is not for that)"
        return f"mend the judge by its align split: {report} --split align{changed}"
    if verdict.act == "more":
        return _more(compared, start, report, judge, needs)
    return {
        "": "",
        "flag": f"look into what is gravely wrong, mend the judge, and report again: {report}",
        "test": f"{report} (the test split says how good it is)",
        "fresh": f"{start} (a new session: these labels are used up)",
        "adjudicator": f"{start} --adjudicator NAME (a new session, with somebody who decides)",
        "answer": _answer(compared, report, judge),
    }[verdict.act]


def _whom(compared: Compared, waits: Mapping[str, int]) -> str:
    counts = compared.counts
    todo = " and ".join(what for number, what in ((counts.to_label, "label"), (counts.to_decide, "decide")) if number)
    ones = ", ".join(f"{name} {number:,}" for name, number in waits.items())
    return f" (to {todo}: {ones})" if ones else ""


def _answer(compared: Compared, report: str, judge: str) -> str:
    """How the judge comes to have a verdict on what it has none."""
    if compared.counts.not_judged:
        return f"{report} --judge-missing session"
    if compared.counts.failed:
        return f"find out why judgments fail: llmclf judge run {shlex.quote(judge)} {_ITEMS}"
    if compared.counts.cannot_tell:
        return "change the judge's prompt until it decides more of what it can't tell"
    return f"label cases of every verdict, those that failed too: {_again(compared)}"


def _more(compared: Compared, start: str, report: str, judge: str, needs: Needs | None) -> str:
    mask = compared.is_said
    if not mask.any():
        return _answer(compared, report, judge)
    if compared.unweighable(mask):
        return f"{start} --design by-verdict (a new session, with cases of every verdict)"
    if needs is not None and needs.labels is not None:
        total = compared.counts.labelled + needs.labels
        design = "" if compared.session.design == "random" else f" --design {compared.session.design.replace('_', '-')}"
        return f"{start} --n {total}{design} --align-share 0 (a new session with so many cases)"
    if needs is not None and needs.calibrated is not None:
        return "mend the judge, or ask whether its bar is the right one: more labels hardly decide"
    if compared.by_class:
        run = f"llmclf judge run {shlex.quote(judge)} {_ITEMS}"
        return f"{run} (the whole pool, then report again)"
    return f"{start} --design by-verdict (a new session: it finds more positives)"


def _again(compared: Compared) -> str:
    return f"llmclf calibrate start {shlex.quote(compared.session.name)} {_ITEMS} --design by-verdict"
