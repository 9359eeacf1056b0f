"""The reference of every file a user writes, made from the models that read them: docs/files.md."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmclf.config import (
    judge_schemas as judges,
    model_schemas as models,
    optimization_schemas as optimizations,
    reference_examples as examples,
    schemas,
)
from llmclf.config.parts import Part

_NAME_PATTERN = "^[A-Za-z0-9_]"
_SHA_PATTERN = "^[0-9a-f]{64}$"
_SCALARS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}


@dataclass(frozen=True, slots=True)
class _Block:
    """One example, and the tables whose fields it shows."""

    heading: str
    text: str
    tables: tuple[tuple[str, type[Part]], ...]
    """(where it stands in the file, its model); an empty place is the file itself."""
    example: str


def reference_markdown() -> str:
    """Every file a user writes, as Markdown: for each an example, then its fields with type, default and meaning."""
    return "\n\n".join(_block(block) for block in _BLOCKS) + "\n"


def _block(block: _Block) -> str:
    text = " ".join(block.text.split())
    tables = [_table(place, model) for place, model in block.tables]
    return "\n\n".join([block.heading, *([text] if text else []), f"```toml\n{block.example.strip()}\n```", *tables])


def _table(place: str, model: type[Part]) -> str:
    schema = model.model_json_schema()
    about = re.sub(r"\s+", " ", model.__doc__ or "")
    needed = schema.get("required", ())
    lines = [
        f"`{place}`: {about}" if place else about,
        "",
        "| field | type | default | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for name, node in schema["properties"].items():
        default = "needed" if name in needed else _default(node)
        cells = (f"`{name}`", _words(node), default, re.sub(r"\s+", " ", node.get("description", "")))
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def _default(node: Mapping[str, Any]) -> str:
    """As TOML writes it; a table that may be left out has the defaults of its own fields."""
    value = node["default"]
    if value is None:
        return "not set"
    if isinstance(value, dict):
        return "empty" if not value else "its defaults"
    return f"`{json.dumps(value, ensure_ascii=False)}`"  # JSON writes text, numbers, booleans and lists as TOML does


def _words(node: Mapping[str, Any]) -> str:
    """The type of a field in plain words, from its JSON schema."""
    if "$ref" in node:
        return f"table, see `{_PLACES[node['$ref'].rsplit('/', 1)[-1]]}`"
    if "anyOf" in node:
        return ", or ".join(_words(option) for option in node["anyOf"] if option.get("type") != "null")
    if "const" in node or "enum" in node:
        values = [f"`{json.dumps(value)}`" for value in node.get("enum", [node.get("const")])]
        return ", ".join(values[:-1]) + f" or {values[-1]}" if values[1:] else values[0]
    if node.get("type") == "array":
        return f"{'non-empty ' if node.get('minItems') else ''}list of {_many(node['items'])}"
    if node.get("type") == "object":
        return _table_words(node)
    if str(node.get("pattern", "")).startswith(_NAME_PATTERN):
        return "name"
    if node.get("pattern") == _SHA_PATTERN:
        return "64 hex digits"
    return _SCALARS[node["type"]] + _range(node)


def _many(node: Mapping[str, Any]) -> str:
    """The words for several of a kind."""
    if "$ref" in node:
        return f"tables, see `{_PLACES[node['$ref'].rsplit('/', 1)[-1]]}`"
    words = _words(node)
    return {"text": "texts", "name": "names"}.get(words, f"any of {words}")


def _table_words(node: Mapping[str, Any]) -> str:
    inner = next(iter(node.get("patternProperties", {}).values()), node.get("additionalProperties"))
    if not isinstance(inner, dict):
        return "table of any fields"
    names = node.get("propertyNames", {})
    key = _words(names) if "enum" in names or "$ref" in names else "name"
    if "oneOf" in inner:
        return f"tables by {key}, each of one of the kinds below"
    if "$ref" in inner:
        return f"tables by {key}, see `{_PLACES[inner['$ref'].rsplit('/', 1)[-1]]}`"
    return f"table from {key} to {_words(inner)}"


def _range(node: Mapping[str, Any]) -> str:
    """`, 0 to 1`, with the ends that are not in the range said to be outside."""
    low, above = node.get("minimum"), node.get("exclusiveMinimum")
    high, below = node.get("maximum"), node.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f", {low:g} to {high:g}"
    parts = [f"{low:g} or more"] if low is not None else []
    parts += [f"above {above:g}"] if above is not None else []
    parts += [f"{high:g} at most"] if high is not None else []
    parts += [f"below {below:g}"] if below is not None else []
    return f", {' and '.join(parts)}" if parts else ""


_BLOCKS = (
    _Block(
        "## llmclf.toml",
        "The rules of a workspace, explained above.",
        (("", models.WorkspaceFile), ("[privacy]", models.Privacy), ("[reasons]", models.ReasonsTable)),
        examples.WORKSPACE,
    ),
    _Block(
        "## configs/models.toml",
        """Models that need more than a vendor's name, and how fast models are asked. A row is of one of the five kinds
        below, by its `route`. [models.md](models.md) says when you need which.""",
        (("", models.ModelsFile),),
        examples.MODELS,
    ),
    _Block('### route = "litellm"', "", (("[models.NAME]", models.VendorRow),), examples.LITELLM),
    _Block('### route = "http"', "", (("[models.NAME]", models.HttpRow),), examples.HTTP),
    _Block(
        '### route = "local"',
        "`llmclf models pull NAME` fetches weights that have a `weights` table.",
        (("[models.NAME]", models.LocalRow), ("[models.NAME.weights]", models.WeightsTable)),
        examples.LOCAL,
    ),
    _Block(
        '### route = "sim"',
        "[simulator.md](simulator.md) has the formulas.",
        (("[models.NAME]", models.SimRow),),
        examples.SIM,
    ),
    _Block(
        '### route = "replay"',
        "[models.md](models.md#replay) says what is found, and what is shown of it.",
        (("[models.NAME]", models.ReplayRow),),
        examples.REPLAY,
    ),
    _Block(
        "### [pace]", "[pace.md](pace.md) says how it is counted.", (("[pace.PATTERN]", models.PaceRow),), examples.PACE
    ),
    _Block(
        "## configs/prices.toml",
        """What tokens cost you, where litellm's map does not know it or you pay otherwise, and throughput that you
        rent. [money.md](money.md) has the formulas.""",
        (("", models.PricesFile), ("[prices.MODEL]", models.PriceRow), ("[plans.NAME]", models.ProvisionedPlan)),
        examples.PRICES,
    ),
    _Block(
        "## configs/tasks/NAME.toml",
        "Exactly one label has the role `target`, at least one the role `clean`.",
        (("", schemas.TaskFile), ("[labels.NAME]", schemas.LabelTable)),
        examples.TASK,
    ),
    _Block(
        '## configs/classifiers/NAME.toml\n\nOne of three kinds, by its `kind`.\n\n### kind = "keyword"',
        "The baseline that everything else must beat.",
        (("", schemas.KeywordFile), ("[[rules]]", schemas.RuleTable)),
        examples.KEYWORD,
    ),
    _Block('### kind = "probe"', "", (("", schemas.ProbeFile),), examples.PROBE),
    _Block(
        '### kind = "llm"', "[classifiers.md](classifiers.md) has more of each.", (("", schemas.LlmFile),), examples.LLM
    ),
    _Block(
        "### [threshold_from]",
        "Of any classifier; [thresholds.md](thresholds.md) says how it comes about.",
        (("[threshold_from]", schemas.ThresholdOrigin), ("[threshold_from.scaling]", schemas.ScalingTable)),
        examples.THRESHOLD_FROM,
    ),
    _Block(
        "## configs/datasets/NAME.toml",
        "[data.md](data.md) says what stands in the two files of JSON Lines.",
        (("", schemas.DatasetFile), ("[design]", schemas.DesignTable), ("[[design.strata]]", schemas.StratumTable)),
        examples.DATASET,
    ),
    _Block(
        "## configs/sweeps/NAME.toml",
        "[sweeps.md](sweeps.md) says what becomes of it.",
        (
            ("", schemas.SweepFile),
            ("[grid]", schemas.Grid),
            ("[costs]", schemas.CostsTable),
            ("[limits]", schemas.LimitsTable),
        ),
        examples.SWEEP,
    ),
    _Block(
        "## configs/optimizations/NAME.toml",
        "[optimization.md](optimization.md) says what becomes of it, and what of it is for a judge.",
        (
            ("", optimizations.OptimizationFile),
            ("[parts]", optimizations.PartsTable),
            ("[reflection]", optimizations.ReflectionTable),
            ("[budget]", optimizations.OptimizationBudget),
        ),
        examples.OPTIMIZATION,
    ),
    _Block(
        '## judges/NAME.toml\n\nOne of three kinds, by its `kind`.\n\n### A judge that asks a model: kind = "llm"',
        "[judges.md](judges.md) says what is shown, asked and read.",
        (
            ("", judges.LlmJudgeFile),
            ("[verdicts.NAME]", judges.VerdictTable),
            ("[bar]", judges.BarTable),
        ),
        examples.JUDGE,
    ),
    _Block('### kind = "panel"', "", (("", judges.PanelFile),), examples.PANEL),
    _Block('### kind = "recorded"', "", (("", judges.RecordedFile),), examples.RECORDED),
)

_PLACES = {model.__name__: place for block in _BLOCKS for place, model in block.tables}
"""Model to the place it has in its file."""
