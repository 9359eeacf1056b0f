"""`llmclf.cluster_reasons`: clusters, what is new, ids that stay, figures by conversation, what it refuses."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import llmclf
from llmclf.errors import ConfigError, DataError
from llmclf.reasons.moments import moments_of, series_of
from llmclf.reasons.rates import rates_of, shares_of
from llmclf.reasons.result import Clustering
from llmclf.reasons.standing import StandingAlert
from llmclf.reasons.values import ClusterSettings
from llmclf.stats import clustered_wilson
from llmclf.types.reasons import Reasons

TOPICS = {
    "parcel": "parcel shipment courier tracking warehouse delivery doorstep carrier",
    "refund": "refund money reimbursement bank credit card charge payment",
    "password": "password login account locked reset email authentication code",
    "flight": "flight airport boarding seat luggage gate departure airline",
    "hotel": "hotel room reception towel breakfast checkout bed minibar",
    "invoice": "invoice tax receipt accounting billing amount statement total",
    "internet": "internet router wifi modem speed outage cable signal",
    "medicine": "medicine doctor prescription pharmacy tablet dose patient pain",
    "garden": "garden plant soil fertiliser lawn flower seeds watering",
    "bicycle": "bicycle brake chain tyre pedal saddle gear wheel",
    "insurance": "insurance policy claim accident coverage premium damage adjuster",
    "recipe": "recipe oven flour butter sugar dough baking cake",
}
FAULT = (
    "There is no conversation to read; the transcript is empty.",
    "The transcript field holds no text, so nothing can be said.",
    "No transcript was given and the label is a guess.",
    "An empty transcript: there is nothing to judge.",
    "The chat log is blank, without a transcript there is no evidence.",
    "I received no transcript of the conversation at all.",
)
START = datetime(2026, 11, 1)


def made(count: int, *, seed: int, name: str, days: tuple[float, float], share: float = 0.0) -> list[dict[str, Any]]:
    """Rows about a dozen subjects, two of each conversation; `share` of the conversations speak of the fault."""
    rng = np.random.default_rng(seed)
    topics = list(TOPICS)
    rows = []
    for place in range(count):
        conversation = place // 2
        faulty = conversation < share * count / 2
        words = rng.choice(TOPICS[topics[int(rng.integers(len(topics)))]].split(), 6)
        text = f"The customer wrote about {words[0]} and {words[1]}, the bot on {' '.join(words[2:])}."
        seconds = float(rng.uniform(*days)) * 86_400
        rows.append(
            {
                "prediction_id": f"{name}{place}",
                "conversation_id": f"{name}-c{conversation}",
                "rationale": FAULT[place % len(FAULT)] + " " * (place % 3) if faulty else text,
                "created_at": (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
                "label": "refused" if place % 5 == 0 else None if place % 11 == 0 else "clean",
                "error_kind": "timeout" if place % 11 == 0 and place % 5 else None,
                "model": "vendor/b" if faulty else ("vendor/a", "vendor/b")[place % 2],
                "fields": {"channel": "chat" if place % 4 else "mail", "turns": place},
            }
        )
    return sorted(rows, key=lambda row: row["created_at"])


@pytest.fixture(scope="module")
def baseline() -> list[dict[str, Any]]:
    """A fortnight without a fault."""
    return made(1400, seed=1, name="b", days=(0, 14))


@pytest.fixture(scope="module")
def window() -> list[dict[str, Any]]:
    """A day in which 6 % of the conversations speak of a missing transcript."""
    return made(400, seed=2, name="w", days=(14, 15), share=0.06)


@pytest.fixture(scope="module")
def found(window: list[dict[str, Any]], baseline: list[dict[str, Any]]) -> Clustering:
    """The window held against the baseline."""
    return llmclf.cluster_reasons(window, baseline)


def shown(result: Clustering, width: int) -> str:
    """What a terminal of that width shows."""
    out = io.StringIO()
    Console(file=out, width=width).print(result)
    return out.getvalue()


def of_fault(result: Clustering) -> set[str]:
    """Clusters of the reasons that speak of the fault."""
    texts = result.reasons.texts()
    return {id_ for id_, text in zip(result.cluster_ids, texts, strict=True) if "transcript" in text}


def test_fault_is_in_the_pool_in_a_new_cluster_and_told(found: Clustering) -> None:
    """The injected reasons are new, stand together, and are the first thing that the table says."""
    ids = found.reasons.column("prediction_id")
    pool = {ids[place] for place in found.pool}
    faulty = {id_ for id_, text in zip(ids, found.reasons.texts(), strict=True) if "transcript" in text}
    assert faulty <= pool
    assert found.anomalies and faulty <= set(found.anomalies[0].predictions)
    assert all(found.cluster(id_).kind == "new" for id_ in of_fault(found) if id_)
    assert any(line.startswith("!") for line in shown(found, 80).splitlines()[:3])
    assert found.novelty is not None and max(found.novelty[place] for place in found.pool) <= 0.05


def test_the_same_words_from_many_conversations_are_a_new_kind(baseline: list[dict[str, Any]]) -> None:
    """Conversations count, not different texts; and a kind whose reasons share no telling word says so."""
    usual = made(200, seed=7, name="u", days=(14, 15))
    same = [
        {"prediction_id": f"x{place}", "conversation_id": f"x{place}", "rationale": "Nothing is there for me to see."}
        | {"created_at": "2026-11-15T10:00:00Z"}
        for place in range(12)
    ]
    result = llmclf.cluster_reasons(usual + same, baseline)
    told = result.anomalies[0]
    assert (told.kind, told.conversations) == ("new_cluster", 12)
    assert len({id_ for id_ in result.cluster_ids[-12:]} - {""}) == 1


def test_known_kinds_are_the_topics(found: Clustering) -> None:
    """Most reasons of a known cluster are about one subject, and its terms are words of it."""
    right = 0
    for cluster in found.clusters:
        if cluster.kind == "known" and cluster.reasons >= 5:
            own = [
                text for text, id_ in zip(found.reasons.texts(), found.cluster_ids, strict=True) if id_ == cluster.id
            ]
            about = [max(TOPICS, key=lambda topic: sum(w in text for w in TOPICS[topic].split())) for text in own]
            right += max(about.count(topic) for topic in set(about))
            words = " ".join(cluster.terms)
            assert any(word in words for topic in TOPICS.values() for word in topic.split())
    known = sum(id_ != "" and found.cluster(id_).kind == "known" for id_ in found.cluster_ids)
    assert right >= 0.8 * known


def test_figures_count_all_reasons(found: Clustering, window: list[dict[str, Any]]) -> None:
    """Every reason is in one cluster or alone in the pool, labels add up, and shares are of all reasons."""
    alone = sum(id_ == "" for id_ in found.cluster_ids)
    assert len(found.reasons) == len(window)
    assert sum(cluster.reasons for cluster in found.clusters) + alone == len(window)
    assert [one.reasons for one in found.clusters] == sorted((one.reasons for one in found.clusters), reverse=True)
    for cluster in found.clusters:
        assert sum(cluster.labels.values()) == cluster.reasons
        assert cluster.share.value == pytest.approx(cluster.reasons / len(window))
        assert cluster.texts <= cluster.reasons and cluster.conversations <= cluster.reasons
    assert sum(one.errors.get("timeout", 0) for one in found.clusters) > 0
    for parent in found.parents:
        assert parent.reasons == sum(one.reasons for one in found.clusters if one.parent == parent.id)
    assert found.baseline is not None and found.baseline.used == 1400


def test_shares_are_those_of_clustered_wilson() -> None:
    """The intervals of all clusters in one pass equal those of each one by itself."""
    rng = np.random.default_rng(3)
    groups = np.sort(rng.integers(0, 40, 300))
    assigned = np.where(rng.random(300) < 0.8, groups % 3, rng.integers(-1, 4, 300))
    many = shares_of(assigned, 5, np.unique(groups, return_inverse=True)[1])
    for cluster, share in enumerate(many.shares):
        alone = clustered_wilson(assigned == cluster, groups.tolist(), alike=True)
        assert (share.value, share.low, share.high) == pytest.approx((alone.value, alone.low, alone.high), abs=1e-12)
    apart = shares_of(assigned, 5, np.arange(300)).shares[0]
    assert apart.method == "wilson"


def test_shares_cover_where_conversations_differ_in_size() -> None:
    """With all reasons of a conversation alike, and most of one or two reasons, some of many."""
    rng = np.random.default_rng(5)
    held = []
    for _ in range(200):
        groups = np.repeat(np.arange(100), np.minimum(200, np.floor(rng.pareto(1.2, 100) + 1)).astype(int))
        inside = (rng.random(100) < 0.05)[groups]
        share = shares_of(np.where(inside, 0, -1), 1, groups).shares[0]
        held.append(share.low <= 0.05 <= share.high)  # type: ignore[operator]
    assert np.mean(held) >= 0.93


def test_values_of_few_conversations_are_one_row() -> None:
    """A customer's number is no value to tell of; at most 20 are told, and the rest is counted with the few."""
    rows = [
        {
            "rationale": "x",
            "conversation_id": f"c{place}",
            "model": "m",
            "fields": {"customer": name, "plan": place % 40},
        }
        for place, name in enumerate([*(f"p{one}" for one in range(150)), *["shared"] * 10])
    ]
    ids = ["k"] * len(rows)
    assert {rate.value: rate.of for rate in rates_of(Reasons(rows), ids, ["k"], "customer", least=3)} == {
        "(few)": 150,
        "shared": 10,
    }
    plans = rates_of(Reasons(rows), ids, ["k"], "plan", least=3)
    assert len(plans) == 21 and sum(rate.of for rate in plans) == 160
    assert len(rates_of(Reasons(rows), ids, ["k"], "model", least=300)) == 1


