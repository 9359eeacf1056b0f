"""Pages without scripts: one verdict explained for print, and the wrong verdicts of a run in full."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

from llmclf.data.files import write_whole
from llmclf.evaluation.wrong import MEANINGS, kind_name
from llmclf.render.conversation import spoken_text
from llmclf.render.pages import html_page, packaged_text
from llmclf.workspace.explaining import Explanation, Passage, label_words
from llmclf.workspace.showing import CallText, OtherVerdict, VerdictInFull
from llmclf.workspace.verdicts import WrongList, said_of, score_of, show_command

_HEADLINES = {
    "marked": "Why this {thing} was marked",
    "left unmarked": "Why this {thing} was not marked",
    "no answer": "This {thing} got no answer",
}
_STAMP = '<p><span class="stamp">SIMULATED: made-up answers, not a measurement</span></p>'


def write_page(path: Path, html: str) -> None:
    """Writes a page that its owner alone can read (mode 0600, where the file is new); whole, or not at all."""
    write_whole(path, html, private=True)


def explain_page(explained: Explanation) -> str:
    """One verdict on one page, to be printed: each turn can be left out of the print by a tick."""
    legend = f"With a darker bar: what {explained.pointed_by} points at. " if explained.pointed_by else ""
    if any(passage.quoted for passage in explained.passages):
        legend += "Marked: the words it quotes. "
    body = Template(_text("explain.html")).substitute(
        stamp=_STAMP if explained.simulated else "",
        thing=explained.thing.capitalize(),
        item=escape(explained.item),
        headline=escape(_HEADLINES[explained.outcome].format(thing=explained.thing)),
        answer=escape(explained.answer),
        question=escape(explained.question),
        meaning=escape(explained.meaning),
        sure=escape(explained.sure),
        basis="".join(f'<p class="soft">{escape(text)}</p>' for text in explained.basis),
        legend=legend if explained.passages else "The conversation itself is not at hand.",
        tick="Tick “hide” to black a message out, also in print." if explained.passages else "",
        passages="\n".join(_talk(explained)),
        not_found=_not_found(explained),
        reason=_reason(explained),
        rule_from=escape(explained.rule_from),
        rule=escape(explained.rule),
        people=f"<p>{escape(explained.people)}</p>" if explained.people else "",
        foot=escape(_foot(explained)),
    )
    return _framed(f"{explained.outcome}: {explained.item}", body, "explain.css")


def _talk(explained: Explanation) -> Iterable[str]:
    for passage in explained.passages:
        yield from _gap(passage.left_out_before)
        css = ' class="points"' if passage.points or passage.asked else ""
        about = " (the message this is about)" if passage.asked else ""
        who = f'<span class="who">{escape(passage.who)}{about}</span>'
        yield f"<li{css}>{_cover(f'turn{passage.number}')}{who}{_words(_quoted(passage))}</li>"
    yield from _gap(explained.left_out_after)


def _gap(count: int) -> Iterable[str]:
    if count:
        yield f'<li class="gap">{count} {"message" if count == 1 else "messages"} left out</li>'


def _cover(id: str) -> str:
    """A tick that hides the words after it: they are then not in the print at all, not only black."""
    return f'<input class="cover" type="checkbox" id="{id}"><label class="hide" for="{id}">hide</label>'


def _words(html: str) -> str:
    return f'<span class="words">{html}</span><span class="covered">blacked out</span>'


def _quoted(passage: Passage) -> str:
    """The text with the quoted words marked; quotes that overlap are marked as one."""
    text = passage.text
    marked = [False] * len(text)
    for quote in passage.quoted:
        start = text.index(quote)
        marked[start : start + len(quote)] = [True] * len(quote)
    html, inside = [], False
    for character, mark in zip(text, marked, strict=True):
        if mark != inside:
            html.append("<mark>" if mark else "</mark>")
            inside = mark
        html.append(escape(character))
    return "".join(html) + ("</mark>" if inside else "")


def _not_found(explained: Explanation) -> str:
    if not explained.not_found:
        return ""
    quotes = "".join(
        f"<li>{_cover(f'quote{number}')}{_words(escape(f'“{quote}”'))}</li>"
        for number, quote in enumerate(explained.not_found)
    )
    return (
        '<p class="wrong">The automatic check also quotes words that nobody said here. Do not rely on them:</p>'
        f'<ol class="talk">{quotes}</ol>'
    )


def _reason(explained: Explanation) -> str:
    if not explained.reason:
        return '<p class="soft">It gave no reason in words.</p>'
    if not explained.own_words:
        return f"<p>{escape(explained.reason)}</p>"
    head = '<span class="who">In the words of the automatic check</span>'
    return f'<ol class="talk"><li>{_cover("reason")}{head}{_words(escape(explained.reason))}</li></ol>'


def _foot(explained: Explanation) -> str:
    redacted = (
        "Names, numbers and addresses that a program could find were taken out: read it before you hand it on."
        if explained.redacted
        else "Nothing was taken out of the texts: they may hold personal data."
    )
    return " ".join(
        [
            redacted,
            *(f"{note}." for note in explained.notes),
            f"To find it again: {explained.item}, {explained.source}.",
        ]
    )


# --- the wrong verdicts of a run --------------------------------------------------------------


def verdicts_page(listed: WrongList, verdicts: Sequence[VerdictInFull]) -> str:
    """The wrong verdicts of a run in full: `verdicts` are those of `listed.listed`, in that order."""
    parts = [f'<p class="eyebrow">run {escape(listed.run)}</p>', f"<h1>{escape(listed.title)}</h1>"]
    parts += [f'<p><span class="stamp">{escape(note)}</span></p>' for note in listed.notes]
    remaining = iter(verdicts)
    for kind, wrongs in listed.wrong.items():
        parts.append(f"<h2>{len(wrongs)} {kind_name(kind, len(wrongs))}</h2>")
        parts.append(f'<p class="soft">{MEANINGS[kind] if wrongs else "nothing to look at"}</p>')
        parts += [_in_full(next(remaining)) for _ in wrongs[: listed.limit]]
        if len(wrongs) > listed.limit:
            parts.append(f'<p class="soft">and {len(wrongs) - listed.limit} more: --limit {len(wrongs)} lists them</p>')
    return _framed(f"llmclf errors: {listed.title}", "\n".join(parts))


def _in_full(verdict: VerdictInFull) -> str:
    prediction = verdict.prediction
    score = score_of(prediction)
    head = (
        f"{escape(str(prediction.item))}: is <b>{escape(str(verdict.true_label))}</b>, "
        f"said <b>{escape(said_of(prediction, verdict.task))}</b>"
    )
    more = f' <span class="soft">{escape(score)}</span>' if score else ""
    body = "".join(
        [
            *_said(verdict),
            *_conversation(verdict),
            *_annotations(verdict),
            *_others(verdict.others),
            *_call(verdict.call),
        ]
    )
    command = show_command(prediction.item, verdict.run)
    return f"<details><summary>{head}{more}</summary>{body}<p class='soft'><code>{escape(command)}</code></p></details>"


def _said(verdict: VerdictInFull) -> Iterable[str]:
    prediction = verdict.prediction
    if prediction.error is not None:
        yield f'<p class="wrong">{escape(prediction.error.message)}</p>'
    if prediction.rationale:
        yield f"<p>{escape(prediction.rationale)}</p>"
    for quote in prediction.evidence:
        turn = "" if quote.turn is None else f"turn {quote.turn}: "
        missing = "" if quote.grounded else ' <span class="stamp">NOT IN THE CONVERSATION</span>'
        yield f"<blockquote>{turn}“{escape(quote.quote)}”{missing}</blockquote>"
    if prediction.thinking:
        yield f"<details><summary>thinking</summary><pre>{escape(prediction.thinking)}</pre></details>"


def _conversation(verdict: VerdictInFull) -> Iterable[str]:
    conversation, example = verdict.conversation, verdict.example
    if conversation is None or example is None:
        return
    quoted = {quote.turn for quote in verdict.prediction.evidence if quote.grounded}
    yield '<h3>conversation</h3><ol class="talk">'
    for number, turn in enumerate(conversation.turns):
        facts = [
            *(["asked about"] if number == verdict.prediction.turn else []),
            *(["quoted"] if number in quoted else []),
            *(["labelled evidence"] if number in example.evidence_turns else []),
            *(["not shown to it"] if number >= verdict.seen else []),
        ]
        css = ' class="points"' if facts and number < verdict.seen else ""
        who = " · ".join([f"[{number}] {turn.speaker}", *facts])
        yield f'<li{css}><span class="who">{escape(who)}</span>{escape(spoken_text(turn))}</li>'
    yield "</ol>"


def _annotations(verdict: VerdictInFull) -> Iterable[str]:
    example = verdict.example
    if example is None:
        return
    rows = []
    for one in example.annotations:
        rule = verdict.rule(one.rule)
        cited = f"{one.rule}: {rule.text}" if rule else one.rule
        rows.append((one.annotator, label_words(one.label), cited, one.note, one.at[:10]))
    if example.note:
        rows.append(("note", "", "", example.note, ""))
    if example.failure_modes:
        rows.append(("failure modes", "", "", ", ".join(example.failure_modes), ""))
    if rows:
        yield f"<h3>what is known of it</h3>{_table(rows)}"


def _others(others: Sequence[OtherVerdict]) -> Iterable[str]:
    if others:
        rows = [
            (
                one.name,
                one.said,
                "" if one.score is None else f"{one.score:.3f}",
                "SIMULATED" if one.simulated else "",
                one.started_at[:10],
            )
            for one in others
        ]
        yield f"<h3>what other configurations said</h3>{_table(rows)}"


def _call(call: CallText | None) -> Iterable[str]:
    if call is None:
        return
    if call.forgotten_at:
        yield f'<p class="soft">prompt and answer were erased on {escape(call.forgotten_at[:10])}</p>'
        return
    sent = "".join(f'<p class="soft">{escape(role)}</p><pre>{escape(text)}</pre>' for role, text in call.messages)
    yield f"<details><summary>prompt as sent to {escape(call.model)}</summary>{sent}</details>"
    yield f"<details><summary>raw answer</summary><pre>{escape(call.answer or call.error)}</pre></details>"


def _table(rows: Iterable[Sequence[str]]) -> str:
    lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return f'<table class="facts">{"".join(f"<tr>{line}</tr>" for line in lines)}</table>'


def _framed(title: str, body: str, *styles: str) -> str:
    return html_page(title, body, "\n".join(_text(name) for name in ("style.css", *styles)))


def _text(name: str) -> str:
    return packaged_text("llmclf.workspace", name)
