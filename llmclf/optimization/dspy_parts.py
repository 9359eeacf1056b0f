"""The package dspy: imported at first use (it takes seconds), kept quiet, and nothing of it set for the process."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any, TextIO, cast

from llmclf.errors import ConfigError

logger = logging.getLogger("llmclf.optimization")
_ONE_AT_A_TIME = threading.RLock()
_SILENT = logging.CRITICAL + 1
_NOISY = ("dspy", "gepa", "optuna")
"""Their lines quote conversations and answers, also as errors: threads of ours that outlive a search write none."""


@cache
def load_dspy() -> Any:
    """What the bridge needs of dspy, as attributes: `dspy`, `lm15`, `teleprompt`, `Adapter`, `ParallelExecutor`.

    Nothing of dspy's is configured: no model, no cache, no folder in the user's home.
    """
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else dspy, too, asks the network for prices
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import dspy
            import dspy.teleprompt
            from dspy import lm15
            from dspy.adapters.base import Adapter
    except ImportError as error:
        raise ConfigError(
            f"dspy, which compiles prompts, can't be imported: {error}",
            fix="pip install dspy-ai; serving a prompt that is compiled needs none of it",
        ) from None
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in _NOISY:
            logging.getLogger(name).addFilter(lambda record: not _is_of_dspy())
    return SimpleNamespace(dspy=dspy, lm15=lm15, teleprompt=dspy.teleprompt, Adapter=Adapter)


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps what dspy and its optimizers print away from the process's output while one compiles.

    What the calling thread, and threads that dspy starts for it, write to `sys.stdout` and `sys.stderr` in the block
    (progress bars, `print`) goes to the logger `llmclf.optimization` at DEBUG; what other threads write goes where it
    went before. Within `aloud` a thread is heard again: callbacks of the user's run there. The loggers of dspy, gepa
    and optuna are silent, as they quote conversations, and their DeprecationWarnings are not shown. All of it is as
    before once the block ends. One block at a time in a process: a second one waits.
    """
    parts = [logging.getLogger(name) for name in _NOISY]
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", module=r"(dspy|gepa|optuna)(\.|$)")
        levels = [part.level for part in parts]
        outputs = sys.stdout, sys.stderr
        diverted = [_Diverted(stream) for stream in outputs]
        try:
            for part in parts:
                part.setLevel(_SILENT)
            sys.stdout, sys.stderr = cast("list[TextIO]", diverted)
            yield
        finally:
            for stream in diverted:
                stream.end()
            sys.stdout, sys.stderr = outputs
            for part, level in zip(parts, levels, strict=True):
                part.setLevel(level)


@contextmanager
def aloud() -> Iterator[None]:
    """Lets the calling thread write to the process's output within `quiet`."""
    before = getattr(_here, "aloud", False)
    _here.aloud = True
    try:
        yield
    finally:
        _here.aloud = before


_here = threading.local()
MARK = "llmclf_compiles"
"""A setting of dspy's that it hands on to the threads it starts."""


def _is_of_dspy() -> bool:
    """True on a thread that dspy started for us, and on the one that refreshes its progress bars."""
    from dspy.dsp.utils.settings import thread_local_overrides

    return MARK in thread_local_overrides.get() or type(threading.current_thread()).__module__.startswith("tqdm")


class _Diverted(io.TextIOBase):
    """Stands in for an output stream: the thread that made it, and dspy's for it, write to the log, others through."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._thread = threading.get_ident()
        self._ended = False

    def end(self) -> None:
        """Writes nowhere from here on: a progress bar that was stopped writes its end when it is collected."""
        self._ended = True

    @property
    def _passes(self) -> bool:
        if self._ended:
            return False
        return getattr(_here, "aloud", False) or (threading.get_ident() != self._thread and not _is_of_dspy())

    def write(self, text: str) -> int:
        if self._passes:
            return self._stream.write(text)
        if text.strip():
            logger.debug("%s", text.strip())
        return len(text)

    def flush(self) -> None:
        if self._passes:
            self._stream.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._passes and self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding


@cache
def bridge_classes() -> tuple[Any, Any]:
    """(StudentAdapter, Program): the two classes of ours that derive from dspy's. Both are made from a `Desk`."""
    parts = load_dspy()
    dspy = parts.dspy

    class StudentAdapter(parts.Adapter):  # type: ignore[misc,name-defined]
        """Asks the student; formats and parses nothing, so that nothing of dspy's reaches a request."""

        def __init__(self, desk: Any) -> None:
            super().__init__()
            self.desk = desk

        def __deepcopy__(self, memo: dict[int, Any]) -> Any:
            return self

        def __call__(
            self, lm: Any, lm_kwargs: dict[str, Any], signature: Any, demos: list[Any], inputs: dict[str, Any]
        ) -> list[dict[str, Any]]:
            # A sample is asked for by a rollout id; the temperature alone is the reflection model's own.
            said = {**lm.kwargs, **lm_kwargs}
            rollout = said.get("rollout_id")
            temperature = None if rollout is None else said.get("temperature")
            return [self.desk.answer(signature.instructions, demos, inputs["item"], rollout or 0, temperature)]

    class Program(dspy.Module):  # type: ignore[misc,name-defined]
        """Answers one item. Its one predictor holds what is optimized: instructions and demonstrations."""

        def __init__(self, desk: Any) -> None:
            super().__init__()
            self._adapter = StudentAdapter(desk)
            inputs = {name: (str, dspy.InputField()) for name in desk.inputs}
            outputs = {name: (str, dspy.OutputField()) for name in desk.outputs}
            instruction = desk.book.parent.candidate.instruction
            self.answer = dspy.Predict(dspy.Signature({**inputs, **outputs}, instruction))

        def forward(self, **inputs: Any) -> Any:
            with dspy.context(adapter=self._adapter):
                return self.answer(**inputs)

    return StudentAdapter, Program
