"""Figures between 0 and 1 as bars on a page: a value with its interval, the bar it must reach, people's interval."""

from __future__ import annotations

from html import escape

from llmclf.calibration.figure_text import interval_text, value_text
from llmclf.types import Estimate

SCALE = (
    '<div class="bar" aria-hidden="true"><div class="scale"><span>0</span><span>0.5</span><span>1</span></div></div>'
)


def legend(*, people: bool) -> str:
    """What the marks mean; `people` where theirs are among them."""
    keys = [("own", "the judge, 95 % interval"), ("least", "the bar: the low end must reach it")]
    if people:
        keys += [("theirs", "a person, against the votes of the others"), ("ring", "the judge, against the same votes")]
    return f'<p class="legend">{"".join(_key(*one) for one in keys)}</p>'


def figure_bar(
    name: str,
    own: Estimate,
    *,
    theirs: Estimate | None = None,
    beside: Estimate | None = None,
    least: float | None = None,
    minor: bool = False,
) -> str:
    """One row: the name, a track from 0 to 1, the value with its interval, and why there is none.

    `theirs` is a person's figure, and `beside` the judge's against the same votes: the two to compare.
    """
    marks = "" if theirs is None else _band("theirs", theirs)
    marks += _band("span", own)
    if beside is not None and beside.value is not None:
        marks += f'<i class="ring" style="left:{_place(beside.value)}"></i>'
    if own.value is not None:
        marks += f'<i class="dot" style="left:{_place(own.value)}"></i>'
    if least is not None:
        marks += f'<i class="least" style="left:{_place(least)}"></i>'
    why = "" if own.value is not None or not own.why_not else f'<p class="why-not">{escape(own.why_not)}</p>'
    css = "bar minor" if minor else "bar"
    track = f'<div class="track" aria-hidden="true">{marks}</div>'
    name, value = f'<span class="name">{escape(name)}</span>', f'<span class="value">{_value(own)}</span>'
    return f'<div class="{css}">{name}{track}{value}{why}</div>'


def _band(css: str, figure: Estimate) -> str:
    if figure.low is None or figure.high is None:
        return ""
    low, high = (min(1.0, max(0.0, end)) for end in (figure.low, figure.high))
    return f'<i class="{css}" style="left:{_place(low)};width:{(high - low) * 100:.1f}%"></i>'


def _place(share: float) -> str:
    return f"{min(1.0, max(0.0, share)) * 100:.1f}%"


def _value(figure: Estimate) -> str:
    value, interval = value_text(figure), interval_text(figure)
    if not value:
        return interval or "not known"
    return f"<b>{value}</b> {interval}".strip()


def _key(css: str, words: str) -> str:
    return f'<span><span class="key {css}"></span>{words}</span>'
