"""Curved first paths: bows beside the straight line, on which a search may find another pass, or a way round."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from lossatlas.core.curve import Curve
from lossatlas.core.randomness import generator
from lossatlas.landscape.contract import Landscape
from lossatlas.paths.search import Ends

__all__ = ["bow", "bows", "finite_start"]

# Half waves and height, in distances between the ends, of one pair of bows after the other. On random energies
# the first two pairs found the lowest pass as often as four with other heights and half waves.
_KINDS = ((1, 0.5), (1, 1.0), (1, 1.5), (2, 0.5), (2, 1.0))
# Bows that are tried before no way round is known, and samples of each; a network's losses are dear.
_TRIED, _SAMPLES = 24, 65
_TRIED_NETWORK, _SAMPLES_NETWORK = 4, 25


def bow(line: Tensor, which: int, *, seed: int, number: int) -> Tensor:
    """One curved start: x(t) + a |x(1) - x(0)| sin(nπt) u, with u a random direction across the straight line.

    Starts 2k and 2k + 1 lie on opposite sides. Another pair has another direction; in two dimensions there is but one.

    Args:
        line: ``(m, d)``, the path that is bent, d at least 2.
        which: number of the start, from 0.
        seed: with the pair's number, of u.
        number: of the pair of ends.

    Returns:
        ``(m, d)``, with the ends of the line.

    Example:
        >>> line = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]], dtype=torch.float64)
        >>> bow(line, 2, seed=0, number=0)[1].abs(), bow(line, 3, seed=0, number=0)[1].abs()
        (tensor([1., 2.], dtype=torch.float64), tensor([1., 2.], dtype=torch.float64))
    """
    pair = which // 2
    waves, height = _KINDS[pair % len(_KINDS)]
    random = generator(seed, "curved start", number, pair)
    chord = (line[-1] - line[0]).double()
    distance = torch.linalg.vector_norm(chord)
    across = torch.randn(line.shape[1], generator=random, dtype=torch.float64).to(line.device)
    across = across - (across @ chord) / distance**2 * chord
    across = across / torch.linalg.vector_norm(across)
    if pair >= len(_KINDS):  # the same again would be no other start in two dimensions
        height = height * (0.5 + float(torch.rand(1, generator=random, dtype=torch.float64)))
    t = torch.linspace(0, 1, len(line), dtype=torch.float64, device=line.device)[:, None]
    shape = torch.sin(waves * math.pi * t)
    shape[0] = shape[-1] = 0
    side = 1.0 if which % 2 == 0 else -1.0
    bent: Tensor = line + (side * height * distance * shape * across).to(line)
    return bent


def bows(ends: Ends, count: int, points: int, *, seed: int) -> Tensor:
    """The straight line, or the first guess, and bows beside it, ``-> (p, count, m, d)``.

    Args:
        ends: pairs; d at least 2 where ``count`` is above 1.
        count: paths per pair.
        points: m.
        seed: with the pair's number, of directions.
    """
    lines = torch.stack([_line(ends, i, points) for i in range(len(ends))])
    bent = [
        torch.stack([line, *(bow(line, k, seed=seed, number=number) for k in range(count - 1))])
        for line, number in zip(lines, ends.numbers, strict=True)
    ]
    return torch.stack(bent)


def finite_start(landscape: Landscape, ends: Ends, points: int, *, seed: int) -> tuple[Ends | None, int, int]:
    """A curved start on which the loss is finite, for one pair whose first path is not.

    Args:
        landscape: where.
        ends: one pair.
        points: of the start.
        seed: of directions.

    Returns:
        The pair with the first finite bow as its first guess, or None; bows looked at; values spent.
    """
    if ends.start.shape[1] < 2:
        return None, 0, 0
    line = _line(ends, 0, points)
    energy = landscape.samples is None
    most, samples = (_TRIED, _SAMPLES) if energy else (_TRIED_NETWORK, _SAMPLES_NETWORK)
    t = torch.linspace(0, 1, samples, dtype=torch.float64)
    for which in range(most):
        bent = bow(line, which, seed=seed, number=ends.numbers[0])
        if bool(landscape.value(Curve.through(bent).at(t)).isfinite().all()):
            return replace(ends, initial=bent[None]), which + 1, (which + 1) * samples
    return None, most, most * samples


def _line(ends: Ends, i: int, points: int) -> Tensor:
    curve = Curve.straight(ends.start[i], ends.end[i]) if ends.initial is None else Curve.through(ends.initial[i])
    even = torch.linspace(0, 1, points, dtype=torch.float64)
    line = curve.at(even if ends.initial is None else curve.uniform(points))
    line[0], line[-1] = ends.start[i], ends.end[i]
    return line
