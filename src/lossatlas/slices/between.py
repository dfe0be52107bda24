"""Lines and planes through given points: between minima, and from the initial weights to the solution."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.linalg import row_norm
from lossatlas.core.params import ParamSpec
from lossatlas.slices.plane import Plane, covering

__all__ = ["initialisation_line", "line_between", "plane_through"]

_NAMES = ("A", "B", "C")
# Three points whose triangle is flatter than this part of its longest side span no plane.
_FLAT = 1e-6


def _same(points: Sequence[Tensor]) -> None:
    if any(p.ndim != 1 or p.shape != points[0].shape for p in points):
        raise InputError(f"expected points of one length (d,), got shapes {[tuple(p.shape) for p in points]}")
    if any(p.dtype != points[0].dtype or p.device != points[0].device for p in points):
        raise InputError("expected points of one floating type on one device, got several: use .to()")


def line_between(
    a: Tensor, b: Tensor, spec: ParamSpec | None = None, *, labels: Sequence[str] = _NAMES[:2], kind: str = "minima"
) -> Plane:
    """The straight line a + t (b − a): a at t = 0, b at t = 1.

    Args:
        a: ``(d,)``.
        b: ``(d,)``.
        spec: names and shapes of the parameters.
        labels: what the two are called.
        kind: what the line is called.

    Returns:
        A plane of one direction with the range −0.25 to 1.25.

    Raises:
        InputError: points of different lengths or types, or at one place.

    Example:
        >>> line = line_between(torch.zeros(2), torch.tensor([3.0, 4.0]))
        >>> line.lengths, line.window
        (tensor([5.], dtype=torch.float64), ((-0.25, 1.25),))
    """
    _same((a, b))
    if torch.equal(a, b):
        raise InputError("expected two different points for a line, got one twice")
    return Plane(a, (b - a)[None], kind, (f"from {labels[0]} (0) to {labels[1]} (1)",), ((-0.25, 1.25),), spec)


def initialisation_line(initial: Tensor, solution: Tensor, spec: ParamSpec | None = None) -> Plane:
    """The straight line from the initial weights (0) to the solution (1), and a little further.

    Goodfellow, Vinyals & Saxe 2015, *Qualitatively characterizing neural network optimization problems*, section 3.

    Example:
        >>> initialisation_line(torch.zeros(2), torch.ones(2)).names
        ('from the initial weights (0) to the solution (1)',)
    """
    names = ("the initial weights", "the solution")
    return line_between(initial, solution, spec, labels=names, kind="initialisation")


def plane_through(
    a: Tensor, b: Tensor, c: Tensor, spec: ParamSpec | None = None, *, labels: Sequence[str] = _NAMES
) -> Plane:
    """The plane through three points, with orthonormal directions.

    u = (b − a) / |b − a|, v = (c − a) − ⟨c − a, u⟩ u, normalised. Distances on the plane are distances in weight space.

    Args:
        a: ``(d,)``, the origin.
        b: ``(d,)``, on the first axis.
        c: ``(d,)``.
        spec: names and shapes of the parameters.
        labels: what the three are called.

    Returns:
        A plane whose range shows all three; their coordinates are in ``details["points"]``.

    Raises:
        InputError: points of different lengths or types, or on one line.

    Example:
        >>> plane = plane_through(torch.zeros(3), torch.tensor([2.0, 0, 0]), torch.tensor([1.0, 3, 0]))
        >>> plane.details["points"]["C"]
        (1.0, 3.0)

    Garipov, Izmailov, Podoprikhin, Vetrov & Wilson 2018, *Loss surfaces, mode connectivity, and fast
    ensembling of DNNs*.
    """
    _same((a, b, c))
    first, second = b.double() - a.double(), c.double() - a.double()
    longest = max(float(row_norm(first)), float(row_norm(second)))
    u = first / row_norm(first) if longest > 0 else first
    along = float(second @ u)
    v = second - along * u
    height = float(row_norm(v))
    if not height > _FLAT * longest or not float(row_norm(first)) > _FLAT * longest:
        raise InputError(
            "expected three points that are not on one line, got some that are: draw the line between two of them"
        )
    basis = torch.stack([u, v / height]).to(a.dtype)
    places = {labels[0]: (0.0, 0.0), labels[1]: (float(row_norm(first)), 0.0), labels[2]: (along, height)}
    names = (f"distance along {labels[0]} to {labels[1]}", f"distance across, towards {labels[2]}")
    window = covering(torch.tensor(list(places.values()), dtype=torch.float64))
    return Plane(a, basis, "minima", names, window, spec, {"points": places})
