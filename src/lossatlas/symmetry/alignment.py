"""Align one minimum with another by permuting hidden units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import InputError, nearest
from lossatlas.core.files import Tree
from lossatlas.core.randomness import preserved_random_state
from lossatlas.core.results import on_cpu
from lossatlas.landscape.contract import accept_rows
from lossatlas.landscape.network import NetworkLandscape, Numerics
from lossatlas.symmetry.activation_matching import match_activations
from lossatlas.symmetry.structure import Permutations, PermutationStructure
from lossatlas.symmetry.tracing import TOLERANCE, output_difference, permutation_structure
from lossatlas.symmetry.weight_matching import WeightMatching

__all__ = ["Alignment", "Method", "align"]

Method: TypeAlias = Literal["weights", "activations"]
_METHODS = ("weights", "activations")
_CHUNK = 256  # samples at a time, of the comparison in float64


@dataclass(frozen=True)
class Alignment:
    """The same network with its hidden units in another order, chosen close to a reference.

    Args:
        method: ``"weights"`` or ``"activations"``.
        weights: ``(d,)``, the aligned weights: the numbers of the moved end in another order.
        permutations: group to ``(n,)``: place u received unit ``permutation[u]``.
        distance_before: Euclidean distance of the two ends as they came.
        distance_after: the same after the alignment.
        loss_difference: |loss(moved) - loss(aligned)| over all data, in float64.
        output_difference: largest difference of their outputs over all data, relative to the largest output, in
            float64.
        buffers: running statistics in the new order, where the network keeps any; evaluate the aligned weights with
            ``landscape.with_buffers(alignment.buffers)``.
        message: what was done.
    """

    method: str
    weights: Tensor
    permutations: dict[str, Tensor]
    distance_before: float
    distance_after: float
    loss_difference: float
    output_difference: float
    buffers: dict[str, Tensor] = field(default_factory=dict)
    message: str = ""

    @property
    def function_difference(self) -> float:
        """The larger of the differences in loss and outputs: rounding, if anything."""
        return max(self.loss_difference, self.output_difference)

    def to_tree(self) -> Tree:
        """Return nested dicts of tensors and numbers, the form in which results are stored."""
        return dict(vars(self))

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> Alignment:
        """Rebuild an alignment from :meth:`to_tree`."""
        return cls(**tree)


def align(
    landscape: NetworkLandscape,
    reference: Tensor,
    moved: Tensor,
    *,
    method: Method = "weights",
    structure: PermutationStructure | None = None,
    buffers: Mapping[str, Tensor] | None = None,
    seed: int = 0,
    restarts: int = 5,
) -> Alignment:
    """Permute the hidden units of ``moved`` so that it comes close to ``reference``; its function stays the same.

    ``"weights"`` minimises |reference - π(moved)|, from the identity among other starts, so the distance never grows;
    ``"activations"`` maximises the correlation of units over the landscape's data. In float64 the loss and all outputs
    must be the same before and after, or an error is raised.

    Args:
        landscape: a network's.
        reference: ``(d,)``, stays as it is.
        moved: ``(d,)``.
        method: ``"weights"`` or ``"activations"``.
        structure: which units may move; default: traced.
        buffers: running statistics that belong to ``moved``, ``{name: (*shape)}``; default: the landscape's.
        seed: of random orders and starts (``"weights"``).
        restarts: number of starts, the best is kept (``"weights"``).

    Returns:
        The aligned weights and how far they are.

    Raises:
        InputError: ends that are not points of the landscape, a network that cannot be traced, or a structure given
            by hand that changes the function.

    Example:
        >>> import torch.nn.functional as F
        >>> net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
        >>> landscape = NetworkLandscape(net, F.cross_entropy, (torch.randn(8, 3), torch.randint(0, 2, (8,))))
        >>> w = landscape.flatten(net)
        >>> structure = permutation_structure(landscape)
        >>> alignment = align(landscape, w, structure.apply(w, structure.random(1)))
        >>> alignment.distance_before > 0, alignment.distance_after
        (True, 0.0)

    Source: Ainsworth, Hayase & Srinivasa 2023, *Git Re-Basin*, sections 3.1 and 3.2.
    """
    if method not in _METHODS:
        raise InputError(f"unknown alignment method '{method}': {nearest(str(method), _METHODS)}")
    if restarts < 1:
        raise InputError(f"expected at least 1 start, got restarts={restarts}")
    structure = permutation_structure(landscape) if structure is None else structure
    reference, moved = accept_rows(reference, landscape), accept_rows(moved, landscape)
    for end in (reference, moved):
        if end.ndim != 1 or not bool(end.isfinite().all()):
            raise InputError(f"expected finite ends of shape ({landscape.dim},), got shape {tuple(end.shape)}")
    if structure.spec != landscape.spec:
        raise InputError("expected the structure of this landscape's network, got one of other parameters")
    there = landscape if buffers is None else landscape.with_buffers(buffers)
    note = ""
    if method == "weights":
        permutations = WeightMatching(restarts, seed).match(structure, reference, moved)
    else:
        permutations, constant = match_activations(landscape, structure, reference, moved, moved_on=there)
        note = f"; {constant} units are constant over the data and took what was left" if constant else ""
    aligned = structure.apply(moved, permutations)
    loss, outputs, own = _compare(there, structure, moved, permutations)
    distances = [float((reference.double() - each.double()).norm()) for each in (moved, aligned)]
    changed = sum(int((each != torch.arange(len(each))).sum()) for each in permutations.values())
    total = sum(structure.groups.values())
    return on_cpu(
        Alignment(
            method=method,
            weights=aligned,
            permutations=permutations,
            distance_before=distances[0],
            distance_after=distances[1],
            loss_difference=loss,
            output_difference=outputs,
            buffers=own,
            message=f"{changed} of {total} hidden units took other places, matched by their {method}; "
            f"distance {distances[0]:.4g} -> {distances[1]:.4g}{note}",
        )
    )


def _compare(
    landscape: NetworkLandscape,
    structure: PermutationStructure,
    weights: Tensor,
    permutations: Permutations,
) -> tuple[float, float, dict[str, Tensor]]:
    """Differences of loss and outputs, and the buffers in the new order.

    Random permutations are tried as well: an alignment that moves nothing would prove nothing of the structure.
    """
    # Nothing here is worth a timing, and results must not depend on one.
    exact = landscape.to(dtype=torch.float64).with_numerics(Numerics(data_chunk=_CHUNK))
    x = weights.to(torch.float64)
    model = exact.module(x)
    statistics = dict(model.named_buffers())
    loss = float(exact.value(x))
    found = (0.0, 0.0)
    for trial in (structure.random(0), permutations):
        y = structure.apply(x, trial)
        there = exact.with_buffers(structure.apply_buffers(statistics, trial))
        other = there.module(y)
        worst = 0.0
        with preserved_random_state(landscape.device), torch.no_grad():
            for batch in exact.batches(_CHUNK):
                worst = max(worst, output_difference(exact.outputs(model, batch), exact.outputs(other, batch)))
        gap = abs(float(there.value(y)) - loss)
        if not (worst <= TOLERANCE and gap <= TOLERANCE * max(1.0, abs(loss))):
            raise InputError(
                "expected permutations that leave the function as it is, got a difference of "
                f"{gap:.1e} in the loss and {worst:.1e} in the outputs: correct the structure given by hand"
            )
        found = (gap, worst)
    # In the landscape's own type: these are the numbers that came, only in another order.
    return *found, structure.apply_buffers(dict(landscape.module(weights).named_buffers()), permutations)
