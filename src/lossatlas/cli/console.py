"""What the terminal shows: progress bars on a terminal, plain lines elsewhere, one-sentence errors."""

from __future__ import annotations

import math
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from lossatlas.study import Piece

__all__ = ["StudyProgress", "command_line", "console", "duration", "errors", "print_rows", "show_page", "size"]

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

_LINE_EVERY = 10.0


def command_line() -> str:
    """What the user typed, for the record of how results were made."""
    return shlex.join(["lossatlas", *sys.argv[1:]])


def show_page(page: Path, since: float | None = None) -> None:
    """End a command: where its report is, and how long it took since a moment of the monotonic clock, if given."""
    took = "" if since is None else f"finished in {duration(time.monotonic() - since)}; "
    console.print(f"{took}open the report:", markup=False)
    console.print(str(page), markup=False)


def duration(seconds: float) -> str:
    """Seconds for people.

    Example:
        >>> duration(0.4), duration(75), duration(7300)
        ('0.4 s', '1 min 15 s', '2 h 2 min')
        >>> duration(float("nan"))
        'unknown time'
    """
    if not math.isfinite(seconds):
        return "unknown time"
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def size(count: int) -> str:
    """Bytes for people.

    Example:
        >>> size(512), size(3_500_000)
        ('512 B', '3.5 MB')
    """
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def print_rows(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """A table on a terminal, tab-separated lines elsewhere."""
    if not console.is_terminal:
        for row in (headings, *rows):
            sys.stdout.write("\t".join(row) + "\n")
        return
    table = RichTable(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*row)
    console.print(table)


class StudyProgress:
    """Progress of a study as a bar with remaining time, or as lines where nobody watches.

    Example:
        >>> with StudyProgress() as progress:
        ...     progress.begin(Piece("ensemble", "fcp sgd", {}), 1, 1)
        ...     progress.update(Piece("ensemble", "fcp sgd", {}), 0.5, "epoch 1/2")
        [1/1] ensemble fcp sgd
    """

    def __init__(self) -> None:
        self._bars: Progress | None = None
        if console.is_terminal:
            self._bars = Progress(
                TextColumn("[bold]{task.fields[number]}[/bold] {task.fields[label]}"),
                BarColumn(bar_width=24),
                TimeElapsedColumn(),
                TextColumn("{task.fields[left]}"),
                TextColumn("[dim]{task.fields[text]}"),
                console=console,
            )
        self._running: dict[str, _Running] = {}

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def begin(self, piece: Piece, number: int, total: int) -> None:
        """Show a new piece."""
        now = time.monotonic()
        label = f"{piece.kind} {piece.label}"
        task = None
        if self._bars is not None:
            task = self._bars.add_task("", total=1.0, number=f"{number}/{total}", label=label, left="", text="")
        else:
            console.print(f"[{number}/{total}] {label}", markup=False)
        self._running[piece.address] = _Running(label, now, task)

    def update(self, piece: Piece, fraction: float, text: str) -> None:
        """Move the bar, or print a line every ten seconds."""
        running, now = self._running[piece.address], time.monotonic()
        left = duration(running.left(fraction, now))
        if self._bars is not None:
            if running.task is not None:
                self._bars.update(running.task, completed=fraction, left=f"{left} left", text=text)
        elif now - running.last >= _LINE_EVERY:
            running.last = now
            console.print(f"  {self._named(running)}{100 * fraction:.0f} %, {left} left: {text}", markup=False)

    def end(self, piece: Piece, seconds: float) -> None:
        """Mark the piece as stored."""
        running = self._running[piece.address]
        if self._bars is not None and running.task is not None:
            self._bars.update(running.task, completed=1.0, left="")
        else:
            console.print(f"  {self._named(running)}done in {duration(seconds)}", markup=False)
        del self._running[piece.address]

    def _named(self, running: _Running) -> str:
        """Lines say which piece they are about where several are computed at once."""
        return f"{running.label}: " if len(self._running) > 1 else ""


@dataclass
class _Running:
    """A piece on display."""

    label: str
    last: float  # when a line was printed
    task: TaskID | None
    first: tuple[float, float] | None = None  # when it was first heard of, and how much was done then

    def left(self, fraction: float, now: float) -> float:
        """Seconds to go, at the speed since the first report: a piece that is continued begins far along."""
        if self.first is None:
            self.first = now, fraction
        begun, already = self.first
        return (now - begun) * (1 - fraction) / (fraction - already) if fraction > already else float("nan")
