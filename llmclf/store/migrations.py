"""The schema, as numbered migrations. A published one is never edited: a change is a new one at the end.

Comments behind columns are part of the schema: SQLite keeps them, and `schema_markdown` reads them.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from llmclf.errors import StoreError
from llmclf.store.judging_schema import JUDGING
from llmclf.store.reason_schema import REASONS

SET = "llmclf"
_RECORDS = "_sqlite_migrations"  # the table of sqlite-utils' Migrations


class Migration(NamedTuple):
    """One step: its name and the statements that take it."""

    name: str
    statements: tuple[str, ...]


_RUNS = """
CREATE TABLE runs (
  run_id TEXT PRIMARY KEY, -- one execution; sorts by time
  kind TEXT NOT NULL, -- classify, evaluate, sweep, ...
  state TEXT NOT NULL, -- running, done, stopped (by a limit), interrupted (by a person), failed
  started_at TEXT NOT NULL, -- UTC
  finished_at TEXT, -- UTC
  inputs_hash TEXT NOT NULL, -- over dataset, prompts, configuration, versions, seed: equal for equal runs
  dataset_hash TEXT NOT NULL, -- or empty
  seed INTEGER NOT NULL, -- 0 where none was used
  git_sha TEXT NOT NULL, -- the commit, or empty
  versions TEXT NOT NULL, -- JSON: package to version
  config TEXT NOT NULL, -- JSON: what was asked for
  simulated INTEGER NOT NULL, -- 1: a simulated vendor answered
  result TEXT, -- JSON: figures and ids, no words of conversations
  why TEXT -- why it did not end as done
)
"""
_CALLS = """
CREATE TABLE calls (
  call_id TEXT PRIMARY KEY, -- made by whoever calls
  run_id TEXT NOT NULL, -- runs.run_id, or empty
  request_hash TEXT NOT NULL, -- sha256 over the body as sent and the endpoint
  repeat INTEGER NOT NULL, -- fresh calls with the same request count from 0
  conversation_id TEXT NOT NULL, -- as the caller names it, or empty
  turn INTEGER, -- from 0; NULL: the whole conversation
  classifier_id TEXT NOT NULL, -- name@ and a hash of its settings
  model TEXT NOT NULL, -- its id, such as vendor/name
  route TEXT NOT NULL, -- how it was reached
  endpoint TEXT NOT NULL, -- where it went
  prompt_id TEXT NOT NULL, -- name@ and the start of prompts.sha256
  thinking TEXT NOT NULL, -- asked for
  sent_thinking TEXT, -- really sent
  simulated INTEGER NOT NULL, -- 1: a simulated vendor answered
  state TEXT NOT NULL, -- sent (no outcome known), done, failed
  sent_at TEXT NOT NULL, -- UTC
  finished_at TEXT, -- UTC
  reserved_nano INTEGER NOT NULL, -- worst-case cost in nano-dollars; holds while cost_nano is NULL
  cost_nano INTEGER, -- nano-dollars; NULL: unknown, which is not 0
  price TEXT, -- JSON: the prices used
  input_tokens INTEGER, -- as reported, cached ones included
  cached_tokens INTEGER, -- of input_tokens
  output_tokens INTEGER, -- reasoning included
  reasoning_tokens INTEGER, -- of output_tokens
  latency_seconds REAL, -- from the first attempt to the answer
  attempts INTEGER, -- how often it was sent
  possibly_billed INTEGER NOT NULL, -- 1: may have been charged for beyond cost_nano
  finish_reason TEXT, -- as the vendor says
  error_kind TEXT, -- why there is no usable answer
  forgotten_at TEXT -- UTC; the words of this call are gone and will not be stored again
)
"""
_CALL_TEXTS = """
CREATE TABLE call_texts (
  call_id TEXT PRIMARY KEY, -- calls.call_id; the words of a call stand here alone, so that they can go alone
  request TEXT, -- JSON: the body as sent (redacted where privacy says so)
  answer TEXT, -- as it came
  reasoning TEXT, -- what the vendor exposes
  label_logprobs TEXT, -- JSON: label to log-probability
  error_message TEXT -- why there is no usable answer
)
"""
_PREDICTIONS = """
CREATE TABLE predictions (
  prediction_id TEXT PRIMARY KEY, -- sorts by time
  run_id TEXT NOT NULL, -- runs.run_id
  cell_id TEXT NOT NULL, -- cells.cell_id, or empty
  created_at TEXT NOT NULL, -- UTC
  conversation_id TEXT NOT NULL, -- as the caller names it
  turn INTEGER, -- from 0; NULL: the whole conversation
  classifier_id TEXT NOT NULL, -- name@ and a hash of its settings
  task TEXT NOT NULL, -- its name
  label TEXT, -- NULL: failed, which is not a negative
  flagged INTEGER, -- 1: the score reaches the threshold; NULL: failed
  score REAL, -- of the target, raw, 0 to 1
  score_method TEXT NOT NULL, -- where the score comes from
  threshold REAL, -- at which it was flagged
  probabilities TEXT, -- JSON: label to probability
  probabilities_at REAL, -- the prevalence they hold at
  evidence TEXT, -- JSON: quote, turn, grounded
  ungrounded INTEGER NOT NULL, -- 1: a quote is not in the conversation
  rationale TEXT, -- the reason in the answer
  thinking TEXT, -- what the vendor exposes of its reasoning
  truncated INTEGER NOT NULL, -- 1: the model did not see the whole conversation
  error_kind TEXT, -- why there is no label
  error_message TEXT, -- the same in words
  error_retryable INTEGER, -- 1: asking again may help
  input_tokens INTEGER, -- as in calls
  cached_tokens INTEGER, -- as in calls
  output_tokens INTEGER, -- as in calls
  reasoning_tokens INTEGER, -- as in calls
  cost_nano INTEGER, -- nano-dollars when it was bought; NULL: unknown
  latency_seconds REAL, -- as in calls
  route TEXT NOT NULL, -- how the model was reached
  call_id TEXT NOT NULL, -- calls.call_id, or empty
  cached INTEGER NOT NULL, -- 1: an earlier answer was used, nothing was paid
  simulated INTEGER NOT NULL, -- 1: a simulated vendor answered
  forgotten_at TEXT -- UTC; quotes, rationale, thinking and error message are gone
)
"""
_CELLS = """
CREATE TABLE cells (
  run_id TEXT NOT NULL, -- runs.run_id
  cell_id TEXT NOT NULL, -- one combination of settings
  settings TEXT NOT NULL, -- JSON: axis to value
  simulated INTEGER NOT NULL, -- 1: a simulated vendor answered
  state TEXT NOT NULL, -- how far it is
  result TEXT, -- JSON: figures and ids
  updated_at TEXT NOT NULL, -- UTC
  PRIMARY KEY (run_id, cell_id)
)
"""
_PROMPTS = """
CREATE TABLE prompts (
  name TEXT NOT NULL, -- of the file
  sha256 TEXT NOT NULL, -- of the text
  text TEXT NOT NULL, -- as the file has it, with its {{placeholders}}
  first_used_at TEXT NOT NULL, -- UTC
  PRIMARY KEY (name, sha256)
)
"""
_INDEXES = (
    "CREATE INDEX runs_by_inputs ON runs (inputs_hash, run_id)",
    "CREATE INDEX runs_by_kind ON runs (kind, run_id)",
    "CREATE INDEX calls_by_request ON calls (request_hash, repeat)",
    "CREATE INDEX calls_by_run ON calls (run_id)",
    "CREATE INDEX calls_by_time ON calls (sent_at)",
    "CREATE INDEX calls_by_conversation ON calls (conversation_id)",
    "CREATE INDEX predictions_by_run ON predictions (run_id, cell_id)",
    "CREATE INDEX predictions_by_time ON predictions (created_at)",
    "CREATE INDEX predictions_by_conversation ON predictions (conversation_id)",
    "CREATE INDEX cells_by_cell ON cells (cell_id)",
    # Within a cell an item is predicted once: a resumed cell replaces what it stored before.
    "CREATE UNIQUE INDEX predictions_of_cell ON predictions"
    " (run_id, cell_id, classifier_id, task, conversation_id, coalesce(turn, -1)) WHERE cell_id <> ''",
)
_V_PREDICTIONS = """
CREATE VIEW v_predictions AS
SELECT created_at, classifier_id, task, conversation_id, turn, label, flagged, round(score, 4) AS score, threshold,
       error_kind, rationale, evidence, ungrounded, truncated, cached, round(cost_nano / 1e9, 6) AS usd,
       round(latency_seconds, 3) AS seconds, simulated, run_id, cell_id, prediction_id
