"""Tracer: follows a network through one forward pass and notes which axes of its weights follow which units."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lossatlas.core.errors import InputError
from lossatlas.core.params import ParamSpec
from lossatlas.symmetry.labels import Labels, MixedUnitsError, Vector, determines, spread
from lossatlas.symmetry.structure import Axis
from lossatlas.symmetry.units import FIXED, UnitTable

__all__ = ["Call", "Handler", "Tracer", "fixed_vector", "operation_name", "tensors_in"]

_STATISTICS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)

# Operations that return no tensor and still carry values on.
_LEAVING = {"bool", "float", "int", "index", "item", "tolist", "numpy", "setitem"}


@dataclass(frozen=True)
class Call:
    """One call of a torch function by the network.

    Args:
        name: of the operation, without what marks it as in-place or as a method.
        function: the function.
        args: its arguments.
        kwargs: its arguments by name.
        out: what it returned.
    """

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    out: Any

    def argument(self, position: int, name: str, default: Any = None) -> Any:
        """An argument by position or name."""
        return self.args[position] if len(self.args) > position else self.kwargs.get(name, default)


Handler = Callable[["Tracer", Call], None]


class Tracer(TorchFunctionMode):
    """Labels every activation while a network runs, however its ``forward`` is written.

    torch announces each call of one of its functions; the handler of the operation derives the labels of the result
    from those of the arguments.

    Args:
        model: the network; its parameters are recognised by identity.
        spec: which of them may be permuted.
        handlers: operation name to handler.
    """

    def __init__(self, model: nn.Module, spec: ParamSpec, handlers: Mapping[str, Handler]) -> None:
        super().__init__()
        self.table = UnitTable()
        self._handlers = handlers
        own = dict(model.named_parameters())
        self._names = {id(own[name]): name for name in spec.names}
        for prefix, module in model.named_modules():
            if isinstance(module, _STATISTICS):
                for name, buffer in module.named_buffers(prefix=prefix, recurse=False):
                    self._names[id(buffer)] = name
        self._labels: dict[int, Labels] = {}
        self._kept: list[Tensor] = []  # an address is a name only while its tensor lives
        self._axes: dict[tuple[str, int], Vector] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the function and label what it returns."""
        del types
        kwargs = dict(kwargs or {})
        call = Call(operation_name(func), func, args, kwargs, func(*args, **kwargs))
        known = any(id(t) in self._labels or id(t) in self._names for t in tensors_in((args, kwargs)))
        returns_tensors = any(True for _ in tensors_in(call.out))
        if known and not returns_tensors and call.name in _LEAVING:
            self.refuse(call, "values of single units leave the network, or are written into a tensor")
        if known and returns_tensors:
            handler = self._handlers.get(call.name)
            if handler is None:
                self.refuse(call, "how it treats hidden units is not known")
            try:
                handler(self, call)
            except MixedUnitsError:
                self.refuse(call, "it mixes hidden units with other axes")
        return call.out

    def refuse(self, call: Call, reason: str) -> NoReturn:
        """Raise the error that names an operation.

        Raises:
            InputError: always.
        """
        among = sorted({self._names[id(t)] for t in tensors_in((call.args, call.kwargs)) if id(t) in self._names})
        of = f" of {', '.join(repr(name) for name in among)}" if among else ""
        raise InputError(
            f"expected operations whose permutation symmetry is known, got '{call.name}'{of}: {reason}; "
            "give the structure by hand, see PermutationStructure"
        )

    # ------------------------------------------------------------------ activations
    def labels(self, tensor: object) -> Labels | None:
        """Labels of an activation; None where its order is fixed."""
        return self._labels.get(id(tensor))

    def label(self, tensor: Tensor, labels: Labels | None) -> None:
        """Give an activation its labels."""
        if labels is None or not bool((labels.units != FIXED).any()):
            self._labels.pop(id(tensor), None)
        else:
            self._labels[id(tensor)] = labels
            self._kept.append(tensor)

    def name(self, tensor: object) -> str | None:
        """Name of a parameter or running statistic that may be permuted; None for anything else."""
        return self._names.get(id(tensor))

    def along(self, tensor: Tensor, axis: int) -> Vector:
        """Layout along one axis of an activation."""
        labels = self.labels(tensor)
        return fixed_vector(tensor.shape[axis]) if labels is None else labels.along(axis, self.table)

    # ------------------------------------------------------------------ weights
    def assign(self, tensor: object, axis: int, vector: Vector) -> None:
        """Note that an axis of a weight follows units; what is not permutable pins them."""
        name = self.name(tensor)
        if name is None:
            if isinstance(tensor, Tensor):
                self.table.pin(vector.units)
            return
        before = self._axes.setdefault((name, axis), vector)
        if before is vector:
            return
        # Used a second time (tied weights, a layer applied twice): both uses speak of the same units.
        self.table.join(before.units, vector.units)
        free = (before.units != FIXED) & (vector.units != FIXED)
        one, other = before.places[free], vector.places[free]
        if not (determines(one, other) and determines(other, one)):
            raise MixedUnitsError

    def produce(self, out: Tensor, axis: int, weight: object, weight_axis: int, bias: object) -> None:
        """Label a layer's output with new units, which its weight and bias follow."""
        size = out.shape[axis]
        name = self.name(weight)
        units = torch.full((size,), FIXED) if name is None else self.table.allocate(size, _group_name(name))
        vector = Vector(units, torch.zeros(size, dtype=torch.long) if name else torch.arange(size))
        if name is not None:
            self.assign(weight, weight_axis, vector)
        self.assign(bias, 0, vector)
        self.label(out, spread(vector, axis, out.shape))

    def recurrent_units(self, weights: list[Tensor], blocks: int) -> Vector:
        """New units of a recurrent layer, which all gates of its weights follow.

        Args:
            weights: input weight, recurrent weight, and both biases or none.
            blocks: number of gates.

        Returns:
            Layout of the hidden state.
        """
        name = self.name(weights[1]) or self.name(weights[0])
        size = weights[1].shape[1]
        units = torch.full((size,), FIXED) if name is None else self.table.allocate(size, _group_name(name))
        gates = Vector(units.repeat(blocks), torch.arange(blocks).repeat_interleave(size))
        state = Vector(units, torch.zeros(size, dtype=torch.long))
        self.assign(weights[1], 1, state)
        for weight in weights:
            self.assign(weight, 0, gates)
        return state

    def finish(self, outputs: object) -> tuple[dict[str, int], tuple[Axis, ...], tuple[str, ...]]:
        """Pin what the network returns and read off the structure.

        Returns:
            Sizes of the groups, their axes, and the names of the groups that are not free.

        Raises:
            InputError: units that are not read alike.
        """
        for tensor in tensors_in(outputs):
            labels = self.labels(tensor)
            if labels is not None:
                self.table.pin(labels.units)
        groups, pinned, unit_of = self.table.finish()
        axes: list[Axis] = []
        for (name, axis), vector in self._axes.items():
            found: dict[str, dict[int, dict[int, int]]] = {}
            for index, (unit, place) in enumerate(zip(vector.units.tolist(), vector.places.tolist(), strict=True)):
                if unit in unit_of:
                    group, number = unit_of[unit]
                    found.setdefault(group, {}).setdefault(number, {})[place] = index
            for group, members in found.items():
                places = sorted(members[min(members)])
                if len(members) < groups[group] or any(sorted(each) != places for each in members.values()):
                    raise InputError(
                        f"expected layers that read all units of a group alike, got '{name}', which reads only some "
                        f"units of '{group}': give the structure by hand, see PermutationStructure"
                    )
                rows = [[members[number][place] for place in places] for number in range(groups[group])]
                axes.append(Axis(name, axis, group, torch.tensor(rows)))
        return groups, tuple(axes), pinned


