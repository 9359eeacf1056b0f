"""judge list, show, run, probe, import."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from llmclf.cli.anchors import anchors
from llmclf.cli.common import (
    JsonOption,
    MaxUsdOption,
    PlanOption,
    StoreOption,
    existing_store,
    progress,
    runtime,
    show,
    store_path,
    tell,
    workspace,
)
from llmclf.cli.ending import check_ending, counting
from llmclf.cli.spending import CacheOption, YesOption, confirm, show_plan

app = typer.Typer(no_args_is_help=True, help="Judges: a rubric applied to what a classifier, a person or a bot said.")
app.command("anchors")(anchors)

JudgeArgument = Annotated[str, typer.Argument(help="A name from judges/, or a path.", metavar="JUDGE")]
ItemsOption = Annotated[
    str,
    typer.Option(
        "--items",
        help="What is judged: run:RUN, run:RUN/CELL or last (the predictions of a run), a dataset, or a file of cases "
        "(JSON Lines).",
    ),
]
ConversationsOption = Annotated[
    str | None, typer.Option("--conversations", help="A file with the conversations, where the items bring none.")
]
DatasetOption = Annotated[str | None, typer.Option("--dataset", help="Of a run: stands in for its own dataset.")]


@app.command("list")
def list_(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List the judges: what they ask, of which model, and whether they are calibrated. Exit 1 where one is broken."""
    from llmclf.cli.judging_view import JudgesView, judge_row
    from llmclf.config import listing
    from llmclf.errors import ConfigError
    from llmclf.workspace.judging import load_judge

    rows, broken = [], {}
    with _reading(store) as opened:
        for name in listing("judge", workspace()):
            try:
                rows.append(judge_row(load_judge(name, runtime=opened)))
            except ConfigError as error:
                broken[name] = str(error)
    show(JudgesView(tuple(rows), broken), as_json)
    for name, problem in broken.items():
        tell(f"judge {name}: {problem}")
    if broken:
        raise typer.Exit(1)


