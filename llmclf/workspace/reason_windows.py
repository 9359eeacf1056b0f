"""Which reasons a command is about: its window, what that is held against, and the filters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from llmclf.errors import ConfigError, nearest
from llmclf.llm.runtime import Runtime
from llmclf.reasons.values import ClusterSettings
from llmclf.store import Store
from llmclf.store.moments import moment_text

_NONE = "none"
_CLASSIFIERS = "SELECT DISTINCT classifier_id FROM predictions"
_VALUES = {
    "task": "SELECT DISTINCT task AS value FROM predictions",
    "model": "SELECT DISTINCT model AS value FROM calls",
}


@dataclass(frozen=True, slots=True)
class Windows:
    """Moments in UTC: the window reaches from `since` to before `until`, its baseline from `baseline` to `since`."""

    since: datetime
    until: datetime
    baseline: datetime | None
    """None: there is no baseline."""


def windows_of(
    runtime: Runtime, since: str | None = None, until: str | None = None, baseline: str | None = None
) -> Windows:
    """The windows that are asked for; what is None is as the workspace's `[reasons]` says.

    `since` and `until` are moments or ages (`24h`). `baseline` is how long it reaches back from the window's
    beginning (`14d`), or the moment at which it begins; `none`: there is none. ConfigError lists what is no moment,
    and what does not come before what it should come before.
    """
    rules = runtime.rules.reasons
    now = datetime.now(UTC)
    to = _moment(until, now, "--until") if until else now
    from_ = _moment(since, now, "--since") if since else _moment(rules.window, to, "window in [reasons]")
    given = baseline or rules.baseline
    base = None if given == _NONE else _moment(given, from_, "--baseline")
    problems = [] if from_ < to else ["--since: the window begins after its end"]
    problems += [] if base is None or base < from_ else ["--baseline: must begin before the window"]
    if problems:
        raise ConfigError("these windows can't be looked at", where="reasons", problems=problems)
    return Windows(from_, to, base)


def _moment(text: str, before: datetime, where: str) -> datetime:
    """The moment of a text; an age counts back from `before`."""
    return datetime.fromisoformat(moment_text(text, name=where, now=before))


def settings_of(runtime: Runtime) -> ClusterSettings:
    """How reasons are clustered, as the workspace's `[reasons]` has it."""
    rules = runtime.rules.reasons
    return ClusterSettings(
        false_alarms=rules.false_alarms,
        least_conversations=rules.least_conversations,
        least_reasons=rules.least_reasons,
    )


def filters_of(
    store: Store, *, task: str | None = None, classifier: str | None = None, model: str | None = None
) -> Mapping[str, Any]:
    """What `Store.reasons` takes as `where`. A classifier's name stands for all its versions.

    ConfigError lists every name that the store has nothing of, with the nearest that it has.
    """
    wanted: dict[str, Any] = {}
    problems = []
    for name, value in (("task", task), ("model", model)):
        if value is not None:
            there = [row["value"] for row in store.query(_VALUES[name]) if row["value"]]
            problems += [] if value in there else [f"--{name} {value}: the store has none of it; {_hint(value, there)}"]
            wanted[name] = value
    if classifier is not None:
        there = [row["classifier_id"] for row in store.query(_CLASSIFIERS)]
        found = [one for one in there if classifier in (one, one.partition("@")[0])]
        names = sorted({one.partition("@")[0] for one in there})
        problems += [] if found else [f"--classifier {classifier}: has no prediction here; {_hint(classifier, names)}"]
        wanted["classifier_id"] = found
    if problems:
        raise ConfigError("no such reasons", where=str(store.path), problems=problems)
    return wanted


def _hint(word: str, there: list[str]) -> str:
    return nearest(word, there) or "there are no predictions at all"
