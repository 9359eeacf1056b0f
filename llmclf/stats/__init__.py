"""Pure numbers over arrays: estimates with intervals that hold where positives are few.

proportion   one share of independent or grouped trials: Wilson, Clopper-Pearson, Jeffreys
sampling     how labelled items stand for a population: strata, weights, groups
interval     from draws of a figure to its interval
totals       likely numbers of population items in each cell
stratified   recall, precision, specificity, prevalence, flag rate, F-beta
judged       prevalence from verdicts on everything and labels on a part
class_balanced    the same where the labels were drawn by label: so many targets, so many others
agreement    how far two raters or many agree: positive agreement, kappa, alpha, AC1, with intervals
agreement_values  the same as plain numbers
truths       what is true of items on which raters disagree, and how good each rater is
projection   precision, flag rate and dollars at an assumed prevalence
budget       recall where people can review only so many
ranking      ROC AUC, average precision, Brier score
slope        are probabilities too sure of themselves
scaling      scores to probabilities
thresholds   from which score to flag: cheapest, within reviewers' reach, or with a certified recall
label_plans  how many labels a recall takes, by simulation
difference   is a rate in one part other than in the rest; p values of many parts
outcomes     dollars item by item, and their shares in a mean at an assumed prevalence
paired       two classifiers on the same items: difference in dollars, recall, false alarms; McNemar; more labels
racing       which cells of a grid can't be the best of it any more, told from a part of the items
means        the mean of numbers between bounds, as the share of people who disagree
repeats      flips and model noise of the same items asked several times
pairs        two counts of the same items: different, and could a doubling have been seen
tails        is what a window holds far out more than quiet windows hold there
bursts       is a count more than earlier windows and their variation explain
counts       exact chances of draws and of trials
front        many classifiers on the same items, resampled together: who is cheapest, who lies on the front
"""

from llmclf.stats.agreement import Agreement, pair_agreement, panel_agreement
from llmclf.stats.budget import recall_at_budget
from llmclf.stats.class_balanced import class_balanced_prevalence
from llmclf.stats.difference import difference_p, holm
from llmclf.stats.judged import judged_prevalence
from llmclf.stats.outcomes import item_usd, resampled_shares, usd_shares
from llmclf.stats.paired import (
    Discordance,
    MoreLabels,
    Paired,
    discordance,
    more_labels,
    paired_cells,
    paired_dollars,
    paired_false_alarms,
    paired_recall,
)
from llmclf.stats.pairs import PairedCounts, paired_counts
from llmclf.stats.projection import PRICE_UNKNOWN, dollars_per_1000, projected_flag_rate, projected_precision
from llmclf.stats.proportion import clopper_pearson, clustered_wilson, jeffreys, wilson
from llmclf.stats.ranking import average_precision, brier, ranking_areas, roc_auc
from llmclf.stats.sampling import Sampling
from llmclf.stats.slope import calibration_slope
from llmclf.stats.stratified import (
    LARGEST_SHARE,
    LEAST_POSITIVES,
    Confusion,
    confusion,
    f_beta,
    flag_rate,
    precision,
    prevalence,
    recall,
    specificity,
)
from llmclf.stats.truths import Truths, dawid_skene

__all__ = [
    "LARGEST_SHARE",
    "LEAST_POSITIVES",
    "PRICE_UNKNOWN",
    "Agreement",
    "Confusion",
    "Discordance",
    "MoreLabels",
    "Paired",
    "PairedCounts",
    "Sampling",
    "Truths",
    "average_precision",
    "brier",
    "calibration_slope",
    "class_balanced_prevalence",
    "clopper_pearson",
    "clustered_wilson",
    "confusion",
    "dawid_skene",
    "discordance",
    "difference_p",
    "dollars_per_1000",
    "f_beta",
    "flag_rate",
    "holm",
    "item_usd",
    "jeffreys",
    "judged_prevalence",
    "more_labels",
    "pair_agreement",
    "paired_cells",
    "paired_counts",
    "paired_dollars",
    "paired_false_alarms",
    "paired_recall",
    "panel_agreement",
    "precision",
    "prevalence",
    "projected_flag_rate",
    "projected_precision",
    "ranking_areas",
    "recall",
    "recall_at_budget",
    "resampled_shares",
    "roc_auc",
    "specificity",
    "usd_shares",
    "wilson",
]
