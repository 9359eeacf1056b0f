"""What a reader of an evaluation's figures must know, in plain sentences."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from llmclf.render.tables import counted
from llmclf.stats import LARGEST_SHARE, LEAST_POSITIVES, Sampling
from llmclf.types import Costs, Dataset, ErrorInfo, Estimate, Task, item_hash

_LONGEST_MESSAGE = 160


def percent(share: float) -> str:
    """A share as a percentage with up to three digits: `0.5 %`."""
    return f"{share * 100:.3g} %"


def about_data(sources: Mapping[str, int], simulated: bool, n: int, n_groups: int) -> list[str]:
    """Where labels and answers come from."""
    notes = []
    if simulated:
        notes.append("The answers are simulated: no model was asked, and the figures say nothing about one.")
    if sources.get("synthetic"):
        notes.append(
            f"{sources['synthetic']} of {n} examples are synthetic: written for testing, not observed. "
            "Real traffic will be harder or at least different."
        )
    if sources.get("silver"):
        notes.append(f"{sources['silver']} of {n} labels are silver: a model gave them and no person has checked them.")
    if n_groups < n:
        notes.append(
            f"Intervals count {counted(n_groups, 'group')}, not {n:,} items: items of a group are not independent."
        )
    return notes


def about_prompt(dataset: Dataset, learned_from: frozenset[str], shown: int = 0) -> list[str]:
    """How many items were left out as the prompt shows them; how many of the rest it was optimized by (`item_hash`)."""
    said = []
    if shown:
        said.append(f"{counted(shown, 'item')} that the prompt shows as examples: left out, as it has their labels.")
    asked = dataset.examples if learned_from else ()
    own = [item_hash(dataset.conversation(each), each.turn) in learned_from for each in asked]
    if any(own):
        said.append(
            f"{sum(own)} of {counted(len(own), 'item')} were used to optimize the prompt (train or validation): the "
            "figures are flattering. Ask items that it has not seen."
        )
    return said


def about_design(why_not: str, costs: Costs, prevalence: Estimate, unanswered: int) -> list[str]:
    """Whose rates these are, and at which prevalence."""
    assumed = percent(costs.prevalence)
    if why_not:
        return [
            f"Recall and specificity are of this set, because {why_not}; precision, flag rate and dollars are "
            f"projected to an assumed prevalence of {assumed}."
        ]
    notes = [
        f"Rates are those of the population that was drawn from; dollars are at an assumed prevalence of {assumed}."
    ]
    low, high = prevalence.low, prevalence.high
    if low is not None and high is not None and not low <= costs.prevalence <= high:
        notes.append(f"The labels speak against that prevalence: they say {percent(low)} to {percent(high)}.")
    if unanswered:
        notes.append(
            f"{unanswered} drawn examples have no label for this task; others of their stratum stand for them. "
            "If the missing ones were harder, the figures flatter."
        )
    return notes


def about_positives(recall: Estimate, n_positives: int) -> list[str]:
    """How much hangs on how few."""
    if n_positives == 0:
        return ["There are no positives: recall can't be known."]
    share = recall.largest_weight_share
    if n_positives >= LEAST_POSITIVES and share is not None and share > LARGEST_SHARE:
        return [f"One label stands for {share:.0%} of the estimated positives: recall hangs on whether it is right."]
    return []


def about_failures(errors: Sequence[ErrorInfo], n: int, failed_positives: int) -> list[str]:
    """How many of `n` items failed, of which kinds, and what figures make of it."""
    failed = Counter(error.kind for error in errors)
    if not failed:
        return []
    kinds = ", ".join(f"{count} {kind}" for kind, count in failed.items())
    said = f"{failed.total()} of {counted(n, 'item')} failed ({kinds})"
    if failed.total() == n:
        return [f"{said}. None was answered, so there is no figure."]
    return [
        f"{said}; targets among them: {failed_positives}. Recall counts those as missed; specificity leaves failed "
        "items out."
    ]


def first_messages(errors: Sequence[ErrorInfo], most: int = 2) -> tuple[str, ...]:
    """The first error messages that differ, each on one line and not too long."""
    lines = dict.fromkeys(" ".join(error.message.split()) for error in errors if error.message)
    return tuple(textwrap.shorten(line, _LONGEST_MESSAGE, placeholder=" ...") for line in list(lines)[:most])


def about_costs(maybe_billed: int, cost_per_item: float | None) -> list[str]:
    """What is made of failed items of which nobody knows whether the vendor charged for them."""
    if not maybe_billed or not cost_per_item:
        return []
    return [f"{counted(maybe_billed, 'failed item')} may have been billed: counted at the mean price of the others."]


def about_answers(ungrounded: int, truncated: int, unlabelled: int) -> list[str]:
    """What is odd about answers."""
    notes = []
    if ungrounded:
        verb = "quotes" if ungrounded == 1 else "quote"
        notes.append(f"{counted(ungrounded, 'answer')} {verb} words that are not in the conversation.")
    if truncated:
        verb = "was" if truncated == 1 else "were"
        notes.append(f"{counted(truncated, 'conversation')} {verb} not seen whole by the model.")
    if unlabelled:
        one = unlabelled == 1
        about = "is about an item" if one else "are about items"
        end = "is in no figure" if one else "are in no figure"
        notes.append(f"{counted(unlabelled, 'prediction')} {about} without a label for this task and {end}.")
    return notes


def about_ranking(ranked: int, answered: int, why_not: str, share: float) -> list[str]:
    """What the ranking figures leave out, and at which prevalence they are."""
    notes = []
    if 0 < ranked < answered:
        left_out = answered - ranked
        has = "has no score and is" if left_out == 1 else "have no score and are"
        notes.append(f"{counted(left_out, 'answer')} {has} left out of PR-AUC, ROC AUC and Brier score.")
    if ranked and why_not:
        notes.append(f"PR-AUC and Brier score are at this set's own share of targets ({percent(share)}).")
    return notes


def about_unseen(sampling: Sampling, seen: NDArray[np.bool_], has: str, figures: str) -> list[str]:
    """Strata of which no item is `seen` (n,): `figures`, which rest on those, do not speak for them."""
    unseen = np.bincount(sampling.stratum, weights=seen, minlength=len(sampling.population)) == 0
    if not unseen.any() or not seen.any():
        return []
    share = percent(float(sampling.population[unseen].sum() / sampling.population.sum()))
    return [f"Of the strata with {share} of the population no item {has}: {figures} do not speak for them."]


def about_unit(task: Task) -> list[str]:
    """What an item is, where it is not a conversation."""
    if task.unit == "conversation":
        return []
    return ["Items are turns: the assumed prevalence and the dollars are per turn, not per conversation."]
