"""errors, show, explain: the single verdict, what is known about it, and putting a label right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from llmclf.cli.common import JsonOption, StoreOption, existing_store, runtime, show as show_result, tell, workspace

_Id = Annotated[
    str,
    typer.Argument(help="conv-12, conv-12[4] for a turn (from 0), or the id of a prediction or call.", metavar="ID"),
]
_RunOption = Annotated[
    str, typer.Option("--run", help="A run (the beginning of its id), RUN/CELL of a sweep, or last.", metavar="RUN")
]
_ByOption = Annotated[str | None, typer.Option("--by", help="Who says so; kept with the label.", metavar="NAME")]

_DatasetOption = Annotated[
    str | None, typer.Option("--dataset", help="The labels to hold it against. Default: the run's own dataset.")
]


def errors(
    run: Annotated[
        str, typer.Argument(help="A run (the beginning of its id), RUN/CELL of a sweep, or last.", metavar="RUN")
    ] = "last",
    kind: Annotated[
        str | None, typer.Option("--kind", help="missed, false-alarm, failed or ungrounded. Default: all of them.")
    ] = None,
    slice_: Annotated[
        list[str] | None,
        typer.Option(
            "--slice",
            help="Only items with KEY=VALUE: label, failure_mode, length, source, stratum, or a name of metadata "
            "(metadata.source where it is called as one of those). Repeatable.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="List at most so many of each kind.")] = 20,
    open_: Annotated[bool, typer.Option("--open", help="Write them in full as a page and open the browser.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write them in full as a page, to this file.")] = None,
    dataset: _DatasetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the verdicts of a run that are wrong, failed or badly grounded, the surest mistakes first."""
    from llmclf.workspace.run_results import run_result
    from llmclf.workspace.showing import verdict_in_full
    from llmclf.workspace.verdict_pages import verdicts_page, write_page
    from llmclf.workspace.verdicts import run_name, show_command, wrong_list

    with _runtime(store) as opened:
        result = run_result(run, opened, dataset=dataset)
        listed = wrong_list(result, run_name(result, opened.store), kind, slice_ or (), limit)
        if out is not None or open_:
            verdicts = [verdict_in_full(wrong.prediction, result, opened) for wrong in listed.listed]
            path = out or _private_file()
            write_page(path, verdicts_page(listed, verdicts))
            tell(f"the verdicts in full are in {path}")
            if open_:
                _open(path)
    show_result(listed, as_json)
    if listed.listed:
        tell(f"\nnext: {show_command(listed.listed[0].prediction.item, listed.run)}")


