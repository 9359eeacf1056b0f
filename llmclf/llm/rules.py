"""What a workspace lets be called, and with whose money."""

from __future__ import annotations

from fnmatch import fnmatchcase

from llmclf.config import WorkspaceFile
from llmclf.errors import BudgetError, ConfigError
from llmclf.llm.budget import Budget
from llmclf.llm.prices import Price
from llmclf.llm.routes.base import Route


def check_allowed(model_id: str, route: Route, rules: WorkspaceFile) -> None:
    """ConfigError where the workspace does not allow the model, or the place its texts would go."""
    if not _fits(model_id, rules.allowed_models):
        raise ConfigError(f"{model_id} is not among the workspace's allowed_models ({', '.join(rules.allowed_models)})")
    if route.leaves_machine and not _fits(route.endpoint(), rules.allowed_endpoints):
        raise ConfigError(
            f"{model_id} sends texts to {route.endpoint()}, which is not among the workspace's allowed_endpoints "
            f"({', '.join(rules.allowed_endpoints)})"
        )


def checked_price(model_id: str, route: Route, budget: Budget) -> Price:
    """The model's price; BudgetError where it has none, or costs money and no cap holds."""
    price = route.price()
    if price is not None and (route.simulated or price.is_free):
        return price
    if price is None:
        raise BudgetError(
            "the model's price is not known, so no cap can hold",
            where=model_id,
            fix=f'add [prices."{model_id}"] with input_usd_per_million and output_usd_per_million '
            "to configs/prices.toml",
        )
    if not budget.is_capped:
        raise BudgetError(
            "a model that costs money needs a cap",
            where=model_id,
            fix="give max_usd (budget_usd in a sweep, --max-usd), or usd_per_month in llmclf.toml",
        )
    return price


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)
