"""From nothing to labels: which unlabelled items to label, with the chance each had to be drawn."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from llmclf.classifiers.base import Classifier, items_of
from llmclf.data.allocation import StratumPlan, allocate, statements
from llmclf.data.checks.findings import visible
from llmclf.data.design import design_toml, part_of
from llmclf.data.files import atomic_writer, file_error
from llmclf.data.strata import (
    MAX_STRATA,
    Patterns,
    Scores,
    Stratified,
    keyword_strata,
    random_strata,
    score_strata,
    scores_of,
)
from llmclf.errors import ConfigError, DataError
from llmclf.types import Conversation, Dataset, Design, Example, Item, Stratum, Task, canonical_json

SampleBy = Literal["random", "keyword", "score"]
_EMPTY_NAMED = 5


@dataclass(frozen=True)
class Sample:
    """Items to label: each with its stratum and inclusion probability, and how they were drawn."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - read by pydantic

    examples: tuple[Example, ...]
    """Without labels, in random order, so that whoever stops early has labelled a random part."""
    design: Design
    strata: tuple[StratumPlan, ...]
    notes: tuple[str, ...] = ()
    """What to expect of the labels, and what they can and can't tell."""

    @property
    def design_toml(self) -> str:
        """The design as the `[design]` part of a dataset file."""
        return design_toml(self.design)

    def to_dict(self) -> dict[str, Any]:
        """Sizes and notes as JSON types; the examples are written by `write_sample`."""
        return {
            "sampled": len(self.examples),
            "design": {"kind": self.design.kind, "note": self.design.note},
            "strata": [
                {
                    "name": plan.name or "all",
                    "population": plan.population,
                    "sampled": plan.sampled,
                    "inclusion_probability": plan.sampled / plan.population,
                    "expected_positives_sampled": round(plan.expected_sampled, 3),
                }
                for plan in self.strata
            ],
            "notes": list(self.notes),
        }

    def __rich__(self) -> Any:
        """A table of the strata, and the notes under it."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(title=f"{len(self.examples)} drawn ({self.design.kind})", title_justify="left")
        table.add_column("stratum", overflow="fold")
        for name in ("population", "drawn", "chance", "positives expected"):
            table.add_column(name, justify="right")
        for plan in self.strata:
            chance = plan.sampled / plan.population
            cells = (f"{plan.population:,}", f"{plan.sampled:,}", f"{chance:.2%}", f"{plan.expected_sampled:.1f}")
            table.add_row(Text(plan.name or "all"), *(Text(cell) for cell in cells))
        return Group(table, *(Text(f"- {note}") for note in self.notes))


def sample(
    pool: Mapping[str, Conversation] | Iterable[Conversation],
    by: SampleBy = "random",
    *,
    n: int,
    task: Task,
    seed: int = 0,
    scores: Scores | None = None,
    classifier: Classifier | None = None,
    patterns: Patterns | None = None,
    strata: int = MAX_STRATA,
    assumed_prevalence: float = 0.005,
    assumed_recall: float = 0.5,
) -> Sample:
    """`n` items of a pool of unlabelled conversations to label, drawn so that rates can be estimated.

    Every item that holds anything has a known chance above 0. Empty (crashed) conversations are no
    part of the population; the notes say so.

    Args:
        pool: Conversations; for a task about turns each turn of the bot is an item.
        by: `random`; `keyword` (what `patterns` match or `classifier` flags, and the rest); or
            `score` (quantiles of `scores`, or of what `classifier` gives).
        n: How many to draw; all, if the pool holds no more.
        task: What they will be labelled for.
        seed: The same pool in any order, the same seed: the same sample.
        scores: Item (or conversation id) to a score from 0 to 1, None where scoring failed.
        classifier: Asked for flags or scores.
        patterns: Regular expressions, searched without regard to case; or name to expressions, each
            name a stratum (four at most).
        strata: For `score`: how many, 2 to 5.
        assumed_prevalence: The share of positives in the pool that the expectations are for, 0 to 1.
        assumed_recall: For `keyword`: the share of positives the patterns are taken to catch.

    Strata are drawn from 60 % by Neyman's rule and 40 % equally; each gets two items at least.
    """
    _check_arguments(n, assumed_prevalence, assumed_recall)
    conversations = _by_id(pool)
    full = {id: conversation for id, conversation in sorted(conversations.items()) if not conversation.is_empty}
    items = items_of(full.values(), task)
    if not items:
        raise DataError("the pool holds nothing to label", where="sample", got=f"{len(conversations)} conversations")
    if by == "random":
        found = random_strata(items, assumed_prevalence)
    elif by == "keyword":
        found = keyword_strata(
            items, full, task, assumed_prevalence, assumed_recall, patterns=patterns, classifier=classifier
        )
    elif by == "score":
        if (scores is None) == (classifier is None):
            raise ConfigError(
                "by score takes scores, or a classifier that gives them (--classifier NAME)",
                where="sample",
                got="both or neither",
            )
        given = scores if scores is not None else scores_of(items, full, classifier)  # type: ignore[arg-type]
        found = score_strata(items, given, strata, assumed_prevalence)
    else:
        raise ConfigError("draw by random, keyword or score", where="sample", got=by)
    plans = _plans(found, n)
    examples = _drawn(found, plans, seed)
    short = f"{n} asked for, {len(items)} in the pool: all are drawn." if n > len(items) else ""
    notes = [short, *_empty_note(conversations, full), found.assumption, *statements(plans, assumed_prevalence)]
    return Sample(examples, _design(plans, by, seed, len(items)), plans, tuple(note for note in notes if note))


def take(dataset: Dataset, n: int, task: Task, seed: int = 0) -> Dataset:
    """`n` examples of a labelled dataset, the target and every stratum in proportion; all if there are no more.

    For a run that can't afford all. The design stays known: sizes shrink with the part. The same
    seed draws the same.
    """
    if n >= len(dataset.examples):
        return dataset
    if n < 1:
        raise ConfigError("at least one item must be drawn", where="take", got=n)
    cells: dict[tuple[str, bool], list[int]] = {}
    for index, example in enumerate(dataset.examples):
        key = (example.stratum, example.labels.get(task.name) == task.target)
        cells.setdefault(key, []).append(index)
    generator = random.Random(seed)  # noqa: S311 - a sample, not a secret
    kept: list[int] = []
    order = sorted(cells)
    for key, size in zip(order, _in_proportion([len(cells[key]) for key in order], n), strict=True):
        kept += generator.sample(cells[key], size)
    return part_of(dataset, kept, f"{n} of {len(dataset.examples)} examples, seed {seed}")


def write_sample(path: str | Path, drawn: Sample) -> None:
    """Writes a sample as one JSON document, from which `read_sample` makes it again."""
    try:
        data = canonical_json(drawn).encode()
    except UnicodeEncodeError as error:
        raise DataError("an id or stratum holds half a character (a lone surrogate)", where=str(path)) from error
    with atomic_writer(Path(path)) as file:
        file.write(data + b"\n")


def read_sample(path: str | Path) -> Sample:
    """A sample that `write_sample` wrote. DataError where the file is none."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Sample).validate_json(Path(path).read_bytes(), strict=True)
    except OSError as error:
        raise file_error(Path(path), error) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        what = f"not a sample of llmclf ({error.error_count()} mistakes; first: {first['msg']})"
        raise DataError(what, where=str(path), fix="give the file that `llmclf data sample` wrote") from error