FROM predictions
"""
_V_CELLS = """
CREATE VIEW v_cells AS
SELECT cells.run_id, cells.cell_id, cells.state, cells.simulated, json_extract(settings, '$.model') AS model,
       json_extract(settings, '$.thinking') AS thinking, json_extract(settings, '$.modality') AS modality,
       json_extract(settings, '$.prompt') AS prompt, settings, found.predictions, found.flagged, found.failed,
       found.ungrounded, found.usd, found.unknown_cost, found.mean_seconds, result, updated_at
FROM cells LEFT JOIN (
  SELECT run_id, cell_id, count(*) AS predictions, coalesce(sum(flagged), 0) AS flagged, sum(label IS NULL) AS failed,
         sum(ungrounded) AS ungrounded, round(sum(cost_nano) / 1e9, 6) AS usd, sum(cost_nano IS NULL) AS unknown_cost,
         round(avg(latency_seconds), 3) AS mean_seconds
  FROM predictions WHERE cell_id <> '' GROUP BY run_id, cell_id
) AS found ON found.run_id = cells.run_id AND found.cell_id = cells.cell_id
"""
_V_SPEND = """
CREATE VIEW v_spend AS
SELECT substr(sent_at, 1, 10) AS day, classifier_id, model, simulated, count(*) AS calls,
       sum(state = 'failed') AS failed, round(coalesce(sum(cost_nano), 0) / 1e9, 6) AS usd,
       round(sum(CASE WHEN cost_nano IS NULL THEN reserved_nano ELSE 0 END) / 1e9, 6) AS reserved_usd,
       sum(cost_nano IS NULL AND state <> 'sent') AS unknown_cost,
       sum(possibly_billed OR state = 'sent') AS possibly_billed,
       sum(input_tokens) AS input_tokens, sum(cached_tokens) AS cached_tokens, sum(output_tokens) AS output_tokens,
       sum(reasoning_tokens) AS reasoning_tokens
