"""Optimizers of dspy over a student that follows a known rule, and over a real classifier and a local server."""

from __future__ import annotations

import importlib.util
import json
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from asking_http import workspace_of
from conftest import PROMPT, TASK
from wire import Received, Reply, Wire, chat

from llmclf.classifiers.loading import load_classifier
from llmclf.config import OptimizationFile, load_task
from llmclf.config.files import load_named
from llmclf.errors import ConfigError
from llmclf.llm import Runtime
from llmclf.optimization.book import Book, ReflectionCounts, Step, Stopped
from llmclf.optimization.classifier_student import _from_threshold, classifier_student
from llmclf.optimization.objective import Objective, dollars_objective
from llmclf.optimization.optimizers import check_optimizer, expected
from llmclf.optimization.parts import Parts
from llmclf.optimization.search import search
from llmclf.optimization.values import Answered, Candidate, Demonstration, Instance, Student
from llmclf.render import Prompt
from llmclf.types import Conversation, Costs, Dataset, ErrorInfo, Example, Label, Turn

PARENT = """=== system ===
Is a person refused?
{{labels}}
{{answer_format}}
{{examples}}
=== user ===
{{conversation}}
{{item}}
"""
LABELS = (
    Label("refused", "target", "asks for a person and gets none"),
    Label("frustrated", "adjacent", "angry without asking"),
    Label("clean", "clean", "nothing of it"),
)
WORDS = {"refused": "a person please", "frustrated": "this is awful", "clean": "thank you"}
RULE = "Whoever asks for a person is refused."
REPLY = chat(json.dumps({"instruction": f"{RULE} Answer with a label.\n{{{{labels}}}} {{{{answer_format}}}}"}))


class Scripted(Student):
    """Says `clean` of everything, unless the prompt states the rule or shows a refused one: then it is right.

    With an example of its own right answer it is surer. Where it is `warm`, it is right at a temperature, too.
    """

    kind = "classifier"
    name = "scripted"
    labels = LABELS
    warm = False

    def __init__(self) -> None:
        self.parent = Prompt("p", PARENT)
        self.instances: dict[str, Instance] = {}
        self.asked: list[tuple[str, str, int, float | None]] = []
        self.parts = {}
        for part, counts in {"train": (8, 6, 10), "validation": (4, 3, 7)}.items():
            keys = []
            for label, count in zip(LABELS, counts, strict=True):
                for number in range(count):
                    key = f"{part}-{label.name}-{number}"
                    text = f"{WORDS[label.name]} {part} {number}."
                    self.instances[key] = Instance(key, text, label.name, label.role == "target")
                    keys.append(key)
            self.parts[part] = tuple(keys)

    def ask(self, prompt: Prompt, key: str, *, repeat: int = 0, temperature: float | None = None) -> Answered:
        self.asked.append((prompt.text, key, repeat, temperature))
        instance = self.instances[key]
        assert instance.text not in prompt.text, "it is shown to itself"
        knows = RULE in prompt.text or WORDS["refused"] in prompt.text or (self.warm and temperature is not None)
        said = instance.label if knows or instance.label == "frustrated" else "clean"
        sure = 0.95 if '"label"' in prompt.text else 0.8
        score = sure if said == "refused" else 0.05
        answer = json.dumps({"label": said})
        return Answered(said, said == "refused", score, answer, {"label": said, "rationale": "because"}, None, 0.001, 9)

    def ask_all(
        self, prompt: Prompt, keys: Sequence[str], on_done: Callable[[str, Answered], None] | None = None
    ) -> list[Answered]:
        return [self.ask(prompt, key) for key in keys]

    def demonstration(self, key: str, answered: Answered | None = None) -> Demonstration:
        one = self.instances[key]
        return Demonstration(key, one.text, one.label, answered.answer if answered else one.label, answered is not None)

    def check_prompt(self, prompt: Prompt) -> None:
        if "forbidden" in prompt.text:
            raise ConfigError("can't be served")


