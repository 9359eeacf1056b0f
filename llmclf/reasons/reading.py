"""What `cluster_reasons` is given: rows or texts to reasons, and what window and baseline may not be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from llmclf.errors import ConfigError, DataError
from llmclf.reasons.forming import Part
from llmclf.reasons.texts import Embedded
from llmclf.render.tables import counted
from llmclf.types.reasons import REASON_COLUMNS, Reasons

ReasonsLike = Reasons | Sequence[Mapping[str, Any]] | Sequence[str]
"""Reasons; or rows with the columns of reasons; or texts alone, each of a conversation of its own."""

_NAMELESS = re.compile(r"reason-\d+")
_WHERE = "cluster_reasons"
_CROWD, _LEAST_CROWD = 0.1, 20
"""From this share of a window, and so many reasons, on one conversation is told of."""


def reasons_of(given: ReasonsLike) -> Reasons:
    """The reasons as columns. DataError for rows with unknown columns, or for what is neither row nor text."""
    if isinstance(given, Reasons):
        return given
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise DataError("reasons are a list of texts or of rows", where=_WHERE, got=type(given).__name__)
    if all(isinstance(one, str) for one in given):
        return Reasons.of(cast(Sequence[str], given))
    if all(isinstance(one, Mapping) for one in given):
        return Reasons(cast(Sequence[Mapping[str, Any]], given))
    kinds = sorted({type(one).__name__ for one in given})
    raise DataError("reasons are all texts, or all rows", where=_WHERE, got=", ".join(kinds))


def window_and_baseline(given: ReasonsLike, against: ReasonsLike | None) -> tuple[Reasons, Reasons | None]:
    """Both as reasons. ConfigError lists what they may not be: empty, simulated and real at once, the same reasons."""
    window = reasons_of(given)
    baseline = None if against is None else reasons_of(against)
    if baseline is not None:
        baseline = _named_apart(window, baseline)
    problems = [*_twice("the window", window), *_mixed(window, baseline)]
    if not len(window):
        problems.append("the window holds no reasons")
    if baseline is not None:
        problems += [*_twice("the baseline", baseline), *_shared(window, baseline)]
    if problems:
        raise ConfigError("window and baseline can't be held against each other", where=_WHERE, problems=problems)
    return window, baseline


def no_words(window: Embedded) -> DataError:
    """What to say where no reason of the window holds any words."""
    fix = "classifiers give reasons with answer = 'explained'"
    return DataError("no reason holds any words", where=_WHERE, got=counted(window.wordless, "reason"), fix=fix)


def wordless(window: Embedded, baseline: Embedded | None) -> tuple[str, ...]:
    """A note on reasons without any words, which are in no cluster."""
    if not window.wordless:
        return ()
    before = ""
    if baseline is not None and (total := len(baseline.reasons) + baseline.wordless):
        before = f" (in the baseline {baseline.wordless / total:.1%})"
    share = window.wordless / (len(window.reasons) + window.wordless)
    return (f"{counted(window.wordless, 'reason')} without any words, {share:.1%}{before}: in no cluster.",)


def crowded(window: Embedded, baseline: Embedded | None, pool: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    """A note where one conversation holds much of the window, and far more than any of the baseline does of that.

    Conversations are the units of all figures: where an id stands for many, such as `unknown`, they see one. `pool`:
    of each reason.
    """
    sizes = np.bincount(window.groups)
    most, share = int(sizes.argmax()), float(sizes.max() / sizes.sum())
    usual = 0.0 if baseline is None else float(np.bincount(baseline.groups).max() / len(baseline.groups))
    if sizes[most] < _LEAST_CROWD or share <= _CROWD or share <= 3 * usual:
        return ()
    far = int(pool[window.groups == most].sum())
    of_pool = f", with {far:,} of the {pool.sum():,} in the novelty pool" if far else ""
    return (
        f"One conversation holds {sizes[most]:,} of the window's {counted(len(window.groups), 'reason')} ({share:.0%})"
        f"{of_pool}, and counts as one conversation in every figure. If its id stands for many, give each its own.",
    )


def not_before(window: Part, baseline: Part | None) -> tuple[str, ...]:
    """A note where the baseline is not all before the window."""
    if baseline is None:
        return ()
    made, before = (part.moments[~np.isnat(part.moments)] for part in (window, baseline))
    later = int((before >= made.min()).sum()) if len(made) and len(before) else 0
    if not later:
        return ()
    share = later / len(baseline.moments)
    return (
        f"{share:.0%} of the baseline's reasons were made after the window began: a fault of the window may be in "
        "them as well, and then is not new.",
    )


def _named_apart(window: Reasons, baseline: Reasons) -> Reasons:
    """Reasons that were given without ids are named by their place, in window and baseline alike: not the same ones."""
    there = set(window.column("prediction_id"))
    ids, conversations = baseline.column("prediction_id"), baseline.column("conversation_id")
    shared = [place for place, id_ in enumerate(ids) if id_ in there and _NAMELESS.fullmatch(id_)]
    if not shared or _same_words(window, baseline, shared):
        return baseline
    for place in shared:
        new = f"baseline-{ids[place].removeprefix('reason-')}"
        conversations[place] = new if conversations[place] == ids[place] else conversations[place]
        ids[place] = new
    return Reasons.from_columns(
        {name: baseline.column(name) for name in REASON_COLUMNS}
        | {"prediction_id": ids, "conversation_id": conversations}
    )


def _same_words(window: Reasons, baseline: Reasons, shared: Sequence[int]) -> bool:
    """True where every such reason of the baseline is word for word that of the window: part of the same list."""
    words = dict(zip(window.column("prediction_id"), window.texts(), strict=True))
    ids, texts = baseline.column("prediction_id"), baseline.texts()
    return all(words[ids[place]] == texts[place] for place in shared)


def _twice(name: str, reasons: Reasons) -> list[str]:
    ids = reasons.column("prediction_id")
    twice = len(ids) - len(set(ids))
    return [f"{name} holds {counted(twice, 'prediction')} more than once"] if twice else []


def _mixed(window: Reasons, baseline: Reasons | None) -> list[str]:
    """Simulated reasons say nothing of real ones."""
    stamps = [set(map(bool, part.column("simulated"))) for part in (window, baseline) if part is not None]
    if max(map(len, stamps)) > 1:
        return ["simulated and real reasons stand in one list; cluster them apart"]
    return ["of window and baseline one is simulated, the other real"] if len(set().union(*stamps)) > 1 else []


def _shared(window: Reasons, baseline: Reasons) -> list[str]:
    ids = set(window.column("prediction_id"))
    shared = [id_ for id_ in baseline.column("prediction_id") if id_ in ids]
    if not shared:
        return []
    some = f"{', '.join(shared[:3])}{', ...' if len(shared) > 3 else ''}"
    return [f"{counted(len(shared), 'prediction')} of the window stand in the baseline too: {some}"]
