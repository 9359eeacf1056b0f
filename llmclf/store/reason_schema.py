"""The tables of clustered reasons: clusterings, clusters, which reason is in which, anomalies, what came of them.

Part of a published migration: never edited. No table holds words of conversations but `terms` and `name` of clusters,
whose words stand in several conversations, and `note`, which is the user's own.
"""

from __future__ import annotations

_CLUSTERINGS = """
CREATE TABLE clusterings (
  clustering_id TEXT PRIMARY KEY, -- one look at the reasons; sorts by time
  run_id TEXT NOT NULL, -- runs.run_id
  created_at TEXT NOT NULL, -- UTC
  state TEXT NOT NULL, -- building, or done: only then it counts
  owner TEXT NOT NULL, -- the process that builds it, and where it runs
  since TEXT NOT NULL, -- UTC; the window's beginning
  until TEXT NOT NULL, -- UTC; the window's end
  baseline_since TEXT, -- UTC; NULL: there is no baseline
  baseline_until TEXT, -- UTC
  filter TEXT NOT NULL, -- JSON: which reasons were asked for
  settings TEXT NOT NULL, -- JSON: how they were clustered
  embedder TEXT NOT NULL, -- what made the vectors: centroids of equal ones can be compared
  reasons INTEGER NOT NULL, -- of the window
  conversations INTEGER NOT NULL, -- of the window
  baseline_reasons INTEGER NOT NULL,
  simulated INTEGER NOT NULL, -- 1: a simulated vendor gave them
  result TEXT -- JSON: figures and ids
)
"""
_CLUSTERS = """
CREATE TABLE clusters (
  clustering_id TEXT NOT NULL, -- clusterings.clustering_id
  cluster_id TEXT NOT NULL, -- the same from one clustering to the next, while what it holds stays alike
  kind TEXT NOT NULL, -- known, new, or parent: a group of clusters
  parent_id TEXT NOT NULL, -- clusters.cluster_id of its parent, or empty
  name TEXT NOT NULL, -- in a few words
  named_by TEXT NOT NULL, -- terms, a model, or a person
  terms TEXT NOT NULL, -- JSON: words that set it apart, each from several conversations
  centroid BLOB, -- mean of its vectors: 32-bit floats, little-endian
  medoid TEXT NOT NULL, -- predictions.prediction_id of the reason that stands for it, or empty
  reasons INTEGER NOT NULL, -- in the window
  conversations INTEGER NOT NULL, -- in the window
  first_seen TEXT NOT NULL, -- UTC
  figures TEXT NOT NULL, -- JSON: shares, labels, errors, rates by field and time
  PRIMARY KEY (clustering_id, cluster_id)
)
"""
_CLUSTERED = """
CREATE TABLE clustered (
  clustering_id TEXT NOT NULL, -- clusterings.clustering_id
  prediction_id TEXT NOT NULL, -- predictions.prediction_id, of the window
  cluster_id TEXT NOT NULL, -- clusters.cluster_id; empty: in the novelty pool, alone
  novelty REAL, -- share of the baseline that is as far from the rest; NULL: there is no baseline
  PRIMARY KEY (clustering_id, cluster_id, prediction_id)
) WITHOUT ROWID
"""
_ANOMALIES = """
CREATE TABLE anomalies (
  anomaly_id TEXT PRIMARY KEY, -- sorts by time
  clustering_id TEXT NOT NULL, -- clusterings.clustering_id
  cluster_id TEXT NOT NULL, -- clusters.cluster_id; empty: of no cluster, such as the novelty pool as a whole
  kind TEXT NOT NULL, -- novelty, new_cluster, burst, one_sided, no_reason or alert
  created_at TEXT NOT NULL, -- UTC
  p REAL NOT NULL, -- chance of as much in a quiet window, adjusted for everything that was tested
  reasons INTEGER NOT NULL,
  conversations INTEGER NOT NULL,
  evidence TEXT NOT NULL -- JSON: figures and ids, no words of conversations
)
"""
_FAILURE_MODES = """
CREATE TABLE failure_modes (
  failure_mode TEXT PRIMARY KEY, -- its name, as examples carry it
  created_at TEXT NOT NULL, -- UTC
  cluster_id TEXT NOT NULL, -- the cluster it was promoted from
  clustering_id TEXT NOT NULL, -- clusterings.clustering_id
  task TEXT NOT NULL, -- of its predictions
  dataset TEXT NOT NULL, -- where its examples stand, or empty
  examples INTEGER NOT NULL, -- how many
  note TEXT NOT NULL -- in the user's own words
)
"""
_ALERTS = """
CREATE TABLE alerts (
  alert TEXT PRIMARY KEY, -- its name
  created_at TEXT NOT NULL, -- UTC
  cluster_id TEXT NOT NULL, -- the cluster it was promoted from
  clustering_id TEXT NOT NULL, -- clusterings.clustering_id
  embedder TEXT NOT NULL, -- as in clusterings
  centroid BLOB NOT NULL, -- as in clusters
  similarity REAL NOT NULL, -- a reason at least so similar (cosine) belongs to it
  least_conversations INTEGER NOT NULL, -- it fires from so many conversations of a window on
  note TEXT NOT NULL, -- in the user's own words
  ended_at TEXT -- UTC; it stands no more
)
"""
_DELIVERIES = """
CREATE TABLE deliveries (
  delivery_id TEXT PRIMARY KEY, -- sorts by time; the receiver gets it, so that it can tell a second one
  clustering_id TEXT NOT NULL, -- clusterings.clustering_id
  created_at TEXT NOT NULL, -- UTC
  body TEXT NOT NULL, -- JSON: what is sent; figures and ids, no words of conversations
  attempts INTEGER NOT NULL, -- so far
  owner TEXT, -- the process that sends it now; NULL: none does
  claimed_at TEXT, -- UTC; since when it does
  delivered_at TEXT, -- UTC; NULL: not yet
  given_up_at TEXT, -- UTC; it is not sent any more; NULL: it is
  why TEXT -- why the last attempt failed
)
"""
_INDEXES = (
    "CREATE INDEX clusters_by_id ON clusters (cluster_id, clustering_id)",
    "CREATE INDEX clusterings_by_state ON clusterings (state, clustering_id)",
    "CREATE INDEX anomalies_by_cluster ON anomalies (cluster_id, anomaly_id)",
)
_V_ANOMALIES = """
CREATE VIEW v_anomalies AS
SELECT anomalies.created_at, kind, cluster_id, (
  SELECT name FROM clusters WHERE clusters.clustering_id = anomalies.clustering_id
  AND clusters.cluster_id = anomalies.cluster_id) AS name, anomalies.reasons, anomalies.conversations, p, since, until,
  simulated, anomaly_id, clustering_id
FROM anomalies JOIN clusterings USING (clustering_id) WHERE clusterings.state = 'done'
"""
_V_CLUSTERS = """
CREATE VIEW v_clusters AS
SELECT clusterings.created_at, cluster_id, kind, parent_id, name, clusters.reasons, clusters.conversations,
  round(1.0 * clusters.reasons / max(clusterings.reasons, 1), 4) AS share, first_seen, since, until, simulated,
  clustering_id
FROM clusters JOIN clusterings USING (clustering_id) WHERE clusterings.state = 'done'
"""
_V_REASONS = """
CREATE VIEW v_reasons AS
SELECT created_at, classifier_id, task, conversation_id, turn, label, flagged, rationale, thinking, evidence,
       ungrounded, truncated, error_kind, fields, predictions.simulated AS simulated, kind, run_id, cell_id,
       prediction_id
FROM predictions LEFT JOIN runs USING (run_id)
WHERE coalesce(rationale, '') <> '' OR coalesce(thinking, '') <> ''
"""

REASONS = (
    _CLUSTERINGS,
    _CLUSTERS,
    _CLUSTERED,
    _ANOMALIES,
    _FAILURE_MODES,
    _ALERTS,
    _DELIVERIES,
    *_INDEXES,
    _V_ANOMALIES,
    _V_CLUSTERS,
    "ALTER TABLE predictions ADD COLUMN fields TEXT /* JSON: what it was asked with: turns, metadata you named */",
    "DROP VIEW v_reasons",
    _V_REASONS,
)
