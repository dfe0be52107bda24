"""Relaxation of chains on mini-batches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from lossatlas.core.randomness import generator
from lossatlas.landscape.contract import Landscape
from lossatlas.paths.chains.chain import Chain, Places, evaluate, finite, relative_force
from lossatlas.paths.chains.forces import Batch, Force, across, sizes
from lossatlas.paths.chains.spacing import spread
from lossatlas.paths.chains.tangents import improved_tangents
from lossatlas.paths.finder import Status

__all__ = ["Noise", "relax_noisy"]

_DECAY = (0.9, 0.999)


@dataclass(frozen=True)
class Noise:
    """How chains move on mini-batches.

    Args:
        batch_size: examples per step.
        steps: how many.
        step_size: of the first step, in units of the spacing of images.
        tolerance: largest full-batch force at the end, times length over rise, that counts as converged.
    """

    batch_size: int
    steps: int
    step_size: float
    tolerance: float


def relax_noisy(landscape: Landscape, places: Places, noise: Noise, names: list[tuple[int, ...]]) -> list[Chain]:
    """Move images by Adam along the mini-batch force across the chain and spread them after every step.

    The learning rate starts at step_size · spacing/√d and falls to zero along a cosine, so images move by about
    step_size of their spacing at first. All images of a chain see the same examples.

    Args:
        landscape: one with samples.
        places: where the chains are; their ends' losses are those of the whole data.
        noise: step sizes and batches.
        names: seeds of the batches of each chain.

    Returns:
        One record per chain, evaluated on the whole data at the end.

    Source: Draxler et al., *Essentially no barriers in neural network energy landscape* (2018), Sec. 2; Kingma & Ba,
    *Adam* (2015), Algorithm 1.
    """
    samples = landscape.samples or noise.batch_size
    size = min(noise.batch_size, samples)
    randoms = [generator(*name, "chain batches") for name in names]
    images, ends, shares = places.images.clone(), places.ends, places.shares
    mean, square = torch.zeros_like(images[:, 1:-1]), torch.zeros_like(images[:, 1:-1])
    alive = torch.ones(len(images), dtype=torch.bool, device=images.device)
    heights: list[list[float]] = [[] for _ in names]
    used = [0] * len(names)
    spacing = torch.linalg.vector_norm(images.diff(dim=1), dim=-1).mean(1)
    for step in range(1, noise.steps + 1):
        active = alive.nonzero().flatten()
        if len(active) == 0:
            break
        drawn = torch.stack([torch.randperm(samples, generator=randoms[i])[:size] for i in active.tolist()])
        part = landscape.on(drawn.to(images.device)[:, None])
        now = evaluate(part, Places(images[active], ends[active], shares[active]))
        good = finite(now)
        for i, height in zip(active.tolist(), now.values.amax(1).tolist(), strict=True):
            used[i] += 1
            heights[i].append(height)
        alive[active] = good
        kept = active[good]
        force = _across(now).control[good]
        mean[kept] = _DECAY[0] * mean[kept] + (1 - _DECAY[0]) * force
        square[kept] = _DECAY[1] * square[kept] + (1 - _DECAY[1]) * force**2
        direction = mean[kept] / (1 - _DECAY[0] ** step)
        width = (square[kept] / (1 - _DECAY[1] ** step)).sqrt() + torch.finfo(images.dtype).tiny ** 0.5
        fall = 0.5 * (1 + math.cos(math.pi * (step - 1) / noise.steps))
        rate = noise.step_size * fall * spacing[kept] / math.sqrt(images.shape[-1])
        moved = images[kept].clone()
        moved[:, 1:-1] += rate[:, None, None] * direction / width
        images[kept] = spread(moved, shares[kept])
    last = evaluate(landscape, Places(images, ends, shares))
    relative = relative_force(last, _across(last))
    chains = []
    for i, ok in enumerate((finite(last) & alive).tolist()):
        told = f"{used[i]} mini-batch steps, then a full-batch force across the chain of {float(relative[i]):.2g}"
        small: Status = "converged" if float(relative[i]) <= noise.tolerance else "iteration limit"
        chains.append(
            Chain(
                images[i],
                last.values[i],
                last.grads[i],
                shares[i],
                small if ok else "not finite",
                f"{told} rise/length" if ok else "the loss or its gradient is not finite on the chain",
                iterations=used[i],
                gradients=last.grads.shape[1] * (used[i] * size / samples + 1),
                heights=[*heights[i], float(last.values[i].max())],
            )
        )
    return chains


def _across(batch: Batch) -> Force:
    nobody = torch.zeros(len(batch.values), dtype=torch.bool, device=batch.values.device)
    force, _ = across(batch, improved_tangents(batch.images, batch.values), nobody)
    return Force(force, force, sizes(force))
