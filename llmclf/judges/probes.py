"""The same case shown in another way: a judge that is fair says the same of it.

`swapped`: the verdicts stand in the reverse order in the prompt, and where a case shows `a` and `b` these two are
exchanged; a verdict that is called `a` or `first` is then read as `b` or `second`, and the other way round.
`padded`: words that say nothing are appended to the last text of the rubric's `sees` that is no `label` (of `a` and
`b` whichever stands last; where it is the conversation: the turn asked about, or the last one of the bot).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from llmclf.types import Case, Conversation, Label, Rubric
from llmclf.types.judgment import Probe

FILLER = (
    " To say it in other words, what stands above is what was meant, no more and no less; it has been put down here "
    "in full, and whoever reads it will find that nothing was added to it and nothing was taken away from it."
)
"""Words that change nothing."""
_MOST_FILLERS = 4
_TWINS = {"a": "b", "b": "a", "first": "second", "second": "first"}


def shown_verdicts(rubric: Rubric, probe: Probe) -> Sequence[Label]:
    """The verdicts in the order in which a prompt lists them."""
    return rubric.verdicts[::-1] if probe == "swapped" else rubric.verdicts


def shown_case(case: Case, rubric: Rubric, probe: Probe) -> Case:
    """The case as a probe shows it."""
    if probe == "swapped" and is_choice(rubric):
        return replace(case, shown={**case.shown, "a": case.shown["b"], "b": case.shown["a"]})
    name = padded_name(rubric)
    if probe == "padded" and name != "conversation":
        return replace(case, shown={**case.shown, name: padded(case.shown[name])})
    return case


def shown_conversation(conversation: Conversation, case: Case, rubric: Rubric, probe: Probe) -> Conversation:
    """The conversation as a probe shows it."""
    if probe != "padded" or padded_name(rubric) != "conversation":
        return conversation
    turns = list(conversation.turns)
    spoken = [number for number, turn in enumerate(turns) if turn.text]
    bot = [number for number in spoken if turns[number].speaker == "bot"]
    if case.turn is None and not spoken:
        return conversation
    place = case.turn if case.turn is not None else (bot or spoken)[-1]
    turns[place] = replace(turns[place], text=padded(turns[place].text))
    return replace(conversation, turns=tuple(turns))


def meant(verdict: str, rubric: Rubric, probe: Probe) -> str:
    """The verdict about the case as it is, from one about the case as `probe` showed it."""
    twin = _TWINS.get(verdict)
    return twin if probe == "swapped" and is_choice(rubric) and twin in rubric.names else verdict


def padded_name(rubric: Rubric) -> str:
    """What gets empty words: the last of what the rubric sees; a label is a name, and gets none while there is more."""
    return next((name for name in reversed(rubric.sees) if name != "label"), "label")


def is_choice(rubric: Rubric) -> bool:
    """True where a case shows two answers to choose between."""
    return "a" in rubric.sees and "b" in rubric.sees


def padded(text: str) -> str:
    """`text` with words that say nothing after it: about as many again, one to four sentences.

    >>> padded("Yes.").startswith("Yes. To say it in other words")
    True
    """
    count = min(max(1, round(len(text) / len(FILLER))), _MOST_FILLERS)
    return (text.rstrip() + FILLER * count).lstrip()
