"""The map of clusters over time, which opens row by row: parent, cluster, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote as quoted

from llmclf.reasons.report_anomalies import first_seen, promotions
from llmclf.reasons.report_charts import axis, burst_chart, map_legend, strip
from llmclf.reasons.report_look import Document, Look
from llmclf.reasons.report_words import (
    commands_html,
    figure,
    mix,
    number,
    percent,
    plain,
    quotes_html,
    reasons_of,
    said,
    share_html,
)
from llmclf.render.pages import packaged_text
from llmclf.render.tables import counted

TOO_FEW = "(too few to show)"
_ALL_OPEN = 40
"""With more clusters than that only parents with an anomaly are open at first."""
_MOST_VALUES = 8
_FEW_VALUES = 4
_BY = {"model": "model", "prompt_id": "prompt", "classifier_id": "classifier", "label": "label"}


def clusters_section(look: Look) -> str:
    """Heading, filters, map and legend; nothing where there are no clusters."""
    if not look.clusters:
        return ""
    families = look.families()
    count = counted(len(look.clusters), "cluster")
    grouped = any(parent is not None for parent, _ in families)
    open_all = len(look.clusters) <= _ALL_OPEN
    rows = "".join(
        _family(look, parent, some, open_all) if grouped else "".join(_row(look, one) for one in some)
        for parent, some in families
    )
    filters = packaged_text("llmclf.reasons", "filters.html") if len(look.clusters) > 1 else ""
    head = (
        f'<div class="head line" aria-hidden="true"><span>cluster</span>{axis(look.timeline) or "<span></span>"}'
        f"<span>reasons</span><span>share</span><span>{'baseline' if look.has_baseline else ''}</span></div>"
    )
    drawn = len(look.timeline) > 0
    told = "Open a row for its chart, rates and words. Anomalies come first, then what is new, then what grew most."
    if not drawn:
        told += " It is not known when the reasons were made, so there is nothing to draw over time."
    css = "map" if look.timeline.window_from else "map alone" if drawn else "map timeless"
    return (
        f'<h2 id="clusters">{count} of reasons</h2><p class="soft">{told}</p>{filters}{map_legend() if drawn else ""}'
        f'<div class="{css}">{head}{rows}</div>'
        '<p class="soft" id="none" hidden>No cluster is like that.</p>'
    )


def _family(look: Look, parent: Document | None, clusters: Sequence[Document], open_all: bool) -> str:
    """A parent's row over those of its clusters; its strip is theirs together."""
    unlike = all(one["kind"] == "new" for one in clusters)
    name = parent["name"] if parent else "new, in no group" if unlike else "in no group"
    alarm = any(one["id"] in look.alarmed for one in clusters)
    series = [look.timeline.counts(one["series"]) for one in clusters]
    counts = [sum(column) for column in zip(*series, strict=True)]
    reasons = sum(int(one["reasons"]) for one in clusters)
    row = _line(
        f'<span class="name"><b>{said(name)}</b>{_alarm_tag() if alarm else ""}'
        f"<small>{counted(len(clusters), 'cluster')}</small></span>",
        strip(counts, look.timeline, str(name)),
        reasons,
        share_html(figure(parent["share"])) if parent else percent(reasons / max(int(look.document["reasons"]), 1)),
        _before(look, parent) if parent else "",
    )
    opened = " open" if open_all or alarm else ""
    rows = "".join(_row(look, one) for one in clusters)
    key = "" if parent is None else parent["id"]
    return f'<details class="family" data-id="{plain(key)}"{opened}>{row}<div class="rows">{rows}</div></details>'


def _row(look: Look, cluster: Document) -> str:
    """One cluster: its line in the map, and below what is known of it."""
    anomaly = look.alarmed.get(cluster["id"])
    new = '<span class="tag new">new</span>' if cluster["kind"] == "new" else ""
    terms = "" if cluster["name"] == TOO_FEW else " ".join(cluster["terms"])
    line = _line(
        f'<span class="name">{said(cluster["name"])}{new}{_alarm_tag() if anomaly else ""}</span>',
        strip(look.timeline.counts(cluster["series"]), look.timeline, str(cluster["name"])),
        int(cluster["reasons"]),
        share_html(figure(cluster["share"])),
        _before(look, cluster),
    )
    data = {
        "id": cluster["id"],
        "kind": cluster["kind"],
        "alarm": anomaly or "",
        "words": f"{cluster['name']} {terms} {cluster['id']}".lower(),
        "reasons": cluster["reasons"],
        "grown": "" if (grown := look.grown(cluster)) is None else f"{grown:.4g}",
        "first": cluster["first_seen"],
    }
    attributes = "".join(f' data-{name}="{plain(value)}"' for name, value in data.items())
    return (
        f'<details class="cluster" id="cluster-{plain(quoted(cluster["id"]))}"{attributes}>{line}'
        f'<div class="body">{_body(look, cluster)}</div></details>'
    )


