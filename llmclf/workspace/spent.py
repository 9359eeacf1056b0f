"""What calls cost, summed by day, hour, classifier, model or run. Simulated dollars stand in rows of their own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from llmclf.errors import ConfigError, nearest
from llmclf.render.tables import TableText, counted, usd_text
from llmclf.store import Store
from llmclf.store.moments import moment_text

_KEYS = {
    "day": "substr(sent_at, 1, 10)",
    "hour": "substr(sent_at, 1, 13) || ':00Z'",
    "classifier": "calls.classifier_id",
    "model": "calls.model",
    "run": "calls.run_id",
}
_RUN_DIGITS = 20  # of 32: enough to tell runs apart, and for `runs show`
SPENT_BY = tuple(_KEYS)
"""What spending can be summed by. Days and hours are UTC's, as the workspace's caps are."""


def spent_by(store: Store, by: str = "model", since: str | datetime | None = None) -> list[dict[str, Any]]:
    """One row for each value of `by` (and one more where some of its calls were simulated), the dearest first.

    Days and hours come newest first. A row holds the value, `simulated`, `calls`, `usd` (of calls whose
    cost is known), `unknown` (calls that ended without a known cost), `reserved_usd` (set aside for those
    and for calls without an outcome), `possibly_billed` and tokens. `since` is a moment or an age such as
    `24h`. Raises ConfigError for another `by` or `since`.
    """
    if by not in _KEYS:
        raise ConfigError("can't group by that", where="--by", got=by, fix=nearest(by, list(_KEYS)))
    moment = "" if since is None else moment_text(since, name="--since")
    kind = ", max(coalesce(runs.kind, '')) AS kind" if by == "run" else ""
    order = f"{by} DESC" if by in ("day", "hour") else "usd DESC"
    return store.query(
        f"SELECT {_KEYS[by]} AS {by}{kind}, calls.simulated AS simulated, count(*) AS calls, "  # noqa: S608
        "coalesce(sum(cost_nano), 0) / 1e9 AS usd, sum(cost_nano IS NULL AND calls.state <> 'sent') AS unknown, "
        "sum(CASE WHEN cost_nano IS NULL THEN reserved_nano ELSE 0 END) / 1e9 AS reserved_usd, "
        "sum(possibly_billed OR calls.state = 'sent') AS possibly_billed, "
        "coalesce(sum(input_tokens), 0) AS input_tokens, coalesce(sum(output_tokens), 0) AS output_tokens "
        "FROM calls LEFT JOIN runs ON runs.run_id = calls.run_id WHERE sent_at >= ? "
        f"GROUP BY 1, calls.simulated ORDER BY calls.simulated, {order}",
        [moment],
    )


def spent_table(rows: Sequence[dict[str, Any]], by: str, since: str | None = None) -> TableText:
    """Those rows for people, real ones first, with the sum of the real ones below."""
    lines = []
    for row in rows:
        name = str(row[by]) or "(none)"
        name = f"{name[:_RUN_DIGITS]} {row['kind']}".rstrip() if by == "run" else name
        open_ = usd_text(row["reserved_usd"]) if row["reserved_usd"] else "-"
        stamp = "\nSIMULATED" if row["simulated"] else ""
        lines.append(
            (
                name + stamp,
                f"{row['calls']:,}",
                usd_text(row["usd"]),
                str(row["unknown"] or "-"),
                open_,
                str(row["possibly_billed"] or "-"),
            )
        )
    real = [row for row in rows if not row["simulated"]]
    total, calls = sum(row["usd"] for row in real), sum(row["calls"] for row in real)
    notes = [f"Real money: {usd_text(total)} for {counted(calls, 'call')}. Simulated dollars are not part of it."]
    if any(row["reserved_usd"] for row in real):
        notes.append("Set aside: the most that calls without a known cost can have cost; caps count it.")
    title = f"Spent by {by}" + (f", since {since}" if since else "")
    heads = (by, "calls", "dollars", "cost unknown", "set aside", "maybe billed")
    return TableText(title, heads, tuple(lines), tuple(notes), (), (1, 2, 3, 4, 5))
