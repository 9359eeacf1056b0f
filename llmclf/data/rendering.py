"""A dataset of words as screenshots or speech, so that modalities can be compared without recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from llmclf.data.checks.findings import visible
from llmclf.data.design import design_toml
from llmclf.data.files import refuse_overwriting
from llmclf.data.write import write_conversations, write_examples
from llmclf.errors import DataError
from llmclf.media.screenshot import MAX_CHARACTERS, cannot_draw, draw_chat
from llmclf.media.voice import MAX_SPOKEN, speak
from llmclf.types import Attachment, Conversation, Dataset, Turn
from llmclf.types.conversation import AttachmentKind

_LISTED = 20


@dataclass
class RenderedFiles:
    """What was written, and what to know about it."""

    dataset_file: Path
    conversations: int = 0
    attachments: int = 0
    megabytes: float = 0.0
    not_drawn: dict[str, str] = field(default_factory=dict)
    """Conversation to the characters its pictures show as empty boxes: it is another conversation there."""


def render_dataset(
    dataset: Dataset,
    kind: AttachmentKind,
    folder: Path,
    *,
    turns_per_image: int = 10,
    as_sent: Callable[[Conversation], Conversation] | None = None,
    on_done: Callable[[int, int], None] | None = None,
) -> RenderedFiles:
    """Writes a dataset whose conversations also have pictures or recordings of their own words.

    In `folder` are then conversations.jsonl, labels.jsonl, media/ and a dataset file with the
    design of the original. The turns keep their words, so that one dataset can be tried in every
    modality; the attachments say that they are `rendered`. `as_sent` is what is drawn or spoken of a
    conversation, for instance without personal data, which no one can take out of a picture; it must
    keep the turns. A turn that is a recording already is not spoken again. `on_done` is told how
    many of how many conversations are done.

    Raises ConfigError where a file is there already, DataError that lists the conversations that are
    rendered already or too long, MissingPieceError where Pillow or espeak-ng is absent.
    """
    _check(dataset, kind)
    name = f"{dataset.name.replace('/', '_').replace(' ', '_')}_{kind}"
    targets = [folder / file for file in ("conversations.jsonl", "labels.jsonl", f"{name}.toml")]
    refuse_overwriting(targets, [], "move them, or give another --out")
    made = RenderedFiles(targets[2])
    total = len(dataset.conversations)

    def rendered() -> Iterator[Conversation]:
        for done, conversation in enumerate(dataset.conversations.values(), start=1):
            yield _rendered(conversation, kind, turns_per_image, as_sent, made)
            if on_done:
                on_done(done, total)

    folder.mkdir(parents=True, exist_ok=True)
    made.conversations = write_conversations(targets[0], rendered())
    labels = ""
    if dataset.examples:
        write_examples(targets[1], dataset.examples)
        labels = 'labels = "labels.jsonl"\n'
    what = "pictures" if kind == "image" else "speech"
    head = f"# {dataset.name}, with its words as {what} too.\n#   llmclf data check {targets[2]}\nversion = 1\n"
    text = f'{head}conversations = "conversations.jsonl"\n{labels}\n{design_toml(dataset.design)}\n'
    targets[2].write_text(text, encoding="utf-8")
    return made


def _check(dataset: Dataset, kind: AttachmentKind) -> None:
    limit = MAX_CHARACTERS if kind == "image" else MAX_SPOKEN
    problems = []
    for id, conversation in dataset.conversations.items():
        for number, turn in enumerate(conversation.turns):
            if any(attachment.kind == kind and attachment.rendered for attachment in turn.attachments):
                problems.append(f"{visible(id, 60)}[{number}] has a rendered {kind} already")
            if len(turn.text) + sum(len(event.name) + len(event.text) for event in turn.events) > limit:
                problems.append(f"{visible(id, 60)}[{number}] is too long; at most {limit:,} letters")
    if problems:
        more = [f"and {len(problems) - _LISTED} more"] if len(problems) > _LISTED else []
        raise DataError(
            "turns that can't be rendered",
            where=dataset.name,
            problems=[*problems[:_LISTED], *more],
            fix="leave these conversations out",
        )


def _rendered(
    conversation: Conversation,
    kind: AttachmentKind,
    turns_per_image: int,
    as_sent: Callable[[Conversation], Conversation] | None,
    made: RenderedFiles,
) -> Conversation:
    shown = as_sent(conversation) if as_sent else conversation
    try:
        new = _pictures(shown, turns_per_image, made) if kind == "image" else _recordings(shown)
    except DataError as error:
        raise DataError(error.what, where=visible(conversation.id, 60), got=error.got, fix=error.fix) from error
    made.attachments += sum(len(attachments) for attachments in new.values())
    made.megabytes += sum(len(one.data or b"") for attachments in new.values() for one in attachments) / 1e6
    turns = (
        replace(turn, attachments=(*turn.attachments, *new.get(number, ())))
        for number, turn in enumerate(conversation.turns)
    )
    return replace(conversation, turns=tuple(turns))


def _pictures(shown: Conversation, turns_per_image: int, made: RenderedFiles) -> dict[int, list[Attachment]]:
    """Turn to the pictures that begin with it."""
    found: dict[int, list[Attachment]] = {}
    for page in draw_chat(shown.turns, turns_per_image):
        picture = Attachment.from_bytes("image", "image/png", page.png, rendered=page.turns)
        found.setdefault(page.first, []).append(picture)
    missing = cannot_draw("".join(_text(turn) for turn in shown.turns))
    if missing:
        made.not_drawn[shown.id] = missing
    return found


def _recordings(shown: Conversation) -> dict[int, list[Attachment]]:
    """Turn to its words, spoken."""
    found = {}
    for number, turn in enumerate(shown.turns):
        recorded = any(attachment.kind == "audio" for attachment in turn.attachments)
        if turn.text.strip() and not recorded:
            found[number] = [Attachment.from_bytes("audio", "audio/wav", speak(turn.text, turn.speaker), rendered=1)]
    return found


def _text(turn: Turn) -> str:
    return turn.text + "".join(event.name + event.text for event in turn.events)
