"""Weight matching: the permutations that bring one set of weights closest to another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from lossatlas.core.randomness import generator
from lossatlas.symmetry.structure import Axis, PermutationStructure

__all__ = ["WeightMatching", "assignment"]

_TIE = 1e-12  # of the largest possible objective: less is rounding, and ties must not be swapped for ever


def assignment(gain: Tensor) -> Tensor:
    """The permutation π that maximises Σ_u gain[u, π(u)], ``(n, n) -> (n,)``.

    Example:
        >>> assignment(torch.tensor([[0.0, 2.0], [3.0, 4.0]]))
        tensor([1, 0])
    """
    _, columns = linear_sum_assignment(gain.numpy(), maximize=True)
    return torch.as_tensor(columns, dtype=torch.long)


@dataclass(frozen=True)
class WeightMatching:
    """Coordinate descent over groups: each in turn is assigned exactly with all others held, until none changes.

    Maximises <a, π(b)> = Σ_tensors <A, π(B)>, which minimises |a - π(b)|². One group enters linearly where no tensor
    has it on two axes, and the assignment is exact. A recurrent weight has it on both: there a Frank-Wolfe ascent
    over doubly stochastic matrices proposes the next permutation (Vogelstein et al. 2015, *Fast approximate quadratic
    programming for graph matching*, Algorithm 1), taken only if it is better. The objective never decreases.

    Ainsworth, Hayase & Srinivasa 2023, *Git Re-Basin*, section 3.2, Algorithm 1.

    Args:
        restarts: starts in all; the first from the identity, the others from random permutations; the best is kept.
        seed: of the order of the groups and the random starts.

    Example:
        >>> from lossatlas.symmetry import trace
        >>> net = torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))
        >>> structure = trace(net, torch.zeros(2, 2))
        >>> a = structure.spec.flatten(net)
        >>> b = structure.apply(a, structure.random(1))
        >>> bool((structure.apply(b, WeightMatching().match(structure, a, b)) == a).all())
        True
    """

    restarts: int = 5
    seed: int = 0

    def match(self, structure: PermutationStructure, reference: Tensor, moved: Tensor) -> dict[str, Tensor]:
        """Find the permutations of ``moved`` that bring it closest to ``reference``.

        Args:
            structure: of the network.
            reference: ``(d,)``.
            moved: ``(d,)``.

        Returns:
            Group to ``(n,)``.
        """
        return self.ascend(structure, reference, moved)[0]

    def ascend(
        self, structure: PermutationStructure, reference: Tensor, moved: Tensor
    ) -> tuple[dict[str, Tensor], tuple[float, ...]]:
        """As :meth:`match`, with the objective at the start and after each sweep of the best start."""
        task = _Task(structure, reference, moved)
        best: tuple[dict[str, Tensor], tuple[float, ...]] | None = None
        for restart in range(self.restarts):
            start = structure.identity()
            if restart:
                start = {
                    name: torch.randperm(len(each), generator=generator(self.seed, "matching start", restart, name))
                    for name, each in start.items()
                }
            found = task.climb(start, generator(self.seed, "matching order", restart))
            if best is None or found[1][-1] > best[1][-1] + task.tie:
                best = found
        return best if best is not None else (structure.identity(), (task.value(structure.identity()),))


class _Task:
    """One pair of weights, in float64 on the CPU."""

    def __init__(self, structure: PermutationStructure, reference: Tensor, moved: Tensor) -> None:
        self.structure = structure
        self.a = reference.detach().to("cpu", torch.float64)
        self.b = moved.detach().to("cpu", torch.float64)
        self.tie = _TIE * float(self.a.norm() * self.b.norm())
        self._a, self._b = structure.spec.unflatten(self.a), structure.spec.unflatten(self.b)
        self._uses: dict[str, list[Axis]] = {name: [] for name in structure.groups}
        for use in structure.parameter_axes:
            self._uses[use.group].append(use)

    def value(self, permutations: dict[str, Tensor]) -> float:
        """<a, π(b)>."""
        return float(self.a @ self.structure.apply(self.b, permutations))

    def climb(self, start: dict[str, Tensor], order: torch.Generator) -> tuple[dict[str, Tensor], tuple[float, ...]]:
        """Improve group by group until no group changes; returns the objective after each sweep too."""
        current, names = dict(start), list(start)
        history = [self.value(current)]
        improved = True
        while improved:
            improved = False
            for index in torch.randperm(len(names), generator=order).tolist():
                better = self._better(names[index], current)
                if better is not None:
                    current[names[index]] = better
                    improved = True
            history.append(self.value(current))
        return current, tuple(history)

    def _better(self, name: str, current: dict[str, Tensor]) -> Tensor | None:
        """A better permutation of one group with all others held; None where none was found."""
        # This group's own units are left in place: its axes are read unit by unit.
        held = {**current, name: torch.arange(len(current[name]))}
        uses = self._uses[name]
        b = {use.tensor: self.structure.permuted(use.tensor, self._b[use.tensor], held) for use in uses}
        often = [use.tensor for use in uses]
        n = len(current[name])
        linear = torch.zeros(n, n, dtype=torch.float64)
        for use in uses:
            if often.count(use.tensor) == 1:
                linear += _correlation(self._a[use.tensor], b[use.tensor], use)
        twice = [use for use in uses if often.count(use.tensor) > 1]

        def quadratic(p: Tensor) -> Tensor:
            """Gradient of the part in which the group stands on two axes of one tensor, at the matrix p."""
            total = torch.zeros_like(linear)
            for use in twice:
                mixed = b[use.tensor]
                for other in twice:
                    if other.tensor == use.tensor and other.axis != use.axis:
                        mixed = _mixed(mixed, other, p)
                total += _correlation(self._a[use.tensor], mixed, use)
            return total

        def objective(permutation: Tensor) -> float:
            p = torch.eye(n, dtype=torch.float64)[permutation]
            return float(((linear + 0.5 * quadratic(p)) * p).sum())

        proposals = _frank_wolfe(linear, quadratic, current[name]) if twice else [assignment(linear)]
        best = max(proposals, key=objective)
        return best if objective(best) > objective(current[name]) + self.tie else None


def _correlation(a: Tensor, b: Tensor, use: Axis) -> Tensor:
    """Inner products of what belongs to unit u of a with what belongs to unit v of b, ``-> (n, n)``."""
    n = len(use.members)
    left = a.movedim(use.axis, 0)[use.members].reshape(n, -1)
    right = b.movedim(use.axis, 0)[use.members].reshape(n, -1)
    return left @ right.T


def _mixed(tensor: Tensor, use: Axis, p: Tensor) -> Tensor:
    """Replace unit u by Σ_v p[u, v] (unit v)."""
    first = tensor.movedim(use.axis, 0).clone()
    units = first[use.members]
    first[use.members] = torch.tensordot(p, units, dims=([1], [0]))
    return first.movedim(0, use.axis)


def _frank_wolfe(linear: Tensor, quadratic: Callable[[Tensor], Tensor], start: Tensor, steps: int = 30) -> list[Tensor]:
    """Ascend f(P) = <linear, P> + ½ <quadratic(P), P> from two starts and round to permutations."""
    n = len(start)
    eye = torch.eye(n, dtype=linear.dtype)
    found = []
    # The barycentre knows no order of the units; the present permutation may only need polishing.
    for first in (torch.full_like(linear, 1 / n), eye[start]):
        p = first
        for _ in range(steps):
            gradient = linear + quadratic(p)
            direction = eye[assignment(gradient)] - p
            slope = float((gradient * direction).sum())
            curvature = 0.5 * float((quadratic(direction) * direction).sum())
            if slope <= _TIE * float(gradient.norm()):
                break
            p = p + (min(1.0, -slope / (2 * curvature)) if curvature < 0 else 1.0) * direction
        found.append(assignment(p))
    return found
