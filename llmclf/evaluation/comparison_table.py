"""A comparison for people: the sentence first, figures side by side, then what B gains and loses item by item."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from llmclf.evaluation.comparison import Change, Comparison
from llmclf.evaluation.result import Evaluation
from llmclf.render.conversation import for_terminal
from llmclf.render.rates import rate_text
from llmclf.render.tables import TableText, counted, html_table, rich_table, seconds_text, usd_text
from llmclf.stats import Discordance, MoreLabels
from llmclf.stats.paired import MOST_LABELS
from llmclf.types import Estimate

MOST_LISTED = 10
"""Gains, losses and failures that are shown of each."""
_LONGEST_SETTING = 28


def sentence_of(comparison: Comparison) -> str:
    """Better, worse, or not decided and how many more labels would decide; and whether either is worth running."""
    return f"{_verdict_of(comparison)}{_worth_of(comparison)}"


def _verdict_of(comparison: Comparison) -> str:
    if _is_same(comparison):
        differ, (a, b) = comparison.gains or comparison.losses, comparison.names
        same = f"A and B are the same{f': {a}' if a == b else ' settings'}"
        return f"{same}; what differs between them is chance." if differ else f"{same}."
    usd, per = comparison.dollars, f"per 1,000 {comparison.unit}s"
    if usd.value is None or usd.low is None or usd.high is None:
        return f"Not decided: {usd.why_not}."
    if comparison.verdict == "not decided":
        looks = f"B looks {_cheaper(usd.value)}" if usd.value else "B costs as much as A"
        between = f"anything from {_cheaper(usd.low)} to {_cheaper(usd.high)} is likely"
        return f"Not decided: {looks} {per}, but {between}. {_more(comparison.more)}"
    ends = sorted((abs(usd.low), abs(usd.high)))
    how = "cheaper" if usd.value < 0 else "dearer"
    return f"B is {comparison.verdict}: {usd_text(abs(usd.value))} ({_between(ends)}) {how} {per}."


def _is_same(comparison: Comparison) -> bool:
    """By their ids, and what else is known; of a probe whose folds have ids of their own, by its settings."""
    if comparison.a.classifier_id != comparison.b.classifier_id or comparison.settings or comparison.prompt_diff:
        return False
    return "@" in comparison.a.classifier_id or not (comparison.gains or comparison.losses)


def _worth_of(comparison: Comparison) -> str:
    """Said where neither is shown to cost less than having no classifier at all."""
    nothing = comparison.a.costs.flag_nothing_usd
    known = [one.dollars_per_1000 for one in (comparison.a, comparison.b) if one.dollars_per_1000.value is not None]
    if len(known) < 2 or any(one.high is not None and one.high < nothing for one in known):
        return ""
    return (
        " Neither is shown to be worth running at these prices: "
        f"flagging nothing would cost {usd_text(nothing)} per 1,000 {comparison.unit}s."
    )


def tables_of(comparison: Comparison, *, said: bool = True) -> tuple[TableText, ...]:
    """Figures, settings that differ, gains, losses and failures; a table without a row is left out.

    The sentence stands above the figures unless `said` is false.
    """
    listed = (
        _changes(comparison.gains, "Gains: {} that B has right and A wrong"),
        _changes(comparison.losses, "Losses: {} that A has right and B wrong"),
        _changes(comparison.failures, "Failed on one side: {}, neither gain nor loss"),
    )
    return tuple(table for table in (_figures(comparison, said), _settings(comparison), *listed) if table.rows)


def rich_of(comparison: Comparison, *, said: bool = True) -> Any:
    """All tables for rich, and the prompt's difference last; with the sentence, unless `said` is false."""
    from rich.console import Group
    from rich.text import Text

    parts = [rich_table(table) for table in tables_of(comparison, said=said)]
    parts = [piece for part in parts for piece in (part, Text(""))]
    if comparison.prompt_diff:
        parts += [Text("Prompt, from A to B", style="bold"), Text(for_terminal(comparison.prompt_diff))]
    return Group(*parts)


def html_of(comparison: Comparison) -> str:
    """The same as an HTML fragment, every text escaped."""
    diff = f"<pre>{escape(comparison.prompt_diff)}</pre>" if comparison.prompt_diff else ""
    return "".join(html_table(table) for table in tables_of(comparison)) + diff


def _figures(comparison: Comparison, said: bool) -> TableText:
    a = comparison.a
    where = f"the same {counted(comparison.items, 'item')} of {a.dataset}, {counted(comparison.positives, 'target')}"
    title = f"A: {comparison.names[0]}\nB: {comparison.names[1]}\n{a.task} on {where}"
    title = f"{sentence_of(comparison)}\n{title}" if said else title
    stamps = tuple(name for name, on in (("SIMULATED", a.simulated), ("SYNTHETIC", a.synthetic)) if on)
    notes = (*_tests(comparison), *_reasons(comparison), *comparison.notes)
    heads = ("figure", "A", "B", "B less A")
    return TableText(title, heads, tuple(_rows(comparison)), notes, stamps, right=(1, 2, 3))