def test_rates_by_model_day_and_field(found: Clustering) -> None:
    """The fault's share is found with one model only; an unknown name is told with what there is."""
    (fault,) = [id_ for id_ in of_fault(found) if id_][:1]
    rates = {rate.value: rate for rate in found.rates("model") if rate.cluster == fault}
    assert rates["vendor/a"].reasons == 0 and rates["vendor/b"].reasons > 5
    assert {rate.value for rate in found.rates("channel")} == {"chat", "mail"}
    assert {rate.value[:8] for rate in found.rates("day")} == {"2026-11-"}
    assert sum(rate.reasons for rate in found.rates("label")) == sum(one.reasons for one in found.clusters)
    with pytest.raises(ConfigError, match="channel"):
        found.rates("chanel")


def test_series_has_the_baselines_days_and_then_the_window(found: Clustering) -> None:
    """At least fourteen buckets lie before the window, and every reason is in one of them."""
    series = found.series
    assert series is not None and series.window_from >= 14
    assert sum(series.totals[series.window_from :]) == 400
    assert sum(series.totals[: series.window_from]) == 1400
    for cluster in found.clusters:
        assert sum(series.counts[cluster.id][series.window_from :]) == cluster.reasons


@pytest.mark.parametrize(("window", "before"), [(0, 0), (60, 0), (3600, 86_400 * 400), (86_400 * 30, 3600)])
def test_series_of_odd_lengths_stay_small(window: int, before: int) -> None:
    """However long window and baseline are, a chart can show all of it and no reason is lost."""
    now = np.array(["2026-11-01T00:00:00"], "datetime64[us]")
    moments = now + np.array([0, window], "timedelta64[s]")
    earlier = now - np.array([1, 1 + before], "timedelta64[s]")
    zeros = np.zeros(2, np.intp)
    series = series_of(moments, zeros, earlier, zeros, ["k"])
    assert series is not None and len(series.times) <= 400
    assert series.window_from >= 1 and sum(series.counts["k"]) == 4


