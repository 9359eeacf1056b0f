"""How clustered reasons look on a terminal. Every text of others goes through `for_terminal`."""

from __future__ import annotations

import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from llmclf.errors import ConfigError, nearest
from llmclf.reasons.judged import reading_text
from llmclf.reasons.report_words import chance
from llmclf.reasons.values import Anomaly, FieldShare
from llmclf.render.conversation import for_terminal
from llmclf.render.tables import WIDTH, counted
from llmclf.types import Estimate
from llmclf.workspace.promoting import POOL
from llmclf.workspace.quoting import Quote
from llmclf.workspace.reason_records import State, StoredCluster, state_of
from llmclf.workspace.reasoning import StoredClustering
from llmclf.workspace.told import Before, Told, again_words

MOST_QUOTES = 3
_MOST_FIELDS = 4
_MOST_WORDS = 280
_KINDS = {
    "novelty": "unlike the days before",
    "new_cluster": "a new kind",
    "burst": "a known kind that bursts",
    "one_sided": "on one side only",
    "no_reason": "predictions without a reason",
    "alert": "a standing alert",
}


class Lines(ABC):
    """Something that is shown as lines, wrapped between words: what is to be copied stays whole."""

    @abstractmethod
    def _lines(self) -> Iterator[tuple[str, int, str]]:
        """(text, columns it is set in, style) of each paragraph."""

    def __rich_console__(self, console: Any, options: Any) -> Iterable[Any]:
        from rich.text import Text

        width = min(WIDTH, options.max_width)
        for text, indent, style in self._lines():
            yield Text(_filled(text, indent, width), style=style, no_wrap=True, overflow="ignore")


def _filled(text: str, indent: int, width: int) -> str:
    # The margin of a wrapped paragraph is two columns further in, unless it is one of several below each other.
    wrapped = textwrap.wrap(
        for_terminal(" ".join(text.split())),
        width,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 2),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(wrapped)


@dataclass(frozen=True)
class AnomaliesView(Lines):
    """What is strange about a window, with its evidence and what to do."""

    stored: StoredClustering
    quotes: Mapping[str, Quote]
    before: Before
    """What of it was found before."""
    unread: str = ""
    """Why the judge was not asked."""

    @property
    def state(self) -> State:
        """As `state_of` has it."""
        return state_of(self.stored.to_dict())

    @property
    def why_not(self) -> str:
        """Why it can't be told, and what it needs; empty where it can."""
        if self.state != "cant_tell":
            return ""
        made = self.stored.clustering
        pool = made.pool_figures
        if pool is not None and pool.why_not:
            return pool.why_not
        if made.unwatched and pool is not None and pool.p is not None:
            named = ", ".join(made.unwatched)
            return f"not looked for, as other vectors made them: {named}; promote each anew (--as alert), or --end it"
        notes = made.notes
        return notes[0] if notes else "there is no baseline: --baseline 15d, and reasons of days before the window"

    @property
    def exit_code(self) -> int:
        """2 an anomaly, 1 can't tell, 0 quiet."""
        return {"anomaly": 2, "cant_tell": 1, "quiet": 0}[self.state]

    def to_dict(self) -> dict[str, Any]:
        """As JSON types, without quotes."""
        found = self.stored.to_dict()
        for place, one in enumerate(found["anomalies"]):
            told = self.before.anomalies.get(place)
            one["told_before"] = None if told is None else told.first
        return {"state": self.state, "why_not": self.why_not, "unread": self.unread, **found}

    def _lines(self) -> Iterator[tuple[str, int, str]]:
        made = self.stored.clustering
        if made.simulated:
            yield "SIMULATED: made-up reasons, not a measurement", 0, "bold yellow"
        yield self._headline(), 0, "bold"
        yield self._windows(), 0, "dim"
        if self.stored.silence:
            again = f" ({again_words(self.before.silence)})" if self.before.silence else ""
            yield f"{self.stored.silence}{again}", 0, "bold"
        for number, one in enumerate(made.anomalies, 1):
            yield "", 0, ""
            yield from _anomaly_lines(number, one, self.quotes, self.before.anomalies.get(number - 1))
        said = {self.why_not}
        notes = [note for note in made.notes if note not in said]
        if self.why_not or notes or self.stored.left_out:
            yield "", 0, ""
        if self.why_not:
            yield f"can't tell: {self.why_not}", 0, ""
        for note in notes:
            yield f"- {note}", 0, "dim"
        if self.stored.left_out:
            yield f"- {counted(self.stored.left_out, 'simulated reason')} left out", 0, "dim"

    def _headline(self) -> str:
        made = self.stored.clustering
        of = f"{counted(len(made.reasons), 'reason')} of {counted(made.conversations, 'conversation')}"
        if self.state == "cant_tell":
            looked = f": {of}" if made.reasons.column("prediction_id") else ""
            return f"It can't be told whether something is strange{looked}"
        found = len(made.anomalies) + bool(self.stored.silence)
        things = "Nothing" if not found else "1 thing" if found == 1 else f"{found} things"
        return f"{things} strange in {of}"

    def _windows(self) -> str:
        made = self.stored.to_dict()
        base = made["baseline"]
        against = (
            f"; held against {counted(base['reasons'], 'reason')} since {moment(base['since'])}"
            if base
            else "; there is no baseline"
        )
        return f"from {moment(made['since'])} to {moment(made['until'])} UTC{against}"


