"""Path: a curve between two points, how high the loss rises along it, and how sure we are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import Tensor

from lossatlas.core.curve import Curve
from lossatlas.core.files import Tree

__all__ = ["Path", "StationaryPoint"]


@dataclass(frozen=True)
class StationaryPoint:
    """Where minimum-mode following from the highest point of a path ended.

    Args:
        x: ``(d,)``.
        value: loss there, float64.
        gradient_norm: |∇L| there.
        index: number of negative Hessian eigenvalues; None where they were not computed.
        eigenvalues: ``(k,)``, the lowest Hessian eigenvalues, ascending, rigid motions left out.
        converged: whether the gradient norm fell below its tolerance.
        end_distances: distance of where steepest descent to either side arrived from the path's start and its end.
        connects: whether those descents reach the two ends of the path.
        evaluations: spent on it, ``{"gradients": n, "hessian_products": n}``.
        message: what was found, in a sentence.
    """

    x: Tensor
    value: float
    gradient_norm: float
    index: int | None
    eigenvalues: Tensor
    converged: bool
    end_distances: tuple[float, float] | None = None
    connects: bool | None = None
    evaluations: dict[str, float] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True)
class Path:
    """A path from ``start`` (t=0) to ``end`` (t=1) with the loss along it.

    Args:
        method: how it was found: ``"linear"``, ``"neb"``, ...
        t: ``(m,)``, curve parameter of the samples, from 0 to 1.
        loss: ``(m,)``, loss at the samples, in float64.
        length: length of the path.
        distance: straight distance between the ends.
        evaluations: evaluations of the loss and of its gradient, in full-batch units (a mini-batch of B of N samples
            counts B/N). ``"values"`` and ``"gradients"`` were spent on the search and the samples,
            ``"diagnostic_values"`` and ``"diagnostic_gradients"`` on the refined height and the ends.
        points: ``(m, d)``, the samples, where they are small enough to be kept; see :attr:`curve`.
        metrics: other figures along the path, name to ``(m,)``.
        message: converged or not, and why.
        status: ``"converged"``, ``"iteration limit"``, ``"not optimized"``, ``"interrupted"`` or ``"not finite"``.
        arc: ``(m,)``, arc length up to each sample, in the units of the coordinates.
        refined_height: maximum over the whole curve, every local maximum refined and the resolution doubled until
            it no longer changed; None where it was not asked for or the loss is not finite.
        refined_t: where that maximum is.
        refined: whether it stopped changing.
        curve: the curve itself; None where it can be made again from its ends or was not kept.
        history: the search, name (``"height"``, ``"objective"``, ``"force"``, ...) to ``(iterations,)``.
        saddle: the stationary point found from the maximum, where that was asked for.
        warnings: what a reader of these numbers should know, in sentences.

    Example:
        >>> import torch
        >>> path = Path("linear", torch.tensor([0.0, 0.5, 1.0]), torch.tensor([1.0, 4.0, 2.0]), 3.0, 3.0,
        ...             {"values": 3, "gradients": 0})
        >>> path.height, path.barrier, path.forward_barrier, path.reverse_barrier
        (4.0, 2.0, 3.0, 2.0)
        >>> path.linear_interpolation_barrier
        2.5
    """

    method: str
    t: Tensor
    loss: Tensor
    length: float
    distance: float
    evaluations: dict[str, float]
    points: Tensor | None = None
    metrics: dict[str, Tensor] | None = None
    message: str = ""
    status: str = "not optimized"
    arc: Tensor | None = None
    refined_height: float | None = None
    refined_t: float | None = None
    refined: bool = False
    curve: Curve | None = None
    history: Mapping[str, Tensor] | None = None
    saddle: StationaryPoint | None = None
    warnings: tuple[str, ...] = ()

    @property
    def converged(self) -> bool:
        """Whether the search met its tolerance, rather than its limit."""
        return self.status == "converged"

    @property
    def sampled_height(self) -> float:
        """Highest loss at the samples: what is usually published, and never above the curve's true height."""
        return float(self.loss.max())

    @property
    def height(self) -> float:
        """Highest loss along the path: refined where that is known, else at the samples."""
        return self.sampled_height if self.refined_height is None else self.refined_height

    @property
    def barrier(self) -> float:
        """Height above the higher of the two ends."""
        return self.height - max(float(self.loss[0]), float(self.loss[-1]))

    @property
    def forward_barrier(self) -> float:
        """Height above the start."""
        return self.height - float(self.loss[0])

    @property
    def reverse_barrier(self) -> float:
        """Height above the end."""
        return self.height - float(self.loss[-1])

    @property
    def stretch(self) -> float:
        """Length over straight distance; 1 for a straight line and for identical ends."""
        return self.length / self.distance if self.distance > 0 else 1.0

    @property
    def linear_interpolation_barrier(self) -> float | None:
        """Largest rise above the chord between the end losses, at the samples; straight lines only.

        Entezari et al. 2022, *The role of permutation invariance in linear mode connectivity*, Definition 3.1:
        max over t of L((1-t)a + t b) - (1-t)L(a) - t L(b).
        """
        if self.method != "linear":
            return None
        chord = (1 - self.t) * self.loss[0] + self.t * self.loss[-1]
        return float((self.loss - chord).max())

    def reversed(self) -> Path:
        """The same path walked from end to start."""
        saddle = self.saddle
        if saddle is not None and saddle.end_distances is not None:
            saddle = replace(saddle, end_distances=(saddle.end_distances[1], saddle.end_distances[0]))
        return replace(
            self,
            t=1 - self.t.flip(0),
            loss=self.loss.flip(0),
            points=None if self.points is None else self.points.flip(0),
            metrics=self.metrics and {k: v.flip(0) for k, v in self.metrics.items()},
            arc=None if self.arc is None else self.arc[-1] - self.arc.flip(0),
            refined_t=None if self.refined_t is None else 1 - self.refined_t,
            curve=None if self.curve is None else self.curve.reversed(),
            saddle=saddle,
        )

    def to_tree(self, *, curve: bool = True) -> Tree:
        """Return nested dicts of tensors and numbers, the form in which paths are stored.

        Args:
            curve: whether to keep the curve, K + 2 vectors of d numbers, and the sampled points.
        """
        tree = {name: getattr(self, name) for name in self.__dataclass_fields__}
        tree["evaluations"] = dict(self.evaluations)
        tree["metrics"] = dict(self.metrics) if self.metrics is not None else None
        tree["history"] = dict(self.history) if self.history is not None else None
        tree["curve"] = self.curve.to_tree() if curve and self.curve is not None else None
        tree["points"] = self.points if curve else None
        tree["saddle"] = asdict(self.saddle) if self.saddle is not None else None
        return tree

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> Path:
        """Rebuild a path from :meth:`to_tree`."""
        found = dict(tree)
        if found.get("curve") is not None:
            found["curve"] = Curve.from_tree(found["curve"])
        if found.get("saddle") is not None:
            found["saddle"] = StationaryPoint(**found["saddle"])
        return cls(**found)
