"""A small workspace with a task, classifiers, models and conversations; and a sweep of it as a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from llmclf.config import KeywordFile, LimitsTable, SweepFile, load_task
from llmclf.errors import LlmclfError
from llmclf.llm.runtime import Runtime
from llmclf.sweeps import Cell, MeasuredCell, Surface
from llmclf.sweeps.measured import measure_cell
from llmclf.types import (
    Conversation,
    Costs,
    Dataset,
    Design,
    ErrorInfo,
    Example,
    FailureMode,
    Label,
    Prediction,
    Predictions,
    Task,
    Turn,
    dataset_of,
)

FILES = {
    "configs/tasks/wants_person.toml": """
        version = 1
        question = "Did the customer ask for a person and get none?"
        [labels.refused]
        role = "target"
        definition = "A person was asked for and not given."
        [labels.handed_over]
        role = "adjacent"
        definition = "A person was asked for and came."
        [labels.clean]
        role = "clean"
        definition = "Nobody asked."
        [failure_modes]
        flat = "The bot says no."
        loop = "The bot keeps asking."
        """,
    "configs/classifiers/words.toml": """
        version = 1
        kind = "keyword"
        task = "wants_person"
        [[rules]]
        label = "refused"
        user = ["(?i)person|human"]
        unless_event = ["transfer"]
        """,
    "configs/classifiers/learned.toml": """
        version = 1
        kind = "probe"
        task = "wants_person"
        features = ["tfidf"]
        """,
    "configs/classifiers/asked.toml": """
        version = 1
        kind = "llm"
        task = "wants_person"
        model = "sim/good"
        prompt = "person/v1"
        answer = "label"
        """,
    "prompts/person/v1.txt": """
        === system ===
        {{question}}
        {{labels}}
        {{answer_format}}
        === user ===
        <conversation>
        {{conversation}}
        </conversation>
        """,
    "prompts/person/v2.txt": """
        {{question}} {{labels}} {{answer_format}} {{conversation}}
        """,
    "configs/models.toml": """
        version = 1
        [models."sim/good"]
        route = "sim"
        recall = 0.9
        false_alarm_rate = 0.01
        input_usd_per_million = 1.0
        output_usd_per_million = 4.0
        thinking = ["off", "low"]
        [models."sim/poor"]
        route = "sim"
        recall = 0.4
        false_alarm_rate = 0.1
        fault_rate = 0.2
        input_usd_per_million = 0.1
        output_usd_per_million = 0.4
        thinking = ["off"]
        """,
}


def make_workspace(folder: Path, url: str = "") -> Path:
    """Writes the workspace; with `url` also a vendor's model `wire/x` on that server, with a price."""
    from textwrap import dedent

    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).strip() + "\n", encoding="utf-8")
    if url:
        with (folder / "configs/models.toml").open("a", encoding="utf-8") as file:
            file.write(
                f'[models."wire/x"]\nroute = "litellm"\nlitellm_model = "openai/x"\napi_base = "{url}"\n'
                'key_env = "WIRE_KEY"\nthinking = ["low"]\n'
            )
        (folder / "configs/prices.toml").write_text(
            'version = 1\n[prices."wire/x"]\ninput_usd_per_million = 10.0\noutput_usd_per_million = 100.0\n',
            encoding="utf-8",
        )
    return folder


def make_dataset(targets: int = 20, adjacent: int = 15, clean: int = 25, design: Design = Design()) -> Dataset:
    """Conversations in plain words: what is asked, and how it ends, varies with the number."""
    conversations, examples = [], []
    labels = ["refused"] * targets + ["handed_over"] * adjacent + ["clean"] * clean
    for number, label in enumerate(labels):
        name = f"c{number:03}"
        asks = "I want to talk to a person" if label != "clean" else "Where is my parcel"
        reply = {
            "refused": "Let me help you myself",
            "handed_over": "Sam from the team is here now",
            "clean": "It is out",
        }
        conversations.append(
            Conversation(
                name,
                (
                    Turn("user", f"Hello, order {number} here"),
                    Turn("bot", "What is it about?"),
                    Turn("user", f"{asks}, number {number * 7 % 11}"),
                    Turn("bot", f"{reply[label]}, reference {number * 13 % 17}."),
                ),
            )
        )
        modes = (("flat", "loop")[number % 2],) if label == "refused" else ()
        examples.append(Example(name, labels={"wants_person": label}, failure_modes=modes, evidence_turns=(2, 3)))
    return dataset_of("parcels", conversations, examples, design)


