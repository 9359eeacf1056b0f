"""Standing alerts: somebody saw a kind of reason once and asked to be told whenever it comes again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llmclf.errors import DataError

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class StandingAlert:
    """A kind of reason that is told of each time it is seen, by its place among the vectors and not by its words."""

    name: str
    vector: npt.NDArray[np.float32]
    """Unit vector of the kind, shape (256,)."""
    similarity: float
    """Cosine from which on a reason is one of them, 0 to 1."""
    least_conversations: int
    """In fewer conversations of a window it is not told of."""
    embedder: str
    """What made the vector; it can only be held against vectors of the same embedder."""

    def fits(self, embedder: str) -> bool:
        """True where it can be looked for among vectors of `embedder`."""
        return embedder == self.embedder

    def matches(self, vectors: npt.NDArray[np.float32], embedder: str) -> BoolArray:
        """Which rows of (d, 256) unit vectors are of this kind, shape (d,). DataError for another embedder's."""
        if not self.fits(embedder):
            raise DataError(
                "the alert was made with other vectors",
                where=f"alert {self.name}",
                got=f"{self.embedder}, the reasons have {embedder}",
                fix="promote the cluster again from a clustering of today",
            )
        found: BoolArray = vectors @ self.vector >= self.similarity
        return found
