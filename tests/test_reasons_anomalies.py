"""All anomalies together: what is told, what is not, with which evidence."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, strategies as st

from llmclf.reasons.anomalies import SHARES, find_anomalies
from llmclf.reasons.novelty import Novelty, measure_novelty
from llmclf.reasons.request_fields import RequestFields, band
from llmclf.reasons.standing import StandingAlert
from llmclf.reasons.texts import Embedded
from llmclf.reasons.values import Anomaly, Cluster, ClusterKind, ClusterSettings
from llmclf.types import Estimate
from llmclf.types.reasons import Reasons

TOPICS, EACH = 12, 5
SETTINGS = ClusterSettings()
FAULT = 99


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


CENTRES = unit(np.random.default_rng(42).normal(size=(TOPICS, 64)))
FAULTY = unit(np.random.default_rng(43).normal(size=(1, 64)))


class World:
    """Reasons with a topic each, or the fault; vectors lie around the topic's."""

    def __init__(self, prefix: str, topics: Sequence[int], rng: np.random.Generator, each: int = EACH, **columns: list):
        self.topics = np.array(topics)
        count = len(topics)
        centres = np.concatenate([CENTRES, np.repeat(FAULTY, FAULT + 1 - TOPICS, axis=0)])[self.topics]
        vectors = unit(centres + 0.07 * rng.standard_t(5, size=(count, 64)))
        names = [f"{prefix}-{place // each}" for place in range(count)]
        columns.setdefault("created_at", [f"2026-03-01T{place * 24 // count:02}:00:00+00:00" for place in range(count)])
        ids = [f"{prefix}/{place}" for place in range(count)]
        reasons = Reasons.of(["said"] * count, conversation_ids=names, prediction_id=ids, **columns)
        groups = np.arange(count) // each
        self.embedded = Embedded(reasons, ids, np.arange(count), vectors, groups, int(groups.max()) + 1, "made")


def usual(rng: np.random.Generator, conversations: int) -> list[int]:
    return rng.integers(TOPICS, size=conversations * EACH).tolist()


def cluster(name: str, kind: ClusterKind = "known", medoid: str = "") -> Cluster:
    unknown = Estimate.unknown("not needed")
    return Cluster(name, kind, f"kind {name}", "terms", (), "", 0, 0, 0, unknown, unknown, medoid)


CLUSTERS = [*(cluster(f"c{place}") for place in range(TOPICS)), cluster("new", "new")]


def look(
    window: World, baseline: World, *, grouped: bool = True, alerts: Sequence[StandingAlert] = ()
) -> tuple[tuple[Anomaly, ...], tuple[str, ...]]:
    """The anomalies with the topics as clusters; the fault is the new one, or alone in the pool."""
    assigned = np.where(window.topics == FAULT, TOPICS if grouped else -1, window.topics)
    return find_anomalies(
        window.embedded,
        baseline.embedded,
        novelty=measure_novelty(window.embedded, baseline.embedded, SETTINGS),
        clusters=CLUSTERS,
        assigned=assigned,
        baseline_assigned=baseline.topics,
        alerts=alerts,
        settings=SETTINGS,
    )


def faulty(rng: np.random.Generator, conversations: int, faults: int, **columns: list) -> World:
    """A window whose first `faults` conversations have one reason of the fault each."""
    topics = usual(rng, conversations)
    for place in range(faults):
        topics[place * EACH] = FAULT
    return World("w", topics, rng, **columns)


def test_a_new_kind_is_told_of_once_with_its_evidence() -> None:
    """The cluster is the anomaly, not the pool as well, with counts, examples, first seen and its field."""
    rng = np.random.default_rng(0)
    turns = [{"turns": 0 if place % EACH == 0 and place < 8 * EACH else 6, "channel": "chat"} for place in range(400)]
    window = faulty(rng, 80, 8, fields=turns, model=["m"] * 400)
    found, notes = look(window, World("b", usual(rng, 200), rng))
    (anomaly,) = found
    faults = [f"w/{place * EACH}" for place in range(8)]
    assert (anomaly.kind, anomaly.cluster, anomaly.name) == ("new_cluster", "new", "kind new")
    assert (anomaly.reasons, anomaly.conversations, list(anomaly.predictions)) == (8, 8, faults)
    assert set(anomaly.examples) <= set(faults)
    assert len(anomaly.examples) == 8
    assert anomaly.first_seen == "2026-03-01T00:00:00.000000Z"
    assert anomaly.share.low < 0.02 < anomaly.share.high
    assert 0 < anomaly.p <= 0.05
    (field, *_) = anomaly.fields
    assert (field.field, field.value, field.inside, field.of, field.outside) == ("turns", "0", 8, 8, 0.0)
    assert field.p < 1e-6
    assert "8 conversations" in anomaly.sentence
    assert any("13 more would show it" in note for note in notes)


