"""A proportion and how sure it is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import binomtest

from lossatlas.core.errors import InputError

__all__ = ["Proportion"]


@dataclass(frozen=True)
class Proportion:
    """How many of some independent trials succeeded, with Wilson's interval of the probability.

    Args:
        count: successes.
        total: trials.
        confidence: of the interval.

    Raises:
        InputError: no trials, more successes than trials, or a confidence outside (0, 1).

    Reference:
        Wilson 1927, J. Am. Stat. Assoc. 22, 209.

    Example:
        >>> share = Proportion(0, 10)
        >>> share.estimate, round(share.low, 3), round(share.high, 3)
        (0.0, 0.0, 0.278)
    """

    count: int
    total: int
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not 0 <= self.count <= self.total or self.total < 1 or not 0 < self.confidence < 1:
            raise InputError(
                f"expected 0 <= count <= total, total >= 1 and 0 < confidence < 1, got {self.count}, "
                f"{self.total} and {self.confidence}: correct them"
            )

    @property
    def estimate(self) -> float:
        """Successes over trials."""
        return self.count / self.total

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self._interval()[0]

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self._interval()[1]

    def z(self, expected: float) -> float:
        """Distance from a probability in its own standard errors, (p̂ − p)/√(p(1−p)/n); 0/0 counts as 0."""
        if not 0 <= expected <= 1:
            raise InputError(f"expected a probability from 0 to 1, got {expected!r}: give one")
        difference = self.estimate - expected
        error = math.sqrt(expected * (1 - expected) / self.total)
        if error == 0:
            return 0.0 if difference == 0 else math.copysign(math.inf, difference)
        return difference / error

    def _interval(self) -> tuple[float, float]:
        found = binomtest(self.count, self.total).proportion_ci(self.confidence, method="wilson")
        return float(found.low), float(found.high)
