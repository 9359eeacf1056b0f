"""Judges and judgments for people and as JSON. Whatever is not calibrated says so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmclf.judges import UNCALIBRATED, Judge, LlmJudge, PanelJudge
from llmclf.judges.status import NEVER, CalibrationStatus
from llmclf.judges.wording import empty_case_text, messages_of
from llmclf.render.tables import Shown, TableText, counted, usd_text
from llmclf.types import Bar, Judgment, Rubric
from llmclf.types.hashing import plain
from llmclf.workspace.cases import Cases
from llmclf.workspace.judging import Imported, figures

_MOST_LISTED = 20
_MOST_OF_A_REASON = 300
_STATES = {"not_calibrated": "\nmissed its bar", "cant_tell": "\ntoo few labels"}


def judgment_dict(judgment: Judgment) -> dict[str, Any]:
    """The judgment as JSON types, always with whether it is calibrated."""
    return {**judgment.to_dict(), "calibration": "calibrated" if judgment.calibrated else UNCALIBRATED}


def write_judgments(path: Path, judgments: Sequence[Judgment]) -> None:
    """Writes judgments as JSON Lines."""
    from llmclf.data.files import write_whole

    write_whole(path, "".join(f"{json.dumps(judgment_dict(one), ensure_ascii=False)}\n" for one in judgments))


@dataclass(frozen=True)
class JudgesView(Shown):
    """Judges in a table."""

    rows: tuple[dict[str, Any], ...]
    """As of `judge_row`."""
    broken: Mapping[str, str]
    """What is wrong with a judge that can't be loaded, by its name."""

    def to_dict(self) -> dict[str, Any]:
        """The rows, and the judges that can't be loaded."""
        return {"judges": list(self.rows), "broken": dict(self.broken)}

    def _table(self) -> TableText:
        rows = [(f"{row['name']}\n{row['question']}", row["scale"], row["asks"], _said(row)) for row in self.rows]
        heads = ("judge", "scale", "asks", "calibration")
        note = "A calibration belongs to one fingerprint; llmclf calibrate start JUDGE --items ... begins one."
        return TableText("Judges", heads, tuple(rows), (note,))


@dataclass(frozen=True)
class JudgeView:
    """One judge in full."""

    row: dict[str, Any]
    rubric: Rubric
    bar: Bar
    status: CalibrationStatus
    prompt: tuple[tuple[str, str], ...]
    """(role, text) as sent with an empty case; empty for a judge that sends none."""

    @classmethod
    def of(cls, judge: Judge) -> JudgeView:
        """What there is to say of a judge; of a panel the members' names stand for their prompts."""
        prompt: tuple[tuple[str, str], ...] = ()
        if isinstance(judge, LlmJudge):
            messages = messages_of(judge.prompt, judge.rubric, judge.rubric.verdicts, empty_case_text(judge.rubric))
            prompt = tuple((message.role, message.content) for message in messages)
        return cls(judge_row(judge), judge.rubric, judge.bar, judge.status, prompt)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        return {
            **self.row,
            "verdicts": [{"name": one.name, **plain(one)} for one in self.rubric.verdicts],
            "guideline": {"text": self.rubric.guideline.text, "version": self.rubric.guideline.version},
            "bar": {name: getattr(self.bar, name) for name in self.bar.__slots__},
            "status": self.status.to_dict(),
            "prompt": [{"role": role, "text": text} for role, text in self.prompt],
        }

    def __rich_console__(self, console: Any, options: Any) -> Any:
        from rich.text import Text

        from llmclf.render.conversation import for_terminal

        row, status = self.row, self.status
        style = "bold green" if status.calibrated else "bold yellow"
        yield Text(f"{row['name']}: {row['question']}", style="bold")
        yield Text(f"{status.stamp}{f': {status.why}' if status.why else ''}", style=style)
        yield Text(f"fingerprint {row['fingerprint']}\nasks {row['asks']}; sees {', '.join(row['sees'])}")
        bar = self.bar
        yield Text(
            f"calibrated from: sensitivity {bar.sensitivity:g}, specificity {bar.specificity:g}, positive agreement "
            f"{bar.positive_agreement:g} (low ends), {counted(bar.positives, 'positive')}; {bar.looks} looks at most"
        )
        yield Text(f"\nGuideline {self.rubric.guideline.version[:12]}", style="bold")
        yield Text(for_terminal(self.rubric.guideline.text))
        for role, text in self.prompt:
            yield Text(f"\nPrompt, {role}", style="bold")
            yield Text(for_terminal(text))


@dataclass(frozen=True)
class JudgmentsView(Shown):
    """What a judge says of some cases: counts by verdict, and the cases of verdicts that are looked for."""

    judge: Judge
    items: str
    judgments: tuple[Judgment, ...]
    cases: Cases

    def to_dict(self) -> dict[str, Any]:
        """Every judgment, with the judge's calibration."""
        status = self.judge.status
        return {
            "judge": self.judge.name,
            "fingerprint": self.judge.fingerprint,
            "calibration": status.stamp,
            "status": status.to_dict(),
            "simulated": self.judge.simulated,
            "figures": figures(self.judgments),
            "left_out": dict(self.cases.left_out),
            "judgments": [judgment_dict(judgment) for judgment in self.judgments],
        }

    def _table(self) -> TableText:
        status, found = self.judge.status, figures(self.judgments)
        targets = self.judge.rubric.targets
        names = [*self.judge.rubric.names, "cannot_tell"]
        rows = [(name, str(found["verdicts"].get(name, 0)), "looked for" * (name in targets)) for name in names]
        rows += [(f"failed: {kind}", str(count), "no verdict") for kind, count in found["failed"].items()]
        notes = [] if status.calibrated else [f"{UNCALIBRATED}: {status.why or status.state}."]
        notes.append(
            "Counts of what the judge says, not rates: llmclf calibrate report corrects them by people's labels."
        )
        usd = "price unknown" if found["usd"] is None else usd_text(found["usd"])
        notes.append(f"{'Simulated dollars' if self.judge.simulated else 'Dollars'}: {usd}.")
        notes += _reasons(self.judgments, targets)
        stamps = [*([] if status.calibrated else [UNCALIBRATED]), *(["SIMULATED"] if self.judge.simulated else [])]
        title = f"{self.judge.name} on {self.items}: {counted(len(self.judgments), 'case')}"
        return TableText(title, ("verdict", "cases", "role"), tuple(rows), tuple(notes), tuple(stamps), (1,))


