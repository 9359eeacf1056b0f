"""Conversations that are empty, blank in places, damaged, or told by one side only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from llmclf.data.checks.findings import Finding, finding
from llmclf.types import Conversation, Turn

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_HALF = re.compile(r"[\ud800-\udfff]")

# What the bytes 80 to BF of UTF-8 look like after somebody read them as Windows-1252 (or Latin-1).
_CONTINUATION = "[\u0080-\u00bf" + re.escape("€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ") + "]"
_MOJIBAKE = re.compile(
    f"[ÃÂ]{_CONTINUATION}"  # é, ü, £, no-break space
    f"|â[€‚„†‡ˆ‰™][{_CONTINUATION[1:-1]}]"  # quotes, dashes, the euro
    f"|ð[Ÿ\u0090\u009f]{_CONTINUATION}{{2}}"  # emoji
    f"|(?:[Ä-ß]{_CONTINUATION}){{2}}"  # two letters of another alphabet in a row
)


def text_of(turn: Turn) -> str:
    """The turn's words; none where the text is null (which only data made in Python can have)."""
    return turn.text if isinstance(turn.text, str) else ""


def is_blank(turn: Turn) -> bool:
    """True where nothing was said, sent or done, also where the text is null."""
    return not (text_of(turn).strip() or turn.events or turn.attachments)


def content_findings(conversations: Sequence[Conversation]) -> list[Finding]:
    """Everything that is wrong with the turns of each conversation by itself."""
    empty = [conversation for conversation in conversations if all(is_blank(turn) for turn in conversation.turns)]
    empty_ids = {id(conversation) for conversation in empty}
    full = [conversation for conversation in conversations if id(conversation) not in empty_ids]
    return [
        *finding(
            "empty_conversations",
            "warning",
            [conversation.id for conversation in empty],
            "hold no turn with anything in it: crashed or lost runs. They are not negatives; "
            "leave them out of labels and rates, and find out why they are empty.",
        ),
        *_turn_findings(full),
        *_damage_findings(full),
        *finding(
            "one_speaker",
            "warning",
            [conversation.id for conversation in full if _speakers(conversation) == 1],
            "have one kind of speaker only: a side may have been lost on the way, or the speaker mapping is wrong.",
        ),
        *finding(
            "results_before_calls",
            "warning",
            [conversation.id for conversation in full if _result_before_call(conversation)],
            "hold a tool's result before the call of that tool: the turns may be out of order.",
        ),
    ]


def _turn_findings(conversations: Iterable[Conversation]) -> list[Finding]:
    null: list[str] = []
    blank: list[str] = []
    for conversation in conversations:
        for number, turn in enumerate(conversation.turns):
            if not isinstance(turn.text, str):
                null.append(f"{conversation.id}[{number}]")
            elif is_blank(turn):
                blank.append(f"{conversation.id}[{number}]")
    return [
        *finding("null_turns", "error", null, "have no text at all (null): nothing downstream can read them."),
        *finding(
            "blank_turns",
            "note",
            blank,
            "hold no words, events or attachments. They keep their number and are not shown to a model.",
        ),
    ]


def _damage_findings(conversations: Iterable[Conversation]) -> list[Finding]:
    halves, replaced, mojibake, control = [], [], [], []
    for conversation in conversations:
        for number, turn in enumerate(conversation.turns):
            text = "\n".join([text_of(turn), *(event.text for event in turn.events)])
            place = f"{conversation.id}[{number}]"
            if _CONTROL.search(text):
                control.append(place)
            if text.isascii():
                continue
            if _HALF.search(text):
                halves.append(place)
            if "\ufffd" in text:
                replaced.append(place)
            if _MOJIBAKE.search(text):
                mojibake.append(place)
    return [
        *finding(
            "half_characters",
            "error",
            halves,
            "hold half a character (a lone surrogate), as cutting text in JavaScript leaves it: "
            "it can't be stored or sent. Cut whole characters at the source.",
        ),
        *finding(
            "lost_characters",
            "warning",
            replaced,
            "hold U+FFFD: text that was already lost when it was read with the wrong encoding. Export it again.",
        ),
        *finding(
            "mojibake",
            "warning",
            mojibake,
            "look like UTF-8 that was read as Windows-1252 (Ã© for é): patterns and models miss such words. "
            "Export again as UTF-8.",
        ),
        *finding(
            "control_characters",
            "warning",
            control,
            "hold control characters other than tabs and line breaks: remains of a terminal, a tool or an attack.",
        ),
    ]


def _speakers(conversation: Conversation) -> int:
    return len({turn.speaker for turn in conversation.turns if not is_blank(turn) and turn.speaker != "system"})


def _result_before_call(conversation: Conversation) -> bool:
    calls: set[str] = set()
    later = {event.name for turn in conversation.turns for event in turn.events if event.kind == "tool_call"}
    for turn in conversation.turns:
        for event in turn.events:
            if event.kind == "tool_call":
                calls.add(event.name)
            elif event.kind == "tool_result" and event.name in later and event.name not in calls:
                return True
    return False
