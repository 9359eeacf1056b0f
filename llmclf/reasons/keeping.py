"""What clusters keep from the clustering before: ids, names and, where nothing is fitted anew, terms and parents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from llmclf.reasons.fitting import Fitted, Vectors
from llmclf.reasons.forming import Named
from llmclf.reasons.identity import Earlier, kept_ids
from llmclf.reasons.naming import NO_TERMS, UNNAMED

_NO_NAMES = (UNNAMED, NO_TERMS)


def named_clusters(fitted: Fitted, parent_ids: Sequence[str], earlier: Earlier | None, embedder: str) -> Named:
    """Ids, names and parents of the clusters; those of the earlier ones where they are alike."""
    ids = _ids(fitted, earlier, embedder)
    places = {} if earlier is None else {id_: place for place, id_ in enumerate(earlier.ids)}
    names, named_by = _names(ids, places, earlier)
    return Named(
        ids=tuple(ids),
        kinds=fitted.kinds,
        parents=tuple(parent_ids[place] if place >= 0 else "" for place in fitted.parents.tolist()),
        names=names,
        named_by=named_by,
        terms=tuple(earlier.terms[place] if earlier is not None and place >= 0 else None for place in fitted.carried),
    )


def named_parents(vectors: Vectors, earlier: Earlier | None, embedder: str, *, carried: bool) -> Named:
    """The same for groups of clusters. `carried`: they are the earlier ones, in their order."""
    if carried and earlier is not None:
        ids = list(earlier.parent_ids)
    else:
        ids = kept_ids(vectors, earlier, embedder=embedder, of="parents")
    names = {} if earlier is None else dict(zip(earlier.parent_ids, earlier.parent_names, strict=True))
    kept = tuple("" if names.get(id_, UNNAMED) in _NO_NAMES else names[id_] for id_ in ids)
    return Named(
        ids=tuple(ids),
        kinds=tuple("known" for _ in ids),
        parents=("",) * len(ids),
        names=kept,
        named_by=("terms",) * len(ids),
        terms=tuple(() if carried and name else None for name in kept),
    )


def usable(earlier: Earlier | None, embedder: str) -> tuple[Earlier | None, tuple[str, ...]]:
    """The earlier clustering where it can be held against these vectors, and a note where it can't."""
    if earlier is None or (earlier.embedder == embedder and len(earlier.ids)):
        return earlier, ()
    if not len(earlier.ids):
        return None, ()
    note = f"The earlier clusters were made with other vectors ({earlier.embedder}): all ids are new."
    return None, (note,)


def _ids(fitted: Fitted, earlier: Earlier | None, embedder: str) -> list[str]:
    """Ids of clusters that are carried over; the others are held against those earlier ones that are not."""
    carried = np.array(fitted.carried, np.intp)
    fresh = np.flatnonzero(carried < 0)
    if earlier is None or len(fresh) == len(carried):
        return kept_ids(fitted.centroids, earlier, embedder=embedder)
    free = np.setdiff1d(np.arange(len(earlier.ids)), carried)
    made = kept_ids(fitted.centroids[fresh], _only(earlier, free), embedder=embedder)
    ids = [earlier.ids[place] if place >= 0 else "" for place in fitted.carried]
    for place, id_ in zip(fresh.tolist(), made, strict=True):
        ids[place] = id_
    return ids


def _only(earlier: Earlier, places: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Earlier:
    """The same with these clusters alone to be alike to; the others' ids stay taken."""
    kept = places.tolist()
    return replace(
        earlier,
        ids=tuple(earlier.ids[place] for place in kept),
        vectors=earlier.vectors[places],
        parent_ids=(*earlier.parent_ids, *(id_ for place, id_ in enumerate(earlier.ids) if place not in set(kept))),
    )


def _names(ids: list[str], places: dict[str, int], earlier: Earlier | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name and who gave it; empty and `terms` where it is to be made."""
    names, named_by = [], []
    for id_ in ids:
        place = places.get(id_, -1)
        kept = earlier is not None and place >= 0 and earlier.names[place] not in _NO_NAMES
        names.append(earlier.names[place] if earlier is not None and kept else "")
        named_by.append(earlier.named_by[place] if earlier is not None and kept else "terms")
    return tuple(names), tuple(named_by)