def fixed_vector(size: int) -> Vector:
    """The layout of an axis whose order is fixed."""
    return Vector(torch.full((size,), FIXED), torch.arange(size))


def tensors_in(tree: object) -> Iterator[Tensor]:
    """Every tensor in nested tuples, lists and mappings."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from tensors_in(value)
    elif isinstance(tree, tuple | list):
        for value in tree:
            yield from tensors_in(value)


_SYNONYMS = {
    "truediv": "div", "idiv": "div", "itruediv": "div", "rdiv": "div", "rtruediv": "div", "divide": "div",
    "true_divide": "div", "radd": "add", "iadd": "add", "rsub": "sub", "isub": "sub", "subtract": "sub",
    "rmul": "mul", "imul": "mul", "multiply": "mul", "rpow": "pow", "ipow": "pow", "rmatmul": "matmul", "mm": "matmul",
    "absolute": "abs", "negative": "neg",
}  # fmt: skip


def operation_name(function: Callable[..., Any]) -> str:
    """The operation behind a function, a method, an operator or its in-place form."""
    name = str(getattr(function, "__name__", ""))
    if name == "__get__":  # a property, such as Tensor.T
        name = str(getattr(getattr(function, "__self__", None), "__name__", name))
    name = name.strip("_")
    return _SYNONYMS.get(name, name)


def _group_name(weight: str) -> str:
    """The layer a weight belongs to: ``conv1.weight`` -> ``conv1``, ``lstm.weight_hh_l1`` -> ``lstm.l1``."""
    layer, _, own = weight.rpartition(".")
    if own.startswith("weight_"):
        kind = own.removeprefix("weight_hh_").removeprefix("weight_ih_")
        own = "" if kind == "l0" else kind
    elif own == "weight":
        own = ""
    return ".".join(part for part in (layer, own) if part) or weight
