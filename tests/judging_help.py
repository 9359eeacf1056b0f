"""What the tests of judges share: judge files, cases, answers, and a judge that asks the wire server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wire import Received

from llmclf.cli import run as run_command
from llmclf.judges import Judge, load_judge
from llmclf.llm import Runtime
from llmclf.types import Case, Conversation, Turn

PROMPT = """
=== system ===
{{question}}
{{verdicts}}
One of {{verdict_names}}.
{{answer_format}}
=== user ===
{{case}}
"""
BACKED = """
version = 1
kind = "llm"
question = "Is the rationale borne out?"
scale = "binary"
sees = ["conversation", "label", "rationale"]
prompt = "backed"
model = "wire/m"
[verdicts.unbacked]
role = "target"
definition = "states what is not so"
rules = {R1 = "Words nobody said count."}
[verdicts.backed]
role = "clean"
definition = "all of it can be pointed to"
"""
CHOICE = """
version = 1
kind = "llm"
question = "Which answer is better?"
sees = ["question", "a", "b"]
prompt = "backed"
model = "wire/m"
[verdicts.first]
role = "target"
definition = "a is better"
[verdicts.second]
role = "clean"
definition = "b is better"
[verdicts.tie]
role = "clean"
definition = "neither"
"""
CONVERSATION = Conversation(
    "c1",
    (
        Turn("user", "My mail is jane@example.com. I want a person!"),
        Turn("bot", "Please ask me instead."),
        Turn("user", "Fine."),
    ),
)


def case(id: str = "k1", rationale: str = "The customer asks for a person.", **more: Any) -> Case:
    return Case(id, **{"conversation_id": "c1", "shown": {"label": "refused", "rationale": rationale}, **more})


def said(verdict: object = "backed", reason: object = "because") -> str:
    return json.dumps({"reason": reason, "verdict": verdict})


def sent(request: Received) -> str:
    """All words of a request."""
    return "\n".join(str(message["content"]) for message in request.json["messages"])


def lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """JSON Lines."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def document(written: Any) -> dict[str, Any]:
    """What a command with --json wrote to stdout."""
    found: dict[str, Any] = json.loads(written.out)
    return found


def commands(capsys: Any) -> Callable[..., Any]:
    """Runs a command that must end with `code`; what it wrote, as `out` and `err`."""

    def command(*arguments: str, code: int = 0) -> Any:
        capsys.readouterr()
        ended = run_command(list(arguments))
        written = capsys.readouterr()
        assert ended == code, written
        return written

    return command


def write_judges(write: Callable[[str, str], Path]) -> None:
    write("prompts/backed.txt", PROMPT)
    write("judges/backed.toml", BACKED)
    write("judges/choice.toml", CHOICE)


@contextmanager
def opened(workspace: Path, name: str = "backed", **runtime: Any) -> Iterator[Judge]:
    """The judge, with a runtime on the workspace's store."""
    settings = {"max_usd": 1.0, **runtime}
    with Runtime(workspace / "llmclf.db", workspace=workspace, **settings) as made:
        yield load_judge(name, runtime=made)
