"""Pure numbers over arrays: estimates with intervals that hold where positives are few.

proportion   one share of independent or grouped trials: Wilson, Clopper-Pearson, Jeffreys
sampling     how labelled items stand for a population: strata, weights, groups
totals       likely numbers of population items in each cell
stratified   recall, precision, specificity, prevalence, flag rate, F1
projection   precision, flag rate and dollars at an assumed prevalence
ranking      ROC AUC, average precision, Brier score
scaling      scores to probabilities
outcomes     dollars item by item, and their shares in a mean at an assumed prevalence
pairs        two counts of the same items: different, and could a doubling have been seen
"""

from llmclf.stats.outcomes import item_usd, resampled_shares, usd_shares
from llmclf.stats.pairs import PairedCounts, paired_counts
from llmclf.stats.projection import PRICE_UNKNOWN, dollars_per_1000, projected_flag_rate, projected_precision
from llmclf.stats.proportion import clopper_pearson, clustered_wilson, jeffreys, wilson
from llmclf.stats.ranking import average_precision, brier, ranking_areas, roc_auc
from llmclf.stats.sampling import Sampling
from llmclf.stats.stratified import (
    LARGEST_SHARE,
    LEAST_POSITIVES,
    Confusion,
    confusion,
    f1,
    flag_rate,
    precision,
    prevalence,
    recall,
    specificity,
)

__all__ = [
    "LARGEST_SHARE",
    "LEAST_POSITIVES",
    "PRICE_UNKNOWN",
    "Confusion",
    "PairedCounts",
    "Sampling",
    "average_precision",
    "brier",
    "clopper_pearson",
    "clustered_wilson",
    "confusion",
    "dollars_per_1000",
    "f1",
    "flag_rate",
    "item_usd",
    "jeffreys",
    "paired_counts",
    "precision",
    "prevalence",
    "projected_flag_rate",
    "projected_precision",
    "ranking_areas",
    "recall",
    "resampled_shares",
    "roc_auc",
    "specificity",
    "usd_shares",
    "wilson",
]