def test_times_of_any_zone_are_utc() -> None:
    """ISO times with an offset are counted in UTC; anything else is told."""
    assert str(moments_of(["2026-11-04T01:30:00+02:00"])[0]) == "2026-11-03T23:30:00.000000"
    assert np.isnat(moments_of([""])[0])
    with pytest.raises(DataError, match="yesterday"):
        moments_of(["yesterday"])


def test_json_round_trip_without_words_of_reasons(found: Clustering) -> None:
    """The document is plain JSON without NaN, reads back equal, and quotes nobody."""
    document = found.to_dict()
    text = json.dumps(document, allow_nan=False)
    assert json.loads(text) == document
    assert not any(reason in text for reason in found.reasons.texts())
    first = document["clusters"][0]
    assert {"rates", "series", "share", "labels"} <= first.keys() and "model" in first["rates"]
    assert len(first["series"]) == len(document["times"]) == len(document["totals"])
    assert document["window_from"] >= 14 and document["pool"]["reasons"] == len(found.pool)


def test_ids_stay_when_the_next_day_is_clustered(found: Clustering, baseline: list[dict[str, Any]]) -> None:
    """The day after, fitted anew or not, most clusters have the ids and names they had, the fault's among them."""
    next_day = made(400, seed=5, name="n", days=(15, 16), share=0.06)
    earlier = found.with_names({found.clusters[0].id: "Named by hand"}, "somebody").earlier()
    for refit in (True, False):
        again = llmclf.cluster_reasons(next_day, baseline, earlier=earlier, refit=refit)
        kept = {one.id: one for one in again.clusters}
        same = [one for one in found.clusters if one.id in kept]
        assert sum(one.reasons for one in same) >= (0.6 if refit else 0.9) * 400
        assert of_fault(again) & of_fault(found) - {""}
        if found.clusters[0].id in kept:
            named = kept[found.clusters[0].id]
            assert (named.name, named.named_by) == ("Named by hand", "somebody")
    known = {one.id: one for one in found.clusters if one.kind == "known"}
    assert {one.id for one in again.clusters if one.kind == "known"} == set(known)
    assert all(one.terms == known[one.id].terms for one in again.clusters if one.id in known)
    assert {one.id for one in again.parents} == {one.id for one in found.parents}


