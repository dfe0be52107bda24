"""Blocks: the curvature of one layer, one parameter or any group of them, with all other weights held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import InputError, nearest
from lossatlas.core.params import ParamSpec
from lossatlas.curvature.at_points import PointOperator
from lossatlas.curvature.eigenpairs import eigenvalues
from lossatlas.curvature.hessian import operator_of
from lossatlas.curvature.operator import CurvatureOperator
from lossatlas.curvature.trace import trace
from lossatlas.landscape.contract import Landscape

__all__ = ["BlockOperator", "Blockwise", "Grouping", "block_operators", "blockwise", "parameter_groups"]

Grouping: TypeAlias = Literal["layer", "parameter"] | Mapping[str, Sequence[str]]
"""One group per layer, one per parameter, or names of groups to names of parameters."""

# Parameters that belong to the network itself and to no layer of it.
_ROOT = "network"


class BlockOperator(CurvatureOperator):
    """P A Pᵀ: the rows and columns of A that belong to some coordinates.

    Args:
        inner: A.
        coordinates: ``(m,)``, which coordinates, each once.

    Raises:
        InputError: no coordinates, or some that A does not have, or has twice.

    Example:
        >>> from lossatlas import landscape
        >>> from lossatlas.curvature import HessianOperator
        >>> bowl = landscape.get("quadratic", dim=3, eigenvalues=[1.0, 2.0, 5.0], rotate=False)
        >>> hessian = HessianOperator(bowl, torch.zeros(3, dtype=torch.float64))
        >>> BlockOperator(hessian, torch.tensor([2, 0])).dense().diagonal()
        tensor([5., 1.], dtype=torch.float64)
    """

    def __init__(self, inner: CurvatureOperator, coordinates: Tensor) -> None:
        wrong = coordinates.ndim != 1 or len(set(coordinates.tolist())) != len(coordinates) or not len(coordinates)
        if wrong or int(coordinates.min()) < 0 or int(coordinates.max()) >= inner.dim:
            raise InputError(
                f"expected different coordinates in 0..{inner.dim - 1} as (m,), got shape {tuple(coordinates.shape)}"
            )
        super().__init__(len(coordinates), inner.batch, inner.dtype, inner.device)
        self.inner = inner
        self.coordinates = coordinates.to(inner.device)
        self.known = inner.known

    @property
    def method(self) -> str:
        """How the last product was computed."""
        return self.inner.method

    @property
    def data(self) -> str:
        """What the loss is averaged over."""
        return self.inner.data

    def dense(self) -> Tensor:
        """The matrices, ``-> (*b, m, m)`` in float64; cut out of those that are known."""
        if not self.known:
            return super().dense()
        return self.inner.dense()[..., self.coordinates[:, None], self.coordinates]

    def _multiply(self, v: Tensor, where: Tensor) -> Tensor:
        whole = v.new_zeros(len(v), self.inner.dim)
        whole[:, self.coordinates] = v
        return self.inner.multiply(whole, where)[:, self.coordinates]


def parameter_groups(spec: ParamSpec, by: Grouping = "layer") -> dict[str, Tensor]:
    """Coordinates of each group of parameters, ``{name: (m,)}``, in the order of the network.

    Args:
        spec: names and shapes.
        by: ``"layer"``: parameters of one module (the name up to its last dot); ``"parameter"``: each for itself; or
            groups of the user's own, name to names of parameters.

    Raises:
        InputError: an unknown grouping or parameter, or a group without parameters.

    Example:
        >>> spec = ParamSpec(("0.weight", "0.bias", "2.weight"), ((2, 2), (2,), (1, 2)))
        >>> {name: len(where) for name, where in parameter_groups(spec).items()}
        {'0': 6, '2': 2}
    """
    if isinstance(by, str):
        if by not in ("layer", "parameter"):
            raise InputError(f"expected a grouping 'layer' or 'parameter', or groups of names, got '{by}'")
        named: dict[str, list[str]] = {}
        for name in spec.names:
            named.setdefault(name if by == "parameter" else name.rpartition(".")[0] or _ROOT, []).append(name)
    else:
        named = {group: list(names) for group, names in by.items()}
    places = {
        name: torch.arange(offset, offset + size)
        for name, offset, size in zip(spec.names, spec.offsets, spec.sizes, strict=True)
    }
    found = {}
    for group, names in named.items():
        for name in names:
            if name not in places:
                raise InputError(f"expected parameters of the network in group '{group}': {nearest(name, places)}")
        if not names:
            raise InputError(f"expected at least one parameter in group '{group}', got none")
        found[group] = torch.cat([places[name] for name in names])
    return {group: where for group, where in found.items() if len(where)}


def block_operators(operator: PointOperator, by: Grouping = "layer") -> dict[str, BlockOperator]:
    """One operator per group of parameters, ``{name: operator}``; any curvature at points of a network.

    Raises:
        InputError: a landscape without named parameters, or groups that cannot be.
    """
    spec = operator.landscape.spec
    if spec is None:
        raise InputError("expected a network, whose parameters have names, got a landscape without: use BlockOperator")
    return {name: BlockOperator(operator, where) for name, where in parameter_groups(spec, by).items()}


@dataclass(frozen=True)
class Blockwise:
    """Curvature of each block for itself, L blocks.

    Args:
        names: of the blocks.
        sizes: coordinates of each.
        top: ``(*b, L)``, largest eigenvalue.
        residuals: ``(*b, L)``, of its eigenvector.
        converged: ``(*b, L)``, whether it has settled.
        trace: ``(*b, L)``.
        low: ``(*b, L)``, lower end of the trace's interval.
        high: ``(*b, L)``, upper end.
        confidence: of the interval.
        method: how products were computed.
        data: what the loss is averaged over.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    top: Tensor
    residuals: Tensor
    converged: Tensor
    trace: Tensor
    low: Tensor
    high: Tensor
    confidence: float
    method: str
    data: str

    @property
    def step_limit(self) -> Tensor:
        """2 / λ_max, ``(*b, L)``: gradient descent of this block alone is unstable beyond; ∞ where nothing curves up.

        Per unit of loss, in units of the weights squared.
        """
        return torch.where(self.top > 0, 2 / self.top, torch.inf)


