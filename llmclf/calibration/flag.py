"""One thing that is wrong with a judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmclf.types import Estimate


@dataclass(frozen=True)
class Flag:
    """One thing that is wrong with a judge, or with the labels that it is held against."""

    kind: str
    """Of a judge: inverted, copied, constant, never_positive, missing, position, length or unstable. Of the labels:
    empty_class or few_positives. Of a report: guideline (people labelled by another one), later_session (the status
    stays with a session that was begun later), status_stays (this one can't tell, and another could) or shown (cases
    that the judge's prompt shows were left out)."""
    sentence: str
    """What was found, with its figures."""
    figures: Mapping[str, Estimate] = field(default_factory=dict, hash=False)
    grave: bool = False
    """True where no figure of this judge means what it says until that is mended."""
    brief: str = ""
    """The finding without its figures, for a headline; empty where the sentence is short enough."""

    def to_dict(self) -> dict[str, Any]:
        """The flag as JSON types."""
        figures = {name: figure.to_dict() for name, figure in self.figures.items()}
        return {
            "kind": self.kind,
            "brief": self.brief,
            "sentence": self.sentence,
            "figures": figures,
            "grave": self.grave,
        }
