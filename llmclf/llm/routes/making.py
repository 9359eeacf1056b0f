"""From a model's name to the route to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from llmclf.config import HttpRow, LocalRow, ModelRow, PriceRow, ReplayRow, SimRow, VendorRow
from llmclf.errors import ConfigError, nearest
from llmclf.llm.routes.base import Route
from llmclf.llm.routes.http import HttpRoute
from llmclf.llm.routes.litellm import LitellmRoute
from llmclf.llm.routes.local import LocalRoute
from llmclf.llm.routes.replay import ReplayRoute
from llmclf.llm.routes.sim import SimRoute, TruthMap

_REPLAY = "replay/"
_OURS = ("sim/", "local/", "http/")  # a vendor of litellm has none of these names


class RouteMaker:
    """Makes routes by the rows of models.toml, and for vendors' models without one."""

    def __init__(
        self, rows: Mapping[str, ModelRow], prices: Mapping[str, PriceRow], workspace: Path | None, truth: TruthMap
    ) -> None:
        self.rows = rows
        self.prices = prices
        self.workspace = workspace
        self.truth = truth
        """What the simulated vendor is told; no other route sees it."""

    def make(self, model_id: str) -> Route:
        """The route to a model; ConfigError where its name leads nowhere."""
        row = self.rows.get(model_id)
        if isinstance(row, SimRow):
            return SimRoute(model_id, row, self.truth)
        if isinstance(row, LocalRow):
            return LocalRoute(model_id, row, self.workspace)
        if isinstance(row, HttpRow):
            return HttpRoute(model_id, row, self.prices)
        if isinstance(row, ReplayRow):
            return ReplayRoute(model_id, self.make(row.model), row.source, self.workspace)
        if row is None and model_id.startswith(_REPLAY):
            return ReplayRoute(model_id, self.make(model_id.removeprefix(_REPLAY)), "", self.workspace)
        if row is None and model_id.startswith(_OURS):
            known = [name for name in self.rows if name.startswith(_OURS)]
            raise ConfigError("there is no such model", where="models.toml", got=model_id, fix=nearest(model_id, known))
        assert row is None or isinstance(row, VendorRow)
        return LitellmRoute(model_id, row, self.prices)
