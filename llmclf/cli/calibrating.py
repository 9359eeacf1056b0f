"""calibrate start, list, label, report, export, import, close."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from llmclf.cli.common import JsonOption, MaxUsdOption, PlanOption, StoreOption, existing_store, runtime, show, tell
from llmclf.cli.label_pages import label
from llmclf.cli.spending import YesOption, confirm, show_plan
from llmclf.types import Estimate

app = typer.Typer(
    no_args_is_help=True,
    help="Sessions in which people label: for a task's own labels, or to calibrate a judge.",
)
SessionArgument = Annotated[str, typer.Argument(help="A session's id, how it begins, or last.", metavar="SESSION")]
_CALIBRATED = "calibrated"


@app.command()
def start(
    name: Annotated[
        str, typer.Argument(help="A task or a judge; task:NAME or judge:NAME where both.", metavar="TASK_OR_JUDGE")
    ],
    items: Annotated[
        str,
        typer.Option(
            "--items", help="The pool: a dataset, a file of conversations (for a judge: of cases), run:RUN or last."
        ),
    ],
    annotators: Annotated[str, typer.Option("--annotators", help="Who labels, by name: ana,ben.")],
    n: Annotated[int, typer.Option("--n", min=1, help="Cases to label, without practice.")] = 200,
    per_item: Annotated[
        int | None, typer.Option("--per-item", min=1, help="People who label each. Default: two, if there are two.")
    ] = None,
    adjudicator: Annotated[str, typer.Option("--adjudicator", help="Who decides where they differ.")] = "",
    design: Annotated[str, typer.Option("--design", help="random, by-verdict or class-balanced.")] = "random",
    align_share: Annotated[
        float | None,
        typer.Option(
            "--align-share",
            help="Share to change the judge by, never tested on. Default: 0.3; 0 for a task or a recorded judge.",
        ),
    ] = None,
    practice: Annotated[int, typer.Option("--practice", min=0, help="Cases to begin with that are never scored.")] = 3,
    seed: Annotated[int, typer.Option("--seed", help="Of the draw.")] = 0,
    hide_names: Annotated[bool, typer.Option("--hide-names", help="Reports call people A1, A2, ...")] = False,
    conversations: Annotated[
        str | None, typer.Option("--conversations", help="A dataset or file, where a run does not name its own.")
    ] = None,
    unit: Annotated[
        str, typer.Option("--unit", help="turn: a judge's case for each turn of the bot, where items name none.")
    ] = "conversation",
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what it takes and what it can tell; begin nothing.")
    ] = False,
    prevalence: Annotated[
        str | None,
        typer.Option(help="For --plan: share of the target in the pool, 0.12 or 12%. Default: its labels', or 0.005."),
    ] = None,
    sensitivity: Annotated[
        float | None, typer.Option(help="For --plan: the judge's. Default: of one that deserves to pass.")
    ] = None,
    specificity: Annotated[
        float | None, typer.Option(help="For --plan: the judge's. Default: by its verdicts.")
    ] = None,
    seconds_a_label: Annotated[
        float | None, typer.Option("--seconds-a-label", help="For --plan. Default: as earlier labels took, or 45.")
    ] = None,
    reviewer_usd_per_hour: Annotated[
        float, typer.Option(min=0, help="For --plan: dollars an hour of a person.")
    ] = 48.0,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw the cases of a session and begin it; nothing is paid."""
    from llmclf.cli.sessions_view import SessionView, lines_after, share_of
    from llmclf.workspace.calibrating import plan_session, start_session

    given: dict[str, Any] = {
        "items": items,
        "annotators": [one.strip() for one in annotators.split(",") if one.strip()],
        "n": n,
        "per_item": per_item,
        "adjudicator": adjudicator.strip(),
        "design": design,
        "align_share": align_share,
        "practice": practice,
        "seed": seed,
        "conversations": conversations,
        "unit": _unit(unit),
    }
    with runtime(store) as opened:
        if plan:
            planned = plan_session(
                name,
                runtime=opened,
                prevalence=share_of(prevalence),
                sensitivity=sensitivity,
                specificity=specificity,
                seconds_a_label=seconds_a_label,
                reviewer_usd_per_hour=reviewer_usd_per_hour,
                **given,
            )
            show(planned, as_json)
            for line in lines_after(planned):
                tell(line)
            return
        session = start_session(name, runtime=opened, hide_names=hide_names, on_note=tell, **given)
    show(SessionView(session), as_json)
    tell(f"next: llmclf calibrate label {session.id}")


