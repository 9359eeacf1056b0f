"""How much of a label is given away by style alone: a bag-of-words leakage probe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llmclf.errors import DataError
from llmclf.types import Dataset, Task, groups_of

_FUNCTION_WORDS = (
    "a about all and any are as at be been but by can could did do does for from had has have he how i if in is it "
    "its just me my no not of on or our out she should so some than that the their them then there they this to too "
    "up us very was we were what when where which who why will with would you your"
).split()


@dataclass(frozen=True, slots=True)
class StyleLeak:
    """ROC AUC of telling target from the rest without understanding; .5 is blind, above .8 is a giveaway."""

    shape: float
    """From length, number of turns and punctuation."""
    function_words: float
    """From words that carry no content."""
    words: float
    """From all words (TF-IDF); content is in it, so some is to be expected."""
    n_positives: int

    def __str__(self) -> str:
        worst = max(self.shape, self.function_words)
        much = "hardly anything" if worst < 0.6 else "a little" if worst < 0.7 else "some" if worst < 0.8 else "much"
        return (
            f"Style gives away {much} of the label: ROC {self.shape:.2f} by shape, "
            f"{self.function_words:.2f} by function words, {self.words:.2f} by all words (.50 is blind, grouped "
            f"cross-validation, {self.n_positives} targets)."
        )


def style_leak(dataset: Dataset, task: Task, *, seeds: int = 3) -> StyleLeak:
    """The leakage of `task`'s target in `dataset`, by grouped 5-fold cross-validation, averaged over `seeds`.

    Raises DataError with fewer than 10 targets or other examples: nothing can be said then.
    """
    import numpy as np
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    labelled = dataset.for_task(task.name)
    y = np.array([label == task.target for label in labelled.labels(task.name)])
    if min(y.sum(), (~y).sum()) < 10:
        raise DataError("too few examples to look for leaks", where=dataset.name, got=f"{int(y.sum())} targets")
    texts = [" ".join(turn.text for turn in labelled.conversation(example).turns) for example in labelled.examples]
    turns = [len(labelled.conversation(example).turns) for example in labelled.examples]
    shape = np.array(
        [[len(t), n, *(t.count(c) / (len(t) + 1) for c in "!?,.-")] for t, n in zip(texts, turns, strict=True)]
    )
    groups = groups_of(labelled.examples)

    def logistic(c: float) -> Any:
        return LogisticRegression(C=c, max_iter=2000)

    counts = CountVectorizer(vocabulary=_FUNCTION_WORDS, token_pattern=r"[a-z']+")  # noqa: S106 - a pattern of words
    scaled = StandardScaler(with_mean=False)
    return StyleLeak(
        _roc(make_pipeline(StandardScaler(), logistic(0.1)), shape, y, groups, seeds),
        _roc(make_pipeline(counts, scaled, logistic(0.01)), texts, y, groups, seeds),
        _roc(make_pipeline(TfidfVectorizer(sublinear_tf=True, min_df=2), logistic(1.0)), texts, y, groups, seeds),
        int(y.sum()),
    )


def _roc(model: Any, inputs: Any, y: Any, groups: list[str], seeds: int) -> float:
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    values = []
    for seed in range(seeds):
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        scores = cross_val_predict(model, inputs, y, groups=groups, cv=folds, method="decision_function")
        values.append(float(roc_auc_score(y, scores)))
    return sum(values) / len(values)