def test_a_scattered_new_kind_is_the_pool() -> None:
    """Where the strange reasons form no cluster, the pool is the anomaly, and it speaks mostly of them."""
    rng = np.random.default_rng(1)
    found, _ = look(faulty(rng, 80, 5), World("b", usual(rng, 200), rng), grouped=False)
    (anomaly,) = found
    faults = {f"w/{place * EACH}" for place in range(5)}
    assert (anomaly.kind, anomaly.cluster) == ("novelty", "")
    assert len(faults & set(anomaly.predictions)) >= 4
    assert len(faults & set(anomaly.predictions)) > anomaly.reasons / 2
    assert anomaly.examples[0] in faults


def test_quiet_windows_seldom_alarm() -> None:
    """Of 60 windows like their baseline at most 5 % have any anomaly."""
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        model = rng.choice(["a", "b"], 300).tolist()
        window = World("w", usual(rng, 60), rng, model=model)
        base = World("b", usual(rng, 150), rng, model=rng.choice(["a", "b"], 750).tolist())
        alarms += bool(look(window, base)[0])
    assert alarms <= 3


def test_a_burst_is_told_with_its_ratio() -> None:
    """A known kind in many times its usual conversations; the others are not told of."""
    rng = np.random.default_rng(3)
    topics = usual(rng, 300)
    for place in range(0, 1500, EACH):
        if rng.random() < 0.9:
            topics[place : place + 3] = [3, 3, 3]
    base = [topic if topic != 3 or rng.random() < 0.4 else 4 for topic in usual(rng, 600)]
    found, _ = look(World("w", topics, rng), World("b", base, rng))
    assert [(one.kind, one.cluster) for one in found] == [("burst", "c3")]
    assert found[0].ratio > 3
    assert found[0].expected == pytest.approx(300 * len({p // EACH for p, t in enumerate(base) if t == 3}) / 600)


@pytest.mark.parametrize(("before", "told"), [("even", True), ("same", False), ("absent", True)])
def test_one_sided_only_if_it_was_not_before(before: str, told: bool) -> None:
    """A cluster of one model is an anomaly, unless it was that model's in the baseline; a model new to it counts."""
    rng = np.random.default_rng(4)
    topics = usual(rng, 200)
    model = ["a" if topic == 5 else one for topic, one in zip(topics, rng.choice(["a", "b"], 1000), strict=True)]
    base = usual(rng, 300)
    of_base = {
        "even": rng.choice(["a", "b"], 1500).tolist(),
        "same": ["a" if topic == 5 else str(rng.choice(["a", "b"])) for topic in base],
        "absent": ["b"] * 1500,
    }[before]
    found, _ = look(World("w", topics, rng, model=model), World("b", base, rng, model=of_base))
    assert [(one.kind, one.cluster) for one in found] == ([("one_sided", "c5")] if told else [])
    if told:
        assert any((field.field, field.value) == ("model", "a") for field in found[0].fields)


def test_standing_alerts() -> None:
    """An alert is told of with p 0 where enough conversations match it; one of another embedder is a note."""
    rng = np.random.default_rng(5)
    window, base = World("w", usual(rng, 60), rng), World("b", usual(rng, 150), rng)
    alerts = [
        StandingAlert("waits", CENTRES[2], 0.8, 3, "made"),
        StandingAlert("never", FAULTY[0], 0.8, 3, "made"),
        StandingAlert("many", CENTRES[2], 0.8, 1000, "made"),
        StandingAlert("old", CENTRES[2], 0.8, 3, "another"),
    ]
    found, notes = look(window, base, alerts=alerts)
    (alert,) = found
    assert (alert.kind, alert.name, alert.p) == ("alert", "waits", 0.0)
    assert {f"w/{place}" for place in np.flatnonzero(window.topics == 2)} >= set(alert.predictions)
    assert any("alert old was not looked for" in note for note in notes)


def test_an_alert_on_the_reasons_of_an_anomaly_is_a_part_of_it() -> None:
    """One entry of the statistical kind names it; an alert on other reasons stands by itself."""
    rng = np.random.default_rng(5)
    alerts = [StandingAlert("fault", FAULTY[0], 0.8, 3, "made"), StandingAlert("waits", CENTRES[2], 0.8, 3, "made")]
    found, _ = look(faulty(rng, 80, 8), World("b", usual(rng, 200), rng), alerts=alerts)
    assert sorted((one.kind, one.alerts) for one in found) == [("alert", ()), ("new_cluster", ("fault",))]
    (new,) = [one for one in found if one.alerts]
    assert new.sentence.endswith("in 8 different texts. It also fires fault.")
    assert 0 < new.p <= SETTINGS.false_alarms and 0 < new.expected < 1


def test_few_are_not_quoted_nor_told() -> None:
    """Two conversations of a new kind are no alarm by themselves, and nothing is quoted of too few."""
    rng = np.random.default_rng(6)
    found, _ = look(faulty(rng, 80, 2), World("b", usual(rng, 200), rng))
    assert all(one.conversations >= SETTINGS.least_conversations for one in found)
    alert = StandingAlert("one", FAULTY[0], 0.5, 1, "made")
    (told, *_) = look(faulty(rng, 80, 2), World("b", usual(rng, 200), rng), alerts=[alert])[0]
    assert (told.kind, told.conversations, told.examples) == ("alert", 2, ())


def test_without_a_baseline_nothing_is_new() -> None:
    """No baseline, no test; with one that is too small a note says what is missing."""
    rng = np.random.default_rng(7)
    window = faulty(rng, 80, 8)
    assigned = np.where(window.topics == FAULT, TOPICS, window.topics)
    asked = {"clusters": CLUSTERS, "assigned": assigned, "settings": SETTINGS}
    assert find_anomalies(window.embedded, None, novelty=None, baseline_assigned=None, **asked) == ((), ())
    small = World("b", usual(rng, 20), rng)
    _, notes = look(window, small)
    assert any("10 more conversations" in note for note in notes)


def test_shares_of_the_false_alarms_add_up_to_all() -> None:
    """What is allowed is spent once."""
    assert sum(SHARES.values()) == pytest.approx(1)


@given(st.one_of(st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.floats(allow_subnormal=False), st.text()))
def test_bands_hold_their_values(value: object) -> None:
    """Every value has a word; a whole number's band begins at a power of 2 at most the number and below its double."""
    word = band(value)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        low = float(word.partition("-")[0])
        assert low <= value < 2 * low
    assert band(0) == "0"


def test_fields_that_go_with_nothing_are_not_told() -> None:
    """Fields dealt at random are called telling in at most 5 % of 60 windows, all values together."""
    told = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        fields = [{"channel": str(rng.choice(["a", "b", "c"])), "turns": int(rng.integers(20))} for _ in range(300)]
        window = World("w", usual(rng, 60), rng, fields=fields, model=rng.choice(["x", "y"], 300).tolist())
        told += bool(RequestFields(window.embedded, 3).of(window.topics == 0))
    assert told <= 3


def test_novelty_is_not_asked_twice() -> None:
    """The pool's own figures agree with the anomaly's p, adjusted for the share of what is new."""
    rng = np.random.default_rng(8)
    window, base = faulty(rng, 80, 6), World("b", usual(rng, 200), rng)
    novelty: Novelty = measure_novelty(window.embedded, base.embedded, SETTINGS)
    (anomaly,) = look(window, base, grouped=False)[0]
    assert anomaly.p == pytest.approx(novelty.p_value / SHARES["new"])


def test_a_field_that_only_the_anomaly_has() -> None:
    """A field that only the anomaly's reasons have is told, with none of the others having it."""
    rng = np.random.default_rng(9)
    kinds = ["unparsable" if place % EACH == 0 and place < 6 * EACH else None for place in range(400)]
    (anomaly,) = look(faulty(rng, 80, 6, error_kind=kinds), World("b", usual(rng, 200), rng))[0]
    assert [(one.field, one.value, one.inside, one.outside) for one in anomaly.fields] == [
        ("error_kind", "unparsable", 6, 0.0)
    ]
