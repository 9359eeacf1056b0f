"""The verb `cluster_reasons`: reasons to clusters, what is new among them, and what the baseline does not explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from llmclf.reasons.anomalies import find_anomalies, surest
from llmclf.reasons.figures import BaselineFigures, PoolFigures, WordlessFigures
from llmclf.reasons.fitting import Fitted, fit
from llmclf.reasons.forming import Named, Part, form
from llmclf.reasons.grouping import centroids_of
from llmclf.reasons.identity import Earlier
from llmclf.reasons.keeping import named_clusters, named_parents, usable
from llmclf.reasons.moments import first_and_last, moments_of, series_of
from llmclf.reasons.novelty import Novelty, measure_novelty
from llmclf.reasons.rates import shares_of
from llmclf.reasons.reading import ReasonsLike, crowded, no_words, not_before, window_and_baseline, wordless
from llmclf.reasons.result import Clustering
from llmclf.reasons.standing import StandingAlert
from llmclf.reasons.texts import Embedded, draw_reservoir, embed_reasons
from llmclf.reasons.values import Anomaly, Cluster, ClusterSettings
from llmclf.reasons.wordless import figures_of, no_reason
from llmclf.types import Estimate
from llmclf.types.reasons import Reasons

Vectors = npt.NDArray[np.float32]
_NO_BASELINE = "Without a baseline it can't be told what is new or grew: give the reasons of the days before."


def cluster_reasons(
    reasons: ReasonsLike,
    baseline: ReasonsLike | None = None,
    *,
    earlier: Earlier | None = None,
    refit: bool = False,
    settings: ClusterSettings = ClusterSettings(),
    alerts: Sequence[StandingAlert] = (),
) -> Clustering:
    """Reasons in clusters, and what among them a baseline does not explain. Local: no model is asked, nothing is sent.

    `reasons` is the window that is looked at, `baseline` what was usual before: reasons as `Runtime.store.reasons`
    gives them, rows with their columns, or texts alone. The baseline is drawn down to `settings.reservoir` reasons
    by whole conversations. Reasons far from all of it form the novelty pool, which is clustered by itself: new kinds.
    All others and the baseline are clustered together: known kinds. Without a baseline all kinds are known, and
    whether one is new can't be told.

    With `earlier` (`Clustering.earlier()` of the time before) clusters that stay alike keep their ids and names; and
    unless `refit`, nothing is fitted: each reason outside the pool goes to the nearest of the earlier known kinds.

    Predictions that say nothing (`Runtime.store.reasons(..., wordless=True)`) are in no cluster; that they are more
    than usual is an anomaly.

    ConfigError lists what is wrong with the input: no reasons, simulated and real ones at once, predictions that
    stand in window and baseline both. DataError where no reason of window or baseline holds any words.

    >>> waiting = [f"The customer waited {n} days for the parcel and wrote again." for n in range(30)]
    >>> asking = [f"The customer asked for a person {n} times and got none." for n in range(20)]
    >>> made = cluster_reasons(waiting + asking)
    >>> sum(cluster.reasons for cluster in made.clusters), made.anomalies
    (50, ())
    """
    given, against = window_and_baseline(reasons, baseline)
    window = embed_reasons(given, settings.text)
    drawn = None if against is None else draw_reservoir(against, settings.reservoir, settings.seed)
    base = None if drawn is None else embed_reasons(drawn, settings.text)
    unsaid = no_reason(given, window, drawn, base, settings)
    silent = figures_of(given, window, drawn, base)
    notes = [*([] if unsaid else wordless(window, base)), *([_NO_BASELINE] if base is None else [])]
    if not len(window.reasons):
        if base is None or not len(base.reasons):
            raise no_words(window)
        return _empty(given, window, settings, unsaid, silent, _baseline_figures(base, against), notes)
    if base is not None and not len(base.reasons):
        base = None
        notes.append("The baseline holds no reason with words: what is new or grew can't be told.")
    earlier, why = usable(earlier, window.embedder)
    novelty = None if base is None else measure_novelty(window, base, settings)
    pool = np.zeros(len(window.texts), bool) if novelty is None else novelty.pool
    carried = None if refit else earlier
    fitted = fit(window, base, pool, carried, settings, start=earlier)
    seen = Part(window, moments_of(window.reasons.column("created_at")), fitted.window)
    held = None
    if base is not None:
        held = Part(base, moments_of(base.reasons.column("created_at")), fitted.baseline)
    parent_centroids = _parent_centroids(seen, fitted, carried)
    above = named_parents(parent_centroids, earlier, window.embedder, carried=carried is not None)
    clusters = form(seen, held, named_clusters(fitted, above.ids, earlier, window.embedder), settings)
    anomalies, untold = find_anomalies(
        window,
        base,
        novelty=novelty,
        clusters=clusters,
        assigned=seen.assigned,
        baseline_assigned=None if held is None else held.assigned,
        alerts=alerts,
        settings=settings,
    )
    if unsaid is not None:
        anomalies = tuple(sorted((*anomalies, unsaid), key=surest))
    notes += [*why, *not_before(seen, held), *crowded(window, base, pool[window.of]), *untold]
    made = _clustering(seen, held, clusters, novelty, pool, settings)
    return replace(
        made,
        parents=_parents(seen, held, fitted, above, clusters, settings),
        anomalies=anomalies,
        wordless=silent,
        unwatched=tuple(one.name for one in alerts if not one.fits(window.embedder)),
        centroids=fitted.centroids,
        parent_centroids=parent_centroids,
        baseline=None if base is None else _baseline_figures(base, against),
        notes=tuple(dict.fromkeys(notes)),
    )


def _parent_centroids(window: Part, fitted: Fitted, carried: Earlier | None) -> Vectors:
    """Unit vectors of the groups of clusters: the earlier ones, or means of their clusters."""
    if carried is not None:
        return carried.parent_vectors
    weights = np.bincount(window.assigned[window.assigned >= 0], minlength=len(fitted.parents)) + 1
    return centroids_of(fitted.centroids, fitted.parents, weights)


def _parents(
    window: Part,
    baseline: Part | None,
    fitted: Fitted,
    named: Named,
    clusters: Sequence[Cluster],
    settings: ClusterSettings,
) -> tuple[Cluster, ...]:
    """Groups of clusters with figures of their own, in the order of `named`."""
    above = np.append(fitted.parents, -1)  # the last one stands for no cluster
    here = replace(window, labels=above[window.labels])
    before = None if baseline is None else replace(baseline, labels=above[baseline.labels])
    texts = [sum(one.texts for one in clusters if one.parent == id_) for id_ in named.ids]
    return form(here, before, named, settings, texts=texts)


def _clustering(
    window: Part,
    baseline: Part | None,
    clusters: tuple[Cluster, ...],
    novelty: Novelty | None,
    pool: npt.NDArray[np.bool_],
    settings: ClusterSettings,
) -> Clustering:
    """What is said of single reasons and of the window as a whole."""
    embedded, ids = window.embedded, [one.id for one in clusters]
    since, until = first_and_last(window.moments)
    told = novelty is not None and not novelty.why_not
    return Clustering(
        reasons=embedded.reasons,
        clusters=clusters,
        pool=tuple(np.flatnonzero(pool[embedded.of]).tolist()),
        cluster_ids=tuple(map([*ids, ""].__getitem__, window.assigned.tolist())),
        novelty=tuple(novelty.p[embedded.of].tolist()) if novelty is not None and told else None,
        texts=len(embedded.texts),
        conversations=embedded.conversations,
        simulated=bool(embedded.reasons.column("simulated")[0]),
        settings=settings,
        embedder=embedded.embedder,
        pool_figures=None if novelty is None else _pool_figures(novelty, embedded),
        series=series_of(
            window.moments,
            window.assigned,
            None if baseline is None else baseline.moments,
            None if baseline is None else baseline.assigned,
            ids,
        ),
        since=since,
        until=until,
    )


def _pool_figures(novelty: Novelty, window: Embedded) -> PoolFigures:
    inside = novelty.pool[window.of]
    found = shares_of(inside.astype(np.intp) - 1, 1, window.groups)
    return PoolFigures(
        reasons=int(inside.sum()),
        conversations=int(found.conversations[0]),
        expected=float(novelty.expected),
        level=float(novelty.level),
        p=novelty.p_value,
        share=Estimate.unknown(novelty.why_not) if novelty.why_not else found.shares[0],
        why_not=novelty.why_not,
    )


def _baseline_figures(drawn: Embedded, given: Reasons | None) -> BaselineFigures:
    since, until = first_and_last(moments_of(drawn.reasons.column("created_at")))
    return BaselineFigures(len(given or ()), len(drawn.reasons), drawn.conversations, since, until)


def _empty(
    given: Reasons,
    window: Embedded,
    settings: ClusterSettings,
    unsaid: Anomaly | None,
    silent: WordlessFigures,
    baseline: BaselineFigures,
    notes: Sequence[str],
) -> Clustering:
    """A window of predictions that all say nothing."""
    since, until = first_and_last(moments_of(given.column("created_at")))
    return Clustering(
        reasons=window.reasons,
        clusters=(),
        pool=(),
        cluster_ids=(),
        novelty=(),
        texts=0,
        conversations=0,
        simulated=bool(given.column("simulated")[0]),
        settings=settings,
        embedder=window.embedder,
        anomalies=() if unsaid is None else (unsaid,),
        wordless=silent,
        baseline=baseline,
        notes=tuple(notes),
        since=since,
        until=until,
    )
