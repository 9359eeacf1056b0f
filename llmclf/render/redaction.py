"""Personal data out of conversations, before they are sent and before they are stored."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

from llmclf.errors import ConfigError, nearest
from llmclf.render.redaction_names import Introduction, full_name_pattern, introductions, part_patterns
from llmclf.render.redaction_patterns import (
    KINDS,
    NOT_INSIDE,
    PLACEHOLDER,
    Kind,
    Word,
    may_hold_any,
    replace_patterns,
)
from llmclf.types import Conversation, Event, Turn

When = Literal["off", "sending", "storing", "both"]
_HIGHEST_NUMBER = 9_999  # a text that names a higher one made it up; numbering does not follow it


class Memory:
    """What the placeholders of one conversation stand for: the same value gets the same placeholder.

    It holds the personal data itself, so it stays in this process and is never written anywhere.
    """

    def __init__(self) -> None:
        self._placeholders: dict[tuple[Word, str], str] = {}
        self._numbers: dict[str, int] = {}
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}  # in plain form to as it was written
        self._people: dict[tuple[str, ...], str] = {}  # name or part of one, in plain form, to placeholder
        self._values: list[str] = []
        self._names_pattern: re.Pattern[str] | None = None
        self._values_pattern: re.Pattern[str] | None = None

    def __len__(self) -> int:
        """How many different values have a placeholder."""
        return len(self._placeholders)

    @property
    def is_empty(self) -> bool:
        """True where nothing is known of the conversation yet."""
        return not (self._numbers or self._names or self._values)

    def placeholder(self, word: Word, key: str) -> str:
        """The placeholder of a value, a new one where it was not seen before."""
        known = self._placeholders.get((word, key))
        if known is None:
            number = self._numbers[word] = self._numbers.get(word, 0) + 1
            known = self._placeholders[word, key] = f"[{word}_{number}]"
        return known

    def reserve(self, text: str) -> None:
        """Keeps the numbers of placeholders that stand in `text` already, so that none is given twice."""
        if "[" in text:
            for word, digits in PLACEHOLDER.findall(text):
                if int(digits) <= _HIGHEST_NUMBER:
                    self._numbers[word] = max(self._numbers.get(word, 0), int(digits))

    def add_name(self, words: Sequence[str]) -> str:
        """The placeholder of a person; "Ana" and "Ana Kowalska" are one."""
        key = _name_key(words)
        if key in self._names:
            return self._people[key]
        same = (known for known in self._names if set(known) <= set(key) or set(key) <= set(known))
        person = next(same, None)
        made = self.placeholder("NAME", " ".join(key)) if person is None else self._people[person]
        self._names[key] = tuple(words)
        self._people[key] = made
        for part in key:
            self._people.setdefault((part,), made)
        names = sorted(self._names.values(), key=len, reverse=True)
        full = [full_name_pattern(name) for name in names if len(name) > 1]
        self._names_pattern = _any_of([*full, *(pattern for name in names for pattern in part_patterns(name))])
        return made

    def add_value(self, value: str) -> None:
        """A value of personal metadata: replaced wherever it stands, in any case, as a whole word."""
        if len(value.strip()) > 1 and value not in self._values:
            self._values.append(value)
            self._values_pattern = literals_pattern(self._values)

    def replace_values(self, text: str) -> str:
        """`text` with the values of `add_value` replaced."""
        return self.replace_literals(text, self._values_pattern, "PERSONAL")

    def replace_literals(self, text: str, pattern: re.Pattern[str] | None, word: Word) -> str:
        """`text` with what a `literals_pattern` finds replaced."""
        if pattern is None:
            return text

        def replaced(match: re.Match[str]) -> str:
            return match[0] if match["keep"] else self.placeholder(word, " ".join(match[0].casefold().split()))

        return pattern.sub(replaced, text)

    def replace_names(self, text: str, introduced: Sequence[Introduction]) -> str:
        """`text` with the names that it introduces, and all known ones, replaced."""
        out: list[str] = []
        done = 0
        for introduction in introduced:
            out += [text[done : introduction.start], self.add_name(introduction.words)]
            done = introduction.end
        text = "".join([*out, text[done:]])
        return text if self._names_pattern is None else self._names_pattern.sub(self._name, text)

    def _name(self, match: re.Match[str]) -> str:
        if match["keep"]:
            return match[0]
        key = _name_key(match[0].split())
        return self._people.get(key) or self.placeholder("NAME", " ".join(key))


@dataclass(frozen=True, slots=True)
class Redacted:
    """A conversation without personal data."""

    conversation: Conversation
    mapping_count: int
    """How many different values have a placeholder."""


@dataclass(frozen=True)
class Redaction:
    """What counts as personal in a conversation, and when it is taken out.

    Each value becomes a placeholder such as `[PHONE_1]`; within one conversation the same value has
    the same placeholder. Found are e-mail addresses, phone numbers, payment cards (13 to 19 digits
    that pass the Luhn check), IBANs (check digits), IP addresses, ids of the kind of a US social
    security number, and names that somebody introduces ("my name is Ana Kowalska", "Dear Ana");
    once introduced, a name is replaced wherever it stands. What nothing introduces can't be known:
    give it in `names`, `metadata_keys` or `custom`.

    Out of scope: digits that are spoken or spelled ("four one one one"), "ana at example dot com",
    postal addresses, and what a picture or a recording shows.

    Redacting twice changes nothing. `redact` always redacts; whoever sends or stores asks
    `before_sending` and `before_storing` first.

    >>> Redaction().redact_text("I'm called Ana, ring +1 555 010 0199. Thanks, Ana")
    "I'm called [NAME_1], ring [PHONE_1]. Thanks, [NAME_1]"
    """

    when: When = "both"
    kinds: tuple[Kind, ...] = KINDS
    names: tuple[str, ...] = ()
    """Names (or any other words) to replace wherever they stand, in any case."""
    metadata_keys: tuple[str, ...] = ()
    """Metadata fields whose values are personal: replaced in every text, and left out of metadata."""
    custom: Callable[[str], str] | None = None
    """Your own, applied to every text first. Twice must be the same as once."""

    def __post_init__(self) -> None:
        problems = [
            f"kinds: {kind!r} is unknown; {nearest(str(kind), KINDS)}" for kind in self.kinds if kind not in KINDS
        ]
        if self.when not in get_args(When):
            problems.append(f"when: {self.when!r} is unknown; {nearest(str(self.when), get_args(When))}")
        if isinstance(self.names, str) or isinstance(self.metadata_keys, str):
            problems.append("names and metadata_keys are lists of texts, not one text")
        if problems:
            raise ConfigError("the redaction can't be used", where="privacy", problems=problems)

    @property
    def before_sending(self) -> bool:
        """True where conversations are redacted before a model sees them."""
        return self.when in ("sending", "both")

    @property
    def before_storing(self) -> bool:
        """True where texts are redacted before they reach the store."""
        return self.when in ("storing", "both")

    def redact(self, conversation: Conversation, memory: Memory | None = None) -> Redacted:
        """The conversation with words, events and speaker ids redacted, and personal metadata left out.

        The id stays, so it should not be personal itself; so do other metadata, times and attachments.
        """
        memory = Memory() if memory is None else memory
        self._learn_metadata(conversation.metadata, memory)
        known = _texts(conversation)
        redacted = self.redact_texts(known, memory)
        if redacted == known and not any(key in conversation.metadata for key in self.metadata_keys):
            return Redacted(conversation, len(memory))
        texts = iter(redacted)
        turns = tuple(_with_texts(turn, texts) for turn in conversation.turns)
        kept = {key: value for key, value in conversation.metadata.items() if key not in self.metadata_keys}
        return Redacted(replace(conversation, turns=turns, metadata=kept), len(memory))

    def redact_text(self, text: str, memory: Memory | None = None) -> str:
        """One text redacted, with what `memory` knows of its conversation."""
        return self.redact_texts([text], memory)[0]

    def redact_texts(self, texts: Iterable[str], memory: Memory | None = None) -> list[str]:
        """Texts of one conversation redacted together: a name that one introduces is replaced in all."""
        memory = Memory() if memory is None else memory
        known = [self._customised(text) for text in texts]
        if memory.is_empty and self._finds_nothing(known):
            return known
        for text in known:
            memory.reserve(text)
        while True:
            redacted = self._pass(known, memory)
            if redacted == known:
                return redacted
            known = redacted  # what was replaced may have uncovered more; each pass leaves less to find

    def _finds_nothing(self, texts: list[str]) -> bool:
        """True where a quick look at all texts together shows that there is nothing to replace, as in most."""
        joined = "\0".join(texts)
        if self.names or ("[" in joined and PLACEHOLDER.search(joined)) or may_hold_any(joined):
            return False
        return "name" not in self.kinds or not any(introductions([joined]))

    def _pass(self, texts: list[str], memory: Memory) -> list[str]:
        kinds = frozenset(self.kinds)
        texts = [memory.replace_literals(text, self._names_pattern, "NAME") for text in texts]
        texts = [replace_patterns(memory.replace_values(text), kinds, memory.placeholder) for text in texts]
        introduced = introductions(texts) if "name" in kinds else [[] for _ in texts]
        for names in introduced:
            for name in names:
                memory.add_name(name.words)
        return [memory.replace_names(text, names) for text, names in zip(texts, introduced, strict=True)]

    @cached_property
    def _names_pattern(self) -> re.Pattern[str] | None:
        return literals_pattern(self.names) if self.names else None

    def _customised(self, text: str) -> str:
        if self.custom is None or not text:
            return text
        try:
            redacted = self.custom(text)
        except Exception as error:  # whatever it was, the text must not go on unredacted
            raise ConfigError(
                f"your own redaction failed: {type(error).__name__}", where="Redaction.custom", fix="mend the function"
            ) from error
        if not isinstance(redacted, str):
            raise ConfigError(
                "your own redaction must return text", where="Redaction.custom", got=type(redacted).__name__
            )
        return redacted

    def _learn_metadata(self, metadata: Mapping[str, str | int | float | bool | None], memory: Memory) -> None:
        for key in self.metadata_keys:
            value = metadata.get(key)
            if value is None or isinstance(value, bool):
                continue
            words = str(value).split()
            if "name" in key.casefold() and all(word.strip(".-'’").isalpha() for word in words) and words:
                memory.add_name(words)
            else:
                memory.add_value(str(value))


def literals_pattern(values: Iterable[str]) -> re.Pattern[str]:
    """A regular expression for any of the values as whole words, in any case, the longest first."""
    longest_first = sorted(values, key=len, reverse=True)
    return _any_of([_literal_pattern(value.strip()) for value in longest_first if value.strip()], re.IGNORECASE)


def _literal_pattern(value: str) -> str:
    words = r"\s+".join(re.escape(word) for word in value.split())
    start = NOT_INSIDE if value[0].isalnum() else ""
    end = r"(?![^\W_])" if value[-1].isalnum() else ""
    return f"{start}{words}{end}"


def _any_of(patterns: Iterable[str], flags: int = 0) -> re.Pattern[str]:
    return re.compile("|".join([rf"(?P<keep>{PLACEHOLDER.pattern})", *dict.fromkeys(patterns)]), flags)


def _name_key(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(word.rstrip(".").casefold() for word in words)


def _texts(conversation: Conversation) -> list[str]:
    texts = []
    for turn in conversation.turns:
        texts += [turn.text, turn.speaker_id or ""]
        for event in turn.events:
            texts += [event.name, event.text]
    return texts


def _with_texts(turn: Turn, texts: Iterable[str]) -> Turn:
    """The turn with the texts that `_texts` took from it, in the same order."""
    take = iter(texts)
    text, speaker_id = next(take), next(take)
    events = tuple(Event(event.kind, next(take), next(take)) for event in turn.events)
    return replace(turn, text=text, speaker_id=speaker_id or turn.speaker_id, events=events)


__all__ = ["KINDS", "Kind", "Memory", "Redacted", "Redaction", "When"]
