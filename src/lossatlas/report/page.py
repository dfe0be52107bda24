"""The page: sections typeset as one HTML file that opens without a network."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from lossatlas.core.table import Table
from lossatlas.report.blocks import Section
from lossatlas.report.cells import cell_text, labels_of
from lossatlas.report.citations import Citation, bibtex
from lossatlas.report.figure import Figure, LegendEntry
from lossatlas.report.marks import Histogram, Line, SpaceLine, VerticalLine
from lossatlas.report.palette import colour_of
from lossatlas.report.plotly_backend import panel_json

__all__ = ["render_page"]


def _script(text: str) -> Markup:
    """Text inside a script element; the one sequence that would end it early is broken up."""
    return Markup(text.replace("</", "<\\/"))


def _panel_data(figure: Figure, index: int) -> Markup:
    # Inside a JSON string, "<" is the same character: nothing in the data can end the element or open a comment.
    return Markup(panel_json(figure, index).replace("<", "\\u003c"))


def _numeric(table: Table, column: int) -> bool:
    cells = [row[column] for row in table.rows if row[column] is not None]
    return all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells)


def _download(citations: Sequence[Citation]) -> str:
    return "data:application/x-bibtex;base64," + base64.b64encode(bibtex(citations).encode()).decode()


def _swatch(entry: LegendEntry) -> Markup:
    """A small drawing of the mark, as in a printed legend."""
    colour, mark = colour_of(entry.role), entry.mark
    if isinstance(mark, Line):
        dash = ' stroke-dasharray="6 3"' if mark.dashed else ""
        shape = f'<path d="M1 7H25" stroke="{colour}" stroke-width="2.4"{dash} fill="none"/>'
    elif isinstance(mark, SpaceLine):
        shape = f'<path d="M1 10 9 4 17 8 25 3" stroke="{colour}" stroke-width="2.4" fill="none"/>'
    elif isinstance(mark, VerticalLine):
        dash = "1.5 3" if mark.dotted else "4 2"
        shape = f'<path d="M13 0V14" stroke="{colour}" stroke-width="2.4" stroke-dasharray="{dash}" fill="none"/>'
    elif isinstance(mark, Histogram):
        dash = ' stroke-dasharray="4 2"' if mark.dashed else ""
        style = f'stroke="{colour}" stroke-width="2" fill="{colour}" fill-opacity="0.16"{dash}'
        shape = f'<path d="M2 13V8H9V2H17V6H24V13" {style}/>'
    else:
        shapes = {
            "circle": '<circle cx="13" cy="7" r="4.5"/>',
            "diamond": '<path d="M13 1.5 18.5 7 13 12.5 7.5 7Z"/>',
            "square": '<path d="M9 3h8v8H9Z"/>',
            "triangle": '<path d="M13 2l5 9H8Z"/>',
            "tick": '<path d="M12 1h2.4v12H12Z"/>',
            "cross": f'<path d="M9 3 17 11M17 3 9 11" stroke="{colour}" stroke-width="2"/>',
        }
        shape = f'<g fill="{colour}">{shapes[mark.marker]}</g>'
    return Markup(f'<svg width="26" height="14" viewBox="0 0 26 14" aria-hidden="true">{shape}</svg>')


def _panel_height(figure: Figure) -> str:
    """Height of the panels in CSS: rows of categories need room for each, a map is about as high as wide."""
    if any(panel.equal or panel.z is not None for panel in figure.panels):
        return "min(480px, 88vw)"
    categories = max(len(panel.y.categories) for panel in figure.panels)
    return f"{max(200, 110 + 46 * categories) if categories else 300}px"


def _unbroken(text: str) -> Markup:
    """Keep names and numbers with units on one line."""
    escaped = re.sub(r"(?<=\d) (?=(?:s|min|h|%)(?!\w))", "\u00a0", str(escape(text)))
    escaped = re.sub(r"\b(\w+²?) ([=−]) (?=[\w−])", "\\1\u00a0\\2\u00a0", escaped)
    return Markup(re.sub(r"\b[A-Z]-[A-Z]+(?:-[A-Z]+)*\b", r'<span class="nowrap">\g<0></span>', escaped))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lossatlas.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = _unbroken
    environment.globals.update(
        kind=lambda block: type(block).__name__,
        cell=cell_text,
        numeric=_numeric,
        panel_data=_panel_data,
        panel_height=_panel_height,
        swatch=_swatch,
        bibtex_link=_download,
    )
    return environment


def _asset(name: str) -> str:
    return resources.files("lossatlas.report").joinpath("templates", name).read_text(encoding="utf-8")


def render_page(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """Typeset sections as one self-contained page.

    Args:
        title: heading of the page.
        subtitle: a line below it.
        sections: what to show, in order; files of figures and tables are expected beside the page.

    Returns:
        HTML with its style, its scripts and all data inside; a content policy forbids any request.
    """
    labels = labels_of(sections)
    return (
        _environment()
        .get_template("page.html")
        .render(
            title=title,
            subtitle=subtitle,
            sections=sections,
            label=lambda block: labels[id(block)],
            style=Markup(_asset("style.css")),
            script=_script(_asset("page.js")),
            plotly=_script(get_plotlyjs()) if any(section.figures for section in sections) else Markup(""),
        )
    )
