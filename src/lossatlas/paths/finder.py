"""PathFinder: what every way to find a path shares, so that each one is only its search."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from lossatlas.core.curve import Curve
from lossatlas.core.errors import InputError
from lossatlas.core.path import Path
from lossatlas.landscape.contract import Landscape, accept_rows
from lossatlas.paths.diagnose import check_ends, diagnose, resolution
from lossatlas.paths.search import Ends, Search, Status
from lossatlas.paths.starts import finite_start

__all__ = ["Ends", "PathFinder", "Search", "Status"]

# Bytes for the rows that one group of pairs evaluates at once. A constant, not the memory that happens to be free:
# the grouping can change the last bits of a result.
_GROUP_BYTES = 256 << 20
# Images of a curved start: smooth enough for any family, and few.
_CURVED_POINTS = 17


@dataclass(frozen=True, kw_only=True)
class PathFinder(ABC):
    """Finds low paths between points of a landscape, many pairs at once.

    A subclass says only :meth:`search`. Ends are checked before it and every path diagnosed after it, in float64 and
    on the whole data: loss at the samples, refined height, length, warnings (see :func:`lossatlas.paths.diagnose`).

    Args:
        points: samples of the path, both ends included; chains have as many images.
        tolerance: the refined height is accepted when doubling the resolution twice changes it by less than this
            fraction of (height - lower end); 0: it is not refined.
        saddle: follow the softest mode from the highest point to a stationary point and descend to both sides.
            None: where the landscape is smooth and has Hessian-vector products, but is not a network.
        seed: of everything random in the search.

    Raises:
        InputError: fewer than 2 points, or a tolerance outside [0, 1).
    """

    points: int = 51
    tolerance: float = 1e-6
    saddle: bool | None = None
    seed: int = 0

    name: ClassVar[str]
    searches: ClassVar[bool] = True
    """Whether another first path gives another result."""

    def __post_init__(self) -> None:
        if isinstance(self.points, bool) or not isinstance(self.points, int):
            raise InputError(f"expected a whole number of points, got {self.points!r}")
        if self.points < 2:
            raise InputError(f"expected at least 2 points on a path, got {self.points}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise InputError(f"expected seed as a whole number, got {self.seed!r}")
        if self.saddle is not None and not isinstance(self.saddle, bool):
            raise InputError(
                f"expected saddle as true, false or None (where the landscape is smooth), got {self.saddle!r}"
            )
        if not isinstance(self.tolerance, int | float) or not 0 <= self.tolerance < 1:
            raise InputError(f"expected a tolerance from 0 (not refined) to below 1, got {self.tolerance!r}")

    @abstractmethod
    def search(self, landscape: Landscape, ends: Ends) -> list[Search]:
        """Find a curve for every pair, batched over pairs and over points."""

    @property
    def label(self) -> str:
        """What a path of this finder says that it was found by."""
        return self.name

    @property
    def constants(self) -> dict[str, Any]:
        """Name to value of every constant in force, defaults filled in; a methods section is made of them.

        Example:
            >>> from lossatlas.paths import FourierPathFinder
            >>> constants = FourierPathFinder(method="published").constants
            >>> constants["steps"], constants["penalty"], constants["keep"]
            (100, 0.0001, 'lowest loss')
        """
        return {part.name: getattr(self, part.name) for part in fields(self)}

    @property
    def rows_at_once(self) -> int:
        """Rows of one pair that :meth:`search` holds at once; decides how many pairs are grouped."""
        return self.points

    def expected_evaluations(self, landscape: Landscape) -> tuple[float, float]:
        """Most values and gradients of one pair, in full-batch units, diagnostics included; for predictions of cost."""
        # Two doublings after the first samples, on a path half as long again as the straight line.
        refined = 6 * resolution(landscape) if self.tolerance > 0 else 0
        return self.points + refined, self.expected_gradients(landscape)

    def expected_gradients(self, landscape: Landscape) -> float:
        """Most gradients of one pair, in full-batch units; a subclass that searches says how many."""
        return 0.0

    def find(self, landscape: Landscape, start: Tensor, end: Tensor, *, initial: Tensor | None = None) -> Path:
        """Find a path between two points.

        Args:
            landscape: where.
            start: ``(d,)``, t = 0.
            end: ``(d,)``, t = 1.
            initial: ``(m, d)``, a first guess with both ends; default: the straight line.

        Returns:
            The path with its heights, barriers, cost and whether it converged.

        Raises:
            InputError: ends that are not points of the landscape, or whose coordinates or loss are not finite.
        """
        start, end = accept_rows(start, landscape), accept_rows(end, landscape)
        for end_point in (start, end):
            if end_point.ndim != 1:
                raise InputError(f"expected ends of shape ({landscape.dim},), got {tuple(end_point.shape)}")
        if initial is not None:
            initial = accept_rows(initial, landscape)[None]
        return self.find_many(landscape, start[None], end[None], initial=initial)[0]

    def find_many(
        self,
        landscape: Landscape,
        starts: Tensor,
        ends: Tensor,
        *,
        initial: Tensor | None = None,
        numbers: Sequence[int] | None = None,
    ) -> list[Path]:
        """Find a path for every pair of rows, ``(p, d), (p, d) -> p paths``.

        Args:
            landscape: where.
            starts: ``(p, d)``, t = 0.
            ends: ``(p, d)``, t = 1.
            initial: ``(p, m, d)``, first guesses.
            numbers: names of the pairs in seeds; default 0, 1, ...

        Returns:
            One path per pair, in order.

        Raises:
            InputError: as for :meth:`find`.
        """
        pairs = _check(landscape, starts, ends, initial, numbers)
        different = (pairs.start != pairs.end).any(-1)
        moving = torch.nonzero(different).flatten().tolist()
        guess = None if pairs.initial is None else pairs.initial[different]
        found = [replace(_stay(a), method=self.label) for a in pairs.start]
        todo = Ends(pairs.start[different], pairs.end[different], guess, tuple(pairs.numbers[i] for i in moving))
        row_bytes = landscape.dim * pairs.start.element_size() * 4
        size = max(1, _GROUP_BYTES // (row_bytes * self.rows_at_once))
        results = (result for group in todo.groups(size) for result in self.search(landscape, group))
        for i, result in zip(moving, results, strict=True):
            found[i] = result
        paths = [self._diagnose(landscape, result) for result in found]
        for at, i in enumerate(moving):
            if self.searches and self._broken(paths[i]):
                one = Ends(
                    todo.start[[at]], todo.end[[at]], None if guess is None else guess[[at]], (todo.numbers[at],)
                )
                paths[i] = self._again(landscape, one, paths[i])
        return paths

    def _broken(self, path: Path) -> bool:
        """Whether the loss is not finite on the path itself; a search may also stop because it is beside it."""
        return not bool(path.loss.isfinite().all()) or (self.tolerance > 0 and path.refined_height is None)

    def _again(self, landscape: Landscape, ends: Ends, lost: Path) -> Path:
        """Search once more, from a curve on which the loss is finite."""
        start, tried, values = finite_start(landscape, ends, _CURVED_POINTS, seed=self.seed)
        costs = dict(lost.evaluations)
        if start is None:
            costs["values"] = costs.get("values", 0) + values
            more = f"; none of {tried} curved starts is finite either" if tried else ""
            return replace(lost, evaluations=costs, message=lost.message + more)
        path = self._diagnose(landscape, self.search(landscape, start)[0])
        for name, spent in path.evaluations.items():
            costs[name] = costs.get(name, 0) + spent
        # The samples of the lost path are no part of this one, but they were evaluated.
        costs["values"] += values
        if self._broken(path):
            return replace(lost, evaluations=costs, message=f"{lost.message}; curved start {tried} led there, too")
        which = f"the first path ({lost.message}) was left for curved start {tried}"
        return replace(path, evaluations=costs, message=f"{which}: {path.message}")

    def _diagnose(self, landscape: Landscape, result: Search) -> Path:
        path = diagnose(
            landscape,
            result.curve,
            result.t,
            method=result.method or self.name,
            tolerance=self.tolerance,
            saddle=self.saddle,
        )
        evaluations = {**path.evaluations, **result.evaluations}
        evaluations["values"] = path.evaluations["values"] + result.evaluations.get("values", 0)
        lost = path.status == "not finite"
        return replace(
            path,
            evaluations=evaluations,
            status=path.status if lost else result.status,
            message=path.message if lost else result.message,
            history=dict(result.history) or None,
            warnings=(*result.warnings, *path.warnings),
        )


def _stay(point: Tensor) -> Search:
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)
    return Search(Curve.straight(point, point), t, "converged", "start and end are the same point", {"gradients": 0})


def _check(
    landscape: Landscape, starts: Tensor, ends: Tensor, initial: Tensor | None, numbers: Sequence[int] | None
) -> Ends:
    starts, ends = accept_rows(starts, landscape), accept_rows(ends, landscape)
    if starts.ndim != 2 or starts.shape != ends.shape:
        raise InputError(
            f"expected starts and ends of one shape (p, {landscape.dim}), got "
            f"{tuple(starts.shape)} and {tuple(ends.shape)}"
        )
    check_ends(starts, ends)
    if initial is not None:
        initial = accept_rows(initial, landscape)
        if initial.ndim != 3 or len(initial) != len(starts) or initial.shape[1] < 2:
            raise InputError(
                f"expected first guesses as ({len(starts)}, m, {landscape.dim}) with both ends, "
                f"got {tuple(initial.shape)}"
            )
        if not bool(initial[:, 1:-1].isfinite().all()):
            raise InputError("expected first guesses of finite coordinates, got NaN or infinity: leave such images out")
        if not torch.equal(initial[:, 0], starts) or not torch.equal(initial[:, -1], ends):
            raise InputError(
                "expected first guesses that begin at the start and stop at the end, got other points: "
                "take the ends from the guess, initial[0] and initial[-1]"
            )
    chosen = tuple(numbers) if numbers is not None else tuple(range(len(starts)))
    if len(chosen) != len(starts):
        raise InputError(f"expected {len(starts)} numbers of pairs, got {len(chosen)}")
    return Ends(starts.detach(), ends.detach(), None if initial is None else initial.detach(), chosen)
