"""Samples to label: known chances, honest expectations."""

from __future__ import annotations

import io
import random
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from rich.console import Console

from llmclf.classifiers.keyword import KeywordClassifier, KeywordRule
from llmclf.data.allocation import StratumPlan, allocate, expected_in_strata, poisson_range, statements
from llmclf.data.check import check
from llmclf.data.sample import read_sample, sample, take, write_sample
from llmclf.errors import ConfigError, DataError
from llmclf.types import Conversation, Design, Example, Item, Label, Stratum, Task, Turn, dataset_of

TASK = Task("t", "?", (Label("yes", "target", "x"), Label("no", "clean", "y")))
TURNS = Task("u", "?", TASK.labels, unit="turn", context="so_far")


def chat(number: int) -> Conversation:
    text = "give me a person" if number % 50 == 0 else "where is my order"
    return Conversation(f"c{number:04}", (Turn("user", text), Turn("bot", f"number {number}"), Turn("bot", "bye")))


POOL = [chat(number) for number in range(1000)]
SCORES = {conversation.id: random.Random(conversation.id).random() ** 4 for conversation in POOL}


@settings(max_examples=200)
@given(
    sizes=st.lists(st.tuples(st.integers(1, 10_000), st.floats(0, 100)), min_size=1, max_size=5),
    n=st.integers(5, 5000),
)
def test_allocation_adds_up(sizes: list[tuple[int, float]], n: int) -> None:
    """Every stratum gets a draw (two where it can), none more than it holds, and all are spent."""
    populations = [size for size, _ in sizes]
    drawn = allocate(populations, [mean for _, mean in sizes], n)
    assert sum(drawn) == min(n, sum(populations))
    for population, count in zip(populations, drawn, strict=True):
        assert 1 <= count <= population
        if n >= 10:
            assert count >= min(2, population)


def test_allocation_is_sixty_percent_neyman_and_forty_equal() -> None:
    """N sqrt(p (1 - p)) decides over 60 % of the draws, the rest is spread equally."""
    populations, expected = [1000, 100_000], [100.0, 100.0]
    neyman = [1000 * (0.1 * 0.9) ** 0.5, 100_000 * (0.001 * 0.999) ** 0.5]
    wanted = [1000 * (0.6 * one / sum(neyman) + 0.4 / 2) for one in neyman]
    assert allocate(populations, expected, 1000) == [round(one) for one in wanted]
    assert allocate([10, 1000], [0.0, 0.0], 100) == [10, 90]


@given(st.lists(st.tuples(st.integers(1, 1000), st.floats(0, 1)), min_size=1, max_size=5), st.floats(0.001, 0.9))
def test_expected_positives_add_up(strata: list[tuple[int, float]], prevalence: float) -> None:
    """The assumed total is spread over the strata, none of which is taken to be nearly all positive."""
    populations = [size for size, _ in strata]
    relative = [size * mean for size, mean in strata]
    total = prevalence * sum(populations)
    found = expected_in_strata(populations, relative, total)
    caps = sum(max(1, int(0.95 * size)) for size in populations)
    assert sum(found) == pytest.approx(min(total, caps), rel=1e-6)
    assert all(0 <= mean <= max(1, 0.95 * size) for mean, size in zip(found, populations, strict=True))


@pytest.mark.parametrize("mean", [0.01, 0.7, 6.0, 60.0, 450.0, 2000.0])
def test_the_range_of_a_count_is_that_of_scipy(mean: float) -> None:
    """5 % and 95 % quantiles of a Poisson count, by another library; within one where it is approximated."""
    from scipy.stats import poisson

    slack = 0 if mean <= 500 else 2
    low, high = poisson_range(mean)
    assert abs(low - poisson.ppf(0.05, mean)) <= slack
    assert abs(high - poisson.ppf(0.95, mean)) <= slack


def test_a_random_sample_has_one_chance_for_all() -> None:
    """Each of n different items, all with chance n / N, and a random design."""
    drawn = sample(POOL, n=100, task=TASK)
    assert len({example.item for example in drawn.examples}) == 100
    assert {example.inclusion_probability for example in drawn.examples} == {0.1}
    assert drawn.design.kind == "random"
    assert all(example.labels == {} for example in drawn.examples)


def test_the_same_pool_in_any_order_gives_the_same_sample() -> None:
    """Only the seed and the pool decide."""
    shuffled = random.Random(3).sample(POOL, len(POOL))
    assert sample(POOL, n=50, task=TASK, seed=4) == sample({c.id: c for c in shuffled}, n=50, task=TASK, seed=4)
    assert sample(POOL, n=50, task=TASK, seed=4) != sample(POOL, n=50, task=TASK, seed=5)
    first = sample(POOL, "score", n=50, task=TASK, scores=SCORES)
    assert first == sample(shuffled, "score", n=50, task=TASK, scores=SCORES)


