"""What about a window of reasons the baseline does not explain: all tests together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from llmclf.errors import DataError
from llmclf.reasons.bursts import ENOUGH_WINDOWS, conversations_of, measure_bursts, weekend
from llmclf.reasons.evidence import Evidence
from llmclf.reasons.novelty import Novelty
from llmclf.reasons.sided import Sided, measure_sides
from llmclf.reasons.standing import StandingAlert
from llmclf.reasons.texts import Embedded
from llmclf.reasons.values import Anomaly, Cluster, ClusterSettings
from llmclf.render.tables import counted
from llmclf.stats.bursts import DAY_TO_DAY
from llmclf.stats.difference import holm
from llmclf.stats.tails import deepest_part

IntArray = npt.NDArray[np.intp]
FloatArray = npt.NDArray[np.float64]

SHARES = {"new": 0.5, "burst": 0.25, "one_sided": 0.15, "no_reason": 0.1}
"""Of the false alarms that are allowed: half to what is new, where faults show first; most of the rest to bursts."""


def find_anomalies(
    window: Embedded,
    baseline: Embedded | None,
    *,
    novelty: Novelty | None,
    clusters: Sequence[Cluster],
    assigned: IntArray,
    baseline_assigned: IntArray | None,
    alerts: Sequence[StandingAlert] = (),
    settings: ClusterSettings = ClusterSettings(),
) -> tuple[tuple[Anomaly, ...], tuple[str, ...]]:
    """The anomalies of the window, surest first, and notes: what can't be told and what it needs.

    `assigned` and `baseline_assigned` hold the place in `clusters` of each reason, -1 for none.

    A quiet window has any alarm with a chance of at most `settings.false_alarms`. Half of it goes to what is new, .25
    to bursts, .15 to one-sided clusters, .1 to predictions without a reason (wordless.py); within bursts and one-sided
    clusters Holm's step-down holds it over all that were looked at. What is new is one test, of the depths of the
    whole pool; a new cluster is held against the same quiet windows by its own part of the depths, which is never more
    than the whole: it can't alarm where the pool would not, and costs nothing on top. An anomaly's `p` is adjusted for
    all of this and can be held against `false_alarms`.
    Standing alerts are no tests: somebody asked for them; their p is 0. One that fires on the reasons of an anomaly is
    told of with it, in its `alerts`.

    One thing is one alarm. A new cluster is told of instead of the pool, and the pool only where what is left of it,
    without the clusters that were told of, still is more than quiet windows hold; then by the part of it that stands
    out most. A one-sided cluster that is new or bursts is told of once; its fields say on which side it is.
    """
    evidence = Evidence(window, settings)
    alerted, notes = _alerted(window, alerts, evidence)
    found: list[Anomaly] = []
    if baseline is None or novelty is None:
        return tuple(alerted), tuple(notes)
    if novelty.p_value is None:
        notes.append(novelty.why_not)
    found += _new(window, novelty, clusters, assigned, evidence, settings)
    if baseline_assigned is not None:
        found += _bursting(window, baseline, clusters, (assigned, baseline_assigned), evidence, settings, notes)
        told = {one.cluster for one in found if one.cluster}
        sided = _one_sided(window, baseline, clusters, (assigned, baseline_assigned), evidence, settings)
        found += [one for one in sided if one.cluster not in told]
    return tuple(sorted(_merged(found, alerted), key=surest)), tuple(notes)


def surest(one: Anomaly) -> tuple[float, int]:
    """What anomalies are ordered by."""
    return one.p, -one.conversations


def _merged(found: list[Anomaly], alerted: list[Anomaly]) -> list[Anomaly]:
    """Both, an alert that fires on the same reasons (half of either's) as an anomaly as a part of that."""
    made, alone = list(found), []
    for alert in alerted:
        own = set(alert.predictions)
        both = [len(own.intersection(one.predictions)) for one in made]
        same = [
            (shared, place)
            for place, shared in enumerate(both)
            if 2 * shared >= max(len(own), len(made[place].predictions))
        ]
        if not same:
            alone.append(alert)
            continue
        place = max(same)[1]
        one = made[place]
        sentence = f"{one.sentence} It also fires {alert.name}."
        made[place] = replace(one, sentence=sentence, alerts=(*one.alerts, alert.name))
    return made + alone


def _alerted(window: Embedded, alerts: Sequence[StandingAlert], evidence: Evidence) -> tuple[list[Anomaly], list[str]]:
    found, notes = [], []
    for alert in alerts:
        try:
            matches = alert.matches(window.vectors, window.embedder)
        except DataError as error:
            notes.append(f"The alert {alert.name} was not looked for: {error.what}.")
            continue
        inside = matches[window.of]
        conversations = len(np.unique(window.groups[inside]))
        if conversations >= max(1, alert.least_conversations):
            sentence = f"{counted(conversations, 'conversation')} with reasons that the alert {alert.name} asks for."
            telling = (window.vectors @ alert.vector).astype(np.float64)
            found.append(
                evidence.anomaly(
                    "alert",
                    inside,
                    sentence=sentence,
                    p=0.0,
                    expected=0.0,
                    ratio=None,
                    name=alert.name,
                    telling=telling,
                )
            )
    return found, notes


def _new(
    window: Embedded,
    novelty: Novelty,
    clusters: Sequence[Cluster],
    assigned: IntArray,
    evidence: Evidence,
    settings: ClusterSettings,
) -> list[Anomaly]:
    """New clusters, and the rest of the pool where it says more."""
    quiet = novelty.quiet
    if quiet is None:
        return []
    found = []
    depths = novelty.text_depths[window.of].copy()
    sizes = conversations_of(assigned, window.groups, len(clusters))
    for place, cluster in enumerate(clusters):
        if cluster.kind != "new" or sizes[place] < settings.least_conversations:
            continue
        inside = assigned == place
        by_conversation = _deepest(np.where(inside, novelty.text_depths[window.of], 0.0), window)
        p = quiet.p(float(by_conversation.sum())) / SHARES["new"]
        if p > settings.false_alarms:
            continue
        depths[inside] = 0.0
        texts = len(np.unique(window.of[inside]))
        words = "all in the same words" if texts == 1 else f"in {texts:,} different texts"
        far = "far from all of it" + (" and like each other" if texts > 1 else "")
        sentence = (
            f"{counted(int(sizes[place]), 'conversation')} have a kind of reason that the baseline does not have: "
            f"{counted(int(inside.sum()), 'reason')} {far}, {words}."
        )
        expected = quiet.expected(float(by_conversation[by_conversation > 0].min())) + quiet.rate
        found.append(
            evidence.anomaly(
                "new_cluster", inside, sentence=sentence, p=p, expected=expected, ratio=None, cluster=cluster
            )
        )
    left = _deepest(depths, window)
    p = quiet.p(float(left.sum())) / SHARES["new"]
    least = settings.least_conversations
    if p > settings.false_alarms or (left > 0).sum() < least:
        return found
    depth = deepest_part(left, quiet, least)
    inside = depths >= max(depth, 1e-9)
    conversations = int((left >= max(depth, 1e-9)).sum())
    expected = quiet.expected(depth) + quiet.rate
    texts = len(np.unique(window.of[inside]))
    words = "the same words" if texts == 1 else f"{texts:,} different texts"
    usual = "fewer than 1" if expected < 1 else f"about {expected:.2g}"
    sentence = (
        f"{counted(conversations, 'conversation')} have reasons unlike any in the baseline, in {words}: so far out "
        f"a quiet window has {usual}{' beside the new clusters' if found else ''}."
    )
    ratio = conversations / expected
    found.append(
        evidence.anomaly(
            "novelty", inside, sentence=sentence, p=p, expected=expected, ratio=ratio, telling=novelty.text_depths
        )
    )
    return found


def _deepest(depths: FloatArray, window: Embedded) -> FloatArray:
    """Of each conversation, from those of its reasons."""
    deepest = np.zeros(window.conversations)
    np.maximum.at(deepest, window.groups, depths)
    return deepest


def _bursting(
    window: Embedded,
    baseline: Embedded,
    clusters: Sequence[Cluster],
    both: tuple[IntArray, IntArray],
    evidence: Evidence,
    settings: ClusterSettings,
    notes: list[str],
) -> list[Anomaly]:
    known = [place for place, cluster in enumerate(clusters) if cluster.kind == "known"]
    if not known:
        return []
    bursts = measure_bursts(window, both[0], baseline, both[1], len(clusters))
    if bursts.windows < ENOUGH_WINDOWS:
        notes.append(
            f"The baseline holds {counted(bursts.windows, 'window')} as long as this one: how much shares vary from "
            f"day to day is in part assumed ({DAY_TO_DAY:.0%}); {ENOUGH_WINDOWS - bursts.windows} more would show it."
        )
    if bursts.used < 0.5:
        notes.append(
            f"Bursts are told from {counted(bursts.windows, 'window')} that hold {bursts.used:.0%} of the baseline's "
            "conversations."
        )
    found = []
    for place, adjusted in zip(known, holm([float(bursts.p[place]) for place in known]), strict=True):
        seen, expected = int(bursts.seen[place]), float(bursts.expected[place])
        p = (1.0 if adjusted is None else adjusted) / SHARES["burst"]
        ratio = seen / expected if expected > 0 else None
        if p > settings.false_alarms or seen < settings.least_conversations:
            continue
        if ratio is not None and ratio < settings.least_ratio:
            continue
        times = f", {ratio:.1f} times as many" if ratio else ""
        sentence = (
            f"{counted(seen, 'conversation')} have this kind of reason, where the baseline's share makes "
            f"{expected:.1f}{times}, and more than its days vary."
        )
        found.append(
            evidence.anomaly(
                "burst",
                both[0] == place,
                sentence=sentence,
                p=p,
                expected=expected,
                ratio=ratio,
                cluster=clusters[place],
            )
        )
    if found and (note := weekend(window, baseline)):
        notes.append(note)
    return found


def _one_sided(
    window: Embedded,
    baseline: Embedded,
    clusters: Sequence[Cluster],
    both: tuple[IntArray, IntArray],
    evidence: Evidence,
    settings: ClusterSettings,
) -> list[Anomaly]:
    looked = measure_sides(window, both[0], baseline, both[1], len(clusters), settings.least_conversations)
    adjusted = holm([one.p for one in looked])
    best: dict[int, tuple[float, Sided]] = {}
    for one, p in zip(looked, adjusted, strict=True):
        sure = (1.0 if p is None else p) / SHARES["one_sided"]
        if sure <= settings.false_alarms and (one.cluster not in best or sure < best[one.cluster][0]):
            best[one.cluster] = (sure, one)
    before = conversations_of(both[1], baseline.groups, len(clusters)) / baseline.conversations
    found = []
    for place, (p, one) in best.items():
        expected = float(before[place] * window.conversations)
        inside = both[0] == place
        seen = len(np.unique(window.groups[inside]))
        sentence = (
            f"{one.inside} of {counted(one.of, 'conversation')} with this kind of reason have {one.field} {one.value}, "
            f"as {one.outside:.0%} of the others do; "
            + ("the baseline does not have it." if one.is_new else "in the baseline it was less one-sided.")
        )
        ratio = seen / expected if expected > 0 else None
        made = evidence.anomaly(
            "one_sided", inside, sentence=sentence, p=p, expected=expected, ratio=ratio, cluster=clusters[place]
        )
        found.append(replace(made, name=clusters[place].name))
    return found
