"""Eigenvalues and traces of a Hessian against the ways of the existing tools, on the same model to the same tolerance.

PyHessian's way: power iteration with deflation, one eigenvalue after another, and Hutchinson's estimator, one vector at
a time; each product is another pass through the graph of the gradient. hessian-eigenthings' way: the library itself.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import hessian_eigenthings
import psutil
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.timing import Comparison, compare
from lossatlas import curvature, problems, training
from lossatlas.core.randomness import generator
from lossatlas.problems import Problem

__all__ = ["CURVATURE"]

Result = dict[str, Any]

# PyHessian's own: it stops where an eigenvalue changes by less than this part of itself.
_TOLERANCE = 1e-3
_COUNT, _MOST, _PAIRS = 10, 1000, 3
# PyHessian's own limit for each eigenvalue.
_STEPS = 100
_TRAIN = 300


@dataclass(frozen=True)
class Case:
    """One trained network as both see it: a row of the landscape, and a module with tensors."""

    problem: Problem
    row: Tensor
    module: torch.nn.Module
    data: tuple[Tensor, Tensor]

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters in flat order."""
        return [p for p in self.module.parameters() if p.requires_grad]

    def slope(self) -> tuple[Tensor, ...]:
        """The gradient with its graph."""
        inputs, targets = self.data
        return torch.autograd.grad(F.cross_entropy(self.module(inputs), targets), self.parameters, create_graph=True)

    def product(self, slope: tuple[Tensor, ...], v: list[Tensor]) -> list[Tensor]:
        """Another pass through the graph, as PyHessian multiplies."""
        return list(torch.autograd.grad(slope, self.parameters, v, retain_graph=True))


def case(name: str = "lenet") -> Case:
    """A network trained briefly on a few digits, in float32."""
    problem = problems.get(name, train_size=_TRAIN)
    row = training.train(problem, "adam", replicas=1, epochs=10, batch_size=32, seed=0)[0].to(problem.train.dtype)
    source = next(iter(problem.train.batches()))
    return Case(problem, row, problem.module(row), (source[0], source[1]))


def _dot(a: list[Tensor], b: list[Tensor]) -> Tensor:
    return torch.stack([(x * y).sum() for x, y in zip(a, b, strict=True)]).sum()


def _unit(v: list[Tensor]) -> list[Tensor]:
    length = _dot(v, v).sqrt() + 1e-6
    return [x / length for x in v]


def by_power_iteration(given: Case, stream: torch.Generator) -> list[float]:
    """Ten eigenvalues of largest magnitude: power iteration, found vectors projected out, until each stands still."""
    slope = given.slope()
    values: list[float] = []
    vectors: list[list[Tensor]] = []
    while len(values) < _COUNT:
        v = _unit([torch.randn(p.shape, generator=stream) for p in given.parameters])
        value, new = math.inf, math.nan
        for _ in range(_STEPS):
            for found in vectors:
                overlap = _dot(v, found)
                v = [x - overlap * y for x, y in zip(v, found, strict=True)]
            v = _unit(v)
            image = given.product(slope, v)
            new = float(_dot(image, v))
            v = _unit(image)
            if abs(new - value) < _TOLERANCE * (abs(value) + 1e-6) and math.isfinite(value):
                break
            value = new
        values.append(new)
        vectors.append(v)
    return values


def by_hutchinson(given: Case, stream: torch.Generator, error: float) -> float:
    """The trace by random signs, one vector at a time, until its standard error is below a part of it."""
    slope = given.slope()
    samples: list[float] = []
    while True:
        v = [torch.randint(0, 2, p.shape, generator=stream).float() * 2 - 1 for p in given.parameters]
        samples.append(float(_dot(given.product(slope, v), v)))
        if len(samples) >= 10:
            mean = statistics.fmean(samples)
            if statistics.stdev(samples) / math.sqrt(len(samples)) < error * abs(mean) or len(samples) >= _MOST:
                return mean


def _theirs(given: Case) -> hessian_eigenthings.HessianOperator:
    return hessian_eigenthings.HessianOperator(
        given.module, [given.data], lambda model, batch: F.cross_entropy(model(batch[0]), batch[1])
    )


def by_their_lanczos(given: Case, tolerance: float) -> Any:
    """hessian-eigenthings: Lanczos with reorthogonalisation, restarted from nothing with more steps until settled."""
    operator, steps = _theirs(given), 2 * _COUNT
    while True:
        found = hessian_eigenthings.lanczos(
            operator, k=_COUNT, max_iter=steps, tol=tolerance, which="LA", reorthogonalize=True, seed=0
        )
        if bool(found.converged.all()) or steps >= _MOST:
            return found
        steps *= 2


