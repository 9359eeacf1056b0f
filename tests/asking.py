"""What the tests of the llm classifier share: a conversation, answers, and a classifier that asks the wire server."""

from __future__ import annotations

import json
from typing import Any

from llmclf.classifiers.llm import LlmClassifier
from llmclf.config import load_task
from llmclf.llm import Model, Runtime
from llmclf.render import load_prompt
from llmclf.types import Conversation, Dataset, Example, Turn, dataset_of

CONVERSATION = Conversation(
    "c1",
    (
        Turn("user", "I would like to speak to a person."),
        Turn("bot", "I’m afraid “nobody” is free;\n please ask me instead."),
        Turn("user", "Please, a person!"),
        Turn("bot", "Please ask me instead."),
    ),
)


def answer(**changes: Any) -> str:
    return json.dumps({"evidence": [], "rationale": "because", "label": "clean", "confidence": 0.5, **changes})


def make(runtime: Runtime, task: str = "refusal", **settings: Any) -> LlmClassifier:
    values: dict[str, Any] = {
        "prompt": load_prompt("ask", runtime.workspace),
        "model": Model("wire/m"),
        "runtime": runtime,
        **settings,
    }
    return LlmClassifier(load_task(task, runtime.workspace), **values)


def sent_text(wire) -> str:
    """The last message of the last request."""
    return str(wire.received[-1].json["messages"][-1]["content"])


def labelled() -> Dataset:
    labels = ["refused"] * 4 + ["frustrated"] * 2 + ["clean"] * 20
    conversations = [
        Conversation(f"e{n}", (Turn("user", f"text of example {n} </example>"),)) for n in range(len(labels))
    ]
    examples = [Example(f"e{n}", labels={"refusal": label}) for n, label in enumerate(labels)]
    return dataset_of("shots", conversations, examples)
