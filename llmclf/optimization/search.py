"""A search for a better prompt: the parent first, then the optimizer, until it is done or money for it ends."""

from __future__ import annotations

from collections.abc import Callable

from llmclf.config import OptimizationFile
from llmclf.errors import ConfigError, LlmclfError
from llmclf.llm.model import Model
from llmclf.llm.runtime import Runtime
from llmclf.optimization.book import Book, Step, Stopped
from llmclf.optimization.dspy_parts import aloud, load_dspy, quiet
from llmclf.optimization.engine import Reflection
from llmclf.optimization.optimizers import check_optimizer, compile_with
from llmclf.optimization.program import Desk
from llmclf.optimization.reflection import check_prompt
from llmclf.optimization.values import Student
from llmclf.render import Prompt, load_prompt

_END_SECONDS = 150.0  # more than a call may take, retries included


def search(
    file: OptimizationFile,
    student: Student,
    book: Book,
    *,
    reflection: Runtime | None,
    on_step: Callable[[Step], None] | None = None,
) -> str:
    """Fills the book with candidates and what was answered with them; why it stopped early, or "".

    The same file, parts and answers give the same search: run again over the same store, it asks only for what is
    missing there. `reflection` is the Runtime of the reflection model, whose calls are counted in `book.reflection`.
    `on_step` is told of each answer, on whatever thread. Nothing of dspy is written or configured, and nothing that
    it prints reaches the process's output (see `dspy_parts.quiet`).

    Raises, before anything is asked, ConfigError for an optimizer or settings that can't be used, and for a
    reflection prompt that is missing or names what nothing fills; later LlmclfError where the optimizer itself broke
    before it had tried anything in full (afterwards that is why it stopped).
    """
    problems = check_optimizer(file, len(student.labels))
    if problems:
        raise ConfigError("the optimizer can't be used", where=f"optimizer {file.optimizer}", problems=problems)
    model, prompt = reflection_of(file, reflection)
    asked = None
    if reflection is not None and model is not None and prompt is not None:
        reflection.check([model])
        reflection.store.put_prompt(prompt.name, prompt.sha256, prompt.text)
        asked = Reflection(reflection, model, book.reflection)
    load_dspy()
    book.on_step = None if on_step is None else _heard(on_step)
    book.batch = max(8, file.concurrency)
    desk, why = Desk(book, file), ""
    with quiet():
        try:
            book.ask_part(book.parent.candidate, "validation")
            compile_with(desk, asked, prompt)
        except Stopped as stopped:
            why, failure = stopped.why, desk.failure
        except LlmclfError as error:
            worthless = len(book.complete()) < 2  # nothing was found that would be worth keeping
            why, failure = error.message, error if worthless else None
        else:
            failure = None
        finally:
            desk.end()
            book.on_step = None
        book.end(_END_SECONDS)  # threads that dspy leaves behind may still be asking
    if failure is not None:
        raise failure from None
    return why


def reflection_of(file: OptimizationFile, runtime: Runtime | None) -> tuple[Model | None, Prompt | None]:
    """The reflection model and the prompt that `gepa` asks it with; ConfigError where the prompt can't be used."""
    said = file.reflection
    if said is None:
        return None, None
    if runtime is None:
        raise ConfigError("the file has a reflection model, and there is no runtime to ask it through")
    prompt = load_prompt(said.prompt, runtime.workspace)
    check_prompt(prompt)
    return Model(said.model, said.thinking, said.temperature, said.max_output_tokens), prompt


def _heard(on_step: Callable[[Step], None]) -> Callable[[Step], None]:
    def told(step: Step) -> None:
        with aloud():
            on_step(step)

    return told