def show(
    id: _Id,
    run: _RunOption = "last",
    relabel: Annotated[
        str | None, typer.Option("--relabel", help="The label is wrong: write this one instead.", metavar="LABEL")
    ] = None,
    rule: Annotated[str, typer.Option("--rule", help="With --relabel: the boundary rule that decides (R2).")] = "",
    note: Annotated[str, typer.Option("--note", help="With --relabel or --hard-negative: why.")] = "",
    hard_negative: Annotated[
        bool, typer.Option("--hard-negative", help="Add the item to a dataset of hard negatives.")
    ] = False,
    to: Annotated[str, typer.Option("--to", help="With --hard-negative: the dataset's name.")] = "hard_negatives",
    by: _ByOption = None,
    raw: Annotated[bool, typer.Option("--raw", help="Print personal data too.")] = False,
    dataset: _DatasetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one item: conversation, labels, verdict, prompt and answer; put its label right from here."""
    from llmclf.cli.verdicts_view import VerdictView
    from llmclf.workspace.showing import find_verdict

    _check_options(relabel, hard_negative, by, rule, note)
    with _runtime(store) as opened:
        changes = relabel is not None or hard_negative
        verdict = find_verdict(id, opened, run, dataset=dataset, raw=raw)
        if not changes:
            show_result(VerdictView(verdict), as_json)
            return
        if relabel is not None:
            _relabel(verdict, relabel, by or "", rule, note, as_json)
        else:
            _hard_negative(verdict, by or "", to, note, as_json)


def explain(
    id: _Id,
    run: _RunOption = "last",
    html: Annotated[Path | None, typer.Option("--html", help="Write one page to print, to this file.")] = None,
    no_redact: Annotated[bool, typer.Option("--no-redact", help="Leave names, numbers and addresses in.")] = False,
    dataset: _DatasetOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain one verdict in plain words, for somebody who looks after customers."""
    from llmclf.cli.verdicts_view import ExplanationView
    from llmclf.workspace.explaining import explain as in_plain_words
    from llmclf.workspace.showing import find_verdict
    from llmclf.workspace.verdict_pages import explain_page, write_page

    with _runtime(store) as opened:
        verdict = find_verdict(id, opened, run, dataset=dataset, raw=True)
        explained = in_plain_words(verdict, None if no_redact else opened.redaction)
    if html is not None:
        write_page(html, explain_page(explained))
        tell(f"the page is {html}: read it before you hand it on")
        if not as_json:
            return
    show_result(ExplanationView(explained), as_json)


def _relabel(verdict: Any, label: str, by: str, rule: str, note: str, as_json: bool) -> None:
    from llmclf.workspace.corrections import relabel

    done = relabel(verdict, label, by, workspace=workspace(), rule=rule, note=note)
    if as_json:
        show_result(done, True)
        return
    typer.echo(f"{done.item} is {done.after} now, was {done.before}: {done.path}")
    for line in done.notes:
        tell(f"- {line}")
    tell(f"next: llmclf data check {done.dataset} --task {verdict.task.name}")
    tell(f"then: llmclf errors {verdict.run}   (held against the labels as they are now)")


def _hard_negative(verdict: Any, by: str, to: str, note: str, as_json: bool) -> None:
    from llmclf.workspace.corrections import add_hard_negative

    done = add_hard_negative(verdict, by, workspace=workspace(), to=to, note=note)
    if as_json:
        show_result(done, True)
        return
    if not done.added:
        typer.echo(f"{done.item} is in {done.dataset} already: nothing was changed")
        return
    typer.echo(f"{done.item} is in {done.dataset} now, one of {done.items}: {done.path}")
    classifier = verdict.result.classifier
    tell(f"next: llmclf evaluate {classifier} --dataset {done.dataset}   (all of it should stay quiet)")
    tell(f"before you train on it, test on something else: it is still in {verdict.result.dataset.name}")


def _check_options(relabel: str | None, hard_negative: bool, by: str | None, rule: str, note: str) -> None:
    """Refuses options that do nothing, or not without each other; all of them at once."""
    from llmclf.errors import ConfigError

    changes = relabel is not None or hard_negative
    problems = []
    if relabel is not None and hard_negative:
        problems.append("--relabel and --hard-negative are two steps: put the label right first")
    if changes and not by:
        problems.append("say who you are with --by NAME: it is kept with the label")
    if by and not changes:
        problems.append("--by goes with --relabel or --hard-negative")
    if rule and relabel is None:
        problems.append("--rule goes with --relabel")
    if note and not changes:
        problems.append("--note goes with --relabel or --hard-negative")
    if problems:
        raise ConfigError("the options do not fit together", where="show", problems=problems)


def _runtime(store: Path | None) -> Any:
    """A runtime on a store that is there: a typo must not make an empty one."""
    existing_store(store)
    return runtime(store)


def _private_file() -> Path:
    """A new empty file that its owner alone can read."""
    import os
    import tempfile

    handle, name = tempfile.mkstemp(prefix="llmclf-errors-", suffix=".html")
    os.close(handle)
    return Path(name)


def _open(path: Path) -> None:
    """Opens a page in the browser where there is a display; nothing else is started."""
    import os
    import sys
    import webbrowser

    if sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(path.resolve().as_uri())
