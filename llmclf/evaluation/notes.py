"""What a reader of an evaluation's figures must know, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping

from llmclf.stats import LARGEST_SHARE, LEAST_POSITIVES
from llmclf.types import Costs, Estimate, Task


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
        notes.append(f"Intervals count {n_groups} groups, not {n} items: items of a group are not independent.")
    return notes


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


def about_answers(
    failed: Mapping[str, int], failed_positives: int, ungrounded: int, truncated: int, unlabelled: int, n: int
) -> list[str]:
    """What went wrong with answers."""
    notes = []
    if failed:
        kinds = ", ".join(f"{count} {kind}" for kind, count in failed.items())
        notes.append(
            f"{sum(failed.values())} of {n} items failed ({kinds}); targets among them: {failed_positives}. Recall "
            "counts those as missed; specificity leaves failed items out."
        )
    if ungrounded:
        notes.append(f"{ungrounded} answers quote words that are not in the conversation.")
    if truncated:
        notes.append(f"{truncated} conversations were not seen whole by the model.")
    if unlabelled:
        notes.append(f"{unlabelled} predictions are about items without a label for this task and are in no figure.")
    return notes


def about_ranking(ranked: int, answered: int, why_not: str, share: float) -> list[str]:
    """What the ranking figures leave out, and at which prevalence they are."""
    notes = []
    if 0 < ranked < answered:
        notes.append(f"{answered - ranked} answers have no score and are left out of PR-AUC, ROC AUC and Brier score.")
    if ranked and why_not:
        notes.append(f"PR-AUC and Brier score are at this set's own share of targets ({percent(share)}).")
    return notes


def about_unit(task: Task) -> list[str]:
    """What an item is, where it is not a conversation."""
    if task.unit == "conversation":
        return []
    return ["Items are turns: the assumed prevalence and the dollars are per turn, not per conversation."]
