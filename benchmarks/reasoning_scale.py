"""How long clustering reasons takes, and how much memory: 10,000 to 1,000,000 of them.

    python benchmarks/reasoning_scale.py [--json] [--quick]

Simulated text, because no real set is so large: the sentences of 6,072 real justifications of a judge (td_eval airline)
recombined. A made reason has as many sentences as a real one; its first is that of one real reason, the others are of
reasons about the same measure and score. All are different. Where the public data is absent, sentences are made of
words (`text` says so). Four reasons in a conversation, one day in the window, 14 before in the baseline, which is drawn
down to 20,000 reasons that novelty is measured against.

Every size runs in a process of its own, so that peak memory is its own; the reasons themselves are in it. `seconds`
are those of `cluster_reasons` on the clock. `ratio` is its processor time over that of embedding its texts alone, in
the same process just before (100,000 texts at most, per text): what else runs on the machine blurs it less, and what
two cores share counts twice. `assigning`: further reasons (100,000 at most) given to the clusters that are there
(`earlier`, no baseline), as a share of the rate at which they are embedded. `exponent`: processor time grows as
reasons to that power, from one size to the next; 1 is proportional.
"""

from __future__ import annotations

import gzip
import json
import multiprocessing
import re
import resource
import time
from collections import defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from math import log
from pathlib import Path
from typing import Any

import numpy as np
from common import Goal, finish, options
from readers import data_folder

from llmclf.embedding import embed
from llmclf.reasons.clustering import cluster_reasons
from llmclf.reasons.values import ClusterSettings
from llmclf.types.reasons import Reasons

SIZES, QUICK = (10_000, 30_000, 100_000, 300_000, 1_000_000), (100, 300)
RESERVOIR, BASELINE = 20_000, 40_000
EMBEDDED, ASSIGNED = 100_000, 100_000
IN_CONVERSATION = 4
START = datetime(2026, 11, 1)
Templates = list[tuple[str, list[str]]]
"""Of each real reason: what it is about (measure and score), and its sentences."""