def test_earlier_of_other_vectors_is_told(found: Clustering, window: list[dict[str, Any]]) -> None:
    """Clusters made with another embedder are not compared with; a note says so."""
    other = replace(found.earlier(), embedder="something else")
    again = llmclf.cluster_reasons(window, earlier=other)
    assert any("something else" in note for note in again.notes)


def test_with_a_new_kind_that_the_baseline_has_by_now(found: Clustering, baseline: list[dict[str, Any]]) -> None:
    """A new kind keeps its id when it is old enough to stand in the baseline, and is a known one then."""
    before = [*baseline, *made(400, seed=2, name="w", days=(14, 15), share=0.06)]
    next_day = made(400, seed=6, name="n", days=(15, 16), share=0.06)
    again = llmclf.cluster_reasons(next_day, before, earlier=found.earlier())
    ids = of_fault(again) & of_fault(found) - {""}
    assert ids and all(again.cluster(id_).kind == "known" for id_ in ids)


def test_without_a_baseline_all_kinds_are_known() -> None:
    """What is new can't be told then, and a note says so."""
    result = llmclf.cluster_reasons(made(200, seed=1, name="a", days=(0, 1)))
    assert not result.anomalies and result.novelty is None and result.pool_figures is None
    assert {one.kind for one in result.clusters} == {"known"}
    assert any("baseline" in note for note in result.notes)
    assert not result.clusters[0].baseline.is_known
    assert "baseline" not in shown(result, 80).splitlines()[2]