def _anomaly_lines(
    number: int, one: Anomaly, quotes: Mapping[str, Quote], told: Told | None
) -> Iterator[tuple[str, int, str]]:
    name = f": {one.name}" if one.name else ""
    yield f"{number}. {_KINDS[one.kind]}{name}", 0, "bold"
    sure = f" As much comes by chance in {chance(one.p)}." if one.kind != "alert" else ""
    yield f"{one.sentence}{sure}", 3, ""
    again = f"; {again_words(told)}" if told else ""
    yield f"first seen {moment(one.first_seen)} UTC{again}", 3, ""
    if one.fields:
        yield _fields(one.fields), 3, ""
    if one.judged:
        yield reading_text(asdict(one.judged)), 3, ""
    for id_ in [id_ for id_ in one.examples if id_ in quotes][:MOST_QUOTES]:
        yield _quoted(quotes[id_]), 3, "italic"
    yield _next_of(one), 3, "cyan"


def _next_of(one: Anomaly) -> str:
    """The command that shows more of an anomaly."""
    if one.cluster_or_pool:
        return f"llmclf reasons show {one.cluster_or_pool}"
    return "llmclf status" if one.kind == "no_reason" else "llmclf reasons show"


@dataclass(frozen=True)
class NextView(Lines):
    """What to look at next in a clustering."""

    stored: StoredClustering

    def _lines(self) -> Iterator[tuple[str, int, str]]:
        found = self.stored.clustering.anomalies
        commands = dict.fromkeys(map(_next_of, found)) or ["llmclf reasons show"]
        yield f"{len(found)} strange:" if found else "quotes, rates and single clusters:", 0, ""
        for command in list(commands)[:MOST_QUOTES]:
            yield command, 2, "cyan"


def _fields(fields: Sequence[FieldShare]) -> str:
    each = (
        f"{one.field} {one.value or '(none)'} ({one.inside} of {one.of}; {one.outside:.0%} of the others)"
        for one in fields[:_MOST_FIELDS]
    )
    return f"goes with {'; '.join(each)}"


def _quoted(quote: Quote) -> str:
    words = " ".join(quote.text.split())
    short = words if len(words) <= _MOST_WORDS else f"{words[: _MOST_WORDS - 1]}…"
    about = ", ".join(part for part in (quote.label or "(failed)", quote.model) if part)
    return f"“{short}” ({about})"


def moment(text: str | None) -> str:
    """A moment to the minute; `(unknown)` for none."""
    return text[:16].replace("T", " ") if text else "(unknown)"


@dataclass(frozen=True)
class RatesView(Lines):
    """The share of each cluster among the reasons with each value of something."""

    clustering: Any
    by: str

    def _lines(self) -> Iterator[tuple[str, int, str]]:
        names = {one.id: one.name for one in self.clustering.clusters}
        rates = self.clustering.rates(self.by)
        yield f"share of each cluster by {self.by}", 0, "bold"
        last = None
        for rate in rates:
            if rate.cluster != last:
                yield names[rate.cluster], 0, ""
                last = rate.cluster
            yield _rate_line(rate.to_dict()), 2, ""


def _rate_line(rate: Mapping[str, Any]) -> str:
    share = _estimate(rate["share"])
    return f"{rate['value'] or '(none)'}: {share.format('.1%')}, {rate['reasons']:,} of {rate['of']:,}"


def _estimate(share: Mapping[str, Any]) -> Estimate:
    return Estimate(**{name: share[name] for name in Estimate.__slots__ if name in share})


