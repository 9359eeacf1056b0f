"""What must hold of a session before people are asked: all mistakes are found at once."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from llmclf.calibration.session import Session, SessionItem
from llmclf.errors import DataError, shorten
from llmclf.types import Conversation

_LISTED = 20
_GOT = 60


def check_session(session: Session, conversations: Mapping[str, Conversation]) -> None:
    """DataError that lists everything for which a session can't be opened with these conversations."""
    problems = [*_people(session), *_ids(session)]
    for item in session.items:
        name = shorten(item.case.id, _GOT)
        problems += [f"case {name}: {what}" for what in _item(session, item, conversations)]
    if problems:
        more = [f"and {len(problems) - _LISTED} more"] if len(problems) > _LISTED else []
        raise DataError(
            "the session can't be opened", where=f"session {session.id}", problems=[*problems[:_LISTED], *more]
        )


def alike_names(people: Iterable[str]) -> list[str]:
    """What is wrong with names that people would take for one: they differ by case, by blanks or by their bytes."""
    seen: dict[str, list[str]] = {}
    for name in dict.fromkeys(people):
        key = " ".join(unicodedata.normalize("NFKC", name).split()).casefold()
        seen.setdefault(key, []).append(name)
    return [f"{' and '.join(map(repr, names))} are too alike for two people" for names in seen.values() if names[1:]]


def _people(session: Session) -> Iterator[str]:
    people = session.annotators
    if not people:
        yield "nobody labels"
    for name in sorted(name for name, count in Counter(people).items() if count > 1):
        yield f"annotator {name!r} stands twice"
    for name in (*people, *([session.adjudicator] if session.adjudicator else [])):
        if not _is_plain(name):
            yield f"{shorten(name, _GOT)} is no name: it is blank, or holds control or half characters"
    if session.adjudicator in people:
        yield f"{session.adjudicator!r} labels and adjudicates; the second look must be another person's"
    yield from alike_names((*people, session.adjudicator) if session.adjudicator else people)


def _ids(session: Session) -> Iterator[str]:
    if not session.items:
        yield "there is nothing to label"
    if not _is_plain(session.id):
        yield f"{shorten(session.id, _GOT)} can't be its id"
    counts = Counter(item.case.id for item in session.items)
    for id in (id for id, count in counts.items() if count > 1):
        yield f"case {shorten(id, _GOT)} stands twice"
    splits = [item.split == "practice" for item in session.items]
    if splits != sorted(splits, reverse=True):
        yield "practice must come first"


def _item(session: Session, item: SessionItem, conversations: Mapping[str, Conversation]) -> Iterator[str]:
    case, rubric = item.case, session.rubric
    if not (_is_plain(case.id) and (not case.conversation_id or _is_plain(case.conversation_id))):
        yield "an id is blank, or holds control or half characters"
    strangers = [name for name in item.annotators if name not in session.annotators]
    if strangers or len(set(item.annotators)) < len(item.annotators) or not item.annotators:
        yield f"annotators must be some of the session's, each once; got {shorten(item.annotators, _GOT)}"
    if case.label and case.label not in rubric.names:
        yield f"its known label {shorten(case.label, _GOT)} is not in the closed set"
    chance = item.inclusion_probability
    if chance is not None and not 0 < chance <= 1:
        yield f"its inclusion probability must be above 0 and at most 1; got {chance!r}"
    conversation = conversations.get(case.conversation_id)
    if "conversation" in rubric.sees and conversation is None:
        yield f"there is no conversation {shorten(case.conversation_id, _GOT)}"
    elif conversation is not None and case.turn is not None and not 0 <= case.turn < len(conversation.turns):
        yield f"there is no turn {case.turn}; turns count from 0 to {len(conversation.turns) - 1}"
    if "conversation" not in rubric.sees and not any(name in case.shown for name in rubric.sees):
        yield f"it shows nothing of {', '.join(rubric.sees) or 'anything'}"


def _is_plain(text: str) -> bool:
    return bool(text.strip()) and not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)
