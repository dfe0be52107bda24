"""Walk: trust-region steps over a landscape, each with a quadratic model of its own, towards a saddle."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lossatlas.paths.saddle.image_step import image_step
from lossatlas.paths.saddle.model import QuadraticModel
from lossatlas.paths.saddle.probe import Probe
from lossatlas.paths.saddle.spectrum import ZERO, Spectrum

__all__ = ["Walk"]

# Largest subspace of one step; what is left over is corrected by the next step.
_MOST_MODES = 40
# The gradient at the end of a step misses the model's by at most this part of the larger of |g| and |H s| ...
_REJECT = 1.0
# ... by more than this: shorter steps; by less than that: longer ones.
_SHORTEN, _LENGTHEN = 0.5, 0.2
# After the tolerance is met, steps go on while they at least halve |g|, down to this part of the tolerance.
_POLISH = 1e-3
# A solution is at most this part of the first radius away.
_NEAR = 1e-3
# Where all curvatures are below this part of the largest seen, the loss is a plateau without a pass. Energies with a
# hard core have curvatures 1e10 times those of their passes.
_FLAT = 1e-14


class Walk:
    """The search's state: the model at the present point, the mode it follows, how far the model is trusted."""

    def __init__(self, probe: Probe, model: QuadraticModel, direction: Tensor, radius: float) -> None:
        self.probe, self.model = probe, model
        self.direction = direction / torch.linalg.vector_norm(direction)
        self.radius = self.first_radius = radius
        self.stiffness = model.stiffness
        self.broken = self.flat = False

    def goal(self, tolerance: float) -> float:
        """The gradient norm that ``tolerance`` means here."""
        return tolerance * self.model.stiffness * min(self.radius, self.first_radius)

    def run(self, tolerance: float, budget: int) -> int:
        """Step until |g| is below the goal and no longer halves, ``-> budget left``."""
        while budget > 0:
            coefficients, mode = self._settle()
            if self.model.stiffness < _FLAT * self.stiffness:
                self.flat = True
                break
            # At a minimum |g| is small too: there the followed mode must be climbed.
            norm = self.model.gradient_norm
            met = norm <= self.goal(tolerance) and float(self.model.values[mode]) <= ZERO * self.model.stiffness
            # On a plateau |g| is small as well, but the stationary point is far.
            met = met and float(torch.linalg.vector_norm(coefficients)) <= _NEAR * self.first_radius
            if met and norm <= _POLISH * self.goal(tolerance):
                break
            budget -= 1
            trial = self._try(coefficients)
            if trial is None:
                if met or self.broken:
                    break
                continue
            if met and trial[1] > 0.5 * norm:
                break
            self._move(*trial[0], coefficients, mode)
        return budget

    def escape(self, spectrum: Spectrum) -> bool:
        """Leave a stationary point of index 2 or more along a downward mode that is not the followed one."""
        sideways = spectrum.vectors[1]
        sideways = sideways * (1.0 if float(sideways[sideways.abs().argmax()]) > 0 else -1.0)
        x = self.model.x + 0.1 * min(self.radius, self.first_radius) * sideways
        value, gradient = self.probe.value_and_grad(x)
        if not math.isfinite(value) or not bool(gradient.isfinite().all()):
            return False
        self.direction = spectrum.vectors[0]
        self.model = QuadraticModel(self.probe, x, value, gradient, self.direction[None])
        return True

    def _settle(self) -> tuple[Tensor, int]:
        """The step, with the subspace grown until it and the mode have settled, ``-> (m,), mode``."""
        model = self.model
        while True:
            mode = self._mode()
            uphill = float(model.vectors[mode] @ self.direction)
            step = image_step(
                model.values.cpu().numpy(), model.slopes.cpu().numpy(), mode, self.radius, math.copysign(1.0, uphill)
            )
            coefficients = torch.as_tensor(step).to(model.x)
            self.stiffness = max(self.stiffness, model.stiffness)
            outside, residual = model.outside(coefficients), model.residual(mode)
            size = max(model.gradient_norm, float(torch.linalg.vector_norm(coefficients @ model.images)))
            accuracy = min(0.1, max(1e-6, model.gradient_norm / (model.stiffness * self.radius or 1.0)))
            wanted = []
            if float(torch.linalg.vector_norm(outside)) > accuracy * size:
                wanted.append(outside)
            curvature = max(abs(float(model.values[mode])), 1e-3 * model.stiffness)
            if float(torch.linalg.vector_norm(residual)) > 0.1 * curvature:
                wanted.append(residual)
            if not wanted or len(model.values) >= _MOST_MODES or not model.grow(torch.stack(wanted)):
                return coefficients, mode

    def _mode(self) -> int:
        """The downward mode most like the one followed so far; where none goes down, the softest."""
        downward = int((self.model.values < -ZERO * self.model.stiffness).sum())
        if downward < 2:
            return 0
        return int((self.model.vectors[:downward] @ self.direction).abs().argmax())

    def _try(self, coefficients: Tensor) -> tuple[tuple[Tensor, float, Tensor], float] | None:
        """Evaluate a step and adapt the radius; None where the model was too far off."""
        model = self.model
        length = float(torch.linalg.vector_norm(coefficients))
        x = model.x + coefficients @ model.vectors
        value, gradient = self.probe.value_and_grad(x)
        if not math.isfinite(value) or not bool(gradient.isfinite().all()):
            self.radius = 0.25 * min(length, self.radius)
            self.broken = self.radius < 1e-14 * max(1.0, float(torch.linalg.vector_norm(x)))
            return None
        change = coefficients @ model.images
        inside = gradient - (gradient @ model.null.T) @ model.null
        miss = float(torch.linalg.vector_norm(inside - model.gradient - change))
        size = max(model.gradient_norm, float(torch.linalg.vector_norm(change)))
        # Next to the solution the prediction is zero and rounding errors are all there is.
        ratio = miss / size if size > 0 else 0.0
        if ratio > _REJECT:
            self.radius = 0.25 * min(length, self.radius)
            return None
        if ratio > _SHORTEN:
            self.radius = min(self.radius, 0.5 * length)
        elif ratio < _LENGTHEN:
            self.radius = max(self.radius, min(2 * length, 10 * self.first_radius))
        return (x, value, gradient), float(torch.linalg.vector_norm(inside))

    def _move(self, x: Tensor, value: float, gradient: Tensor, coefficients: Tensor, mode: int) -> None:
        followed = self.model.vectors[mode]
        # Where the mode turns over, its sign is the one that was climbed: at a minimum it says where to go.
        self.direction = followed if float(followed @ self.direction) >= 0 else -followed
        self.model = QuadraticModel(self.probe, x, value, gradient, self.direction[None])
