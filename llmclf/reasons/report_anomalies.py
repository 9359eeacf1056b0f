"""What the page says of each anomaly: the evidence, the judge's reading, examples, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote as quoted

from llmclf.reasons.judged import reading_text
from llmclf.reasons.report_charts import burst_chart
from llmclf.reasons.report_look import KINDS, Document, Look
from llmclf.reasons.report_words import (
    all_have,
    chance,
    commands_html,
    expected_number,
    facts,
    figure,
    goes_with,
    moment,
    number,
    percent,
    plain,
    quotes_html,
    reasons_of,
    said,
    share_html,
    short_moment,
)
from llmclf.render.tables import counted

_OPEN = 3
_MOST_FIELDS = 6


def anomalies_section(look: Look) -> str:
    """A card for each anomaly; those after the first few are folded."""
    cards = [_card(look, one, place) for place, one in enumerate(look.anomalies, start=1)]
    if not cards:
        return ""
    more = cards[_OPEN:]
    folded = f"<details class=folded><summary>{counted(len(more), 'more anomaly')}</summary>{''.join(more)}</details>"
    heading = "What is wrong" if len(cards) == 1 else f"What is wrong, the surest of {len(cards)} first"
    return f"<h2>{heading}</h2>{''.join(cards[:_OPEN])}{folded.replace('anomalys', 'anomalies') * bool(more)}"


def sentence_of(anomaly: Document) -> str:
    """What is so, and which request fields all of it have, as HTML."""
    fields = all_have(anomaly["fields"])
    also = [f" It also fires {name}." for name in anomaly.get("alerts") or ()]
    told = str(anomaly["sentence"])
    for fires in also:
        told = told.replace(fires, "")
    told = plain(told).rstrip(".")
    return (f"{told}; {fields}." if fields else f"{told}.") + plain("".join(also))


def _card(look: Look, anomaly: Document, place: int) -> str:
    cluster = look.by_id.get(anomaly["cluster"])
    name = f": {said(anomaly['name'])}" if anomaly["name"] else ""
    parts = (
        f'<h3><span class="tag alarm">{place}</span>{KINDS.get(anomaly["kind"], anomaly["kind"])}{name}</h3>',
        f"<p>{sentence_of(anomaly)}</p>" * (place > 1),  # the first one's is the headline
        _evidence(look, anomaly),
        "" if cluster is None else burst_chart(look.timeline.counts(cluster["series"]), look.timeline),
        _fields(anomaly["fields"]),
        _judged(anomaly["judged"]),
        _overlap(look, anomaly, place),
        _examples(look, anomaly, place),
        _next(look, anomaly),
    )
    return f'<section class="anomaly" id="anomaly-{place}">{"".join(parts)}</section>'


def _evidence(look: Look, anomaly: Document) -> str:
    share = figure(anomaly["share"])
    tiles = [
        (f"{anomaly['conversations']:,}", f"conversations, {anomaly['reasons']:,} reasons"),
        (expected_number(anomaly["expected"]), "expected from the baseline"),
        (share_html(share), "of the window’s reasons"),
    ]
    if anomaly["ratio"] is not None:
        tiles.append((f"{number(anomaly['ratio'])} ×", "the baseline’s share"))
    if anomaly["first_seen"]:
        tiles.append((short_moment(anomaly["first_seen"]), "first seen (UTC)"))
    made = "".join(f'<div class="tile"><b>{top}</b><span>{below}</span></div>' for top, below in tiles)
    if anomaly["kind"] == "alert":
        surely = "Not a test: somebody asked to be told of reasons like these."
    else:
        rate = percent(float(look.document.get("settings", {}).get("false_alarms", 0.05)))
        surely = (
            f"As much would come by chance in {chance(anomaly['p'])} (p {anomaly['p']:.2g}, adjusted for all that was "
            f"tested; alarms are let through up to {rate} of quiet windows)."
        )
    return f'<div class="tiles">{made}</div><p class="soft">{surely}</p>'


def _fields(fields: Sequence[Mapping[str, Any]]) -> str:
    if not fields:
        return '<p class="soft">No request field goes with it: it is not of one model, prompt or channel alone.</p>'
    told = facts(fields)
    rows = "".join(f"<li>{goes_with(*some)} <small>p {some[0]['p']:.1g}</small></li>" for some in told[:_MOST_FIELDS])
    more = len(told) - _MOST_FIELDS
    rest = f"<li class=soft>and {more} more fields, in the JSON</li>" if more > 0 else ""
    return f"<h4>What goes with it</h4><ul class=fields>{rows}{rest}</ul>"


def _judged(reading: Mapping[str, Any] | None) -> str:
    if reading is None:
        return ""
    hint = (
        "" if reading["state"] == "calibrated" else " Nobody has shown that it can be trusted here: take it as a hint."
    )
    return f"<h4>How a judge reads it</h4><p>{plain(reading_text(reading))}.{hint}</p>"


def _overlap(look: Look, anomaly: Document, place: int) -> str:
    own = set(anomaly["predictions"])
    for earlier, other in enumerate(look.anomalies[: place - 1], start=1):
        both = len(own & set(other["predictions"]))
        if both:
            link = f'<a href="#anomaly-{earlier}">anomaly {earlier}</a>'
            return f'<p class="soft">Also in {link}: {both:,} of its {counted(len(own), "reason")}.</p>'
    return ""


def _examples(look: Look, anomaly: Document, place: int) -> str:
    """Quotes that no anomaly above has shown."""
    ids = look.anomaly_quotes(anomaly)
    for earlier, other in enumerate(look.anomalies[: place - 1], start=1):
        above = look.anomaly_quotes(other)
        if ids and not set(ids) - set(above):
            return f'<p class="soft">Its examples are those of <a href="#anomaly-{earlier}">anomaly {earlier}</a>.</p>'
        ids = [id_ for id_ in ids if id_ not in above]
    if ids:
        return f"<h4>In its own words</h4>{quotes_html(ids, look.quotes)}"
    of = reasons_of(anomaly["reasons"], anomaly["conversations"])
    return f'<p class="soft">Not quoted: {of} are too few to be shown in words.</p>'


def _next(look: Look, anomaly: Document) -> str:
    commands = commands_html(_commands(look, anomaly))
    to = ""
    if anomaly["cluster"] in look.by_id:
        to = f'<p><a href="#cluster-{quoted(anomaly["cluster"])}">Its cluster: rates by model, prompt and label</a></p>'
    return f"<h4>From here</h4>{commands}{to}" if commands or to else ""


def _commands(look: Look, anomaly: Document) -> Iterator[tuple[str, Sequence[str]]]:
    ids = look.anomaly_quotes(anomaly) or list(anomaly["predictions"])
    if ids:
        yield "one of them, with its exact prompt and answer", ("llmclf", "show", ids[0])
    if anomaly["cluster"] and anomaly["kind"] != "alert":
        yield from promotions(look, anomaly["cluster"])


def promotions(look: Look, cluster_id: str) -> Iterator[tuple[str, Sequence[str]]]:
    """What a cluster can be made into, with the commands."""
    verb = ("llmclf", "reasons", "promote", cluster_id)
    of = ("--in", look.document["clustering"]) if look.document["clustering"] else ()
    yield "be told when it comes again", (*verb, "--as", "alert", *of)
    yield "it is a fault: keep examples as a failure mode", (*verb, "--as", "failure-mode", *of)
    yield "it looks like the target and is not", (*verb, "--as", "hard-negative", *of)


def first_seen(cluster: Document) -> str:
    """`first seen Sat 21 Nov 2026, 02:14, last 09:10`, or nothing."""
    first, last = cluster["first_seen"], cluster["last_seen"]
    if not first:
        return ""
    return f"first seen {plain(moment(first))}" + (f", last {plain(moment(last))}" if last and last != first else "")
