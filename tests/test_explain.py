"""explain: one verdict in plain words, how sure it is, and the page to print."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from verdict_workspace import labelled_workspace, recorded, small_dataset, small_verdicts, talk, verdict

from llmclf.cli import run
from llmclf.llm.runtime import Runtime
from llmclf.types import Dataset, Design, Evidence, Example, Prediction, dataset_of
from llmclf.workspace.run_results import RunResult, run_result
from llmclf.workspace.sureness import sure_words, sureness

Out = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one run over five conversations."""
    folder = labelled_workspace(tmp_path_factory.mktemp("small") / "w", small_dataset())
    recorded(folder, small_dataset(), small_verdicts())
    return folder


def counted_run(folder: Path, cells: dict[tuple[str, str, float], int], design: str = "unknown") -> RunResult:
    """A run with so many items of each (label, said, score)."""
    rows = [key for key, count in cells.items() for _ in range(count)]
    conversations = [talk(f"c{number}", "Hello", f"Yes {number}") for number in range(len(rows))]
    examples = [Example(f"c{number}", labels={"wants_person": label}) for number, (label, _, _) in enumerate(rows)]
    dataset: Dataset = dataset_of("parcels", conversations, examples, Design(design))  # type: ignore[arg-type]
    predictions = [verdict(f"c{number}", said, score=score) for number, (_, said, score) in enumerate(rows)]
    labelled_workspace(folder, dataset)
    recorded(folder, dataset, predictions)
    with Runtime(folder / "llmclf.db", workspace=folder) as runtime:
        return run_result("last", runtime)


def said_so(result: RunResult, label: str, score: float) -> Prediction:
    return next(one for one in result.predictions if one.label == label and one.score == score)


def test_how_sure_is_precision_at_the_assumed_prevalence(tmp_path: Path) -> None:
    """Recall 30/40 and 10 false alarms of 200, at 5 %: .0375 of .0375 + .0475 are right, 4 of 10."""
    result = counted_run(
        tmp_path / "w",
        {
            ("refused", "refused", 0.9): 30,
            ("refused", "clean", 0.1): 10,
            ("clean", "refused", 0.9): 10,
            ("clean", "clean", 0.1): 190,
        },
    )
    sure = sureness(said_so(result, "refused", 0.9), result)
    assert sure.share.value == pytest.approx(0.75 * 0.05 / (0.75 * 0.05 + 0.05 * 0.95))
    assert (sure.out_of, sure.counts()[0], sure.like, sure.prevalence) == (10, 4, 40, 0.05)
    about, low, high = sure.counts()
    assert low is not None and high is not None and about is not None
    assert low < about < high
    words, basis = sure_words(sure, True, "conversation")
    assert words == f"Of 10 conversations marked like this one, about 4 are right ({low} to {high})."
    assert "50 in 1,000 conversations really are of this kind" in basis[0]
    quiet = sureness(said_so(result, "clean", 0.1), result)
    assert quiet.share.value == pytest.approx(0.25 * 0.05 / (0.25 * 0.05 + 0.95 * 0.95))
    assert (quiet.out_of, quiet.like) == (100, 200)


def test_scores_like_this_one_are_looked_at_alone_where_they_are_enough(tmp_path: Path) -> None:
    """Ten targets and ten others in the same tenth of the scores; else all that came out alike."""
    result = counted_run(
        tmp_path / "w",
        {
            ("refused", "refused", 0.95): 30,
            ("clean", "refused", 0.95): 10,
            ("refused", "refused", 0.65): 5,
            ("clean", "refused", 0.65): 20,
            ("refused", "clean", 0.1): 5,
            ("clean", "clean", 0.1): 170,
        },
        design="random",
    )
    high = sureness(said_so(result, "refused", 0.95), result)
    assert high.score_band == (0.9, 1.0)
    assert high.share.value == pytest.approx(30 / 40, abs=0.02)
    assert high.prevalence is None
    low = sureness(said_so(result, "refused", 0.65), result)
    assert low.score_band is None
    assert low.share.value == pytest.approx(35 / 65, abs=0.02)


def test_what_is_not_known_is_said_with_its_reason(tmp_path: Path) -> None:
    """Without a false alarm only `at least`; with too few labels nothing; of a failed item nothing."""
    cells = {("refused", "refused", 0.9): 30, ("refused", "clean", 0.1): 10, ("clean", "clean", 0.1): 300}
    result = counted_run(tmp_path / "a", cells)
    words, _ = sure_words(sureness(said_so(result, "refused", 0.9), result), True, "conversation")
    assert "at least" in words
    assert "not one wrong one was seen" in words
    few = counted_run(tmp_path / "b", {("refused", "refused", 0.9): 1, ("clean", "refused", 0.9): 1})
    words, _ = sure_words(sureness(few.predictions[0], few), True, "reply")
    assert "between" in words and "seen" not in words
    failed = replace(few.predictions[0], error=small_verdicts()[3].error)
    assert not sureness(failed, few).share.is_known


