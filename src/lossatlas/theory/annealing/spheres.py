"""Products of spheres: tangent vectors, steps along them, uniform points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.linalg import row_norm
from lossatlas.core.randomness import derive_seed

__all__ = ["Spheres"]

# How far from 1 a length may be, in units of the machine epsilon; a user's own normalisation stays far below.
_SLACK = 1e4


@dataclass(frozen=True)
class Spheres:
    """The manifold (S^{d−1})ⁿ: n unit vectors of d coordinates, laid end to end in a row of n·d.

    Args:
        dim: coordinates d of each vector, at least 2.
        count: number of vectors n.

    Raises:
        InputError: a dimension below 2 or a count below 1.

    Example:
        >>> circle = Spheres(2)
        >>> x = torch.tensor([[1.0, 0.0]])
        >>> circle.project(x, torch.tensor([[5.0, 3.0]]))
        tensor([[0., 3.]])
        >>> circle.geodesic(x, torch.tensor([[0.0, torch.pi / 2]])).round(decimals=6).abs()
        tensor([[0., 1.]])
    """

    dim: int
    count: int = 1

    def __post_init__(self) -> None:
        for name, value, least in (("dim", self.dim, 2), ("count", self.count, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InputError(
                    f"expected {name} of spheres as an integer of at least {least}, got {value!r}: "
                    "unit vectors need two coordinates or more, and there must be one of them"
                )

    @property
    def size(self) -> int:
        """Length n·d of a row."""
        return self.count * self.dim

    def check(self, x: Tensor, what: str = "walkers") -> None:
        """Refuse rows that are not on the spheres.

        Args:
            x: ``(*b, n·d)``.
            what: their name in messages.

        Raises:
            InputError: not a floating tensor, the wrong length, not finite, or vectors that are not of length 1.

        Example:
            >>> Spheres(2).check(torch.tensor([[3.0, 4.0]]))
            Traceback (most recent call last):
            lossatlas.core.errors.InputError: expected walkers on the unit spheres, got a vector of length 5: ...
        """
        self._check_shape(x, what)
        lengths = row_norm(self.vectors(x.detach()))
        off = (lengths - 1).abs()
        if not bool((off <= _SLACK * torch.finfo(x.dtype).eps).all()):
            worst = float(lengths.flatten()[off.flatten().nan_to_num(torch.inf).argmax()])
            raise InputError(
                f"expected {what} on the unit spheres, got a vector of length {worst:.6g}: "
                "divide each vector by its length, for instance with Spheres.retract(x)"
            )

    def retract(self, x: Tensor) -> Tensor:
        """Divide each vector by its length, ``(*b, n·d) -> (*b, n·d)``.

        Raises:
            InputError: the wrong length, or a vector of length zero or not finite, which has no direction.

        Example:
            >>> Spheres(2).retract(torch.tensor([3.0, 4.0]))
            tensor([0.6000, 0.8000])
        """
        self._check_shape(x, "rows")
        vectors = self.vectors(x)
        lengths = row_norm(vectors)
        if not bool((lengths.isfinite() & (lengths > 0)).all()):
            raise InputError(
                "expected finite vectors other than zero, got one without a direction: remove it before normalising"
            )
        return (vectors / lengths[..., None]).reshape(x.shape)

    def project(self, x: Tensor, v: Tensor) -> Tensor:
        """Part of v tangent to the spheres, Π_x v = v − (x·v) x for each vector.

        Args:
            x: points ``(*b, n·d)``.
            v: vectors of the same shape.

        Returns:
            ``(*b, n·d)``.

        Raises:
            InputError: shapes that differ or have the wrong length.
        """
        self._check_pair(x, v)
        out = v.clone()
        self.project_(x, out)
        return out

    def geodesic(self, x: Tensor, v: Tensor) -> Tensor:
        """Walk along the great circles that leave x with velocity v, for unit time: cos|v| x + sin|v| v/|v|.

        Args:
            x: points ``(*b, n·d)``.
            v: tangent vectors of the same shape, in radians.

        Returns:
            ``(*b, n·d)``, of length 1 to rounding.

        Raises:
            InputError: shapes that differ or have the wrong length.
        """
        self._check_pair(x, v)
        out = x.clone()
        self.geodesic_(out, v)
        return out

    def projected(self, x: Tensor, v: Tensor) -> Tensor:
        """Walk straight and come back to the spheres: (x + v)/|x + v| for each vector; equals the geodesic to O(|v|³).

        Args:
            x: points ``(*b, n·d)``.
            v: tangent vectors of the same shape.

        Returns:
            ``(*b, n·d)``.

        Raises:
            InputError: shapes that differ or have the wrong length.

        Example:
            >>> Spheres(2).projected(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.75]))
            tensor([0.8000, 0.6000])
        """
        self._check_pair(x, v)
        out = x.clone()
        self.projected_(out, v)
        return out

    def uniform(
        self, walkers: int, seed: int = 0, *, dtype: torch.dtype = torch.float64, device: str | torch.device = "cpu"
    ) -> Tensor:
        """Draw points uniformly, ``-> (walkers, n·d)``: normal vectors divided by their lengths.

        The draw is made on the CPU, and walker i of a seed is the same whatever their number and device.

        Raises:
            InputError: fewer than one walker.

        Example:
            >>> Spheres(3, 2).uniform(5).shape
            torch.Size([5, 6])
        """
        if isinstance(walkers, bool) or not isinstance(walkers, int) or walkers < 1:
            raise InputError(f"expected walkers as an integer of at least 1, got {walkers!r}: give their number")
        # Not torch.randn, whose first numbers depend on how many are asked for: walker i must not depend on the others.
        stream = np.random.default_rng(derive_seed(seed, "uniform on spheres"))
        x = torch.from_numpy(stream.standard_normal((walkers, self.size)))
        return self.retract(x).to(dtype=dtype, device=device)

    # ------------------------------------------------------------------ in place, unchecked: what loops use
    def project_(self, x: Tensor, v: Tensor) -> None:
        """Remove from v, in place, what is not tangent at x; contiguous tensors of one shape, not checked."""
        points, vectors = self.vectors(x), self.vectors(v)
        along = (points * vectors).sum(-1, keepdim=True)
        vectors.addcmul_(points, along, value=-1)

    def geodesic_(self, x: Tensor, v: Tensor) -> None:
        """Move x, in place, along the great circles of :meth:`geodesic`; contiguous tensors, not checked."""
        points, vectors = self.vectors(x), self.vectors(v)
        angle = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
        points.mul_(angle.cos()).addcmul_(vectors, torch.sinc(angle / torch.pi))
        # Lengths drift by one rounding a step: a million steps in float32 would leave the sphere.
        points.div_(torch.linalg.vector_norm(points, dim=-1, keepdim=True))

    def projected_(self, x: Tensor, v: Tensor) -> None:
        """Move x, in place, as :meth:`projected` does; contiguous tensors, not checked."""
        points = self.vectors(x)
        points.add_(self.vectors(v))
        points.div_(torch.linalg.vector_norm(points, dim=-1, keepdim=True))

    # ------------------------------------------------------------------ shapes
    def vectors(self, x: Tensor) -> Tensor:
        """View rows as their vectors, ``(*b, n·d) -> (*b, n, d)``, on the same memory."""
        return x.view(*x.shape[:-1], self.count, self.dim)

    def _check_shape(self, x: Tensor, what: str) -> None:
        if not isinstance(x, Tensor) or not x.is_floating_point():
            kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
            raise InputError(f"expected {what} as a floating tensor, got {kind}: use torch.as_tensor(x).double()")
        if x.ndim == 0 or x.shape[-1] != self.size:
            raise InputError(
                f"expected {what} of shape (*b, {self.size}), got {tuple(x.shape)}: "
                f"lay the {self.count} vectors of {self.dim} coordinates end to end in the last axis"
            )

    def _check_pair(self, x: Tensor, v: Tensor) -> None:
        self._check_shape(x, "points")
        self._check_shape(v, "vectors")
        if x.shape != v.shape or x.dtype != v.dtype:
            raise InputError(
                f"expected points and vectors of one shape and dtype, got {tuple(x.shape)} {x.dtype} and "
                f"{tuple(v.shape)} {v.dtype}: expand or convert one of them"
            )
