"""ParamSpec: the map between named tensors of a network and one flat vector."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from lossatlas.core.errors import InputError, nearest

__all__ = ["ParamSpec"]


@dataclass(frozen=True)
class ParamSpec:
    """Names and shapes of a network's trainable parameters, in flat order.

    The flat vector is the concatenation of the parameters, each in C order, in the order of
    ``module.named_parameters()``; a tied parameter appears once.

    Args:
        names: parameter names.
        shapes: their shapes.
        tied: other names of parameters that modules share, each with the name in ``names``; files of weights have both.

    Example:
        >>> spec = ParamSpec.of(nn.Linear(3, 2))
        >>> spec.dim, spec.names
        (8, ('weight', 'bias'))
        >>> rows = torch.zeros(5, spec.dim)
        >>> spec.unflatten(rows)["weight"].shape
        torch.Size([5, 2, 3])
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    # Not stored with results, and no part of what the flat vector means.
    tied: tuple[tuple[str, str], ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def of(cls, module: nn.Module) -> ParamSpec:
        """Read the spec of a module's trainable parameters.

        Raises:
            InputError: the module has none, or a lazy one has no shape yet.
        """
        trainable = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        for name, parameter in trainable:
            if isinstance(parameter, nn.UninitializedParameter):
                raise InputError(
                    f"expected parameters with shapes, got '{name}' of a lazy module: "
                    "run the model once on a batch first"
                )
        named = [(name, tuple(p.shape)) for name, p in trainable]
        if not named:
            raise InputError(
                f"expected a model with trainable parameters, got {type(module).__name__} with none: "
                "a landscape needs at least one parameter with requires_grad=True"
            )
        names = {id(parameter): name for name, parameter in trainable}
        tied = tuple(
            (name, names[id(parameter)])
            for name, parameter in module.named_parameters(remove_duplicate=False)
            if id(parameter) in names and names[id(parameter)] != name
        )
        return cls(tuple(name for name, _ in named), tuple(shape for _, shape in named), tied)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of components of each parameter."""
        return tuple(math.prod(shape) for shape in self.shapes)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Where each parameter starts in the flat vector."""
        starts, total = [], 0
        for size in self.sizes:
            starts.append(total)
            total += size
        return tuple(starts)

    @property
    def dim(self) -> int:
        """Length d of the flat vector."""
        return sum(self.sizes)

    def unflatten(self, x: Tensor) -> dict[str, Tensor]:
        """Split rows into named views, ``(*b, d) -> {name: (*b, *shape)}``.

        Raises:
            InputError: the last axis is not d long.
        """
        if x.ndim == 0 or x.shape[-1] != self.dim:
            raise InputError(f"expected rows of {self.dim} parameters, got shape {tuple(x.shape)}")
        parts = torch.split(x, list(self.sizes), dim=-1)
        return {
            name: part.reshape((*x.shape[:-1], *shape))
            for name, part, shape in zip(self.names, parts, self.shapes, strict=True)
        }

    def flatten(self, tensors: Mapping[str, Tensor] | nn.Module) -> Tensor:
        """Join named tensors (or a module's parameters) to rows, ``{name: (*b, *shape)} -> (*b, d)``.

        The result is a copy: writing to it never changes the module.

        Raises:
            InputError: a name is missing, a shape differs, leading axes disagree, or two names that share a parameter
                have different values.
        """
        if isinstance(tensors, nn.Module):
            tensors = dict(tensors.named_parameters())
        pieces: list[Tensor] = []
        for name, shape, size in zip(self.names, self.shapes, self.sizes, strict=True):
            if name not in tensors:
                raise InputError(f"expected a tensor named '{name}', got none: {nearest(name, tensors)}")
            tensor = tensors[name].detach()
            batch = tensor.shape[: tensor.ndim - len(shape)]
            if tensor.shape[len(batch) :] != shape:
                raise InputError(
                    f"expected '{name}' of shape {shape}, got {tuple(tensor.shape)}: "
                    "these are weights of another network"
                )
            pieces.append(tensor.reshape(*batch, size))
        for other, name in self.tied:
            if other in tensors and not _same(tensors[other], tensors[name]):
                raise InputError(
                    f"expected '{other}' and '{name}' to be equal, for they are one parameter of this model, got "
                    "different values: these are weights of a network that does not tie them"
                )
        if len({piece.shape[:-1] for piece in pieces}) > 1:
            shapes = {name: tuple(tensors[name].shape) for name in self.names}
            raise InputError(f"expected the same leading axes for every parameter, got shapes {shapes}")
        return torch.cat(pieces, dim=-1)  # a copy, even of a single piece

    def to_json(self) -> list[list[Any]]:
        """Return ``[[name, shape], ...]``, the form stored beside weights."""
        return [[name, list(shape)] for name, shape in zip(self.names, self.shapes, strict=True)]

    @classmethod
    def from_json(cls, entries: list[list[Any]]) -> ParamSpec:
        """Rebuild a spec from :meth:`to_json`."""
        return cls(tuple(e[0] for e in entries), tuple(tuple(e[1]) for e in entries))


def _same(a: Tensor, b: Tensor) -> bool:
    # NaN is told as such by those who look for it.
    return a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())
