"""Which items of a pool are likely positives: at most five strata, one of which is always the rest."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmclf.classifiers.base import Classifier
from llmclf.data.allocation import expected_in_strata
from llmclf.errors import ConfigError, DataError, shorten
from llmclf.render.conversation import spoken_text, visible_turns
from llmclf.types import Conversation, Item, Task

MAX_STRATA = 5
REST = "rest"
UNSCORED = "unscored"
_CUTS = {2: (0.9,), 3: (0.8, 0.97), 4: (0.75, 0.92, 0.985), 5: (0.75, 0.9, 0.97, 0.99)}
"""Quantiles of the scores between strata: finer towards the top, where rare positives are."""

Patterns = Sequence[str] | Mapping[str, Sequence[str]]
Scores = Mapping[Item, float | None] | Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Stratified:
    """The items of each stratum, and the positives each is taken to hold."""

    items: Mapping[str, tuple[Item, ...]]
    expected: Mapping[str, float]
    assumption: str


def random_strata(items: Sequence[Item], prevalence: float) -> Stratified:
    """One stratum of everything."""
    return Stratified({"": tuple(items)}, {"": prevalence * len(items)}, "")


def keyword_strata(
    items: Sequence[Item],
    conversations: Mapping[str, Conversation],
    task: Task,
    prevalence: float,
    assumed_recall: float,
    *,
    patterns: Patterns | None = None,
    classifier: Classifier | None = None,
) -> Stratified:
    """What patterns match (a stratum for each name, the first that fits), or a classifier flags; and the rest."""
    if (patterns is None) == (classifier is None):
        raise ConfigError(
            "by keyword takes patterns, or a classifier that flags (--classifier NAME)",
            where="sample",
            got="both or neither",
        )
    if classifier is not None:
        found = _flagged(items, conversations, classifier)
    else:
        found = _matched(items, conversations, task, patterns or ())
    matched = [name for name in found if name not in (REST, UNSCORED)]
    if not matched:
        assumption = "Nothing matched: everything is the rest, drawn at random."
        return Stratified(found, {name: prevalence * len(found[name]) for name in found}, assumption)
    total = prevalence * len(items)
    caught = sum(len(found[name]) for name in matched)
    expected = {}
    for name, members in found.items():
        if name in matched:
            expected[name] = min(assumed_recall * total * len(members) / caught, 0.95 * len(members))
        else:
            expected[name] = (1 - assumed_recall) * total * len(members) / max(len(items) - caught, 1)
    assumption = f"Taken as given: the patterns catch {assumed_recall:.0%} of the positives; labels will tell."
    return Stratified(found, expected, assumption)


def score_strata(items: Sequence[Item], scores: Scores, strata: int, prevalence: float) -> Stratified:
    """Quantiles of the scores, the lowest called the rest; items without a score are a stratum of their own.

    Raises DataError where scores are missing, not numbers from 0 to 1, or for items not in the pool.
    """
    by_item = _checked_scores(items, scores)
    unscored = tuple(item for item in items if by_item[item] is None)
    scored = [(value, item) for item in items if (value := by_item[item]) is not None]
    if not 2 <= strata <= MAX_STRATA:
        raise ConfigError(f"strata are 2 to {MAX_STRATA}", where="sample", got=strata)
    cuts = _CUTS[max(2, strata - bool(unscored))]
    found = _by_quantile(scored, cuts)
    if unscored:
        found[UNSCORED] = unscored
    mean = math.fsum(value for value, _ in scored) / len(scored) if scored else 0.0
    relative = [
        math.fsum(value if (value := by_item[item]) is not None else mean for item in members)
        for members in found.values()
    ]
    sizes = [len(members) for members in found.values()]
    expected = expected_in_strata(sizes, relative, prevalence * len(items))
    assumption = "Taken as given: positives go with the scores, but for a tenth that is spread evenly."
    return Stratified(found, dict(zip(found, expected, strict=True)), assumption)


def scores_of(
    items: Sequence[Item], conversations: Mapping[str, Conversation], classifier: Classifier
) -> dict[Item, float | None]:
    """The classifier's score of each item; None where it failed."""
    predictions = classifier.predict(conversations, items)
    return {item: prediction.score for item, prediction in zip(items, predictions, strict=True)}


