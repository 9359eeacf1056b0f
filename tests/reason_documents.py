"""Made documents of clusterings, as `Clustering.to_dict` gives them, and quotes for them: no real words."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from llmclf.reasons.figures import BaselineFigures, PoolFigures
from llmclf.reasons.values import Anomaly, Cluster, ClusterSettings, FieldShare, PoolReading
from llmclf.types import Estimate

END = datetime(2026, 11, 22, tzinfo=UTC)
HOURS = 8 * 24
WINDOW = 24
PARENTS = ("asks for a person", "no request for a person", "refund and delivery", "account and password")
NAMES = (
    "asks twice for a person, bot offers articles", "wants a human agent, is told to wait", "supervisor is asked for",
    "no request for a person at all", "only greets and leaves", "thanks and closes", "order is late, asks where",
    "refund is not paid out", "wrong item was delivered", "can not log in", "password reset mail never comes",
    "address has to be changed",
)  # fmt: skip
QUOTE = "The transcript holds no turns, so there is nothing on which the presence of a request could be judged."
LONG = "The customer first asks about an order, then about a refund, and is answered with an article each time. " * 12


def share_of(part: int, whole: int) -> Estimate:
    """A share with a rough interval."""
    value = part / max(whole, 1)
    return Estimate(value, max(value * 0.6, 0.0), min(value * 1.5 + 0.002, 1.0), "made", part)


def moment(hours: float) -> str:
    """So many hours before the end of the window."""
    return (END - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def cluster_row(
    number: int, rng: random.Random, totals: Sequence[int], rate: float, *, name: str = "", fault: bool = False
) -> dict[str, Any]:
    """A cluster of a steady share; `fault`: it is new, in the last 14 hours only, of one model."""
    late = len(totals) - 14
    counts = [
        min(total, int(2 * rng.random() * rate * total + rng.random())) if not fault or place >= late else 0
        for place, total in enumerate(totals)
    ]
    split = HOURS if len(totals) > WINDOW else 0
    now, before = sum(counts[split:]), sum(counts[:split])
    window, base = sum(totals[split:]), sum(totals[:split])
    small = now < 3
    cluster = Cluster(
        id=f"c{number:04x}",
        kind="new" if fault else "known",
        name="(too few to show)" if small else name or NAMES[number % len(NAMES)],
        named_by="terms",
        terms=() if small else tuple((name or NAMES[number % len(NAMES)]).split()[:4]),
        parent="" if fault else f"p{number % len(PARENTS)}",
        reasons=now,
        texts=max(now * 3 // 4, min(now, 1)),
        conversations=max(now * 9 // 10, min(now, 1)),
        share=share_of(now, window),
        baseline=share_of(before, base) if split else Estimate.unknown("there is no baseline"),
        medoid="" if small else f"medoid-{number}",
        labels={"clean": now - now // 3, "refused": now // 3},
        errors={"ungrounded": 2} if number == 1 else {},
        first_seen=moment(13.4 if fault else 200),
        last_seen=moment(0.6),
    )
    of_b = now if fault else now // 2
    rates = {
        "model": [rate_row("model-a", now - of_b, window // 2), rate_row("model-b", of_b, window // 2)],
        "prompt_id": [rate_row("ask@3f2a", now, window)],
        "label": [rate_row("clean", now - now // 3, window * 4 // 5), rate_row("refused", now // 3, window // 5)],
        "turns": [rate_row("0" if fault else "8", now, max(now, 1)), rate_row("", 0, window // 9)],
    }  # fmt: skip
    return {**asdict(cluster), "rates": rates, "series": counts}


def rate_row(value: str, reasons: int, of: int) -> dict[str, Any]:
    """How often a cluster is among the reasons with a value."""
    share = share_of(reasons, of).to_dict()
    return {"value": value, "reasons": reasons, "of": of, "conversations": reasons, "share": share}


def anomaly_rows(fault: Mapping[str, Any], window: int) -> list[dict[str, Any]]:
    """The pool, the new cluster in it, which a judge has read, and a burst."""
    reasons, conversations = fault["reasons"], fault["conversations"]
    fields = (
        FieldShare("turns", "0", conversations, conversations, 0.03, 2e-14),
        FieldShare("model", "model-b", conversations, conversations, 0.49, 4e-6),
        FieldShare("channel", "chat", conversations - 2, conversations, 0.6, 0.02),
    )
    examples = tuple(f"example-{number}" for number in range(4))
    predictions = tuple(f"example-{number}" for number in range(reasons))
    verdicts = {"system_fault": reasons - 1, "cannot_tell": 1}
    reading = PoolReading("reason_anomaly", "f" * 64, "calibrated", verdicts, reasons - 1, Estimate(0.93, 0.81, 0.98))
    new = Anomaly(
        "new_cluster", fault["id"],
        f"{reasons} reasons from {conversations} conversations say one new thing that nothing in the baseline says",
        3e-9, reasons, conversations, 0.3, share_of(reasons, window), None, moment(13.4), examples, predictions,
        fields, reading, fault["name"],
    )  # fmt: skip
    pool = Anomaly(
        "novelty", "",
        f"{reasons + 6} reasons from {conversations + 6} conversations are unlike anything in the baseline; 9.1 are "
        "expected",
        0.00002, reasons + 6, conversations + 6, 9.1, share_of(reasons + 6, window), 4.4, moment(13.4), examples,
        (*predictions, "other-1"), fields[:1],
    )  # fmt: skip
    burst = Anomaly(
        "burst", "c0001", "wants a human agent, is told to wait: 2.1 times the baseline's share", 0.012, 60, 52, 24.5,
        share_of(60, window), 2.1, moment(20), ("example-9",), ("example-9",), (), None, NAMES[1],
    )  # fmt: skip
    return [asdict(one) for one in (new, pool, burst)]


def make_document(*, clusters: int = 12, baseline: bool = True, fault: bool = True, seed: int = 1) -> dict[str, Any]:
    """A week of hours and a day after it; in its last 14 hours many reasons speak of an empty transcript."""
    rng = random.Random(seed)
    hours = (HOURS if baseline else 0) + WINDOW
    totals = [rng.randint(8, 40) for _ in range(hours)]
    split = HOURS if baseline else 0
    window = sum(totals[split:])
    rows = [cluster_row(number, rng, totals, rng.uniform(0.4, 1.6) / max(clusters, 1)) for number in range(clusters)]
    if fault:
        rows.append(cluster_row(99, rng, totals, 0.08, name="transcript, empty, no turns", fault=True))
    used = {row["parent"] for row in rows}
    quarter = share_of(window // 4, window)
    parents = [
        asdict(
            Cluster(f"p{place}", "known", name, "terms", tuple(name.split()), "", 1, 1, 1, quarter, quarter, "")
        )
        for place, name in enumerate(PARENTS) if f"p{place}" in used
    ]  # fmt: skip
    pool = PoolFigures(27, 24, 9.1, 0.02, 0.00002 if fault else 0.6, share_of(27, window), "")
    base = BaselineFigures(sum(totals[:split]), sum(totals[:split]), 3_700, moment(HOURS + WINDOW), moment(WINDOW))
    return {
        "clustering": "01jd3k9q",
        "since": moment(WINDOW),
        "until": moment(0),
        "baseline": asdict(base) if baseline else None,
        "reasons": window,
        "texts": window * 4 // 5,
        "conversations": window * 9 // 10,
        "duplicates": window - window * 4 // 5,
        "simulated": False,
        "settings": asdict(ClusterSettings()),
        "embedder": "wordllama-256",
        "pool": asdict(pool) if baseline else None,
        "clusters": sorted(rows, key=lambda row: -int(row["reasons"])),
        "parents": parents,
        "anomalies": anomaly_rows(rows[-1], window) if fault and baseline else [],
        "times": [moment(hours - place) for place in range(hours)],
        "window_from": split,
        "totals": totals,
        "notes": ["the field `channel` is set for 41 % of the reasons only"],
    }


def empty_document() -> dict[str, Any]:
    """A window without a reason."""
    document = make_document(clusters=0, baseline=False, fault=False)
    zero = {"reasons": 0, "texts": 0, "conversations": 0, "duplicates": 0}
    return {**document, **zero, "times": [], "totals": [], "window_from": None, "since": "", "until": "", "notes": []}


def quotes_for(ids: Sequence[str], *texts: str) -> dict[str, dict[str, Any]]:
    """A quote for each id; the texts take turns."""
    said = texts or (QUOTE, LONG, "No request for a person is made; the customer only asks where an order is.", QUOTE)
    return {
        id_: {
            "text": said[place % len(said)],
            "conversation_id": f"conversation-{place}",
            "label": "clean",
            "model": "model-b",
            "at": moment(place % 13 + 0.5),
        }
        for place, id_ in enumerate(ids)
    }
