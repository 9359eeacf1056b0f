"""Reasons to distinct texts, vectors and groups."""

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from llmclf.embedding import embed
from llmclf.reasons.grouping import MOST, centroids_of, collapsed, group, group_pool, kmeans, nearest
from llmclf.reasons.hierarchy import largest_first, parents_of
from llmclf.reasons.texts import LONGEST, draw_reservoir, embed_reasons, normalised
from llmclf.types.reasons import Reasons

TOPICS = {
    "refund": ("refund", "money back", "payment returned", "reimbursement of the fare"),
    "luggage": ("suitcase", "luggage", "checked bag", "extra baggage"),
    "weather": ("rain", "snow storm", "thunder and wind", "fog at the airport"),
}
PHRASES = ("The customer speaks of {}.", "It is all about {} here.", "{} is what they ask for.", "I see {} in turn 2.")
TEXTS = [phrase.format(word) for words in TOPICS.values() for word in words for phrase in PHRASES]
TRUTH = np.repeat(np.arange(3), 16)


def ones(count: int) -> np.ndarray:
    return np.ones(count, np.intp)


def test_duplicates_are_embedded_once() -> None:
    """Case, digits, punctuation and blanks make no new text; every reason still points at its own."""
    made = embed_reasons(Reasons.of(["Asked 12 times!", "no request", "asked  3 times", "NO-REQUEST", "", " ... "]))
    assert made.texts == ["Asked 12 times!", "no request"]
    assert made.of.tolist() == [0, 1, 0, 1]
    assert made.weights.tolist() == [2, 2]
    assert len(made.reasons) == 4 and made.wordless == 2
    assert np.array_equal(made.vectors, embed(made.texts))


def test_only_the_beginning_of_a_huge_reason_is_read() -> None:
    """What comes after the first 8,000 characters changes nothing and costs nothing."""
    start = "the parcel is late " * 500
    made = embed_reasons(Reasons.of([start + "refund " * 200_000, start[:LONGEST]]))
    assert made.texts == [start[:LONGEST]] and made.of.tolist() == [0, 0]


def test_reasons_know_their_conversations() -> None:
    """Conversations are numbered by first appearance among the reasons that hold words."""
    made = embed_reasons(Reasons.of(["?", "a", "b", "c"], conversation_ids=["gone", "y", "x", "y"]))
    assert made.groups.tolist() == [0, 1, 0]
    assert made.conversations == 2
    assert made.reasons.column("conversation_id") == ["y", "x", "y"]


def test_no_reasons_at_all() -> None:
    """Nothing gives nothing, in the right shapes."""
    made = embed_reasons(Reasons())
    assert made.vectors.shape == (0, 256)
    assert made.of.shape == made.groups.shape == (0,)
    assert group(made.vectors, made.weights, seed=0).shape == group_pool(made.vectors, seed=0).shape == (0,)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(), max_size=60))
@example("\ud800 x")
@example("")
@example("a" * 100_000)
@example("\u0bb9\u0bbf 12\u0968 ß_İ")
def test_any_text_can_be_normalised(text: str) -> None:
    """Any string has a key, which is its own key; case, blanks around it and punctuation behind it change nothing."""
    key = normalised(text)
    assert normalised(key) == key
    assert normalised(f"  {text} !") == key


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(st.characters(), max_size=30), max_size=8))
def test_any_texts_can_be_embedded(texts: list[str]) -> None:
    """No list of strings fails; texts of one key share a number, others do not."""
    made = embed_reasons(Reasons.of(texts))
    keys = [normalised(text) for text in made.reasons.column("rationale")]
    assert all(keys) and made.wordless + len(keys) == len(texts)
    assert [keys.index(key) for key in keys] == [made.of.tolist().index(number) for number in made.of.tolist()]
    assert np.isfinite(made.vectors).all()


def test_scripts_that_write_vowels_as_marks() -> None:
    """Words that differ in a vowel sign alone are two."""
    assert normalised("\u0915\u093e") != normalised("\u0915\u0940")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=200), st.integers(1, 250), st.integers(0, 5))
def test_a_reservoir_holds_whole_conversations(conversations: list[int], size: int, seed: int) -> None:
    """Never more than asked for, conversations whole, in order, and the same for a seed."""
    reasons = Reasons.of([f"reason {place}" for place in range(len(conversations))],
                         conversation_ids=[f"c{one}" for one in conversations])  # fmt: skip
    drawn = draw_reservoir(reasons, size, seed)
    assert len(drawn) <= max(size, 0)
    ids = drawn.column("conversation_id")
    assert all(ids.count(one) == conversations.count(int(one[1:])) for one in set(ids))
    places = [int(one.split("-")[1]) for one in drawn.column("prediction_id")]
    assert places == sorted(places)
    assert places == [int(one.split("-")[1]) for one in draw_reservoir(reasons, size, seed).column("prediction_id")]


