"""What the cases of a session are called before people who label: names that say nothing of them."""

from __future__ import annotations

import hashlib


def case_name(session_id: str, case_id: str) -> str:
    """A name for a case that says nothing of it, on the page and in a sheet: 16 hex digits.

    An id of a file may say what is known of its case (`positive-32`), so whoever labels first sees this instead.
    """
    text = f"{session_id}\0{case_id}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