def _line(name: str, drawn: str, reasons: int, share: str, before: str) -> str:
    return (
        f'<summary class="line">{name}{drawn}<span class="n reasons">{reasons:,}</span>'
        f'<span class="n share">{share}</span><span class="n before">{before}</span></summary>'
    )


def _alarm_tag() -> str:
    return '<span class="tag alarm">anomaly</span>'


def _before(look: Look, cluster: Document) -> str:
    """The baseline's share and how many times that is; nothing without a baseline."""
    if not look.has_baseline:
        return ""
    before = figure(cluster["baseline"])
    if before.value is None:
        return '<span class="soft">-</span>'
    grown = look.grown(cluster)
    times = "" if grown is None else f"<small>× {number(grown)}</small>"
    return f"{percent(before.value)}{times}"


def _body(look: Look, cluster: Document) -> str:
    quotes = look.cluster_quotes(cluster)
    words = (
        f"<h4>In its own words</h4>{quotes_html(quotes, look.quotes)}"
        if quotes
        else '<p class="soft">Not quoted: it is too small to be shown in words.</p>'
    )
    return (
        f"{_facts(cluster)}{burst_chart(look.timeline.counts(cluster['series']), look.timeline)}"
        f"{words}{_rates(cluster)}<h4>From here</h4>{commands_html(promotions(look, cluster['id']))}"
    )


def _facts(cluster: Document) -> str:
    named = "" if cluster["named_by"] == "terms" else f"named by {said(cluster['named_by'])}"
    terms = "" if cluster["name"] == TOO_FEW else ", ".join(map(said, cluster["terms"]))
    texts = f"{counted(cluster['texts'], 'different text')}, near-duplicates taken as one"
    facts = (
        ("size", f"{reasons_of(cluster['reasons'], cluster['conversations'])}; {texts}"),
        ("words that set it apart", terms),
        ("seen", first_seen(cluster)),
        ("labels", mix(cluster["labels"])),
        ("errors", mix(cluster["errors"])),
        ("id", " · ".join(part for part in (f"<code>{said(cluster['id'])}</code>", named) if part)),
    )
    listed = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in facts if text)
    return f'<dl class="facts">{listed}</dl>'


def _rates(cluster: Document) -> str:
    """By model, prompt and so on: what share of the reasons with each value is in this cluster."""
    tables = [_rate_table(by, rates) for by, rates in cluster.get("rates", {}).items() if rates]
    if not tables:
        return ""
    return (
        '<h4>Its share by</h4><p class="soft">Of the window’s reasons with each value, so many are in this cluster; '
        f'95 % intervals by conversation.</p><div class="rates">{"".join(tables)}</div>'
    )


def _rate_table(by: str, rates: Sequence[Mapping[str, Any]]) -> str:
    most = sorted(rates, key=lambda rate: -int(rate["reasons"]))
    if len(most) > _FEW_VALUES:  # among few values a zero says that it is one-sided; among many it is in the way
        most = [rate for rate in most if rate["reasons"]]
    shown, left = most[:_MOST_VALUES], len(rates) - min(len(most), _MOST_VALUES)
    rows = "".join(
        f"<tr><th scope=row>{said(rate['value'] or '(empty)')}</th>"
        f"<td class=n>{rate['reasons']:,} of {rate['of']:,}</td>"
        f"<td class=n>{share_html(figure(rate['share']))}</td></tr>"
        for rate in shown
    )
    what = "with none of it" if len(most) <= _MOST_VALUES else "with fewer"
    more = f'<tr><td class="soft" colspan=3>{counted(left, "more value")} {what}</td></tr>' if left else ""
    name = _BY.get(by, by.replace("_", " "))
    return f'<table class="grid"><caption>{said(name)}</caption><tbody>{rows}{more}</tbody></table>'
