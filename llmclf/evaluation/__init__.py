"""Predictions against labels: how good a classifier is, every figure with its interval.

matching   predictions and examples, item by item
drawn      what the dataset's design lets one say
answers    what predictions say beside their label
measure    evaluate: the figures
result     Evaluation, and its forms on a terminal, in a notebook, as JSON and as a data frame
parts      rates of a part of the items
slicing    which items a slice holds
sliced     slices: the same figures for parts, and whether they differ by more than chance
operating_point  candidate thresholds side by side; choosing finds them
volume     how many items a conversation of production has
repeats    the same items asked several times: flips and model noise
annotators several people beside the classifier: the human ceiling
wrong      the single wrong verdicts, by kind
curves     every threshold's recall and precision, and whether probabilities are right
comparison two on the same items: better, worse, or how many more labels would decide; gains and losses
crossval   folds that share nothing they must not share, and predictions over them
style      how much of a label style alone gives away
"""

from llmclf.evaluation.crossval import Fold, cross_predict, folds
from llmclf.evaluation.measure import evaluate
from llmclf.evaluation.result import Evaluation
from llmclf.evaluation.sliced import Slice, Slices, slices

__all__ = ["Evaluation", "Fold", "Slice", "Slices", "cross_predict", "evaluate", "folds", "slices"]