class Brier(Objective):
    """One less the squared error of the score."""

    unit = "points"

    def score(self, instance: Instance, answered: Answered) -> float:
        return 0.0 if answered.error else 1 - ((answered.score or 0) - instance.positive) ** 2

    def loss(self, instance: Instance, answered: Answered) -> float:
        return 1 - self.score(instance, answered)

    def mean_loss(self, scores: Mapping[str, float]) -> float:
        return 1 - sum(scores.values()) / len(scores)


def file_of(optimizer: str, **more: Any) -> OptimizationFile:
    return OptimizationFile.model_validate(
        {"version": 1, "classifier": "c", "dataset": "d", "prompt": "p/new", "optimizer": optimizer, "concurrency": 2}
        | {"demonstrations": 4, "budget": {"task_usd": 1}}
        | more
    )


REFLECTION = {"reflection": {"model": "http/m"}, "budget": {"task_usd": 1, "reflection_usd": 1}}


def book_of(student: Student, parts: dict[str, tuple[str, ...]]) -> Book:
    made = Parts(train=parts["train"], validation=parts["validation"], test=())
    return Book(student, made, {"train": Brier(), "validation": Brier()})


@pytest.fixture
def student() -> Scripted:
    return Scripted()


@pytest.fixture
def book(student: Scripted) -> Book:
    return book_of(student, student.parts)


@pytest.fixture
def runtime(tmp_path: Path, wire: Wire) -> Iterator[Runtime]:
    wire.default = REPLY
    with Runtime(tmp_path / "s.db", max_usd=100, workspace=workspace_of(tmp_path, wire)) as made:
        yield made


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home and working folder that dspy could write to; it must not."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("DSPY_CACHEDIR", str(home / "cache"))
    monkeypatch.chdir(here)
    yield home
    assert not list(home.iterdir()) + list(here.iterdir())


def shown(prompt: Prompt) -> set[str]:
    return {label for label, words in WORDS.items() if words in prompt.text}


def test_labeled_few_shot(student: Scripted, book: Book, capsys: pytest.CaptureFixture[str]) -> None:
    """Draws of labelled examples cover every label, several are tried, and the best is better than the parent."""
    steps: list[Step] = []
    assert search(file_of("labeled-few-shot"), student, book, reflection=None, on_step=steps.append) == ""
    best = book.best()
    assert best.origin.startswith("labeled-few-shot ") and shown(best.prompt) == set(WORDS)
    assert len(book.complete()) == 9 and book.mean(best) > book.mean(book.parent)  # type: ignore[operator]
    assert all(not one.candidate.demonstrations or shown(one.prompt) == set(WORDS) for one in book.tried)
    assert {len(one.candidate.demonstrations) for one in book.tried} == {0, 3, 4}
    assert steps[-1].best == book.mean(best) and steps[-1].candidates == 9
    assert book.asked == 9 * 14 == expected(file_of("labeled-few-shot"), 24, 14, 3).task_most
    assert capsys.readouterr() == ("", "")


def test_bootstrap(student: Scripted, book: Book, capsys: pytest.CaptureFixture[str]) -> None:
    """Right answers of the student's own are shown; a label of which it gets none right is filled up with a label."""
    assert search(file_of("bootstrap"), student, book, reflection=None) == ""
    best = book.best()
    kinds = {one.label: one.augmented for one in best.candidate.demonstrations}
    assert kinds == {"refused": False, "frustrated": True, "clean": True}
    assert best.origin.startswith("bootstrap ") and book.mean(best) > book.mean(book.parent)  # type: ignore[operator]
    assert all(one.key.startswith("train") for each in book.tried for one in each.candidate.demonstrations)
    assert capsys.readouterr() == ("", "")


def test_bootstrap_in_rounds(student: Scripted, book: Book) -> None:
    """A second round asks for a warm sample, numbered, and its right answer is shown."""
    student.warm = True
    settings = {"max_rounds": 2, "candidates": 1}
    assert search(file_of("bootstrap", settings=settings), student, book, reflection=None) == ""
    assert all(one.augmented for one in book.best().candidate.demonstrations)
    assert {(repeat, temperature) for *_, repeat, temperature in student.asked} == {(0, None), (1, 1.0)}


