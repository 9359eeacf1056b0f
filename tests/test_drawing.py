"""Which cases of a pool people label: chances, evenness, splits and who labels what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from llmclf.calibration.drawing import OTHERS, TARGETS, Drawn, draw
from llmclf.calibration.session import SessionItem
from llmclf.errors import ConfigError
from llmclf.types import CANNOT_TELL, FAILED, Case, Label, Rubric

RUBRIC = Rubric(
    "helpful",
    "Is it?",
    (Label("bad", "target", "no help"), Label("poor", "target", "little"), Label("good", "clean", "help")),
    "ordinal",
)
PEOPLE = ("ana", "ben", "cid")
SAID: list[str | None] = ["bad", "poor", "good", CANNOT_TELL, None]


def pool(size: int, *, group: int = 1, labels: Sequence[str] = ("bad", "good")) -> list[Case]:
    """`size` cases, `group` of them in each group, labels in turn."""
    return [Case(f"c{n}", f"conv{n // group}", label=labels[n % len(labels)]) for n in range(size)]


def drawn(cases: Sequence[Case], **more: Any) -> Drawn:
    """A draw of 20 by three people, two of them a case."""
    return draw(cases, RUBRIC, **{"n": 20, "annotators": PEOPLE, "per_item": 2, "seed": 1, **more})


def scored(found: Drawn) -> list[SessionItem]:
    """The items that are not practice."""
    return [item for item in found.items if item.split != "practice"]


@st.composite
def judged_pools(draws: st.DrawFn) -> tuple[list[Case], dict[str, str | None], int, dict[str, Any]]:
    """(cases, verdicts, n, how) of any shape that can be drawn by verdict."""
    size = draws(st.integers(12, 120))
    cases = pool(size, group=draws(st.integers(1, 5)))
    said = draws(st.lists(st.sampled_from(SAID), min_size=size, max_size=size))
    verdicts = {case.id: verdict for case, verdict in zip(cases, said, strict=True)}
    n = draws(st.integers(len(set(said)), size))
    how = {
        "align_share": draws(st.sampled_from([0.0, 0.2, 0.3, 0.5, 0.8])),
        "practice": draws(st.integers(0, 4)),
        "per_item": draws(st.integers(1, 3)),
        "seed": draws(st.integers(0, 9)),
    }
    return cases, verdicts, n, how


@settings(max_examples=60)
@given(judged_pools())
def test_a_draw_by_verdict_keeps_what_it_promises(made: Any) -> None:
    """Numbers, chances, evenness, whole groups and a tested case of each stratum, whatever the pool is."""
    cases, verdicts, n, how = made
    found = drawn(cases, design="by_verdict", verdicts=verdicts, n=n, **how)
    items = scored(found)
    assert len(items) == n
    assert len({item.case.id for item in found.items}) == len(found.items)
    names = Counter(FAILED if verdict is None else verdict for verdict in verdicts.values())
    assert found.population == names
    taken = Counter(item.stratum for item in items)
    assert set(taken) == set(names)
    least = 2 if n >= 2 * len(names) else 1
    assert all(taken[name] >= min(least, names[name]) for name in names)
    for item in items:
        verdict = verdicts[item.case.id]
        assert item.stratum == (FAILED if verdict is None else verdict)
        assert item.inclusion_probability == taken[item.stratum] / names[item.stratum]
    check_people(found, how["per_item"])
    sides = {split: {item.case.own_group for item in items if item.split == split} for split in ("align", "test")}
    assert not sides["align"] & sides["test"]
    assert {item.stratum for item in items if item.split == "test"} == set(names)
    assert [item.split == "practice" for item in found.items] == sorted(
        (item.split == "practice" for item in found.items), reverse=True
    )
    assert len(found.items) - n == min(how["practice"], len(cases) - n)


def check_people(found: Drawn, per_item: int) -> None:
    """Everybody has as many cases as the others, but for one; nobody has a case twice; practice is for all."""
    items = scored(found)
    assert all(len(set(item.annotators)) == len(item.annotators) == per_item for item in items)
    counts = Counter(name for item in items for name in item.annotators)
    loads = [counts[name] for name in PEOPLE]
    assert max(loads) - min(loads) <= 1
    assert all(item.annotators == PEOPLE for item in found.items if item.split == "practice")


@settings(max_examples=30)
@given(st.integers(2, 80), st.data())
def test_a_random_draw_gives_every_case_one_chance(size: int, data: st.DataObject) -> None:
    """n of the N cases, each with the chance n / N, in no stratum."""
    n = data.draw(st.integers(1, size))
    found = drawn(pool(size), n=n, practice=data.draw(st.integers(0, 3)))
    items = scored(found)
    assert len(items) == n
    assert {item.inclusion_probability for item in items} == {n / size}
    assert {item.stratum for item in items} == {""}
    assert found.population == {"": size}
    check_people(found, 2)


def chance_of(cases: Sequence[Case], seeds: int, where: Any, **how: Any) -> Mapping[str, float]:
    """In how many of the draws `where` holds of each case's item."""
    times = Counter(
        item.case.id for seed in range(seeds) for item in scored(drawn(cases, seed=seed, **how)) if where(item)
    )
    return {case.id: times[case.id] / seeds for case in cases}


