"""reasons cluster, anomalies, show, list, promote, alerts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from llmclf.cli.common import (
    JsonOption,
    MaxUsdOption,
    PlanOption,
    StoreOption,
    existing_store,
    runtime,
    show,
    tell,
)
from llmclf.cli.spending import YesOption, confirm, show_plan

app = typer.Typer(
    no_args_is_help=True,
    help="What predictions say for themselves: clustered, held against the days before, and what is strange about it.",
)

ClusterArgument = Annotated[
    str, typer.Argument(help="A cluster's id, how it begins, its name in quotes, or pool.", metavar="CLUSTER")
]
_Since = Annotated[
    str | None, typer.Option("--since", help="Where the window begins: 24h, 7d, or a time. Default: 24h.")
]
_Until = Annotated[str | None, typer.Option("--until", help="Where it ends: an age or a time. Default: now.")]
_Baseline = Annotated[
    str | None,
    typer.Option("--baseline", help="How far the days before reach: 15d, or a time; none: no baseline. Default: 15d."),
]
_Task = Annotated[str | None, typer.Option("--task", help="Only reasons about this task.")]
_Classifier = Annotated[str | None, typer.Option("--classifier", help="Only of this classifier: NAME, or NAME@HASH.")]
_Model = Annotated[str | None, typer.Option("--model", help="Only of this model.")]
_By = Annotated[
    str | None,
    typer.Option("--by", help="Rates by model, prompt_id, classifier_id, label, day, hour, or a request field."),
]
_Html = Annotated[
    Path | None, typer.Option("--html", help="Write the report here, one self-contained file. It holds quotes.")
]
_Judge = Annotated[
    bool | None,
    typer.Option("--judge/--no-judge", help="A judge reads what is strange. Default: as [reasons] judge says."),
]
_In = Annotated[str, typer.Option("--in", help="Which clustering: its id, how it begins, or last.")]
_PAID_JUDGE = "reason_anomaly"


@app.command()
def cluster(
    since: _Since = None,
    until: _Until = None,
    baseline: _Baseline = None,
    task: _Task = None,
    classifier: _Classifier = None,
    model: _Model = None,
    by: _By = None,
    html: _Html = None,
    name_with: Annotated[
        str | None,
        typer.Option("--name-with", help="A model that names the clusters; it is sent their terms and a few quotes."),
    ] = None,
    judge: _Judge = None,
    store: StoreOption = None,
    max_usd: MaxUsdOption = None,
    yes: YesOption = False,
    plan: PlanOption = False,
    as_json: JsonOption = False,
) -> None:
    """Cluster the reasons of a window: what kinds there are, how often, and what is new. Exit 0 whatever is found."""
    from llmclf.cli.reasons_view import NextView, RatesView
    from llmclf.workspace.reasoning import cluster_stored, plan_stored

    with _opened(store, max_usd) as opened:
        given = _given(opened, (since, until, baseline), task=task, classifier=classifier, model=model)
        given["judge"] = _judge_of(opened, judge)
        given["name_with"] = name_with or opened.rules.reasons.name_model or None
        _check_html(html)
        if plan:
            show_plan(plan_stored(opened, **given), as_json)
            return
        if given["judge"] or given["name_with"]:
            confirm(lambda: plan_stored(opened, **given), opened, yes, "reasons cluster")
        stored, unwritten = _kept(lambda: cluster_stored(opened, **given, on_step=_step))
        if as_json:
            show(_with_rates(stored, by), True)
        else:
            show(stored, False)
            if by is not None:
                show(RatesView(stored.clustering, by), False)
            show(NextView(stored), False)
        problem = unwritten or _write_html(html, stored, opened)
    if problem:
        tell(f"llmclf: {problem}")
        raise typer.Exit(1)


@app.command()
def anomalies(
    since: _Since = None,
    until: _Until = None,
    baseline: _Baseline = None,
    task: _Task = None,
    classifier: _Classifier = None,
    model: _Model = None,
    refit: Annotated[
        bool, typer.Option("--refit", help="Find the kinds anew, not those of the last clustering.")
    ] = False,
    html: _Html = None,
    judge: _Judge = None,
    webhook: Annotated[
        bool, typer.Option("--webhook", help="Send an alarm to the address in $LLMCLF_WEBHOOK_URL. No quotes in it.")
    ] = False,
    store: StoreOption = None,
    max_usd: MaxUsdOption = None,
    yes: YesOption = False,
    plan: PlanOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say what is strange about the reasons of a window, for cron.

    Exit 2 where something is strange, whatever else goes wrong; 0 where nothing is, 1 where it can't be told or you
    must mend something. The webhook is sent what is new, or has doubled, since it was sent last.
    """
    from llmclf.cli.reasons_view import AnomaliesView
    from llmclf.workspace.alerting import alarm, to_send
    from llmclf.workspace.quoting import quotes_of
    from llmclf.workspace.reasoning import plan_stored
    from llmclf.workspace.told import told_before

    with _opened(store, max_usd) as opened:
        given = _given(opened, (since, until, baseline), task=task, classifier=classifier, model=model)
        given["judge"], given["refit"] = _judge_of(opened, judge), refit
        _check_html(html)
        if plan:
            show_plan(plan_stored(opened, **given), as_json)
            return
        hook = opened.rules.reasons.webhook_env if webhook else None
        send = (lambda stored: to_send(stored, opened)) if webhook else None
        stored, unread, unwritten = _looked(given, opened, yes, send)
        before = told_before(stored, opened.store)
        quotes = quotes_of(stored.clustering, opened.store)
        view = AnomaliesView(stored, quotes, before, unread)
        if not as_json:
            show(view, False)  # before anything that may go wrong
        sent = alarm(stored, opened, webhook=hook)
        if as_json:
            show({**view.to_dict(), "webhook": sent.to_dict() if webhook else None}, True)
        report = _write_html(html, stored, opened)
    for text in (unwritten, report, sent.sentence):
        if text:
            tell(f"llmclf: {text}")
    code = view.exit_code or int(bool(unwritten or report or sent.failed))
    if code:
        raise typer.Exit(code)


