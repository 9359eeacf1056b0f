"""llmclf: ship classifiers for rare conversational breakdowns.

    import llmclf

    with llmclf.Runtime(store="llmclf.db", max_usd=5) as runtime:
        classifier = llmclf.load_classifier("refusal_to_transfer", runtime=runtime)
        predictions = llmclf.classify(conversations, classifier)
        report = llmclf.evaluate(predictions, llmclf.load_dataset("samples"))

Names are loaded when first used, so that importing llmclf takes a fraction of a second.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Attachment": "llmclf.types",
    "Case": "llmclf.types",
    "Conversation": "llmclf.types",
    "Costs": "llmclf.types",
    "Dataset": "llmclf.types",
    "Design": "llmclf.types",
    "Estimate": "llmclf.types",
    "Event": "llmclf.types",
    "Example": "llmclf.types",
    "Item": "llmclf.types",
    "Label": "llmclf.types",
    "LlmclfError": "llmclf.errors",
    "Prediction": "llmclf.types",
    "Predictions": "llmclf.types",
    "Runtime": "llmclf.llm.runtime",
    "Task": "llmclf.types",
    "Turn": "llmclf.types",
    "calibrate": "llmclf.workspace.session_reports",
    "classify": "llmclf.workspace.verbs",
    "cluster_reasons": "llmclf.reasons.clustering",
    "compare": "llmclf.workspace.comparing",
    "evaluate": "llmclf.workspace.verbs",
    "judge": "llmclf.workspace.judging",
    "load_classifier": "llmclf.classifiers.loading",
    "load_dataset": "llmclf.data.loading",
    "load_judge": "llmclf.judges.loading",
    "load_task": "llmclf.config",
    "optimize": "llmclf.workspace.optimizing",
    "record": "llmclf.workspace.verbs",
    "sweep": "llmclf.workspace.verbs",
    "train": "llmclf.workspace.verbs",
}

__all__ = sorted(_HOMES)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'llmclf' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