def test_chances_are_those_that_are_stated() -> None:
    """Over many seeds each case is drawn as often as its inclusion probability says."""
    cases = pool(12)
    verdicts = {case.id: "bad" if number < 4 else "good" for number, case in enumerate(cases)}
    how: dict[str, Any] = {"design": "by_verdict", "verdicts": verdicts, "n": 6}
    (bad,) = {item.inclusion_probability for item in scored(drawn(cases, **how)) if item.stratum == "bad"}
    assert bad == 3 / 4
    found = chance_of(cases, 2000, lambda item: True, **how)
    assert all(abs(found[case.id] - (3 / 4 if verdicts[case.id] == "bad" else 3 / 8)) < 0.05 for case in cases)


def test_every_group_has_the_same_chance_to_align() -> None:
    """Large groups and small, in each stratum: the test cases are a random part of what was drawn."""
    cases = [Case(f"c{n}", group="large" if n < 5 else "") for n in range(20)]
    cases = [Case(case.id, case.id, group=case.group) for case in cases]
    found = chance_of(cases, 2000, lambda item: item.split == "align", n=20, align_share=0.3)
    assert all(abs(share - 0.3) < 0.05 for share in found.values())


def test_both_splits_get_their_share_of_each_stratum() -> None:
    """Where cases stand alone, 30 % of each stratum align, but for one case."""
    cases = pool(200)
    verdicts = {case.id: "bad" if number < 50 else "good" for number, case in enumerate(cases)}
    items = scored(drawn(cases, design="by_verdict", verdicts=verdicts, n=80))
    for name in ("bad", "good"):
        of_it = [item.split for item in items if item.stratum == name]
        assert len(of_it) == 40
        assert abs(of_it.count("align") - 12) <= 1


def test_half_of_the_labels_go_to_what_is_looked_for() -> None:
    """Two target verdicts share a half by size; what a small side can't use goes to the other."""
    cases = pool(1000)
    verdicts: dict[str, str | None] = {case.id: "good" for case in cases}
    verdicts |= {f"c{n}": "bad" for n in range(60)} | {f"c{n}": "poor" for n in range(60, 80)}
    found = drawn(cases, design="by_verdict", verdicts=verdicts, n=80)
    assert Counter(item.stratum for item in scored(found)) == {"bad": 30, "poor": 10, "good": 40}
    found = drawn(cases, design="by_verdict", verdicts=verdicts, n=400)
    assert Counter(item.stratum for item in scored(found)) == {"bad": 60, "poor": 20, "good": 320}


def test_a_rare_verdict_is_looked_at_twice() -> None:
    """Two of ten thousand that failed are both labelled, else nothing could be said of them."""
    cases = pool(10_000)
    verdicts: dict[str, str | None] = {case.id: "good" for case in cases}
    verdicts |= {f"c{n}": "bad" for n in range(500)} | {"c600": None, "c700": None, "c800": CANNOT_TELL}
    items = scored(drawn(cases, design="by_verdict", verdicts=verdicts, n=50))
    assert Counter(item.stratum for item in items) == {"bad": 25, "good": 22, FAILED: 2, CANNOT_TELL: 1}
    assert [item.split for item in items if item.stratum == CANNOT_TELL] == ["test"]


def test_labels_drawn_by_known_label_are_half_targets() -> None:
    """Every target verdict counts as one side."""
    cases = pool(300, labels=("bad", "good", "good", "poor", "good", "good"))
    found = drawn(cases, design="class_balanced", n=50)
    assert found.population == {TARGETS: 100, OTHERS: 200}
    items = scored(found)
    assert Counter(item.stratum for item in items) == {TARGETS: 25, OTHERS: 25}
    assert {item.inclusion_probability for item in items if item.stratum == TARGETS} == {0.25}
    assert all((item.case.label in RUBRIC.targets) == (item.stratum == TARGETS) for item in items)


