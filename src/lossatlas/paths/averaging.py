"""May I average them? The loss of two networks' mean, as they are, aligned, and with statistics refreshed."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import DivergenceError, InputError
from lossatlas.core.files import Tree
from lossatlas.landscape.contract import Landscape, accept_rows
from lossatlas.paths.refreshed import Buffers, Score, keeps_statistics, refreshed_score, score

__all__ = ["Averaging", "Verdict", "averaging"]

Verdict: TypeAlias = Literal[
    "yes", "after refreshing statistics", "after alignment", "after alignment and refreshing statistics", "no"
]

# Of the loss that the network has before it learns anything: 0.023 nat for ten classes.
_TOLERANCE = 0.01


@dataclass(frozen=True)
class Averaging:
    """What averaging two networks does to the loss; made by :func:`averaging`.

    Args:
        start: the first network, with its own normalisation statistics.
        end: the second one.
        refreshed_start: the first one with statistics recomputed on the data; None where the model keeps none.
        refreshed_end: the second one.
        raw: their mean.
        refreshed: their mean with statistics recomputed; None where the model keeps none.
        aligned: the mean of the first and the aligned second network; None where no alignment was given.
        aligned_refreshed: the same with statistics recomputed.
        tolerance: how far a mean may lie above the higher end, in units of the loss.
        verdict: the simplest thing that has to be done so that it does not.
    """

    start: Score
    end: Score
    refreshed_start: Score | None
    refreshed_end: Score | None
    raw: Score
    refreshed: Score | None
    aligned: Score | None
    aligned_refreshed: Score | None
    tolerance: float
    verdict: Verdict

    @property
    def higher_end(self) -> float:
        """Loss of the worse network; with refreshed statistics where that is lower than with its own."""
        return _higher_end(self)

    @property
    def midpoints(self) -> dict[str, Score]:
        """The means that were made, by the name of what was done first."""
        found = {
            "raw": self.raw,
            "refreshed": self.refreshed,
            "aligned": self.aligned,
            "aligned and refreshed": self.aligned_refreshed,
        }
        return {name: each for name, each in found.items() if each is not None}

    @property
    def sentence(self) -> str:
        """The verdict in a sentence."""
        limit = f"the higher end has {self.higher_end:.4g}, and {self.tolerance:.2g} more is allowed"
        chosen = next((mean for verdict, mean in _steps(self) if verdict == self.verdict), None)
        if self.verdict == "yes":
            return f"Yes, they may be averaged: the mean of the weights has {_spelled(self.raw)}; {limit}."
        if chosen is not None:
            return (
                f"They may be averaged {self.verdict}: the mean then has {_spelled(chosen)}, instead of "
                f"{_spelled(self.raw)}; {limit}."
            )
        means = list(self.midpoints.values())
        best = min(means, key=lambda mean: mean.loss if math.isfinite(mean.loss) else math.inf)
        tried = "" if len(means) == 1 else ", at best,"
        return f"No, they should not be averaged: the mean of the weights has{tried} {_spelled(best)}; {limit}."

    def to_tree(self) -> Tree:
        """Return nested dicts of numbers, the form in which it is stored."""
        return asdict(self)

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> Averaging:
        """Rebuild it from :meth:`to_tree`."""
        fields: dict[str, Any] = {k: Score(**value) if isinstance(value, dict) else value for k, value in tree.items()}
        return cls(**fields)


def averaging(
    landscape: Landscape,
    a: Tensor,
    b: Tensor,
    *,
    aligned: Tensor | None = None,
    buffers: tuple[Buffers, Buffers] | None = None,
    aligned_buffers: Buffers | None = None,
    tolerance: float | None = None,
) -> Averaging:
    """Ask whether the mean of two networks is as good as they are.

    They may be averaged if L((a + b) / 2) ≤ max(L(a), L(b)) + tolerance. If not, the same is asked with normalisation
    statistics recomputed on the data, then of a and the aligned b, then of both together.

    Args:
        landscape: the loss; everything is evaluated in float64 on the whole data.
        a: ``(d,)``.
        b: ``(d,)``.
        aligned: ``(d,)``, b with its hidden units in the order of a's.
        buffers: normalisation statistics of a and of b; default: those of the landscape for both. The mean gets the
            mean of them, as averaging of state dicts does.
        aligned_buffers: those of ``aligned``; default: those of b.
        tolerance: in units of the loss; default: 1 % of the loss of the network whose weights are all zero, which
            is what it has before it learns anything (of the higher end, where that is more).

    Returns:
        Losses and metrics of ends and means, and the verdict.

    Raises:
        InputError: not two points of the landscape, or a negative tolerance.
        DivergenceError: the loss at an end is not finite.

    References:
        Ainsworth, Hayase & Srinivasa 2023, *Git Re-Basin*, ICLR; Jordan et al. 2023, *REPAIR*, ICLR, on refreshed
        statistics.

    Example:
        >>> from torch import nn
        >>> from lossatlas.landscape import NetworkLandscape
        >>> data = (torch.eye(3), torch.tensor([0, 1, 0]))
        >>> line = NetworkLandscape(nn.Linear(3, 2), nn.functional.cross_entropy, data)
        >>> a = torch.tensor([2.0, -2.0, 2.0, -2.0, 2.0, -2.0, 0.0, 0.0])
        >>> averaging(line, a, 1.5 * a).verdict, averaging(line, a, 0.1 * a).tolerance
        ('yes', 0.0069314718055994...)
    """
    a, b = accept_rows(a, landscape), accept_rows(b, landscape)
    aligned = None if aligned is None else accept_rows(aligned, landscape)
    for x in (a, b) if aligned is None else (a, b, aligned):
        if x.ndim != 1:
            raise InputError(f"expected two points of shape ({landscape.dim},), got {tuple(x.shape)}")
    if tolerance is not None and not (math.isfinite(tolerance) and tolerance >= 0):
        raise InputError(f"expected a tolerance of at least 0 in units of the loss, got {tolerance}")
    exact = landscape.to(dtype=torch.float64)
    start, end = a.double(), b.double()
    own_a, own_b = buffers or ({}, {})
    scores = {
        "start": score(exact, start, own_a),
        "end": score(exact, end, own_b),
        "raw": score(exact, 0.5 * (start + end), _mean(own_a, own_b)),
    }
    rows = {"refreshed_start": start, "refreshed_end": end, "refreshed": 0.5 * (start + end)}
    if aligned is not None:
        middle = 0.5 * (start + aligned.double())
        scores["aligned"] = score(exact, middle, _mean(own_a, aligned_buffers or own_b))
        rows["aligned_refreshed"] = middle
    for name in ("start", "end"):
        if not math.isfinite(scores[name].loss):
            raise DivergenceError(f"expected a finite loss at both ends, got {scores[name].loss} at the {name}")
    kept = keeps_statistics(exact, start)
    refreshed = {name: refreshed_score(exact, row) for name, row in rows.items()} if kept else {}
    every: dict[str, Score | None] = {"aligned": None, **dict.fromkeys([*rows, "aligned_refreshed"])}
    every |= {**scores, **refreshed}
    found = Averaging(**every, tolerance=0.0, verdict="no")  # type: ignore[arg-type]
    if tolerance is None:
        tolerance = _TOLERANCE * _untrained_loss(exact, start, found.higher_end)
    found = replace(found, tolerance=tolerance)
    return replace(found, verdict=_verdict(found))


def _mean(a: Buffers, b: Buffers) -> Buffers:
    # Counters of batches are integers, and no part of the loss.
    return {name: 0.5 * (a[name] + b[name].to(a[name])) for name in a if name in b and a[name].is_floating_point()}


def _untrained_loss(landscape: Landscape, row: Tensor, higher_end: float) -> float:
    """Loss of the network whose weights are zero; the higher end's where that is more, or where it is not finite."""
    untrained = score(landscape, torch.zeros_like(row), {}).loss
    return max(abs(untrained), abs(higher_end)) if math.isfinite(untrained) else abs(higher_end)


def _higher_end(found: Averaging) -> float:
    ends = ((found.start, found.refreshed_start), (found.end, found.refreshed_end))
    return max(min(s.loss for s in pair if s is not None and math.isfinite(s.loss)) for pair in ends)


def _steps(found: Averaging) -> tuple[tuple[Verdict, Score | None], ...]:
    """What may be done first, the simplest first, and the mean it gives."""
    return (
        ("yes", found.raw),
        ("after refreshing statistics", found.refreshed),
        ("after alignment", found.aligned),
        ("after alignment and refreshing statistics", found.aligned_refreshed),
    )


def _verdict(found: Averaging) -> Verdict:
    limit = found.higher_end + found.tolerance
    # A comparison with NaN is false: a mean that is not finite is no good.
    return next((verdict for verdict, mean in _steps(found) if mean is not None and mean.loss <= limit), "no")


def _spelled(found: Score) -> str:
    metrics = "".join(f", {name} {value:.4g}" for name, value in found.metrics.items())
    return f"loss {found.loss:.4g}{f' ({metrics[2:]})' if metrics else ''}"
