"""Real reasons as traffic: splits into a baseline and windows, and made days. Read by reasoning_faults.py."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from llmclf.reasons.texts import Embedded, embed_reasons
from llmclf.types.reasons import Reasons

Row = dict[str, str]
Texts = Mapping[str, Sequence[tuple[str, str]]]
"""Source conversation to its reasons and the kind of each, as its set labels it."""


@dataclass(frozen=True)
class Traffic:
    """One set: how its source conversations are used."""

    name: str
    baseline: int
    """Source conversations of the baseline; the others are windows."""
    window: int
    splits: int
    faults: int
    """How many of the faults each split is tried with, in turn."""
    quiet: int = 4
    """Quiet windows of a split at most."""


SETS = (
    Traffic("td_eval_airline", 150, 400, 32, 3),
    Traffic("misguided_attention", 34, 300, 12, 2),
    Traffic("bullshit_bench", 36, 300, 12, 2),
)


def folder() -> Path:
    return Path(os.environ.get("LLMCLF_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


def texts_of(name: str) -> dict[str, list[tuple[str, str]]]:
    """Source conversation to its reasons and their kinds; each text once."""
    reader = {"td_eval_airline": _td_eval, "misguided_attention": _misguided, "bullshit_bench": _nonsense}[name]
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    seen = set()
    for conversation, text, kind in reader():
        if text and text not in seen:
            seen.add(text)
            found[conversation].append((text, kind))
    return dict(found)


def _td_eval() -> Iterator[tuple[str, str, str]]:
    for number, path in enumerate(sorted((folder() / "td_eval_airline" / "judgements").glob("*/*.json.gz"))):
        for dialogue, turns in json.loads(gzip.decompress(path.read_bytes()))["dialogues"].items():
            for turn in turns:
                for metric, score in turn["scores"].items():
                    points = re.search("[1-5]", str(score["score"]))
                    kind = f"{metric} {points and points[0]}"
                    yield f"{number}-{dialogue}", (score["justification"] or "").strip(), kind


def _misguided() -> Iterator[tuple[str, str, str]]:
    for path in sorted((folder() / "misguided_attention_detailed").glob("*.json.gz")):
        for prompt, models in json.loads(gzip.decompress(path.read_bytes())).items():
            for samples in models.values():
                for sample in samples:
                    said = sample.get("feedback")
                    yield prompt, said.strip() if isinstance(said, str) else "", prompt


def _nonsense() -> Iterator[tuple[str, str, str]]:
    path = folder() / "bullshit_bench_v1" / "items_joined.jsonl.gz"
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        row = json.loads(line)
        for judge in "123":
            text = (row[f"judge_{judge}_justification"] or "").strip()
            text = "" if re.match("Synthetic tiebreaker", text) else text
            yield row["question_id"], text, str(row[f"judge_{judge}_score"])


# --- splits -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """A baseline and windows, of other conversations."""

    baseline: list[Row]
    embedded: Embedded
    windows: list[list[Row]]

    def after(self, windows: Sequence[Sequence[Row]]) -> Split:
        """The same with windows that went before, whatever was in them, at the end of the baseline."""
        rows = [*self.baseline, *(row for window in windows for row in window)]
        return Split(rows, embed_reasons(Reasons(rows)), self.windows)


def split_of(texts: Texts, traffic: Traffic, rng: np.random.Generator) -> Split:
    """Conversations dealt at random; windows are whole conversations one after another, the last cut to the size.

    What is cut off goes into no window, so that no conversation stands in two.
    """
    order = rng.permutation(sorted(texts)).tolist()
    baseline = [row for name in order[: traffic.baseline] for row in rows_of(texts, name)]
    windows: list[list[Row]] = [[]]
    for name in order[traffic.baseline :]:
        windows[-1] += rows_of(texts, name)
        if len(windows[-1]) >= traffic.window:
            windows[-1] = windows[-1][: traffic.window]
            windows.append([])
    return Split(baseline, embed_reasons(Reasons(baseline)), windows[:-1])


def rows_of(texts: Texts, name: str) -> list[Row]:
    return [
        {"prediction_id": f"{name}/{place}", "rationale": text, "conversation_id": name}
        for place, (text, _) in enumerate(texts[name])
    ]


def with_injected(rows: Sequence[Row], injected: Sequence[str]) -> list[Row]:
    """The last rows replaced by reasons of a conversation of their own each."""
    names = [f"injected-{place}" for place in range(len(injected))]
    added = [
        {"prediction_id": name, "rationale": text, "conversation_id": name}
        for name, text in zip(names, injected, strict=True)
    ]
    return [*rows[: len(rows) - len(injected)], *added]


# --- made days --------------------------------------------------------------------------------------------------

DAYS, MONDAY = 15, datetime(2026, 3, 2, tzinfo=UTC)
_KEPT, _WEEKEND, _GROWTH = 0.7, 0.6, 0.02
SIDES = {"model": ("vendor/one", "vendor/two", 0.6), "prompt_id": ("v1", "v2", 0.7)}


def made_days(texts: Texts, drift: float, rng: np.random.Generator) -> list[list[Row]]:
    """Fifteen days of the set's conversations, each whole within a day; nothing is injected.

    Each kind of reason has a weight each day, log-normal with this sd, and others by weekend, model and prompt (sd
    .15): a reason stays with a chance of .7 times all of them. Weekends have .6 of the conversations, and there are 2 %
    more each day. Two models and two prompts share the conversations at random, .6 and .7 of them the first.
    """
    kinds = sorted({kind for said in texts.values() for _, kind in said})
    number = {kind: place for place, kind in enumerate(kinds)}
    by_day = rng.normal(0, drift, (DAYS, len(kinds)))
    by_day += np.outer([day % 7 >= 5 for day in range(DAYS)], rng.normal(0, 0.15, len(kinds)))
    by_side = {name: rng.normal(0, 0.15, (2, len(kinds))) for name in SIDES}
    volume = np.array([(1 + _GROWTH) ** day * (_WEEKEND if day % 7 >= 5 else 1) for day in range(DAYS)])
    order = rng.permutation(sorted(texts)).tolist()
    ends = np.round(np.cumsum(volume) / volume.sum() * len(order)).astype(int)
    days: list[list[Row]] = [[] for _ in range(DAYS)]
    for place, name in enumerate(order):
        day = int(np.searchsorted(ends, place, side="right"))
        begun = MONDAY + timedelta(days=day, seconds=float(rng.uniform(0, 86000)))
        chosen = {side: int(rng.random() > share) for side, (_, _, share) in SIDES.items()}
        tilt = by_day[day] + sum(by_side[side][which] for side, which in chosen.items())
        columns = {side: SIDES[side][which] for side, which in chosen.items()}
        for nth, row in enumerate(rows_of(texts, name)):
            if rng.random() < _KEPT * np.exp(tilt[number[texts[name][nth][1]]]):
                created = (begun + timedelta(seconds=nth)).isoformat()
                days[day].append(row | columns | {"created_at": created})
    return days


# --- uncertainty ------------------------------------------------------------------------------------------------


def share_of(rows: Sequence[Mapping[str, object]], hits: Sequence[bool]) -> dict[str, float | int | None]:
    """Share of rows that are hits, with a 95 % interval for other conversations, wordings and splits of these sets.

    Rows share source conversations, wordings of a fault and baselines. What each of these adds to the variance is
    taken from the products of residuals of rows that share some (least squares on the numbers that they share, none
    below 0; the first term of Hoeffding's decomposition); the variance of the mean follows, and from it the number of
    independent rows that would be as sure, with which Wilson's interval is made. Faults and sets are taken as given.
    Where all rows agree nothing can be seen of this: rows that share nothing at all are counted then.
    """
    if not rows:
        return {"share": None, "low": None, "high": None, "of": 0}
    hit = np.array(hits, float)
    share = float(hit.mean())
    variance = 0.0
    apart = 0.0
    for name in sorted({str(row["set"]) for row in rows}):
        inside = [place for place, row in enumerate(rows) if row["set"] == name]
        weight = (len(inside) / len(rows)) ** 2
        of_set, least = _variance([rows[place] for place in inside], hit[inside])
        variance += weight * of_set
        apart += float(least)
    spread = share * (1 - share)
    units = apart if spread == 0 or variance == 0 else min(max(spread / variance, apart), len(rows))
    low, high = wilson(share, units)
    rounded = {"share": round(share, 3), "low": round(low, 3), "high": round(high, 3)}
    return rounded | {"of": len(rows), "units": round(units, 1)}


def _variance(rows: Sequence[Mapping[str, object]], hit: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Variance of the mean, and how many rows there could be that share nothing."""
    from scipy.optimize import nnls

    members = {name: _members(rows, name) for name in ("sources", "wordings", "split")}
    apart = min(
        [len(rows)] + [one.shape[1] / one.sum(axis=1).mean() for name, one in members.items() if one.shape[1] > 1]
    )
    faults = _members(rows, "fault")
    means = faults @ (np.divide(1, faults.sum(axis=0))[:, None] * faults.T) if faults.size else 1 / len(rows)
    centring = np.eye(len(rows)) - means
    residual = centring @ hit
    shared = [one @ one.T for one in members.values()] + [np.eye(len(rows))]
    upper = np.triu_indices(len(rows))
    columns = np.stack([(centring @ one @ centring)[upper] for one in shared], axis=1)
    parts, _ = nnls(columns, np.outer(residual, residual)[upper])
    return float(sum(part * one.sum() for part, one in zip(parts, shared, strict=True))) / len(rows) ** 2, apart


def _members(rows: Sequence[Mapping[str, object]], name: str) -> npt.NDArray[np.float64]:
    """Which of the units each row holds, shape (rows, units)."""
    held = [[one] if isinstance(one := row.get(name, ()), str) else list(one) for row in rows]  # type: ignore[call-overload]
    number = {unit: place for place, unit in enumerate(sorted({unit for units in held for unit in units}))}
    found = np.zeros((len(rows), len(number)))
    for place, units in enumerate(held):
        found[place, [number[unit] for unit in units]] = 1
    return found


def wilson(share: float, units: float) -> tuple[float, float]:
    """Wilson's 95 % interval for so many units."""
    z = 1.96
    middle = (share + z * z / (2 * units)) / (1 + z * z / units)
    half = z / (1 + z * z / units) * (share * (1 - share) / units + z * z / (4 * units * units)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)
