"""Figure: a picture described once, as data; the backends draw it as a page, an image or a file of numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from lossatlas.core.errors import InputError
from lossatlas.core.files import write_atomic
from lossatlas.report.marks import Histogram, Line, Mark, Points, Relief, SpaceLine, VerticalLine

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Axis", "Figure", "LegendEntry", "Panel", "Scale"]

Scale: TypeAlias = Literal["linear", "log"]
_LABELLED = (Line, Points, Histogram, VerticalLine, SpaceLine)


@dataclass(frozen=True)
class Axis:
    """One axis of a panel.

    Args:
        label: what is measured, such as ``"Training loss"``.
        unit: its unit, such as ``"nat"``; ``""`` says on purpose that it is a pure number.
        scale: ``"linear"`` or ``"log"``.
        categories: names of the positions 0, 1, ... where the axis counts things instead of measuring; a position
            without a name, ``""``, has no tick.
        zero: it begins at zero, for sizes that are compared with each other.

    Raises:
        InputError: the label is empty.

    Example:
        >>> Axis("Training loss", "nat", "log").text
        'Training loss (nat)'
    """

    label: str
    unit: str
    scale: Scale = "linear"
    categories: tuple[str, ...] = ()
    zero: bool = False

    def __post_init__(self) -> None:
        if not self.label.strip():
            raise InputError("expected an axis with a label, got an empty one: say what is measured")
        if self.scale not in ("linear", "log"):
            raise InputError(f"expected the scale 'linear' or 'log' for axis '{self.label}', got '{self.scale}'")
        if self.zero and self.scale == "log":
            raise InputError(f"expected a linear axis '{self.label}' to begin at zero, got a logarithmic one")

    @property
    def text(self) -> str:
        """Label with the unit in parentheses."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


@dataclass(frozen=True, eq=False)
class Panel:
    """One pair of axes and what is drawn in it.

    Args:
        title: heading of the panel.
        x: horizontal axis.
        y: vertical axis.
        marks: what is drawn, back to front.
        equal: a unit is as long on one axis as on the other, as on a map.
        z: the axis upwards; then the panel is drawn in space and holds nothing but reliefs and lines in space.

    Raises:
        InputError: there is nothing to draw, a mark of another kind of panel, or a logarithmic axis has a number that
            is not positive.
    """

    title: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    equal: bool = False
    z: Axis | None = None

    def __post_init__(self) -> None:
        if not self.marks:
            raise InputError(f"expected something to draw in panel '{self.title}', got no marks: leave the panel out")
        for mark in self.marks:
            if isinstance(mark, Relief | SpaceLine) != (self.z is not None):
                where, what = ("space", "with") if self.z is None else ("the plane", "without")
                raise InputError(
                    f"expected a panel {what} a third axis for '{mark.label}' in '{self.title}', which is drawn in "
                    f"{where}: draw it in a panel of its own"
                )
        for mark in self.marks:
            for axis, values in ((self.x, np.asarray(mark.x)), (self.y, np.asarray(mark.y))):
                wrong = values[np.isfinite(values) & (values <= 0)]
                if axis.scale == "log" and wrong.size:
                    raise InputError(
                        f"expected positive numbers on the logarithmic axis '{axis.label}' of panel '{self.title}', "
                        f"got {wrong.size} that are not (the first is {wrong[0]:g}, in '{mark.label}'): "
                        "replace them by NaN and say so in the caption, or use a linear axis"
                    )


@dataclass(frozen=True)
class LegendEntry:
    """One line of a legend: a label and the first mark that has it."""

    label: str
    role: str
    mark: Line | Points | Histogram | VerticalLine | SpaceLine = field(compare=False)


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure of one or several panels.

    Args:
        name: file name without suffix: small letters, digits and hyphens.
        title: heading.
        caption: what to see, in sentences.
        panels: the panels, row by row.
        columns: panels side by side where there is room.

    Raises:
        InputError: a part is missing, or the name cannot be a file name.

    Example:
        >>> line = Line([0, 1, 2], [1.0, 0.5, 0.25], "SGD", "sgd")
        >>> panel = Panel("FCP", Axis("Time", "epochs"), Axis("Loss", "nat", "log"), (line,))
        >>> figure = Figure("losses", "Losses", "The loss halves each epoch.", (panel,))
        >>> figure.legend[0].label
        'SGD'
        >>> print(figure.to_csv(), end="")
        panel,series,x,y
        FCP,SGD,0.0,1.0
        FCP,SGD,1.0,0.5
        FCP,SGD,2.0,0.25
    """

    name: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    columns: int = 1

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.name):
            raise InputError(f"expected a figure's name in small letters, digits and hyphens, got '{self.name}'")
        if not (self.title.strip() and self.caption.strip()):
            raise InputError(f"expected a title and a caption for figure '{self.name}', got an empty one")
        if not self.panels:
            raise InputError(f"expected at least one panel in figure '{self.name}', got none: leave the figure out")
        if self.columns < 1:
            raise InputError(f"expected at least one column in figure '{self.name}', got {self.columns}")

    @property
    def legend(self) -> tuple[LegendEntry, ...]:
        """One entry per label of lines, points and histograms, in the order in which they first appear."""
        entries: dict[str, LegendEntry] = {}
        for panel in self.panels:
            for mark in panel.marks:
                if isinstance(mark, _LABELLED) and mark.label not in entries:
                    entries[mark.label] = LegendEntry(mark.label, mark.role, mark)
        return tuple(entries.values())

    def to_csv(self) -> str:
        """Every number drawn, in long format: panel, series, x, y (and z where a panel shows a grid)."""
        from lossatlas.report.figure_csv import figure_csv

        return figure_csv(self)

    def interactive(self) -> go.Figure:
        """Return the figure as a Plotly figure, to look at or to change."""
        from lossatlas.report.plotly_backend import draw

        return draw(self)

    def save(self, path: str | Path) -> Path:
        """Write the figure in the format its suffix names.

        Args:
            path: ends in ``.png``, ``.svg``, ``.pdf``, ``.html`` (interactive, needs no network) or ``.csv``.

        Returns:
            The path written.

        Raises:
            InputError: another suffix.
            StorageError: the file cannot be written.
        """
        from lossatlas.report import matplotlib_backend, plotly_backend

        path = Path(path)
        content: bytes | str
        match path.suffix.lower():
            case ".png" | ".svg" | ".pdf":
                content = matplotlib_backend.render(self, path.suffix.lower()[1:])
            case ".html":
                content = plotly_backend.standalone_html(self)
            case ".csv":
                content = self.to_csv()
            case suffix:
                raise InputError(f"expected a file ending in .png, .svg, .pdf, .html or .csv, got '{suffix}'")
        write_atomic(path, content)
        return path

    def _repr_html_(self) -> str:
        # A drawing, not the interactive figure: it stays small, and readable where scripts do not run.
        from html import escape

        from lossatlas.report.matplotlib_backend import render

        svg = render(self, "svg").decode()
        picture = svg[svg.index("<svg") :]
        return f"<figure>{picture}<figcaption>{escape(self.caption)}</figcaption></figure>"
