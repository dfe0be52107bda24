"""The order in which mini-batches are drawn, one independent stream per replica."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator

__all__ = ["MiniBatches"]


class MiniBatches:
    """Epochs of shuffled mini-batches without replacement, as ``torch.utils.data.DataLoader(shuffle=True)`` draws them.

    The order seen by replica i in epoch e depends on the seed, i and e alone; the last batch of an epoch may be short.

    Args:
        samples: number of examples N.
        size: examples per batch B.
        seed: seed of the ensemble.
        replicas: numbers of the replicas.

    Raises:
        InputError: a batch size outside 1..N.

    Example:
        >>> batches = MiniBatches(samples=5, size=2, seed=0, replicas=[0, 1])
        >>> batches.per_epoch, batches.of(epoch=0, number=2).shape
        (3, torch.Size([2, 1]))
    """

    def __init__(self, samples: int, size: int, seed: int, replicas: Sequence[int]) -> None:
        if not 1 <= size <= samples:
            raise InputError(f"expected a batch size from 1 to {samples} (the number of examples), got {size}")
        self.samples = samples
        self.size = size
        self.per_epoch = -(-samples // size)
        self._seed = seed
        self._replicas = tuple(replicas)
        self._epoch = -1
        self._orders = torch.empty(0, dtype=torch.int64)

    def of(self, epoch: int, number: int) -> Tensor:
        """Indices of batch ``number`` of an epoch for every replica, ``-> (R, B)``."""
        if epoch != self._epoch:
            self._orders = torch.stack(
                [
                    torch.randperm(self.samples, generator=generator(self._seed, "mini-batches", replica, epoch))
                    for replica in self._replicas
                ]
            )
            self._epoch = epoch
        return self._orders[:, number * self.size : (number + 1) * self.size]
