"""Public sets (td_eval, tau-bench, dbdc3, NLU++) as llmclf conversations and labels.

    python benchmarks/readers.py td_eval_airline OUTDIR [--data FOLDER]

writes OUTDIR/conversations.jsonl, OUTDIR/labels.jsonl and OUTDIR/dataset.toml. The data is third
party's and not part of llmclf: FOLDER is where it lies (default: $LLMCLF_TEST_DATA, or shared/data
beside the checkout).
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmclf.data.write import write_conversations, write_examples
from llmclf.types import (
    Annotation,
    Conversation,
    Dataset,
    Design,
    Event,
    Example,
    Label,
    Stratum,
    Task,
    Turn,
    dataset_of,
)

STOP = "###STOP###"
"""What the simulated customers of tau-bench write to hang up."""
TRANSFER_TOOL = "transfer_to_human_agents"
AIRLINE_LABELS = (
    "request",
    "failed_transfer_attempt",
    "refusal_to_transfer",
    "frustration",
    "policy_denial",
    "policy_denial_any",
    "tool_failure",
    "confusion",
    "clean",
)
BREAKDOWN_TASK = "dialogue_breakdown"
"""The packaged task whose labels the turns of dbdc3 carry."""
BREAKDOWN_LABELS = {"O": "no_breakdown", "T": "possible_breakdown", "X": "breakdown"}
"""What annotators could say, in the order of the challenge's measures."""


