"""The same classifier asked about the same items several times: flips, and what of a figure's spread is the model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import llmclf.stats as stats
from llmclf.errors import DataError
from llmclf.evaluation.drawn import drawn
from llmclf.evaluation.matching import Matched, match
from llmclf.render.tables import Shown, TableText, counted, usd_text
from llmclf.stats import Sampling
from llmclf.stats.repeats import Flips, NoiseSplit, flips, noise_split
from llmclf.types import Costs, Dataset, Estimate, Predictions, Task

MORE_RUNS = (2, 3, 5)
"""How many answers an item the table speaks of."""
_MOST_LISTED = 10
_RARELY = 0.01
_Flags = NDArray[np.bool_]  # (runs, n)


@dataclass(frozen=True, slots=True)
class Changed:
    """An item whose verdict was not the same in every run that answered it."""

    item: str
    label: str
    flagged: int
    """Runs that flagged it."""
    answered: int
    """Runs that answered it."""


@dataclass(frozen=True)
class Repeats(Shown):
    """What several runs of one classifier on the same items say of its steadiness."""

    task: str
    target: str
    classifier_id: str
    dataset: str
    simulated: bool
    level: float
    costs: Costs
    runs: int
    n: int
    n_positives: int
    flips: Mapping[str, Flips]
    """Of `targets`, of `others` and of `all` items; the last is not known where the design does not say how rare
    the target is."""
    n_always: int
    """Items that every run answered: the two splits below are of those, lest a failure pass for a change of mind."""
    recall: NoiseSplit | None
    """None without a target."""
    dollars_per_1000: NoiseSplit | None
    """Without the model's price, at `costs.prevalence`; None without a target or without anything else."""
    failed: tuple[int, ...]
    """Items that failed, run by run."""
    failed_sometimes: int
    """Items that failed in some runs and not in others."""
    changed: tuple[Changed, ...]
    """The items that flipped, those nearest to an even split first."""

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON types, with how wide the intervals would be at 2, 3 and 5 answers an item."""
        row = asdict(self)
        for name in ("recall", "dollars_per_1000"):
            split = getattr(self, name)
            if split is not None:
                row[name]["narrowing"] = {str(runs): split.narrowing(runs) for runs in MORE_RUNS}
        return row

    def _table(self) -> TableText:
        return _table(self)


def repeats(
    runs: Sequence[Predictions],
    dataset: Dataset,
    task: Task,
    *,
    costs: Costs = Costs(),
    level: float = 0.95,
    seed: int = 0,
) -> Repeats:
    """How steady the classifier is whose fresh answers to the same items the `runs` are.

    Rates follow the dataset's design and cluster by group, as those of `evaluate` do. Raises DataError for fewer
    than two runs, and where predictions and labels do not fit.
    """
    if len(runs) < 2:
        raise DataError("flips need two runs at least", where="repeats", got=len(runs))
    matched = [match(predictions, dataset, task) for predictions in runs]
    first, basis = matched[0], drawn(dataset, matched[0].examples)
    flagged, failed = (np.array([getattr(one, name) for one in matched]) for name in ("flagged", "failed"))
    parts = {"targets": first.positive, "others": ~first.positive, "all": np.ones(len(first.examples), bool)}
    steady = {
        name: flips(flagged, failed, basis.sampling, among=members, level=level, seed=seed)
        for name, members in parts.items()
    }
    if not basis.knows_prevalence:
        unknown = Estimate.unknown(basis.why_not)
        steady["all"] = replace(steady["all"], flip_rate=unknown, unstable=unknown)
    ids = sorted({name for predictions in runs for name in predictions.column("classifier_id")})
    if len(ids) > 1:
        raise DataError("repeats are of one classifier", where="repeats", got=ids[:5])
    always = failed.sum(axis=0) == 0
    sampling = basis.sampling.where(always)
    return Repeats(
        task=task.name,
        target=task.target,
        classifier_id=ids[0],
        dataset=dataset.name,
        simulated=any(any(predictions.column("simulated")) for predictions in runs),
        level=level,
        costs=costs,
        runs=len(runs),
        n=len(first.examples),
        n_positives=int(first.positive.sum()),
        flips=steady,
        n_always=int(always.sum()),
        recall=_recall(flagged[:, always], first.positive[always], sampling, level, seed),
        dollars_per_1000=_dollars(flagged[:, always], first.positive[always], sampling, costs, level, seed),
        failed=tuple(int(one) for one in failed.sum(axis=1)),
        failed_sometimes=int((failed.any(axis=0) & ~failed.all(axis=0)).sum()),
        changed=_changed(first, flagged.sum(axis=0), (~failed).sum(axis=0)),
    )


def _recall(
    flagged: _Flags, positive: NDArray[np.bool_], sampling: Sampling, level: float, seed: int
) -> NoiseSplit | None:
    if not positive.any():
        return None
    weight = sampling.weight * positive
    return noise_split(flagged & positive, weight / weight.sum(), positive, sampling, level=level, seed=seed)


def _dollars(
    flagged: _Flags, positive: NDArray[np.bool_], sampling: Sampling, costs: Costs, level: float, seed: int
) -> NoiseSplit | None:
    if not 0 < positive.sum() < len(positive):
        return None
    usd = [stats.item_usd(positive, one, np.zeros(len(one), bool), costs) for one in flagged]
    shares = 1000 * stats.usd_shares(positive, sampling, costs.prevalence)
    return noise_split(usd, shares, positive, sampling, level=level, seed=seed)


def _changed(first: Matched, flagged: Any, answered: Any) -> tuple[Changed, ...]:
    rows = [row for row in range(len(answered)) if 0 < flagged[row] < answered[row]]
    rows.sort(key=lambda row: abs(flagged[row] / answered[row] - 0.5))
    return tuple(
        Changed(str(first.examples[row].item), first.labels[row], int(flagged[row]), int(answered[row])) for row in rows
    )


# --- how it is shown --------------------------------------------------------------------------------------------


def _table(made: Repeats) -> TableText:
    names = {"targets": "a target", "others": "another item", "all": "any item"}
    made, too_few = _without_few_targets(made)
    known = {name: part for name, part in made.flips.items() if part.flip_rate.low is not None}
    rows = [_row(f"two runs disagree on {names[name]}", part.flip_rate) for name, part in known.items()]
    rows += [_row(f"not the same in all {made.runs} runs: {name}", part.unstable) for name, part in known.items()]
    splits = (("recall", made.recall), ("dollars", made.dollars_per_1000))
    rows += [_row(f"model noise in the variance of {name}", part.model_share) for name, part in splits if part]
    title = f"{made.runs} runs of {made.classifier_id} on {made.dataset}"
    stamps = ("SIMULATED",) if made.simulated else ()
    return TableText(
        title, ("figure", "value", "interval"), tuple(rows), (*_notes(made), *too_few), stamps, (1, 2), True
    )


def _without_few_targets(made: Repeats) -> tuple[Repeats, tuple[str, ...]]:
    """(without what is said of targets where they are too few for a figure, the sentence that says so)."""
    if made.n_positives >= stats.LEAST_POSITIVES:
        return made, ()
    others = {name: part for name, part in made.flips.items() if name != "targets"}
    why = f"Flips of targets, recall and dollars: needs {stats.LEAST_POSITIVES} targets at least."
    return replace(made, flips=others, recall=None, dollars_per_1000=None), (why,)


def _row(name: str, estimate: Estimate) -> tuple[str, str, str]:
    low, high = estimate.low, estimate.high
    value = "?" if estimate.value is None else f"{estimate.value * 100:.1f} %"
    return name, value, "" if low is None or high is None else f"{low * 100:.1f}-{high * 100:.1f} %"


def _notes(made: Repeats) -> list[str]:
    said = [f"{counted(made.n, 'item')}, {made.n_positives} of them targets; {made.level * 100:g} % intervals."]
    if made.simulated:
        said.append("The answers are simulated: no model was asked, and the figures say nothing about one.")
    said += _failures(made)
    of_those = " over the items that every run answered" if any(made.failed) else ""
    if made.recall is not None:
        said.append(f"Recall of each run{of_those}: {', '.join(f'{one:.3f}' for one in made.recall.by_run)}.")
    if made.dollars_per_1000 is not None:
        usd = ", ".join(usd_text(one) for one in made.dollars_per_1000.by_run)
        said.append(f"Dollars per 1,000 of each run{of_those}, without the model's price: {usd}.")
    if made.recall is not None and made.recall.p_steady < _RARELY:
        said.append(
            "The runs differ more than fresh answers do: something else changed between them, perhaps the model."
        )
    if made.recall is not None and made.recall.variance and not made.failed_sometimes:
        said.append(_narrowing("Recall", made.recall))
    unknown = {f"Flips over {name}": part.flip_rate.why_not for name, part in made.flips.items()}
    splits = (("Noise in recall", made.recall), ("Noise in dollars", made.dollars_per_1000))
    unknown |= {name: split.model_share.why_not for name, split in splits if split}
    said += [f"{name}: not estimable ({why})." for name, why in unknown.items() if why]
    if made.changed:
        listed = ", ".join(f"{one.item} ({one.flagged} of {one.answered})" for one in made.changed[:_MOST_LISTED])
        more = len(made.changed) - _MOST_LISTED
        said.append(f"Flagged in some runs only: {listed}{f', and {more} more' if more > 0 else ''}.")
    return said


def _failures(made: Repeats) -> list[str]:
    if not any(made.failed):
        return []
    each = ", ".join(str(one) for one in made.failed)
    said = f"Failed items of each run: {each}; {made.failed_sometimes} failed in some runs only. A failure is no flip; "
    if not made.n_always:
        return [f"{said}no item was answered in every run, so nothing is said of noise."]
    said += f"noise, recall and dollars below are of the {made.n_always} items that every run answered."
    if made.failed_sometimes:
        said += " A run's own recall, which counts failures as misses, moves with them as well."
    return [said]


def _narrowing(name: str, split: NoiseSplit) -> str:
    """What more answers would buy; of items, four times as many halve an interval."""
    widths = ", ".join(f"{split.narrowing(runs):.2f}" for runs in MORE_RUNS)
    return (
        f"{name} as the mean over 2, 3, 5 answers an item would have an interval {widths} times as wide as that of one "
        "answer. What more answers leave, only more items narrow."
    )
