"""Activation matching: the permutations under which hidden units answer alike to the same data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lossatlas.core.errors import InputError
from lossatlas.core.randomness import preserved_random_state
from lossatlas.landscape.network import NetworkLandscape
from lossatlas.symmetry.structure import Axis, PermutationStructure
from lossatlas.symmetry.tracer import operation_name
from lossatlas.symmetry.weight_matching import assignment

__all__ = ["match_activations"]

_CHUNK = 256
_RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")


def match_activations(
    landscape: NetworkLandscape,
    structure: PermutationStructure,
    reference: Tensor,
    moved: Tensor,
    *,
    moved_on: NetworkLandscape | None = None,
) -> tuple[dict[str, Tensor], int]:
    """Assign units by the correlation of their activations over the landscape's data.

    Maximises Σ_u corr(z_u, z'_{π(u)}) for each group by itself, over all samples and places (of a map, in a sequence)
    and all layers that read the group. Ainsworth, Hayase & Srinivasa 2023, *Git Re-Basin*, section 3.1, Eq. 1, with
    correlations (Li et al. 2015, *Convergent learning*, section 3.1) for inner products: units far from zero would
    otherwise decide alone.

    Args:
        landscape: a network's; its data are read once.
        structure: of the network.
        reference: ``(d,)``.
        moved: ``(d,)``.
        moved_on: where ``moved`` runs, if its running statistics are others.

    Returns:
        Group to ``(n,)``, and the number of units, of both networks, that are constant over the data: which of these
        goes where is not known from activations.

    Raises:
        InputError: a group that no linear, convolutional or recurrent layer reads.
    """
    exact = landscape.to(dtype=torch.float64)
    other = exact if moved_on is None else moved_on.to(dtype=torch.float64)
    models = [exact.module(reference.to(torch.float64)), other.module(moved.to(torch.float64))]
    sums: dict[str, _Moments] = {}
    with preserved_random_state(landscape.device), torch.no_grad():
        for batch in exact.batches(_CHUNK):
            taps = [_Taps(model, structure) for model in models]
            for model, tap in zip(models, taps, strict=True):
                with tap:
                    exact.outputs(model, batch)
            for name in structure.groups:
                if name not in taps[0].found:
                    raise InputError(
                        f"expected a linear, convolutional or recurrent layer that reads the units of '{name}', got "
                        "none: use method='weights'"
                    )
                sums.setdefault(name, _Moments()).add(*(torch.cat(tap.found[name]) for tap in taps))
    constant = sum(each.constant for each in sums.values())
    return {name: assignment(each.correlation()) for name, each in sums.items()}, constant


@dataclass
class _Moments:
    """Sums from which means and correlations follow, shifted by the first batch's means against cancellation."""

    count: int = 0
    shift: list[Tensor] = field(default_factory=list)
    first: list[Tensor] = field(default_factory=list)
    squares: list[Tensor] = field(default_factory=list)
    product: Tensor | None = None

    def add(self, a: Tensor, b: Tensor) -> None:
        """Add observations, ``(m, n)`` of each network."""
        if self.product is None:
            self.shift = [a.mean(0), b.mean(0)]
        pair = [each - shift for each, shift in zip((a, b), self.shift, strict=True)]
        new = ([each.sum(0) for each in pair], [each.square().sum(0) for each in pair], pair[0].T @ pair[1])
        if self.product is None:
            self.first, self.squares, self.product = new
        else:
            self.first = [old + each for old, each in zip(self.first, new[0], strict=True)]
            self.squares = [old + each for old, each in zip(self.squares, new[1], strict=True)]
            self.product = self.product + new[2]
        self.count += len(a)

    @property
    def _variances(self) -> list[Tensor]:
        spread = [s - f.square() / self.count for s, f in zip(self.squares, self.first, strict=True)]
        # Rounding leaves a trace of a constant unit's value.
        floor = [self.count * (1e-12 * shift).square() for shift in self.shift]
        return [torch.where(v > f, v, torch.zeros_like(v)) for v, f in zip(spread, floor, strict=True)]

    @property
    def constant(self) -> int:
        """Units of either network that never change."""
        return sum(int((variance == 0).sum()) for variance in self._variances)

    def correlation(self) -> Tensor:
        """Correlations, ``(n, n)``; 0 for constant units."""
        if self.product is None:
            raise AssertionError
        covariance = self.product - torch.outer(*self.first) / self.count
        a, b = (torch.where(v > 0, v.rsqrt(), torch.zeros_like(v)) for v in self._variances)
        return (a[:, None] * covariance * b).cpu()


class _Taps(TorchFunctionMode):
    """Collect what layers read of each group, while a network runs.

    A layer's weight tells the group of its input axis; for a recurrent layer its output is taken.
    """

    def __init__(self, model: nn.Module, structure: PermutationStructure) -> None:
        super().__init__()
        self.found: dict[str, list[Tensor]] = {}
        self._names = {id(parameter): name for name, parameter in model.named_parameters()}
        self._uses: dict[tuple[str, int], list[Axis]] = {}
        for use in structure.parameter_axes:
            self._uses.setdefault((use.tensor, use.axis), []).append(use)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the function; keep the activations where its weight is known."""
        del types
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = operation_name(func)
        if name == "linear":
            self._take(args[0], -1, args[1] if len(args) > 1 else kwargs.get("weight"), 1)
        elif name == "matmul":
            self._take(args[0], -1, args[1], 0)
        elif name.startswith("conv") and name[-1] == "d":
            transposed = "transpose" in name
            self._take(args[0], -int(name[-2]) - 1, args[1] if len(args) > 1 else kwargs.get("weight"), not transposed)
        elif name in _RECURRENT and isinstance(args[2], list):
            self._take(args[0], -1, args[2][0], 1)
            if not args[7]:  # both directions side by side: the readers of the output tell them apart
                per_layer = len(args[2]) // int(args[4])
                self._take(out[0], -1, args[2][-per_layer + 1], 1)
        return out

    def _take(self, activations: object, axis: int, weight: object, weight_axis: int) -> None:
        if not isinstance(activations, Tensor):
            return
        for use in self._uses.get((self._names.get(id(weight), ""), int(weight_axis)), []):
            units = activations.movedim(axis, -1)[..., use.members.to(activations.device)]
            rows = units.movedim(-2, -1).reshape(-1, len(use.members))
            self.found.setdefault(use.group, []).append(rows)
