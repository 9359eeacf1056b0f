"""Judges and judgments for people and as JSON. Whatever is not calibrated says so."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmclf.config.files import Found, find
from llmclf.errors import shorten
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
_MOST_OF_A_WORD = 60
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
    files: tuple[Path, ...]
    """Its own, and its prompt's."""
    copying: str
    """The commands that make a copy of one's own."""

    @classmethod
    def of(cls, judge: Judge, named: str) -> JudgeView:
        """What there is to say of a judge, which was asked for as `named`; of a panel its members stand for prompts."""
        prompt: tuple[tuple[str, str], ...] = ()
        if isinstance(judge, LlmJudge):
            messages = messages_of(judge.prompt, judge.rubric, judge.rubric.verdicts, empty_case_text(judge.rubric))
            prompt = tuple((message.role, message.content) for message in messages)
        found = files_of(judge, named)
        paths = tuple(one.path for one in found)
        return cls(judge_row(judge), judge.rubric, judge.bar, judge.status, prompt, paths, _copying(found))

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types."""
        return {
            **self.row,
            "verdicts": [{"name": one.name, **plain(one)} for one in self.rubric.verdicts],
            "guideline": {"text": self.rubric.guideline.text, "version": self.rubric.guideline.version},
            "bar": {name: getattr(self.bar, name) for name in self.bar.__slots__},
            "status": self.status.to_dict(),
            "files": [str(path) for path in self.files],
            "copying": self.copying,
            "prompt": [{"role": role, "text": text} for role, text in self.prompt],
        }

    def __rich_console__(self, console: Any, options: Any) -> Any:
        from rich.text import Text

        from llmclf.render.conversation import for_terminal

        row, status = self.row, self.status
        style = "bold green" if status.calibrated else "bold yellow"
        yield Text(f"{row['name']}: {row['question']}", style="bold")
        stamps = f"{status.stamp}{' SIMULATED' if row['simulated'] else ''}"
        yield Text(f"{stamps}{f': {status.why}' if status.why else ''}", style=style)
        yield Text(f"fingerprint {row['fingerprint']}\nasks {row['asks']}; sees {', '.join(row['sees'])}")
        for path in self.files:
            yield Text(f"file {path}")
        yield Text(f"a copy of your own: {self.copying}")
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
        notes = [] if status.calibrated else [f"{UNCALIBRATED}: {(status.why or status.state).rstrip('.')}."]
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
        unknown = {verdict: count for verdict, count in found.unknown.items() if verdict not in imported.rare}
        lines = [
            f"{counted(found.missing, 'line')} without a verdict: kept as failed" if found.missing else "",
            *_listed("{} without a field `verdict`", found.without_field),
            *_rare_lines(imported.rare),
            f"verdicts outside the closed set, kept as failed: {_counts(unknown)}" if unknown else "",
            *_listed("{} whose verdict is no text, and none of the closed set", found.odd),
            f"verdicts of --map that no line has: {', '.join(map(_named, found.not_renamed))}"
            if found.not_renamed
            else "",
            f"lines of other judges, not read: {_counts(found.others)}" if found.others else "",
            f"fields that nothing reads: {_words(found.passed_over)}" if found.passed_over else "",
            *_listed("{} about a case that was judged before; the first counts", found.duplicates),
        ]
        return cls(imported, tuple(line for line in lines if line))

    def to_dict(self) -> dict[str, Any]:
        """Counts, with the lines that are no good verdicts; of words that are in the file, the 20 most frequent."""
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
            "without_field": list(found.without_field),
            "rare_verdicts": _most(imported.rare),
            "unknown_verdicts": _most(found.unknown),
            "odd_verdicts": list(found.odd),
            "not_renamed": list(found.not_renamed),
            "other_judges": _most(found.others),
            "duplicates": list(found.duplicates),
            "fields_not_read": [_cut(one) for one in found.passed_over[:_MOST_LISTED]],
        }

    def _table(self) -> TableText:
        imported = self.imported
        judge, found = imported.judge, figures(imported.recording.judgments)
        targets = judge.rubric.targets
        rows = [(name, str(count), "looked for" * (name in targets)) for name, count in found["verdicts"].items()]
        outside = sum(imported.recording.unknown.values())
        rows += (
            [("failed", str(imported.recording.missing), "no verdict was recorded")]
            if imported.recording.missing
            else []
        )
        rows += [("failed", str(outside), "outside the closed set")] if outside else []
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
        "simulated": judge.simulated,
    }


def files_of(judge: Judge, named: str) -> list[Found]:
    """The file of a judge that was asked for as `named`, and that of its prompt."""
    workspace = judge.runtime.workspace
    found = [find("judge", named, workspace)]
    return [*found, find("prompt", judge.prompt.name, workspace)] if isinstance(judge, LlmJudge) else found


def _copying(found: Sequence[Found]) -> str:
    """Commands that copy a judge's files into the workspace: one from elsewhere under its name, which goes first."""
    targets = []
    for one, (folder, ending) in zip(found, (("judges", ".toml"), ("prompts", ".txt")), strict=False):
        mine = one.origin in ("workspace", "path")
        targets.append(Path(folder) / f"{one.name}{'_2' if mine else ''}{ending}")
    # a prompt of one's own is copied only with a judge that is not: a second judge may share it
    pairs = [
        (one.path, target)
        for one, target in zip(found, targets, strict=True)
        if one is found[0] or one.origin not in ("workspace", "path")
    ]
    folders = dict.fromkeys(str(target.parent) for _, target in pairs)
    return " && ".join(
        [f"mkdir -p {shlex.join(folders)}", *(f"cp {shlex.join([str(path), str(target)])}" for path, target in pairs)]
    )


def _cut(word: str) -> str:
    return word if len(word) <= _MOST_OF_A_WORD else f"{word[: _MOST_OF_A_WORD - 1]}…"


def _named(word: str) -> str:
    return shorten(word, _MOST_OF_A_WORD)


def _words(words: Sequence[str]) -> str:
    more = len(words) - _MOST_LISTED
    return ", ".join([*map(_cut, words[:_MOST_LISTED]), *([f"and {more:,} others"] if more > 0 else [])])


def _most(counts: Mapping[str, int]) -> dict[str, int]:
    """The most frequent, none of them long."""
    return {_cut(word): count for word, count in Counter(counts).most_common(_MOST_LISTED)}


def _counts(counts: Mapping[str, int]) -> str:
    told = [f"{_named(word)} {count:,}" for word, count in Counter(counts).most_common(_MOST_LISTED)]
    more = len(counts) - len(told)
    return ", ".join([*told, *([f"and {more:,} others"] if more > 0 else [])])


def _listed(what: str, lines: Sequence[str]) -> list[str]:
    """How many lines are so, and the first of them."""
    if not lines:
        return []
    more = len(lines) - _MOST_LISTED
    shown = [f"  {one}" for one in lines[:_MOST_LISTED]] + ([f"  and {more:,} more"] if more > 0 else [])
    return [f"{what.format(counted(len(lines), 'line'))}:", *shown]


def _rare_lines(rare: Mapping[str, int]) -> list[str]:
    """What to do about words that may be slips."""
    lines = [
        f"{counted(count, 'line')} say{'s' * (count == 1)} {_named(word)}: "
        "name it in --verdicts to keep it as a verdict; taken as failed"
        for word, count in Counter(rare).most_common(_MOST_LISTED)
    ]
    more = len(rare) - len(lines)
    return [*lines, *([f"and {more:,} other such words; taken as failed"] if more > 0 else [])]


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
    return f"{row['calibration']}{' SIMULATED' if row['simulated'] else ''}{more}"


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
