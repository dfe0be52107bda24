"""Case: everything that the checks of a diagnosis look at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from lossatlas.analysis.diagnosis.layers import layer_masks
from lossatlas.analysis.diagnosis.point import Point
from lossatlas.analysis.diagnosis.records import Layer
from lossatlas.analysis.diagnosis.run_facts import RunFacts
from lossatlas.core.trajectory import Trajectory
from lossatlas.curvature.eigenpairs import eigenvalues
from lossatlas.curvature.hessian import HessianOperator
from lossatlas.landscape.contract import AffineRows, Landscape

__all__ = ["Case", "Held"]

# Curvature below this part of the largest is flat.
_FLAT = 1e-3
# Snapshots of a run at which the largest eigenvalue is computed.
_ALONG, _TOLERANCE, _PRODUCTS = 5, 1e-2, 60
# A loss above this part of the baseline is high, below that one low.
HIGH, LOW = 0.3, 0.1


@dataclass(frozen=True)
class Held:
    """The same weights on other data.

    Args:
        landscape: loss over the test data, in float64.
        loss: there.
        metrics: name to values on the training data and on the test data.
    """

    landscape: Landscape
    loss: float
    metrics: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Case:
    """A point of a landscape and what is known of the run that led there.

    Args:
        landscape: training loss, in float64.
        point: what was measured.
        layers: of a network.
        history: the run.
        facts: what its curves say.
        held: the weights on test data.
        learning_rate: η of plain or momentum gradient descent; None: not known, or of another optimizer.
        momentum: β.
        nesterov: whether the momentum is Nesterov's.
        seed: names random numbers.
    """

    landscape: Landscape
    point: Point
    layers: tuple[Layer, ...] = ()
    history: Trajectory | None = None
    facts: RunFacts | None = None
    held: Held | None = None
    learning_rate: float | None = None
    momentum: float = 0.0
    nesterov: bool = False
    seed: int = 0

    @property
    def network(self) -> bool:
        """Whether this is a network."""
        return self.landscape.spec is not None

    @property
    def scale(self) -> float:
        """What losses are compared with: the baseline, lower where the run began lower; else the loss itself."""
        known = [self.point.baseline] if self.point.baseline is not None else []
        if self.facts is not None:
            known.append(self.facts.first)
        positive = [each for each in known if each > 0]
        return min(positive) if positive else abs(self.point.loss)

    @property
    def level(self) -> float:
        """Loss over scale; NaN where nothing is known to compare with."""
        known = self.point.baseline is not None or self.facts is not None
        return self.point.loss / self.scale if known and self.scale > 0 else math.nan

    @property
    def method(self) -> str:
        """The descent whose largest rate is told."""
        if self.momentum == 0:
            return "Plain gradient descent"
        return f"Gradient descent with {'Nesterov ' if self.nesterov else ''}momentum {self.momentum:g}"

    @property
    def stability(self) -> float:
        """Largest stable η λ_max: 2 of plain descent, 2 (1 + β) with momentum, (2 + 2β) / (1 + 2β) with Nesterov's.

        Cohen, Kaur, Li, Kolter & Talwalkar 2021, *Gradient descent on neural networks typically occurs at the edge of
        stability*, appendix A.
        """
        plain = 2 * (1 + self.momentum)
        return plain / (1 + 2 * self.momentum) if self.nesterov else plain

    @cached_property
    def tops(self) -> tuple[tuple[int, float], ...]:
        """λ_max at some snapshots of the run, as step and value; of the point alone without a run.

        Of a run that diverged, before the first spike: what comes after says nothing of why.
        """
        run = self.history
        last = None if run is None else run.last_finite
        if run is None or last is None:
            return ((0, self.point.top),)
        if self.facts is not None and self.facts.diverged_at is not None:
            begin = self.facts.diverged_at if self.facts.spiked_at is None else self.facts.spiked_at
            before = int((run.steps < begin).sum()) - 1
            last = max(0, min(last, before))
        where = sorted({int(i) for i in torch.linspace(0, last, min(_ALONG, last + 1)).round()})
        found = []
        for i in where:
            w = run.weights[i].to(self.point.w)
            operator = HessianOperator(self.landscape, w)
            top = eigenvalues(operator, k=1, tolerance=_TOLERANCE, max_products=_PRODUCTS, seed=self.seed).values[0]
            if bool(top.isfinite()):
                found.append((int(run.steps[i]), float(top)))
        return tuple(found) or ((0, self.point.top),)

    @property
    def flat_part(self) -> float:
        """Part of all directions with a curvature below a thousandth of the largest: nearly all of a plateau.

        Where not all eigenvalues are known, the part of the parameters that belong to layers as flat as that. All where
        there is no curvature at all.
        """
        point = self.point
        if point.complete:
            return float((point.eigenvalues.abs() <= _FLAT * point.largest).double().mean()) if point.largest else 1.0
        most = max((layer.top for layer in self.layers), default=0.0)
        flat = sum(layer.parameters for layer in self.layers if layer.top <= _FLAT * most)
        return flat / self.landscape.dim

    @cached_property
    def gradients_at_start(self) -> tuple[float, ...]:
        """Root mean square of the gradient of each layer at the first snapshot of the run; empty without."""
        if self.history is None or not self.layers or self.landscape.spec is None:
            return ()
        w = self.history.weights[0].to(self.point.w)
        gradient = self.landscape.value_and_grad(w)[1]
        masks = layer_masks(self.landscape.spec).values()
        return tuple(float(gradient[mask.to(w.device)].square().mean().sqrt()) for mask in masks)

    def along(self, direction: Tensor, steps: Tensor) -> Tensor:
        """Loss at w + t · direction, ``(d,), (m,) -> (m,)``."""
        return self.landscape.value(AffineRows(self.point.w, steps.to(self.point.w)[:, None], direction[None]))
