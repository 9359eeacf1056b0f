"""Predictions against labels: how good a classifier is, every figure with its interval.

matching   predictions and examples, item by item
drawn      what the dataset's design lets one say
measure    evaluate: the figures
result     Evaluation, and its forms on a terminal, in a notebook, as JSON and as a data frame
crossval   folds that share nothing they must not share, and predictions over them
rates      shares as short texts
style      how much of a label style alone gives away
"""

from llmclf.evaluation.crossval import Fold, cross_predict, folds
from llmclf.evaluation.measure import evaluate
from llmclf.evaluation.result import Evaluation

__all__ = ["Evaluation", "Fold", "cross_predict", "evaluate", "folds"]