def blockwise(
    operator: PointOperator | Landscape,
    w: Tensor | None = None,
    *,
    by: Grouping = "layer",
    tolerance: float = 1e-4,
    trace_tolerance: float = 0.1,
    max_products: int = 300,
    confidence: float = 0.99,
    seed: int = 0,
) -> Blockwise:
    """Largest eigenvalue and trace of every block of a network's curvature.

    Args:
        operator: a curvature of a network at points, or a network, whose Hessian is taken.
        w: points ``(*b, d)``; None beside an operator.
        by: how parameters are grouped, as for :func:`parameter_groups`.
        tolerance: of residuals relative to eigenvalues.
        trace_tolerance: standard error relative to the trace at which sampling stops.
        max_products: for each block and point, for the eigenvalue and again for the trace.
        confidence: of the interval of the trace.
        seed: names the random vectors.

    Returns:
        The blocks in the order of the network.

    Raises:
        InputError: a landscape without named parameters, or arguments that cannot be.

    Example:
        >>> from torch import nn
        >>> from lossatlas.landscape import NetworkLandscape
        >>> net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
        >>> landscape = NetworkLandscape(net, nn.functional.mse_loss, (torch.ones(1, 1), torch.zeros(1, 1)))
        >>> found = blockwise(landscape, torch.tensor([1.0, 3.0]))
        >>> found.names, found.top
        (('0', '1'), tensor([18.,  2.], dtype=torch.float64))
    """
    whole = operator_of(operator, w)
    if not isinstance(whole, PointOperator):
        raise InputError("expected a curvature of a landscape at points, got another operator: use BlockOperator")
    blocks = block_operators(whole, by)
    pairs = [
        eigenvalues(block, k=1, tolerance=tolerance, max_products=max_products, seed=seed) for block in blocks.values()
    ]
    traces = [
        trace(block, tolerance=trace_tolerance, max_products=max_products, confidence=confidence, seed=seed)
        for block in blocks.values()
    ]

    def joined(parts: list[Tensor]) -> Tensor:
        return torch.stack([part.cpu() for part in parts], -1)

    return Blockwise(
        tuple(blocks),
        tuple(block.dim for block in blocks.values()),
        joined([each.values[..., 0] for each in pairs]),
        joined([each.residuals[..., 0] for each in pairs]),
        joined([each.converged[..., 0] for each in pairs]),
        joined([each.value for each in traces]),
        joined([each.low for each in traces]),
        joined([each.high for each in traces]),
        confidence,
        whole.method,
        whole.data,
    )
