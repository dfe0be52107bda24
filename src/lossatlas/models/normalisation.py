"""Normalisation layers for maps, selectable by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossatlas.core.registry import Registry

__all__ = ["MapRMSNorm", "UnitRMSNorm", "map_normalisations", "unit_normalisations"]


class MapRMSNorm(nn.Module):
    """Root-mean-square normalisation of maps: y = γ_c x / sqrt(mean over c, h, w of x² + ε).

    What ``nn.GroupNorm(1, channels)`` does, without the mean and without the shift. Zhang & Sennrich 2019, eq. 4.

    Args:
        channels: length of the gain γ.
        eps: ε.

    Example:
        >>> maps = torch.randn(2, 3, 4, 4)
        >>> bool(torch.isclose(MapRMSNorm(3)(maps)[1].square().mean(), torch.tensor(1.0), atol=1e-4))
        True
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the gain to one."""
        nn.init.ones_(self.weight)

    def forward(self, maps: Tensor) -> Tensor:
        """Normalise each sample, ``(N, C, H, W) -> (N, C, H, W)``."""
        scaled = F.rms_norm(maps, maps.shape[1:], eps=self.eps)
        # The gain stays a vector, as in other normalisation layers, which slices and scalings know by it.
        return (scaled.movedim(1, -1) * self.weight).movedim(-1, 1)


class UnitRMSNorm(nn.RMSNorm):
    """Root-mean-square normalisation of units ``(N, C)`` with the ε of the other layers.

    Example:
        >>> UnitRMSNorm(4)(torch.full((1, 4), 3.0))
        tensor([[1.0000, 1.0000, 1.0000, 1.0000]], grad_fn=...)
    """

    def __init__(self, units: int) -> None:
        super().__init__(units, eps=1e-5)


def _nothing(channels: int) -> nn.Module:
    del channels
    return nn.Identity()


map_normalisations = Registry[Callable[[int], nn.Module]]("normalisation")
"""Layers for maps ``(N, C, H, W)``: number of channels to module."""
map_normalisations.add("batch", nn.BatchNorm2d, "each channel over samples and places (Ioffe & Szegedy 2015)")
map_normalisations.add("layer", partial(nn.GroupNorm, 1), "each sample over channels and places (Ba et al. 2016)")
map_normalisations.add("rms", MapRMSNorm, "each sample, scale alone (Zhang & Sennrich 2019)")
map_normalisations.add("none", _nothing, "nothing; layers before it have biases")

unit_normalisations = Registry[Callable[[int], nn.Module]]("normalisation")
"""The same for units ``(N, C)``."""
unit_normalisations.add("batch", nn.BatchNorm1d, "each unit over samples")
unit_normalisations.add("layer", nn.LayerNorm, "each sample over units")
unit_normalisations.add("rms", UnitRMSNorm, "each sample, scale alone")
unit_normalisations.add("none", _nothing, "nothing")