@app.command("show")
def show_(
    cluster: Annotated[
        str | None,
        typer.Argument(help="A cluster's id, how it begins, its name, or pool. Default: all.", metavar="CLUSTER"),
    ] = None,
    clustering: _In = "last",
    by: _By = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a clustering, or one cluster of it: figures, rates, and quotes where they may be shown."""
    from llmclf.cli.reasons_view import ClusterView, StoredView
    from llmclf.workspace.reason_records import stored_cluster, stored_clustering
    from llmclf.workspace.reason_windows import settings_of

    with _opened(store) as opened:
        if cluster is None:
            show(StoredView(stored_clustering(opened.store, clustering)), as_json)
            return
        found = stored_cluster(cluster, opened.store, clustering=clustering, present=settings_of(opened))
        show(ClusterView(found, by), as_json)


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the clusterings of the store, newest first, with the anomalies that each found."""
    from llmclf.cli.reasons_lists import ClusteringsView
    from llmclf.workspace.reason_records import clusterings

    with _opened(store) as opened:
        show(ClusteringsView(clusterings(opened.store, limit)), as_json)


@app.command()
def promote(
    cluster: ClusterArgument,
    as_: Annotated[str, typer.Option("--as", help="failure-mode, hard-negative or alert.")],
    name: Annotated[str, typer.Option("--name", help="Of the failure mode or alert. Default: the cluster's.")] = "",
    into: Annotated[
        str | None, typer.Option("--into", help="Dataset that examples are added to; it is made where there is none.")
    ] = None,
    conversations: Annotated[
        str | None,
        typer.Option("--conversations", help="A file or dataset with the conversations; the store does not keep them."),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--label", help="Right label of the examples. Default: none (failure-mode), the clean one (hard-negative)."
        ),
    ] = None,
    note: Annotated[str, typer.Option("--note", help="Anything to remember, in your own words.")] = "",
    annotator: Annotated[str, typer.Option("--annotator", help="Who says so; it stands in the examples.")] = "",
    most: Annotated[int, typer.Option("--most", min=1, help="At most so many examples.")] = 50,
    clustering: _In = "last",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a failure mode, hard negatives or a standing alert of a cluster. Doing it twice adds nothing twice."""
    from llmclf.cli.reasons_lists import PromotedView
    from llmclf.workspace.promoting import promote as promote_it
    from llmclf.workspace.reason_records import cluster_id_of

    with _opened(store) as opened:
        promoted = promote_it(
            cluster_id_of(cluster, opened.store, clustering=clustering),
            as_,  # type: ignore[arg-type]
            opened,
            name=name,
            clustering=clustering,
            into=into,
            conversations=conversations,
            label=label,
            by=annotator,
            most=most,
            least_conversations=opened.rules.reasons.least_conversations,
            note=note,
        )
    show(PromotedView(promoted), as_json)


@app.command()
def alerts(
    end: Annotated[str | None, typer.Option("--end", help="The alert of this name stands no more.")] = None,
    drop_undelivered: Annotated[
        bool, typer.Option("--drop-undelivered", help="Alarms that wait for the webhook are not sent any more.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the standing alerts, what they wait for and when they last fired; or end one."""
    from llmclf.cli.reasons_lists import AlertsView
    from llmclf.store.clusterings import Clusterings
    from llmclf.workspace.reason_records import standing_alerts

    with _opened(store) as opened:
        if end is not None:
            Clusterings(opened.store).end_alert(end)
        dropped = Clusterings(opened.store).drop_deliveries() if drop_undelivered else 0
        show(AlertsView(standing_alerts(opened.store)), as_json)
    if drop_undelivered:
        tell(f"{dropped:,} dropped that waited for the webhook")
    if end is not None:
        tell(f"alert {end!r} has ended; reasons like its own raise no alarm for it any more")


@contextmanager
def _opened(store: Path | None, max_usd: float | None = None) -> Iterator[Any]:
    """A runtime on a store that is there: a typo must not make an empty one."""
    existing_store(store)
    with runtime(store, max_usd) as opened:
        yield opened


def _given(opened: Any, moments: tuple[str | None, str | None, str | None], **names: str | None) -> dict[str, Any]:
    """Window, baseline, filters and settings, as the verbs of the workspace take them."""
    from llmclf.workspace.reason_windows import filters_of, settings_of, windows_of

    windows = windows_of(opened, *moments)
    where = filters_of(opened.store, **names)
    return {
        "since": windows.since,
        "until": windows.until,
        "baseline": windows.baseline,
        "where": where,
        "settings": settings_of(opened),
    }


def _judge_of(opened: Any, asked: bool | None) -> str | None:
    """The judge that is to read: the workspace's, unless it is switched off here; asked for, the packaged one."""
    configured: str = opened.rules.reasons.judge
    if asked is False:
        return None
    return configured or (_PAID_JUDGE if asked else None)


def _looked(given: dict[str, Any], opened: Any, yes: bool, to_send: Any) -> tuple[Any, str, str]:
    """(the clustering, why its judge was not asked, why it is not in the store).

    An alarm does not wait for a judge that can't be paid or asked.
    """
    from llmclf.errors import LlmclfError
    from llmclf.workspace.reasoning import cluster_stored, plan_stored

    why = ""
    if given["judge"]:
        try:
            confirm(lambda: plan_stored(opened, **given), opened, yes, "reasons anomalies")
            stored, unwritten = _kept(lambda: cluster_stored(opened, **given, to_send=to_send, on_step=_step))
            return stored, "", unwritten
        except LlmclfError as error:
            why = str(error)
    given = {**given, "judge": None}
    stored, unwritten = _kept(lambda: cluster_stored(opened, **given, to_send=to_send, on_step=_step))
    if why:
        tell(f"llmclf: the judge is not asked: {why}")
    return stored, why, unwritten


def _kept(look: Callable[[], Any]) -> tuple[Any, str]:
    """(the clustering, why it could not be written): what was found is shown all the same."""
    from llmclf.workspace.reasoning import UnwrittenError

    try:
        return look(), ""
    except UnwrittenError as error:
        return error.stored, f"not in the store: {error.message}"


def _step(text: str) -> None:
    """Says what is done next, to people who look on."""
    if sys.stderr.isatty():
        tell(f"{text} ...")


def _check_html(path: Path | None) -> None:
    """ConfigError where the name is none of a report: before anything is clustered or paid."""
    from llmclf.errors import ConfigError

    if path is not None and path.suffix.lower() not in (".html", ".htm"):
        raise ConfigError("the report is HTML", where="--html", got=str(path), fix="give a name such as reasons.html")


def _write_html(path: Path | None, stored: Any, opened: Any) -> str:
    """Why the report could not be written; it holds quotes, so a new file is its owner's alone."""
    if path is None:
        return ""
    from llmclf.data.files import write_whole
    from llmclf.errors import DataError
    from llmclf.reasons.report_page import reasons_page
    from llmclf.workspace.quoting import quotes_of

    if path.is_symlink():
        return f"--html: {path} is a link; name the file itself"
    quotes = {id_: quote.to_dict() for id_, quote in quotes_of(stored.clustering, opened.store).items()}
    try:
        write_whole(path, reasons_page(stored.to_dict(), quotes), private=True)
    except DataError as error:
        return f"no report: {error.message}"
    tell(f"report {path.resolve()}")
    return ""


def _with_rates(stored: Any, by: str | None) -> dict[str, Any]:
    """The clustering as JSON types, with the rates that were asked for."""
    document: dict[str, Any] = stored.to_dict()
    if by is not None:
        rates = stored.clustering.rates(by)
        document["rates"] = [{"cluster": one.cluster, "by": by, **one.to_dict()} for one in rates]
    return document
