"""A stand-in for a CUDA device: tensors that say they are on ``cuda:0`` and are computed on the CPU.

What a card refuses is refused here too: operations on tensors of two devices, NumPy arrays of tensors that are not on
the CPU, random numbers from a generator of another device. So code is held to the rules of devices on a machine without
one. What a card computes, how fast, and its graphs are not simulated.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

__all__ = ["SimulatedTensor", "simulated_cuda"]

CUDA = torch.device("cuda", 0)
_aten = torch.ops.aten
# The result of these is their first argument, whatever device the other is on.
_FILLING = (_aten.copy_.default, _aten.fill_.Tensor)
_CROSSING = (_aten._to_copy.default, *_FILLING)
# Indices may stay on the CPU.
_INDEXING = (
    _aten.index.Tensor,
    _aten._unsafe_index.Tensor,
    _aten.index_put.default,
    _aten.index_put_.default,
    _aten._index_put_impl_.default,
)


class SimulatedTensor(torch.Tensor):
    """A tensor that says it is on ``cuda:0``; ``held`` are its numbers."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> SimulatedTensor:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device="meta",  # what the C++ side sees, which has no CUDA here; none of its kernels is reached
        )
        made.held = held
        return made

    @property
    def device(self) -> torch.device:
        return CUDA

    @property
    def is_cuda(self) -> bool:
        return True

    @property
    def is_meta(self) -> bool:
        return False

    def tolist(self) -> Any:
        return self.held.tolist()

    def new_tensor(self, data: Any, *, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
        return torch.tensor(data, dtype=dtype or self.dtype, device=device or CUDA)

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(_without_lists(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(_without_lists(index), value)

    def __repr__(self, **_: Any) -> str:
        return f"SimulatedTensor({self.held!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _call(func, args, kwargs or {})


def _without_lists(index: Any) -> Any:
    """Indices with lists as tensors; the C++ side would make them where it believes the indexed tensor to be."""
    if isinstance(index, tuple):
        return tuple(_without_lists(each) for each in index)
    return torch.tensor(index, device=CUDA) if isinstance(index, list) else index


class _Making(TorchDispatchMode):
    """Catches tensors that are made on the device from nothing, or moved there."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _call(func, args, kwargs or {})


def _runs_there(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether an operation is the device's; refuses what a card refuses."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    there = any(isinstance(leaf, SimulatedTensor) for leaf in tensors)
    asked = kwargs.get("device")
    ours = there if asked is None else torch.device(asked).type in ("cuda", "meta")
    generator = kwargs.get("generator")
    if ours and generator is not None and generator.device.type != "cuda":
        raise RuntimeError(f"Expected a 'cuda' device type for generator but found 'cpu' in {func}")
    if there and func not in _CROSSING:
        for leaf in tensors:
            assert leaf.device.type != "meta", f"{func} was given a tensor that the simulation did not see being made"
            number = leaf.ndim == 0 and (torch.Tag.pointwise in func.tags or func in _INDEXING)
            index = func in _INDEXING and not leaf.is_floating_point() and leaf is not args[0]
            if not (isinstance(leaf, SimulatedTensor) or number or index):
                raise RuntimeError(f"Expected all tensors to be on the same device, found cuda:0 and cpu in {func}")
    return ours


def _call(func: Any, args: Any, kwargs: Any) -> Any:
    ours = _runs_there(func, args, kwargs)
    plain_args, plain = tree_map_only(SimulatedTensor, lambda tensor: tensor.held, (args, kwargs))
    if func is _aten._to_copy.default:
        source, dtype = plain_args[0], plain.get("dtype")
        if not isinstance(source, Tensor):
            return torch.tensor(source, dtype=dtype)  # a number of Python's beside a tensor
        copy = source.to(dtype or source.dtype, copy=True)
        return SimulatedTensor(copy) if ours else copy
    if plain.get("device") is not None:
        plain = {**plain, "device": torch.device("cpu")}
    plain.pop("pin_memory", None)
    found = func(*plain_args, **plain)
    if func in _FILLING:
        return args[0]
    if not ours:
        return found
    found = tree_map_only(Tensor, SimulatedTensor, found)
    given = any(isinstance(leaf, SimulatedTensor) for leaf in tree_leaves((args, kwargs)))
    return return_and_correct_aliasing(func, args, kwargs, found) if given else found


@contextmanager
def simulated_cuda() -> Iterator[torch.device]:
    """Within this context there is one CUDA device, by simulation."""
    state = torch.zeros(16, dtype=torch.uint8)
    replaced: dict[str, Any] = {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "synchronize": lambda device=None: None,
        "mem_get_info": lambda device=None: (4 << 30, 8 << 30),
        "memory_reserved": lambda device=None: 0,
        "memory_allocated": lambda device=None: 0,
        "get_device_name": lambda device=None: "simulated",
        "get_rng_state": lambda device=None: state.clone(),
        "set_rng_state": lambda new, device=None: None,
    }
    overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
    # torch.tensor(..., device="cuda") then makes its tensor on the CPU and moves it, which the mode sees.
    torch._C._set_only_lift_cpu_tensors(True)
    # module.double() would replace what the C++ side holds of a parameter, and not what it holds here.
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with mock.patch.multiple(torch.cuda, **replaced), _Making():
            yield CUDA
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwrites)
        torch._C._set_only_lift_cpu_tensors(False)
