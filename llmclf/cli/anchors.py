"""judge anchors."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from llmclf.cli.common import JsonOption, MaxUsdOption, PlanOption, StoreOption, progress, runtime, show, tell
from llmclf.cli.ending import check_ending, counting
from llmclf.cli.spending import YesOption, confirm, show_plan


def anchors(
    name: Annotated[str, typer.Argument(help="A name from judges/, or a path.", metavar="JUDGE")],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Keep these as its anchors first: the test cases of a session, or a file of cases (.jsonl). "
            "Only cases drawn from the traffic, at random or by verdict, split a move.",
        ),
    ] = None,
    conversations: Annotated[
        str | None, typer.Option("--conversations", help="A file with the conversations of a file of cases.")
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="With --from: put them in the place of other anchors.")] = False,
    rate_before: Annotated[
        str | None,
        typer.Option("--rate-before", help="Positive verdicts in the traffic before the change, as 34/5200."),
    ] = None,
    rate_after: Annotated[str | None, typer.Option("--rate-after", help="The same after it.")] = None,
    store: StoreOption = None,
    max_usd: MaxUsdOption = None,
    yes: YesOption = False,
    plan: PlanOption = False,
    as_json: JsonOption = False,
) -> None:
    """Judge a fixed set once more: did the judge move, or what it judges?

    Run it on every change of the judge or of its vendor's version. Exit 2 where a cap ended it, 1 where all failed.
    """
    from llmclf.calibration.anchor_sets import write_anchors
    from llmclf.judges import load_judge
    from llmclf.workspace.anchoring import anchors_of, judge_anchors, plan_anchors, take_anchors

    rates = _rates(rate_before, rate_after)
    with runtime(store, max_usd) as opened:
        judge = load_judge(name, runtime=opened)
        kept = take_anchors(judge, source, conversations=conversations) if source else anchors_of(judge)
        if plan:
            show_plan(plan_anchors(judge, kept), as_json)
            return
        confirm(lambda: plan_anchors(judge, kept), opened, yes, "judge anchors")
        if source:
            write_anchors(kept, anew=anew)
            tell(
                f"{len(kept.cases)} anchors with their texts are in {kept.path}; keep it where customers' words may be"
            )
        errors: list[Any] = []
        with progress(judge.name, len(kept.cases)) as update:
            counted = counting(errors, update)
            reading = judge_anchors(judge, kept, before_rate=rates[0], after_rate=rates[1], on_done=counted)
        show(reading, as_json)
        tell(reading.note)
    check_ending([one.error for one in reading.judgments])


def _rates(before: str | None, after: str | None) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """Both rates, or none; ConfigError that lists what is wrong with them."""
    from llmclf.errors import ConfigError

    problems: list[str] = []

    def counts(option: str, text: str | None) -> tuple[int, int] | None:
        if text is None:
            return None
        matched = re.fullmatch(r"(\d{1,12})/(\d{1,12})", text)
        if matched is None or not 0 < int(matched[2]) >= int(matched[1]):
            problems.append(f"{option} {text!r} is not POSITIVE/JUDGED, such as 34/5200")
            return None
        return int(matched[1]), int(matched[2])

    found = counts("--rate-before", before), counts("--rate-after", after)
    if (before is None) != (after is None):
        problems.append("--rate-before and --rate-after go together")
    if problems:
        raise ConfigError("the rates can't be read", where="judge anchors", problems=problems)
    return found
