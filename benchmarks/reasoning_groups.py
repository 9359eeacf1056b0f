"""Which way of grouping reasons finds groups that people know, and whether clusters keep their ids.

python benchmarks/reasoning_groups.py [--json] [--quick]

Real judges' and experts' words (public data at $LLMCLF_TEST_DATA): justifications of airline chats by metric, and by
metric and score; reasons of failed agents by the agent at fault; feedback on modified riddles by riddle; words on
nonsense questions by question, and by score. None of these groups is what a cluster of reasons must be: a reason may
speak of the metric, of the airline's rules or of both. They are what can be counted.

Each way: adjusted Rand index (ARI) and normalised mutual information (NMI), mean over seeds, with a 95 % interval of
ARI by resampling conversations (of nonsense and riddles: models); clusters; share left out, which
stands as a cluster of its own; seconds without embedding. NMI rises with the number of clusters, ARI falls beyond the
number of groups: read both. `k given` ways are told the true number of groups, which nobody knows: a ceiling.

`behind`: the default's ARI less this way's, as a mean over the sets, with its 95 % interval by the same resampling.

`kept`: reasons split into two halves by conversation, each clustered by itself, the second begun from the first as a
refit is; share of the second half's reasons whose cluster has an id of the first. `same`: share of them that the first
half's centroids put into the cluster with the same id. `anew`: the same where the second half is clustered without the
first.

`pool`: 5 to 25 reasons of one fault (fault_wordings.py) and 12 ordinary airline reasons, grouped as the novelty pool
is: how much of the fault the largest group holds and how much of that group is the fault, with what the baseline's
reasons share taken away and without.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from common import Goal, finish, options
from fault_wordings import FAULTS
from sklearn.cluster import HDBSCAN, AgglomerativeClustering, MiniBatchKMeans
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from llmclf.embedding import embed, static_embedder
from llmclf.reasons.grouping import centroids_of, group, group_pool, nearest
from llmclf.reasons.identity import Earlier, kept_ids

IntArray = npt.NDArray[np.intp]
FloatArray = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]
Row = tuple[str, str, tuple[str, ...]]
"""Words, conversation, groups by each labelling."""
DRAWS, SEEDS, DEFAULT = 200, 3, "default: k-means + average linkage"


@dataclass(frozen=True)
class Labelled:
    """Distinct texts with their vectors, conversations and known groups."""

    name: str
    texts: list[str]
    vectors: Matrix
    tfidf: Matrix
    conversations: IntArray
    groups: IntArray


# --- the sets ---------------------------------------------------------------------------------------------------


def folder() -> Path:
    """Where the public data lies."""
    return Path(os.environ.get("LLMCLF_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


def airline() -> Iterator[Row]:
    """GPT-4o's justifications: metric and score, metric."""
    for path in sorted(folder().glob("td_eval_airline/judgements/*/*.json.gz")):
        for name, turns in json.loads(gzip.decompress(path.read_bytes()))["dialogues"].items():
            for metric, said in ((metric, said) for turn in turns for metric, said in turn["scores"].items()):
                score = re.search(r"[1-5]", str(said["score"]))
                yield said["justification"] or "", f"{path.stem}-{name}", (f"{metric} {score and score[0]}", metric)


def agents() -> Iterator[Row]:
    """Experts' reasons: the agent at fault."""
    for path in sorted(folder().glob("who_and_when/*/*.json")):
        log = json.loads(path.read_bytes())
        yield log.get("mistake_reason") or "", str(path), (str(log.get("mistake_agent")),)


def riddles() -> Iterator[Row]:
    """A judge's feedback: the riddle. Units are models, since a riddle is a group."""
    for path in sorted(folder().glob("misguided_attention_detailed/*.json.gz")):
        for riddle, models in json.loads(gzip.decompress(path.read_bytes())).items():
            for model, sample in ((model, sample) for model, samples in models.items() for sample in samples):
                words = sample.get("feedback")
                yield words if isinstance(words, str) else "", model, (riddle,)


def nonsense() -> Iterator[Row]:
    """Three judges' words: the question, the score. Units are models."""
    with gzip.open(folder() / "bullshit_bench_v1" / "items_joined.jsonl.gz") as lines:
        for item in map(json.loads, lines):
            for judge in "123":
                words = item[f"judge_{judge}_justification"] or ""
                if not words.startswith("Synthetic tiebreaker"):
                    yield words, item["model"], (item["question_id"], str(item[f"judge_{judge}_score"]))


