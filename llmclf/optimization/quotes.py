"""Whose words stand in an instruction that a model wrote: so that `store forget` can reach them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from llmclf.data.checks.duplicates import words_of
from llmclf.optimization.values import Instance

WORDS = 8
"""So many words in a row, as a conversation has them, are a quote."""
MOST = 10
"""What more conversations than this have alike is nobody's: a bot's greeting, the frame of a case."""


class Quotes:
    """Finds the conversations that a text quotes, among those of some instances.

    A quote is `WORDS` words in a row that the conversation and at most `MOST` in all have, and `known` (the parent's
    instruction) has not, whatever their case and punctuation. Paraphrases, and shorter quotes, are not found.
    """

    def __init__(self, instances: Iterable[Instance], known: str) -> None:
        self._instances = tuple(instances)
        self._known = set(_runs(known))
        self._homes: dict[tuple[str, ...], set[str]] = {}

    def of(self, text: str) -> frozenset[str]:
        """Ids of the conversations that `text` quotes."""
        runs = set(_runs(text)) - self._known
        if not runs:
            return frozenset()
        if not self._homes:
            self._homes = self._read()
        return frozenset(home for run in runs for home in self._homes.get(run, ()))

    def _read(self) -> dict[tuple[str, ...], set[str]]:
        found: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for instance in self._instances:
            for run in _runs(instance.text):
                found[run].add(instance.conversation_id or instance.key)
        return {run: homes for run, homes in found.items() if len(homes) <= MOST}


def _runs(text: str) -> Iterator[tuple[str, ...]]:
    words = words_of(text)
    return (tuple(words[place : place + WORDS]) for place in range(len(words) - WORDS + 1))
