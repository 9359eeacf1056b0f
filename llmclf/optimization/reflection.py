"""The proposer of instructions for GEPA: one request to the reflection model, with a prompt file of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmclf.errors import ConfigError, ModelError
from llmclf.llm.answers import json_object, usable_text
from llmclf.llm.model import Message, Output
from llmclf.optimization.engine import Reflection
from llmclf.render import Prompt

LONGEST = 20_000
"""Characters of an instruction."""
FILLED = frozenset({"text", "instruction", "examples", "placeholders", "answer_format"})
"""What such a prompt's placeholders may name."""
_FORM = 'Answer with one JSON object and nothing else: {"instruction": "the whole new instruction"}'
_SCHEMA = {
    "type": "object",
    "properties": {"instruction": {"type": "string"}},
    "required": ["instruction"],
    "additionalProperties": False,
}


class Proposer:
    """Writes a new instruction from what the present one led to; called by GEPA.

    A call that fails, or an answer that can't be read, leaves the instruction as it is and is counted.
    Raises Stopped where the budget of the reflection model has no room for the request, or several in a row came to
    nothing.
    """

    def __init__(self, reflection: Reflection, prompt: Prompt, text: str) -> None:
        self.reflection = reflection
        self.prompt = prompt
        self.text = text
        """What the student reads: `conversation` or `case`."""

    def __call__(
        self,
        candidate: Mapping[str, str],
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: Sequence[str],
    ) -> dict[str, str]:
        """The new instruction of each component (we have one)."""
        return {name: self.proposed(candidate[name], reflective_dataset.get(name, ())) for name in components_to_update}

    def proposed(self, instruction: str, examples: Sequence[Mapping[str, Any]]) -> str:
        """The new instruction, or the old one where the model gave none."""
        where = self.reflection.model.id
        try:
            response = self.reflection.respond(
                self.messages(instruction, examples), Output("json", schema=_SCHEMA), prompt_id=self.prompt.id
            )
        except ModelError:
            return instruction  # counted where it failed
        written, wrong = None, ""
        try:
            text, _ = usable_text(response, where)
            written = json_object(text, where).get("instruction")
        except ModelError as error:
            wrong = error.what  # not what was got: it may quote a conversation
        if not isinstance(written, str) or not written.strip():
            self.reflection.count_read(wrong or "no words under `instruction`")
            return instruction
        if len(written) > LONGEST:
            self.reflection.count_read(f"an instruction of {len(written):,} characters, more than {LONGEST:,}")
            return instruction
        self.reflection.count_read()
        return written.strip()

    def messages(self, instruction: str, examples: Sequence[Mapping[str, Any]]) -> list[Message]:
        """What the reflection model is asked, from GEPA's records of examples."""
        kept = [f"{{{{{name}}}}}" for name in sorted(Prompt("", instruction).placeholders)]
        values = {
            "text": self.text,
            "instruction": _barred(instruction),
            "examples": "\n\n".join(self._shown(number, one) for number, one in enumerate(examples, 1)),
            "placeholders": ", ".join(kept) or "(there are none)",
            "answer_format": _FORM,
        }
        return [Message(role, text) for role, text in self.prompt.fill(values)]  # type: ignore[arg-type]

    def _shown(self, number: int, example: Mapping[str, Any]) -> str:
        outputs = example.get("Generated Outputs")
        given = outputs if isinstance(outputs, Mapping) else {"answer": str(outputs)}
        said = "\n".join(f"{name}: {value}" for name, value in given.items() if value)
        return (
            f"Example {number}, its {self.text}:\n{_barred(str(example['Inputs'][self.text]))}\n"
            f"The answer that was given:\n{_barred(said)}\n"
            f"Feedback:\n{_barred(str(example['Feedback']))}"
        )


def check_prompt(prompt: Prompt) -> None:
    """ConfigError where a reflection prompt names what nothing fills, or lacks what it is about."""
    prompt.fill(dict.fromkeys(FILLED, ""))
    missing = sorted({"instruction", "examples"} - prompt.placeholders)
    if missing:
        raise ConfigError(
            f"the prompt must hold {' and '.join(f'{{{{{name}}}}}' for name in missing)}",
            where=f"prompt {prompt.name}",
        )


def _barred(text: str) -> str:
    """Each line behind a bar, so that no line of a conversation can pass for one of ours."""
    return "\n".join(f"| {line}" for line in text.splitlines())
