"""LinearTask: what a deep linear network is to learn, and from which weights it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator
from lossatlas.theory.linear.checks import above, at_least, strengths_of, whole
from lossatlas.theory.linear.sde import ModeSDE

__all__ = ["LinearTask", "Weights", "aligned_weights", "multiply", "random_weights"]

Weights = tuple[Tensor, ...]
"""Matrices W_1, ..., W_L, each ``(*b, after, before)``."""


@dataclass(frozen=True)
class LinearTask:
    """A linear map M* seen through white Gaussian inputs, y = M* x + ξ, and the network and SGD that learn it.

    M* = Σ_α s*_α u_α v_αᵀ: a *mode* is one of its non-zero singular values, and the strength of mode α in a network is
    u_αᵀ W_L ... W_1 v_α.

    Args:
        target: M*, ``(outputs, inputs)``, float64.
        depth: number of matrices L.
        width: size of the hidden layers, at least the rank of M*.
        rate: step length η of SGD.
        batch: examples per step B.
        noise: standard deviation σ of each label.

    Raises:
        InputError: a target that is no finite matrix or zero, no layer, layers narrower than its rank, a rate that is
            not positive, a batch below 1, negative noise.

    Example:
        >>> task = LinearTask(torch.tensor([[0.0, 2.0], [1.0, 0.0]]), depth=3, width=4)
        >>> task.targets, task.shapes
        (tensor([2., 1.], dtype=torch.float64), ((4, 2), (4, 4), (2, 4)))
    """

    target: Tensor
    depth: int = 2
    width: int = 4
    rate: float = 0.01
    batch: int = 1
    noise: float = 0.0
    left: Tensor = field(init=False, repr=False)
    right: Tensor = field(init=False, repr=False)
    targets: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        matrix = torch.as_tensor(self.target, dtype=torch.float64).detach().cpu().clone()
        if matrix.ndim != 2 or not matrix.numel() or not bool(matrix.isfinite().all()) or not bool(matrix.any()):
            found = "zero or not finite" if matrix.ndim == 2 and matrix.numel() else f"shape {tuple(matrix.shape)}"
            raise InputError(
                f"expected target as a finite matrix (outputs, inputs) that is not zero, got {found}: "
                "give the map to be learned, such as torch.diag(strengths)"
            )
        whole(self.depth, "depth", 1, "a network has at least one matrix")
        above(self.rate, "rate", 0, "give the step length of SGD")
        whole(self.batch, "batch", 1, "give the number of examples per step")
        at_least(self.noise, "noise", 0, "give the standard deviation of the labels, 0 for none")
        u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
        rank = int((s > float(s[0]) * max(matrix.shape) * torch.finfo(s.dtype).eps).sum())
        if self.depth > 1:
            whole(self.width, "width", rank, f"narrower layers cannot reach a target of rank {rank}")
        for name, value in (("target", matrix), ("left", u[:, :rank]), ("right", vh[:rank].T), ("targets", s[:rank])):
            object.__setattr__(self, name, value)

    @property
    def modes(self) -> int:
        """How many modes there are, the rank r of M*."""
        return len(self.targets)

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Shapes ``(after, before)`` of the matrices, the first layer first."""
        outputs, inputs = self.target.shape
        sizes = [inputs, *[self.width] * (self.depth - 1), outputs]
        return tuple((after, before) for before, after in pairwise(sizes))

    def mode(self, number: int) -> ModeSDE:
        """The equation of one mode, the strongest is number 0.

        Raises:
            InputError: no such mode.
        """
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < self.modes:
            raise InputError(f"expected a mode from 0 to {self.modes - 1}, got {number!r}: the strongest is 0")
        return ModeSDE(self.depth, float(self.targets[number]), self.rate, self.batch, self.noise)

    def strengths(self, product: Tensor) -> Tensor:
        """u_αᵀ P v_α of linear maps, ``(*b, outputs, inputs) -> (*b, r)``.

        Raises:
            InputError: maps of another shape.
        """
        if product.shape[-2:] != self.target.shape:
            raise InputError(
                f"expected maps (*b, {self.target.shape[0]}, {self.target.shape[1]}), got {tuple(product.shape)}: "
                "give products W_L ... W_1"
            )
        return torch.einsum("mr,...mn,nr->...r", self.left, product, self.right)

    def check(self, weights: Weights) -> Weights:
        """Return weights in float64 on the CPU if they fit the network, ``(*b, after, before)`` each.

        Raises:
            InputError: they do not.
        """
        found = tuple(torch.as_tensor(w, dtype=torch.float64).detach().cpu() for w in weights)
        batches = {tuple(w.shape[:-2]) for w in found}
        if tuple(tuple(w.shape[-2:]) for w in found) != self.shapes or len(batches) > 1:
            raise InputError(
                f"expected matrices of shapes {list(self.shapes)} with the same leading axes, got "
                f"{[tuple(w.shape) for w in found]}: aligned_weights and random_weights make such"
            )
        return found


def multiply(weights: Weights) -> Tensor:
    """The product W_L ... W_1, ``(*b, outputs, inputs)``."""
    product = weights[0]
    for weight in weights[1:]:
        product = weight @ product
    return product


def aligned_weights(task: LinearTask, strengths: Tensor | float, *, seed: int = 0) -> Weights:
    """Balanced weights whose product is Σ_α s_α u_α v_αᵀ, with the singular vectors of the target.

    W_l = Q_l diag(s^(1/L)) Q_{l−1}ᵀ with random orthonormal columns Q inside, V and U at the ends.

    Args:
        task: target and network.
        strengths: s, one number or one for each mode ``(r,)``; 0 leaves a mode at the saddle.
        seed: names the frames.

    Returns:
        The matrices, ``(after, before)`` each.

    Raises:
        InputError: strengths that are negative or too many.

    Example:
        >>> task = LinearTask(torch.diag(torch.tensor([2.0, 1.0])), depth=3)
        >>> task.strengths(multiply(aligned_weights(task, 0.1)))
        tensor([0.1000, 0.1000], dtype=torch.float64)
    """
    each = strengths_of(strengths, task.modes, "strengths") ** (1 / task.depth)
    source = generator(seed, "aligned weights")
    inside = [
        torch.linalg.qr(torch.randn(task.width, task.modes, generator=source, dtype=torch.float64))[0]
        for _ in range(task.depth - 1)
    ]
    frames = [task.right, *inside, task.left]
    return tuple((after * each) @ before.T for before, after in pairwise(frames))


def random_weights(task: LinearTask, scale: float, replicas: int, *, seed: int = 0) -> Weights:
    """Independent Gaussian weights of standard deviation ``scale / √before``, as networks usually start.

    Args:
        task: target and network.
        scale: small ones start near the saddle at zero.
        replicas: how many networks R.
        seed: names the weights.

    Returns:
        The matrices, ``(R, after, before)`` each.

    Raises:
        InputError: a scale that is not positive, no replica.

    Example:
        >>> task = LinearTask(torch.eye(2), width=5)
        >>> [tuple(w.shape) for w in random_weights(task, 0.1, 7)]
        [(7, 5, 2), (7, 2, 5)]
    """
    size = above(scale, "scale", 0, "at 0 the network rests on the saddle")
    whole(replicas, "replicas", 1, "give how many networks to start")
    source = generator(seed, "random weights")
    return tuple(
        torch.randn(replicas, *shape, generator=source, dtype=torch.float64) * size / shape[1] ** 0.5
        for shape in task.shapes
    )
