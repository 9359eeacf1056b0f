"""The HTML of the page in which people label, and of the few that only say something."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from string import Template

from llmclf.calibration.asks import Seat
from llmclf.render.pages import html_page, packaged_text, page_policy
from llmclf.server.auth import TOKEN_NAME
from llmclf.server.views import Topic
from llmclf.types import Label, Rubric

_SCRIPTS = ("sending.js", "showing.js", "labelling.js")
_KEYED_LABELS = 9


@dataclass(frozen=True, slots=True)
class Page:
    """A page and the policy under which it is served."""

    html: str
    policy: str


def label_page(topic: Topic, seat: Seat, address: str) -> Page:
    """The page of one person in one session; the cases themselves come later, one by one.

    `address` is where the page is served, without a slash in the end.
    """
    rubric = topic.rubric
    verb = "Decide" if seat.adjudicates else "Label"
    body = Template(_text("label.html")).substitute(
        name=escape(topic.name),
        person=escape(seat.annotator),
        question=escape(rubric.question),
        guideline="\n".join(map(_guideline_part, rubric.verdicts)),
        labels="\n".join(_label_choice(number, one) for number, one in enumerate(rubric.verdicts, start=1)),
        rules="\n".join(_rule_option(rubric)),
        rule_hidden="" if rubric.rules else "hidden",
        key_digits=min(len(rubric.verdicts), _KEYED_LABELS),
        help_round=_HELP_DECIDES if seat.adjudicates else "",
    )
    data = {"address": address, "labels": rubric.names, "rules": rubric.rules, "decides": seat.adjudicates}
    scripts = [_text(name) for name in _SCRIPTS]
    html = html_page(f"{verb}: {topic.name}", body, _text("label.css"), data=data, scripts=scripts, connects=True)
    return Page(html, served(page_policy(scripts, connects=True)))


def front_page(*, classifies: bool) -> Page:
    """What stands at the root; `classifies`: where backends may ask as well."""
    backends = (
        f"Backends ask POST /v1/classify (with the token in {TOKEN_NAME}, where there is one); GET /healthz says how"
        " the server is; /reasons shows what predictions say for themselves."
    )
    return message_page(
        "llmclf is running",
        "To label, open the link you were given. It is yours alone, and may be opened again until it is taken back.",
        *([backends] if classifies else []),
    )


def unknown_link() -> Page:
    """For a link or a cookie that opens nothing."""
    return message_page(
        "This link opens nothing",
        "It may have been cut short when it was copied, or taken back, or this browser has forgotten you.",
        "Open the link you were given once more, all of it. If that leads here again, ask whoever runs the session"
        " for a new one. What you labelled so far is kept.",
    )


def nothing_here() -> Page:
    """For an address that does not exist."""
    return message_page("There is nothing at this address", "Open the link you were given once more.")


_HELP_DECIDES = "<p>You see what people said first. Your label is the one that counts.</p>"


def message_page(title: str, *paragraphs: str) -> Page:
    """A page that says something in a heading and paragraphs, all of them text."""
    body = (
        f"<main class=message><h1>{escape(title)}</h1>{''.join(f'<p>{escape(one)}</p>' for one in paragraphs)}</main>"
    )
    return Page(html_page(title, body, _text("message.css")), served(page_policy()))


def served(policy: str) -> str:
    """The policy of a page as its server sends it: no other page may frame it."""
    return f"{policy}; frame-ancestors 'none'"  # has no effect inside a page


def _guideline_part(label: Label) -> str:
    rules = "".join(
        f"<li><span class=rule-id>{escape(rule.id)}</span> <span>{escape(rule.text)}</span></li>"
        for rule in label.rules
    )
    listed = f"<ul>{rules}</ul>" if rules else ""
    return f"<section><h3>{escape(label.name)}</h3><p>{escape(label.definition)}</p>{listed}</section>"


def _label_choice(number: int, label: Label) -> str:
    key = f"<kbd>{number}</kbd>" if number <= _KEYED_LABELS else "<kbd></kbd>"
    name = escape(label.name)
    shown = f"<span class=name>{name.replace('_', '_<wbr>')}</span>"  # a long name breaks where its words do
    title = escape(label.definition)
    return f'<label class=choice title="{title}"><input type=radio name=label value="{name}">{key}{shown}</label>'


def _rule_option(rubric: Rubric) -> list[str]:
    rules = [rule for verdict in rubric.verdicts for rule in verdict.rules]
    return [f'<option value="{escape(rule.id)}">{escape(rule.id)}  {escape(rule.text)}</option>' for rule in rules]


def _text(name: str) -> str:
    return packaged_text("llmclf.server", name)
