"""Where a chain needs another image: what its segments hide."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from lossatlas.landscape.contract import Landscape
from lossatlas.paths.chains.chain import Chain

__all__ = ["with_more_images"]

# Where a segment is looked at.
_WITHIN = (0.25, 0.5, 0.75)


def with_more_images(
    landscape: Landscape, chain: Chain, most: int, hidden_height: float, deviation: float
) -> tuple[Chain, bool]:
    """Halve the segments that rise above the highest image or are far from linear.

    Args:
        landscape: where.
        chain: one chain.
        most: images it may have; the segments that need it most come first.
        hidden_height: rise within a segment above the highest image, in units of the chain's rise.
        deviation: |L - linear interpolation| within a segment, in the same units.

    Returns:
        The chain, its cost included, and whether it has new images. New images have no gradient yet.
    """
    at = torch.tensor(_WITHIN, dtype=chain.images.dtype, device=chain.images.device)[None, :, None]
    between = chain.images[:-1, None] + at * chain.images.diff(dim=0)[:, None]
    found = landscape.value(between)
    linear = chain.values[:-1, None] + at[..., 0] * chain.values.diff()[:, None]
    spent = replace(chain, loss_values=chain.loss_values + found.numel())
    rise = chain.values.max() - chain.values.min()
    if not bool(rise > 0):
        # Images that all lie on one level may hide what rises between them; below this it is rounding.
        hidden = found.nan_to_num(nan=-torch.inf, posinf=-torch.inf).max() - chain.values.max()
        noise = 8 * torch.finfo(found.dtype).eps * chain.values.abs().max()
        rise = torch.where(hidden > noise, hidden, rise)
    # What is not finite or not below the chain is infinitely in need.
    above = ((found - chain.values.max()) / rise).nan_to_num(nan=torch.inf).amax(1) / hidden_height
    apart = ((found - linear).abs() / rise).nan_to_num(nan=torch.inf).amax(1) / deviation
    need = torch.maximum(above, apart)
    room = max(0, most - len(chain.images))
    chosen = [i for i in need.argsort(descending=True, stable=True).tolist() if float(need[i]) > 1][:room]
    if not chosen or not bool(rise > 0):
        return spent, False
    return _halved(spent, sorted(chosen)), True


def _halved(chain: Chain, segments: list[int]) -> Chain:
    images: list[Tensor] = []
    shares: list[Tensor] = []
    for i in range(len(chain.images) - 1):
        images.append(chain.images[i])
        if i in segments:
            images.append((chain.images[i] + chain.images[i + 1]) / 2)
            shares += [chain.shares[i] / 2] * 2
        else:
            shares.append(chain.shares[i])
    images.append(chain.images[-1])
    return replace(chain, images=torch.stack(images), shares=torch.stack(shares))
