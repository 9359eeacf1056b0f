"""data render."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from llmclf.cli.common import JsonOption, progress, show, tell, workspace


def render(
    dataset: Annotated[str, typer.Argument(help="A dataset: a name, or a path.", metavar="DATASET")],
    as_: Annotated[str, typer.Option("--as", help="image: chat screenshots. audio: speech, by espeak-ng.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the new dataset and its media.")],
    turns_per_image: Annotated[int, typer.Option(min=1, help="At most so many turns in one picture.")] = 10,
    raw: Annotated[bool, typer.Option("--raw", help="Draw or speak personal data too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Draw or speak the words of a dataset, to try a modality without recordings. Marked as rendered."""
    from llmclf.data.loading import load_dataset
    from llmclf.data.rendering import render_dataset
    from llmclf.errors import ConfigError, nearest

    if as_ not in ("image", "audio"):
        raise ConfigError("no such form", where="--as", got=as_, fix=nearest(as_, ["image", "audio"]))
    read = load_dataset(dataset, workspace())
    with progress(f"rendering as {as_}", len(read.conversations)) as update:
        made = render_dataset(
            read,
            as_,  # type: ignore[arg-type]
            out,
            turns_per_image=turns_per_image,
            as_sent=None if raw else redactor(),
            on_done=update,
        )
    if as_json:
        counts = {"conversations": made.conversations, "attachments": made.attachments, "megabytes": made.megabytes}
        show({**counts, "dataset": str(made.dataset_file), "not_drawn": made.not_drawn}, True)
        return
    typer.echo(
        f"{made.conversations} conversations with {made.attachments} rendered attachments "
        f"({made.megabytes:.1f} MB) are in {made.dataset_file}"
    )
    if made.not_drawn:
        shown = "".join(sorted(set("".join(made.not_drawn.values()))))[:40]
        tell(f"{len(made.not_drawn)} conversations hold characters the font has no shape for: {shown}")
    if as_ == "image" and turns_per_image > 1 and any(example.turn is not None for example in read.examples):
        tell("labels are about single turns: where a task may not see later ones, render with --turns-per-image 1")


def redactor() -> Callable[[Any], Any]:
    """A function that gives a conversation without what the workspace takes out before sending."""
    from llmclf.config import load_workspace
    from llmclf.render.redaction import Redaction

    rules = load_workspace(workspace()).privacy
    redaction = Redaction(when=rules.redact, kinds=rules.kinds, names=rules.names, metadata_keys=rules.metadata_keys)
    if not redaction.before_sending:
        return lambda conversation: conversation
    return lambda conversation: redaction.redact(conversation).conversation
