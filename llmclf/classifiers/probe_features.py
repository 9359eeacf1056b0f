"""What the probe reads off an item: texts by who said them, words, vectors and a few counts.

A conversation is read as what the user said, what the bot (or a human agent) said, and what
happened beside the words. A turn is read as itself, the user's turn before it, and the rest of
what may be seen. The same functions serve training and use.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import get_args

import numpy as np
import numpy.typing as npt

from llmclf.embedding import DIMENSIONS, static_embedder
from llmclf.render.conversation import visible_turns
from llmclf.types import Conversation, Event, EventKind, Item, Task, Turn

Vector = npt.NDArray[np.float32]

_WORD = re.compile(r"\w[\w'’]*|[?!]+")
_BOTS = ("bot", "human_agent")
_EVENT_WORDS = 10
_LONGEST_TURN = 20_000

CONVERSATION_FIELDS = ("user", "bot")
TURN_FIELDS = ("turn", "before", "rest")
EVENT_KINDS: tuple[str, ...] = get_args(EventKind)


@dataclass(frozen=True, slots=True)
class ItemTexts:
    """The texts of one item. Each field is a list of turns, oldest first."""

    fields: Mapping[str, tuple[str, ...]]
    events: tuple[str, ...]
    """One text for each event, and for each turn of a tool or the system."""
    event_kinds: tuple[str, ...]
    position: int
    """How many turns stand before the turn asked about; for a conversation, its turns."""
    earlier_bot: tuple[str, ...] = ()
    """For a turn: what bot or agent said before it."""
    earlier_user: tuple[str, ...] = ()
    """For a turn: what the user said before `before`."""


def read_item(conversation: Conversation, task: Task, item: Item) -> ItemTexts:
    """The texts of `item`, only from turns that may be seen for `task`."""
    turns = visible_turns(conversation, task, item.turn)
    events = [event for turn in turns for event in turn.events]
    kinds = tuple(event.kind for event in events)
    event_texts = tuple(
        [_event_text(event) for event in events]
        + [_text(turn) for turn in turns if turn.speaker in ("tool", "system") and turn.text.strip()]
        + ["human_agent spoke" for turn in turns if turn.speaker == "human_agent"][:1]
    )
    if item.turn is None:
        fields = {"user": _said(turns, ("user",)), "bot": _said(turns, _BOTS)}
        return ItemTexts(fields, event_texts, kinds, len(turns))
    return _read_turn(turns, item.turn, event_texts, kinds)


def _read_turn(turns: Sequence[Turn], number: int, events: tuple[str, ...], kinds: tuple[str, ...]) -> ItemTexts:
    other = ("user",) if turns[number].speaker != "user" else _BOTS
    spoken = [n for n in range(number) if turns[n].speaker in other and turns[n].text.strip()]
    before = spoken[-1] if spoken else None
    rest = [turn for n, turn in enumerate(turns) if n not in (number, before)]
    fields = {
        "turn": (_text(turns[number]),),
        "before": () if before is None else (_text(turns[before]),),
        "rest": _said(rest, ("user", *_BOTS)),
    }
    own = _BOTS if turns[number].speaker in _BOTS else (turns[number].speaker,)
    return ItemTexts(
        fields,
        events,
        kinds,
        number,
        earlier_bot=_said(turns[:number], own),
        earlier_user=_said([turns[n] for n in spoken[:-1]], other),
    )


def _said(turns: Sequence[Turn], speakers: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_text(turn) for turn in turns if turn.speaker in speakers and turn.text.strip())


def _text(turn: Turn) -> str:
    return turn.text[:_LONGEST_TURN]


def _event_text(event: Event) -> str:
    name = re.sub(r"\W+", "_", event.name).strip("_").lower()
    return f"{event.kind} {event.kind}_{name} {event.text[:500]}"


def words_of(text: str) -> list[str]:
    """Lower-case words, with runs of ? and ! as words of their own."""
    return _WORD.findall(text.lower().replace("’", "'"))


def term_counts(texts: ItemTexts) -> dict[str, Counter[str]]:
    """Field to how often each term stands in it. A term is `field:` and one or two words.

    No pair of words reaches over two turns. Of an event the first ten words count.
    """
    counts = {field: Counter[str]() for field in (*texts.fields, "event")}
    for field, parts in texts.fields.items():
        for part in parts:
            counts[field].update(_terms(field, words_of(part)))
    for part in texts.events:
        counts["event"].update(_terms("event", words_of(part)[:_EVENT_WORDS]))
    return counts


def _terms(field: str, words: Sequence[str]) -> list[str]:
    single = [f"{field}:{word}" for word in words]
    return single + [f"{field}:{first} {second}" for first, second in pairwise(words)]


class TextVectors:
    """Vectors of texts, each made once as long as this object lives (one call of fit or predict)."""

    def __init__(self) -> None:
        self._known: dict[str, Vector] = {}

    def __call__(self, texts: Sequence[str]) -> Vector:
        """One row for each text, shape (n, 256)."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, static_embedder().embed(new), strict=True))
        if not texts:
            return np.zeros((0, DIMENSIONS), np.float32)
        return np.stack([self._known[text] for text in texts])


