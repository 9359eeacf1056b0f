"""From a candidate to a prompt, by one pure function: what is tried is what is written and served."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from llmclf.classifiers.seeing import fenced_off
from llmclf.classifiers.wording import FILLED as OF_CLASSIFIERS, example_text
from llmclf.errors import ConfigError
from llmclf.judges.wording import CASE, FILLED as OF_JUDGES
from llmclf.optimization.values import Candidate, Demonstration
from llmclf.render import Prompt, escaped
from llmclf.render.prompt import PLACEHOLDER, restricted
from llmclf.store.texts import storable

_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of what follows: nobody sees them in a file."""
_EXAMPLES = re.compile(r"(?<!\\)\{\{\s*examples\s*\}\}")
_NEEDED = (
    (("labels", "label_names"), "Labels:\n"),
    (("verdicts", "verdict_names"), "Verdicts:\n"),
    (("answer_format",), ""),
    (("examples",), ""),
)
"""Placeholders of which one must stay where the parent's instruction has one, and the words before it."""
LONGEST = 100_000
"""Characters of an instruction that is not the parent's: more is no instruction, and every request would pay for it."""


def instruction_of(prompt: Prompt) -> str:
    """The instruction of a prompt: its system part, as a template.

    ConfigError where it has no system part or several, or where the data stands in it: what is before
    the data is what can be written anew.
    """
    systems = [text for role, text in prompt.parts if role == "system"]
    where = f"prompt {prompt.name}"
    if len(systems) != 1:
        raise ConfigError(
            "a prompt that is optimized has one system part, which is written anew",
            where=where,
            got=f"{len(systems)} of them",
            fix="put the instruction under === system === and the data under === user ===",
        )
    data = _data(prompt)
    if data in Prompt(prompt.name, systems[0]).placeholders:
        raise ConfigError(f"the system part holds {{{{{data}}}}}", where=where, fix="move it under === user ===")
    return systems[0]


def prompt_of(candidate: Candidate, parent: Prompt, name: str = "") -> Prompt:
    """The prompt that asks with a candidate: `parent` with another system part. A pure function.

    Demonstrations stand literally in the place of `{{examples}}`, or at the end. Placeholders that the
    instruction lost and that the parent's has (answer format, labels or verdicts, examples) are put
    back at its end; those that nothing fills are literal. The text stays the same when it is written
    to a file and read. ConfigError where an instruction is empty, or longer than `LONGEST`.
    """
    before = instruction_of(parent)
    shown = parent.shown | {each.key for each in candidate.demonstrations}
    theirs = parent.conversations | {each.conversation_id for each in candidate.demonstrations}
    if not candidate.demonstrations and candidate.instruction == before:
        return Prompt(name or parent.name, parent.text, shown, parent.learned_from, theirs)
    too_long = candidate.instruction != before and len(candidate.instruction) > LONGEST
    instruction = "" if too_long else _mended(candidate.instruction, before, parent)
    if not instruction:
        raise ConfigError(
            f"an instruction has 1 to {LONGEST:,} characters",
            where=f"prompt {name or parent.name}",
            got=f"{len(candidate.instruction):,}",
        )
    if candidate.demonstrations:
        instruction = _with_block(instruction, _block(candidate.demonstrations))
    parts = [(role, instruction if role == "system" else text) for role, text in parent.parts]
    text = "".join(f"=== {role} ===\n{words}\n" for role, words in parts)
    return Prompt(name or parent.name, text, shown, parent.learned_from, theirs)


def _mended(instruction: str, before: str, parent: Prompt) -> str:
    if instruction != before:
        instruction = _UNSEEN.sub("", _once(instruction, before))
    filled = (OF_JUDGES if _data(parent) == CASE else OF_CLASSIFIERS) - {_data(parent)}
    mended = restricted(_normal(instruction).strip(), filled)
    has, had = Prompt("", mended).placeholders, Prompt("", before).placeholders
    for names, head in _NEEDED:
        lost = [name for name in names if name in had]
        if lost and not has.intersection(names):
            mended = f"{mended}\n\n{head}{{{{{lost[0]}}}}}"
    return mended.strip()


def _once(instruction: str, before: str) -> str:
    """No placeholder acts more often than it did before, or once: each is filled with pages of words."""
    counts = Counter[str]()
    had = Counter(PLACEHOLDER.findall(before))

    def kept(match: re.Match[str]) -> str:
        counts[match[1]] += 1
        return match[0] if counts[match[1]] <= max(1, had[match[1]]) else f"\\{match[0]}"

    return PLACEHOLDER.sub(kept, instruction)


def _with_block(instruction: str, block: str) -> str:
    """`block` on lines of its own, so that what is literal in it stays so."""
    pieces = [piece.strip("\n") for piece in _EXAMPLES.split(instruction)]
    rest = "\n".join(piece for piece in pieces[1:] if piece.strip())
    return "\n\n".join(piece for piece in (pieces[0], block, rest) if piece.strip())


def _block(demonstrations: Sequence[Demonstration]) -> str:
    """The demonstrations in words: they can neither close the tags they stand between nor act as a template."""
    texts = [(fenced_off(_normal(each.text)), fenced_off(_normal(each.answer).strip())) for each in demonstrations]
    return escaped("\n\n".join(example_text(text, answer) for text, answer in texts))


def _normal(text: str) -> str:
    """`text` as a text file gives it back: one kind of line end, and no half characters."""
    return storable(text).replace("\r\n", "\n").replace("\r", "\n")


def _data(prompt: Prompt) -> str:
    return CASE if CASE in prompt.placeholders else "conversation"