def real_templates(folder: Path) -> Templates:
    """The distinct justifications of td_eval's judge, as sentences."""
    found: dict[str, tuple[str, list[str]]] = {}
    for path in sorted(folder.glob("td_eval_airline/judgements/*/*.json.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            dialogues = json.load(file)["dialogues"]
        for turns in dialogues.values():
            for turn in turns:
                for measure, said in turn["scores"].items():
                    text = (said["justification"] or "").strip()
                    if text:
                        sentences = [one for one in re.split(r"(?<=[.!?])\s+", text) if one]
                        found[text] = (f"{measure} {str(said['score'])[:1]}", sentences)
    return list(found.values())


def made_templates() -> Templates:
    """Sentences of made-up words on thirty subjects, for a machine without the public data."""
    rng = np.random.default_rng(7)
    words = ["".join(rng.choice(list("abdeiklmnoprstu"), rng.integers(3, 9))) for _ in range(4_000)]
    made: Templates = []
    for number in range(6_000):
        subject = number % 30
        own = words[subject * 60 : subject * 60 + 60] + words[-600:]
        sentences = [" ".join(rng.choice(own, 15)).capitalize() + "." for _ in range(rng.integers(1, 5))]
        made.append((str(subject), sentences))
    return made


def templates() -> tuple[Templates, str]:
    """Real ones where the data is there, and what they are."""
    try:
        real = real_templates(data_folder())
    except SystemExit:
        real = []
    return (real, "real sentences recombined (simulated)") if real else (made_templates(), "made-up words (simulated)")


def made_texts(count: int, given: Templates, seed: int) -> list[str]:
    """So many different texts."""
    rng = np.random.default_rng(seed)
    alike: dict[str, list[str]] = defaultdict(list)
    for about, sentences in given:
        alike[about] += sentences[1:] or sentences
    made: dict[str, None] = {}
    while len(made) < count:
        for place, drawn in zip(rng.integers(len(given), size=count).tolist(), rng.random((count, 12)), strict=True):
            about, sentences = given[place]
            others = alike[about]
            more = [others[int(one * len(others))] for one in drawn[: max(1, len(sentences) - 1)]]
            made[" ".join([sentences[0], *more])] = None
            if len(made) == count:
                break
    return list(made)


def reasons_of(texts: list[str], *, name: str, days: tuple[float, float], seed: int) -> Reasons:
    """The texts as reasons with all that a store knows of them, spread over the days."""
    rng, count = np.random.default_rng(seed), len(texts)
    seconds = np.sort(rng.uniform(days[0] * 86_400, days[1] * 86_400, count)).tolist()
    models, labels = ("vendor/small", "vendor/large"), ("refused", "handed_over", "clean")
    chats, mails = {"channel": "chat"}, {"channel": "mail"}
    return Reasons.from_columns(
        {
            "prediction_id": [f"{name}-{place:032}" for place in range(count)],
            "conversation_id": [f"{name}-c{place // IN_CONVERSATION}" for place in range(count)],
            "created_at": [(START + timedelta(seconds=one)).strftime("%Y-%m-%dT%H:%M:%S.%fZ") for one in seconds],
            "rationale": texts,
            "model": [models[one] for one in rng.integers(0, 2, count).tolist()],
            "label": [labels[one] for one in rng.integers(0, 3, count).tolist()],
            "prompt_id": ["refusal/v1"] * count,
            "classifier_id": ["refusal@1"] * count,
            "fields": [mails if one else chats for one in rng.integers(0, 2, count).tolist()],
        }
    )


def measure(size: int) -> dict[str, Any]:
    """Seconds, memory and rates of one size."""
    given, text = templates()
    baseline_size, further_size = min(BASELINE, size * 4), min(ASSIGNED, size)
    texts = made_texts(size + baseline_size + further_size, given, 7)
    window = reasons_of(texts[:size], name="w", days=(14, 15), seed=1)
    baseline = reasons_of(texts[size : size + baseline_size], name="b", days=(0, 14), seed=2)
    further = reasons_of(texts[size + baseline_size :], name="n", days=(15, 16), seed=3)
    alone = texts[: min(EMBEDDED, size)]
    del texts
    embed(alone[:10])  # loads the vectors
    worked = time.process_time()
    embed(alone)
    per_text = (time.process_time() - worked) / len(alone)
    settings = ClusterSettings(reservoir=RESERVOIR)
    started, worked = time.perf_counter(), time.process_time()
    made = cluster_reasons(window, baseline, settings=settings)
    seconds, worked = time.perf_counter() - started, time.process_time() - worked
    clustered, kept = made.baseline.used if made.baseline else 0, made.earlier()
    figures = {
        "reasons": size,
        "reservoir": clustered,
        "text": text,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(worked, 2),
        "embedding_alone_cpu_seconds": round(per_text * (size + clustered), 2),
        "ratio": round(worked / (per_text * (size + clustered)), 3),
        "clusters": len(made.clusters),
        "peak_gigabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }
    del made, window, baseline
    worked = time.process_time()
    embed(further.texts())
    embedding = time.process_time() - worked
    worked = time.process_time()
    cluster_reasons(further, earlier=kept, settings=settings)
    assigning = time.process_time() - worked
    return figures | {
        "assigned": len(further),
        "assigned_per_second": round(len(further) / assigning),
        "embedded_per_second": round(len(further) / embedding),
        "assigning": round(embedding / assigning, 3),
    }


def goals(rows: list[dict[str, Any]]) -> list[Goal]:
    """What the largest sizes have to hold."""
    made = []
    limits = {100_000: 90.0, 1_000_000: 900.0}
    for row in rows:
        if row["reasons"] in limits:
            most = limits[row["reasons"]]
            made.append(Goal(f"{row['reasons']:,} reasons", f"<= {most:g} s", row["seconds"], row["seconds"] <= most))
    last = rows[-1]
    memory = last["peak_gigabytes"]
    return [
        *made,
        Goal(f"memory of {last['reasons']:,}", "<= 6 GB", memory, memory <= 6),
        *(Goal(f"ratio at {row['reasons']:,}", "<= 4", row["ratio"], row["ratio"] <= 4) for row in rows[-3:]),
        *(
            Goal(f"assigning, {row['reasons']:,}", ">= 0.7 of embedding", row["assigning"], row["assigning"] >= 0.7)
            for row in rows[-3:]
        ),
    ]


def main() -> None:
    """Prints the figures of every size beside the goals."""
    chosen = options(__doc__)
    rows = []
    for size in QUICK if chosen.quick else SIZES:
        with multiprocessing.get_context("spawn").Pool(1) as alone:
            rows.append(alone.apply(measure, (size,)))
    growth = {
        f"{small['reasons']:,} to {large['reasons']:,}": round(
            log(large["cpu_seconds"] / small["cpu_seconds"]) / log(large["reasons"] / small["reasons"]), 2
        )
        for small, large in pairwise(rows)
    }
    finish({"sizes": rows, "exponent": growth}, goals(rows), chosen)


if __name__ == "__main__":
    main()