def embedding_features(texts: ItemTexts, vectors: TextVectors) -> Vector:
    """The mean vector of each field's turns, side by side; zeros where a field is empty."""
    return np.concatenate([_mean(vectors(parts)) for parts in texts.fields.values()])


def count_names(task: Task) -> tuple[str, ...]:
    """The names of the numbers that `count_features` gives, in order."""
    own = _TURN_COUNTS if task.unit == "turn" else _CONVERSATION_COUNTS
    return (*own, *(f"events_{kind}" for kind in EVENT_KINDS))


def count_features(texts: ItemTexts, vectors: TextVectors) -> Vector:
    """Lengths, repetitions, similarities and counts of events; names are in `count_names`."""
    own = _turn_counts(texts, vectors) if "turn" in texts.fields else _conversation_counts(texts, vectors)
    kinds = Counter(texts.event_kinds)
    return np.array([*own, *(np.log1p(kinds[kind]) for kind in EVENT_KINDS)], np.float32)


_TURN_COUNTS = (
    "log_words",
    "log_words_before",
    "log_position",
    "similar_to_before",
    "similar_to_an_earlier_own",
    "similar_to_the_last_own",
    "similar_to_an_earlier_user",
    "before_similar_to_an_earlier_user",
    "repeats_itself",
    "shared_words",
    "words_from_before",
    "words_seen_before",
    "distinct_words",
    "similar_to_rest",
    "asks",
    "before_asks",
    "nothing_before",
)


def _turn_counts(texts: ItemTexts, vectors: TextVectors) -> list[float]:
    turn = texts.fields["turn"][0]
    before = texts.fields["before"][0] if texts.fields["before"] else ""
    own, other = vectors([turn, before])
    earlier_own, earlier_user = vectors(texts.earlier_bot), vectors(texts.earlier_user)
    words, words_before = words_of(turn), words_of(before)
    here, there = set(words), set(words_before)
    seen = {word for part in (*texts.earlier_bot, *texts.earlier_user, before) for word in words_of(part)}
    return [
        float(np.log1p(len(words))),
        float(np.log1p(len(words_before))),
        float(np.log1p(texts.position)),
        float(own @ other),
        _highest(earlier_own, own),
        float(earlier_own[-1] @ own) if len(earlier_own) else 0.0,
        max(_highest(earlier_user, own), float(own @ other)),
        _highest(earlier_user, other),
        float(turn in texts.earlier_bot),
        len(here & there) / max(1, len(here | there)),
        len(here & there) / max(1, len(here)),
        len(here & seen) / max(1, len(here)),
        len(here) / max(1, len(words)),
        float(_mean(vectors(texts.fields["rest"])) @ own),
        float("?" in turn),
        float("?" in before),
        float(not before),
    ]


_CONVERSATION_COUNTS = (
    "log_turns",
    "log_user_turns",
    "log_bot_turns",
    "log_user_words_a_turn",
    "log_bot_words_a_turn",
    "user_asks",
    "user_exclaims",
    "bot_asks",
    "user_repeats",
    "bot_repeats",
    "bot_says_the_same",
    "user_like_bot",
)


def _conversation_counts(texts: ItemTexts, vectors: TextVectors) -> list[float]:
    user, bot = texts.fields["user"], texts.fields["bot"]
    user_vectors, bot_vectors = vectors(user), vectors(bot)
    return [
        float(np.log1p(texts.position)),
        float(np.log1p(len(user))),
        float(np.log1p(len(bot))),
        float(np.log1p(_words_a_turn(user))),
        float(np.log1p(_words_a_turn(bot))),
        _share(user, "?"),
        _share(user, "!"),
        _share(bot, "?"),
        _repetition(user_vectors),
        _repetition(bot_vectors),
        1.0 - len(set(bot)) / len(bot) if bot else 0.0,
        float(_mean(user_vectors) @ _mean(bot_vectors)),
    ]


def _mean(vectors: Vector) -> Vector:
    return vectors.mean(axis=0) if len(vectors) else np.zeros(DIMENSIONS, np.float32)


def _highest(vectors: Vector, own: Vector) -> float:
    return float((vectors @ own).max()) if len(vectors) else 0.0


def _repetition(vectors: Vector) -> float:
    """The highest similarity of two turns of one side that are not empty."""
    if len(vectors) < 2:
        return 0.0
    similar = vectors @ vectors.T
    np.fill_diagonal(similar, -1.0)
    return float(similar.max())


def _words_a_turn(parts: Sequence[str]) -> float:
    return sum(len(words_of(part)) for part in parts) / len(parts) if parts else 0.0


def _share(parts: Sequence[str], mark: str) -> float:
    return sum(mark in part for part in parts) / len(parts) if parts else 0.0
