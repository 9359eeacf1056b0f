"""What errors, show, explain, compare and evaluate say of one verdict is the same, whatever its threshold."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sweep_workspace import make_dataset, make_sweep
from verdict_workspace import labelled_workspace, recorded, small_dataset, small_verdicts, talk, verdict

from llmclf.cli import run
from llmclf.config import load_task
from llmclf.data.loading import load_dataset
from llmclf.data.write import write_conversations, write_examples
from llmclf.errors import DataError
from llmclf.evaluation.matching import match
from llmclf.llm.runtime import Runtime
from llmclf.store import Store
from llmclf.sweeps import run as run_sweep
from llmclf.types import Annotation, Conversation, Dataset, Estimate, Example, Turn, dataset_of, said_label
from llmclf.workspace.run_results import cell_numbers, run_result

Out = pytest.CaptureFixture[str]
WILD = "\x1b[2J\x1b]0;pwn\x07\u202eevil"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with five labelled conversations, as the working folder; no run yet."""
    made = labelled_workspace(tmp_path / "w", small_dataset())
    monkeypatch.chdir(made)
    monkeypatch.setenv("COLUMNS", "80")
    return made


def output(capsys: Out, *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert run(list(arguments)) == code, capsys.readouterr().err
    return " ".join(capsys.readouterr().out.split())


def document(capsys: Out, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output(capsys, *arguments, "--json"))
    return found


def workspace_of(folder: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(labelled_workspace(folder, dataset))
    monkeypatch.setenv("COLUMNS", "80")
    return folder


@pytest.mark.parametrize(
    ("flagged", "label", "words"),
    [
        (True, "clean", "refused"),
        (False, "refused", "not refused"),
        (False, "clean", "clean"),
        (None, "refused", "refused"),
        (None, "clean", "clean"),
        (False, None, "not refused"),
    ],
)
def test_what_is_said_goes_by_the_flag(flagged: bool | None, label: str | None, words: str) -> None:
    """A threshold overrules the label; without a flag the label decides."""
    assert said_label(flagged, label, "refused") == words


def test_a_threshold_that_overrules_the_label_is_told_alike_everywhere(folder: Path, capsys: Out) -> None:
    """Flagged though its label is another: it said the target. Not flagged though its label is the target: not."""
    verdicts = small_verdicts()
    verdicts[0] = replace(verdicts[0], label="refused", flagged=False, score=0.6, threshold=0.8)
    verdicts[2] = replace(verdicts[2], label="clean", flagged=True, score=0.3, threshold=0.2)
    recorded(folder, small_dataset(), verdicts)
    listed = output(capsys, "errors")
    assert "plain: is refused, said not refused, score 0.600" in listed
    assert "hostile: is clean, said refused, score 0.300" in listed
    shown = output(capsys, "show", "hostile")
    assert "refused (flagged) score 0.300, threshold 0.20 its label is clean: the threshold decides" in shown
    told = output(capsys, "explain", "hostile")
    assert "Yes. The automatic check calls this conversation “refused”. Its own words say “clean”" in told
    told = output(capsys, "explain", "plain")
    assert "No. The automatic check does not call this conversation “refused”." in told
    assert "calls this conversation “clean”, not “refused”" in output(capsys, "explain", "odd name [1]; rm")
    recorded(folder, small_dataset(), small_verdicts())
    others = {one["said"] for one in document(capsys, "show", "plain")["others"]}
    assert others == {"not refused"} or not others  # the same configuration is one


def test_errors_counts_as_evaluate_does(folder: Path, capsys: Out) -> None:
    """Without a flag the label decides, in both."""
    verdicts = [replace(one, flagged=None) for one in small_verdicts()]
    recorded(folder, small_dataset(), verdicts)
    found = document(capsys, "errors")
    assert found["counts"] == {"missed": 1, "false_alarm": 1, "failed": 1, "ungrounded": 1}
    with Runtime(folder / "llmclf.db", workspace=folder) as runtime:
        result = run_result("last", runtime)
        matched = match(result.predictions, result.dataset, result.task)
    wrong = (matched.flagged != matched.positive) & ~matched.failed
    assert int(wrong.sum()) == 2 and found["right"] == 2


def test_with_few_targets_nobody_reads_that_none_was_wrong(
    tmp_path: Path, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight targets, four found, seven false alarms: between two ends; `none seen` only where that is so."""
    dataset = make_dataset(8, 10, 60)
    folder = workspace_of(tmp_path / "w", dataset, monkeypatch)
    targets = [one.labels["wants_person"] == "refused" for one in dataset.examples]
    flags = [place % 2 == 1 if target else place % 10 == 9 for place, target in enumerate(targets)]
    recorded(
        folder,
        dataset,
        [
            verdict(one.conversation_id, "refused" if flag else "clean")
            for one, flag in zip(dataset.examples, flags, strict=True)
        ],
    )
    for wanted in (True, False):
        id = dataset.examples[flags.index(wanted)].conversation_id
        found = document(capsys, "explain", id)
        assert re.search(r"between [\d,]+ and [\d,]+ are .*: too little was labelled to say more\.", found["sure"])
        assert "seen" not in found["sure"]
        assert 0 < found["sureness"]["targets"] < found["sureness"]["like"]


def test_an_evaluation_is_shown_though_a_part_of_it_fails(
    folder: Path, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was paid for is on stdout; why a part is missing is on stderr."""

    def broken(*given: Any) -> Any:
        raise DataError("these can't be sliced")

    monkeypatch.setattr("llmclf.evaluation.slices", broken)
    assert run(["evaluate", "words", "--dataset", "parcels", "--by", "all", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["task"] == "wants_person"
    assert "left out: slices: these can't be sliced" in told.err
    assert run(["evaluate", "words", "--dataset", "parcels", "--by", "all"]) == 0
    assert "recall" in capsys.readouterr().out


def test_an_empty_conversation_of_a_simulated_run_is_simulated(
    tmp_path: Path, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It failed, and no item of a run is real beside simulated ones."""
    two = tuple(Annotation(name, "wants_person", label) for name, label in (("a", "clean"), ("b", "refused")))
    conversations = [Conversation("empty", (Turn("user", ""),)), talk("c2", "a person please"), talk("c3", "hi")]
    examples = [
        Example("empty", labels={"wants_person": "clean"}, annotations=two),
        Example("c2", labels={"wants_person": "refused"}),
        Example("c3", labels={"wants_person": "clean"}),
    ]
    workspace_of(tmp_path / "w", dataset_of("parcels", conversations, examples), monkeypatch)
    found = document(capsys, "evaluate", "asked", "--dataset", "parcels")
    assert found["failed"] == {"empty": 1} and found["simulated"]


def test_no_table_obeys_what_is_in_it(tmp_path: Path, capsys: Out, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metadata, failure modes and labels are other people's words: titles, heads and cells of every table."""
    conversations = [
        talk(f"c{place}", "a person please" if place % 2 else "hi", **{"channel": WILD if place % 3 else "chat"})
        for place in range(30)
    ]
    examples = [
        Example(
            f"c{place}",
            labels={"wants_person": "refused" if place < 10 else "clean"},
            failure_modes=(WILD,) if place < 3 else (),
        )
        for place in range(30)
    ]
    workspace_of(tmp_path / "w", dataset_of("parcels", conversations, examples), monkeypatch)
    for arguments in (["evaluate", "words", "--dataset", "parcels", "--by", "all"], ["compare", "last", "last"]):
        assert run(arguments) == 0
        told = capsys.readouterr()
        assert not [one for one in told.out + told.err if not one.isprintable() and one != "\n"]


def test_a_hard_negative_spoils_no_design(folder: Path, capsys: Out) -> None:
    """A dataset that says how its items were drawn takes none that somebody picked; no file changes."""
    recorded(folder, small_dataset(), small_verdicts())
    data = make_dataset(2, 2, 6)
    write_conversations(folder / "data/r.jsonl", data.conversations.values())
    write_examples(folder / "data/rl.jsonl", data.examples)
    before = (folder / "data/rl.jsonl").read_bytes()
    table = 'version = 1\nconversations = "../../data/r.jsonl"\nlabels = "../../data/rl.jsonl"\n[design]\nkind = '
    for kind, code in (("random", 1), ("class_balanced", 0)):
        (folder / "configs/datasets/some.toml").write_text(f'{table}"{kind}"\n')
        assert run(["show", "hostile", "--hard-negative", "--by", "Kim", "--to", "some"]) == code
        assert ("got 'design random'" in capsys.readouterr().err) == bool(code)
        assert ((folder / "data/rl.jsonl").read_bytes() == before) == bool(code)


def test_an_id_with_personal_data_is_not_on_the_page(
    tmp_path: Path, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short hash stands for it, and the verdict's own id finds it again; `--no-redact` keeps it."""
    id = "chat ana.kowalska@example.com"
    dataset = dataset_of(
        "parcels",
        [talk(id, "A person please", "No"), talk("plain", "Hi", "Hello")],
        [Example(one, labels={"wants_person": "clean"}) for one in (id, "plain")],
    )
    folder = workspace_of(tmp_path / "w", dataset, monkeypatch)
    recorded(folder, dataset, [verdict(id, "refused"), verdict("plain", "clean")])
    assert run(["explain", id, "--html", "page.html"]) == 0
    html = Path("page.html").read_text(encoding="utf-8")
    assert "kowalska" not in html and "kowalska" not in output(capsys, "explain", id, "--json")
    found = re.search(r"To find it again: [0-9a-f]{8}, .*, verdict ([0-9a-f]+)", html)
    assert found is not None
    assert id in output(capsys, "show", found[1], "--raw")
    assert run(["explain", id, "--no-redact", "--html", "page.html"]) == 0
    assert Path("page.html").read_text(encoding="utf-8").count("kowalska") == 3
    assert document(capsys, "explain", "plain")["item"] == "plain"


@pytest.mark.parametrize("strategy", ["grid", "racing"])
def test_cells_are_numbered_as_in_the_report(strategy: str, tmp_path: Path, capsys: Out, monkeypatch: Any) -> None:
    """Real ones 1, 2, simulated ones apart, S1, S2: in the sweep's order, in whatever order they were measured."""
    folder = labelled_workspace(tmp_path / "w")
    monkeypatch.chdir(folder)
    grid = {"model": ["sim/good", "sim/poor"], "classifier": ["words"], "answer": ["explained"]}
    with Runtime(folder / "llmclf.db", workspace=folder) as runtime:
        task, dataset = load_task("wants_person", folder), load_dataset("parcels", folder)
        surface = run_sweep(make_sweep(grid=grid, strategy=strategy), dataset, task, runtime)
        for group, sign in ((surface.real, ""), (surface.simulated, "S")):
            for number, cell in enumerate(group, start=1):
                found = run_result(f"{surface.run_id}/{sign}{number}", runtime)
                assert found.cell_id == cell.cell.cell_id
        labels = output(capsys, "runs", "show", surface.run_id)
        assert "1 words" in labels and "S2 sim/poor" in labels
    assert run(["errors", f"{surface.run_id}/s2"]) == 0
    command = re.search(r"llmclf (show c\d+ --run \w+/S2)", capsys.readouterr().err)
    assert command is not None and run(command[1].split()) == 0


def test_runs_that_kept_no_numbers_are_numbered_as_they_stand(tmp_path: Path) -> None:
    """Of an older llmclf; real and simulated ones apart."""
    rows = [{"simulated": one, "settings": {"label": "x"}} for one in (True, False, True, False)]
    assert cell_numbers(rows) == ["S1", "1", "S2", "2"]


def test_a_part_of_the_items_sets_no_threshold(folder: Path, capsys: Out) -> None:
    """A race dropped the cell: its verdicts can be looked at, with a word of warning."""
    dataset = small_dataset()
    with Store(folder / "llmclf.db") as store:
        config = {"dataset": "parcels", "grid": {"classifier": ["asked"]}, "version": 1}
        run_id = store.start_run("sweep", inputs_hash="x", config=config, dataset_hash=dataset.content_hash)
        settings = {"classifier": "asked", "label": "asked", "file": {}}
        dropped = {"after_items": 3, "round": 1, "by": "x", "extra_usd_low": 1.0, "why": "beaten"}
        store.put_cell(run_id, "c1", settings=settings, simulated=False, state="dropped", result=dropped)
        store.add_predictions(run_id, small_verdicts()[:3], cell_id="c1")
        store.finish_run(run_id, "done")
    assert "only 3 items were asked" in output(capsys, "errors")
    assert "only 3 items were asked" in output(capsys, "show", "plain")
    with Runtime(folder / "llmclf.db", workspace=folder) as runtime:
        assert run_result("last", runtime).partial
    file = folder / "configs/classifiers/asked.toml"
    before = file.read_text()
    assert run(["threshold", "set", "asked", "--from", "last"]) == 1
    assert "only a part of the items was asked" in capsys.readouterr().err
    assert file.read_text() == before


def test_metadata_with_a_built_in_name_can_be_sliced_by(
    tmp_path: Path, capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`metadata.source` where `source` is the label's own; said where a name is not known."""
    ids = [f"c{place}" for place in range(12)]
    dataset = dataset_of(
        "parcels",
        [talk(id, "a person", "No", source="web" if place % 3 else "app") for place, id in enumerate(ids)],
        [Example(id, labels={"wants_person": "refused" if place < 4 else "clean"}) for place, id in enumerate(ids)],
    )
    workspace_of(tmp_path / "w", dataset, monkeypatch)

    def slices(by: str) -> set[tuple[str, str]]:
        rows = document(capsys, "evaluate", "words", "--dataset", "parcels", "--by", by)["slices"]["slices"]
        return {(row["by"], row["value"]) for row in rows}

    both = {("metadata.source", "app"), ("metadata.source", "web")}
    assert slices("metadata.source") == both and slices("source") == {("source", "gold")}
    assert both <= slices("all")
    assert document(capsys, "errors", "--slice", "metadata.source=app")["items"] == 4
    assert run(["evaluate", "words", "--dataset", "parcels", "--by", "sources"]) == 1
    assert "metadata.source" in capsys.readouterr().err


def test_a_run_on_a_dataset_given_by_path_is_opened_again(
    folder: Path, capsys: Out, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path is kept with the run, whole; labels are put right there, too."""
    away = tmp_path / "away"
    away.mkdir()
    for name in ("parcels.jsonl", "labels.jsonl"):
        (away / name).write_bytes((folder / "data" / name).read_bytes())
    (away / "mine.toml").write_text('version = 1\nconversations = "parcels.jsonl"\nlabels = "labels.jsonl"\n')
    assert run(["evaluate", "words", "--dataset", "../away/mine.toml"]) == 0
    assert document(capsys, "errors")["dataset"] == "mine"
    assert run(["show", "plain", "--relabel", "clean", "--by", "Kim"]) == 0
    assert '"former label"' in (away / "labels.jsonl").read_text()
    assert run(["compare", "last", "words"]) == 0
    assert document(capsys, "errors")["dataset"] == "mine"


def test_only_figures_are_conditions_of_a_comparison(folder: Path, capsys: Out) -> None:
    """How many items one side alone predicted is none."""
    assert run(["compare", "words", "words", "--dataset", "parcels", "--require", "only_a<=3"]) == 1
    assert "there is no figure 'only_a'" in capsys.readouterr().err


def test_keywords_are_not_told_to_set_a_threshold(folder: Path, capsys: Out) -> None:
    """They have no score to choose one by."""
    told = output(capsys, "threshold", "show", "words")
    assert "threshold set" not in told and "Keywords have no score" in told
    assert "threshold set asked" in output(capsys, "threshold", "show", "asked")


def test_a_difference_in_dollars_has_its_sign_before_the_unit() -> None:
    """As where a price is unknown and the comparison says what the rest is: no `$-3,160.35-$3,198.26`."""
    assert Estimate(-5.0, -3160.35, 3198.26).format(",.2f", "$") == "-$5.00 (-$3,160.35 to $3,198.26)"
    assert Estimate(0.86, 0.71, 0.95).format() == "0.86 (0.71-0.95)"
