"""A surface as one self-contained HTML file that works offline.

The page may run exactly two scripts, by their hashes: plotly.js and the one of this package. So even
text that slipped through escaping could not run anything, and nothing can be loaded or sent.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from llmclf.errors import ConfigError
from llmclf.render.conversation import spoken_text
from llmclf.sweeps.report_cells import group_sections, plot_data
from llmclf.sweeps.report_head import foot, head
from llmclf.sweeps.report_verdicts import shown_conversations
from llmclf.sweeps.report_words import KIND_NAMES, STAMP, page_text
from llmclf.sweeps.surface import Surface


def write_report(surface: Surface, path: str | Path) -> Path:
    """Writes the report of a sweep to `path` and returns it: about 5 MB, nearly all of it plotly.js.

    Texts of conversations are those of `surface.dataset`, which are redacted where the workspace
    keeps them so. Raises ConfigError where the file can't be written.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # a lone surrogate, which JSON can carry, has no bytes
        target.write_bytes(report_html(surface).encode("utf-8", "replace"))
    except OSError as error:
        raise ConfigError(f"the report can't be written: {error.strerror}", where=str(target)) from error
    return target


def report_html(surface: Surface) -> str:
    """The whole page as text."""
    plotly, script = _plotly(), page_text("page.js")
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
        f"script-src {_source_hash(plotly)} {_source_hash(script)}"
    )
    body = [head(surface)]
    if surface.real:
        body.append(group_sections(surface, surface.real, "real"))
    if surface.simulated:
        body.append(
            Template(page_text("simulated.html")).substitute(
                stamp=STAMP, sections=group_sections(surface, surface.simulated, "simulated")
            )
        )
    body.append(foot(surface))
    return Template(page_text("page.html")).substitute(
        policy=policy,
        title=escape(f"llmclf: {surface.task.name} on {surface.dataset.name}"),
        style=page_text("style.css"),
        body="\n".join(body),
        data=script_json(_data(surface)),
        plotly=plotly,
        script=script,
    )


def script_json(value: Any) -> str:
    """JSON that can stand inside a script element: no character of it can end the element or begin another."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data(surface: Surface) -> dict[str, Any]:
    plots = {}
    if surface.real:
        plots["real"] = plot_data(surface, surface.real, "real")
    if surface.simulated:
        plots["simulated"] = plot_data(surface, surface.simulated, "simulated")
    conversations = {
        key: [
            [number, turn.speaker, spoken_text(turn)]
            for number, turn in enumerate(surface.dataset.conversations[key].turns)
        ]
        for key in shown_conversations(surface)
    }
    return {"kinds": KIND_NAMES, "plots": plots, "conversations": conversations}


def _source_hash(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


@cache
def _plotly() -> str:
    """plotly.js as the plotly package ships it; nothing in it can end its script element early."""
    text = (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    return text.replace("</script", "<\\/script").replace("\r\n", "\n")
