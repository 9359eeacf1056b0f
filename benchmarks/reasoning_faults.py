"""Are faults seen in a classifier's reasons before they are many, and are quiet windows left in peace?

python benchmarks/reasoning_faults.py [--json] [--quick]

Traffic is real: justifications that GPT-4o wrote about airline chats (td_eval), feedback on answers to misguided
questions, and judges' words on nonsense questions; public data that lies at $LLMCLF_TEST_DATA. Each set is split by
source conversation, anew for each split, into a baseline and windows; no conversation stands in two. Into a window go
reasons of a fault, each as a conversation of its own, in wordings that are drawn without putting back from
fault_wordings.py: written by hand by somebody who does not know the method. No request fields are given: that would
be easier. The method was tuned on these same sets, dealt with other seeds, and on twelve other, rougher wordings of
the same six faults: what it is on other traffic and other faults is not known from this.

    5, 2, 1 %   of a window's reasons. Found: at least half of some anomaly's reasons are injected ones. `holds half`:
                and it has at least half of those injected. `held`: the share of those injected that it has
    0.5 %       of two windows that are looked at as one
    growing     three windows one after another with .5, 1 and 2 %, each seen window part of the next one's baseline,
                the fault's reasons too. Found in any of them is before it reaches 3 %
    quiet       windows without a fault, and whether there is any anomaly, of any kind
    odd         the same with 1 % of odd but ordinary reasons (no goal: they are unlike the baseline)
    days        airline chats as made days, a day held against the eight before it through `cluster_reasons`: the mix
                of metrics and scores drifts from day to day (sd .15 or .3), weekends are others, traffic grows, two
                models and two prompts have shares of their own. Any anomaly is a false alarm
    burst       200 reasons with a real kind twice, four and ten times as often as usual: a cluster of the set's texts,
                or a metric and score, each .5 to 2 % of the reasons; each reason a conversation of its own, in
                the baseline too; no times, so the variation from day to day is assumed. Found as above (no goal)

Intervals are for other conversations, wordings and splits of these sets (reasoning_traffic.share_of), `units` the
independent windows that would be as sure. So that there are enough windows, but for the days a baseline is embedded
once and clusters get no names; one window of each split goes through `cluster_reasons` as well, and `same` says how
often that found the same anomalies in the same reasons.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from common import Goal, finish, options
from fault_wordings import FAULTS, QUIET
from reasoning_traffic import DAYS, SETS, Row, Split, folder, made_days, share_of, split_of, texts_of, with_injected

from llmclf import cluster_reasons
from llmclf.embedding import embed
from llmclf.reasons.anomalies import IntArray, find_anomalies
from llmclf.reasons.fitting import fit
from llmclf.reasons.grouping import group
from llmclf.reasons.novelty import measure_novelty
from llmclf.reasons.texts import embed_reasons
from llmclf.reasons.values import Anomaly, Cluster, ClusterKind, ClusterSettings
from llmclf.types import Estimate
from llmclf.types.reasons import Reasons

SHARES = (0.005, 0.01, 0.02, 0.05)
GROWING = SHARES[:3]
TIMES = (2, 4, 10)
DRIFTS = (0.15, 0.3)
BURST_WINDOW, DAYS_BEFORE, WORLDS = 200, 8, 20
SETTINGS = ClusterSettings()
Found = dict[str, Any]
texts_of = cache(texts_of)


# --- one window -------------------------------------------------------------------------------------------------


def look(split: Split, rows: Sequence[Row], injected: Sequence[str] = ()) -> Found:
    """What is found in a window, its last reasons replaced by the injected ones."""
    window = embed_reasons(Reasons(with_injected(rows, injected)))
    novelty = measure_novelty(window, split.embedded, SETTINGS)
    fitted = fit(window, split.embedded, novelty.pool, None, SETTINGS)
    assigned = fitted.window[window.of]
    anomalies, _ = find_anomalies(
        window,
        split.embedded,
        novelty=novelty,
        clusters=[nameless(place, kind, assigned) for place, kind in enumerate(fitted.kinds)],
        assigned=assigned,
        baseline_assigned=fitted.baseline[split.embedded.of],
        settings=SETTINGS,
    )
    is_injected = np.array([id_.startswith("injected") for id_ in window.reasons.column("prediction_id")])
    of_new = [assigned == place for place, kind in enumerate(fitted.kinds) if kind == "new"]
    nothing = np.zeros(len(is_injected), bool)
    largest = max(of_new, key=lambda inside: int((inside & is_injected).sum()), default=nothing)
    hits = [one for one in anomalies if injected_share(one) >= 0.5]
    best = max(hits, key=lambda one: one.reasons, default=None)
    held = injected_share(best) * best.reasons / len(injected) if best and injected else None
    return {
        "alarms": [anomaly.kind for anomaly in anomalies],
        "ids": told(anomalies),
        "found": bool(hits),
        "purity": injected_share(best) if best else None,
        "held": held,
        "holds half": held is not None and held >= 0.5,
        "cluster_purity": float(is_injected[largest].mean()) if (largest & is_injected).any() else None,
        "in_pool": float(novelty.pool[window.of][is_injected].mean()) if injected else None,
        "sources": sorted({row["conversation_id"].split("/")[0] for row in rows}),
        "wordings": sorted(injected),
    }


def told(anomalies: Iterable[Anomaly]) -> list[Any]:
    return sorted((one.kind, sorted(one.predictions)) for one in anomalies)


def nameless(place: int, kind: ClusterKind, assigned: IntArray) -> Cluster:
    """A cluster of which only the kind matters."""
    unknown = Estimate.unknown("not asked")
    count = int((assigned == place).sum())
    return Cluster(str(place), kind, "", "terms", (), "", count, count, count, unknown, unknown, "")


def injected_share(anomaly: Anomaly) -> float:
    return sum(id_.startswith("injected") for id_ in anomaly.predictions) / max(1, len(anomaly.predictions))


# --- one split, one world ---------------------------------------------------------------------------------------


def measure(number: int, splits: int, seed: int) -> list[Found]:
    """Everything that is looked at in `splits` splits of a set, one row each."""
    traffic = SETS[number]
    names = list(FAULTS)
    rows: list[Found] = []
    for which in range(splits):
        rng = np.random.default_rng([seed, number, which])
        split = split_of(texts_of(traffic.name), traffic, rng)
        windows = split.windows
        common = {"set": traffic.name, "split": f"{seed}/{which}"}
        rows += [common | {"what": "quiet"} | look(split, window) for window in windows[: traffic.quiet]]
        strange = rng.permutation(QUIET)[: round(0.01 * traffic.window)].tolist()
        rows.append(common | {"what": "odd"} | look(split, windows[rng.integers(len(windows))], strange))
        for fault in (names[(seed + which * traffic.faults + place) % len(names)] for place in range(traffic.faults)):
            of_fault = common | {"fault": fault}
            for share in SHARES:
                window = windows[rng.integers(len(windows))]
                wordings = drawn(fault, round(share * len(window)), rng)
                rows.append(of_fault | {"what": "fault", "share": share} | look(split, window, wordings))
            if len(windows) > 1:
                one, other = rng.choice(len(windows), 2, replace=False)
                both = [*windows[one], *windows[other]]
                wanted = drawn(fault, round(SHARES[0] * len(both)), rng)
                rows.append(of_fault | {"what": "two"} | look(split, both, wanted))
            if len(windows) >= len(GROWING):
                rows.append(of_fault | {"what": "growing"} | grown(split, fault, rng))
        made = cluster_reasons(Reasons(with_injected(window, wordings)), baseline=Reasons(split.baseline))
        rows[-1]["same"] = told(made.anomalies) == look(split, window, wordings)["ids"]
        if number == 0:
            rows += [common | one for one in bursts(split, traffic.name, rng)]
    return rows


def drawn(fault: str, count: int, rng: np.random.Generator) -> list[str]:
    return rng.permutation(FAULTS[fault])[:count].tolist()


def grown(split: Split, fault: str, rng: np.random.Generator) -> Found:
    """A fault that grows over windows, each of which then is part of the baseline."""
    start = int(rng.integers(len(split.windows) - len(GROWING) + 1))
    wordings = drawn(fault, len(FAULTS[fault]), rng)
    seen: list[list[Row]] = []
    made: list[Found] = []
    for share, window in zip(GROWING, split.windows[start:], strict=False):
        count = round(share * len(window))
        now, wordings = wordings[:count], wordings[count:]
        made.append(look(split.after(seen) if seen else split, window, now))
        # The next window's injected ones have the same ids.
        seen.append(
            [row | {"conversation_id": f"{len(seen)}-{row['conversation_id']}"} for row in with_injected(window, now)]
        )
    joined = {name: sorted({unit for one in made for unit in one[name]}) for name in ("sources", "wordings")}
    return {"found": any(one["found"] for one in made)} | joined


def bursts(split: Split, name: str, rng: np.random.Generator) -> list[Found]:
    """A real kind more often than usual, the added ones from conversations that are in no other part."""
    window = each_alone(split.windows[rng.integers(len(split.windows))][:BURST_WINDOW])
    before = each_alone(split.baseline)
    baseline = Split(before, embed_reasons(Reasons(before)), [])
    rest = {row["rationale"] for other in split.windows for row in other} - {row["rationale"] for row in window}
    found = []
    for what, kind_of in kinds(name).items():
        counts = dict(zip(*np.unique(list(kind_of.values()), return_counts=True), strict=True))
        usable = [kind for kind in sorted(counts) if 0.005 <= counts[kind] / len(kind_of) <= 0.02]
        kind = usable[rng.integers(len(usable))]
        usual = BURST_WINDOW * counts[kind] / len(kind_of)
        spare = rng.permutation(sorted(text for text in rest if kind_of[text] == kind)).tolist()
        for times in TIMES:
            added = spare[: round((times - 1) * usual)]
            row = look(baseline, window, added)
            # Its wordings are of other source conversations of the set; the kind is what is drawn.
            row |= {"what": f"burst {what}", "times": times, "wordings": [str(kind)]}
            row |= {"reached": (usual + len(added)) / usual}
            found.append(row)
    return found


def each_alone(rows: Sequence[Row]) -> list[Row]:
    """Each reason as a conversation of its own, as the added ones are."""
    return [row | {"conversation_id": row["prediction_id"]} for row in rows]


@cache
def kinds(name: str) -> dict[str, dict[str, str]]:
    """Kind of each text, by wording and by label."""
    said = [one for texts in texts_of(name).values() for one in texts]
    clusters = group(embed(text for text, _ in said), np.ones(len(said), np.intp), seed=0)
    return {
        "by wording": {text: str(cluster) for (text, _), cluster in zip(said, clusters.tolist(), strict=True)},
        "by label": dict(said),
    }


def quiet_days(drift: float, seed: int) -> list[Found]:
    """The days of a world that have eight before them; a row each."""
    name = SETS[0].name
    days = made_days(texts_of(name), drift, np.random.default_rng([seed, 77]))
    rows = []
    for day in range(DAYS_BEFORE, DAYS):
        before = [row for rows_then in days[day - DAYS_BEFORE : day] for row in rows_then]
        made = cluster_reasons(days[day], baseline=before)
        rows.append(
            {
                "set": name,
                "split": f"world {seed}",
                "what": f"days, sd {drift}",
                "alarms": [one.kind for one in made.anomalies],
                "sources": sorted({row["conversation_id"] for row in days[day]}),
            }
        )
    return rows


# --- what came out ----------------------------------------------------------------------------------------------


def rate(rows: Sequence[Found], name: str) -> dict[str, Any]:
    return share_of(rows, [bool(row[name]) for row in rows])


def by_kind(rows: Sequence[Found]) -> dict[str, int]:
    kinds_of_alarm = sorted({kind for row in rows for kind in row["alarms"]})
    return {kind: sum(kind in row["alarms"] for row in rows) for kind in kinds_of_alarm}


def figures_of(rows: Sequence[Found]) -> dict[str, Any]:
    def chosen(what: str, **more: float) -> list[Found]:
        return [row for row in rows if row["what"] == what and all(row[name] == value for name, value in more.items())]

    figures: dict[str, Any] = {}
    for share in SHARES:
        of_share = chosen("fault", share=share)
        figures[f"found, {share:.1%} of one window"] = rate(of_share, "found")
        figures[f"{share:.1%}: holds half"] = rate(of_share, "holds half")
        figures[f"{share:.1%}: held, where found"] = mean(row["held"] for row in of_share)
        figures[f"{share:.1%}: the anomaly's reasons that are the fault's"] = mean(row["purity"] for row in of_share)
    figures["found, 0.5% of two windows"] = rate(chosen("two"), "found")
    figures["found before 3%, growing from 0.5%"] = rate(chosen("growing"), "found")
    for what, words in (
        ("quiet", "quiet windows"),
        *((f"days, sd {drift}", f"quiet days, sd {drift}") for drift in DRIFTS),
    ):
        if chosen(what):
            figures[f"{words} with an alarm"] = rate(chosen(what), "alarms")
            figures[f"{words} with an alarm, by kind"] = by_kind(chosen(what))
    figures["windows with 1% odd but ordinary reasons with an alarm"] = rate(chosen("odd"), "alarms")
    many = chosen("fault", share=SHARES[-1])
    figures["at 5%: the fault's reasons that are in the pool"] = mean(row["in_pool"] for row in many)
    figures["at 5%: purity of the new cluster that holds most of it"] = mean(row["cluster_purity"] for row in many)
    figures["at 5%: windows with such a cluster"] = mean(float(row["cluster_purity"] is not None) for row in many)
    for what in ("burst by wording", "burst by label"):
        for times in TIMES if chosen(what) else ():
            figures[f"{what}, {times} times: found"] = rate(chosen(what, times=times), "found")
            figures[f"{what}, {times} times: any alarm"] = rate(chosen(what, times=times), "alarms")
            figures[f"{what}, {times} times: reached"] = mean(row["reached"] for row in chosen(what, times=times))
    figures["same through cluster_reasons"] = mean(float(row["same"]) for row in rows if "same" in row)
    return figures


def mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 3) if known else None


def by_fault(rows: Sequence[Found]) -> dict[str, Any]:
    names = sorted({row["fault"] for row in rows if "fault" in row})
    found = [row for row in rows if row["what"] == "fault"]
    return {
        name: {
            f"{share:.1%}": rate([row for row in found if (row["fault"], row["share"]) == (name, share)], "found")
            for share in SHARES
        }
        for name in names
    }


def goals_of(name: str, figures: Mapping[str, Any]) -> list[Goal]:
    """The issue's goals, held against the shares; whether the intervals hold them stands in their names."""
    least = {"found, 5.0% of one window": 0.98, "found, 2.0% of one window": 0.85, "found, 1.0% of one window": 0.50}
    goals = []
    for what, goal in {**least, "found before 3%, growing from 0.5%": 1.0}.items():
        got = figures[what]
        if got["share"] is not None:
            goals.append(
                Goal(f"{name}: {what} (at least {got['low']})", f">= {goal}", got["share"], got["share"] >= goal)
            )
    for what, got in figures.items():
        if what.startswith("quiet") and what.endswith("alarm") and not (name == "all sets" and "days" in what):
            held = got["share"] <= 0.05
            goals.append(Goal(f"{name}: {what} (at most {got['high']})", "<= 0.05", got["share"], held))
    return goals


