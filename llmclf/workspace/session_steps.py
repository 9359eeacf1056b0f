"""The commands that lead to a planned session, as a shell takes them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from llmclf.calibration.drawing import spelled
from llmclf.calibration.session import SessionDesign
from llmclf.workspace.cases import RUN
from llmclf.workspace.run_results import LAST
from llmclf.workspace.session_pool import Pool, Subject, drawn_from


@dataclass(frozen=True)
class Asked:
    """A session as somebody asked for it."""

    name: str
    """Of the task or judge, as it was typed."""
    items: str
    annotators: tuple[str, ...]
    given: Mapping[str, str | float | None]
    """Options by their names in Python, without design and n; None or empty: not given."""


def steps_to(asked: Asked, subject: Subject, pool: Pool, design: SessionDesign, n: int) -> tuple[str, ...]:
    """The commands that lead to a session of `n` items by this design, one after the other.

    Where verdicts are needed and missing, what gives them comes first: by verdict for a task; for a judge by known
    label as well, whose card needs verdicts on the whole pool.
    """
    needs = design == "by_verdict" or (design == "class_balanced" and subject.kind == "judge")
    items, given = asked.items, dict(asked.given)
    first: list[str] = []
    if needs and not drawn_from(pool, design).is_judged:
        evaluated = _is_dataset(asked.items) and all(case.label for case in pool.cases)
        first.append(judging_first(asked, subject, evaluated=evaluated))
        if subject.kind == "task":
            items = LAST
            given["conversations"] = None if evaluated else given.get("conversations") or asked.items
    options = {"items": items, "design": spelled(design), "n": n, "annotators": ",".join(asked.annotators), **given}
    words = ["llmclf", "calibrate", "start", asked.name]
    for option, value in options.items():
        if value is not None and value != "":
            words += [f"--{option.replace('_', '-')}", str(value)]
    return (*first, shlex.join(words))


def judging_first(asked: Asked, subject: Subject, *, evaluated: bool = False) -> str:
    """The command that gives the pool its verdicts; CLASSIFIER and FILE are to be filled in.

    `evaluated`: all of the dataset is labelled, so that a classifier may be evaluated on it.
    """
    name = asked.name.partition(":")[2] or asked.name
    conversations = asked.given.get("conversations")
    more = ["--conversations", str(conversations)] if conversations else []
    if subject.is_recorded:
        return (
            f"{shlex.join(['llmclf', 'judge', 'import', name])} FILE   (FILE: its verdicts on every case of the pool)"
        )
    if subject.kind == "judge":
        return shlex.join(["llmclf", "judge", "run", name, "--items", asked.items, *more])
    if evaluated:
        return f"llmclf evaluate CLASSIFIER --dataset {shlex.quote(asked.items)}"
    if _is_dataset(asked.items):
        return f"llmclf classify CLASSIFIER FILE   (FILE: the conversations of {shlex.quote(asked.items)})"
    return f"llmclf classify CLASSIFIER {shlex.quote(asked.items)}"


def _is_dataset(items: str) -> bool:
    return not (items.startswith(RUN) or items == LAST or items.endswith((".jsonl", ".jsonl.gz")))