def test_a_random_draw_counts_the_pool_by_verdict_where_it_has_them() -> None:
    """So that the labels can be post-stratified; a pool that was judged in part has no such counts."""
    cases = pool(40)
    verdicts: dict[str, str | None] = {case.id: "bad" if number < 5 else None for number, case in enumerate(cases)}
    assert drawn(cases, verdicts=verdicts).population == {"bad": 5, FAILED: 35}
    del verdicts["c3"]
    assert drawn(cases, verdicts=verdicts).population == {"": 40}


def test_practice_is_of_other_groups_and_shows_both_sides() -> None:
    """Nobody practises on a conversation that is scored, where there are others, nor on negatives alone."""
    cases = pool(400, group=4)
    verdicts = {case.id: "bad" if number % 40 == 0 else "good" for number, case in enumerate(cases)}
    found = drawn(cases, verdicts=verdicts)
    practice = [item.case for item in found.items if item.split == "practice"]
    assert not {case.own_group for case in practice} & {item.case.own_group for item in scored(found)}
    assert {verdicts[case.id] for case in practice} == {"bad", "good"}


def test_pairs_of_people_meet() -> None:
    """Of four people each pair labels some cases together, so that agreement is of all of them."""
    people = ("ana", "ben", "cid", "dot")
    items = scored(drawn(pool(100), n=60, annotators=people))
    pairs = Counter(item.annotators for item in items)
    assert set(pairs) == set(combinations(people, 2))


def test_the_order_gives_nothing_away() -> None:
    """Verdicts are not shown one after the other; another seed is another draw, the same seed the same."""
    cases = pool(200)
    verdicts = {case.id: "bad" if number < 100 else "good" for number, case in enumerate(cases)}
    how: dict[str, Any] = {"design": "by_verdict", "verdicts": verdicts, "n": 100}
    order = [item.stratum for item in scored(drawn(cases, **how))]
    changes = sum(one != other for one, other in pairwise(order))
    assert 30 < changes < 70
    assert drawn(cases, **how) == drawn(cases, **how)
    assert drawn(cases, **how) != drawn(cases, **how | {"seed": 2})


def test_all_that_is_wrong_is_said_at_once() -> None:
    """People, numbers and design in one message."""
    with pytest.raises(ConfigError) as caught:
        draw(
            pool(10),
            RUBRIC,
            design="by_verdct",  # type: ignore[arg-type]
            n=11,
            annotators=["ana", "ana", "<b>"],
            per_item=4,
            adjudicator="ana",
            align_share=0.9,
            practice=-1,
        )
    said = "\n".join(caught.value.problems)
    for part in (
        "'ana' stands twice",
        "'<b>' is no name",
        "4 people an item",
        "'ana' can't decide",
        "11 labelled cases",
    ):
        assert part in said
    assert "align_share" in said and "practice must be" in said and "did you mean 'by-verdict'" in said


@pytest.mark.parametrize(
    ("how", "part"),
    [
        ({"design": "by_verdict"}, "20 of 20 have none"),
        ({"design": "by_verdict", "verdicts": {f"c{n}": "bad" for n in range(19)}}, "1 of 20 have none"),
        ({"design": "by_verdict", "verdicts": {f"c{n}": f"v{n % 2}" for n in range(20)}}, "not of helpful: v0, v1"),
        (
            {"design": "by_verdict", "n": 1, "verdicts": {f"c{n}": SAID[n % 5] for n in range(20)}},
            "1 labels (n) for 5 verdicts",
        ),
        ({"design": "class_balanced", "labels": [""]}, "20 of 20 have none"),
        ({"design": "class_balanced", "labels": ["good"]}, "0 targets of 20"),
        ({"design": "class_balanced", "labels": ["fine", "bad"]}, "not of helpful: fine"),
        ({"annotators": ()}, "no annotators"),
        ({"per_item": 1, "adjudicator": "eva"}, "nothing to adjudicate"),
        ({"annotators": ("ana", " ben")}, "' ben' is no name"),
    ],
)
def test_a_draw_that_can_not_be_is_refused(how: dict[str, Any], part: str) -> None:
    """With what is missing."""
    cases = pool(20, labels=how.pop("labels", ["good", "bad"]))
    with pytest.raises(ConfigError, match=r"no session can be drawn so") as caught:
        drawn(cases, **{"n": 5, **how})
    assert any(part in problem for problem in caught.value.problems), caught.value.problems


def test_cases_of_one_id_are_refused() -> None:
    """Labels could not be told apart."""
    with pytest.raises(ConfigError, match="stand twice"):
        drawn([*pool(5), *pool(5)], n=4)
