"""Where a surface comes from: enough to get the same numbers again, or to see why they differ."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from llmclf.classifiers.base import Classifier
from llmclf.classifiers.llm import LlmClassifier
from llmclf.llm.plans import STANDARD
from llmclf.llm.runtime import Runtime
from llmclf.sweeps.inputs import Inputs
from llmclf.types import content_hash


def make_run_card(
    inputs: Inputs,
    classifiers: Iterable[Classifier],
    runtime: Runtime,
    *,
    git_sha: str,
    versions: Mapping[str, str],
) -> dict[str, Any]:
    """Hashes, commit, versions, seed, prices, plans and machine of one execution, as JSON types.

    `git_sha` may end in `+dirty`; empty is not known.
    """
    prompts, prices = _prompts_and_prices(classifiers, runtime)
    dataset = inputs.dataset
    return {
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs_hash": inputs.inputs_hash,
        "dataset": {
            "name": dataset.name,
            "sha256": dataset.content_hash,
            "items": len(dataset),
            "positives": inputs.positives,
            "design": dataset.design.kind,
            "note": dataset.design.note,
            "synthetic": dataset.is_synthetic,
        },
        "task": {
            "name": inputs.task.name,
            "sha256": content_hash(inputs.task),
            "guideline": inputs.task.guideline.version,
        },
        "config_sha256": content_hash(inputs.config),
        "prompts": prompts,
        "seed": inputs.file.seed,
        "folds": inputs.file.folds,
        "hold_out": list(inputs.file.hold_out),
        "prices": prices,
        "plans": {
            cell.label: cell.plan.note for cell in inputs.cells if cell.plan is not None and cell.plan.name != STANDARD
        },
        "git": {"sha": git_sha.removesuffix("+dirty"), "dirty": git_sha.endswith("+dirty")} if git_sha else None,
        "versions": dict(versions),
        "machine": {
            "system": f"{platform.system()} {platform.release()}",
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
    }


def _prompts_and_prices(classifiers: Iterable[Classifier], runtime: Runtime) -> tuple[dict[str, str], dict[str, Any]]:
    prompts: dict[str, str] = {}
    prices: dict[str, Any] = {}
    for classifier in classifiers:
        if not isinstance(classifier, LlmClassifier):
            continue
        prompts[classifier.prompt.name] = classifier.prompt.sha256
        price = runtime.route(classifier.model.id).price()
        prices[classifier.model.id] = (
            None
            if price is None
            else {
                "input_usd_per_million": price.input_nano / 1000,
                "cached_input_usd_per_million": price.cached_input_nano / 1000,
                "output_usd_per_million": price.output_nano / 1000,
                "source": price.source,
            }
        )
    return prompts, prices