@app.command("list")
def list_(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List sessions, newest first: how far everybody is, and what is left to decide."""
    from llmclf.calibration.desk import Desk
    from llmclf.cli.sessions_view import SessionsView

    existing_store(store)
    with runtime(store) as opened:
        found = Desk(opened.store).sessions()
    show(SessionsView(found), as_json)
    if not found and not as_json:
        tell("no session yet: llmclf calibrate start")


app.command()(label)


@app.command()
def report(
    session: SessionArgument = "last",
    judge: Annotated[
        str | None, typer.Option("--judge", help="The judge to hold against people. Default: the session's own.")
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="Of a task's session: a classifier's run instead (RUN, RUN/CELL, last).")
    ] = None,
    split: Annotated[str, typer.Option("--split", help="test, or align while you change the judge.")] = "test",
    judge_missing: Annotated[
        str | None,
        typer.Option(
            "--judge-missing",
            metavar="ITEMS",
            help="Judge what it has not judged yet; ITEMS as the session began with, or `session` for its kept words.",
        ),
    ] = None,
    conversations: Annotated[
        str | None, typer.Option("--conversations", help="For --judge-missing, as of `calibrate start`.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the report card here, as one HTML file.")] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(
            "--require",
            help="calibrated, or a condition such as 'sensitivity.low>=0.8'; exit 2 where it fails. Repeatable.",
        ),
    ] = None,
    reviewer_usd_per_hour: Annotated[float, typer.Option(min=0, help="Dollars an hour of a person.")] = 48.0,
    seed: Annotated[int, typer.Option("--seed", help="Of the draws behind intervals.")] = 0,
    store: StoreOption = None,
    max_usd: MaxUsdOption = None,
    yes: YesOption = False,
    plan: PlanOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show how a judge agrees with people, and whether it is calibrated. Each look at the test split is counted."""
    from llmclf.cli.requirements import check_requirements, failed_requirements
    from llmclf.workspace.session_reports import not_calibrated_because, plan_report, report as make_report

    conditions = [one for one in require or [] if one != _CALIBRATED]
    check_requirements(conditions, _Figures)
    chosen = _split(split)
    _check_folder(html)
    existing_store(store)
    with runtime(store, max_usd) as opened:
        if judge_missing is not None:
            asked: dict[str, Any] = {"runtime": opened, "missing_from": judge_missing, "conversations": conversations}

            def planned() -> Any:
                return plan_report(session, judge, split=chosen, **asked)

            if plan:
                show_plan(planned(), as_json)
                return
            confirm(planned, opened, yes, "calibrate report")
        elif plan:
            _plan_of_nothing(session, opened, as_json)
            return
        made = make_report(
            session,
            judge,
            runtime=opened,
            run=run,
            split=chosen,
            missing_from=judge_missing,
            conversations=conversations,
            reviewer_usd_per_hour=reviewer_usd_per_hour,
            seed=seed,
        )
        steps = _next_steps(made, opened)
    if html is not None:
        _write_page(html, made)
    show(made, as_json)
    for step in steps:
        tell(f"next: {step}")
    failed = failed_requirements({name: one.to_dict() for name, one in made.figures.items()}, conditions)
    if _CALIBRATED in (require or []) and (why := not_calibrated_because(made)):
        failed.append(f"{_CALIBRATED}: {why}")
    for line in failed:
        tell(f"not met: {line}")
    if failed:
        raise typer.Exit(2)


@app.command()
def export(
    session: Annotated[str, typer.Argument(help="A session's id, how it begins, or last.", metavar="SESSION")],
    file: Annotated[
        Path, typer.Argument(help="A .jsonl file, for git; or a .csv sheet of one person.", metavar="FILE")
    ],
    person: Annotated[str | None, typer.Option("--as", help="Of this person alone; a sheet needs it.")] = None,
    examples: Annotated[
        bool, typer.Option("--examples", help="Of a task: the labels that count, as a labels file of a dataset.")
    ] = False,
    soft: Annotated[
        bool, typer.Option("--soft", help="Votes as shares and probabilities, .jsonl; prints annotators' quality.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a session's labels to a file."""
    from llmclf.calibration import exchange
    from llmclf.calibration.desk import Desk

    existing_store(store)
    with runtime(store) as opened:
        desk = Desk(opened.store)
        found = desk.session(session)
        if examples:
            _write_examples(desk, found, file, as_json)
            return
        if soft:
            show(exchange.export_soft(found, desk.labelled(found.id), file), as_json)
            return
        count = exchange.export_labels(desk, found.id, file, person)
    if as_json:
        show({"session": found.id, "path": str(file), "labels": count}, True)
        return
    tell(f"{count:,} {'rows' if file.suffix == '.csv' else 'labels'} of {found.id} are in {file}")


@app.command("import")
def import_(
    session: Annotated[str, typer.Argument(help="A session's id, how it begins, or last.", metavar="SESSION")],
    file: Annotated[Path, typer.Argument(help="What export wrote, filled in: .jsonl or .csv.", metavar="FILE")],
    person: Annotated[str | None, typer.Option("--as", help="Whose labels they are, all of them.")] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take labels from a file: all of them, or none where one line is wrong."""
    from llmclf.calibration import exchange
    from llmclf.calibration.desk import Desk

    existing_store(store)
    with runtime(store) as opened:
        desk = Desk(opened.store)
        taken = exchange.import_labels(desk, desk.session(session).id, file, person)
    show(taken, as_json)


@app.command()
def close(
    session: Annotated[str, typer.Argument(help="A session's id, how it begins, or last.", metavar="SESSION")],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a session: no more labels are taken, and its links no longer hold."""
    from llmclf.calibration.desk import Desk

    existing_store(store)
    with runtime(store) as opened:
        desk = Desk(opened.store)
        id = desk.session(session).id
        desk.close(id)
        revoked = desk.revoke(id)
    if as_json:
        show({"session": id, "closed": True, "revoked": revoked}, True)
        return
    tell(f"{id} is closed; its labels stay")


@dataclass
class _Figures:
    """What --require can name."""

    positive_agreement: Estimate
    sensitivity: Estimate
    specificity: Estimate
    precision: Estimate
    kappa: Estimate
    alpha: Estimate
    ac1: Estimate
    observed: Estimate
    prevalence: Estimate


def _unit(given: str) -> str:
    from llmclf.errors import ConfigError

    if given not in ("conversation", "turn"):
        raise ConfigError("a unit is conversation or turn", where="--unit", got=given)
    return given


def _split(given: str) -> Any:
    from llmclf.errors import ConfigError

    if given not in ("test", "align"):
        raise ConfigError("a split is test or align; practice is never scored", where="--split", got=given)
    return given


def _check_folder(page: Path | None) -> None:
    """ConfigError where a page has no folder to be in, before anything is looked at or paid."""
    from llmclf.errors import ConfigError

    if page is not None and not page.parent.is_dir():
        raise ConfigError("there is no such folder", where="--html", got=str(page.parent), fix="make it first")


def _write_page(path: Path, made: Any) -> None:
    from llmclf.calibration.report_page import card_page
    from llmclf.data.files import write_whole

    write_whole(path, card_page(made), private=True)
    tell(f"the report card is in {path}")


def _plan_of_nothing(session: str, opened: Any, as_json: bool) -> None:
    """What a report without --judge-missing would pay for."""
    from llmclf.calibration.desk import Desk
    from llmclf.sweeps.plan import plan_requests

    Desk(opened.store).session(session)
    if as_json:
        show(plan_requests({}, opened, 0), True)
    tell("nothing is judged, so nothing is paid: --judge-missing ITEMS judges what is missing")


def _next_steps(made: Any, opened: Any) -> list[str]:
    """What a team does with a card of people alone."""
    from llmclf.calibration.desk import Desk
    from llmclf.cli.sessions_view import steps_after

    if made.state != "people":
        return []
    desk = Desk(opened.store)
    summary = next(one for one in desk.sessions() if one.id == made.session)
    return steps_after(summary, made.counts.labelled)


def _write_examples(desk: Any, session: Any, path: Path, as_json: bool) -> None:
    from llmclf.calibration.exchange import examples_of
    from llmclf.data.design import design_toml
    from llmclf.data.write import write_examples

    found = examples_of(session, desk.labelled(session.id))
    count = write_examples(path, found.examples)
    if as_json:
        counts = {"labels": count, "unlabelled": len(found.unlabelled), "notes": list(found.notes)}
        show({"session": session.id, "path": str(path), **counts, "design": design_toml(found.design)}, True)
        return
    print(design_toml(found.design), end="")
    tell(f"{count:,} examples of {session.id} are in {path}; the lines above go into its dataset file")
    for note in (
        *found.notes,
        *([f"{len(found.unlabelled):,} without a label that counts"] if found.unlabelled else []),
    ):
        tell(note)