def test_duplicates_count_in_every_figure() -> None:
    """A reason that many give word for word is embedded once and counted often; its cluster is named and shown."""
    texts = ["The transcript is empty."] * 60 + ["The customer asked for a refund of the parcel."] * 40
    result = llmclf.cluster_reasons(texts)
    assert (result.texts, result.duplicates, result.conversations) == (2, 98, 100)
    assert sum(one.reasons for one in result.clusters) == 100
    assert all(one.name != "(too few to show)" and one.medoid for one in result.clusters)


@pytest.mark.parametrize(
    "texts",
    [
        ["one reason"],
        ["the same reason"] * 7,
        ["", " ", "a reason"],
        ["好的。客户要求退款。", "Кунде", "a reason", "😀"],
    ],
)
def test_tiny_inputs(texts: Sequence[str]) -> None:
    """One reason, all equal ones, empty ones, and several languages give clusters and a table."""
    result = llmclf.cluster_reasons(texts)
    assert sum(one.reasons for one in result.clusters) == len(result.reasons) <= len(texts)
    assert json.loads(result.to_json()) == result.to_dict()
    assert shown(result, 60) and result._repr_html_()
    against = llmclf.cluster_reasons(texts, ["something else"])
    assert not against.anomalies and any("baseline" in note for note in against.notes)


def test_too_small_to_be_shown_in_words() -> None:
    """Reasons of two conversations have neither name, nor terms, nor a medoid."""
    rows = [{"rationale": f"Secret words of Anna {place}", "conversation_id": f"c{place % 2}"} for place in range(8)]
    result = llmclf.cluster_reasons(rows)
    assert {(one.name, one.terms, one.medoid) for one in result.clusters} == {("(too few to show)", (), "")}
    assert "anna" not in json.dumps(result.to_dict()).lower()


def test_reasons_without_words_are_counted_apart() -> None:
    """They are in no cluster and a note says how many; where there are no others, that is an error."""
    result = llmclf.cluster_reasons(["", "the parcel is late"], ["the parcel is lost", "it came", "", ""])
    assert any("1 reason without any words, 50.0% (in the baseline 50.0%)" in note for note in result.notes)
    with pytest.raises(DataError, match="words"):
        llmclf.cluster_reasons(["", "  "])


@pytest.mark.parametrize(
    ("window", "baseline", "said"),
    [
        ([], None, "no reasons"),
        ([{"rationale": "a", "simulated": True}, {"rationale": "b"}], None, "simulated and real"),
        ([{"rationale": "a", "simulated": True}], [{"rationale": "b"}], "one is simulated"),
        ([{"rationale": "a", "prediction_id": "p1"}], [{"rationale": "a", "prediction_id": "p1"}], "p1"),
        ([{"rationale": "a", "prediction_id": "p1"}] * 2, None, "more than once"),
        (["one", "two", "three"], ["one", "two"], "stand in the baseline too"),
        ([{"rationale": "a"}, "b"], None, "all texts, or all rows"),
        ("a text", None, "list of texts"),
        ([{"rational": "a"}], None, "rationale"),
    ],
)
def test_what_is_refused(window: Any, baseline: Any, said: str) -> None:
    """Input that can't be clustered is told before anything is done."""
    with pytest.raises(ConfigError, match=said):
        llmclf.cluster_reasons(window, baseline)


def test_texts_without_ids_are_no_shared_predictions() -> None:
    """Window and baseline given as texts are named by their places and yet are different reasons."""
    result = llmclf.cluster_reasons(["a parcel", "a refund"], Reasons.of(["a bicycle", "a refund", "a hotel"]))
    assert len(result.reasons) == 2 and result.baseline is not None and result.baseline.conversations == 3


