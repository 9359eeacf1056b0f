"""data import, check, sample, labels, split, show, render."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from llmclf.cli.common import JsonOption, show, tell, workspace
from llmclf.cli.label_plans import plan_labels
from llmclf.cli.rendering import redactor, render

app = typer.Typer(no_args_is_help=True, help="Conversations and labels: import, check, sample, label, split, render.")
labels = typer.Typer(no_args_is_help=True, help="Labels that people wrote into a sheet.")
app.add_typer(labels, name="labels")
app.command()(render)
app.command()(plan_labels)

_Data = Annotated[str, typer.Argument(help="A dataset (name or .toml), or a file of conversations.", metavar="DATA")]
_Task = Annotated[
    str | None,
    typer.Option("--task", help="A name from configs/tasks, or a path. Default: the workspace's only task."),
]
_FILES = (".jsonl", ".gz", ".json")
_PART_FILES = (".conversations.jsonl", ".labels.jsonl", ".toml")
_MOVE = "move it, or give another --out"
_Seed = Annotated[int, typer.Option(help="The same seed draws the same.")]


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="The file that holds the conversations.")],
    out: Annotated[Path, typer.Option("--out", help="Where the conversations go, JSON Lines.")],
    format: Annotated[str, typer.Option(help="jsonl, messages, csv, sql (any SQLite file) or parquet.")] = "messages",
    map_: Annotated[
        Path | None, typer.Option("--map", help="TOML file that says which column holds what (docs/data.md).")
    ] = None,
    query: Annotated[str, typer.Option(help="For sql: one SELECT.")] = "",
    delimiter: Annotated[str, typer.Option(help="For csv: what stands between cells.")] = ",",
    speaker: Annotated[
        list[str] | None, typer.Option("--speaker", help="For messages: ROLE=bot for roles beyond OpenAI's.")
    ] = None,
    transfer_tool: Annotated[
        list[str] | None, typer.Option(help="For messages: a tool whose call hands over to a person. Repeatable.")
    ] = None,
    metadata: Annotated[list[str] | None, typer.Option(help="For messages: a key of a line to keep.")] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Put bad lines aside here and go on. Without it they stop the import.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read conversations from where they lie. Bad lines are listed, never lost."""
    from llmclf.cli.classifying import speakers_of
    from llmclf.data.columns import read_mapping
    from llmclf.data.files import refuse_overwriting
    from llmclf.data.importers import IMPORT_FORMATS, import_conversations
    from llmclf.data.problems import summary
    from llmclf.data.write import write_conversations
    from llmclf.errors import ConfigError, nearest

    if format not in IMPORT_FORMATS:
        raise ConfigError("no such format", where="--format", got=format, fix=nearest(format, IMPORT_FORMATS))
    if rejects is not None and rejects.resolve() == out.resolve():
        raise ConfigError(
            "the rejects would be overwritten", where="--rejects", got=str(rejects), fix="give another name"
        )
    refuse_overwriting([out], [source], _MOVE)
    read = import_conversations(
        source,
        format,
        mapping=read_mapping(map_) if map_ else None,
        query=query,
        delimiter=delimiter,
        speakers=speakers_of(speaker) or None,
        metadata=metadata or (),
        transfer_tools=transfer_tool or (),
        rejects=rejects,
    )
    written = write_conversations(out, read.conversations)
    if as_json:
        counts = {"conversations": written, "lost_conversations": read.lost_conversations, "rejected": read.rejected}
        problems = [str(problem) for problem in read.problems]
        show({**counts, "out": str(out), "problems": problems, "notes": list(read.notes)}, True)
        return
    total = max(len(read.problems), read.rejected)
    for line in (*summary(read.problems, total, read.unmapped_speakers), *read.notes):
        tell(line)
    typer.echo(f"{written} conversations are in {out}")
    if read.rejected:
        typer.echo(f"{read.lost_conversations} conversations were lost: {read.rejected} bad lines are in {rejects}")
    tell(f"next: llmclf data check {out}")