def make_sweep(**changes: Any) -> SweepFile:
    """A sweep file from keyword arguments; `grid` is a dictionary."""
    import json

    values = {"version": 1, "dataset": "parcels", "classifier": "asked", **changes}
    return SweepFile.model_validate_json(json.dumps(values))


def task_of(folder: Path) -> Task:
    """The workspace's task."""
    return load_task("wants_person", folder)


def make_task() -> Task:
    """The workspace's task, without a workspace."""
    return Task(
        "wants_person",
        "Did the customer ask for a person and get none?",
        (
            Label("refused", "target", "A person was asked for and not given."),
            Label("handed_over", "adjacent", "A person was asked for and came."),
            Label("clean", "clean", "Nobody asked."),
        ),
        failure_modes=(FailureMode("flat", "The bot says no."), FailureMode("loop", "The bot keeps asking.")),
    )


def make_cell(
    label: str,
    dataset: Dataset,
    *,
    missed: int = 0,
    alarms: int = 0,
    failed: int = 0,
    seconds: float | None = 1.0,
    nano: int = 0,
    simulated: bool = False,
    costs: Costs = Costs(),
    limits: LimitsTable = LimitsTable(),
    **more: Any,
) -> MeasuredCell:
    """A measured cell that misses the first so many targets and flags the first so many others."""
    task = make_task()
    predictions, targets, others = [], 0, 0
    for number, example in enumerate(dataset.examples):
        truth = example.labels[task.name]
        if truth == task.target:
            targets += 1
            said = task.target if targets > missed else "clean"
        else:
            others += 1
            said = task.target if others <= alarms else truth
        lost = number >= len(dataset) - failed
        predictions.append(
            Prediction(
                example.conversation_id,
                f"{label}@1",
                task.name,
                label=None if lost else said,
                flagged=None if lost else said == task.target,
                score=None if lost else float(said == task.target),
                threshold=0.5,
                error=ErrorInfo("unparsable", "not JSON") if lost else None,
                cost_nano_usd=nano,
                latency_seconds=seconds,
                simulated=simulated,
                **more,
            )
        )
    file = KeywordFile.model_validate(
        {"version": 1, "kind": "keyword", "task": task.name, "rules": ({"label": "refused", "user": ("x",)},)}
    )
    settings = {"classifier": label, "kind": "keyword"}
    cell = Cell(f"id-{label}", label, label, settings, file, simulated)
    sweep = make_sweep(
        grid={"model": ["sim/good"]}, costs={"missed_usd": costs.missed_usd, "prevalence": costs.prevalence}
    )
    sweep = sweep.model_copy(update={"limits": limits})
    return measure_cell(cell, Predictions(predictions), dataset, task, sweep, reused=False)


def make_surface(dataset: Dataset, *cells: MeasuredCell, **more: Any) -> Surface:
    """A surface of such cells."""
    costs = next((cell.evaluation.costs for cell in cells if cell.evaluation), Costs())
    values: dict[str, Any] = {"skipped": (), "run_id": "r1", "inputs_hash": "h1", "limits": LimitsTable(), **more}
    return Surface(cells=cells, costs=costs, task=make_task(), dataset=dataset, **values)


def main(folder: Path, budget_usd: str = "5") -> None:
    """One execution of a sweep of `wire/x` on the workspace, for a process that may be killed."""
    from llmclf.sweeps import SweepInterrupted, run

    file = make_sweep(grid={"model": ["wire/x"]}, budget_usd=float(budget_usd))
    with Runtime(folder / "llmclf.db", workspace=folder, concurrency=4) as runtime:
        try:
            surface = run(file, make_dataset(), task_of(folder), runtime)
        except SweepInterrupted as stop:
            surface = stop.surface
        except LlmclfError as error:
            sys.exit(str(error))
        print(surface.cells[0].state, len(surface.cells[0].predictions), surface.stopped or "finished", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