def test_gepa(student: Scripted, book: Book, runtime: Runtime, wire: Wire, capsys: pytest.CaptureFixture[str]) -> None:
    """The reflection model sees the instruction, examples and feedback; what it writes is tried, also with examples."""
    file = file_of("gepa", settings={"max_metric_calls": 60}, **REFLECTION)
    assert search(file, student, book, reflection=runtime) == ""
    best = book.best()
    assert RULE in best.prompt.text and book.mean(best) > book.mean(book.parent)  # type: ignore[operator]
    also = [one for one in book.complete() if one.origin.startswith("gepa with demonstrations ")]
    assert len(also) == 3 and all(RULE in one.prompt.text and shown(one.prompt) == set(WORDS) for one in also)
    asked = wire.received[0].json["messages"]
    assert "{{answer_format}}, {{examples}}, {{labels}}" in asked[0]["content"]
    assert "| Is a person refused?" in asked[1]["content"] and "| a person please" in asked[1]["content"]
    assert "train-" not in asked[1]["content"].replace("| ", "")  # not which item it is
    assert book.reflection.asked == len(wire.received) and book.reflection.nano_usd
    assert capsys.readouterr() == ("", "")


def test_gepa_runs_again_from_the_store(tmp_path: Path, runtime: Runtime, wire: Wire) -> None:
    """The same seed and answers give the same search; run again over the same store it sends nothing."""
    file = file_of("gepa", settings={"max_metric_calls": 50}, **REFLECTION)
    wire.default = lambda received: REPLY if len(wire.received) % 2 else chat("no JSON")
    searched = []
    for _ in range(2):
        student = Scripted()
        book = book_of(student, student.parts)
        assert search(file, student, book, reflection=runtime) == ""
        searched.append(([(one.origin, one.prompt.text) for one in book.tried], book.best().prompt.text, student.asked))
        assert book.reflection.unreadable == book.reflection.asked // 2 > 0
    assert sorted(searched[0][2]) == sorted(searched[1][2]) and searched[0][:2] == searched[1][:2]
    assert len(wire.received) == book.reflection.asked


@pytest.mark.parametrize("said", ["I would rather not.", '{"instruction": ""}', '{"instruction": 3}'])
def test_unreadable_reflections(student: Scripted, book: Book, runtime: Runtime, wire: Wire, said: str) -> None:
    """An answer that is no instruction leaves it as it is; after three such the search ends with the best so far."""
    wire.default = chat(said)
    file = file_of("gepa", settings={"max_metric_calls": 60}, demonstrations=0, **REFLECTION)
    assert "answers could not be read: 3 of 3" in search(file, student, book, reflection=runtime)
    assert book.reflection.unreadable == book.reflection.asked == 3 and book.best() is book.parent


def test_failed_reflections_are_counted(student: Scripted, book: Book, runtime: Runtime, wire: Wire) -> None:
    """A call that fails leaves the instruction as it is; after three such the search ends with the best so far."""
    wire.default = Reply(400, b'{"error": {"message": "no"}}')
    file = file_of("gepa", settings={"max_metric_calls": 60}, demonstrations=0, **REFLECTION)
    assert "calls failed: 3 of 3 (http/m: bad_request)" in search(file, student, book, reflection=runtime)
    assert book.reflection.failed == book.reflection.asked == 3


def test_later_it_takes_five_in_a_row() -> None:
    """Where an answer could be used before, five that are of no use in a row end the search."""
    counts = ReflectionCounts(asked=1)
    counts.count_right()
    for _ in range(4):
        counts.asked += 1
        counts.count_wrong("no words")
    assert not counts.trouble
    counts.asked += 1
    with pytest.raises(Stopped, match="5 of 6"):
        counts.count_wrong("no words")


def test_half_is_where_flagging_begins() -> None:
    """Scores are shifted by the threshold; without one between 0 and 1 the decision alone counts."""
    assert _from_threshold(0.2, 0.2) == _from_threshold(0.9, 0.9) == 0.5
    shifted = _from_threshold(0.5, 0.2)
    assert shifted is not None and math.log(shifted / (1 - shifted)) == pytest.approx(math.log(4))
    assert [_from_threshold(end, 0.3) for end in (0.0, 1.0)] == [0.0, 1.0]
    assert (
        _from_threshold(0.4, None) is None and _from_threshold(0.4, 1.0) is None and _from_threshold(None, 0.5) is None
    )


