"""A clustering of reasons as one page that works offline: what is wrong first, then all clusters over time."""

from __future__ import annotations

from html import escape
from typing import Any

from llmclf.reasons.report_anomalies import anomalies_section, sentence_of
from llmclf.reasons.report_clusters import clusters_section
from llmclf.reasons.report_look import Document, Look, Quotes, quoted_ids
from llmclf.reasons.report_words import expected_number, figure, moment, percent, plain, reasons_of, said, share_text
from llmclf.render.pages import html_page, packaged_text, page_policy
from llmclf.render.tables import counted

__all__ = ["quoted_ids", "reasons_page", "reasons_policy"]


def reasons_page(document: Document, quotes: Quotes, *, back: str = "") -> str:
    """The page of one clustering as a self-contained HTML file; every text in it is escaped.

    `document` is what `Clustering.to_dict` gives; `quotes` has, by prediction id, mappings of `text`,
    `conversation_id`, `label`, `model` and `at` for the ids that `quoted_ids` names: one that is missing
    is shown as forgotten. Without scripts all of it can be read; with them rows can be searched,
    filtered and ordered, and a bucket tells its counts. `back` is the address of the list of clusterings, if any.
    """
    look = Look(document, quotes)
    state, first = _verdict(look)
    stamp = '<span class="stamp">SIMULATED</span> ' if document["simulated"] else ""
    home = f'<a href="{plain(back)}">all clusterings</a> · ' if back else ""
    parts = (
        f'<p class="eyebrow">{stamp}{home}{_when(look)}</p>',
        f'<div class="verdict {state}"><p class="state">{_STATES[state]}</p><h1>{first}</h1>{_after(look)}</div>',
        *([anomalies_section(look), _notes(document)] if look.anomalies else [_notes(document)]),
        clusters_section(look),
        _how(look),
    )
    return html_page(
        f"{_STATES[state]}: reasons until {moment(str(document.get('until') or ''))}".rstrip(),
        f'<main style="--from:{look.timeline.window_share:.4f}">{"".join(parts)}</main>',
        packaged_text("llmclf.reasons", "reasons.css"),
        data=_data(look),
        scripts=_scripts(),
    )


def reasons_policy() -> str:
    """The content security policy under which the page is served."""
    return page_policy(_scripts())


_STATES = {"alarm": "ANOMALY", "quiet": "NO ANOMALY", "open": "CAN’T TELL", "empty": "NOTHING TO LOOK AT"}


def _scripts() -> tuple[str, ...]:
    return (packaged_text("llmclf.reasons", "reasons.js"),)


def _verdict(look: Look) -> tuple[str, str]:
    """The state of the window and the first sentence about it, as HTML."""
    document = look.document
    of = reasons_of(document["reasons"], document["conversations"])
    if look.anomalies:
        worst = look.anomalies[0]
        name = f"“{said(worst['name'])}”: " if worst["name"] and worst["kind"] != "alert" else ""
        return "alarm", f"{name}{sentence_of(worst)}"
    if document.get("silence"):
        return "alarm", plain(document["silence"])
    if not document["reasons"]:
        return "empty", "There are no reasons in this window."
    if not look.has_baseline:
        return "open", f"{of}, and no baseline to hold them against: nothing can be called new."
    pool = document["pool"] or {}
    if pool.get("p") is None:
        why = plain(pool.get("why_not") or "the baseline is too small").rstrip(".")
        return "open", f"{of}; whether any are new can’t be told: {why}."
    return "quiet", f"{of} are like those of the baseline."


def _after(look: Look) -> str:
    """What stands under the first sentence: how many anomalies more, or what to do about an empty window."""
    more = len(look.anomalies) - 1
    if more > 0:
        of = reasons_of(look.document["reasons"], look.document["conversations"])
        what = "one more anomaly" if more == 1 else f"{more} more anomalies"
        return f'<p class="why">And {what} below, among {of}.</p>'
    if look.anomalies:
        return f'<p class="why">Among {reasons_of(look.document["reasons"], look.document["conversations"])}.</p>'
    if look.document.get("silence"):
        return '<p class="why"><code>llmclf status</code> says whether predictions are made, and whether they fail.</p>'
    if not look.document["reasons"]:
        return (
            '<p class="why">Classifiers give reasons where <code>answer = "explained"</code>; '
            "the window may also be too short: <code>--since 8d</code> looks further back.</p>"
        )
    return ""


def _when(look: Look) -> str:
    document = look.document
    parts = [f"{moment(document['since'])} to {moment(document['until'])} UTC"] if document.get("since") else []
    baseline = document["baseline"] or {}
    if baseline.get("since"):
        parts.append(f"against {moment(baseline['since'])} to {moment(str(baseline.get('until') or ''))}")
    parts += [str(document["task"])] if document.get("task") else []
    parts += [f"clustering {document['clustering']}"] if document["clustering"] else []
    return plain(" · ".join(parts))


def _notes(document: Document) -> str:
    if not document["notes"]:
        return ""
    listed = "".join(f"<li>{plain(note)}</li>" for note in document["notes"])
    return f'<div class="flag"><b>What can’t be told</b><ul>{listed}</ul></div>'


def _how(look: Look) -> str:
    document = look.document
    settings = document.get("settings", {})
    facts: list[tuple[str, str]] = [
        (
            "window",
            f"{reasons_of(document['reasons'], document['conversations'])}; {document['texts']:,} different texts, "
            f"{document['duplicates']:,} say what another one says",
        ),
        ("baseline", _baseline(document["baseline"])),
        ("unlike it", _pool(document["pool"])),
        (
            "false alarms",
            f"in at most {percent(settings.get('false_alarms', 0.05))} of quiet windows, over all tests",
        ),
        (
            "words",
            f"quoted from {counted(int(settings.get('least_reasons', 3)), 'reason')} of "
            f"{counted(int(settings.get('least_conversations', 3)), 'conversation')} on; names are of words that "
            "several conversations share",
        ),
        ("vectors", str(document["embedder"])),
        ("intervals", "95 %; reasons of one conversation are not taken as independent"),
    ]
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{plain(text)}</dd>" for name, text in facts if text)
    return f'<h2>How it was measured</h2><dl class="facts">{listed}</dl>'


def _baseline(baseline: Any) -> str:
    if baseline is None:
        return "none"
    return reasons_of(int(baseline["reasons"]), int(baseline["conversations"]))


def _pool(pool: Any) -> str:
    if pool is None:
        return ""
    of = reasons_of(int(pool["reasons"]), int(pool["conversations"]))
    return f"{of}, {share_text(figure(pool['share']))}; the baseline explains {expected_number(pool['expected'])}"


def _data(look: Look) -> dict[str, Any]:
    """What the script shows of a bucket: when it was, how many reasons there are, and how many of each cluster."""
    line = look.timeline
    return {
        "buckets": line.labels(),
        "totals": list(line.totals),
        "window": line.window_from,
        "counts": {one["id"]: list(line.counts(one["series"])) for one in look.clusters},
    }
