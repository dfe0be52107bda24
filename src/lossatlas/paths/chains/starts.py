"""First chains: a straight line or a guess, and random ones around it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lossatlas.core.randomness import generator
from lossatlas.paths.chains.spacing import resample
from lossatlas.paths.finder import Ends

__all__ = ["first_chains"]

_MODES = 3


def first_chains(ends: Ends, count: int, starts: int, amplitude: float, seed: int) -> Tensor:
    """First chains of every pair: the plain one and perturbed ones.

    Perturbed: x(t) + amplitude · distance/√d · Σ_n ξ_n sin(nπt)/n, n = 1, 2, 3, with ξ_n standard normal vectors.

    Args:
        ends: pairs; their first guess is kept as it is where it has ``count`` different points, else spread evenly.
        count: images m.
        starts: chains per pair.
        amplitude: of the perturbation, in distances.
        seed: with the pair's number, of ξ.

    Returns:
        ``(p, starts, m, d)``.
    """
    t = torch.linspace(0, 1, count, dtype=ends.start.dtype, device=ends.start.device)[:, None]
    if ends.initial is None:
        plain = (1 - t) * ends.start[:, None] + t * ends.end[:, None]
        plain[:, -1] = ends.end
    else:
        plain = _guessed(ends.initial, count)
    chains = plain[:, None].repeat(1, starts, 1, 1)
    n = torch.arange(1, _MODES + 1, dtype=t.dtype, device=t.device)
    shape = torch.sin(math.pi * n * t) / n
    shape[0], shape[-1] = 0, 0
    for i, number in enumerate(ends.numbers):
        size = amplitude * float(torch.linalg.vector_norm(ends.end[i] - ends.start[i])) / math.sqrt(plain.shape[-1])
        for j in range(1, starts):
            random = generator(seed, "path start", number, j)
            xi = torch.randn(_MODES, plain.shape[-1], generator=random, dtype=torch.float64)
            chains[i, j] += size * shape @ xi.to(plain)
    return chains


def _guessed(guess: Tensor, count: int) -> Tensor:
    even = resample(guess, count)
    if guess.shape[1] != count:
        return even
    # Images in one place have no tangent: a chain of them would never open.
    lengths = torch.linalg.vector_norm(guess.diff(dim=1), dim=-1)
    distinct = lengths.amin(1) > 1e-6 * lengths.amax(1)
    return torch.where(distinct[:, None, None], guess, even)