def test_named_copro(student: Scripted, book: Book, runtime: Runtime, wire: Wire) -> None:
    """An optimizer by dspy's own name gets our metric, model and parts; its proposals go through our Runtime."""
    said = f"[[ ## proposed_instruction ## ]]\n{RULE}\n\n[[ ## proposed_prefix_for_output_field ## ]]\nLabel:\n"
    wire.default = chat(said + "\n[[ ## completed ## ]]")
    file = file_of("COPRO", settings={"breadth": 2, "depth": 1}, **REFLECTION)
    assert search(file, student, book, reflection=runtime) == ""
    best = book.best()
    assert RULE in best.prompt.text and best.origin.startswith("COPRO ") and wire.received
    assert "{{labels}}" in best.prompt.text  # what the proposal lost was put back


def test_named_simba(student: Scripted, book: Book, runtime: Runtime) -> None:
    """SIMBA's samples are numbered and warm; its demonstrations come from the train part and cover every label."""
    file = file_of("SIMBA", settings={"bsize": 6, "max_steps": 1, "num_candidates": 2}, **REFLECTION)
    assert search(file, student, book, reflection=runtime) == ""
    assert all(shown(one.prompt) == set(WORDS) for one in book.tried if one.candidate.demonstrations)
    assert {(repeat, temperature) for *_, repeat, temperature in student.asked} == {(0, None), (0, 1.0), (1, 1.0)}


def test_named_miprov2(student: Scripted, book: Book, runtime: Runtime, wire: Wire) -> None:
    """MIPROv2 runs with counts of the file's."""
    pytest.importorskip("optuna")
    wire.default = chat(f"[[ ## proposed_instruction ## ]]\n{RULE}\n\n[[ ## completed ## ]]")
    settings = {"num_candidates": 2, "num_trials": 2, "minibatch": False, "data_aware_proposer": False}
    file = file_of("MIPROv2", settings=settings, demonstrations=3, **REFLECTION)
    assert search(file, student, book, reflection=runtime) == ""
    assert book.mean(book.best()) > book.mean(book.parent)  # type: ignore[operator]


@pytest.mark.parametrize("optimizer", ["labeled-few-shot", "bootstrap", "gepa"])
def test_a_search_stops_with_the_best_so_far(student: Scripted, book: Book, runtime: Runtime, optimizer: str) -> None:
    """Where money ends in the middle, the search ends, and the book has the best of what was tried in full."""
    book.limit = lambda: "enough" if book.asked >= 50 else ""
    more = {"settings": {"max_metric_calls": 90}, **REFLECTION} if optimizer == "gepa" else {}
    assert search(file_of(optimizer, **more), student, book, reflection=runtime) == "enough"
    assert book.asked <= 50 + 14 and book.mean(book.best()) is not None


