"""The tables of judges and of people: judgments, sessions, their items, labels, links and looks.

Part of a published migration: never edited.
"""

from __future__ import annotations

_JUDGMENTS = """
CREATE TABLE judgments (
  judgment_id TEXT PRIMARY KEY, -- sorts by time
  run_id TEXT NOT NULL, -- runs.run_id, or empty
  created_at TEXT NOT NULL, -- UTC
  judge TEXT NOT NULL, -- its name
  fingerprint TEXT NOT NULL, -- hash of all that decides what it says, or recorded
  case_id TEXT NOT NULL, -- what was judged
  conversation_id TEXT NOT NULL, -- as the caller names it, or empty
  turn INTEGER, -- from 0; NULL: the whole conversation
  verdict TEXT, -- of the closed set, or cannot_tell; NULL: failed
  reason TEXT, -- before the verdict
  probe TEXT NOT NULL, -- swapped, padded, or empty
  repeat INTEGER NOT NULL, -- fresh judgments of the same case count from 0
  votes TEXT, -- JSON: verdict of each member of a panel
  calibrated INTEGER NOT NULL, -- 1: a calibration of this fingerprint had passed when it was made
  error_kind TEXT, -- why there is no verdict
  error_message TEXT, -- the same in words
  error_retryable INTEGER, -- 1: asking again may help
  model TEXT NOT NULL, -- the version that answered, as the vendor names it
  thinking TEXT, -- what the vendor exposes of its reasoning
  input_tokens INTEGER, -- as in calls
  cached_tokens INTEGER, -- as in calls
  output_tokens INTEGER, -- as in calls
  reasoning_tokens INTEGER, -- as in calls
  audio_tokens INTEGER, -- as in calls
  cache_write_tokens INTEGER, -- as in calls
  cost_nano INTEGER, -- nano-dollars when it was bought; NULL: unknown
  latency_seconds REAL, -- as in calls
  call_id TEXT NOT NULL, -- calls.call_id, or empty
  cached INTEGER NOT NULL, -- 1: an earlier answer was used, nothing was paid
  simulated INTEGER NOT NULL, -- 1: a simulated vendor answered
  forgotten_at TEXT -- UTC; reason, thinking and error message are gone
)
"""
_SESSIONS = """
CREATE TABLE sessions (
  session_id TEXT PRIMARY KEY, -- as people name it
  created_at TEXT NOT NULL, -- UTC
  kind TEXT NOT NULL, -- task or judge: what it is about
  rubric TEXT NOT NULL, -- JSON: question, verdicts and rules, as they were when it began
  guideline TEXT NOT NULL, -- version of the guideline
  design TEXT NOT NULL, -- random, by_verdict or class_balanced
  population TEXT NOT NULL, -- JSON: items of the pool by stratum
  fingerprint TEXT NOT NULL, -- the judge's when it began, or empty
  annotators TEXT NOT NULL, -- JSON: their names
  adjudicator TEXT NOT NULL, -- a name, or empty
  per_item INTEGER NOT NULL, -- people who label each item
  seed INTEGER NOT NULL,
  hide_names INTEGER NOT NULL, -- 1: reports call annotators A1, A2, ...
  closed_at TEXT -- UTC; no more labels are taken
)
"""
_SESSION_ITEMS = """
CREATE TABLE session_items (
  session_id TEXT NOT NULL, -- sessions.session_id
  case_id TEXT NOT NULL,
  place INTEGER NOT NULL, -- order in which they are shown, from 0
  split TEXT NOT NULL, -- practice (never scored), align or test
  stratum TEXT NOT NULL, -- of the design, or empty
  inclusion_probability REAL, -- chance that it was drawn; NULL: not known
  annotators TEXT NOT NULL, -- JSON: who labels it first
  conversation_id TEXT NOT NULL, -- as the caller names it, or empty
  turn INTEGER, -- from 0; NULL: the whole conversation
  own_group TEXT NOT NULL, -- items of one group are not independent
  known_label TEXT NOT NULL, -- what was known before, or empty; never shown with a first label
  metadata TEXT NOT NULL, -- JSON: what can be sliced by
  conversation TEXT, -- JSON: what people are shown of it; NULL: there is none, or it was forgotten
  shown TEXT, -- JSON: what is judged, by name
  forgotten_at TEXT, -- UTC; its words and those of its notes are gone
  PRIMARY KEY (session_id, case_id)
)
"""
_SESSION_LABELS = """
CREATE TABLE session_labels (
  label_id INTEGER PRIMARY KEY, -- counts up; the last that is not undone counts
  session_id TEXT NOT NULL, -- sessions.session_id
  case_id TEXT NOT NULL, -- session_items.case_id
  annotator TEXT NOT NULL,
  round TEXT NOT NULL, -- first, or adjudication
  label TEXT, -- NULL: skipped
  skipped TEXT NOT NULL, -- why, or empty
  rule TEXT NOT NULL, -- id of the rule that decided, or empty
  note TEXT, -- in the annotator's words
  evidence TEXT, -- JSON: what the annotator highlighted
  seconds REAL, -- with the item in view; NULL: not measured
  blind INTEGER NOT NULL, -- 1: no other answer was shown
  guideline TEXT NOT NULL, -- version that was read
  made_at TEXT NOT NULL, -- UTC
  client_id TEXT NOT NULL, -- made by the page, so that what is sent twice is kept once; or empty
  undone_at TEXT -- UTC
)
"""
_SESSION_TOKENS = """
CREATE TABLE session_tokens (
  token_sha256 TEXT PRIMARY KEY, -- the token itself is nowhere
  session_id TEXT NOT NULL, -- sessions.session_id
  annotator TEXT NOT NULL,
  kind TEXT NOT NULL, -- link, or the cookie it is swapped for
  created_at TEXT NOT NULL, -- UTC
  revoked_at TEXT -- UTC
)
"""
_SESSION_LOOKS = """
CREATE TABLE session_looks (
  session_id TEXT NOT NULL, -- sessions.session_id
  fingerprint TEXT NOT NULL, -- of the judge that was looked at
  judge TEXT NOT NULL, -- its name
  split TEXT NOT NULL, -- align or test
  looked_at TEXT NOT NULL -- UTC
)
"""
_JUDGING_INDEXES = (
    "CREATE INDEX judgments_by_judge ON judgments (judge, fingerprint, case_id)",
    "CREATE INDEX judgments_by_run ON judgments (run_id)",
    "CREATE INDEX judgments_by_time ON judgments (created_at)",
    "CREATE INDEX judgments_by_conversation ON judgments (conversation_id)",
    "CREATE INDEX session_items_by_conversation ON session_items (conversation_id)",
    "CREATE INDEX session_labels_by_case ON session_labels (session_id, case_id)",
    "CREATE UNIQUE INDEX session_labels_once ON session_labels (session_id, annotator, client_id)"
    " WHERE client_id <> ''",
    "CREATE INDEX session_looks_by_session ON session_looks (session_id)",
)
_V_JUDGMENTS = """
CREATE VIEW v_judgments AS
SELECT created_at, judge, CASE WHEN fingerprint LIKE 'recorded%' THEN fingerprint ELSE substr(fingerprint, 1, 12) END
       AS fingerprint, CASE calibrated WHEN 1 THEN 'calibrated' ELSE 'UNCALIBRATED' END AS calibration, case_id,
       conversation_id, turn, verdict, reason, error_kind, probe, repeat, round(cost_nano / 1e9, 6) AS usd,
       round(latency_seconds, 3) AS seconds, simulated, run_id, judgment_id
FROM judgments
"""
_V_LABELS = """
CREATE VIEW v_session_labels AS
SELECT made_at, session_id, case_id, annotator, round, label, skipped, rule, note, seconds, blind
FROM session_labels WHERE undone_at IS NULL
"""
JUDGING = (
    *(_JUDGMENTS, _SESSIONS, _SESSION_ITEMS, _SESSION_LABELS, _SESSION_TOKENS, _SESSION_LOOKS),
    *(*_JUDGING_INDEXES, _V_JUDGMENTS, _V_LABELS),
)