def _check_arguments(n: int, prevalence: float, recall: float) -> None:
    problems = []
    if n < 1:
        problems.append(f"n: draw at least 1, not {n}")
    if not 0 < prevalence < 1:
        problems.append(f"assumed_prevalence (--prevalence): {prevalence} is not between 0 and 1")
    if not 0 < recall < 1:
        problems.append(f"assumed_recall: {recall} is not between 0 and 1")
    if problems:
        raise ConfigError("no sample can be drawn so", where="sample", problems=problems)


def _by_id(pool: Mapping[str, Conversation] | Iterable[Conversation]) -> dict[str, Conversation]:
    if isinstance(pool, Mapping):
        return dict(pool)
    conversations = list(pool)
    found = {conversation.id: conversation for conversation in conversations}
    if len(found) < len(conversations):
        raise DataError("conversation ids are not unique", where="sample", fix="run `llmclf data check`")
    return found


def _plans(found: Stratified, n: int) -> tuple[StratumPlan, ...]:
    names = list(found.items)
    populations = [len(found.items[name]) for name in names]
    if n < len(names):
        raise ConfigError(f"each of {len(names)} strata needs a draw", where="sample", got=f"n = {n}")
    sizes = allocate(populations, [found.expected[name] for name in names], n)
    return tuple(
        StratumPlan(name, population, size, found.expected[name])
        for name, population, size in zip(names, populations, sizes, strict=True)
    )


def _drawn(found: Stratified, plans: Sequence[StratumPlan], seed: int) -> tuple[Example, ...]:
    generator = random.Random(seed)  # noqa: S311 - a sample, not a secret
    examples = [
        Example(
            item.conversation_id,
            item.turn,
            stratum=plan.name,
            inclusion_probability=plan.sampled / plan.population,
        )
        for plan in plans
        for item in generator.sample(sorted(found.items[plan.name], key=_item_order), plan.sampled)
    ]
    generator.shuffle(examples)
    return tuple(examples)


def _item_order(item: Item) -> tuple[str, int]:
    return item.conversation_id, -1 if item.turn is None else item.turn


def _design(plans: Sequence[StratumPlan], by: str, seed: int, population: int) -> Design:
    drawn = sum(plan.sampled for plan in plans)
    note = f"{drawn} of {population} drawn by {by}, seed {seed}"
    if len(plans) == 1:
        return Design("random", note=note)
    return Design("stratified", tuple(Stratum(plan.name, plan.population, plan.sampled) for plan in plans), note)


def _empty_note(conversations: Mapping[str, Conversation], full: Mapping[str, Conversation]) -> list[str]:
    empty = [visible(id) for id in conversations if id not in full]
    if not empty:
        return []
    more = (
        f" and {len(empty) - _EMPTY_NAMED} more (`llmclf data check` names them all)"
        if len(empty) > _EMPTY_NAMED
        else ""
    )
    names = ", ".join(empty[:_EMPTY_NAMED])
    return [f"{len(empty)} empty (crashed) conversations are no part of the population: {names}{more}."]


def _in_proportion(sizes: Sequence[int], n: int) -> list[int]:
    """`n` over cells in proportion to their sizes, by largest remainder."""
    total = sum(sizes)
    counts = [n * size // total for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda index: (-(n * sizes[index] % total), index))
    for index in by_remainder[: n - sum(counts)]:
        counts[index] += 1
    return counts