def test_a_reservoir_is_drawn_over_all_the_time() -> None:
    """Each tenth of the time has about a tenth of the reservoir, and nearly all of its size is used."""
    reasons = Reasons.of(["x"] * 3000, conversation_ids=[f"c{place // 3}" for place in range(3000)])
    drawn = draw_reservoir(reasons, 300, seed=1)
    places = np.array([int(one.split("-")[1]) for one in drawn.column("prediction_id")])
    assert 270 <= len(drawn) <= 300
    assert np.bincount(places // 300, minlength=10).min() >= 20


def test_topics_are_found() -> None:
    """Differently worded reasons of three topics come out as few groups, each of one topic mostly."""
    labels = group(embed(TEXTS), ones(48), seed=0)
    purity = sum(np.bincount(TRUTH[labels == label]).max() for label in np.unique(labels)) / 48
    assert 2 <= len(np.unique(labels)) <= 12
    assert purity >= 0.75


def test_groups_are_numbered_by_weight_and_repeat() -> None:
    """The heaviest group is 0; the same seed gives the same groups."""
    weights = np.where(TRUTH == 2, 50, 1)
    vectors = embed(TEXTS)
    labels = group(vectors, weights, seed=3)
    sums = np.bincount(labels, weights=weights)
    assert sums.tolist() == sorted(sums.tolist(), reverse=True)
    assert np.array_equal(labels, group(vectors, weights, seed=3))


def test_kinds_keep_their_members_and_new_ones_are_added() -> None:
    """A grouping begun from an earlier one stands by its kinds, and what is like none of them is one of its own."""
    vectors = embed(TEXTS)
    start = centroids_of(vectors[:32], TRUTH[:32], ones(32))
    labels = group(vectors, ones(48), seed=1, start=start)
    main = [np.bincount(labels[TRUTH == topic]).argmax() for topic in range(3)]
    assert len(set(main)) == 3
    assert np.mean(labels[:32] == np.array(main)[TRUTH[:32]]) >= 0.8


def test_kinds_do_not_grow_without_bounds() -> None:
    """However often a grouping is begun from the one before, on other texts each time, there are at most MOST kinds."""
    start = None
    for seed in range(3):
        vectors = np.random.default_rng(seed).normal(size=(600, 64)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        labels = group(vectors, ones(600), seed=seed, start=start)
        start = centroids_of(vectors, labels, ones(600))
        assert len(start) <= MOST


@pytest.mark.parametrize("count", [1, 2, 3, 30])
def test_few_texts_make_few_groups(count: int) -> None:
    """One text is one group; equal ones are one; 30 are not 30."""
    vectors = embed(TEXTS[:count])
    assert len(np.unique(group(vectors, ones(count), seed=0))) <= max(1, count // 3)
    assert group(np.repeat(vectors[:1], count, axis=0), ones(count), seed=0).tolist() == [0] * count


def test_nearly_equal_texts_are_one_group() -> None:
    """What is left of nearly equal reasons when the shared part is gone is noise and makes no groups."""
    noise = np.random.default_rng(0).normal(0, 0.004, (300, 256))
    vectors = (embed(["the agent refused"]) + noise).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert group(vectors, ones(300), seed=0).max() == 0


def test_texts_that_the_embedder_does_not_know() -> None:
    """Zero vectors neither fail nor become the centre of others."""
    vectors = np.concatenate([embed(TEXTS), np.zeros((40, 256), np.float32)])
    labels = group(vectors, ones(88), seed=0)
    assert labels.shape == (88,) and labels.min() == 0
    assert group(vectors[48:], ones(40), seed=0).tolist() == [0] * 40
    assert group_pool(vectors, seed=0).shape == (88,)


def test_unlike_texts_stay_within_bounds() -> None:
    """However unlike they are, there are at most MOST groups."""
    vectors = np.random.default_rng(0).normal(size=(2000, 256)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert group(vectors, ones(2000), seed=0).max() < MOST


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 9000), st.integers(1, 20), st.integers(0, 100))
def test_nearest_is_the_nearest(count: int, centroids: int, seed: int) -> None:
    """Block by block gives what all at once gives."""
    rng = np.random.default_rng(seed)
    rows, there = rng.normal(size=(count, 8)).astype(np.float32), rng.normal(size=(centroids, 8)).astype(np.float32)
    index, cosine = nearest(rows, there)
    assert cosine == pytest.approx((rows @ there.T).max(axis=1), abs=1e-4)
    assert cosine == pytest.approx((rows * there[index]).sum(axis=1), abs=1e-4)


def test_centroids_are_weighted_means() -> None:
    """Each is the unit mean of its group by weight; -1 counts nowhere."""
    vectors = np.eye(4, dtype=np.float32)
    made = centroids_of(vectors, np.array([0, 0, 1, -1]), np.array([3, 4, 2, 9]))
    assert made == pytest.approx(np.array([[0.6, 0.8, 0, 0], [0, 0, 1, 0]]), abs=1e-6)


def test_kmeans_needs_no_more_centroids_than_there_are_texts() -> None:
    """Equal rows give one centroid, however many are asked for."""
    row = np.array([[1, 0, 0]], np.float32)
    assert kmeans(np.repeat(row, 9, axis=0), 5, seed=0) == pytest.approx(row)


def test_the_pool_groups_what_is_alike() -> None:
    """Reasons of one fault form a group; strays of no kind stay alone."""
    fault = ["The transcript is missing.", "No transcript was given.", "There is no transcript here.",
             "An empty transcript, nothing to read."]  # fmt: skip
    strays = ["Seventeen penguins danced.", "Quarterly revenue grew."]
    labels = group_pool(embed(fault + strays), seed=0, centre=embed(TEXTS).mean(axis=0))
    assert labels.tolist() == [0, 0, 0, 0, -1, -1]


def test_a_repeated_text_is_a_group_of_the_pool() -> None:
    """A text that several conversations have word for word is no stray, though no other is like it."""
    vectors = embed(["The transcript is missing.", "Seventeen penguins danced.", "Quarterly revenue grew."])
    labels = group_pool(vectors, seed=0, centre=embed(TEXTS).mean(axis=0), repeated=np.array([False, True, False]))
    assert labels.tolist() == [-1, 0, -1]


def test_a_huge_pool_is_grouped_too() -> None:
    """More texts than linkage can hold in memory go through small groups first."""
    rng = np.random.default_rng(0)
    kinds = rng.normal(size=(5, 256))
    truth = rng.integers(5, size=4000)
    vectors = (kinds[truth] + rng.normal(0, 0.5, (4000, 256))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = group_pool(vectors, seed=0)
    assert len(np.unique(np.stack([labels, truth]), axis=1).T) == 5


def test_near_duplicates_collapse_within_a_group() -> None:
    """Cosines of .97 and more share a number within a group, never across groups; -1 is no group of its own kind."""
    near = np.array([[1, 0], [0.999, 0.04], [0, 1], [1, 0]], np.float32)
    numbers = collapsed(near, np.array([0, 0, 0, 1]))
    assert len(set(numbers.tolist())) == 3
    assert numbers[0] == numbers[1] and numbers[3] != numbers[0]
    assert collapsed(near[:0], np.zeros(0, np.intp)).shape == (0,)


def test_near_duplicates_of_a_large_group() -> None:
    """In a group of thousands, equal texts still are one, but for a few."""
    rng = np.random.default_rng(0)
    distinct = rng.normal(size=(1500, 256)).astype(np.float32)
    distinct /= np.linalg.norm(distinct, axis=1, keepdims=True)
    vectors = np.concatenate([distinct, distinct])
    assert 1500 <= len(np.unique(collapsed(vectors, np.zeros(3000, np.intp)))) <= 1510


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 60), st.integers(0, 100))
def test_parents_are_few(count: int, seed: int) -> None:
    """About sqrt(k) of them, numbered from 0 by weight, none empty; the same each time."""
    rng = np.random.default_rng(seed)
    centroids = rng.normal(size=(count, 16)).astype(np.float32)
    weights = rng.integers(1, 100, size=count)
    parents = parents_of(centroids, weights)
    assert parents.shape == (count,)
    found = int(parents.max(initial=-1)) + 1
    assert found == (0 if not count else 1 if count <= 3 else round(count**0.5))
    sums = np.bincount(parents, weights=weights)
    assert sums.tolist() == sorted(sums.tolist(), reverse=True)
    assert np.array_equal(parents, parents_of(centroids, weights))


def test_largest_first_leaves_out_what_has_no_group() -> None:
    """-1 stays; gaps close; ties keep their order."""
    assert largest_first(np.array([5, -1, 2, 2]), np.array([1, 9, 1, 1])).tolist() == [1, -1, 0, 0]
