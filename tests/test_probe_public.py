"""The probe on public data: figures that must not get worse unseen. Full figures: benchmarks/dbdc3_probe.py."""

import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from llmclf.classifiers.probe import ProbeClassifier
from llmclf.config import load_task

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import readers


def test_dialogue_breakdown(test_data: Path) -> None:
    """On a fifth of the dialogues held out the probe ranks and is scaled as measured before."""
    dataset = readers.read_dbdc3(test_data)
    held_out = {id for number, id in enumerate(sorted(dataset.conversations)) if number % 5 == 0}
    training = dataset.where(lambda example: example.conversation_id not in held_out)
    test = dataset.where(lambda example: example.conversation_id in held_out)
    probe = ProbeClassifier(load_task(readers.BREAKDOWN_TASK)).fit(training)
    predictions = probe.predict(test.conversations, [example.item for example in test.examples])
    scores = np.array(predictions.column("score"))
    positives = np.array([label == "breakdown" for label in test.labels(readers.BREAKDOWN_TASK)])
    assert roc_auc_score(positives, scores) > 0.757
    assert average_precision_score(positives, scores) > 0.286
    assert scores.mean() == pytest.approx(positives.mean(), abs=0.03)
