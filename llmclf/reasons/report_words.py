"""How the page of a clustering writes figures, moments, quotes and commands. Every text goes through `said`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from llmclf.render.rates import rate_text
from llmclf.render.tables import counted
from llmclf.types import Estimate

FOLD = 420
"""A quote of more characters is folded."""
MOST = 4_000
"""Of a quote so many characters are shown; the store has the rest."""
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]")


def said(text: object) -> str:
    """Somebody's words as HTML: escaped, without what no document may hold; their direction stays their own."""
    return f"<bdi>{plain(text)}</bdi>"


def plain(text: object) -> str:
    """The same without an element around it, for attributes and our own sentences."""
    return escape(_CONTROLS.sub("\ufffd", str(text)))


def figure(given: Mapping[str, Any] | None) -> Estimate:
    """An estimate as a document holds it; unknown where there is none."""
    return Estimate.unknown("not measured") if given is None else Estimate(**given)


def percent(share: float) -> str:
    """`4.6 %`, with more digits where a share is small."""
    return rate_text(share, ".1%").removesuffix("%").removesuffix(".0") + "\u00a0%"


def share_html(share: Estimate) -> str:
    """A share over its interval in small print; the reason as a hint where there is no value."""
    interval = between(share)
    small = f"<small>{interval}</small>" if interval else ""
    if share.value is None:
        return f'<span class="soft" title="{plain(share.why_not)}">not known</span>{small}'
    return f"{percent(share.value)}{small}"


def between(share: Estimate) -> str:
    """`2.9 to 6.9 %`, or nothing."""
    if share.low is None or share.high is None:
        return ""
    return f"{percent(share.low).removesuffix(chr(160) + '%')} to {percent(share.high)}"


def share_text(share: Estimate) -> str:
    """`4.6 % (2.9 to 6.9 %)`, or why it is not known."""
    if share.value is None:
        return f"not known ({share.why_not})" if share.why_not else "not known"
    return f"{percent(share.value)} ({between(share)})" if between(share) else percent(share.value)


def number(value: float) -> str:
    """A count that need not be whole: `0.4`, `12`, `1,240`."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"


def expected_number(value: float) -> str:
    """The same of what is expected: `fewer than 1` where it is less than one conversation."""
    return "fewer than 1" if 0 < value < 1 else number(value)


def moment(text: str) -> str:
    """`Sat 21 Nov 2026, 02:14`; as it is where it is no moment."""
    found = _parsed(text)
    return text if found is None else f"{found:%a} {found.day} {found:%b %Y, %H:%M}"


def short_moment(text: str, *, hours: bool = True) -> str:
    """`21 Nov 02:14`, or `21 Nov` without hours."""
    found = _parsed(text)
    return text if found is None else f"{found.day} {found:%b}" + (f" {found:%H:%M}" if hours else "")


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None


def chance(p: float) -> str:
    """A chance in words: `less than 1 quiet window in 1,000,000`.

    >>> chance(0.0004), chance(0.5)
    ('1 quiet window in 2,500', '1 quiet window in 2')
    """
    if p < 1e-6:
        return "less than 1 quiet window in 1,000,000"
    rough = 1 / p
    step = 10 ** max(len(str(int(rough))) - 2, 0)
    return f"1 quiet window in {max(round(rough / step) * step, 1):,}"


def facts(fields: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Fields, those that are one fact together, such as a model and its route: as many inside, the same share outside.

    >>> one = {"field": "model", "inside": 3, "of": 3, "outside": 0.1}
    >>> [len(some) for some in facts([one, {**one, "field": "route"}, {**one, "inside": 2}])]
    [2, 1]
    """
    found: dict[tuple[int, int, str], list[Mapping[str, Any]]] = {}
    for one in fields:
        key = int(one["inside"]), int(one["of"]), f"{float(one['outside']):.3f}"
        found.setdefault(key, []).append(one)
    return list(found.values())


