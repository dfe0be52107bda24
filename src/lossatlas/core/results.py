"""Where results are: on the CPU, whatever device they were computed on."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from torch import Tensor

__all__ = ["on_cpu"]

T = TypeVar("T")


def on_cpu(result: T) -> T:
    """Return a result with all its tensors on the CPU.

    What a function returns is looked at, drawn and stored, and outlives the device's memory; points among it may be
    handed to any other function, which moves them to its landscape's device.

    Args:
        result: a tensor, or a dataclass, mapping, list or tuple that holds some, at any depth; anything else is left.

    Returns:
        The same where all is on the CPU already, and a copy otherwise.

    Example:
        >>> import torch
        >>> on_cpu({"loss": torch.zeros(2), "method": "dense"})["loss"].device
        device(type='cpu')
    """
    moved: Any = _moved(result)
    return result if moved is None else moved


def _moved(value: Any) -> Any:
    """The value on the CPU; None where it is there, or holds no tensor."""
    if isinstance(value, Tensor):
        return None if value.device.type == "cpu" else value.cpu()
    if is_dataclass(value) and not isinstance(value, type):
        changes = _changes({field.name: getattr(value, field.name) for field in fields(value) if field.init})
        return replace(value, **changes) if changes else None
    if isinstance(value, dict):
        changes = _changes(value)
        return {**value, **changes} if changes else None
    if isinstance(value, list | tuple):
        changes = _changes(dict(enumerate(value)))
        return type(value)(changes.get(place, each) for place, each in enumerate(value)) if changes else None
    return None


def _changes(parts: dict[Any, Any]) -> dict[Any, Any]:
    moved = {name: _moved(part) for name, part in parts.items()}
    return {name: part for name, part in moved.items() if part is not None}
