"""The store: one SQLite file that a person can open with any SQLite tool.

store        Store, the door to all of it
records      what goes in and out about a call to a model
migrations   the schema, step by step; schema writes it down for people
session      what one process has open: writer (one thread, batches) and readers (one for each thread)
connection   opening the file; SQLite's errors become StoreError here
texts        redaction on the way in
leases       slices of caps that the processes of one store share
clusterings  Clusterings: clustered reasons, and what came of them
calls, predictions, runs, reports, export, erasing   rows, by table or by question
"""

from llmclf.store.clusterings import Clusterings
from llmclf.store.moments import new_id
from llmclf.store.records import CallDone, CallSent, RunState, Spent, StoredAnswer
from llmclf.store.schema import schema_markdown
from llmclf.store.store import Store

__all__ = [
    "CallDone",
    "CallSent",
    "Clusterings",
    "RunState",
    "Spent",
    "Store",
    "StoredAnswer",
    "new_id",
    "schema_markdown",
]