def test_the_page_speaks_plainly_and_without_names(small: Path, capsys: Out, monkeypatch: Any, tmp_path: Path) -> None:
    """Question, quotes in context, the cited rule in words, how sure, whose decision it is; redacted by default."""
    monkeypatch.chdir(small)
    page = tmp_path / "page.html"
    assert run(["explain", "named", "--html", str(page)]) == 0
    assert "read it before you hand it on" in capsys.readouterr().err
    html = page.read_text(encoding="utf-8")
    assert page.stat().st_mode & 0o777 == 0o600
    for words in (
        "Did the customer ask for a person and get none?",
        "Automated assistant",
        "<mark>Dear [NAME_1], use the form</mark>",
        "The rule that the automatic check names:</b> A form in place of a person counts.",
        "[NAME_1] was sent to a form",
        "1 of 1 person who read it said so",
        "for a person to decide",
    ):
        assert words in html, words
    for jargon in ("Ana", "Lee", "recall", "precision", "threshold", "false alarm", "classifier", "<script"):
        assert jargon not in html, jargon
    assert run(["explain", "named", "--no-redact", "--html", str(page)]) == 0
    assert "Kowalska" in page.read_text(encoding="utf-8")
    assert "may hold personal data" in page.read_text(encoding="utf-8")


def test_redaction_covers_the_page_also_where_the_workspace_has_it_off(
    small: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """A page is handed round: only --no-redact leaves names in."""
    folder = shutil.copytree(small, tmp_path / "w")
    (folder / "llmclf.toml").write_text('version = 1\n[privacy]\nredact = "off"\n')
    monkeypatch.chdir(folder)
    assert run(["explain", "named", "--html", "page.html"]) == 0
    assert "Kowalska" not in (folder / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("id", "words"),
    [
        (
            "plain",
            [
                "not marked",
                "No. The automatic check",
                "The label on file says otherwise: “refused”",
                "the label on file points at",
            ],
        ),
        ("hostile", ["Why this conversation was marked", "quotes words that nobody said here", "“never said”"]),
        ("done", ["got no answer", "it declined to answer", "No answer does not mean no", "transfers to billing"]),
    ],
)
def test_each_outcome_has_its_words(id: str, words: list[str], small: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Marked, not marked, or without an answer: no outcome passes for another, and hostile text stays text."""
    monkeypatch.chdir(small)
    page = tmp_path / "page.html"
    assert run(["explain", id, "--html", str(page)]) == 0
    html = page.read_text(encoding="utf-8")
    for one in words:
        assert one in html, one
    assert "<script" not in html


@pytest.mark.parametrize("width", ["60", "80"])
def test_the_terminal_form_says_the_same(width: str, small: Path, capsys: Out, monkeypatch: Any) -> None:
    """Within the terminal's width, control characters left out; `--json` has it as data."""
    monkeypatch.chdir(small)
    monkeypatch.setenv("COLUMNS", width)
    assert run(["explain", "hostile"]) == 0
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines()) <= int(width)
    assert "\x1b[2J" not in out
    assert "Nobody said this here" in out
    assert run(["explain", "hostile", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["not_found"] == ["never said"]


def test_a_reply_is_shown_with_what_is_around_it(tmp_path: Path, capsys: Out, monkeypatch: Any) -> None:
    """For a task about turns: the turn asked about and two on each side; what is left out is counted."""
    talked = talk("long", *[f"words {number}" for number in range(20)])
    example = Example("long", turn=9, labels={"wants_person": "refused"})
    dataset = dataset_of("parcels", [talked], [example])
    folder = labelled_workspace(tmp_path / "w", dataset)
    task = folder / "configs/tasks/wants_person.toml"
    task.write_text('unit = "turn"\ncontext = "so_far"\n' + task.read_text("utf-8").lstrip())
    said = replace(verdict("long", "refused", evidence=(Evidence("words 8", 8),)), turn=9)
    recorded(folder, dataset, [said])
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["explain", "long[9]"]) == 0
    out = capsys.readouterr().out
    assert "(6 messages left out)" in out
    assert "(8 messages left out)" in out
    assert "> Automated assistant: words 9" in out
    assert "calls this reply" in out
    assert run(["show", "long[9]"]) == 0
    out = capsys.readouterr().out
    assert '" [8] user: words 8' in out
    assert "> [9] bot: words 9" in out
    assert "· [10] user: words 10" in out
    assert "not shown to the classifier" in out
    assert run(["show", "long"]) == 1
    assert "long[9]" in capsys.readouterr().err


def test_a_hidden_message_is_not_in_the_print(small: Path, tmp_path: Path, monkeypatch: Any, browser: Any) -> None:
    """In a real browser: no console error, no request, no sideways scrolling, and a tick takes the words out."""
    monkeypatch.chdir(small)
    path = tmp_path / "page.html"
    assert run(["explain", "hostile", "--html", str(path)]) == 0
    page = browser.new_context(viewport={"width": 380, "height": 900}).new_page()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: troubles.append(request.url) if "http" in request.url[:5] else None)
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert "Fine" in page.inner_text("body")
    page.check("#turn1")
    page.emulate_media(media="print")
    assert "Fine" not in page.inner_text("body")
    assert "blacked out" in page.inner_text("body")
    assert not page.is_visible("#turn0")
    assert page.pdf(format="A4")[:4] == b"%PDF"
    assert not troubles
