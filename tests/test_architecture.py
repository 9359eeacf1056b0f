"""Imports point one way: read with ast from every module, so nothing has to be loaded."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import llmclf.errors

PACKAGE = Path(llmclf.errors.__file__).parent
ORDER = (
    "errors",
    "types",
    "stats",
    "config",
    "render",
    "store",
    "embedding",
    "pinned",
    "media",
    "llm",
    "classifiers",
    "judges",
    "data",
    "evaluation",
    "calibration",
    "reasons",
    "optimization",
    "sweeps",
    "serving",
    "bulk",
    "testing",
    "workspace",
    "server",
    "cli",
)
"""The total order of parts: a part may import itself and parts before it."""

LONG: dict[str, str] = {}
"""Modules of 400 lines and more, each with its reason."""

HEAVY = (
    *("litellm", "dspy", "plotly", "pandas", "pyarrow", "wordllama", "xllamacpp", "tiktoken", "fastapi", "ray"),
    *("aiohttp", "opentelemetry", "faster_whisper", "PIL", "av"),
)
"""Imported inside the function that needs them, so that nobody else waits for them."""

MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if "_data" not in path.parts)


def tree(name: str) -> ast.Module:
    return ast.parse((PACKAGE / name).read_text(encoding="utf-8"))


def part(name: str) -> str:
    return name.partition("/")[0].removesuffix(".py")


def imported(module: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import, inside functions too; `from a import b` is a.b."""
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def at_import(module: ast.Module) -> Iterator[tuple[int, str]]:
    """The imports that run when the module is imported."""
    for node in module.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from imported(node)


def test_a_part_imports_only_parts_before_it() -> None:
    """Absolute imports, nothing from a later part, and nobody inside imports the package root."""
    wrong = []
    for name in MODULES:
        if name == "__init__.py":
            continue
        for line, target in imported(tree(name)):
            top, _, rest = target.partition(".")
            to = rest.partition(".")[0]
            if top == "llmclf" and to not in ORDER:
                wrong.append(f"llmclf/{name}:{line}: {target} is the package root, or a part without a place")
            elif top == "llmclf" and ORDER.index(to) > ORDER.index(part(name)):
                wrong.append(f"llmclf/{name}:{line}: {target} comes after {part(name)}")
    assert not wrong, "\n".join(wrong)


def test_no_module_hides_an_import() -> None:
    """No TYPE_CHECKING block: what a module needs to be understood, it imports."""
    hidden = [
        f"llmclf/{name}:{node.lineno}"
        for name in MODULES
        for node in ast.walk(tree(name))
        if (isinstance(node, ast.Name) and node.id == "TYPE_CHECKING")
        or (isinstance(node, ast.Attribute) and node.attr == "TYPE_CHECKING")
    ]
    assert not hidden


def test_heavy_libraries_are_imported_late() -> None:
    """What takes seconds or is optional is imported where it is used, never with the module."""
    heavy = [
        f"llmclf/{name}:{line}: {target}"
        for name in MODULES
        for line, target in at_import(tree(name))
        if target.split(".")[0] in HEAVY
    ]
    assert not heavy


def test_a_module_can_be_read_in_a_sitting() -> None:
    """Under 400 lines, but for a short list with reasons; and what is on the list is really that long."""
    lines = {name: (PACKAGE / name).read_text(encoding="utf-8").count("\n") for name in MODULES}
    assert {name for name, count in lines.items() if count >= 400} == set(LONG), lines


def test_the_order_has_every_part() -> None:
    """Every folder and module directly in the package has its place, and the list of long modules is current."""
    parts = {part(name) for name in MODULES} - {"__init__"}
    assert parts <= set(ORDER)
    assert set(LONG) <= set(MODULES)
    assert len(ORDER) == len(set(ORDER))


def test_parts_say_what_they_are_for() -> None:
    """Every module with code begins with a docstring."""
    bare = [name for name in MODULES if tree(name).body and ast.get_docstring(tree(name)) is None]
    assert not bare
