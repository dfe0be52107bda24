"""Saddles of a deep linear network: their index in closed form, and those that gradient flow visits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.curvature import Classification, classify, find_critical_points
from lossatlas.theory.linear.checks import above
from lossatlas.theory.linear.loss import DeepLinearLoss
from lossatlas.theory.linear.matrix_flow import MatrixFlow, join
from lossatlas.theory.linear.task import LinearTask, aligned_weights

__all__ = ["Plateau", "plateaus", "saddle_index", "saddle_weights"]


def saddle_weights(task: LinearTask, learned: Sequence[int], *, seed: int = 0) -> Tensor:
    """The balanced critical point at which some modes are learned and the others are at zero, ``-> (d,)``.

    Args:
        task: target and network.
        learned: modes that are learned, the strongest is 0; none for the saddle at zero.
        seed: names the frames of the hidden layers.

    Returns:
        Weights end to end, a row of :class:`~lossatlas.theory.linear.DeepLinearLoss`.

    Raises:
        InputError: depth 1, which has no saddle, or modes that do not exist.

    Example:
        >>> task = LinearTask(torch.diag(torch.tensor([2.0, 1.0])), width=3)
        >>> DeepLinearLoss(task).value(saddle_weights(task, [0]))
        tensor(0.5000, dtype=torch.float64)
    """
    known = _learned(task, learned)
    strengths = task.targets.clone()
    strengths[[mode for mode in range(task.modes) if mode not in known]] = 0
    return join(aligned_weights(task, strengths, seed=seed))


def saddle_index(task: LinearTask, learned: Sequence[int]) -> int:
    """Number of negative eigenvalues of the Hessian at :func:`saddle_weights`.

    Each unlearned mode β and learned mode α with s*_α < s*_β give one; for L = 2 each unlearned mode gives besides one
    for each hidden direction that no learned mode uses. Modes learned in the order of their strength give

    (r − k)(width − k) for L = 2 and k learned modes of r, and 0 for L > 2:

    beyond two layers the Hessian does not see the way out of these saddles (Kawaguchi 2016, arXiv 1605.07110), which
    is why plateaus are longer there. A classification by eigenvalues calls them minima, or a plateau at zero.

    Args:
        task: target and network.
        learned: modes that are learned, the strongest is 0.

    Returns:
        The index.

    Raises:
        InputError: depth 1, which has no saddle, or modes that do not exist.

    Example:
        >>> two = LinearTask(torch.diag(torch.tensor([3.0, 2.0, 1.0])), depth=2, width=4)
        >>> [saddle_index(two, range(k)) for k in range(4)]
        [12, 6, 2, 0]
        >>> three = LinearTask(torch.diag(torch.tensor([3.0, 2.0, 1.0])), depth=3, width=4)
        >>> saddle_index(three, [0]), saddle_index(three, [1])
        (0, 1)
    """
    known = _learned(task, learned)
    missing = [mode for mode in range(task.modes) if mode not in known]
    weaker = sum(int((task.targets[list(known)] < task.targets[mode]).sum()) for mode in missing) if known else 0
    free = (task.width - len(known)) if task.depth == 2 else 0
    return weaker + free * len(missing)


@dataclass(frozen=True)
class Plateau:
    """A stretch of gradient flow near a critical point.

    Args:
        time: when the gradient is smallest there.
        since: when it was steepest before, or the start of the flow.
        until: when it is steepest after, or the end.
        loss: of the flow at ``time``.
        learned: modes above half of their target.
        point: ``(d,)``, critical point that a search from there leads to.
        distance: from the flow at ``time`` to it.
        converged: whether that search ended at a critical point; if not, the rest describes where it stopped.
        classification: of the point, by :func:`lossatlas.curvature.classify`.
        predicted_index: what :func:`saddle_index` says of a saddle with these modes learned.
    """

    time: float
    since: float
    until: float
    loss: float
    learned: tuple[int, ...]
    point: Tensor
    distance: float
    converged: bool
    classification: Classification
    predicted_index: int

    @property
    def index(self) -> int:
        """Negative eigenvalues of the Hessian at the point; none where all vanish."""
        return 0 if self.classification.kinds == ("plateau",) else int(self.classification.index)


def plateaus(
    task: LinearTask, flow: MatrixFlow, *, gradient: float = 1e-12, zero: float = 1e-5, fraction: float = 0.5
) -> tuple[Plateau, ...]:
    """Find the plateaus of gradient flow, and what critical points it visits there.

    A plateau is a minimum of |g| in time before the last peak of |g|, or the start where |g| grows from it. From there
    :func:`lossatlas.curvature.find_critical_points` goes to the critical point, and
    :func:`lossatlas.curvature.classify` counts its negative eigenvalues.

    Args:
        task: target and network.
        flow: of this task, at moments close enough to show its plateaus.
        gradient: tolerance of |g| at which the search ends. At a distance ρ from a saddle of L > 2 matrices |g| is of
            order ρ^(L−1) and eigenvalues are off by ρ^(L−2): a point with |g| of 1e-12 has them to 1e-6.
        zero: tolerance of eigenvalues, relative to the largest; all vanish where none exceeds that part of the
            curvature of the strongest mode at its target, L s*^(2−2/L).
        fraction: part of its target at which a mode counts as learned.

    Returns:
        The plateaus in the order of time; the minimum at the end is none.

    Raises:
        InputError: depth 1, which has no saddle, a flow of another task, or tolerances that cannot be.

    Example:
        >>> from lossatlas.theory.linear import aligned_weights, matrix_flow
        >>> task = LinearTask(torch.diag(torch.tensor([3.0, 1.0])), width=3)
        >>> time = torch.linspace(0, 10, 400, dtype=torch.float64)
        >>> found = plateaus(task, matrix_flow(task, aligned_weights(task, 1e-4), time))
        >>> [(p.learned, p.index, p.predicted_index) for p in found]
        [((), 6, 6), ((0,), 2, 2)]
    """
    _learned(task, ())
    above(gradient, "gradient", 0, "below it a point counts as critical")
    part = above(fraction, "fraction", 0, "half is the usual one")
    landscape = DeepLinearLoss(task)
    flat = above(zero, "zero", 0, "eigenvalues within it count as zero")
    flat *= task.depth * float(task.targets[0]) ** (2 - 2 / task.depth)
    if flow.x.ndim != 2 or flow.x.shape[1] != landscape.dim:
        raise InputError(
            f"expected a flow of {landscape.dim} weights, got {tuple(flow.x.shape)}: pass matrix_flow of the same task"
        )
    peaks, valleys = _turns(flow.gradient_norm)
    found = []
    for moment in valleys:
        x = flow.x[moment]
        search = find_critical_points(landscape, x, gradient=gradient)
        learned = tuple((flow.strengths[moment] > part * task.targets).nonzero()[:, 0].tolist())
        before = [p for p in peaks if p < moment]
        after = [p for p in peaks if p > moment]
        found.append(
            Plateau(
                time=float(flow.time[moment]),
                since=float(flow.time[before[-1]] if before else flow.time[0]),
                until=float(flow.time[after[0]] if after else flow.time[-1]),
                loss=float(flow.loss[moment]),
                learned=learned,
                point=search.x,
                distance=float((search.x - x).norm()),
                converged=bool(search.converged),
                classification=classify(landscape, search.x, gradient=10 * gradient, zero=zero, flat=flat),
                predicted_index=saddle_index(task, learned),
            )
        )
    return tuple(found)


def _turns(size: Tensor) -> tuple[list[int], list[int]]:
    """Peaks of |g| in time, and its valleys before the last peak."""
    inner = torch.arange(1, len(size) - 1)
    here, left, right = size[1:-1], size[:-2], size[2:]
    peaks = inner[(here > left) & (here >= right)].tolist()
    valleys = inner[(here < left) & (here <= right)].tolist()
    if len(size) > 1 and float(size[1]) > float(size[0]):
        valleys = [0, *valleys]
    return peaks, [valley for valley in valleys if peaks and valley < peaks[-1]]


def _learned(task: LinearTask, learned: Sequence[int]) -> set[int]:
    if task.depth < 2:
        raise InputError(f"expected a task of depth 2 or more, got {task.depth}: one matrix has no saddle")
    known = set(learned)
    if not known <= set(range(task.modes)):
        raise InputError(f"expected modes from 0 to {task.modes - 1}, got {sorted(known)}: the strongest is 0")
    return known
