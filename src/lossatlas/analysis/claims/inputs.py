"""What claims are tested on: numbers of sets of runs and pairs, and scores of two sets, of one network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lossatlas.analysis.sample import Sample

__all__ = ["LANDSCAPES", "WAYS", "ClaimInputs", "Measured", "Score", "Scored"]

WAYS = ("published", "shortened", "converged", "aligned")
"""Ways to find a path: as published, in the published way with other constants, such as fewer steps, searched until it
converges, and that after the ends were aligned."""

LANDSCAPES = {"train": ("train", "test"), "test": ("test",)}
"""Weight sets between whose members paths are looked for, by landscape."""


@dataclass(frozen=True)
class Measured:
    """Name of a number measured for every run, or pair of minima, of one set.

    Args:
        quantity: what, such as ``"height"`` or ``"train loss"``.
        optimizer: such as ``"sgd"``.
        weight_set: ``"train"`` or ``"test"``; "" where it does not matter.
        landscape: ``"train"`` or ``"test"``, where paths are.
        way: how, such as ``"converged"`` or ``"lambda=10"``.

    Example:
        >>> str(Measured("height", "sgd", "test", "train", "converged"))
        'height, sgd test set, train landscape, converged'
    """

    quantity: str
    optimizer: str
    weight_set: str = ""
    landscape: str = ""
    way: str = ""

    def __str__(self) -> str:
        owner = f"{self.optimizer} {self.weight_set} set" if self.weight_set else self.optimizer
        landscape = self.landscape and f"{self.landscape} landscape"
        return ", ".join(part for part in (self.quantity, owner, landscape, self.way) if part)


@dataclass(frozen=True)
class Scored:
    """Name of a number measured for two sets together.

    Args:
        quantity: what, such as ``"separation, rbf kernel"``.
        first: a set as optimizer and weight set, ``("lbfgs-gss", "train")``.
        second: the other.
    """

    quantity: str
    first: tuple[str, str]
    second: tuple[str, str]

    def __str__(self) -> str:
        return f"{self.quantity}, {' '.join(self.first)} set and {' '.join(self.second)} set"


@dataclass(frozen=True)
class Score:
    """A number with its interval, computed elsewhere.

    Args:
        value: the number.
        low: lower end of its 95 % interval; None: there is no interval.
        high: upper end.
        p_value: of the hypothesis that the two sets are alike.
        units: number of minima.
        most_certain: lower end of the interval if the number were the largest there can be: with few minima even that
            proves little. None: not known.
        doubt: why the number says little whatever it is; "" where it does not.
    """

    value: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    units: int = 0
    most_certain: float | None = None
    doubt: str = ""


@dataclass(frozen=True)
class ClaimInputs:
    """All that was measured on one network; whatever is absent makes its claims "not measured".

    Args:
        network: its name.
        samples: numbers by name. Runs and minima of one optimizer have the same numbers in all its sets.
        scores: numbers of two sets together.
        notes: what a reader should know of some of the numbers, by name.
        quasi_newton: name of the deterministic optimizer.
        stochastic: name of the stochastic one.
        only: names of the claims that make sense here, such as one for a toy landscape; empty: all.

    Example:
        >>> losses = Sample.of_runs([1e-8, 2e-8, 3e-8])
        >>> inputs = ClaimInputs("fcp", {Measured("train loss", "lbfgs-gss", "train"): losses})
        >>> inputs.samples[Measured("train loss", "lbfgs-gss", "train")].units
        3
    """

    network: str
    samples: Mapping[Measured, Sample] = field(default_factory=dict)
    scores: Mapping[Scored, Score] = field(default_factory=dict)
    notes: Mapping[Measured, str] = field(default_factory=dict)
    quasi_newton: str = "lbfgs-gss"
    stochastic: str = "sgd"
    only: tuple[str, ...] = ()

    def asks(self, claim: str) -> bool:
        """Whether a claim is to be tested here."""
        return not self.only or claim in self.only
