"""BatchSpread: how much the curvature of a loss differs from mini-batch to mini-batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator
from lossatlas.curvature.eigenpairs import eigenvalues
from lossatlas.curvature.hessian import HessianOperator
from lossatlas.curvature.sampling import Sampled, check_confidence, mean_over
from lossatlas.curvature.trace import trace
from lossatlas.landscape.contract import Landscape

__all__ = ["BatchSpread", "batch_spread"]


@dataclass(frozen=True)
class BatchSpread:
    """Largest eigenvalues and traces of mini-batch Hessians, m batches of the same examples for every point.

    Args:
        top: ``(*b, m)``, largest eigenvalue on each batch.
        converged: ``(*b, m)``, whether it has settled.
        trace: ``(*b, m)``, trace on each batch.
        trace_error: ``(*b, m)``, standard error of that estimate; part of the spread of the traces is this.
        indices: ``(m, B)``, the examples.
        confidence: of the intervals.
        method: how products were computed.
        data: what the losses are averaged over.
    """

    top: Tensor
    converged: Tensor
    trace: Tensor
    trace_error: Tensor
    indices: Tensor
    confidence: float
    method: str
    data: str

    @property
    def top_mean(self) -> Sampled:
        """Mean over batches of the largest eigenvalue, ``(*b,)``.

        At least that of the whole data in expectation: the largest eigenvalue of a mean is at most the mean of the
        largest eigenvalues.
        """
        return mean_over(self.top.movedim(-1, 0), self.confidence)

    @property
    def trace_mean(self) -> Sampled:
        """Mean over batches of the trace, ``(*b,)``; without bias for that of the whole data."""
        return mean_over(self.trace.movedim(-1, 0), self.confidence)

    @property
    def top_spread(self) -> Tensor:
        """Standard deviation from batch to batch of the largest eigenvalue, ``(*b,)``."""
        return self.top.std(-1)

    @property
    def trace_spread(self) -> Tensor:
        """Standard deviation from batch to batch of the trace, ``(*b,)``."""
        return self.trace.std(-1)


def batch_spread(
    landscape: Landscape,
    w: Tensor,
    *,
    size: int = 64,
    batches: int = 10,
    tolerance: float = 1e-3,
    trace_tolerance: float = 0.05,
    max_products: int = 300,
    confidence: float = 0.99,
    seed: int = 0,
) -> BatchSpread:
    """Largest eigenvalue and trace of H_B = ∇² (1/B) Σ_{n in batch} ℓ_n for several random batches.

    A mini-batch Hessian is another matrix than the Hessian of the whole data: it is sharper, as a rule, and of lower
    rank. Batches are drawn without replacement within each.

    Args:
        landscape: a loss over data.
        w: points ``(*b, d)``.
        size: examples of a batch, B.
        batches: how many, m, at least 2.
        tolerance: of residuals relative to eigenvalues.
        trace_tolerance: standard error relative to the trace at which sampling stops.
        max_products: for each batch and point, for the eigenvalue and again for the trace.
        confidence: of the intervals.
        seed: names the batches and the random vectors.

    Returns:
        Both for each batch.

    Raises:
        InputError: a landscape without data or already restricted, or batches that cannot be.

    Example:
        >>> from torch import nn
        >>> from lossatlas.landscape import NetworkLandscape
        >>> net = nn.Linear(1, 1, bias=False)
        >>> data = torch.tensor([[1.0], [1.0], [3.0], [3.0]]), torch.zeros(4, 1)
        >>> landscape = NetworkLandscape(net, nn.functional.mse_loss, data)
        >>> found = batch_spread(landscape, torch.ones(1), size=1, batches=8)
        >>> sorted(set(found.top.tolist())), found.data
        ([2.0, 18.0], '8 mini-batches of 1 of 4 examples')
    """
    check_confidence(confidence)
    samples = landscape.samples
    if samples is None:
        raise InputError("expected a loss over data for mini-batches, got a landscape without")
    if not 0 < size <= samples or batches < 2:
        raise InputError(
            f"expected batches of 1 to {samples} examples and at least 2 of them, got {size} and {batches}"
        )
    stream = generator(seed, "mini-batches", samples, size)
    indices = torch.stack([torch.randperm(samples, generator=stream)[:size] for _ in range(batches)])
    points = w.expand(batches, *w.shape)
    each = indices.reshape(batches, *(1 for _ in w.shape[:-1]), size)
    hessian = HessianOperator(landscape.on(each.to(landscape.device)), points)
    top = eigenvalues(hessian, k=1, tolerance=tolerance, max_products=max_products, seed=seed)
    traces = trace(hessian, tolerance=trace_tolerance, max_products=max_products, confidence=confidence, seed=seed)
    return BatchSpread(
        top.values[..., 0].movedim(0, -1).cpu(),
        top.converged[..., 0].movedim(0, -1).cpu(),
        traces.value.movedim(0, -1).cpu(),
        traces.error.movedim(0, -1).cpu(),
        indices,
        confidence,
        hessian.method,
        f"{batches} mini-batches of {size} of {samples} examples",
    )