def run(splits: Sequence[int], worlds: int) -> list[Found]:
    """All sets and worlds, on two cores; each task a few splits or one world."""
    with ProcessPoolExecutor(2) as pool:
        tasks = [
            pool.submit(measure, number, min(2, count - start), 1000 + start)
            for number, count in enumerate(splits)
            for start in range(0, count, 2)
        ]
        tasks += [pool.submit(quiet_days, drift, 1000 + world) for drift in DRIFTS for world in range(worlds)]
        return [row for task in tasks for row in task.result()]


def main() -> None:
    chosen = options(__doc__)
    if not (folder() / "td_eval_airline").is_dir():
        sys.exit(f"there is no data at {folder()}: set LLMCLF_TEST_DATA")
    began = time.monotonic()
    rows = run([1, 0, 0], 1) if chosen.quick else run([one.splits for one in SETS], WORLDS)
    names = [one.name for one in SETS if any(row["set"] == one.name for row in rows)]
    figures: dict[str, Any] = {"all sets": figures_of(rows)}
    figures |= {name: figures_of([row for row in rows if row["set"] == name]) for name in names}
    figures |= {"by fault": by_fault(rows), "seconds": round(time.monotonic() - began, 1)}
    finish(figures, [goal for name in (names[0], "all sets") for goal in goals_of(name, figures[name])], chosen)


if __name__ == "__main__":
    main()
