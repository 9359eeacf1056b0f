"""A surface as one self-contained HTML file that works offline. It runs plotly.js and the script of this package."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from llmclf.data.files import write_whole
from llmclf.evaluation.notes import percent
from llmclf.render.pages import html_page
from llmclf.sweeps.measured import MeasuredCell
from llmclf.sweeps.report_cells import group_sections, plot_data
from llmclf.sweeps.report_curves import curves_data
from llmclf.sweeps.report_head import foot, head
from llmclf.sweeps.report_verdicts import ShownVerdicts
from llmclf.sweeps.report_words import KIND_NAMES, STAMP, Group, page_text
from llmclf.sweeps.surface import Surface

SCRIPTS = ("surface.js", "curves.js", "verdicts.js")
"""Files of the page's own script, in the order in which they are put together."""


def write_report(surface: Surface, path: str | Path) -> Path:
    """Writes the report of a sweep to `path` and returns it: about 5 MB, nearly all of it plotly.js.

    Texts of conversations are those of `surface.dataset`, which are redacted where the workspace
    keeps them so. An earlier file stays whole until the new one is. Raises DataError where it
    can't be written.
    """
    target = Path(path)
    write_whole(target, report_html(surface))
    return target


def report_html(surface: Surface) -> str:
    """The whole page as text."""
    shown = ShownVerdicts(surface)
    body = [head(surface)]
    if surface.real:
        body.append(group_sections(surface, surface.real, "real", shown))
    if surface.simulated:
        body.append(
            Template(page_text("simulated.html")).substitute(
                stamp=STAMP, sections=group_sections(surface, surface.simulated, "simulated", shown)
            )
        )
    body.append(foot(surface))
    return html_page(
        f"llmclf: {surface.task.name} on {surface.dataset.name}",
        "\n".join(body),
        page_text("style.css"),
        data=_data(surface, shown),
        scripts=(_plotly(), "".join(page_text(name) for name in SCRIPTS)),
    )


def _data(surface: Surface, shown: ShownVerdicts) -> dict[str, Any]:
    groups: dict[Group, Sequence[MeasuredCell]] = {"real": surface.real, "simulated": surface.simulated}
    return {
        "kinds": KIND_NAMES,
        "plots": {group: plot_data(surface, cells, group) for group, cells in groups.items() if cells},
        "curves": {group: curves_data(surface, cells) for group, cells in groups.items() if cells},
        "prevalence": percent(surface.costs.prevalence),
        "verdicts": shown.data(),
    }


@cache
def _plotly() -> str:
    """plotly.js as the plotly package ships it; nothing in it can end its script element early."""
    text = (files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")
    return text.replace("</script", "<\\/script").replace("\r\n", "\n")
