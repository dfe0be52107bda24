"""The report as Markdown, for repositories and wikis: the same sections, with figures and tables as files beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import singledispatch
from html import escape

from lossatlas.core.table import Table
from lossatlas.report.blocks import Block, Definitions, Group, Groups, Listing, Notice, Prose, References, Section
from lossatlas.report.cells import cell_text, labels_of
from lossatlas.report.figure import Figure

__all__ = ["render_markdown"]

# A backslash keeps these from being read as mark-up.
_SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")


def _plain(text: str) -> str:
    """Text that shows as it is."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _rows(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _table(table: Table) -> str:
    headings = [_plain(f"{c.label} ({c.unit})" if c.unit else c.label) for c in table.columns]
    rows = [[_plain(cell_text(table, r, c)) for c in range(len(table.columns))] for r in range(len(table.rows))]
    return _rows(headings, rows)


def _captioned(label: str, title: str, caption: str, links: Sequence[tuple[str, str]]) -> str:
    files = ", ".join(f"[{word}]({path})" for word, path in links)
    return f"**{label}. {_plain(title)}.** {_plain(caption)} ({files})"


@singledispatch
def _render(block: Block, label: str) -> str:
    raise TypeError(f"expected a block of a report, got {type(block).__name__}")


@_render.register
def _(block: Prose, label: str) -> str:
    return _plain(block.text)


@_render.register
def _(block: Notice, label: str) -> str:
    return "\n".join([f"> {_plain(block.text)}", *(f"> * {_plain(item)}" for item in block.items)])


@_render.register
def _(block: Definitions, label: str) -> str:
    return "\n".join([f"**{_plain(block.title)}**\n", *(f"* {_plain(k)}: {_plain(v)}" for k, v in block.rows)])


@_render.register
def _(block: Listing, label: str) -> str:
    return f"**{_plain(block.title)}**\n\n```\n{block.text.strip()}\n```"


@_render.register
def _(block: References, label: str) -> str:
    return "\n".join(f"* {_plain(work.text)} ({_plain(work.reason)})" for work in block.citations)


@_render.register
def _(block: Figure, label: str) -> str:
    path = f"figures/{block.name}"
    caption = _captioned(label, block.title, block.caption, [("SVG", f"{path}.svg"), ("CSV", f"{path}.csv")])
    return f"![{_plain(block.title)}]({path}.png)\n\n{caption}"


@_render.register
def _(block: Table, label: str) -> str:
    caption = _captioned(label, block.title, block.caption, [("CSV", f"tables/{block.name}.csv")])
    return f"{caption}\n\n{_table(block)}"


@_render.register
def _(block: Groups, label: str) -> str:
    caption = _captioned(label, block.table.title, block.table.caption, [("CSV", f"tables/{block.table.name}.csv")])
    return "\n\n".join([caption, *(_group(group, block.headings) for group in block.groups)])


def _group(group: Group, headings: Sequence[str]) -> str:
    """One group of a long table, folded where HTML in Markdown is understood."""
    rows = _rows([_plain(each) for each in headings], [[_plain(cell) for cell in row] for row in group.rows])
    absent = [f"* {_plain(each)}" for each in group.absent]
    parts = [_plain(group.note), *([rows] if group.rows else []), *(["\n".join(absent)] if absent else [])]
    summary = f"<details><summary><b>{escape(group.title)}</b>: {escape(group.remark)}</summary>"
    return "\n\n".join([summary, *parts, "</details>"])


def render_markdown(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """Typeset sections as one Markdown text.

    Args:
        title: heading.
        subtitle: a line below it.
        sections: what to show, in order; files of figures and tables are expected in ``figures/`` and ``tables/``.

    Returns:
        GitHub's Markdown with headings, pictures, pipe tables and links.

    Example:
        >>> print(render_markdown("Losses", "How deep.", [Section("one", "First", (Prose("All is well."),))]), end="")
        # Losses
        <BLANKLINE>
        How deep.
        <BLANKLINE>
        ## First
        <BLANKLINE>
        All is well.
    """
    labels = labels_of(sections)
    parts = [f"# {_plain(title)}", _plain(subtitle)]
    for section in sections:
        parts += [f"## {_plain(section.title)}", *(_render(b, labels.get(id(b), "")) for b in section.blocks)]
    return "\n\n".join(parts) + "\n"