def test_later_baseline_is_told(window: list[dict[str, Any]], baseline: list[dict[str, Any]]) -> None:
    """Reasons of a baseline that were made after the window began may hold its faults: a note says how many."""
    result = llmclf.cluster_reasons(baseline, window)
    assert any("after the window began" in note for note in result.notes)


def test_alerts_that_can_not_be_looked_for_are_told(window: list[dict[str, Any]]) -> None:
    """By name, beside the note: a quiet window is no all-clear then."""
    vector = np.zeros(256, np.float32)
    dead = StandingAlert("old", vector, 0.5, 3, "another embedder")
    result = llmclf.cluster_reasons(window, alerts=[dead])
    assert result.to_dict()["unwatched"] == ["old"]
    assert any("alert old was not looked for" in note for note in result.notes)


def test_the_pool_has_a_name_and_a_row(found: Clustering) -> None:
    """What is of the whole pool is of `pool` in the JSON, where clusters have their ids; the table has a row of it."""
    (strange,) = found.anomalies
    of_pool = replace(found, anomalies=(replace(strange, kind="novelty", cluster=""),))
    assert [one["cluster"] for one in of_pool.to_dict()["anomalies"]] == ["pool"]
    assert found.to_dict()["anomalies"][0]["cluster"] == strange.cluster
    table = found._table()
    assert table.rows[-1][0].endswith("\npool") and table.rows[-1][1] == f"{len(found.pool)}"
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert "quiet window" in table.title


def test_simulated_reasons_carry_their_stamp() -> None:
    """Simulated reasons are told as such in every output."""
    result = llmclf.cluster_reasons([{"rationale": f"a parcel {word}", "simulated": True} for word in "abc"])
    assert result.simulated and result.to_dict()["simulated"] and "SIMULATED" in shown(result, 80)


def test_baseline_is_drawn_down_by_whole_conversations(window: list[dict[str, Any]]) -> None:
    """A large baseline is drawn down to the reservoir; the figures say of how many."""
    before = made(3000, seed=9, name="b", days=(0, 14))
    result = llmclf.cluster_reasons(window, before, settings=ClusterSettings(reservoir=500))
    assert result.baseline is not None
    assert (result.baseline.reasons, result.baseline.used) == (3000, 2 * result.baseline.conversations)
    assert result.baseline.used <= 500


@pytest.mark.parametrize("width", [80, 60])
def test_table_fits(found: Clustering, width: int) -> None:
    """The table keeps to the terminal's width and tells the anomalies, the shares and the pool."""
    text = shown(found, width)
    assert max(map(len, text.splitlines())) <= width
    assert "Novelty pool" in text and "%" in text
    html = found._repr_html_()
    assert "<table>" in html and found.clusters[0].id in html


def test_frame_has_a_row_for_each_cluster(found: Clustering) -> None:
    """`to_frame` gives figures and terms by cluster."""
    frame = found.to_frame()
    assert list(frame["cluster"]) == [one.id for one in found.clusters]


@pytest.mark.slow
def test_scale_benchmark_reports_every_promise() -> None:
    """A smoke run prints one document: seconds, memory, ratio to embedding alone, rate of assigning, growth."""
    script = Path(__file__).parents[1] / "benchmarks" / "reasoning_scale.py"
    done = subprocess.run(
        [sys.executable, str(script), "--quick", "--json"], capture_output=True, text=True, check=True, timeout=200
    )
    figures = json.loads(done.stdout)["figures"]
    assert [row["reasons"] for row in figures["sizes"]] == [100, 300]
    assert {"seconds", "ratio", "peak_gigabytes", "assigning", "reservoir"} <= figures["sizes"][0].keys()
    assert "100 to 300" in figures["exponent"]


def test_same_input_gives_the_same_result(
    found: Clustering, window: list[dict[str, Any]], baseline: list[dict[str, Any]]
) -> None:
    """Clustering is seeded: a second time gives the same document."""
    assert llmclf.cluster_reasons(window, baseline).to_dict() == found.to_dict()