def test_crashed_conversations_are_no_part_of_the_population() -> None:
    """They are never drawn, and a note names them."""
    pool = [*POOL[:20], Conversation("crash-1"), Conversation("crash-2", (Turn("user", " "),))]
    drawn = sample(pool, n=50, task=TASK)
    assert len(drawn.examples) == 20
    assert "2 empty (crashed) conversations are no part of the population: crash-1, crash-2." in drawn.notes[1]
    assert drawn.notes[0] == "50 asked for, 20 in the pool: all are drawn."
    with pytest.raises(DataError, match="holds nothing to label"):
        sample([Conversation("crash")], n=1, task=TASK)


def test_a_turn_task_draws_turns() -> None:
    """For a task about turns the items are turns of the bot."""
    drawn = sample(POOL, n=30, task=TURNS)
    assert {example.turn for example in drawn.examples} == {1, 2}
    assert drawn.strata[0].population == 2000


def test_keywords_make_strata_and_the_rest_is_always_one() -> None:
    """What matches is drawn more often; the rest keeps a chance above 0."""
    drawn = sample(POOL, "keyword", n=100, task=TASK, patterns=["PERSON|human"])
    sizes = {plan.name: (plan.population, plan.sampled) for plan in drawn.strata}
    assert sizes["matched"][0] == 20
    assert sizes["rest"][0] == 980
    assert sizes["matched"][1] == 20
    assert drawn.design.kind == "stratified"
    named = sample(POOL, "keyword", n=100, task=TASK, patterns={"ask": ["person"], "none": ["xyz"]})
    assert [plan.name for plan in named.strata] == ["ask", "rest"]
    nothing = sample(POOL, "keyword", n=100, task=TASK, patterns=["xyz"])
    assert nothing.design.kind == "random"
    assert "Nothing matched" in nothing.notes[0]


def test_a_keyword_classifier_can_say_what_matches() -> None:
    """Flagged items are a stratum; the classifier is asked as it is anywhere else."""
    classifier = KeywordClassifier(TASK, [KeywordRule("yes", user=("person",))])
    drawn = sample(POOL, "keyword", n=60, task=TASK, classifier=classifier)
    assert {plan.name: plan.population for plan in drawn.strata} == {"flagged": 20, "rest": 980}
    scored = sample(POOL, "score", n=60, task=TASK, classifier=classifier)
    assert {plan.name: plan.population for plan in scored.strata} == {"score 1 and up": 20, "rest": 980}


def test_score_strata_are_finer_at_the_top() -> None:
    """At most five, the lowest called rest; failed scores are a stratum, never left out."""
    drawn = sample(POOL, "score", n=200, task=TASK, scores=SCORES)
    assert [plan.population for plan in drawn.strata] == [10, 20, 70, 150, 750]
    assert drawn.strata[-1].name == "rest"
    chances = [plan.sampled / plan.population for plan in drawn.strata]
    assert chances == sorted(chances, reverse=True)
    failed = {**SCORES, "c0007": None, "c0008": None}
    drawn = sample(POOL, "score", n=200, task=TASK, scores=failed)
    assert len(drawn.strata) == 5
    assert drawn.strata[-1].name == "unscored"
    assert drawn.strata[-1].population == 2
    flat = sample(POOL, "score", n=10, task=TASK, scores=dict.fromkeys(SCORES, 0.3))
    assert flat.design.kind == "random"


@settings(max_examples=40)
@given(
    values=st.lists(
        st.none() | st.sampled_from([0.0, 0.1, 0.100000001, 0.9, 1.0]) | st.floats(0, 1), min_size=12, max_size=60
    ),
    strata=st.integers(2, 5),
)
def test_no_item_has_chance_zero(values: list[float | None], strata: int) -> None:
    """Whatever the scores: at most five strata, all of the pool in them, and the design fits the examples."""
    pool = POOL[: len(values)]
    scores = {conversation.id: value for conversation, value in zip(pool, values, strict=True)}
    drawn = sample(pool, "score", n=12, task=TASK, scores=scores, strata=strata)
    assert len(drawn.strata) <= 5
    assert sum(plan.population for plan in drawn.strata) == len(pool)
    assert all(plan.sampled >= 1 for plan in drawn.strata)
    findings = {found.kind for found in check(dataset_of("d", pool, drawn.examples, drawn.design)).findings}
    assert not findings & {"design_sizes", "design_short", "strata_unknown", "weights_differ", "inclusion_probability"}


def test_weights_estimate_the_population() -> None:
    """Over many seeds, positives counted by 1 / chance come out at their true number."""
    truth = {
        conversation.id for conversation in POOL if SCORES[conversation.id] > 0.7 or conversation.id.endswith("33")
    }
    estimates = []
    for seed in range(300):
        drawn = sample(POOL, "score", n=150, task=TASK, scores=SCORES, seed=seed)
        estimates.append(sum(example.weight for example in drawn.examples if example.conversation_id in truth))
    assert sum(estimates) / len(estimates) == pytest.approx(len(truth), rel=0.03)