def data_folder(given: str | None = None) -> Path:
    """The folder of the public sets; exits with what to do where it is not there."""
    folder = Path(given or os.environ.get("LLMCLF_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared/data")
    if not folder.is_dir():
        sys.exit(f"there is no data at {folder}: give --data FOLDER, or set LLMCLF_TEST_DATA")
    return folder


def yes_no_task(name: str, question: str = "") -> Task:
    """A task with the labels `name` (target) and `not_name` (clean)."""
    labels = (Label(name, "target", question or name), Label(f"not_{name}", "clean", f"Anything but {name}."))
    return Task(name, question or f"Is there {name.replace('_', ' ')} in this conversation?", labels)


# --- td_eval: thirteen agents on the airline tasks of tau-bench --------------------------------


def read_td_eval_airline(folder: Path) -> Dataset:
    """650 conversations (32 crashed runs hold no turns) and 383 silver labels with their design.

    Conversation ids are agent and row; `group` is the task, since tasks recur across agents. The
    first system prompt of each run is left out, so turn n here is message n + 1 there.
    """
    base = _existing(folder / "td_eval_airline")
    conversations = []
    for path in sorted((base / "trajectories").glob("*.json.gz")):
        agent = _agent(path.name)
        read = _react_turns if agent.startswith("react-") else _tool_calling_turns
        for row, run in enumerate(_json(path)):
            metadata = {"agent": agent, "task": str(run["task_id"]), "reward": run["reward"]}
            conversations.append(Conversation(f"{agent}-{row}", tuple(read(run["traj"])), metadata=metadata))
    with (base / "labels" / "airline.jsonl").open(encoding="utf-8") as file:
        examples = [_airline_example(json.loads(line)) for line in file]
    return dataset_of("td_eval_airline", conversations, examples, _airline_design(conversations, examples))


def _airline_example(row: Mapping[str, Any]) -> Example:
    first = row["first_turn"]
    labels = {name: name if row["labels"][name] else f"not_{name}" for name in AIRLINE_LABELS}
    return Example(
        f"{row['agent']}-{row['row']}",
        labels=labels,
        stratum=row["pool"],
        inclusion_probability=1.0 if row["pool"] != "random" else 150 / 385,
        source="silver",
        evidence_turns=() if first is None else (first - 1,),
        group=f"task-{row['task']}",
        note=row["rationale"] + (" (ambiguous)" if row["ambiguous_refusal"] else ""),
    )


def _airline_design(conversations: Sequence[Conversation], examples: Sequence[Example]) -> Design:
    sampled = Counter(example.stratum for example in examples)
    answered = sum(not conversation.is_empty for conversation in conversations)
    rest = answered - sampled["regex"] - sampled["transfer"]
    population = {"regex": sampled["regex"], "transfer": sampled["transfer"], "random": rest}
    strata = tuple(Stratum(name, size, sampled[name]) for name, size in population.items())
    return Design("stratified", strata, "silver labels by a language model; crashed runs are in no stratum")


def _agent(file_name: str) -> str:
    return file_name.split("-0.0_range")[0]


def _react_turns(messages: Sequence[Mapping[str, Any]]) -> Iterator[Turn]:
    """Turns of a run whose tool calls are JSON inside the text, as tau-bench itself read them.

    What follows the last `Action:` is the action. Where it is a JSON call of `respond`, its content
    is what the customer saw; another call is an event; anything else (a call cut off half way, say)
    went to the customer as it stands. Thoughts were never shown.
    """
    for message in messages:
        text = message["content"] or ""
        if message["role"] == "system":
            continue
        if message["role"] == "user":
            output = text.startswith("API output: ")
            yield _tool_turn("", text.removeprefix("API output: ")) if output else _user_turn(text)
            continue
        action = text.split("Action:")[-1].strip()
        name, arguments = _react_action(action)
        if name is None:
            yield Turn("bot", action)
        elif name == "respond":
            content = arguments.get("content", "") if isinstance(arguments, dict) else arguments
            yield Turn("bot", content if isinstance(content, str) else json.dumps(content))
        else:
            yield Turn("bot", events=_call_events(name, json.dumps(arguments, ensure_ascii=False)))


def _react_action(action: str) -> tuple[str | None, Any]:
    try:
        call = json.loads(action)
    except json.JSONDecodeError:
        return None, None
    if not isinstance(call, dict) or "name" not in call or "arguments" not in call:
        return None, None
    return str(call["name"]), call["arguments"]


def _tool_calling_turns(messages: Sequence[Mapping[str, Any]]) -> Iterator[Turn]:
    for message in messages:
        text = message["content"] or ""
        if message["role"] == "user":
            yield _user_turn(text)
        elif message["role"] == "tool":
            yield _tool_turn(message["name"], text)
        elif message["role"] == "assistant":
            calls = [call["function"] for call in message.get("tool_calls") or ()]
            events = [event for call in calls for event in _call_events(call["name"], call["arguments"])]
            yield Turn("bot", text, events=tuple(events))


def _call_events(name: str, arguments: str) -> tuple[Event, ...]:
    call = Event("tool_call", name, arguments)
    return (call, Event("transfer", "human agents")) if name == TRANSFER_TOOL else (call,)


def _tool_turn(name: str, text: str) -> Turn:
    return Turn("tool", events=(Event("tool_result", name, text),))


def _user_turn(text: str) -> Turn:
    events = (Event("hang_up"),) if STOP in text else ()
    return Turn("user", text.replace(STOP, "").strip(), events=events)


# --- tau-bench: gpt-4o on the same tasks, four trials each -------------------------------------


def read_tau_bench_airline(folder: Path) -> Dataset:
    """200 conversations; `task_failed` where the program gave no reward. `group` is the task."""
    base = _existing(folder / "tau_bench_airline")
    conversations, examples = [], []
    for run in _json(base / "gpt-4o-airline.json.gz"):
        id = f"gpt-4o-task{run['task_id']}-trial{run['trial']}"
        metadata = {"task": str(run["task_id"]), "trial": run["trial"], "reward": run["reward"]}
        conversations.append(Conversation(id, tuple(_tool_calling_turns(run["traj"])), metadata=metadata))
        failed = "task_failed" if run["reward"] < 1 else "not_task_failed"
        examples.append(Example(id, labels={"task_failed": failed}, group=f"task-{run['task_id']}"))
    return dataset_of("tau_bench_airline", conversations, examples, Design("random", note="all runs of one agent"))


# --- dbdc3: thirty votes on every turn of four chat bots ---------------------------------------


def read_dbdc3(folder: Path, *, which: str = "dbdc3_revised") -> Dataset:
    """The English development dialogues of one annotation round, every voted turn an example.

    `breakdown` where more than half of the thirty votes say X; else `no_breakdown` where O has
    more votes than T and than X, else `possible_breakdown`. The votes stand in `note` and come
    back by `votes`. `group` is the dialogue; metadata `bot` names the chat bot.
    """
    archive = zipfile.ZipFile(_existing(folder / "dbdc3" / "dbdc3_en_dev.zip"))
    conversations, examples = [], []
    for name in sorted(archive.namelist()):
        if f"/{which}/en/dev/" not in name or not name.endswith(".json"):
            continue
        dialogue = json.loads(archive.read(name))
        bot = name.split("/")[-2].split("_")[0]
        id = f"{bot}-{dialogue['dialogue-id']}"
        turns = [Turn("user" if turn["speaker"] == "U" else "bot", turn["utterance"]) for turn in dialogue["turns"]]
        conversations.append(Conversation(id, tuple(turns), metadata={"bot": bot}))
        for number, turn in enumerate(dialogue["turns"]):
            if turn["annotations"]:
                counts = Counter(vote["breakdown"] for vote in turn["annotations"])
                said = tuple(
                    Annotation(vote["annotator-id"], BREAKDOWN_TASK, BREAKDOWN_LABELS[vote["breakdown"]])
                    for vote in turn["annotations"]
                )
                labels = {BREAKDOWN_TASK: _breakdown(counts)}
                examples.append(Example(id, number, labels, group=id, annotations=said))
    return dataset_of(which, conversations, examples, Design("random", note="all voted turns of four chat bots"))


def votes(example: Example) -> tuple[int, int, int]:
    """How many of the thirty said O (no breakdown), T (possible) and X (breakdown)."""
    counts = Counter(one.label for one in example.annotations)
    o, t, x = (counts[label] for label in BREAKDOWN_LABELS.values())
    return o, t, x


def _breakdown(counts: Counter[str]) -> str:
    if 2 * counts["X"] > counts.total():
        return "breakdown"
    return "no_breakdown" if counts["O"] > max(counts["T"], counts["X"]) else "possible_breakdown"


# --- NLU++: single banking utterances with intents ---------------------------------------------


def read_polyai_nlupp_banking(folder: Path, intents: Sequence[str] = ("handoff", "repeat")) -> Dataset:
    """2071 utterances, each a conversation of one turn, with a yes or no for each of `intents`.

    The same text under two ids shares its `group`, since copies cross the published folds.
    """
    base = _existing(folder / "polyai_nlupp_banking" / "banking")
    conversations, examples = [], []
    for path in sorted(base.glob("fold*.json"), key=lambda path: int(path.stem.removeprefix("fold"))):
        for row, utterance in enumerate(json.loads(path.read_text(encoding="utf-8"))):
            id = f"{path.stem}-{row}"
            has = set(utterance.get("intents", ()))
            labels = {intent: intent if intent in has else f"not_{intent}" for intent in intents}
            conversations.append(Conversation(id, (Turn("user", utterance["text"]),), metadata={"fold": path.stem}))
            examples.append(Example(id, labels=labels, group=" ".join(utterance["text"].lower().split())))
    return dataset_of("polyai_nlupp_banking", conversations, examples, Design("random", note="all utterances"))


READERS: dict[str, Callable[[Path], Dataset]] = {
    "td_eval_airline": read_td_eval_airline,
    "tau_bench_airline": read_tau_bench_airline,
    "dbdc3": read_dbdc3,
    "polyai_nlupp_banking": read_polyai_nlupp_banking,
}


def write_dataset(dataset: Dataset, folder: Path) -> None:
    """conversations.jsonl, labels.jsonl and dataset.toml (the design) in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_conversations(folder / "conversations.jsonl", dataset.conversations.values())
    write_examples(
        folder / "labels.jsonl", [replace(example, labels=dict(example.labels)) for example in dataset.examples]
    )
    lines = ["version = 1", 'conversations = "conversations.jsonl"', 'labels = "labels.jsonl"', "", "[design]"]
    lines += [f'kind = "{dataset.design.kind}"', f"note = {json.dumps(dataset.design.note)}"]
    for stratum in dataset.design.strata:
        lines += ["", "[[design.strata]]", f"name = {json.dumps(stratum.name)}"]
        lines += [f"population = {stratum.population}", f"sampled = {stratum.sampled}"]
    (folder / "dataset.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _existing(path: Path) -> Path:
    if not path.exists():
        sys.exit(f"there is no {path}: give --data FOLDER, or set LLMCLF_TEST_DATA")
    return path


def _json(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        loaded: list[dict[str, Any]] = json.load(file)
    return loaded


def main() -> None:
    """Reads one set and writes it as llmclf files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name", choices=sorted(READERS))
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", help="folder of the public sets")
    arguments = parser.parse_args()
    dataset = READERS[arguments.name](data_folder(arguments.data))
    write_dataset(dataset, arguments.out)
    empty = sum(conversation.is_empty for conversation in dataset.conversations.values())
    print(f"{len(dataset.conversations)} conversations ({empty} hold nothing), {len(dataset)} labels: {arguments.out}")


if __name__ == "__main__":
    main()
