"""The keyword classifier: patterns for each label. The honest baseline everything else must beat."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, get_args

from llmclf.classifiers.base import Classifier
from llmclf.classifiers.items import conversation_of, holds_nothing, rest_label
from llmclf.errors import ConfigError, nearest
from llmclf.render.conversation import visible_turns
from llmclf.types import Conversation, EventKind, Evidence, Item, Prediction, Predictions, Task, Turn

_LONGEST_TURN = 20_000
"""Characters of a turn that are searched: bounds what one slow pattern can cost."""
_LONGEST_QUOTE = 200
_ANSWERING = ("bot", "human_agent")
_EVENT_KINDS: tuple[str, ...] = get_args(EventKind)


@dataclass(frozen=True, slots=True)
class KeywordRule:
    """One rule. Patterns are Python regular expressions, searched without regard to case.

    With `user` alone or `bot` alone, one turn of that side must match. With both, a user's turn
    must match and then, among the next `within` turns, one of the bot's. The `unless_` parts veto:
    nothing of the kind may stand in that reach. So "asks for a person and is not transferred" is
    `user=[...], unless_event=["transfer"], unless_bot=["transferring you"]`; as nobody can refuse
    who was never asked to reply, such a rule needs a turn of the bot in reach.
    """

    label: str
    user: tuple[str, ...] = ()
    """Any of these must match a turn of the user."""
    bot: tuple[str, ...] = ()
    """Any of these must match a turn of the bot; with `user`, a later one."""
    within: int = 2
    """Reach: so many turns with words after the matching one; turns of tools and the system don't count."""
    unless_bot: tuple[str, ...] = ()
    """No match where a turn of the bot within reach matches one of these."""
    unless_event: tuple[str, ...] = ()
    """No match where one of these events (`transfer`, ...) stands within reach. A human agent who
    speaks is a transfer."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):
                object.__setattr__(self, field.name, tuple(value))


class KeywordClassifier(Classifier):
    """Gives the label of the first rule that matches, else the clean label. Learns nothing.

    The score is 1.0 where that label is the target and 0.0 otherwise. Evidence quotes what matched,
    with white space collapsed; the rationale names the rule by its number, from 0. For a task about
    turns a rule counts only where the turn asked about is part of the match.

    Of each turn the first 20,000 characters are searched. A pattern that backtracks without end
    will still be slow on those: keep patterns simple.
    """

    kind = "keyword"

    def __init__(
        self,
        task: Task,
        rules: Sequence[KeywordRule | Mapping[str, Any]],
        *,
        name: str = "",
        threshold: float | None = 0.5,
    ) -> None:
        super().__init__(task, name=name, threshold=threshold)
        self.rules = tuple(rule if isinstance(rule, KeywordRule) else KeywordRule(**rule) for rule in rules)
        self._compiled = tuple(_Compiled.of(rule) for rule in self._checked())

    @property
    def settings(self) -> Mapping[str, Any]:
        """The rules, as JSON types."""
        names = [field.name for field in fields(KeywordRule)]
        return {"rules": [{name: _plain(getattr(rule, name)) for name in names} for rule in self.rules]}

    def predict(self, conversations: Mapping[str, Conversation], items: Sequence[Item]) -> Predictions:
        """One prediction for each item, in order."""
        classifier_id = self.id
        return Predictions(self._prediction(conversations, item, classifier_id) for item in items)

    def _prediction(self, conversations: Mapping[str, Conversation], item: Item, classifier_id: str) -> Prediction:
        started = time.perf_counter()
        conversation = conversation_of(conversations, item)
        if holds_nothing(conversation, self.task, item):
            return self.failed(item, self.empty_error)
        heard = _Heard.of(visible_turns(conversation, self.task, item.turn))
        label, evidence, rationale = self._first_match(heard, item.turn)
        score = 1.0 if label == self.task.target else 0.0
        return Prediction(
            item.conversation_id,
            classifier_id,
            self.task.name,
            turn=item.turn,
            label=label,
            flagged=score >= self.threshold if self.threshold is not None else label == self.task.target,
            score=score,
            score_method="keyword",
            threshold=self.threshold,
            evidence=evidence,
            rationale=rationale,
            latency_seconds=time.perf_counter() - started,
            route="keyword",
        )

    def _first_match(self, heard: _Heard, asked: int | None) -> tuple[str, tuple[Evidence, ...], str]:
        for number, compiled in enumerate(self._compiled):
            found = compiled.match(heard, asked)
            if found is not None:
                label = compiled.rule.label
                return label, found, f"rule {number} ({label}) matches"
        return rest_label(self.task), (), "no rule matches"

    def _checked(self) -> tuple[KeywordRule, ...]:
        problems = [problem for number, rule in enumerate(self.rules) for problem in self._problems(number, rule)]
        if not self.rules:
            problems.append("there is no rule")
        if problems:
            raise ConfigError("keyword rules can't be used", where=self.name, problems=problems)
        return self.rules

    def _problems(self, number: int, rule: KeywordRule) -> Iterator[str]:
        place = f"rules[{number}]"
        if rule.label not in self.task.label_names:
            yield f"{place}.label: {rule.label!r} is not a label of the task: {', '.join(self.task.label_names)}"
        if not (rule.user or rule.bot):
            yield f"{place}: needs `user` or `bot` patterns"
        if rule.within < 1:
            yield f"{place}.within: must be 1 or more; got {rule.within}"
        for kind in rule.unless_event:
            if kind not in _EVENT_KINDS:
                yield f"{place}.unless_event: {kind!r} is not an event; {nearest(kind, _EVENT_KINDS)}"
        for key in ("user", "bot", "unless_bot"):
            if isinstance(getattr(rule, key), str):
                yield f"{place}.{key}: must be a list of patterns; got one text"
                continue
            for pattern in getattr(rule, key):
                try:
                    re.compile(pattern)
                except re.error as error:
                    yield f"{place}.{key}: {pattern!r} is not a regular expression: {error}"


@dataclass(frozen=True)
class _Heard:
    """The turns of an item, made ready to search."""

    turns: tuple[Turn, ...]
    texts: tuple[str, ...]
    """Words with white space collapsed, as a transcript shows them."""

    @classmethod
    def of(cls, turns: tuple[Turn, ...]) -> _Heard:
        return cls(turns, tuple(" ".join(turn.text[:_LONGEST_TURN].split()) for turn in turns))

    def reach(self, start: int, within: int) -> range:
        """The turns after `start` up to and with the `within`th that has words, and events right after it."""
        left = within
        for number in range(start + 1, len(self.turns)):
            if self.turns[number].speaker in ("user", *_ANSWERING) and self.texts[number]:
                if left == 0:
                    return range(start + 1, number)
                left -= 1
        return range(start + 1, len(self.turns))


@dataclass(frozen=True)
class _Compiled:
    """A rule with its patterns compiled."""

    rule: KeywordRule
    user: tuple[re.Pattern[str], ...]
    bot: tuple[re.Pattern[str], ...]
    unless_bot: tuple[re.Pattern[str], ...]

    @classmethod
    def of(cls, rule: KeywordRule) -> _Compiled:
        user, bot, unless_bot = (
            tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)
            for patterns in (rule.user, rule.bot, rule.unless_bot)
        )
        return cls(rule, user, bot, unless_bot)

    def match(self, heard: _Heard, asked: int | None) -> tuple[Evidence, ...] | None:
        """The quotes of the first match that holds and, for a turn task, has to do with turn `asked`."""
        first, speakers = (self.user, ("user",)) if self.user else (self.bot, ("bot",))
        for number, turn in enumerate(heard.turns):
            quote = _search(first, heard.texts[number]) if turn.speaker in speakers else None
            if quote is None:
                continue
            reach = heard.reach(number, self.rule.within)
            if self._vetoed(heard, number, reach):
                continue
            answer = self._answer(heard, reach, asked) if self.user and self.bot else None
            if self.user and self.bot and answer is None:
                continue
            if asked is not None and answer is None and asked != number and not (self.user and asked in reach):
                continue
            return (Evidence(quote, number), *((answer,) if answer else ()))
        return None

    def _answer(self, heard: _Heard, reach: range, asked: int | None) -> Evidence | None:
        for number in reach if asked is None else [n for n in reach if n == asked]:
            quote = _search(self.bot, heard.texts[number]) if heard.turns[number].speaker == "bot" else None
            if quote is not None:
                return Evidence(quote, number)
        return None

    def _vetoed(self, heard: _Heard, start: int, reach: range) -> bool:
        if not (self.rule.unless_bot or self.rule.unless_event):
            return False
        replies = [n for n in reach if heard.turns[n].speaker in _ANSWERING]
        if self.user and not replies:
            return True
        if any(_search(self.unless_bot, heard.texts[n]) for n in replies):
            return True
        return any(kind in self.rule.unless_event for n in (start, *reach) for kind in _kinds(heard.turns[n]))


def _kinds(turn: Turn) -> list[str]:
    spoke = ["transfer"] if turn.speaker == "human_agent" else []
    return [event.kind for event in turn.events] + spoke


def _search(patterns: Sequence[re.Pattern[str]], text: str) -> str | None:
    """The sentence around the first match of any of the patterns."""
    for pattern in patterns if text else ():
        found = pattern.search(text)
        if found:
            return _sentence(text, found.start(), found.end())
    return None


def _sentence(text: str, start: int, end: int) -> str:
    left = max((text.rfind(mark, 0, start) + 2 for mark in (". ", "? ", "! ")), default=0)
    left = left if left > 1 else 0
    stops = [at + 1 for at in (text.find(mark, max(end - 1, start)) for mark in ".?!") if at >= 0]
    right = min(stops, default=len(text))
    if max(right, end) - left > _LONGEST_QUOTE:
        return text[start : min(end, start + _LONGEST_QUOTE)] or text[:_LONGEST_QUOTE]
    return text[left : max(right, end)]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
