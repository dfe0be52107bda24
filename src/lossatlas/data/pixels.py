"""8-bit grey levels as floating-point images."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["grey_to_unit"]


def grey_to_unit(grey: NDArray[np.uint8]) -> Tensor:
    """Map grey levels 0..255 to k/255, ``(*shape) -> (*shape)`` float32 in [0, 1].

    Example:
        >>> grey_to_unit(np.array([0, 51, 255], dtype=np.uint8))
        tensor([0.0000, 0.2000, 1.0000])
    """
    # A table of 256 correctly rounded quotients: the same bits whatever a vectorised division would do.
    return torch.from_numpy((np.arange(256) / 255).astype(np.float32)[grey])
