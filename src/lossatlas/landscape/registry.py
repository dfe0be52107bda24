"""Landscapes by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch

from lossatlas.core.errors import ConfigurationError, nearest
from lossatlas.core.registry import Registry
from lossatlas.landscape.analytic import Energy, Lifted, MullerBrown, PaperToy, Phi4Ring, Quadratic, Rosenbrock
from lossatlas.landscape.analytic.energy import Device

__all__ = ["get", "landscapes"]

landscapes: Registry[Callable[..., Energy]] = Registry("landscape")
"""Every named landscape; an entry called with its options makes one."""

landscapes.add("paper-toy", PaperToy, "two wells behind two bumps, the paper's two-dimensional example")
landscapes.add("muller-brown", MullerBrown, "the Müller-Brown surface: three minima in a bent valley")
landscapes.add("quadratic", Quadratic, "a rotated quadratic bowl of given condition number")
landscapes.add("rosenbrock", Rosenbrock, "Rosenbrock's curved valley in any dimension")
landscapes.add("phi4-ring", Phi4Ring, "a ring of coupled double wells, where the straight line is the worst start")


@landscapes.register("paper-toy-50d", "the paper's example hidden in 50 dimensions, with the same passes")
def _paper_toy_50d(
    *, stiffness: float = 10.0, seed: int = 0, dtype: torch.dtype = torch.float64, device: Device = None
) -> Energy:
    return Lifted(PaperToy(), 50, stiffness=stiffness, seed=seed, dtype=dtype, device=device)


@landscapes.register("muller-brown-50d", "the Müller-Brown surface hidden in 50 dimensions, with the same passes")
def _muller_brown_50d(
    *, stiffness: float = 500.0, seed: int = 0, dtype: torch.dtype = torch.float64, device: Device = None
) -> Energy:
    return Lifted(MullerBrown(), 50, stiffness=stiffness, seed=seed, dtype=dtype, device=device)


def get(name: str, **options: object) -> Energy:
    """Make a landscape by its name.

    Args:
        name: one of :data:`landscapes`, such as ``"paper-toy"``.
        options: what that landscape takes, such as ``dim`` or ``condition``; every one takes ``dtype`` and ``device``.

    Returns:
        The landscape.

    Raises:
        ConfigurationError: an unknown name or option; the message has the nearest valid one.
        InputError: an option's value cannot be.

    Example:
        >>> get("quadratic", dim=4, condition=1000.0).eigenvalues
        tensor([   1.,   10.,  100., 1000.], dtype=torch.float64)
        >>> get("quadratic", dims=4)
        Traceback (most recent call last):
        lossatlas.core.errors.ConfigurationError: unknown option 'dims' of the landscape 'quadratic': did you mean...
    """
    factory = landscapes[name]
    valid = list(inspect.signature(factory).parameters)
    for option in options:
        if option not in valid:
            raise ConfigurationError(f"unknown option '{option}' of the landscape '{name}': {nearest(option, valid)}")
    return factory(**options)
