"""Pages as single files that work offline: nothing is loaded or sent, and no script runs but those given here."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

_ALLOWED = "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'unsafe-inline'"


def html_page(
    title: str, body: str, style: str, *, data: Any = None, scripts: Sequence[str] = (), connects: bool = False
) -> str:
    """A whole page: `title` is text, `body` HTML whose texts are escaped, `style` CSS after what all pages share.

    `data` stands as JSON in the element `data`, for the `scripts`. These are allowed by their hashes, so that text
    that slipped through escaping could run nothing. None of them may hold `</script`. `connects`: the page is
    served, and its scripts may ask the server it came from.
    """
    elements = [f'<script type="application/json" id="data">{script_json(data)}</script>'] * bool(scripts)
    elements += [f"<script>{script}</script>" for script in scripts]
    return Template(packaged_text("llmclf.render", "frame.html")).substitute(
        policy=page_policy(scripts, connects=connects),
        title=escape(title),
        style=packaged_text("llmclf.render", "base.css") + style,
        body=body,
        scripts="\n".join(elements),
    )


def page_policy(scripts: Sequence[str] = (), *, connects: bool = False) -> str:
    """The content security policy of a page with these scripts, as the page itself and its server say it."""
    images = "img-src data: blob:" if scripts else "img-src data:"
    hashes = f"; script-src {' '.join(map(_source_hash, scripts))}" if scripts else ""
    return f"{_ALLOWED}; {images}{hashes}" + ("; connect-src 'self'" if connects else "")


def script_json(value: Any) -> str:
    """JSON that can stand inside a script element: no character of it can end the element or begin another."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def packaged_text(package: str, name: str) -> str:
    """A file of the folder `page` of a package: a part with `$placeholders`, a style or a script."""
    return (files(package) / "page" / name).read_text(encoding="utf-8")


def _source_hash(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"