def _by_quantile(scored: Sequence[tuple[float, Item]], cuts: Sequence[float]) -> dict[str, tuple[Item, ...]]:
    """Highest first. Equal scores are never parted, so with few distinct scores there are fewer strata."""
    values = sorted(value for value, _ in scored)
    limits = sorted({values[min(math.ceil(cut * len(values)), len(values) - 1)] for cut in cuts}) if values else []
    limits = [limit for limit in limits if limit > values[0]]
    members: list[list[Item]] = [[] for _ in range(len(limits) + 1)]
    for value, item in scored:
        members[sum(value >= limit for limit in limits)].append(item)
    names = [REST, *(f"score {limit:.3g} and up" for limit in limits)]
    if len(set(names)) < len(names):
        names = [REST, *(f"score {limit!r} and up" for limit in limits)]
    return {name: tuple(items) for name, items in reversed(list(zip(names, members, strict=True))) if items}


def _checked_scores(items: Sequence[Item], scores: Scores) -> dict[Item, float | None]:
    given = {Item(key) if isinstance(key, str) else Item(*key): value for key, value in scores.items()}
    missing = [item for item in items if item not in given]
    bad = [
        item
        for item in items
        if (value := given.get(item)) is not None and not (isinstance(value, int | float) and 0 <= value <= 1)
    ]
    problems = [f"{shorten(str(item), 60)}: no score" for item in missing[:10]]
    problems += [f"{shorten(str(item), 60)}: {shorten(given[item], 20)} is not from 0 to 1" for item in bad[:10]]
    if problems:
        raise DataError(
            f"items without a score: {len(missing)}; with one that is not from 0 to 1: {len(bad)}",
            where="sample by score",
            problems=problems,
            fix="give every item of the pool a score; None where the classifier failed",
        )
    return {item: given[item] for item in items}


def _flagged(
    items: Sequence[Item], conversations: Mapping[str, Conversation], classifier: Classifier
) -> dict[str, tuple[Item, ...]]:
    names = {True: "flagged", False: REST, None: UNSCORED}
    found: dict[str, list[Item]] = {name: [] for name in names.values()}
    for item, prediction in zip(items, classifier.predict(conversations, items), strict=True):
        found[names[prediction.flagged if prediction.error is None else None]].append(item)
    return {name: tuple(members) for name, members in found.items() if members}


def _matched(
    items: Sequence[Item], conversations: Mapping[str, Conversation], task: Task, patterns: Patterns
) -> dict[str, tuple[Item, ...]]:
    compiled = _compiled(patterns)
    found: dict[str, list[Item]] = {name: [] for name in [*compiled, REST]}
    for item in items:
        turns = visible_turns(conversations[item.conversation_id], task, item.turn)
        text = "\n".join(spoken_text(turn) for turn in turns)
        name = next((name for name, wanted in compiled.items() if any(one.search(text) for one in wanted)), REST)
        found[name].append(item)
    return {name: tuple(members) for name, members in found.items() if members}


def _compiled(patterns: Patterns) -> dict[str, list[re.Pattern[str]]]:
    named = patterns if isinstance(patterns, Mapping) else {"matched": list(patterns)}
    problems = []
    if len(named) > MAX_STRATA - 1:
        problems.append(
            f"{len(named)} named groups of patterns; {MAX_STRATA - 1} at most, as the rest is a stratum too"
        )
    if {REST, UNSCORED} & set(named):
        problems.append(f"{REST} and {UNSCORED} are taken")
    compiled: dict[str, list[re.Pattern[str]]] = {}
    for name, texts in named.items():
        if isinstance(texts, str) or not texts:
            problems.append(f"{name}: give a list of patterns, not {shorten(texts, 60)}")
            continue
        for text in texts:
            try:
                compiled.setdefault(name, []).append(re.compile(text, re.IGNORECASE))
            except re.error as error:
                problems.append(f"{name}: {shorten(text, 60)} is no pattern ({error})")
    if problems:
        raise ConfigError("the patterns can't be used", where="sample by keyword", problems=problems)
    return compiled
