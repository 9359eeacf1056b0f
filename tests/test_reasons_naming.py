"""Names of clusters: telling words that several conversations share, and nothing else."""

import numpy as np
from hypothesis import example, given, settings, strategies as st

from llmclf.embedding import embed
from llmclf.reasons.naming import NO_TERMS, medoid_of, name_of, terms_of

MISSING = ["The transcript is missing.", "A missing transcript, nothing to read.", "No transcript: it is missing."]
REFUND = ["The agent refused the refund.", "A refund was refused by the agent.", "Refund refused; the agent is firm."]
LABELS = np.repeat([0, 1], 3)


def test_terms_set_clusters_apart() -> None:
    """Each cluster's terms are its own words, the most telling first, and no stop words."""
    missing, refund = terms_of(MISSING + REFUND, LABELS, np.arange(6), least_conversations=3)
    assert set(missing) == {"transcript", "missing"}
    assert set(" ".join(refund).split()) == {"refund", "refused", "agent"}


def test_what_all_clusters_say_comes_last() -> None:
    """A word of every cluster is less telling than one of this cluster alone."""
    texts = [f"customer asks about {word}" for word in ("luggage", "refund", "weather") for _ in range(3)]
    for terms in terms_of(texts, np.repeat([0, 1, 2], 3), np.arange(9), least_conversations=3):
        assert terms[0] not in ("customer", "customer asks", "asks")


def test_words_of_one_conversation_are_no_term() -> None:
    """A name that one conversation says many times is never shown; nor one that two say, where three are asked for."""
    texts = [*MISSING, *["Ottokar Zwiebel says the transcript is missing"] * 20, "Ottokar has a missing transcript"]
    conversations = np.array([0, 1, 2, *[3] * 20, 4])
    (terms,) = terms_of(texts, np.zeros(24, np.intp), conversations, least_conversations=3)
    assert "transcript" in terms
    assert not {"ottokar", "zwiebel"} & set(" ".join(terms).split())


def test_placeholders_and_numbers_are_no_terms() -> None:
    """What a redactor put in, and ids and amounts, stand in many conversations and say nothing."""
    texts = ["[PERSON_1] flight AB123 costs 300 <EMAIL> {booking} user_id_7"] * 4
    (terms,) = terms_of(texts, np.zeros(4, np.intp), np.arange(4), least_conversations=2)
    assert set(" ".join(terms).split()) == {"flight", "costs"}


def test_a_pair_does_not_reach_over_a_sentence() -> None:
    """Words on both sides of a full stop or a left-out word are no pair."""
    texts = ["alpha. beta of gamma"] * 3
    (terms,) = terms_of(texts, np.zeros(3, np.intp), np.arange(3), least_conversations=3)
    assert set(terms) == {"alpha", "beta", "gamma"}


def test_a_negation_stays_with_its_word() -> None:
    """`no transcript` is a pair; `no` alone is no term."""
    other = ["a transcript of flights"] * 3
    first, _ = terms_of(["no transcript"] * 3 + other, LABELS, np.arange(6), least_conversations=3)
    assert "no transcript" in first and "no" not in first


def test_no_shared_words_make_no_name() -> None:
    """A cluster without words of as many conversations as asked for has no terms, and its name says so."""
    terms = terms_of(MISSING, np.zeros(3, np.intp), np.array([0, 0, 1]), least_conversations=3)
    assert terms == [()]
    assert name_of(terms[0]) == NO_TERMS


def test_entries_without_cluster_are_left_out() -> None:
    """-1 names nothing, and an empty cluster between others has no terms."""
    labels = np.array([-1, -1, -1, 2, 2, 2])
    empty, also, refund = terms_of(MISSING + REFUND, labels, np.arange(6), least_conversations=3)
    assert empty == also == () and "refund" in " ".join(refund)
    assert terms_of([], np.zeros(0, np.intp), np.zeros(0, np.intp), least_conversations=1) == []


def test_large_clusters_are_sampled_by_seed() -> None:
    """Thousands of entries give the same terms for a seed, and the common ones for any."""
    texts = [MISSING[place % 3] + f" also word{chr(97 + place % 26)}" for place in range(5000)]
    labels, conversations = np.zeros(5000, np.intp), np.arange(5000)
    first = terms_of(texts, labels, conversations, least_conversations=3, seed=1)
    assert first == terms_of(texts, labels, conversations, least_conversations=3, seed=1)
    assert {"transcript", "missing"} <= set(" ".join(first[0][:4]).split())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(), max_size=60), min_size=1, max_size=6), st.integers(0, 3))
@example(["\ud800\udfff", "", "[" * 300, "x" * 100_000], 1)
def test_any_text_can_be_named(texts: list[str], least: int) -> None:
    """No string fails; a term is lower case, of at most two words, without digits, and shared by enough texts."""
    (terms,) = terms_of(texts, np.zeros(len(texts), np.intp), np.arange(len(texts)), least_conversations=least)
    for term in terms:
        assert 1 <= len(term.split(" ")) <= 2
        assert not any(sign.isdigit() for sign in term)
        for word in term.split(" "):
            assert sum(word in text.casefold() for text in texts) >= least


def test_the_medoid_is_typical() -> None:
    """The text that is most like the others; weights draw it to what is frequent."""
    texts = ["the transcript is missing", "the transcript is missing here", "my penguin sings"]
    vectors = embed(texts)
    assert medoid_of(vectors, np.array([1, 1, 1])) in (0, 1)
    assert medoid_of(vectors, np.array([1, 1, 50])) == 2
    assert medoid_of(np.zeros((2, 256), np.float32), np.array([1, 1])) == 0