@dataclass(frozen=True)
class ImportView(Shown):
    """What an import brought in."""

    imported: Imported
    warnings: tuple[str, ...]
    """What a person must hear of, one line each."""

    @classmethod
    def of(cls, imported: Imported) -> ImportView:
        """With the lines that stand for what was no good verdict."""
        found = imported.recording
        unknown = ", ".join(f"{verdict!r} {count:,}" for verdict, count in found.unknown.items())
        others = ", ".join(f"{judge!r} {count:,}" for judge, count in found.others.items())
        shown = found.duplicates[:_MOST_LISTED]
        lines = [
            f"{counted(found.missing, 'line')} without a verdict: kept as failed" if found.missing else "",
            f"verdicts outside the closed set, kept as failed: {unknown}" if unknown else "",
            f"lines of other judges, not read: {others}" if others else "",
            f"fields that nothing reads: {', '.join(found.passed_over)}" if found.passed_over else "",
            f"{counted(len(found.duplicates), 'line')} about a case that was judged before; the first counts:"
            if shown
            else "",
            *(f"  {one}" for one in shown),
            f"  and {len(found.duplicates) - len(shown)} more" if len(found.duplicates) > len(shown) else "",
        ]
        return cls(imported, tuple(line for line in lines if line))

    def to_dict(self) -> dict[str, Any]:
        """Counts, with every duplicate."""
        imported, found = self.imported, self.imported.recording
        return {
            "judge": imported.judge.name,
            "fingerprint": imported.judge.fingerprint,
            "calibration": imported.judge.status.stamp,
            "file": str(imported.path),
            "new": imported.is_new,
            "changed": imported.changed,
            "run": imported.run_id,
            "figures": figures(found.judgments),
            "without_verdict": found.missing,
            "unknown_verdicts": dict(found.unknown),
            "other_judges": dict(found.others),
            "duplicates": list(found.duplicates),
            "fields_not_read": list(found.passed_over),
        }

    def _table(self) -> TableText:
        imported = self.imported
        judge, found = imported.judge, figures(imported.recording.judgments)
        targets = judge.rubric.targets
        rows = [(name, str(count), "looked for" * (name in targets)) for name, count in found["verdicts"].items()]
        rows += [(f"failed: {kind}", str(count), "no verdict") for kind, count in found["failed"].items()]
        said = "was made" if imported.is_new else "was there"
        stamps = () if judge.status.calibrated else (UNCALIBRATED,)
        title = f"{judge.name}: {counted(len(imported.recording.judgments), 'recorded judgment')}"
        notes = [f"Its file {imported.path} {said}. Its fingerprint is {judge.fingerprint}."]
        if imported.changed:
            known = counted(len({one.case for one in imported.recording.judgments}), "case")
            notes.append(
                f"Its verdicts changed ({imported.changed:,} of them): it is another judge now, which knows the "
                f"{known} of this import alone."
            )
        return TableText(title, ("verdict", "cases", "role"), tuple(rows), tuple(notes), stamps, (1,))


def judge_row(judge: Judge) -> dict[str, Any]:
    """What a list says of a judge, as JSON types."""
    status = judge.status
    return {
        "name": judge.name,
        "kind": judge.kind,
        "question": judge.rubric.question,
        "scale": judge.rubric.scale,
        "sees": list(judge.rubric.sees),
        "asks": _asks(judge),
        "fingerprint": judge.fingerprint,
        "calibration": status.stamp,
        "state": status.state,
        "why": status.why,
    }


def _asks(judge: Judge) -> str:
    if isinstance(judge, LlmJudge):
        thinking = "" if judge.model.thinking is None else f" ({judge.model.thinking})"
        return f"{judge.model.id}{thinking}"
    if isinstance(judge, PanelJudge):
        return " + ".join(member.name for member in judge.members)
    return "nobody: recorded"


def _said(row: dict[str, Any]) -> str:
    """`calibrated`, or UNCALIBRATED with what a calibration said, or why none holds any more."""
    lapsed = row["state"] == "uncalibrated" and row["why"] != NEVER
    more = f"\n{row['why']}" if lapsed else _STATES.get(row["state"], "")
    return f"{row['calibration']}{more}"


def _reasons(judgments: Sequence[Judgment], targets: frozenset[str]) -> list[str]:
    """The cases that were looked for, with their reasons; then those that failed."""
    found = [one for one in judgments if one.verdict in targets]
    failed = [one for one in judgments if one.error is not None]
    lines = [f"{one.case}: {one.verdict}: {_short(one.reason)}" for one in found[:_MOST_LISTED]]
    lines += [f"{one.case}: failed: {_short(one.error.message)}" for one in failed[:_MOST_LISTED] if one.error]
    more = max(0, len(found) - _MOST_LISTED) + max(0, len(failed) - _MOST_LISTED)
    return [*lines, f"and {more} more: --json or --out FILE has all"] if more else lines


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MOST_OF_A_REASON else f"{text[: _MOST_OF_A_REASON - 1]}…"