def test_the_notes_say_what_can_be_known() -> None:
    """Expected positives, whether a recall figure follows, and how many would make it a good one."""
    few = statements([StratumPlan("", 10_000, 400, 50.0)], 0.005)
    assert "expect about 2.0 positives among the 400 drawn (90 % range 0 to 5)" in few[0]
    assert "Too few for a recall figure, which needs 10 positives at least; for ±10 points about 60" in few[1]
    assert "a larger pool or better scores" in few[1]
    some = statements([StratumPlan("top", 200, 200, 40.0), StratumPlan("rest", 9800, 200, 10.0)], 0.005)
    assert "Enough for a recall figure of about ±12% at best" in some[1]
    assert "--n 597" in some[1]
    assert "A positive found in rest stands for 49 of the population" in some[2]
    many = statements([StratumPlan("", 10_000, 10_000, 500.0)], 0.05)
    assert many[1] == "Enough for a recall figure of about ±4% at best."


def test_wrong_arguments_are_told_together() -> None:
    """What can't be drawn, by what, and from which scores: errors of ours, with all mistakes."""
    with pytest.raises(ConfigError) as caught:
        sample(POOL, n=0, task=TASK, assumed_prevalence=2, assumed_recall=0)
    assert len(caught.value.problems) == 3
    with pytest.raises(ConfigError, match="draw by random, keyword or score"):
        sample(POOL, "luck", n=5, task=TASK)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="takes patterns, or a classifier"):
        sample(POOL, "keyword", n=5, task=TASK)
    with pytest.raises(ConfigError, match="takes scores, or a classifier"):
        sample(POOL, "score", n=5, task=TASK)
    with pytest.raises(ConfigError, match="each of 2 strata needs a draw"):
        sample(POOL, "keyword", n=1, task=TASK, patterns=["person"])
    with pytest.raises(ConfigError) as caught:
        sample(POOL, "keyword", n=9, task=TASK, patterns={"a": ["("], "rest": ["x"], "b": "x", "c": ["x"], "d": ["x"]})
    assert len(caught.value.problems) == 4
    with pytest.raises(DataError, match="items without a score: 999; with one that is not from 0 to 1: 1"):
        sample(POOL, "score", n=9, task=TASK, scores={"c0000": 7.0})
    with pytest.raises(ConfigError, match="strata are 2 to 5"):
        sample(POOL, "score", n=9, task=TASK, scores=SCORES, strata=9)
    with pytest.raises(DataError, match="not unique"):
        sample([POOL[0], POOL[0]], n=1, task=TASK)


def test_a_sample_is_kept_in_a_file(tmp_path: Path) -> None:
    """What is written is read back equal; anything else is refused."""
    drawn = sample(POOL, "score", n=50, task=TASK, scores={Item(id): score for id, score in SCORES.items()})
    write_sample(tmp_path / "s.json", drawn)
    assert read_sample(tmp_path / "s.json") == drawn
    (tmp_path / "bad.json").write_text('{"examples": 3}')
    with pytest.raises(DataError, match="not a sample of llmclf"):
        read_sample(tmp_path / "bad.json")
    with pytest.raises(DataError, match="no such file"):
        read_sample(tmp_path / "none.json")
    with pytest.raises(DataError, match="half a character"):
        write_sample(tmp_path / "half.json", sample([Conversation("\ud800", POOL[0].turns)], n=1, task=TASK))


def test_the_design_is_printed_as_a_dataset_file_takes_it() -> None:
    """The TOML reads back to kind, note and strata."""
    drawn = sample(POOL, "keyword", n=50, task=TASK, patterns={'odd "name"\n': ["person"]})
    design = tomllib.loads(drawn.design_toml)["design"]
    assert design["kind"] == "stratified"
    assert [(one["name"], one["population"]) for one in design["strata"]] == [('odd "name"\n', 20), ("rest", 980)]


def test_the_table_fits_a_terminal() -> None:
    """80 columns, every stratum, and hostile names shown as they are."""
    drawn = sample(POOL, "keyword", n=50, task=TASK, patterns={"[red]x" * 30: ["person"]})
    console = Console(file=io.StringIO(), width=80)
    console.print(drawn)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= 80
    assert "[red]" in text
    assert drawn.to_dict()["strata"][1]["population"] == 980


def test_taking_a_few_keeps_the_target_in_proportion() -> None:
    """A part of a labelled dataset: positives and strata in proportion, design adjusted, same for the same seed."""
    design = Design("stratified", (Stratum("top", 100, 100), Stratum("rest", 9000, 100)))
    examples = [
        Example(
            conversation.id,
            labels={"t": "yes" if number % 5 == 0 else "no"},
            stratum="top" if number < 100 else "rest",
            inclusion_probability=1.0 if number < 100 else 1 / 90,
        )
        for number, conversation in enumerate(POOL[:200])
    ]
    data = dataset_of("d", POOL[:200], examples, design)
    few = take(data, 50, TASK, seed=1)
    assert len(few) == len(few.conversations) == 50
    assert few.labels("t").count("yes") == 10
    assert sum(example.weight for example in few.examples) == pytest.approx(9100)
    assert [stratum.sampled for stratum in few.design.strata] == [25, 25]
    assert take(data, 50, TASK, seed=1) == few
    assert take(data, 500, TASK) is data
    assert take(data, 1, TASK).examples
    with pytest.raises(ConfigError):
        take(data, 0, TASK)
