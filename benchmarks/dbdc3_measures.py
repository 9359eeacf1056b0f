"""The official measures of the Dialogue Breakdown Detection Challenge 3, over rows of shares of O, T and X.

Definitions: Higashinaka et al. 2017 and the challenge's own evaluation (threshold 0). The label of a turn is the one
with most votes, ties going to O, then T. For F1(T+X) a turn counts as a breakdown where T and X together have more
votes than O, and a detector says so with either. Divergences are to base 2; squared errors are means over classes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from llmclf.stats.disagreement import jensen_shannon, squared_error

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.intp]
NONE, POSSIBLE, BREAKDOWN = range(3)
"""Columns of O, T and X."""
MEASURES = (
    "accuracy",
    "F1(X)",
    "F1(T+X)",
    "JSD(O,T,X)",
    "JSD(O,T+X)",
    "JSD(O+T,X)",
    "MSE(O,T,X)",
    "MSE(O,T+X)",
    "MSE(O+T,X)",
)
"""For the first three higher is better, for the others lower."""


def majority(shares: Floats) -> Labels:
    """(n,) the label with the largest share of each row of (n, 3); ties go to O, then T."""
    return np.argmax(shares, axis=1).astype(np.intp)


def f1(said: npt.NDArray[np.bool_], wanted: npt.NDArray[np.bool_]) -> float:
    """2 both / (said + wanted); 0 where nothing is both."""
    total = int(said.sum()) + int(wanted.sum())
    return 2 * int((said & wanted).sum()) / total if total else 0.0


def measures(labels: Labels, shares: Floats, wanted: Floats) -> dict[str, float]:
    """Each official measure of said `labels` and `shares` (n, 3) against the annotators' shares (n, 3)."""
    gold = majority(wanted)
    broken = wanted[:, POSSIBLE] + wanted[:, BREAKDOWN] > wanted[:, NONE]
    found = {
        "accuracy": float((labels == gold).mean()),
        "F1(X)": f1(labels == BREAKDOWN, gold == BREAKDOWN),
        "F1(T+X)": f1(labels != NONE, broken),
    }
    for name, distance in (("JSD", jensen_shannon), ("MSE", squared_error)):
        found[f"{name}(O,T,X)"] = float(distance(shares, wanted).mean())
        for merged, joined in (("O,T+X", _first_alone), ("O+T,X", _last_alone)):
            found[f"{name}({merged})"] = float(distance(joined(shares), joined(wanted)).mean())
    return found


def _first_alone(shares: Floats) -> Floats:
    return np.stack([shares[:, NONE], shares[:, POSSIBLE] + shares[:, BREAKDOWN]], axis=1)


def _last_alone(shares: Floats) -> Floats:
    return np.stack([shares[:, NONE] + shares[:, POSSIBLE], shares[:, BREAKDOWN]], axis=1)