SETS: tuple[tuple[Callable[[], Iterator[Row]], tuple[str, ...]], ...] = (
    (airline, ("airline: metric and score", "airline: metric")),
    (agents, ("agents: agent at fault",)),
    (riddles, ("riddles: riddle",)),
    (nonsense, ("nonsense: question", "nonsense: score")),
)


def labelled(quick: bool) -> Iterator[Labelled]:
    """Each set by each of its labellings, a text once."""
    for read, names in SETS:
        rows = list({words.strip(): (words.strip(), *rest) for words, *rest in read() if words.strip()}.values())
        rows = rows[:: 1 + len(rows) // 600] if quick else rows
        texts = [str(row[0]) for row in rows]
        vectors, tfidf = embed(texts), words_as_vectors(texts)
        conversations = numbered([str(row[1]) for row in rows])
        for place, name in enumerate(names):
            yield Labelled(name, texts, vectors, tfidf, conversations, numbered([row[2][place] for row in rows]))


def words_as_vectors(texts: Sequence[str]) -> Matrix:
    """TF-IDF and 60 dimensions of it, unit rows."""
    sparse = TfidfVectorizer(sublinear_tf=True, min_df=2, max_df=0.5, stop_words="english").fit_transform(texts)
    made = TruncatedSVD(min(60, sparse.shape[1] - 1), random_state=0).fit_transform(sparse).astype(np.float32)
    lengths = np.linalg.norm(made, axis=1, keepdims=True)
    unit: Matrix = np.divide(made, lengths, out=np.zeros_like(made), where=lengths > 0)
    return unit


def numbered(names: Sequence[str]) -> IntArray:
    """Number of each name."""
    return np.unique(np.array(names), return_inverse=True)[1].astype(np.intp)


# --- the ways ---------------------------------------------------------------------------------------------------


def batches(vectors: Matrix, count: int, seed: int) -> IntArray:
    """MiniBatchKMeans."""
    count = min(count, len(vectors) // 2)
    made = MiniBatchKMeans(count, batch_size=2048, n_init=3, random_state=seed).fit_predict(vectors)
    return made.astype(np.intp)


def usual(vectors: Matrix, seed: int) -> IntArray:
    """k-means with sqrt(n / 2) clusters, a rule of thumb."""
    return batches(vectors, round((len(vectors) / 2) ** 0.5), seed)


def linked(vectors: Matrix, count: int, linkage: str, seed: int) -> IntArray:
    """300 small groups, joined to `count`."""
    small = batches(vectors, 300, seed)
    centroids = centroids_of(vectors, small, np.ones(len(small), np.intp))
    metric = "euclidean" if linkage == "ward" else "cosine"
    centroids[np.linalg.norm(centroids, axis=1) == 0, 0] = 1  # what holds no word
    joined = AgglomerativeClustering(min(count, len(centroids)), linkage=linkage, metric=metric).fit_predict(centroids)
    return joined[small].astype(np.intp)


def dense(vectors: Matrix, seed: int) -> IntArray:
    """HDBSCAN on 20 principal components; -1 is left out."""
    flat = PCA(min(20, len(vectors) - 1), random_state=seed).fit_transform(vectors)
    return HDBSCAN(min_cluster_size=max(5, len(vectors) // 300), copy=True).fit_predict(flat).astype(np.intp)


def ones(vectors: Matrix) -> IntArray:
    """A weight for each."""
    return np.ones(len(vectors), np.intp)


Way = Callable[[Labelled, int, int], IntArray]
WAYS: dict[str, Way] = {
    DEFAULT: lambda one, k, seed: group(one.vectors, ones(one.vectors), seed=seed),
    "the same on TF-IDF": lambda one, k, seed: group(one.tfidf, ones(one.tfidf), seed=seed),
    "k-means, sqrt(n/2)": lambda one, k, seed: usual(one.vectors, seed),
    "k-means on TF-IDF, sqrt(n/2)": lambda one, k, seed: usual(one.tfidf, seed),
    "HDBSCAN": lambda one, k, seed: dense(one.vectors, seed),
    "HDBSCAN on TF-IDF": lambda one, k, seed: dense(one.tfidf, seed),
    "k-means, k given": lambda one, k, seed: batches(one.vectors, k, seed),
    "k-means on TF-IDF, k given": lambda one, k, seed: batches(one.tfidf, k, seed),
    "k-means + Ward, k given": lambda one, k, seed: linked(one.vectors, k, "ward", seed),
    "k-means + average, k given": lambda one, k, seed: linked(one.vectors, k, "average", seed),
    "k-means + average on TF-IDF, k given": lambda one, k, seed: linked(one.tfidf, k, "average", seed),
}


def measure(one: Labelled, way: str, seeds: int) -> tuple[dict[str, Any], FloatArray]:
    """The way's figures on a labelled set, and its ARI by draw of conversations."""
    truth = one.groups
    made, seconds = [], []
    for seed in range(seeds):
        start = time.perf_counter()
        made.append(WAYS[way](one, int(truth.max()) + 1, seed))
        seconds.append(time.perf_counter() - start)
    draws = np.mean([resampled(one, labels) for labels in made], axis=0)
    low, high = np.quantile(draws, [0.025, 0.975]).round(3).tolist()
    figures = {
        "ari": mean([adjusted_rand_score(truth, labels) for labels in made]),
        "ari_low": low,
        "ari_high": high,
        "nmi": mean([normalized_mutual_info_score(truth, labels) for labels in made]),
        "clusters": mean([len(np.unique(labels[labels >= 0])) for labels in made]),
        "largest": mean([float(np.unique(labels, return_counts=True)[1].max() / len(labels)) for labels in made]),
        "left_out": mean([float(np.mean(labels < 0)) for labels in made]),
        "seconds": mean(seconds),
    }
    return figures, draws


def resampled(one: Labelled, labels: IntArray) -> FloatArray:
    """ARI by draw of conversations with replacement, shape (DRAWS,), the same draws for each way.

    A text drawn twice would be alike to itself: pairs of the same text are taken out of the counts.
    """
    rng = np.random.default_rng(0)
    count = int(one.conversations.max()) + 1
    cells = np.unique(np.stack([one.groups, labels]), axis=1, return_inverse=True)[1].ravel()
    drawn = [
        pairs_index(rng.multinomial(count, np.full(count, 1 / count))[one.conversations], one.groups, labels, cells)
        for _ in range(DRAWS)
    ]
    return np.array(drawn)


def pairs_index(weights: IntArray, truth: IntArray, labels: IntArray, cells: IntArray) -> float:
    """ARI (Hubert and Arabie 1985) of texts that count so often, over pairs of different texts."""
    own = float((weights.astype(float) ** 2).sum())

    def pairs(groups: IntArray) -> float:
        sums = np.bincount(groups - groups.min(), weights=weights)
        return float((sums**2).sum()) - own

    both, of_truth, of_labels = pairs(cells), pairs(truth), pairs(labels)
    chance = of_truth * of_labels / (float(weights.sum()) ** 2 - own)
    most = (of_truth + of_labels) / 2
    return (both - chance) / (most - chance) if most > chance else 0.0


def mean(values: Sequence[float]) -> float:
    """To three decimals."""
    return round(float(np.mean(values)), 3)


# --- ids --------------------------------------------------------------------------------------------------------


def kept(one: Labelled, seeds: int) -> dict[str, float]:
    """Shares of the second half's reasons whose cluster kept an id, and that both halves put into the same."""
    found, same, anew = [], [], []
    for seed in range(seeds):
        rng = np.random.default_rng([7, seed])
        first = rng.random(int(one.conversations.max()) + 1)[one.conversations] < 0.5
        _, centroids = clustered(one.vectors[first], seed)
        ids = kept_ids(centroids, None, embedder="")
        before = nearest(one.vectors[~first], centroids)[0]
        for start, told in ((centroids, same), (None, anew)):
            after, later = clustered(one.vectors[~first], seed + 100, start)
            of_later = kept_ids(later, earlier_of(ids, centroids), embedder="")
            told.append(float(np.mean([ids[old] == of_later[new] for old, new in zip(before, after, strict=True)])))
            if start is not None:
                found.append(float(np.mean([of_later[label] in ids for label in after])))
    return {"kept": mean(found), "same": mean(same), "anew": mean(anew)}


def clustered(vectors: Matrix, seed: int, start: Matrix | None = None) -> tuple[IntArray, Matrix]:
    """Labels and centroids."""
    labels = group(vectors, ones(vectors), seed=seed, start=start)
    return labels, centroids_of(vectors, labels, ones(vectors))


def earlier_of(ids: Sequence[str], centroids: Matrix) -> Earlier:
    """A clustering as the next one sees it."""
    none = ("",) * len(ids)
    return Earlier("", "", tuple(ids), none, none, none, none, ((),) * len(ids), centroids, (), (), centroids[:0])


def pool(rounds: int) -> dict[str, dict[str, float]]:
    """How well a fault comes out of a novelty pool as one group."""
    usual = list(dict.fromkeys(words.strip() for words, *_ in airline() if words.strip()))
    vectors = embed(usual)
    found: dict[str, list[tuple[float, float]]] = {"without what all share": [], "as they are": []}
    for seed in range(rounds):
        rng = np.random.default_rng([8, seed])
        for wordings, count in ((wordings, count) for wordings in FAULTS.values() for count in (5, 10, 25)):
            of_fault = embed(rng.permutation(wordings)[:count].tolist())
            rows = np.concatenate([of_fault, vectors[rng.choice(len(usual), 12, replace=False)]])
            for name, centre in zip(found, (vectors.mean(axis=0), None), strict=True):
                largest = group_pool(rows, seed=seed, centre=centre) == 0
                inside = int(largest[:count].sum())
                found[name].append((inside / count, inside / max(1, int(largest.sum()))))
    return {
        name: {"holds": mean([one for one, _ in got]), "purity": mean([one for _, one in got])}
        for name, got in found.items()
    }


# --- what came out ----------------------------------------------------------------------------------------------


def show(name: str, rows: dict[str, dict[str, Any]], ids: dict[str, float]) -> None:
    """A table on stderr."""
    print(
        f"\n{name}\n{'':38}{'ARI':>6} {'95 %':>15}{'NMI':>7}{'k':>6}{'largest':>9}{'out':>6}{'s':>6}", file=sys.stderr
    )
    for way, row in rows.items():
        interval = f"{row['ari_low']:.3f} to {row['ari_high']:.3f}"
        figures = f"{row['ari']:6.3f} {interval:>15}{row['nmi']:7.3f}{row['clusters']:6.0f}{row['largest']:9.2f}"
        print(f"{way:38}{figures}{row['left_out']:6.2f}{row['seconds']:6.1f}", file=sys.stderr)
    print(
        f"ids: {ids['kept']:.1%} of reasons in kept clusters, {ids['same']:.1%} in the same one "
        f"({ids['anew']:.1%} without a start)",
        file=sys.stderr,
    )


def main() -> None:
    """All ways on all sets."""
    chosen = options(__doc__)
    if not folder().is_dir():
        sys.exit(f"there is no data at {folder()}: set LLMCLF_TEST_DATA")
    static_embedder()
    warnings.filterwarnings("ignore", category=FutureWarning)
    figures: dict[str, Any] = {}
    draws: dict[str, list[FloatArray]] = {way: [] for way in WAYS}
    for one in labelled(chosen.quick):
        seeds = 1 if chosen.quick else SEEDS
        rows = {}
        for way in WAYS:
            rows[way], drawn = measure(one, way, seeds)
            draws[way].append(drawn)
        ids = kept(one, seeds)
        groups = int(one.groups.max()) + 1
        title = f"{one.name} ({len(one.texts)} texts in {groups} groups)"
        show(title, rows, ids)
        figures[one.name] = {"texts": len(one.texts), "groups": groups, "ways": rows, "ids": ids}
    ways = summary(figures, draws)
    done = {"sets": figures} if chosen.json else {}
    pools = pool(2 if chosen.quick else 20)
    finish(done | {"ways": ways, "pool": pools}, goals(figures, ways), chosen)


def summary(figures: dict[str, Any], draws: dict[str, list[FloatArray]]) -> dict[str, Any]:
    """Mean ARI and NMI of each way over the sets, and how far it is behind the default."""
    each = {way: [found["ways"][way] for found in figures.values()] for way in WAYS}
    made = {}
    for way, rows in each.items():
        ari = mean([row["ari"] for row in rows])
        apart = np.mean(draws[DEFAULT], axis=0) - np.mean(draws[way], axis=0)
        low, high = np.quantile(apart, [0.025, 0.975]).round(3).tolist()
        behind = round(mean([row["ari"] for row in each[DEFAULT]]) - ari, 3)
        made[way] = {"ari": ari, "nmi": mean([row["nmi"] for row in rows]), "behind": [behind, low, high]}
    return made


def goals(figures: dict[str, Any], means: dict[str, Any]) -> list[Goal]:
    """The default is the best of the ways that are not told the number of groups, on the mean over the sets."""
    rest = [found["ari"] for way, found in means.items() if way != DEFAULT and "k given" not in way]
    ahead = means[DEFAULT]["ari"] - max(rest)
    large = [found for found in figures.values() if found["texts"] >= 1000] or list(figures.values())
    ids = min(found["ids"]["kept"] for found in large)
    return [
        Goal("mean ARI of the default above the best other way", ">= 0", round(ahead, 3), ahead >= 0),
        Goal("reasons in clusters that keep their id, sets of 1,000 texts", ">= 0.8", ids, ids >= 0.8),
    ]


if __name__ == "__main__":
    main()
