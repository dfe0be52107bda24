"""SpectrumOptions: how thoroughly the curvature at a point is measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from lossatlas.core.errors import ConfigurationError, nearest

__all__ = ["Blocks", "SpectrumOptions"]

Blocks: TypeAlias = Literal["layer", "parameter", "none"]


@dataclass(frozen=True)
class SpectrumOptions:
    """How thoroughly.

    Args:
        count: eigenvalues from each end of the spectrum.
        tolerance: of their residuals.
        max_products: for each search.
        trace_tolerance: standard error of the trace relative to it.
        probes: random vectors of the density.
        steps: products for each of them.
        blocks: ``"layer"``, ``"parameter"`` or ``"none"``.
        batches: mini-batches; 0: none.
        batch_size: examples of each, at most all.
        others: whether Gauss-Newton and Fisher matrices are looked at too.
        gradient: |g| up to which a point is critical.
        zero: which eigenvalues count as zero, relative to the largest.
        confidence: of all intervals.
        seed: of everything random.

    Raises:
        ConfigurationError: numbers that cannot be.

    Example:
        >>> SpectrumOptions.of({"probes": 4}).probes
        4
    """

    count: int = 10
    tolerance: float = 1e-6
    max_products: int = 1000
    trace_tolerance: float = 0.05
    probes: int = 5
    steps: int = 40
    blocks: Blocks = "layer"
    batches: int = 5
    batch_size: int = 64
    others: bool = True
    gradient: float = 1e-5
    zero: float = 1e-6
    confidence: float = 0.99
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("count", 1), ("max_products", 100), ("probes", 2), ("steps", 2), ("batch_size", 1)):
            if getattr(self, name) < least:
                raise ConfigurationError(f"expected {name} of at least {least}, got {getattr(self, name)}")
        if self.batches < 0 or self.batches == 1:
            raise ConfigurationError(f"expected batches of 0 (none) or at least 2, got {self.batches}")
        for name in ("tolerance", "zero", "confidence", "trace_tolerance"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigurationError(f"expected {name} in (0, 1), got {getattr(self, name)}")
        if not self.gradient >= 0:
            raise ConfigurationError(f"expected gradient of at least 0, got {self.gradient}")
        if self.blocks not in ("layer", "parameter", "none"):
            raise ConfigurationError(f"expected blocks 'layer', 'parameter' or 'none', got '{self.blocks}'")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> SpectrumOptions:
        """Make them from names and values as a user gives them.

        Raises:
            ConfigurationError: an unknown name, or a value of the wrong type.
        """
        known = {each.name: each.default for each in dataclasses.fields(cls)}
        for name, value in options.items():
            if name not in known:
                raise ConfigurationError(f"a spectrum has no option '{name}': {nearest(name, known)}")
            wanted = type(known[name])
            fits = isinstance(value, int | float) and not isinstance(value, bool) if wanted is float else None
            if not (type(value) is wanted if fits is None else fits):
                words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}[wanted]
                raise ConfigurationError(f"expected {words} for '{name}' of a spectrum, got {value!r}")
        return cls(**options)
