"""A probe as one file: an .npz without pickle, with a JSON header. Equal probes give equal bytes."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from llmclf.classifiers.probe_features import Vector, count_names
from llmclf.classifiers.probe_model import Linear, Origin, Others, ProbeModel, Vocabulary
from llmclf.errors import ConfigError, DataError
from llmclf.stats.scaling import Platt
from llmclf.types import FailureMode, Label, Rule, Task, canonical_json, content_hash

FORMAT = "llmclf-probe"
FORMAT_VERSION = 1
_UNREADABLE = (
    zipfile.BadZipFile,
    EOFError,
    LookupError,
    ValueError,
    RuntimeError,
    OverflowError,
    struct.error,
    zlib.error,
)
"""What zipfile is known to raise for bytes that are no whole zip file."""
_FIX = "train again and save (`ProbeClassifier.fit`, `save`), or take the file from a backup"


def labels_hash(task: Task) -> str:
    """What a probe's answers depend on: unit, context, and the names and roles of the labels."""
    return content_hash([task.unit, task.context, [[label.name, label.role] for label in task.labels]])


def write_probe(path: Path, model: ProbeModel, task: Task, settings: Mapping[str, Any], git_sha: str) -> None:
    """Writes the file whole or not at all. Raises DataError where it can't be written."""
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "settings": dict(settings),
        "task": task,
        "labels_hash": labels_hash(task),
        "counts": count_names(task),
        "logit_means": model.logit_means,
        "logit_spreads": model.logit_spreads,
        "platt": [model.platt.a, model.platt.b],
        "prevalence": model.prevalence,
        "others": model.others.labels if model.others else [],
        "origin": model.origin,
        "git_sha": git_sha,
        "digest": model.digest,
    }
    texts = {"header.json": canonical_json(header), "terms.txt": "\n".join(model.vocabulary.terms)}
    parts = {name: text.encode() for name, text in texts.items()}
    parts |= {f"{name}.npy": _npy(array) for name, array in model.arrays().items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as file:
            for name in sorted(parts):
                # A fixed date and no compression: the bytes depend on nothing but the probe.
                file.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), parts[name])
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DataError(
            f"the probe can't be written: {error.strerror}", where=str(path), fix="check folder and disk space"
        ) from error


def read_header(path: Path) -> dict[str, Any]:
    """What a probe file says of itself: settings, task, `git_sha`, `origin` (dataset hash, counts, versions).

    Raises DataError for a file that is truncated, foreign, or of a newer format.
    """
    return _header(path, _parts(path))


def read_probe(path: Path, task: Task | None) -> tuple[ProbeModel, dict[str, Any], Task]:
    """(model, settings, the task it was trained for) of a file; errors as in `ProbeClassifier.load`."""
    parts = _parts(path)
    header = _header(path, parts)
    try:
        trained_for = _task(header["task"])
        model = _model(header, parts)
        settings = dict(header["settings"])
        counts = tuple(header["counts"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError("the probe's parts do not fit together", where=str(path), got=str(error), fix=_FIX) from error
    if model.digest != header["digest"]:
        raise DataError("the probe was changed after it was written", where=str(path), fix=_FIX)
    if counts != count_names(trained_for):
        raise DataError("the probe was trained on other features than this llmclf makes", where=str(path), fix=_FIX)
    if task is not None:
        _check_task(path, task, header)
    return model, settings, trained_for


def _header(path: Path, parts: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        header = json.loads(parts["header.json"])
    except (KeyError, ValueError) as error:
        raise _foreign(path, "it has no readable header") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise _foreign(path, "its header names another format")
    if header.get("format_version") != FORMAT_VERSION:
        raise DataError(
            "the probe was written by another version of llmclf",
            where=str(path),
            got=f"format {header.get('format_version')}",
            fix=f"this one reads format {FORMAT_VERSION}: upgrade llmclf, or train again",
        )
    return header


def _parts(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as file:
            return {name: file.read(name) for name in file.namelist()}
    except FileNotFoundError:
        raise DataError("there is no such file", where=str(path), fix="save a probe first") from None
    except OSError as error:
        raise DataError(f"the probe can't be read: {error.strerror}", where=str(path)) from error
    except _UNREADABLE as error:
        raise _foreign(path, str(error)) from error


def _foreign(path: Path, why: str) -> DataError:
    return DataError("this is no whole probe file: truncated, or something else", where=str(path), got=why, fix=_FIX)


def _npy(array: Vector) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array, np.float32), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _model(header: Mapping[str, Any], parts: Mapping[str, bytes]) -> ProbeModel:
    def array(name: str) -> Vector:
        loaded: Vector = np.lib.format.read_array(io.BytesIO(parts[f"{name}.npy"]), allow_pickle=False)
        return loaded

    def linear(name: str) -> Linear | None:
        if f"{name}.npy" not in parts:
            return None
        return Linear(array(name), float(array(f"{name}_intercept")[0]))

    text = parts["terms.txt"].decode()
    others = tuple(header["others"])
    origin = header["origin"]
    return ProbeModel(
        vocabulary=Vocabulary(tuple(text.split("\n")) if text else (), array("idf")),
        words=linear("words"),
        vectors=linear("vectors"),
        center=array("center"),
        scale=array("scale"),
        logit_means=tuple(header["logit_means"]),
        logit_spreads=tuple(header["logit_spreads"]),
        platt=Platt(*header["platt"]),
        prevalence=header["prevalence"],
        others=Others(others, array("others"), array("others_intercepts")) if others else None,
        origin=Origin(**{**origin, "learned_from": tuple(origin.get("learned_from", ()))}),
    )


def _task(values: Mapping[str, Any]) -> Task:
    labels = tuple(
        Label(row["name"], row["role"], row["definition"], tuple(Rule(**rule) for rule in row.get("rules", ())))
        for row in values["labels"]
    )
    modes = tuple(FailureMode(**mode) for mode in values.get("failure_modes", ()))
    rest = {name: value for name, value in values.items() if name not in ("labels", "failure_modes")}
    return Task(**rest, labels=labels, failure_modes=modes)


def _check_task(path: Path, task: Task, header: Mapping[str, Any]) -> None:
    problems = []
    if header["task"]["name"] != task.name:
        problems.append(f"the file is for task {header['task']['name']!r}, not {task.name!r}")
    if header["labels_hash"] != labels_hash(task):
        problems.append("unit, context or labels of the task changed since it was trained")
    if problems:
        raise ConfigError(
            "the probe was trained for another task", where=str(path), problems=problems, fix="train it again"
        )