def by_their_hutchpp(given: Case, error: float) -> Any:
    """hessian-eigenthings: Hutch++ with more products until its standard error is below a part of the estimate."""
    operator, products = _theirs(given), 30
    while True:
        found = hessian_eigenthings.trace(operator, num_matvecs=products, seed=0)
        if found.stderr < error * abs(found.estimate) or products >= _MOST:
            return found
        products *= 2


def _ours(given: Case) -> curvature.HessianOperator:
    return curvature.HessianOperator(given.problem.train, given.row, dtype=torch.float32)


def _report(name: str, found: Comparison, note: str) -> Result:
    memory = psutil.Process().memory_info().rss / 2**20
    note = f"{note}; {memory:.0f} MiB resident"
    return {"benchmark": name, "ratio": found.ratio, "wanted": 3.0, "note": note, **asdict(found)}


def _agreement(ours: Tensor, theirs: Tensor) -> str:
    ours, theirs = (each.double().sort(descending=True).values for each in (ours.flatten(), theirs.flatten()))
    return f"largest difference {float(((ours - theirs) / ours.abs().max()).abs().max()):.1e} of the largest"


def eigenvalues_against_power_iteration(name: str = "lenet") -> Result:
    """The ten largest eigenvalues against power iteration with deflation."""
    given = case(name)
    ours = curvature.eigenvalues(_ours(given), k=_COUNT, tolerance=_TOLERANCE)
    theirs = torch.tensor(by_power_iteration(given, generator("power iteration")))
    found = compare(
        lambda: curvature.eigenvalues(_ours(given), k=_COUNT, tolerance=_TOLERANCE),
        lambda: by_power_iteration(given, generator("power iteration")),
        pairs=_PAIRS,
    )
    settled = f"{int(ours.converged.sum())} of {_COUNT} settled, {int(ours.products)} products"
    return _report(f"top 10 of {name} against power iteration", found, f"{settled}; {_agreement(ours.values, theirs)}")


def eigenvalues_against_eigenthings(name: str = "lenet") -> Result:
    """The ten largest eigenvalues against hessian-eigenthings' Lanczos method."""
    given = case(name)
    ours = curvature.eigenvalues(_ours(given), k=_COUNT, tolerance=_TOLERANCE)
    theirs = by_their_lanczos(given, _TOLERANCE)
    found = compare(
        lambda: curvature.eigenvalues(_ours(given), k=_COUNT, tolerance=_TOLERANCE),
        lambda: by_their_lanczos(given, _TOLERANCE),
        pairs=_PAIRS,
    )
    note = f"{int(ours.products)} products against {theirs.iterations} in the last run"
    return _report(
        f"top 10 of {name} against hessian-eigenthings", found, f"{note}; {_agreement(ours.values, theirs.eigenvalues)}"
    )


def trace_against_hutchinson(name: str = "lenet", error: float = 0.02) -> Result:
    """The trace against Hutchinson's estimator, one vector at a time, to the same standard error."""
    given = case(name)
    ours = curvature.trace(_ours(given), tolerance=error)
    theirs = by_hutchinson(given, generator("hutchinson"), error)
    found = compare(
        lambda: curvature.trace(_ours(given), tolerance=error),
        lambda: by_hutchinson(given, generator("hutchinson"), error),
        pairs=_PAIRS,
    )
    note = f"{float(ours.value):.5g} ± {float(ours.error):.2g} against {theirs:.5g}, {int(ours.products)} products"
    return _report(f"trace of {name} to {error:.0%} against Hutchinson", found, note)


def trace_against_eigenthings(name: str = "lenet", error: float = 0.02) -> Result:
    """The trace against hessian-eigenthings' Hutch++, to the same standard error."""
    given = case(name)
    ours = curvature.trace(_ours(given), tolerance=error)
    theirs = by_their_hutchpp(given, error)
    found = compare(
        lambda: curvature.trace(_ours(given), tolerance=error), lambda: by_their_hutchpp(given, error), pairs=_PAIRS
    )
    note = f"{float(ours.value):.5g} ± {float(ours.error):.2g} against {theirs.estimate:.5g} ± {theirs.stderr:.2g}"
    return _report(f"trace of {name} to {error:.0%} against hessian-eigenthings", found, note)


CURVATURE: list[Callable[[], Result]] = [
    eigenvalues_against_power_iteration,
    eigenvalues_against_eigenthings,
    trace_against_hutchinson,
    trace_against_eigenthings,
]
"""Each makes its own case, so that they can be run alone."""
