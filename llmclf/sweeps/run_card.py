"""Where a run's numbers come from: enough to get the same ones again, or to see why they differ."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from llmclf.classifiers.base import Classifier
from llmclf.classifiers.llm import LlmClassifier
from llmclf.llm.plans import STANDARD
from llmclf.llm.prices import Price
from llmclf.llm.runtime import Runtime
from llmclf.render.tables import counted, usd_text
from llmclf.sweeps.inputs import Inputs
from llmclf.types import Dataset, Task, content_hash

_UNKNOWN = "not known"
_NO_COMMIT = "not known: there was no git working tree"
_RATES = {
    "input_usd_per_million": "in",
    "cached_input_usd_per_million": "cached",
    "audio_input_usd_per_million": "recordings",
    "cache_write_usd_per_million": "put into the cache",
    "output_usd_per_million": "out",
    "reasoning_usd_per_million": "reasoning",
}
"""Prices of a model in a card, and how people call them."""
_PARTS = ("train", "test")


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
        "inputs_hash": inputs.inputs_hash,
        **came_from(dataset, inputs.task, git_sha=git_sha, versions=versions),
        "config_sha256": content_hash(inputs.config),
        "cells": {cell.label: cell.cell_id for cell in inputs.cells},
        "prompts": prompts,
        "seed": inputs.file.seed,
        "folds": inputs.file.folds,
        "hold_out": list(inputs.file.hold_out),
        "prices": prices,
        "plans": {
            cell.label: cell.plan.note for cell in inputs.cells if cell.plan is not None and cell.plan.name != STANDARD
        },
    }


def came_from(dataset: Dataset, task: Task, *, git_sha: str, versions: Mapping[str, str]) -> dict[str, Any]:
    """What a run card says of every run that has labels: when, data, task, commit, versions and machine, as JSON.

    `dataset` is the labelled part; `git_sha` is as in `make_run_card`.
    """
    return {
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "dataset": {
            "name": dataset.name,
            "sha256": dataset.content_hash,
            "items": len(dataset),
            "positives": dataset.labels(task.name).count(task.target),
            "design": dataset.design.kind,
            "note": dataset.design.note,
            "synthetic": dataset.is_synthetic,
        },
        "task": {"name": task.name, "sha256": content_hash(task), "guideline": task.guideline.version},
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
        prices[classifier.model.id] = None if price is None else _price(price)
    return prompts, prices


def _price(price: Price) -> dict[str, Any]:
    """Dollars for a million tokens of each kind; kinds without a price of their own are left out."""
    rates = {
        "input": price.input_nano,
        "cached_input": price.cached_input_nano,
        "output": price.output_nano,
        "audio_input": price.audio_input_nano,
        "reasoning": price.reasoning_nano,
        "cache_write": price.cache_write_nano,
    }
    known = {f"{kind}_usd_per_million": nano / 1000 for kind, nano in rates.items() if nano is not None}
    return {**known, "source": price.source}


def run_card_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The run card of a run as `Store.runs` brings it: a sweep's own, else what the row itself knows."""
    kept = (row.get("result") or {}).get("run_card")
    if kept:
        return {**kept}
    config, sha = row.get("config") or {}, str(row.get("git_sha") or "")
    file = config.get("file") or {}
    dataset = {"name": config.get("dataset", ""), "sha256": row.get("dataset_hash", "")}
    return {
        "run_id": row["run_id"],
        "started_at": row["started_at"],
        "inputs_hash": row.get("inputs_hash", ""),
        "classifier": config.get("classifier", ""),
        **({"dataset": dataset} if dataset["sha256"] else {}),
        "config_sha256": content_hash(config),
        **({"model": file["model"]} if file.get("model") else {}),
        **({"prompts": {file.get("prompt", ""): config["prompt_sha256"]}} if config.get("prompt_sha256") else {}),
        "seed": row.get("seed"),
        **({"folds": config["folds"], "hold_out": config.get("hold_out", [])} if config.get("folds") else {}),
        "git": {"sha": sha.removesuffix("+dirty"), "dirty": sha.endswith("+dirty")} if sha else None,
        "versions": row.get("versions") or {},
    }


def card_lines(card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, text) of each line of a run card for people; what is not in the card is left out."""
    if card.get("run_id"):
        yield "run", str(card["run_id"])
    yield "inputs", str(card.get("inputs_hash") or _UNKNOWN)
    if card.get("classifier"):
        yield "classifier", str(card["classifier"])
    if dataset := card.get("dataset"):
        yield "dataset", " ".join([f"{dataset['name']} {dataset['sha256']}", *_about_dataset(dataset)]).strip()
    if task := card.get("task"):
        yield "task", f"{task['name']} {task['sha256']}"
        yield "guideline", str(task["guideline"])
    yield "config", str(card.get("config_sha256") or _UNKNOWN)
    if card.get("model"):
        yield "model", str(card["model"])
    for name, sha256 in card.get("prompts", {}).items():
        yield "prompt", f"{name} {sha256}".strip()
    git = card.get("git")
    yield "commit", f"{git['sha']}{' with uncommitted changes' if git['dirty'] else ''}" if git else _NO_COMMIT
    yield "seed", str(card.get("seed", _UNKNOWN))
    if card.get("folds"):
        yield "folds", f"{card['folds']}, held out by {', '.join(card.get('hold_out', []))}"
    yield from _about_training(card)
    for model, price in card.get("prices", {}).items():
        yield "price", f"{model}: {_price_text(price)}"
    for label, note in card.get("plans", {}).items():
        yield "plan", f"{label}: {note}"
    yield "versions", ", ".join(f"{name} {value}" for name, value in card.get("versions", {}).items()) or _UNKNOWN
    if machine := card.get("machine"):
        yield "machine", f"{machine['system']} {machine['processor']}, {counted(machine['cores'], 'core')}"
    yield "started", str(card.get("started_at") or _UNKNOWN)
    if "spent_usd" in card:
        billed = card["possibly_billed"]
        maybe = f"; {billed} more may have been billed" if billed else ""
        yield "paid now", f"{usd_text(card['spent_usd'])} for {counted(card['calls'], 'call')}{maybe}"


def _about_training(card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Of a card of `llmclf retrain`: what was learned from, and what came of it."""
    if parts := card.get("parts"):
        counts = (f"{name} {parts[name]['items']:,} ({counted(parts[name]['targets'], 'target')})" for name in _PARTS)
        yield "parts", f"{', '.join(counts)} {parts['sha256']}"
    if card.get("weights"):
        yield "weights", f"{card['weights']}, compared with {card['running'] or 'none'}"


def _about_dataset(dataset: Mapping[str, Any]) -> Iterator[str]:
    if "items" in dataset:
        synthetic = ", synthetic" if dataset.get("synthetic") else ""
        items, positives = counted(dataset["items"], "item"), counted(dataset["positives"], "target")
        yield f"({items}, {positives}, design {dataset['design']}{synthetic})"


def _price_text(price: Mapping[str, Any] | None) -> str:
    if price is None:
        return "not known"
    rates = [f"${price[key]:g} {words}" for key, words in _RATES.items() if key in price]
    return f"{', '.join(rates)} a million tokens ({price['source']})"