@app.command()
def check(
    data: _Data,
    task: Annotated[str | None, typer.Option(help="Also check labels against this task.")] = None,
    earlier: Annotated[
        str | None, typer.Option(help="An earlier dataset or file: report how this one drifted.")
    ] = None,
    apart: Annotated[
        list[str] | None,
        typer.Option("--apart-from", help="A dataset that must share nothing with DATA (a test part). Repeatable."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look for what spoils figures: crashed, doubled, damaged conversations, odd times, leaks. Exit 1 for errors."""
    from llmclf.config import load_task
    from llmclf.data.check import check as check_data
    from llmclf.data.loading import load_dataset

    report = check_data(
        _read_all(data),
        task=load_task(task, workspace()) if task else None,
        earlier=_read(earlier) if earlier else None,
        splits={name: load_dataset(name, workspace()) for name in (data, *apart)} if apart else None,
    )
    show(report, as_json)
    if report.worst == "error":
        raise typer.Exit(1)


@app.command()
def sample(
    pool: _Data,
    task: _Task = None,
    n: Annotated[int, typer.Option("--n", min=1, help="How many to draw.")] = 400,
    by: Annotated[str, typer.Option(help="random, keyword or score.")] = "random",
    classifier: Annotated[
        str | None, typer.Option(help="For keyword and score: the classifier that flags or scores the pool.")
    ] = None,
    prevalence: Annotated[float, typer.Option(min=0, max=1, help="Assumed share of the target in the pool.")] = 0.005,
    sheet: Annotated[Path, typer.Option(help="Label sheet for a spreadsheet.")] = Path("labels.csv"),
    out: Annotated[Path, typer.Option("--out", help="The sample itself, needed to read the sheet back.")] = Path(
        "sample.json"
    ),
    seed: _Seed = 0,
    as_json: JsonOption = False,
) -> None:
    """Draw unlabelled conversations to label, with known chances, and say what they will be able to tell."""
    from llmclf.classifiers.loading import load_classifier
    from llmclf.data.files import refuse_overwriting
    from llmclf.data.labels import write_label_sheet
    from llmclf.data.sample import sample as draw, write_sample

    refuse_overwriting([sheet, out], [Path(pool)], "they may hold labels: move them, or give --sheet and --out")
    found = _task(task)
    conversations = _conversations(pool)
    asked = load_classifier(classifier, workspace=workspace()) if classifier else None
    drawn = draw(
        conversations,
        by,  # type: ignore[arg-type]
        n=n,
        task=found,
        seed=seed,
        classifier=asked,
        assumed_prevalence=prevalence,
    )
    write_sample(out, drawn)
    write_label_sheet(drawn, {conversation.id: conversation for conversation in conversations}, sheet, found)
    if as_json:
        show({**drawn.to_dict(), "sheet": str(sheet), "sample": str(out)}, True)
        return
    show(drawn, False)
    tell(f"fill in the column `label` of {sheet} ({', '.join(found.label_names)}), then:")
    tell(f"  llmclf data labels import {sheet} --sample {out} --task {task or found.name} --out data/labels.jsonl")
    tell("which also prints the [design] part for the dataset file: how those that are labelled were drawn")


@labels.command("import")
def import_labels(
    sheet: Annotated[Path, typer.Argument(help="The filled-in sheet.")],
    task: _Task = None,
    sample: Annotated[Path, typer.Option(help="What `data sample` wrote beside the sheet.")] = Path("sample.json"),
    out: Annotated[Path, typer.Option("--out", help="Where the labels go, JSON Lines.")] = Path("labels.jsonl"),
    append: Annotated[bool, typer.Option("--append", help="Add to the labels that --out holds already.")] = False,
    partial: Annotated[bool, typer.Option("--partial", help="Accept a sheet from which rows are missing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Join a filled-in sheet to the sample it was drawn with. Rows without a label are kept apart, never negatives."""
    from llmclf.data import labels as sheets
    from llmclf.data.design import design_toml
    from llmclf.data.files import refuse_overwriting
    from llmclf.data.sample import read_sample
    from llmclf.data.write import add_examples, write_examples

    adds = append and out.is_file()
    if not adds:
        refuse_overwriting([out], [sheet, sample], f"{_MOVE}, or add to it with --append")
    asked = _task(task)
    found = sheets.import_labels(sheet, read_sample(sample), asked, partial=partial)
    total = add_examples(out, found.examples) if adds else write_examples(out, found.examples)
    labelled, unlabelled, toml = len(found.examples), len(found.unlabelled), design_toml(found.design)
    if as_json:
        counts = {"labelled": labelled, "unlabelled": unlabelled, "in_file": total}
        show({**counts, "out": str(out), "design": toml}, True)
        return
    before = f" ({total} in all)" if adds else ""
    typer.echo(f"{labelled} labels are in {out}{before}; {unlabelled} drawn are not labelled")
    for note in found.notes:
        tell(note)
    if adds:
        tell(f'the design below is of these {labelled} alone; of separate draws put together it is kind = "unknown"')
    tell(f"replace the [design] part of {_dataset_file(asked.name)} by\n")
    typer.echo(toml)


@app.command()
def split(
    dataset: Annotated[str, typer.Argument(help="A labelled dataset: a name, or a path.", metavar="DATASET")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the parts: a dataset file and its data each.")],
    by: Annotated[
        list[str] | None, typer.Option(help="Never parted: group, or a name of metadata. Repeatable.")
    ] = None,
    part: Annotated[list[str] | None, typer.Option(help="NAME=SHARE; the shares add up to 1. Repeatable.")] = None,
    task: Annotated[str | None, typer.Option(help="Spread this task's target over the parts.")] = None,
    seed: _Seed = 0,
    as_json: JsonOption = False,
) -> None:
    """Split a dataset by group, never by row, into parts that share nothing."""
    from llmclf.config import load_task
    from llmclf.data.design import design_toml
    from llmclf.data.files import refuse_overwriting
    from llmclf.data.loading import load_dataset
    from llmclf.data.split import DEFAULT_PARTS, split as cut
    from llmclf.data.write import write_conversations, write_examples

    found = load_task(task, workspace()) if task else None
    shares = _shares(part) or DEFAULT_PARTS
    refuse_overwriting([out / f"{name}{ending}" for name in shares for ending in _PART_FILES], [], _MOVE)
    parts = cut(
        load_dataset(dataset, workspace()),
        shares,
        by=tuple(by or ("group",)),
        seed=seed,
        task=found,
    )
    out.mkdir(parents=True, exist_ok=True)
    for name, made in parts.items():
        write_conversations(out / f"{name}.conversations.jsonl", made.conversations.values())
        write_examples(out / f"{name}.labels.jsonl", made.examples)
        head = f"# Part {name} of {dataset}.\n#   llmclf data check {out / name}.toml\nversion = 1\n"
        files = f'conversations = "{name}.conversations.jsonl"\nlabels = "{name}.labels.jsonl"\n\n'
        (out / f"{name}.toml").write_text(head + files + design_toml(made.design) + "\n", encoding="utf-8")
    if as_json:
        show({"parts": {name: len(made) for name, made in parts.items()}, "out": str(out)}, True)
        return
    for name, made in parts.items():
        typer.echo(f"{name}: {len(made)} examples in {out / name}.toml")


@app.command("show")
def show_(
    data: _Data,
    id: Annotated[str, typer.Argument(help="A conversation's id.", metavar="ID")],
    raw: Annotated[bool, typer.Option("--raw", help="As it is in the file, with the personal data in it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print one conversation as a model would read it, without personal data, with what is known about it."""
    from llmclf.errors import DataError, nearest
    from llmclf.render import transcript
    from llmclf.render.conversation import for_terminal
    from llmclf.types import Dataset
    from llmclf.types.hashing import plain

    read = _read(data)
    conversations = {conversation.id: conversation for conversation in _conversations(data)}
    if id not in conversations:
        raise DataError("there is no such conversation", where=data, got=id, fix=nearest(id, list(conversations)))
    examples = (
        [plain(example) for example in read.examples if example.conversation_id == id]
        if isinstance(read, Dataset)
        else []
    )
    conversation = conversations[id] if raw else redactor()(conversations[id])
    if as_json:
        show({"conversation": conversation.to_dict(), "examples": examples}, True)
        return
    typer.echo(for_terminal(transcript(conversation.turns).text) or "(holds no turns)")
    for example in examples:
        typer.echo(f"\n{example}")


def _task(name: str | None) -> Any:
    """The task called `name`, or the only one of the workspace's own."""
    from llmclf.config import files, load_task
    from llmclf.errors import ConfigError

    if name is None:
        known = files.listing("task", workspace())
        own = [one for one in known if files.find("task", one, workspace()).origin == "workspace"]
        if len(own) != 1:
            what = "which of the workspace's tasks?" if own else "which task? the workspace has none of its own"
            raise ConfigError(what, fix=f"give --task NAME: {', '.join(own or known)}")
        name = own[0]
    return load_task(name, workspace())


def _dataset_file(task: str) -> str:
    """The dataset file of a task, as `llmclf init` names it."""
    made = Path("configs/datasets") / f"{task}.toml"
    return str(made if (workspace() / made).is_file() else made.with_name("NAME.toml"))


def _read(data: str) -> Any:
    """A Dataset for a name or .toml, else what the reader found in a file of conversations."""
    from llmclf.data.loading import load_dataset
    from llmclf.data.read import read_conversations

    if Path(data).suffix in _FILES:
        return read_conversations(data)
    return load_dataset(data, workspace())


def _read_all(data: str) -> Any:
    """As `_read`, but bad lines are findings of the check and don't end it."""
    import tempfile

    from llmclf.data.read import read_conversations

    if Path(data).suffix not in _FILES:
        return _read(data)
    with tempfile.TemporaryDirectory() as folder:
        return read_conversations(data, rejects=Path(folder) / "rejects.jsonl")


def _conversations(data: str) -> Any:
    from llmclf.types import Dataset

    read = _read(data)
    return list(read.conversations.values()) if isinstance(read, Dataset) else list(read.conversations)


def _shares(given: list[str] | None) -> dict[str, float]:
    from llmclf.errors import ConfigError

    try:
        return {name: float(share) for name, share in (pair.split("=", 1) for pair in given or ())}
    except ValueError:
        raise ConfigError(
            "--part takes NAME=SHARE", got=given, fix="for instance --part train=0.7 --part test=0.3"
        ) from None
