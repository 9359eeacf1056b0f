"""Clusters keep their ids from one clustering to the next."""

import re

import numpy as np
from hypothesis import given, settings, strategies as st

from llmclf.reasons.identity import LEAST_SIMILARITY, Earlier, kept_ids


def units(count: int, seed: int, width: int = 64) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def moved(vectors: np.ndarray, by: float, seed: int = 9) -> np.ndarray:
    rows = vectors + by * units(len(vectors), seed, vectors.shape[1])
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def earlier(vectors: np.ndarray, ids: list[str], parents: int = 0) -> Earlier:
    none = ("",) * len(ids)
    return Earlier(
        clustering_id="before", embedder="e", ids=tuple(ids), kinds=("known",) * len(ids), names=none, named_by=none,
        parents=none, terms=((),) * len(ids), vectors=vectors, parent_ids=tuple(ids[:parents]),
        parent_names=none[:parents], parent_vectors=vectors[:parents],
    )  # fmt: skip


def test_a_first_clustering_has_new_ids() -> None:
    """A letter and eight hex digits of the centroid: the same next time, different from each other."""
    vectors = units(20, 0)
    ids = kept_ids(vectors, None, embedder="e")
    assert all(re.fullmatch(r"k[0-9a-f]{8}", one) for one in ids)
    assert len(set(ids)) == 20 and ids == kept_ids(vectors, None, embedder="e")
    assert kept_ids(vectors, None, embedder="e", of="parents")[0].startswith("p")


def test_alike_clusters_keep_their_ids_in_any_order() -> None:
    """Centroids that moved a little, and in another order, have the same ids."""
    vectors = units(12, 1)
    ids = kept_ids(vectors, None, embedder="e")
    order = np.random.default_rng(0).permutation(12)
    assert kept_ids(moved(vectors[order], 0.3), earlier(vectors, ids), embedder="e") == [ids[place] for place in order]


def test_a_cluster_that_is_unlike_is_new() -> None:
    """Under the similarity that is asked for nothing is kept, and the old id is not given again."""
    vectors = units(5, 2)
    ids = kept_ids(vectors, None, embedder="e")
    other = units(5, 3)
    assert (other @ vectors.T).max() < LEAST_SIMILARITY
    assert not set(kept_ids(other, earlier(vectors, ids), embedder="e")) & set(ids)


def test_an_id_goes_to_one_cluster_alone() -> None:
    """Where a cluster falls into two, the half that is more alike keeps the id and the other has a new one."""
    vectors = units(1, 4)
    ids = kept_ids(vectors, None, embedder="e")
    halves = np.concatenate([moved(vectors, 0.3), moved(vectors, 0.1)])
    first, second = kept_ids(halves, earlier(vectors, ids), embedder="e")
    assert second == ids[0] and first != ids[0]


def test_equal_centroids_have_different_ids() -> None:
    """Even where the hash is the same, also as one of the earlier clustering."""
    twice = np.repeat(units(1, 5), 2, axis=0)
    ids = kept_ids(twice, None, embedder="e")
    assert len(set(ids)) == 2
    again = kept_ids(twice, earlier(-twice, ids), embedder="e")
    assert len({*ids, *again}) == 4


def test_vectors_of_another_embedder_are_not_compared() -> None:
    """Equal numbers of two embedders mean nothing: all ids are new."""
    vectors = units(3, 6)
    ids = kept_ids(vectors, None, embedder="e")
    assert not set(kept_ids(vectors, earlier(vectors, ids), embedder="f")) & set(ids)


def test_parents_are_held_against_parents() -> None:
    """They keep ids of their own kind."""
    vectors = units(6, 7)
    before = earlier(vectors, [f"p{place}" for place in range(6)], parents=2)
    ids = kept_ids(vectors[::-1], before, embedder="e", of="parents")
    assert ids[-2:] == ["p1", "p0"] and len(set(ids)) == 6


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 12), st.integers(0, 12), st.floats(0, 1), st.integers(0, 50))
def test_ids_never_collide(before: int, after: int, by: float, seed: int) -> None:
    """However many there were and are and however they moved: no id twice, and a kept one is of an alike centroid."""
    old = units(before, seed, 8)
    ids = kept_ids(old, None, embedder="e")
    new = np.concatenate([moved(old[:after], by, seed + 1), units(max(0, after - before), seed + 2, 8)])
    made = kept_ids(new, earlier(old, ids), embedder="e")
    assert len(set(made)) == len(made) == len(new)
    for id_, vector in zip(made, new, strict=True):
        if id_ in ids:
            assert vector @ old[ids.index(id_)] >= LEAST_SIMILARITY - 1e-6