def _rows(comparison: Comparison) -> list[tuple[str, ...]]:
    a, b = comparison.a, comparison.b
    quiet = (a.specificity.complement(), b.specificity.complement())
    rows = [
        ("dollars per 1,000", _cell(a.dollars_per_1000, usd_text), _cell(b.dollars_per_1000, usd_text),
         _cell(comparison.dollars, _signed_usd)),
        ("recall", _cell(a.recall, rate_text), _cell(b.recall, rate_text), _cell(comparison.recall, _signed_rate)),
        ("false-alarm rate", *(_cell(one, _rate3) for one in quiet), _cell(comparison.false_alarms, _signed_rate3)),
        _counts("found / missed", a, b, ("tp", "fn")),
        _counts("false alarms / quiet", a, b, ("fp", "tn")),
    ]  # fmt: skip
    if a.failed or b.failed:
        rows.append(("failed", *(str(sum(one.failed.values())) for one in (a, b)), ""))  # notes say of what
    models = [one.cost_per_item_usd for one in (a, b)]
    rows.append(("model, per item", *("unknown" if usd is None else usd_text(usd) for usd in models), ""))
    if a.latency_p95 is not None and b.latency_p95 is not None:
        rows.append(("seconds, p95", seconds_text(a.latency_p95), seconds_text(b.latency_p95), ""))
    return rows


def _counts(name: str, a: Evaluation, b: Evaluation, of: tuple[str, str]) -> tuple[str, ...]:
    return (name, *(" / ".join(str(one.counts[cell]) for cell in of) for one in (a, b)), "")


def _tests(comparison: Comparison) -> list[str]:
    """Both exact tests in words."""
    targets, others = comparison.targets, comparison.others
    return [
        f"B alone finds {counted(targets.gains, 'target')}, A alone {targets.losses}{_chance(targets)}.",
        f"B alone leaves {counted(others.gains, 'other')} quiet, A alone {others.losses}{_chance(others)}.",
    ]


def _chance(found: Discordance) -> str:
    """The p and its test; nothing where the two never differ."""
    if not found.gains + found.losses:
        return ""
    how = "exact McNemar" if found.method == "mcnemar-exact" else "exact, groups swapped whole"
    return f": p {'< 0.001' if found.p < 0.001 else f'{found.p:.2g}'} ({how})"


def _reasons(comparison: Comparison) -> list[str]:
    """Why figures have no value, each reason once."""
    named = [("dollars", comparison.dollars), ("recall", comparison.recall), ("false alarms", comparison.false_alarms)]
    titles: dict[str, list[str]] = {}
    for title, one in named:
        if one.why_not:
            titles.setdefault(one.why_not, []).append(title)
    return [f"{', '.join(figures)}: {why}." for why, figures in titles.items()]


def _settings(comparison: Comparison) -> TableText:
    rows = [(name, *(_setting(value) for value in pair)) for name, pair in comparison.settings.items()]
    return TableText("Settings that differ", ("setting", "A", "B"), tuple(rows))


def _setting(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return "-" if value in (None, "") else textwrap.shorten(text, _LONGEST_SETTING, placeholder=" ...")


def _changes(changes: Sequence[Change], words: str) -> TableText:
    rows = [(f"{one.item}\n({one.label})", _said(one.a, one.a_score), _said(one.b, one.b_score)) for one in changes]
    rest = len(changes) - MOST_LISTED
    notes = (f"and {rest} more; --json has all",) if rest > 0 else ()
    return TableText(
        words.format(counted(len(changes), "item")), ("item (true label)", "A", "B"), tuple(rows[:MOST_LISTED]), notes
    )


def _said(said: str, score: float | None) -> str:
    return said if score is None else f"{said}\n{rate_text(score)}"


def _cheaper(usd: float) -> str:
    return f"{usd_text(abs(usd))} {'cheaper' if usd < 0 else 'dearer'}"


def _between(ends: Sequence[float]) -> str:
    return f"{usd_text(ends[0])}-{usd_text(ends[1])}"


def _more(more: MoreLabels | None) -> str:
    """How many more labels would decide, with the range that the difference leaves."""
    if more is None:
        return ""
    if more.low is None:
        return f"No number of labels up to {MOST_LABELS:,} would decide."
    targets = f"{more.positives:,} of them {'a target' if more.positives == 1 else 'targets'}"
    if more.labels is None:
        larger = f"about {more.low:,} if it is larger"
        return f"No number of labels up to {MOST_LABELS:,} would decide at that difference; {larger}."
    high = f"{more.high:,}" if more.high is not None else f"more than {MOST_LABELS:,}"
    return f"About {more.labels:,} more labels would decide ({targets}; {more.low:,} to {high} are likely)."


def _cell(estimate: Estimate, text: Callable[[float], str]) -> str:
    """The value, and on the next line its interval, or the end of it that is known."""
    value = "unknown" if estimate.value is None else text(estimate.value)
    if estimate.low is None or estimate.high is None:
        return value if estimate.low is None else f"{value}\nat least {text(estimate.low)}"
    signed = text in (_signed_usd, _signed_rate, _signed_rate3)
    return f"{value}\n{text(estimate.low)}{' to ' if signed else '-'}{text(estimate.high)}"


def _rate3(share: float) -> str:
    return rate_text(share, ".3f")


def _signed_usd(usd: float) -> str:
    return f"{_sign(usd)}{usd_text(abs(usd))}"


def _signed_rate(share: float) -> str:
    return f"{_sign(share)}{rate_text(abs(share))}"


def _signed_rate3(share: float) -> str:
    return f"{_sign(share)}{rate_text(abs(share), '.3f')}"


def _sign(number: float) -> str:
    return "-" if number < 0 else "+" if number > 0 else ""
