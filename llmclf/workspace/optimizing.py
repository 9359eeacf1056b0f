"""`optimize`: the parent, the search, the test, and the new prompt's file where it is better."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llmclf.config import files
from llmclf.errors import ConfigError
from llmclf.evaluation.comparison import compare
from llmclf.llm.model import Model
from llmclf.llm.runtime import Runtime
from llmclf.optimization.book import PARENT, Book, Step, Tried
from llmclf.optimization.choice import chosen, difference, failures, is_hopeless, kept_open, named, rows_of
from llmclf.optimization.classifier_student import ClassifierStudent
from llmclf.optimization.result import Optimization, Spend
from llmclf.optimization.search import search
from llmclf.render import Prompt
from llmclf.sweeps.money import book as book_run, cap_reached
from llmclf.types import ErrorInfo, Predictions, item_hash
from llmclf.workspace.optimization_files import write_prompt
from llmclf.workspace.optimization_inputs import OptimizationInputs, optimization_inputs
from llmclf.workspace.optimization_money import REFLECTION, TASK, Kept, money_of, reflection_hash, spend_of
from llmclf.workspace.optimization_plan import OptimizationPlan, plan_optimization
from llmclf.workspace.provenance import git_sha, versions
from llmclf.workspace.verbs import booked_on

_SECONDS = 1.0  # between two looks at what was spent, for those who wait
_AGAIN = "raise it and run again: what is done is kept"
_OVERRUN = "see that the model's price is right, or ask the vendor, before you run again: what is done is kept"
_FIRST = 20  # answers of a test; where all of them fail alike, the others are not asked for


def optimize(name: str | Path, *, runtime: Runtime, on_step: Callable[[Step], None] | None = None) -> Optimization:
    """Compiles the prompt of configs/optimizations/NAME.toml (or of a path) and tests it on items it has not seen.

    Only a candidate that is better there, by the whole interval, is written to prompts/PROMPT.txt, with its
    provenance beside it. Both budgets of the file hold over all executions of the same inputs, and both together never
    pass the runtime's own cap. Run again, it goes on where it ended: what is in the store is not bought again.
    `on_step` is told where the parent or a candidate begins with a part, and of answers, on whatever thread.

    Raises ConfigError or DataError with everything that is wrong, and BudgetError, before anything is paid; ConfigError
    where the same optimization is running already.
    """
    inputs = optimization_inputs(name, runtime)
    with _alone(inputs, runtime, name), money_of(inputs.file, inputs.inputs_hash, runtime) as reflection:
        inputs.student.check()  # type: ignore[attr-defined]
        said = inputs.file.reflection
        if said is not None and reflection is not None:
            reflection.check([Model(said.model, said.thinking, said.temperature, said.max_output_tokens)])
        return _Execution(inputs, runtime, reflection, on_step).run()


@contextmanager
def _alone(inputs: OptimizationInputs, runtime: Runtime, name: str | Path) -> Iterator[None]:
    """One run of an optimization at a time: its file is locked, and nothing is left behind."""
    try:
        import fcntl
    except ImportError:  # Windows: the shared caps hold in any case
        yield
        return
    path = files.find("optimization", str(name), runtime.workspace).path
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(
                "this optimization is running already", where=str(path), fix="wait until it is done"
            ) from None
        yield


class _Execution:
    """One execution: its runs in the store, and what came of it."""

    def __init__(
        self,
        inputs: OptimizationInputs,
        runtime: Runtime,
        reflection: Runtime | None,
        on_step: Callable[[Step], None] | None,
    ) -> None:
        self.inputs, self.runtime, self.reflection, self.on_step = inputs, runtime, reflection, on_step
        self.hash = inputs.inputs_hash
        self.before: dict[str, float] = {}
        self.before = {name: one.usd for name, one in self._spend().items()}
        self.book = Book(inputs.student, inputs.parts, inputs.objectives)
        self.run_id = ""
        self.git_sha = git_sha(runtime.workspace or Path())
        self.answers: dict[str, Predictions] = {}
        self.failures: list[str] = []
        self._said_spend: tuple[float, Mapping[str, Spend]] = (-_SECONDS, {})

    def run(self) -> Optimization:
        """Parent, search, test, comparison; both runs are marked with how they ended."""
        self.run_id = self._start(TASK, self.hash)
        book_run(self.runtime, self.run_id)
        with ExitStack() as stack:
            stack.enter_context(booked_on(self.runtime, self.run_id))
            second = ""
            if self.reflection is not None:
                second = self._start(REFLECTION, reflection_hash(self.hash))
                stack.enter_context(booked_on(self.reflection, second))
            result = self._result()
            why = result.stopped
            figures = {key: value for key, value in result.to_dict().items() if key not in ("diff", "notes", "test")}
            if second:
                self.runtime.store.finish_run(second, "done", result={"optimization": self.run_id})
            self.runtime.store.finish_run(self.run_id, "stopped" if why else "done", result=figures, why=why)
        return result

    def _result(self) -> Optimization:
        parent = self.inputs.student.parent
        why = self._tested(PARENT, parent)
        stopped = ""
        if not why:
            stopped = self._search()
        best = None if why else chosen(self.book)
        if why:
            return self._made("not decided", f"Not decided: the parent could not be tested. {why}", stopped=why)
        if best is None:
            if stopped and len(self.book.complete()) < 2:
                sentence = f"Not decided: no candidate was tried in full: {stopped}."
                return self._made("not decided", sentence, stopped=stopped)
            sentence = "Not better: no better candidate on validation, so none was tested; the old prompt stays."
            return self._made("not better", sentence, stopped=stopped)
        prompt = named(best, self.inputs.file.prompt)
        if not prompt.conversations:  # whose words stand in it: `store forget` could not reach them
            self.runtime.store.put_prompt(prompt.name, prompt.sha256, prompt.text)
        why = self._tested(best.origin, prompt)
        if why:
            sentence = f"Not decided: the candidate could not be tested in full. {why}"
            return self._made("not decided", sentence, best, prompt, stopped=stopped or why)
        return self._decided(best, prompt, stopped)

    def _search(self) -> str:
        kept = Kept(self.inputs.file, self.hash, self.runtime)
        self.book.limit = lambda: kept.follow(self.book)
        try:
            why = search(
                self.inputs.file,
                self.inputs.student,
                self.book,
                reflection=self.reflection,
                on_step=None if self.on_step is None else self._tell,
            )
        finally:
            self.book.limit = lambda: ""
            held = kept.nano
            kept.keep(0)
        if not why:
            return ""
        said = cap_reached([ErrorInfo("over_budget", why)])
        return f"{said} (${held / 1e9:.4f} was kept for the test)" if held and said != why else said

    def _tested(self, origin: str, prompt: Prompt) -> str:
        """Asks about the whole test part; why that was not possible, or empty."""
        keys, student = self.inputs.parts.test, self.inputs.student
        count, lock = iter(range(1, len(keys) + 1)), threading.Lock()

        def done(*_: Any) -> None:
            with lock:
                at = next(count, len(keys))
            self._tell(self.book.step(origin, "test", at, len(keys)))

        self._tell(self.book.step(origin, "test", 0, len(keys)))
        errors: list[ErrorInfo | None] = []
        for some in filter(None, (keys[:_FIRST], keys[_FIRST:])):
            if isinstance(student, ClassifierStudent):
                found = student.predictions(prompt, some, done)
                self.answers[prompt.text] = Predictions([*self.answers.get(prompt.text, ()), *found])
                errors += found.column("error")
            else:
                errors += [one.error for one in student.ask_all(prompt, some, done)]
            if is_hopeless(errors):
                break
        why = cap_reached(errors)
        if why:
            return f"{why}; {_OVERRUN}." if "above its worst case" in why else f"{why.split(';')[0]}; {_AGAIN}."
        said = failures(errors)
        if 2 * sum(error is not None for error in errors) > len(errors):
            return f"{said}."
        self.failures += [f"On test with {prompt.id}, {said}."] if said else []
        return ""

    def _tell(self, step: Step) -> None:
        """Hands the step on, with what was spent: that is asked of the store once in a second, not for each answer."""
        if self.on_step is None:
            return
        at, spend = self._said_spend
        if step.done == 0 or time.monotonic() - at >= _SECONDS:
            spend = self._spend()
            self._said_spend = time.monotonic(), spend
        self.on_step(replace(step, spend=spend))

    def _decided(self, best: Tried, prompt: Prompt, stopped: str) -> Optimization:
        inputs, parent = self.inputs, self.inputs.student.parent
        comparison: Any
        costs: tuple[float | None, float | None] = (None, None)
        tokens: tuple[float | None, float | None] = (None, None)
        if isinstance(inputs.student, ClassifierStudent):
            assert inputs.test is not None and inputs.task is not None
            a, b = self.answers[parent.text], self.answers[prompt.text]
            comparison = compare(
                a,
                b,
                inputs.test,
                inputs.task,
                costs=inputs.file.as_costs,
                names=(parent.id, prompt.id),
                seed=inputs.file.seed,
            )
            prices = comparison.a.cost_per_item_usd, comparison.b.cost_per_item_usd
            costs = prices[0] and prices[0] * 1000, prices[1] and prices[1] * 1000
            tokens = _tokens(a), _tokens(b)
        else:
            from llmclf.optimization.judge_comparison import compare_judges  # a classifier needs nothing of it
            from llmclf.optimization.judge_student import JudgeStudent

            assert isinstance(inputs.student, JudgeStudent)
            comparison = compare_judges(inputs.student, parent, prompt, inputs.parts.test)
        more = {"cost_per_1000": costs, "input_tokens": tokens, "looks": self._looks()}
        if comparison.verdict != "better":
            words = {"worse": "Not better: on test the candidate is worse; the old prompt stays."}
            start = words.get(comparison.verdict, "The old prompt stays.")
            sentence = " ".join(each for each in (start, comparison.sentence, kept_open(comparison)) if each)
            return self._made(comparison.verdict, sentence, best, prompt, comparison, stopped, more)
        path = write_prompt(prompt, self._provenance(comparison), self.runtime.workspace)
        said = comparison.sentence if inputs.file.classifier else f"Better: {comparison.sentence}"
        sentence = f"{said} {path} written."
        return self._made("better", sentence, best, prompt, comparison, stopped, more, path)

    def _made(
        self,
        verdict: Any,
        sentence: str,
        best: Tried | None = None,
        prompt: Prompt | None = None,
        comparison: Any = None,
        stopped: str = "",
        more: Mapping[str, Any] = {},
        path: Path | None = None,
    ) -> Optimization:
        inputs, counts = self.inputs, self.book.reflection
        notes = [*inputs.notes, *self.failures]
        if inputs.simulated:
            notes.append("The answers are simulated: no model was asked, and the figures say nothing about one.")
        if counts.trouble and counts.trouble.lower() not in sentence.lower():
            sentence = f"{sentence} {_capital(counts.trouble)}."
        elif counts.failed or counts.unreadable:
            notes.append(f"Of {counts.asked} reflections {counts.failed} failed, {counts.unreadable} were unreadable.")
        if more.get("looks", 1) > 1 and inputs.file.classifier:  # of a judge, the comparison says it
            notes.append(
                f"This is look {more['looks']} at this test: one of a dozen says better by chance more often than a "
                "single one. Label a new sample for the last word."
            )
        if prompt is not None and path is None:
            kept = (
                "it shows conversations, so it is not kept"
                if prompt.conversations
                else f"the store has it as {prompt.id}"
            )
            notes.append(f"The candidate ({best.origin if best else ''}) was not written; {kept}.")
        return Optimization(
            inputs.name,
            inputs.student.kind,
            inputs.student.name,
            inputs.file.optimizer,
            inputs.objectives["validation"].unit,
            verdict,
            sentence,
            inputs.student.parent,
            prompt,
            comparison,
            rows_of(self.book),
            self._spend(),
            stopped,
            "" if prompt is None else difference(inputs.student.parent, prompt),
            None if path is None else str(path),
            self.run_id,
            tuple(dict.fromkeys(notes)),
            inputs.simulated,
            nothing_loss=self._nothing_loss(),
            **more,
        )

    def _looks(self) -> int:
        """How many optimizations have tested a candidate on the same items, this one among them."""
        rows = self.runtime.store.query(
            "SELECT COUNT(DISTINCT inputs_hash) AS looks FROM runs WHERE kind = ? AND inputs_hash <> ? "
            "AND json_extract(config, '$.test_sha256') = ? AND json_extract(result, '$.prompt') IS NOT NULL",
            [TASK, self.hash, self.inputs.test_hash],
        )
        return 1 + int(rows[0]["looks"])

    def _nothing_loss(self) -> float | None:
        """What flagging nothing loses, in the unit of the candidates: reviews of found targets are not in that."""
        file = self.inputs.file
        if not file.classifier or file.objective == "accuracy":
            return None
        return file.as_costs.flag_nothing_usd - 1000 * file.as_costs.prevalence * file.as_costs.review_usd

    def _provenance(self, comparison: Any) -> dict[str, Any]:
        """What stands beside the prompt; ids and hashes alone, no words of conversations."""
        inputs, file = self.inputs, self.inputs.file
        parent = inputs.student.parent
        best = chosen(self.book)
        assert best is not None
        prompt = named(best, file.prompt)
        test = {key: value for key, value in comparison.to_dict().items() if key in _OF_TEST}
        return {
            "parent": parent.id,
            "optimization": inputs.name,
            "optimizer": file.optimizer,
            "settings": dict(file.settings),
            "seed": file.seed,
            "objective": file.objective if file.classifier else "agreement",
            "dataset": {"sha256": inputs.data_hash, **(inputs.dataset or {})},
            "parts": {part: dict(counts) for part, counts in inputs.parts.counts.items()},
            "spend_usd": {name: one.usd for name, one in self._spend().items()},
            "test": {**test, "looks": self._looks()},
            "run_id": self.run_id,
            "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "llmclf": versions()["llmclf"],
            "git_sha": self.git_sha,
            "shown": sorted(prompt.shown),
            "conversations": sorted(prompt.conversations),
            "learned_from": sorted(self._learned_from() | parent.learned_from),
            "simulated": inputs.simulated,
        }

    def _learned_from(self) -> set[str]:
        """`item_hash` of each item of train and validation, of a classifier; a judge's cases have none."""
        student = self.inputs.student
        if not isinstance(student, ClassifierStudent):
            return set()
        keys = (*self.inputs.parts.train, *self.inputs.parts.validation)
        return {item_hash(student.conversation(key), student.items[key].turn) for key in keys}

    def _start(self, kind: str, inputs_hash: str) -> str:
        inputs, parent = self.inputs, self.inputs.student.parent
        self.runtime.store.put_prompt(parent.name, parent.sha256, parent.text)
        return self.runtime.store.start_run(
            kind,
            inputs_hash=inputs_hash,
            config={
                "name": inputs.name,
                inputs.student.kind: inputs.student.name,
                "file": inputs.file.model_dump(mode="json"),
                "subject": dict(inputs.subject),
                "prompt_sha256": parent.sha256,
                "test_sha256": inputs.test_hash,
                "reflection_prompt_sha256": inputs.reflection_prompt.sha256 if inputs.reflection_prompt else "",
            },
            dataset_hash=inputs.data_hash if inputs.test is None else (inputs.dataset or {})["sha256"],
            seed=inputs.file.seed,
            git_sha=self.git_sha,
            versions=versions(),
            simulated=inputs.simulated,
        )

    def _spend(self) -> dict[str, Spend]:
        return spend_of(self.runtime.store, self.inputs.file, self.hash, self.before)


_OF_TEST = (
    "verdict", "sentence", "unit", "items", "positives", "costs", "level", "dollars", "recall", "false_alarms",
    "gain", "sensitivity", "specificity", "agreement", "more_labels",
)  # fmt: skip
"""What the provenance keeps of the comparison on test: no items and no words."""


def _tokens(predictions: Predictions) -> float | None:
    """Mean input tokens of what was answered."""
    known = [one.input_tokens for one in predictions.column("usage") if one is not None and one.input_tokens]
    return sum(known) / len(known) if known else None


__all__ = ["OptimizationPlan", "optimize", "plan_optimization"]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