@dataclass(frozen=True)
class ClusterView(Lines):
    """One cluster of a stored clustering."""

    found: StoredCluster
    by: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON types; `quotes` are redacted as they stand in the store."""
        found = self.found
        cluster = {name: value for name, value in found.cluster.items() if name != "centroid"}
        return {
            "clustering": found.clustering["clustering_id"],
            "simulated": found.clustering["simulated"],
            **cluster,
            "children": [{"cluster_id": one["cluster_id"], "name": one["name"]} for one in found.children],
            "anomalies": list(found.anomalies),
            "quotes": {id_: quote.to_dict() for id_, quote in found.quotes.items()},
        }

    def _lines(self) -> Iterator[tuple[str, int, str]]:
        row, figures, clustering = self.found.cluster, self.found.cluster["figures"], self.found.clustering
        if clustering["simulated"]:
            yield "SIMULATED: made-up reasons, not a measurement", 0, "bold yellow"
        kind = "" if row["kind"] == POOL else f"{row['kind']} "
        yield f"{row['name']}   ({kind}{row['cluster_id']})", 0, "bold"
        yield f"from {moment(clustering['since'])} to {moment(clustering['until'])} UTC", 0, "dim"
        of = f"{counted(row['reasons'], 'reason')} of {counted(row['conversations'], 'conversation')}"
        share = f": {_estimate(figures['share']).format('.1%')} of the window" if figures.get("share") else ""
        before = f"; before: {_estimate(figures['baseline']).format('.1%')}" if figures.get("baseline") else ""
        yield f"{of}{share}{before}", 0, ""
        yield f"first seen {moment(row['first_seen'])} UTC", 0, ""
        for title in ("labels", "errors"):
            if figures.get(title):
                yield f"{title}: {_counts(figures[title])}", 0, ""
        if row["terms"]:
            yield f"words that set it apart: {', '.join(row['terms'])}", 0, ""
        for one in self.found.children:
            yield f"{one['name']}   {one['cluster_id']}, {counted(one['reasons'], 'reason')}", 2, ""
        for one in self.found.anomalies:
            yield f"strange ({_KINDS[one['kind']]}): {one['evidence'].get('sentence', '')}", 0, ""
            fields = [FieldShare(**field) for field in one["evidence"].get("fields", ())]
            if fields:
                yield _fields(fields), 0, ""
        yield from self._rates(figures.get("rates", {}))
        yield from self._quotes()

    def _rates(self, rates: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[tuple[str, int, str]]:
        if self.by is not None and self.by not in rates:
            pool = self.found.cluster["kind"] == POOL
            fix = (
                "of the pool none are: its `goes with` says what sets it apart"
                if pool
                else nearest(self.by, list(rates))
            )
            raise ConfigError("no such rates are kept", where="--by", got=self.by, fix=fix)
        for by, rows in rates.items():
            if by == self.by or (self.by is None and len(rows) > 1 and by not in ("day", "hour")):
                yield f"by {by}", 0, ""
                for rate in rows:
                    yield _rate_line(rate), 2, ""

    def _quotes(self) -> Iterator[tuple[str, int, str]]:
        for quote in list(self.found.quotes.values())[: 2 * MOST_QUOTES]:
            yield _quoted(quote), 0, "italic"
        if not self.found.quotes:
            yield f"no quotes: {self.found.why_no_quotes}", 0, "dim"
        if self.found.cluster["kind"] != "parent":
            yield f"llmclf reasons promote {self.found.cluster['cluster_id']} --as failure-mode", 0, "cyan"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0])))


@dataclass(frozen=True)
class StoredView(Lines):
    """A clustering as it stands in the store: what was strange, and a line for each cluster."""

    found: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return dict(self.found)

    def _lines(self) -> Iterator[tuple[str, int, str]]:
        found = self.found
        if found["simulated"]:
            yield "SIMULATED: made-up reasons, not a measurement", 0, "bold yellow"
        of = f"{counted(found['reasons'], 'reason')} of {counted(found['conversations'], 'conversation')}"
        yield f"clustering {found['clustering_id']}: {of}", 0, "bold"
        yield f"from {moment(found['since'])} to {moment(found['until'])} UTC", 0, "dim"
        if found["result"]["silence"]:
            yield f"! {found['result']['silence']}", 0, ""
        if found["state"] == "quiet":
            yield "nothing strange", 0, ""
        names = {row["cluster_id"]: row["name"] for row in found["clusters"]}
        for one in found["anomalies"]:
            name = f"{names[one['cluster_id']]}: " if one["cluster_id"] in names else ""
            yield f"! {name}{one['evidence'].get('sentence', '')}", 0, ""
        for row in found["clusters"]:
            if row["kind"] != "parent":
                share = _estimate(row["figures"]["share"]).format(".1%")
                new = "new, " if row["kind"] == "new" else ""
                yield f"{row['cluster_id']}  {row['name']}: {new}{counted(row['reasons'], 'reason')}, {share}", 0, ""
        pools = [one for one in found["anomalies"] if one["kind"] == "novelty"]
        for one in pools:
            yield f"{POOL}  unlike the days before, beside these: {counted(one['reasons'], 'reason')}", 0, ""
        for note in found["result"]["notes"]:
            yield f"- {note}", 0, "dim"
        strange = [one["cluster_id"] for one in found["anomalies"] if one["cluster_id"]] + [POOL] * bool(pools)
        yield f"llmclf reasons show {strange[0] if strange else 'CLUSTER'}", 0, "cyan"
