"""What errors and people cost: turns a confusion table into dollars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OnError = Literal["review", "miss"]
DAYS_PER_MONTH = 30.4


@dataclass(frozen=True, slots=True)
class Costs:
    """Dollars of a miss, a false alarm and a review, at production's prevalence and volume."""

    missed_usd: float = 40.0
    """What one missed target costs."""
    false_alarm_usd: float = 2.0
    """What one false alarm costs beyond its review."""
    review_minutes: float = 1.5
    """A person's time for one flagged (or failed) item."""
    reviewer_usd_per_hour: float = 48.0
    prevalence: float = 0.005
    """Share of the target in production, not in the file; 0 to 1."""
    conversations_per_month: int | None = None
    on_error: OnError = "review"
    """What a failed item costs: a review, or a miss where it was a target."""

    @property
    def review_usd(self) -> float:
        """Dollars for one review."""
        return self.review_minutes / 60 * self.reviewer_usd_per_hour

    @property
    def flag_nothing_usd(self) -> float:
        """Dollars of the misses of 1,000 items if nothing were flagged: what a classifier must beat."""
        return 1000 * self.prevalence * self.missed_usd
