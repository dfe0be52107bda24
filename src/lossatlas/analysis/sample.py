"""Sample: numbers with the runs, or the pairs of minima, that they belong to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lossatlas.analysis.pair_design import PairDesign
from lossatlas.analysis.pass_heights import Numbers
from lossatlas.analysis.uncertainty import Estimate, mean_of_lowest, mean_of_pairs, mean_of_runs
from lossatlas.core.errors import InputError

__all__ = ["Sample"]


@dataclass(frozen=True)
class Sample:
    """Numbers of runs or of pairs; made by :meth:`of_runs` and :meth:`of_pairs`.

    Args:
        values: the numbers.
        members: what each number belongs to: ``(run,)`` or ``(minimum, minimum)``, the lower first.
        complete: whether these are all there are, such as the one pair of minima of a landscape with two; then
            nothing is left to chance, and the standard error is 0.
        lowest_of: of how many runs these are the lowest, chosen by these numbers; None: they were not chosen by them.

    Example:
        >>> heights = Sample.of_pairs([1.0, 2.0, 3.0], [(0, 1), (2, 0), (1, 2)])
        >>> heights.members, heights.units, heights.estimate().mean
        (((0, 1), (0, 2), (1, 2)), 3, 2.0)
    """

    values: tuple[float, ...]
    members: tuple[tuple[int, ...], ...]
    complete: bool = False
    lowest_of: int | None = None

    @classmethod
    def of_runs(
        cls,
        values: Numbers,
        runs: Sequence[int] | None = None,
        *,
        complete: bool = False,
        lowest_of: int | None = None,
    ) -> Sample:
        """One number per run.

        Args:
            values: ``(n,)``.
            runs: which run each is of; 0, 1, ... if None.
            complete: whether these are all runs there are.
            lowest_of: of how many runs these are the lowest in this very quantity.

        Raises:
            InputError: no values, another shape, or a run that comes twice.
        """
        numbers = _numbers(values)
        names = tuple(range(len(numbers))) if runs is None else tuple(int(run) for run in runs)
        if len(names) != len(numbers) or len(set(names)) < len(names):
            raise InputError(f"expected {len(numbers)} different runs, one for each value, got {list(names)}")
        return cls(numbers, tuple((run,) for run in names), complete, lowest_of)

    @classmethod
    def of_pairs(cls, values: Numbers, pairs: Sequence[tuple[int, int]], *, complete: bool = False) -> Sample:
        """One number per pair of minima, the same in either direction.

        Args:
            values: ``(P,)``.
            pairs: the two minima of each.
            complete: whether these are all pairs there are.

        Raises:
            InputError: no values, another shape, or pairs that :class:`PairDesign` refuses.
        """
        numbers = _numbers(values)
        if len(pairs) != len(numbers):
            raise InputError(f"expected one value per pair, got {len(numbers)} values and {len(pairs)} pairs")
        design = PairDesign([(int(i), int(j)) for i, j in pairs])
        return cls(numbers, tuple((min(pair), max(pair)) for pair in design.pairs), complete)

    @property
    def paired(self) -> bool:
        """Whether the numbers are of pairs of minima."""
        return len(self.members[0]) == 2

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The pairs of minima."""
        return [(member[0], member[1]) for member in self.members] if self.paired else []

    @property
    def units(self) -> int:
        """Number of independent units: runs, or different minima."""
        return len({unit for member in self.members for unit in member})

    def shares_units(self, other: Sample) -> bool:
        """Whether some run, or minimum, is in both."""
        own = {unit for member in self.members for unit in member}
        return any(unit in own for member in other.members for unit in member)

    @property
    def spread(self) -> float:
        """Standard deviation of the numbers; NaN of a single one."""
        if len(self.values) < 2 or not all(map(math.isfinite, self.values)):
            return float("nan")
        return float((np.asarray(self.values) - self.values[0]).std(ddof=1))

    def estimate(self, confidence: float = 0.95) -> Estimate:
        """Mean with its interval: :func:`mean_of_runs`, :func:`mean_of_lowest` or :func:`mean_of_pairs`."""
        if self.complete:
            mean = float(np.mean(self.values))
            return Estimate(mean, 0.0, mean, mean, self.units, math.inf)
        if self.paired:
            return mean_of_pairs(self.values, self.pairs, confidence)
        if self.lowest_of is not None:
            return mean_of_lowest(self.values, self.lowest_of, confidence)
        return mean_of_runs(self.values, confidence)

    def map(self, function: Callable[[float], float]) -> Sample:
        """The same sample of another quantity, such as the logarithm."""
        return replace(self, values=tuple(float(function(value)) for value in self.values))

    def log10(self) -> Sample:
        """Decimal logarithms.

        Raises:
            InputError: a number that is not positive.
        """
        if any(value <= 0 for value in self.values):
            raise InputError(
                f"expected positive numbers for logarithms, got {min(self.values):.6g}: compare differences instead"
            )
        return self.map(lambda value: math.log10(value) if not math.isnan(value) else value)

    def finite(self) -> Sample | None:
        """The sample without what is infinite or NaN; None where nothing is left."""
        keep = [k for k, value in enumerate(self.values) if math.isfinite(value)]
        if len(keep) == len(self.values):
            return self
        if not keep:
            return None
        return replace(self, values=tuple(self.values[k] for k in keep), members=tuple(self.members[k] for k in keep))

    def at(self, members: Sequence[tuple[int, ...]]) -> Sample:
        """The numbers of these members, in their order.

        Raises:
            InputError: a member that the sample lacks.
        """
        place = {member: k for k, member in enumerate(self.members)}
        lacking = [member for member in members if member not in place]
        if lacking:
            raise InputError(f"expected members of the sample, got {lacking[0]}, which it lacks")
        return replace(self, values=tuple(self.values[place[m]] for m in members), members=tuple(members))


def _numbers(values: Numbers) -> tuple[float, ...]:
    # float64 before numpy sees a tensor on another device
    array = np.asarray(values.detach().cpu().double() if hasattr(values, "detach") else values, dtype=np.float64)
    if array.ndim != 1 or len(array) == 0:
        raise InputError(f"expected numbers (n,), at least one, got shape {array.shape}")
    return tuple(array.tolist())
