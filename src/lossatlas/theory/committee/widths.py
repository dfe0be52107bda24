"""What width does to bad minima: fraction of starts, loss and stability against the number of students."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from lossatlas.core.errors import InputError
from lossatlas.core.table import Column, Table
from lossatlas.theory.committee.blocks import split_neuron
from lossatlas.theory.committee.landscape import Committee
from lossatlas.theory.committee.minima import describe, find_minima

__all__ = ["PUBLISHED_BAD", "split_table", "width_table"]

# With one student more, the published sizes 8, 12, 14, 17 are read as numbers of students: 200 to 250 starts give .072
# at (13, 14) and .240 at (16, 17), but .132 at (14, 15) and .325 at (17, 18).
PUBLISHED_BAD: Mapping[tuple[int, int], float] = {
    (6, 6): 0.003, (7, 7): 0.055, (8, 8): 0.126, (9, 9): 0.218, (11, 11): 0.455, (13, 13): 0.730, (15, 15): 0.803,
    (20, 20): 0.949, (7, 8): 0.001, (11, 12): 0.003, (13, 14): 0.055, (16, 17): 0.233,
}  # fmt: skip
"""Fraction of runs that ended in a bad minimum, by (teachers, students); the runs of Safran & Shamir 2018."""


def width_table(
    teachers: int, widths: Sequence[int] | None = None, *, starts: int = 300, seed: int = 0, max_steps: int = 20_000
) -> Table:
    """Bad minima of ReLU students of several widths, for orthonormal teachers in as many dimensions.

    Args:
        teachers: M.
        widths: numbers of students K; default M and M + 1.
        starts: for each width.
        seed: names the starts.
        max_steps: of gradient descent.

    Returns:
        A row for each width: the fraction of bad starts with its 95 % interval, beside the published one; of the lowest
        bad minimum found, loss, blocks, smallest eigenvalue and flat directions.

    Raises:
        InputError: counts that are not at least 1, or no widths.

    Example:
        >>> width_table(3, starts=5).column("bad")
        [0, 0]
    """
    widths = [teachers, teachers + 1] if widths is None else list(widths)
    if not widths:
        raise InputError("expected at least one width, got none: for instance [teachers, teachers + 1]")
    rows = []
    for width in widths:
        found = find_minima(Committee(teachers, width), starts, seed=seed, max_steps=max_steps)
        bad = found.bad_fraction()
        lowest = next(iter(found.distinct()), None)
        place = None if lowest is None else lowest[0]
        rows.append(
            (
                width,
                starts,
                bad.count,
                bad.estimate,
                bad.low,
                bad.high,
                PUBLISHED_BAD.get((teachers, width)),
                len(found.distinct()),
                None if place is None else float(found.loss[place]),
                None if place is None else "+".join(map(str, found.blocks[place])),
                None if place is None else float(found.eigenvalues[place, 0]),
                None if place is None else int(found.flat[place]),
            )
        )
    columns = (
        Column("students", "Students"),
        Column("starts", "Starts"),
        Column("bad", "Ended bad"),
        Column("fraction", "Fraction", "", ".3f"),
        Column("low", "low", "", ".3f"),
        Column("high", "high", "", ".3f"),
        Column("published", "Published", "", ".3f"),
        Column("distinct", "Different bad minima"),
        Column("loss", "Lowest bad loss", "", ".6f"),
        Column("blocks", "Its blocks"),
        Column("smallest", "Its smallest eigenvalue", "", ".4f"),
        Column("flat", "Its flat directions"),
    )
    caption = (
        f"Gradient descent from Gaussian weights, {teachers} orthonormal teachers, as many inputs. Bad: loss above "
        "0.001. Intervals: Wilson, 95 %. Published: Safran & Shamir 2018."
    )
    return Table("committee-widths", "Bad minima against width", caption, columns, tuple(rows))


def split_table(rows: torch.Tensor, *, share: float = 0.5) -> Table:
    """What splitting each student in two does to a minimum of orthonormal teachers; students that are alike once.

    Args:
        rows: the minimum, ``(K, M)``.
        share: of the first part.

    Returns:
        Row 0 the minimum itself; then one for each kind of student: smallest eigenvalue, negative and flat directions.

    Raises:
        InputError: rows of the wrong shape, or a share outside (0, 1).

    Example:
        >>> from lossatlas.theory.committee import block_minimum
        >>> [round(value, 3) for value in split_table(block_minimum(6)).column("smallest")]
        [0.005, -0.181, -0.236]
    """
    if rows.ndim != 2 or rows.dtype != torch.float64:
        raise InputError(
            f"expected rows (K, M) of torch.float64, got {tuple(rows.shape)} of {rows.dtype}: use .double()"
        )
    teachers = rows.shape[1]
    kinds: dict[tuple[int, int], int] = {}
    for j, row in enumerate(rows):
        kinds.setdefault((round(1e6 * float(row @ row)), round(1e6 * float(row.sum()))), j)
    found = [(None, rows)] + [(j, split_neuron(rows, j, share)) for j in kinds.values()]
    table = []
    for student, each in found:
        here = describe(Committee(teachers, len(each)), each.reshape(1, -1))
        numbers = float(here.loss), float(here.grad_norm), float(here.eigenvalues[0, 0])
        length = None if student is None else float(rows[student].norm())
        table.append((student, length, *numbers, int(here.index), int(here.flat)))
    columns = (
        Column("student", "Student split"),
        Column("length", "Its length", "", ".4f"),
        Column("loss", "Loss", "", ".6f"),
        Column("grad_norm", "Gradient", "", ".1e"),
        Column("smallest", "Smallest eigenvalue", "", ".4f"),
        Column("negative", "Negative directions"),
        Column("flat", "Flat directions"),
    )
    caption = "One student replaced by two parts in the same direction: the same function, one unit more."
    return Table("committee-splits", "Splitting a student of a minimum", caption, columns, tuple(table))
