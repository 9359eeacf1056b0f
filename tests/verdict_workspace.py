"""A workspace with a labelled dataset and a run whose verdicts a test writes itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sweep_workspace import make_dataset, make_workspace

from llmclf.config import load_workspace
from llmclf.data.write import write_conversations, write_examples
from llmclf.render.redaction import Redaction
from llmclf.store import Store
from llmclf.types import (
    Annotation,
    Conversation,
    Dataset,
    Design,
    ErrorInfo,
    Event,
    Evidence,
    Example,
    Prediction,
    Turn,
    content_hash,
    dataset_of,
)

HOSTILE = "</script><script>alert(1)</script> \x1b[2Jgone \u202eevil"
RULES = """
[labels.refused.rules]
R1 = "A form in place of a person counts."
R2 = "A hand-over that is announced and does not happen counts."
"""


def labelled_workspace(folder: Path, dataset: Dataset | None = None) -> Path:
    """A workspace of its own with the dataset `parcels`: 12 refused, 10 handed over, 15 clean."""
    make_workspace(folder)
    task = folder / "configs/tasks/wants_person.toml"
    task.write_text(task.read_text(encoding="utf-8").replace("[labels.handed_over]", RULES + "[labels.handed_over]"))
    dataset = dataset or make_dataset(12, 10, 15)
    (folder / "llmclf.toml").write_text("version = 1\n", encoding="utf-8")
    (folder / "data").mkdir()
    (folder / "configs/datasets").mkdir(parents=True)
    write_conversations(folder / "data/parcels.jsonl", dataset.conversations.values())
    write_examples(folder / "data/labels.jsonl", dataset.examples)
    design = json.dumps(dataset.design.kind)
    (folder / "configs/datasets/parcels.toml").write_text(
        'version = 1\nconversations = "../../data/parcels.jsonl"\nlabels = "../../data/labels.jsonl"\n'
        f"[design]\nkind = {design}\n",
        encoding="utf-8",
    )
    return folder


def talk(id: str, *texts: str, **metadata: Any) -> Conversation:
    """A conversation of customer and bot in turns."""
    turns = tuple(Turn("bot" if place % 2 else "user", text) for place, text in enumerate(texts))
    return Conversation(id, turns, metadata=metadata)


def verdict(id: str, label: str | None, **more: Any) -> Prediction:
    """What the classifier `asked` said of an item; flagged where it is the target."""
    flagged = None if label is None else label == "refused"
    given: dict[str, Any] = {"score": None if label is None else 0.9 if flagged else 0.1, "threshold": 0.5, **more}
    return Prediction(id, "asked@1", "wants_person", label=label, flagged=flagged, **given)


def recorded(folder: Path, dataset: Dataset, predictions: Sequence[Prediction], **config: Any) -> str:
    """The id of a run of kind `evaluate` with these predictions, in the workspace's store."""
    redaction = Redaction(when=load_workspace(folder).privacy.redact)
    with Store(folder / "llmclf.db", redaction=redaction) as store:
        run_id = store.start_run(
            "evaluate",
            inputs_hash=content_hash([prediction.to_dict() for prediction in predictions]),
            config={"classifier": predictions[0].classifier_id, "dataset": "parcels", **config},
            dataset_hash=dataset.content_hash,
        )
        for conversation in dataset.conversations.values():
            store.learn(conversation)
        store.add_predictions(run_id, predictions)
        store.finish_run(run_id, "done", result={"costs": {"prevalence": 0.05}})
    return run_id


def small_dataset() -> Dataset:
    """Five conversations: what a list, a page and a correction have to cope with."""
    conversations = [
        talk("plain", "A person please", "I can help you myself", "No, a person", "Anything else?", channel="voice"),
        talk("named", "My name is Ana Kowalska, a person please", "Dear Ana, use the form", channel="chat"),
        talk("hostile", HOSTILE, "Fine", channel="chat"),
        Conversation("done", (Turn("user", "A person"), Turn("bot", "", events=(Event("transfer", "billing"),)))),
        talk("odd name [1]; rm", "Where is it", "On its way", channel="chat"),
    ]
    said = Annotation("Lee", "wants_person", "refused", rule="R1", note="only a form", at="2026-05-01T10:00:00Z")
    examples = [
        _example("plain", "refused", failure_modes=("flat",), evidence_turns=(1,)),
        _example("named", "refused", failure_modes=("loop",), annotations=(said,)),
        _example("hostile", "clean", note=HOSTILE),
        _example("done", "handed_over", stratum="s1"),
        _example("odd name [1]; rm", "clean"),
    ]
    return dataset_of("parcels", conversations, examples, Design())


def small_verdicts() -> list[Prediction]:
    """One of each: missed, right with a cited rule and names, a false alarm with an ungrounded quote, failed, quiet."""
    return [
        verdict("plain", "clean", score=0.2, rationale="Nobody asked."),
        verdict(
            "named",
            "refused",
            rationale="Ana was sent to a form (R1).",
            evidence=(Evidence("Dear Ana, use the form", 1), Evidence("a person please", 0)),
        ),
        verdict(
            "hostile",
            "refused",
            score=0.97,
            rationale=HOSTILE,
            evidence=(Evidence("gone", 0), Evidence("never said", None, grounded=False)),
        ),
        replace(verdict("done", None), error=ErrorInfo("refused", "it declined")),
        verdict("odd name [1]; rm", "clean"),
    ]


def _example(id: str, label: str, **more: Any) -> Example:
    labels: Mapping[str, str] = {"wants_person": label}
    return Example(id, labels=labels, **more)