FROM calls GROUP BY day, classifier_id, model, simulated
"""
_V_REASONS = """
CREATE VIEW v_reasons AS
SELECT created_at, classifier_id, task, conversation_id, turn, label, flagged, rationale, thinking, evidence,
       ungrounded, simulated, run_id, cell_id, prediction_id
FROM predictions WHERE coalesce(rationale, '') <> '' OR coalesce(thinking, '') <> ''
"""

_OWNERS = """
CREATE TABLE owners (
  owner TEXT PRIMARY KEY, -- one runtime of one process
  seen_at TEXT NOT NULL -- UTC; when it last said that it lives
)
"""
_LEASES = """
CREATE TABLE leases (
  owner TEXT NOT NULL, -- owners.owner
  scope TEXT NOT NULL, -- the cap it is a slice of, such as month:2026-11
  granted_nano INTEGER NOT NULL, -- nano-dollars it may spend in that scope, spent ones included
  PRIMARY KEY (owner, scope)
)
"""
_SENDS = """
CREATE TABLE sends (
  send_id INTEGER PRIMARY KEY, -- counts up
  pace TEXT NOT NULL, -- the row of [pace] it counts for
  sent_at REAL NOT NULL, -- seconds since 1970; rows of the last minutes are kept
  tokens INTEGER NOT NULL -- counted for it: the most it can be, until the answer tells
)
"""
_SHARED = (
    "ALTER TABLE calls ADD COLUMN owner TEXT NOT NULL DEFAULT '' /* the runtime that sent it */",
    "ALTER TABLE calls ADD COLUMN queue_seconds REAL /* waited for its turn before it was sent */",
    "ALTER TABLE calls ADD COLUMN first_byte_seconds REAL /* from the last attempt to the first byte of its answer */",
    "ALTER TABLE calls ADD COLUMN audio_tokens INTEGER /* of input_tokens */",
    "ALTER TABLE calls ADD COLUMN cache_write_tokens INTEGER /* of input_tokens, put into the vendor's cache */",
    "ALTER TABLE predictions ADD COLUMN audio_tokens INTEGER /* as in calls */",
    "ALTER TABLE predictions ADD COLUMN cache_write_tokens INTEGER /* as in calls */",
    "ALTER TABLE predictions ADD COLUMN calls INTEGER NOT NULL DEFAULT 0 /* to models: samples, parts, repairs */",
    "ALTER TABLE predictions ADD COLUMN repaired INTEGER NOT NULL DEFAULT 0 /* 1: an answer was asked for once more */",
    "CREATE INDEX calls_by_owner ON calls (owner, sent_at)",
    "CREATE INDEX sends_by_pace ON sends (pace, sent_at)",
)

# A cap is looked up by the hour: summing up the calls of a month would take seconds under the write lock.
_SPENT = """
CREATE TABLE spent (
  hour TEXT NOT NULL, -- UTC, such as 2026-11-22T10
  run_id TEXT NOT NULL, -- calls.run_id
  owner TEXT NOT NULL, -- calls.owner
  nano INTEGER NOT NULL, -- nano-dollars: what real calls cost, or have reserved where that is not known
  under_way_nano INTEGER NOT NULL, -- of that, reserved by calls without outcome
  PRIMARY KEY (hour, run_id, owner)
) WITHOUT ROWID
"""
_ADD_SPENT = """
  INSERT INTO spent VALUES (substr({row}.sent_at, 1, 13), {row}.run_id, {row}.owner,
    {sign}coalesce({row}.cost_nano, {row}.reserved_nano),
    {sign}CASE {row}.state WHEN 'sent' THEN {row}.reserved_nano ELSE 0 END)
  ON CONFLICT DO UPDATE SET nano = nano + excluded.nano, under_way_nano = under_way_nano + excluded.under_way_nano;
