"""Find the permutation structure of a network by following one forward pass."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lossatlas.core.errors import InputError
from lossatlas.core.params import ParamSpec
from lossatlas.core.randomness import generator, preserved_random_state
from lossatlas.landscape.network import NetworkLandscape
from lossatlas.landscape.network.sources import map_tensors
from lossatlas.symmetry.operations import HANDLERS
from lossatlas.symmetry.structure import PermutationStructure
from lossatlas.symmetry.tracer import Tracer, tensors_in

__all__ = ["load", "output_difference", "permutation_structure", "trace"]

_SAMPLES = 2  # each activation carries labels, and two samples show that they do not depend on the sample

# Relative to the largest output: what two orders of summation in float64 may make of one function.
TOLERANCE = 1e-9

Run = Callable[[nn.Module], Any]


def trace(model: nn.Module, example_input: Any) -> PermutationStructure:
    """Find the groups of hidden units of a network that can change places without changing its function.

    For units h = φ(W x) read by V h: V P^T φ(P W x) = V φ(W x) for every permutation matrix P. The network runs once
    and each operation is followed, so ``forward`` may be any Python. Known are linear, convolutional (also depthwise
    and transposed), recurrent and embedding layers, normalisations, activations, pooling, additions and whatever
    reshapes or concatenates; groups joined by residual additions or tied weights move together. Frozen layers and
    outputs hold the order of their units. The result is checked in float64 with random permutations of random weights.

    Args:
        model: any module; it is not modified.
        example_input: the input, or a tuple of all its arguments; two samples suffice.

    Returns:
        The structure; ``pinned`` names the groups that are not free.

    Raises:
        InputError: an operation whose symmetry is not known, named, or one that permutations do not preserve.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 1))
        >>> structure = trace(net, torch.zeros(2, 2))
        >>> structure.groups, structure.pinned
        ({'0': 5, '2': 4}, ('4',))

    Source: Hecht-Nielsen 1990, *On the algebraic structure of feedforward network weight spaces*.
    """
    arguments = example_input if isinstance(example_input, tuple) else (example_input,)
    return _traced(copy.deepcopy(model).eval(), ParamSpec.of(model), lambda net, dtype: net(*_cast(arguments, dtype)))


def permutation_structure(landscape: NetworkLandscape) -> PermutationStructure:
    """:func:`trace` for the network of a landscape, on two samples of its own data.

    Args:
        landscape: a network's.

    Returns:
        The structure.

    Raises:
        InputError: not a network, or one that cannot be traced.

    Example:
        >>> import torch.nn.functional as F
        >>> net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        >>> landscape = NetworkLandscape(net, F.cross_entropy, (torch.randn(8, 3), torch.randint(0, 2, (8,))))
        >>> permutation_structure(landscape).groups
        {'0': 4}
    """
    if not isinstance(landscape, NetworkLandscape):
        raise InputError(f"expected the landscape of a network, got {type(landscape).__name__}: it has no hidden units")
    with preserved_random_state(landscape.device):
        batch = next(landscape.batches(_SAMPLES))
    return _traced(
        landscape.module().cpu(), landscape.spec, lambda net, dtype: landscape.outputs(net, _cast(batch, dtype))
    )


def output_difference(first: object, second: object) -> float:
    """Largest difference of two outputs over the largest output; infinite where only one is finite."""
    worst, scale = 0.0, 0.0
    for a, b in zip(tensors_in(first), tensors_in(second), strict=True):
        finite = a.isfinite()
        if not torch.equal(finite, b.isfinite()):
            return float("inf")
        if a.is_floating_point() and bool(finite.any()):
            worst = max(worst, float((a - b)[finite].abs().max()))
            scale = max(scale, float(a[finite].abs().max()))
    return worst / scale if scale > 0 else worst


def load(model: nn.Module, weights: Tensor, spec: ParamSpec, buffers: dict[str, Tensor]) -> nn.Module:
    """Write one row and some buffers into a module of our own."""
    places = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    with torch.no_grad():
        for name, tensor in {**spec.unflatten(weights), **buffers}.items():
            places[name].copy_(tensor)
    return model


def _cast(batch: Any, dtype: torch.dtype | None) -> Any:
    def move(leaf: Tensor) -> Tensor:
        return leaf.detach().to("cpu", dtype if leaf.is_floating_point() else None)

    return map_tensors(batch, move)


def _traced(
    model: nn.Module, spec: ParamSpec, run: Callable[[nn.Module, torch.dtype | None], Any]
) -> PermutationStructure:
    """Trace a private module and check what was found."""
    tracer = Tracer(model, spec, HANDLERS)
    dtype = next(model.parameters()).dtype
    with preserved_random_state(), torch.no_grad():
        with tracer:
            outputs = run(model, dtype)
        groups, axes, pinned = tracer.finish(outputs)
        structure = PermutationStructure(spec, groups, axes, pinned)
        _check(model.double(), structure, lambda net: run(net, torch.float64))
    return structure


def _check(model: nn.Module, structure: PermutationStructure, run: Run) -> None:
    """Compare outputs before and after random permutations, at random weights and buffers.

    Initial biases and running statistics are constant, which would hide a wrong axis.

    Raises:
        InputError: they differ.
    """
    stream = generator("check of a permutation structure")

    def noise(tensor: Tensor) -> Tensor:
        return torch.rand(tensor.shape, generator=stream, dtype=tensor.dtype)

    spread = {
        # Variances stay positive, means may be either: shifted one way they could silence every unit.
        n: t * (1 + noise(t)) if n.endswith("running_var") else t + 0.2 * (noise(t) - 0.5)
        for n, t in model.named_buffers()
        if "running" in n and t.is_floating_point()
    }
    own = {name: tensor.detach() for name, tensor in model.named_parameters()}
    deviation = {n: (0.5 - noise(own[n])) * own[n].shape[-1] ** -0.5 for n in structure.spec.names if own[n].ndim}
    weights = structure.spec.flatten({n: own[n] + deviation.get(n, 0.0) for n in structure.spec.names})
    before = run(load(model, weights, structure.spec, spread))
    permutations = structure.random(0)
    moved = structure.apply_buffers(spread, permutations)
    after = run(load(model, structure.apply(weights, permutations), structure.spec, moved))
    difference = output_difference(before, after)
    if not difference <= TOLERANCE:
        raise InputError(
            f"expected outputs that no permutation of {list(structure.groups)} changes, got a relative difference of "
            f"{difference:.1e}: give the structure by hand, see PermutationStructure"
        )
