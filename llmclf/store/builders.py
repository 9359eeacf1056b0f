"""Who builds a clustering, and whether that process still lives."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from llmclf.store.moments import utc_text

_FOREIGN_HOURS = 24  # of another machine nothing can be known: what is older is given up


def this_process() -> str:
    """The name of this process: where it runs, its id, and when it began.

    Ids are given again, and containers that share a file have ids of their own: so id alone is not enough. A
    heartbeat would need a thread for all the minutes that clustering takes; this needs nothing.
    """
    return f"{_place()} {os.getpid()} {_began(os.getpid())}"


def is_dead(name: str, created_at: str) -> bool:
    """True where the process `name`, which began to build at `created_at`, does not run any more.

    One of another machine counts as dead a day later.
    """
    place, _, rest = name.partition(" ")
    if place != _place():
        return created_at < utc_text(datetime.now(UTC) - timedelta(hours=_FOREIGN_HOURS))
    pid, _, began = rest.partition(" ")
    return not _lives(int(pid)) or _began(int(pid)) != began


def _place() -> str:
    """Machine, its boot and its space of process ids, as far as the system tells them."""
    return "/".join((socket.gethostname().replace(" ", "-"), _boot(), _space()))


def _boot() -> str:
    return _text("/proc/sys/kernel/random/boot_id")


def _space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _began(pid: int) -> str:
    """When a process began, in ticks since boot; empty where the system does not tell."""
    _, _, fields = _text(f"/proc/{pid}/stat").rpartition(") ")  # the name before may hold anything
    return fields.split()[19] if fields else ""


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    _, _, fields = _text(f"/proc/{pid}/stat").rpartition(") ")
    return not fields.startswith("Z")  # killed, and its parent did not look yet


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