"""
_NEW, _OLD = _ADD_SPENT.format(row="NEW", sign=""), _ADD_SPENT.format(row="OLD", sign="-")
_KEEP_SPENT = (
    "CREATE INDEX spent_by_run ON spent (run_id)",
    f"CREATE TRIGGER spent_more AFTER INSERT ON calls WHEN NEW.simulated = 0 BEGIN {_NEW} END",
    "CREATE TRIGGER spent_else AFTER UPDATE OF state, cost_nano, reserved_nano, sent_at, run_id, owner ON calls"
    f" WHEN NEW.simulated = 0 BEGIN {_OLD} {_NEW} END",
    f"CREATE TRIGGER spent_less AFTER DELETE ON calls WHEN OLD.simulated = 0 BEGIN {_OLD} END",
    "INSERT INTO spent SELECT substr(sent_at, 1, 13), run_id, owner, sum(coalesce(cost_nano, reserved_nano)),"
    " sum(CASE state WHEN 'sent' THEN reserved_nano ELSE 0 END) FROM calls WHERE simulated = 0 GROUP BY 1, 2, 3",
)

_SHOWN_ID = "ALTER TABLE calls ADD COLUMN shown_id TEXT /* shown.shown_id; NULL: its words are of its item alone */"
_SHOWN = (
    """
CREATE TABLE shown (
  shown_id TEXT NOT NULL, -- a set of conversations whose words a call sends along, as examples: a hash of their ids
  conversation_id TEXT NOT NULL, -- one of them
  PRIMARY KEY (shown_id, conversation_id)
) WITHOUT ROWID
""",
    "CREATE INDEX shown_conversation ON shown (conversation_id)",
    "CREATE INDEX calls_shown ON calls (shown_id) WHERE shown_id IS NOT NULL",
)

MIGRATIONS: tuple[Migration, ...] = (
    Migration("0001_tables", (_RUNS, _CALLS, _CALL_TEXTS, _PREDICTIONS, _CELLS, _PROMPTS, *_INDEXES)),
    Migration("0002_views", (_V_PREDICTIONS, _V_CELLS, _V_SPEND, _V_REASONS)),
    Migration("0003_shared", (_OWNERS, _LEASES, _SENDS, *_SHARED)),
    Migration("0004_spent", (_SPENT, *_KEEP_SPENT)),
    Migration("0005_judging", JUDGING),
    Migration("0006_reasons", REASONS),
    Migration("0007_shown", (_SHOWN_ID, *_SHOWN)),
)


def pending(connection: sqlite3.Connection, where: str) -> list[Migration]:
    """The migrations that this store still lacks.

    Raises StoreError where the file is another program's database, or of a newer llmclf.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    applied: list[str] = []
    if _RECORDS in tables:
        rows = connection.execute(f"SELECT name FROM {_RECORDS} WHERE migration_set = ? ORDER BY id", (SET,))  # noqa: S608
        applied = [name for (name,) in rows]
    if tables and not applied:
        raise StoreError(
            "this is a SQLite file, but not a store of llmclf",
            where=where,
            got=sorted(tables)[:5],
            fix="give another path for the store; a new file is made where there is none",
        )
    unknown = [name for name in applied if name not in {migration.name for migration in MIGRATIONS}]
    if unknown:
        raise StoreError(
            "the store was written by a newer llmclf",
            where=where,
            got=unknown,
            fix=f"`pip install -U llmclf` (this one knows up to {MIGRATIONS[-1].name}), or use another store",
        )
    return [migration for migration in MIGRATIONS if migration.name not in applied]


def migrate(connection: sqlite3.Connection, where: str) -> list[str]:
    """Takes every missing step, each in one transaction with its record; the names of those taken.

    Two processes may do this at once: each step begins with the write lock and looks again.
    """
    taken: list[str] = []
    while pending(connection, where):
        connection.execute("BEGIN IMMEDIATE")
        try:
            missing = pending(connection, where)
            if missing:
                _take(connection, missing[0])
                taken.append(missing[0].name)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return taken


def _take(connection: sqlite3.Connection, migration: Migration) -> None:
    # Only here: where pandas is installed sqlite-utils imports it, which takes half a second.
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

    steps = Migrations(SET)

    @steps(name=migration.name)
    def step(database: Database) -> None:
        for statement in migration.statements:
            database.execute(statement.strip())

    steps.apply(Database(connection, execute_plugins=False))


def create_schema(connection: sqlite3.Connection) -> None:
    """The current schema on an empty database in memory, where no record is needed."""
    for migration in MIGRATIONS:
        for statement in migration.statements:
            connection.execute(statement.strip())