def test_over_budget_stops(student: Scripted, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that the budget had no room for ends the search, and is not in the book."""
    real, left = student.ask, iter(range(20))

    def ask(prompt: Prompt, key: str, *, repeat: int = 0, temperature: float | None = None) -> Answered:
        if next(left, None) is None:
            return Answered(None, error=ErrorInfo("over_budget", "no room"))
        return real(prompt, key, repeat=repeat, temperature=temperature)

    monkeypatch.setattr(student, "ask", ask)
    assert search(file_of("labeled-few-shot"), student, book, reflection=None) == "no room"
    assert book.best() is book.parent and book.asked == 20


def test_reflection_budget_stops(tmp_path: Path, student: Scripted, book: Book, wire: Wire) -> None:
    """The reflection model's own cap ends the search before anything is sent."""
    file = file_of("gepa", settings={"max_metric_calls": 90}, **REFLECTION)
    with Runtime(tmp_path / "s.db", max_usd=1e-6, workspace=workspace_of(tmp_path, wire)) as poor:
        assert search(file, student, book, reflection=poor)
    assert not wire.received and book.best() is book.parent


def test_what_cannot_be_used_is_said_before_anything() -> None:
    """Names, settings, extras and a missing reflection model, each with what helps."""

    def problem(optimizer: str, **more: Any) -> str:
        return " | ".join(check_optimizer(file_of(optimizer, **more), 3))

    assert "did you mean 'gepa'" in problem("gepaa") and "did you mean 'MIPROv2'" in problem("MIPROv3")
    assert "no one prompt" in problem("KNNFewShot") and "weights" in problem("BootstrapFinetune")
    assert "add [reflection]" in problem("gepa") and "add [reflection]" in problem("COPRO")
    assert "did you mean 'max_metric_calls'" in problem("gepa", settings={"max_metric_call": 3}, **REFLECTION)
    assert "did you mean 'breadth'" in problem("COPRO", settings={"breath": 3}, **REFLECTION)
    assert "of type int" in problem("COPRO", settings={"breadth": "3"}, **REFLECTION)
    assert "sets it itself" in problem("COPRO", settings={"metric": 3}, **REFLECTION)
    assert "each of the 3 labels" in problem("bootstrap", demonstrations=2)
    assert "each of the 3 labels" in problem("gepa", demonstrations=2, **REFLECTION)
    assert not problem("gepa", demonstrations=0, **REFLECTION)
    assert "at least 1" in problem("labeled-few-shot", settings={"candidates": 0})
    assert "together" in problem("MIPROv2", settings={"num_trials": 3}, **REFLECTION)
    assert "they say the same" in problem("gepa", settings={"auto": "light", "max_full_evals": 3}, **REFLECTION)
    assert not problem("GEPA", **REFLECTION) and not problem("SIMBA", **REFLECTION) and not problem("bootstrap")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where optuna is not installed, the problem says what to install."""
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: found(name) if name == "dspy" else None)
    assert "pip install 'llmclf[optimize]'" in " ".join(check_optimizer(file_of("MIPROv2", **REFLECTION)))


def test_what_breaks_on_our_side_is_raised(
    student: Scripted, book: Book, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of ours in a thread of dspy's ends the search and is raised as it is; dspy would count a failed item."""
    real = student.ask

    def ask(prompt: Prompt, key: str, *, repeat: int = 0, temperature: float | None = None) -> Answered:
        if key.startswith("train"):
            raise ConfigError("no such thing")
        return real(prompt, key)

    monkeypatch.setattr(student, "ask", ask)
    with pytest.raises(ConfigError, match="no such thing"):
        search(file_of("gepa", **REFLECTION), student, book, reflection=runtime)


def test_others_are_heard(student: Scripted, book: Book, capsys: pytest.CaptureFixture[str]) -> None:
    """While a prompt is compiled, callbacks and other threads write where they wrote before."""

    heard: list[Step] = []

    def told(step: Step) -> None:
        if not heard:
            heard.append(step)
            print("callback")
            other = threading.Thread(target=print, args=("thread",))
            other.start()
            other.join()

    search(file_of("bootstrap", settings={"candidates": 1}), student, book, reflection=None, on_step=told)
    assert capsys.readouterr().out == "callback\nthread\n"


def test_the_book(student: Scripted, book: Book) -> None:
    """Candidates of one text are one; what can't be served fails without a request; ties go to the parent."""
    assert book.entry(Candidate(book.parent.candidate.instruction)) is book.parent
    bad = book.ask_part(Candidate("forbidden"), "validation")
    assert bad.refused and not student.asked and book.mean(bad) == 0.0
    book.ask_part(book.parent.candidate, "validation")
    same = book.ask_part(
        Candidate("Is a person refused at all?\n{{labels}} {{answer_format}} {{examples}}"), "validation"
    )
    assert book.mean(same) == book.mean(book.parent) and book.complete() == [book.parent, same]
    again = [book.ask(same.candidate, "train-clean-0", repeat=n, temperature=1.0) for n in (1, 1, 2)]
    assert len(student.asked) == 28 + 2 and again[0] is again[1]
    book.limit = lambda: "stop"
    with pytest.raises(Stopped, match="stop"):
        book.ask(same.candidate, "train-clean-1")


# --- a real classifier --------------------------------------------------------------------------

C = 'version = 1\nkind = "llm"\nprompt = "ask"\ntask = "refusal"\nmodel = "http/m"\n'
SAID = {"a person": "refused", "awful": "frustrated"}


def vendor(received: Received) -> Reply:
    """Right about all but refusals; about these only where the prompt states the rule or shows one."""
    messages = received.json["messages"]
    system, asked = messages[0]["content"], messages[-1]["content"]
    if "What it led to" in asked:
        return REPLY
    label = next((label for words, label in SAID.items() if words in asked), "clean")
    if label == "refused" and RULE not in system and "a person please" not in system:
        label = "clean"
    return chat(json.dumps({"label": label, "rationale": "it says so", "evidence": [], "confidence": 0.9}))


def dataset_of(part: str, counts: tuple[int, ...]) -> Dataset:
    """So many conversations of each label."""
    conversations, examples = {}, []
    for label, count in zip(LABELS, counts, strict=True):
        for number in range(count):
            key = f"{part}-{label.name}-{number}"
            conversations[key] = Conversation(key, (Turn("customer", f"{WORDS[label.name]} {part} {number}"),))
            examples.append(Example(key, labels={"refusal": label.name}))
    return Dataset(part, conversations, tuple(examples))


def searched(folder: Path, file: OptimizationFile) -> tuple[Book, str]:
    """A search over the folder's store with a real classifier, as one process would run it."""
    with Runtime(folder / "s.db", max_usd=100, workspace=folder) as runtime:
        task = load_task("refusal", folder)
        datasets = {"train": dataset_of("train", (6, 4, 8)), "validation": dataset_of("validation", (4, 3, 6))}
        student = classifier_student("c", load_named("classifier", "c", folder), task, datasets, runtime)
        keys = {part: tuple(str(one.item) for one in found.examples) for part, found in datasets.items()}
        objectives = {
            part: dollars_objective([student.instances[key] for key in keys[part]], Costs(prevalence=0.05))
            for part in keys
        }
        book = Book(student, Parts(keys["train"], keys["validation"], ()), objectives)
        return book, search(file, student, book, reflection=runtime)


@pytest.mark.parametrize("optimizer", ["labeled-few-shot", "bootstrap", "gepa"])
def test_a_real_classifier(write: Callable[[str, str], Path], tmp_path: Path, wire: Wire, optimizer: str) -> None:
    """Each optimizer finds what makes the vendor right; run again over the same store, nothing is sent and all is so.

    What is sent with the best prompt is what the classifier sends with it when it serves.
    """
    wire.default = vendor
    write("configs/tasks/refusal.toml", TASK)
    write("prompts/ask.txt", PROMPT)
    write("configs/classifiers/c.toml", C)
    workspace_of(tmp_path, wire)
    settings: dict[str, Any] = {"max_metric_calls": 40} if optimizer == "gepa" else {"candidates": 2}
    file = file_of(optimizer, settings=settings, **(REFLECTION if optimizer == "gepa" else {}))
    book, why = searched(tmp_path, file)
    best = book.best()
    assert not why and best is not book.parent and book.mean(best) > book.mean(book.parent)  # type: ignore[operator]
    assert all(answered.error is None for one in book.tried for answered in one.answered.values())
    sent = len(wire.received)
    write("prompts/best.txt", best.prompt.text)
    write("configs/classifiers/best.toml", C.replace('"ask"', '"best"'))
    with Runtime(tmp_path / "s.db", max_usd=100, workspace=tmp_path) as runtime:
        served = load_classifier("best", runtime=runtime)
        served.classify(Conversation("new", (Turn("customer", "a person please validation 0"),)))
    again, _ = searched(tmp_path, file)
    assert len(wire.received) == sent
    assert [(one.origin, one.prompt.text) for one in again.tried] == [(o.origin, o.prompt.text) for o in book.tried]