@app.command("show")
def show_(name: JudgeArgument, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show a judge: its rubric, fingerprint and calibration, and the prompt as it is sent with an empty case."""
    from llmclf.cli.judging_view import JudgeView
    from llmclf.workspace.judging import load_judge

    with _reading(store) as opened:
        show(JudgeView.of(load_judge(name, runtime=opened), name), as_json)


@app.command()
def run(
    name: JudgeArgument,
    items: ItemsOption,
    conversations: ConversationsOption = None,
    dataset: DatasetOption = None,
    repeat: Annotated[int, typer.Option("--repeat", min=0, help="Which fresh judgment of the same cases, from 0.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", help="Write all judgments here, JSON Lines.")] = None,
    store: StoreOption = None,
    max_usd: MaxUsdOption = None,
    cache: CacheOption = "read-write",
    yes: YesOption = False,
    plan: PlanOption = False,
    as_json: JsonOption = False,
) -> None:
    """Judge cases. Run again it goes on where it ended. Exit 2 where a cap ended it, 1 where every case failed."""
    from llmclf.cli.judging_view import JudgmentsView, write_judgments
    from llmclf.workspace import judging

    with runtime(store, max_usd, cache=cache) as opened:
        judge, found = _opened(name, items, opened, conversations, dataset, [("", repeat)])
        asked: dict[str, Any] = {"conversations": found.conversations}

        def planned() -> Any:
            return judging.plan_judging(found.cases, judge, **asked, probes=[("", repeat)])

        if plan:
            show_plan(planned(), as_json)
            return
        confirm(planned, opened, yes, "judge run")
        errors: list[Any] = []
        with progress(judge.name, len(found.cases)) as update:
            made = judging.judge(found.cases, judge, **asked, repeat=repeat, on_done=counting(errors, update))
        if out is not None:
            write_judgments(out, made)
        show(JudgmentsView(judge, items, tuple(made), found), as_json)
    check_ending([judgment.error for judgment in made])


@app.command()
def probe(
    name: JudgeArgument,
    items: ItemsOption,
    conversations: ConversationsOption = None,
    dataset: DatasetOption = None,
    store: StoreOption = None,
    max_usd: MaxUsdOption = None,
    cache: CacheOption = "read-write",
    yes: YesOption = False,
    plan: PlanOption = False,
    as_json: JsonOption = False,
) -> None:
    """Judge the same cases in another order, with empty words and once more, and say how often the verdict changes."""
    from llmclf.workspace import judging
    from llmclf.workspace.probing import PROBES, probe_judge

    with runtime(store, max_usd, cache=cache) as opened:
        ways = [("", 0), *PROBES]
        judge, found = _opened(name, items, opened, conversations, dataset, ways)

        def planned() -> Any:
            return judging.plan_judging(found.cases, judge, conversations=found.conversations, probes=ways)

        if plan:
            show_plan(planned(), as_json)
            return
        confirm(planned, opened, yes, "judge probe")
        errors: list[Any] = []
        with progress(judge.name, len(ways) * len(found.cases)) as update:
            steady = probe_judge(
                found.cases, judge, conversations=found.conversations, on_done=counting(errors, update)
            )
        show(steady, as_json)
    check_ending(errors)


@app.command("import")
def import_(
    name: Annotated[str, typer.Argument(help="The judge; its file is made where there is none.", metavar="JUDGE")],
    file: Annotated[Path, typer.Argument(help="JSON Lines with item, verdict and perhaps judge, reason, turn, probe.")],
    positive: Annotated[
        list[str] | None,
        typer.Option("--positive", help="A verdict that is looked for; for a new judge. Repeatable."),
    ] = None,
    verdicts: Annotated[
        list[str] | None,
        typer.Option("--verdicts", help="All that it may say: bad,good; for a new judge. Anything else is failed."),
    ] = None,
    renamed: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="SAID=MEANT", help="A verdict of the file under another name. Repeatable."),
    ] = None,
    question: Annotated[str, typer.Option("--question", help="What it was asked; for a new judge.")] = "",
    source: Annotated[str, typer.Option("--from", help="What the file calls the judge, where not by this name.")] = "",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take in verdicts that were made elsewhere, as those of a judge that they themselves define."""
    from llmclf.cli.judging_view import ImportView
    from llmclf.workspace.judging import import_recorded

    with runtime(store) as opened:
        imported = import_recorded(
            name,
            file,
            runtime=opened,
            positive=positive or (),
            verdicts=_words(verdicts),
            renamed=_renamed(renamed),
            question=question,
            source=source,
        )
        view = ImportView.of(imported)
        show(view, as_json)
    for line in view.warnings:
        tell(line)


def _reading(store: Path | None) -> Any:
    """A runtime on the store, where there is one: a recorded judge is what was imported there. None is made."""
    from llmclf.llm.runtime import Runtime

    path = existing_store(store) if store is not None or store_path(None).is_file() else None
    return Runtime(path, workspace=workspace())


def _opened(
    name: str, items: str, opened: Any, conversations: str | None, dataset: str | None, ways: Sequence[tuple[Any, int]]
) -> tuple[Any, Any]:
    """(the judge, the cases that it is to judge in these ways)."""
    from llmclf.workspace.judging import check_recorded, load_judge, read_cases

    judge = load_judge(name, runtime=opened)
    found = read_cases(items, judge.rubric, opened, conversations=conversations, dataset=dataset)
    for why, count in found.left_out.items():
        tell(f"left out: {count:,} {why}")
    check_recorded(judge, found.cases, ways)
    return judge, found


def _words(given: list[str] | None) -> list[str]:
    """What stands between the commas."""
    return [word.strip() for text in given or [] for word in text.split(",") if word.strip()]


def _renamed(given: list[str] | None) -> dict[str, str]:
    """From what the file says to what it means; ConfigError that lists whatever is no SAID=MEANT."""
    from llmclf.errors import ConfigError

    pairs = [text.rpartition("=") for text in given or []]
    wrong = [text for text, (said, _, meant) in zip(given or [], pairs, strict=True) if not said or not meant.strip()]
    twice = [said for said, count in Counter(said.strip() for said, *_ in pairs).items() if count > 1]
    problems = [f"{one!r} is not SAID=MEANT" for one in wrong] + [f"{one!r} stands twice" for one in twice if one]
    if problems:
        raise ConfigError("the verdicts can't be renamed", where="--map", problems=problems)
    return {said.strip(): meant.strip() for said, _, meant in pairs}
