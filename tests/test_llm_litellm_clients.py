"""litellm's clients: one for all calls of a loop, whatever time each has left."""

from __future__ import annotations

import json
from pathlib import Path

from wire import Wire, chat

from llmclf.classifiers.llm import LlmClassifier
from llmclf.classifiers.loading import load_classifier
from llmclf.llm import Runtime
from llmclf.types import Conversation, Item, Turn

ANSWER = json.dumps({"evidence": [], "rationale": "r", "label": "clean", "confidence": 0.5})


def test_connections_to_a_vendor_are_used_again(workspace: Path, wire: Wire) -> None:
    """Forty calls, four at once, need four connections, not forty."""
    wire.default = chat(ANSWER, delay=0.01)
    items = {f"c{n}": Conversation(f"c{n}", (Turn("user", f"Hello {n}"),)) for n in range(40)}
    with Runtime(workspace / "store.db", workspace=workspace, max_usd=5, concurrency=4) as runtime:
        classifier = load_classifier("explained", runtime=runtime)
        assert isinstance(classifier, LlmClassifier)
        found = classifier.predict(items, [Item(name) for name in items])
        timed = [classifier.classify(items["c0"], timeout=5.0, repeat=n) for n in range(1, 4)]
    assert [prediction.label for prediction in (*found, *timed)] == ["clean"] * 43
    assert len(wire.received) == 43
    assert wire.connections <= 5