def goes_with(field: Mapping[str, Any], *same: Mapping[str, Any]) -> str:
    """`all 12 have turns 0; 3 % of the others do` as HTML; `same`: fields that are the same fact."""
    inside, of = int(field["inside"]), int(field["of"])
    some = f"all {of:,}" if inside == of else f"{inside:,} of {of:,}"
    verb = "has" if of == 1 else "have"
    outside = float(field["outside"])
    others = "none" if outside == 0 else percent(outside)
    return f"{some} {verb} {_listed([field, *same])}; {others} of the others {'does' if outside == 0 else 'do'}"


def all_have(fields: Sequence[Mapping[str, Any]]) -> str:
    """`all have model m and turns 0`, of the fields that all have and most others have not, as HTML; or nothing."""
    whole = [one for one in fields if one["inside"] == one["of"] and float(one["outside"]) < 0.5]
    told = [some[0] for some in facts(whole)][:3]
    return f"all have {_listed(told)}" if told else ""


def _listed(fields: Sequence[Mapping[str, Any]]) -> str:
    *first, last = [_field(one) for one in fields]
    return f"{', '.join(first)}{' and ' * bool(first)}{last}"


def _field(field: Mapping[str, Any]) -> str:
    value = str(field["value"])
    return f"{said(str(field['field']).replace('_', ' '))} <b>{said(value) if value else '(empty)'}</b>"


def quotes_html(ids: Sequence[str], quotes: Mapping[str, Mapping[str, Any]]) -> str:
    """Quotes of predictions, equal ones once; `(forgotten)` for those that are in no store any more."""
    alike: dict[str | None, list[str]] = {}
    for id_ in ids:
        text = quotes[id_]["text"] if id_ in quotes else None
        alike.setdefault(text, []).append(id_)
    return f'<ul class="quotes">{"".join(_quote(text, same, quotes) for text, same in alike.items())}</ul>'


def _quote(text: str | None, ids: Sequence[str], quotes: Mapping[str, Mapping[str, Any]]) -> str:
    times = f" · the same words {len(ids)} times" if len(ids) > 1 else ""
    if text is None:
        return f'<li><blockquote class="soft">(forgotten){times}</blockquote></li>'
    quote = quotes[ids[0]]
    facts = (
        ("conversation", quote.get("conversation_id")),
        ("label", quote.get("label")),
        ("model", quote.get("model")),
        ("", moment(str(quote.get("at") or ""))),
    )
    listed = " · ".join(f"{name} {said(value)}".strip() for name, value in facts if value)
    return f'<li>{_words(text)}<p class="soft about">{listed}{times}</p></li>'


def _words(text: str) -> str:
    shown = text[:MOST]
    if len(shown) <= FOLD:
        return f'<blockquote dir="auto">{plain(shown)}</blockquote>'
    cut = "" if len(text) <= MOST else f'<p class="soft">cut here: {len(text) - MOST:,} characters more</p>'
    head = shown[: FOLD - 60].rsplit(" ", 1)[0]
    return (
        f'<details class="long"><summary><blockquote dir="auto">{plain(head)} …</blockquote>'
        f'<span class="more">all {len(text):,} characters</span></summary>'
        f'<blockquote dir="auto">{plain(shown)}</blockquote>{cut}</details>'
    )


def commands_html(commands: Iterable[tuple[str, Sequence[str]]]) -> str:
    """What to do and the command that does it, as a list."""
    made = "".join(
        f'<li><span class="soft">{escape(what)}</span> <code class="command">{plain(shlex.join(words))}</code></li>'
        for what, words in commands
    )
    return f'<ul class="commands">{made}</ul>'


def mix(counts: Mapping[str, int]) -> str:
    """`refused 12, clean 3`, most first, as HTML."""
    listed = sorted(counts.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{said(name.replace('_', ' '))} {count:,}" for name, count in listed)


def reasons_of(reasons: int, conversations: int) -> str:
    """`23 reasons from 21 conversations`."""
    return f"{counted(reasons, 'reason')} from {counted(conversations, 'conversation')}"
