"""Equipartition at low temperature: closed forms, and walkers in equilibrium."""

from __future__ import annotations

import math

import pytest
import torch

from lossatlas.core.errors import InputError
from lossatlas.theory.annealing import (
    CircleToy,
    Constant,
    InfoNCE,
    LinearEnergy,
    NTXent,
    equipartition,
    rising_directions,
    success_curve,
)


@pytest.mark.parametrize(
    ("energy", "rising"),
    [
        (CircleToy(), 1),
        (LinearEnergy(torch.tensor([0.0, 3.0, 0.0, 0.0])), 3),
        # N vectors on S^{d-1} have N (d - 1) directions, of which d (d - 1)/2 are rotations; a simplex in more
        # dimensions than it needs can be turned in fewer ways than that.
        (InfoNCE(3, 2), 2),
        (InfoNCE(4, 3), 5),
        (InfoNCE(5, 4), 9),
        (InfoNCE(2, 3), 2),
        # Pairs that are free to part: as many again.
        (InfoNCE(3, 2, aligned=False), 5),
        (NTXent(3, 2), 5),
    ],
    ids=str,
)
def test_directions_that_rise(energy, rising: int) -> None:  # type: ignore[no-untyped-def]
    assert rising_directions(energy) == rising


@pytest.mark.parametrize("dim", [2, 3, 6])
def test_the_law_is_the_limit_of_the_exact_mean(dim: int) -> None:
    energy = LinearEnergy(torch.eye(dim, dtype=torch.float64)[0])
    for beta in (50.0, 200.0):
        exact = 1 - energy.mean_alignment(beta)
        assert equipartition(dim - 1, beta) == pytest.approx(exact, rel=dim / beta)


def test_walkers_in_equilibrium_have_their_share() -> None:
    loss = InfoNCE(4, 3)
    beta = 200.0
    curve = success_curve(loss, Constant(beta), [20.0, 40.0], step=0.01, walkers=2000)
    assert curve.excess is not None
    mean, error = curve.excess[-1]
    assert error < 0.03 * mean
    # 1/β² and the step leave a few percent.
    assert mean == pytest.approx(equipartition(rising_directions(loss), beta), rel=0.08)


def test_energies_are_known_where_the_minimum_is() -> None:
    toy = CircleToy()
    hot = success_curve(toy, Constant(1e-2), [20.0], step=0.1, walkers=4000)
    assert hot.excess is not None
    mean, error = hot.excess[0]
    # The mean of cosines is 0, the minimum -1.25; to first order the mean energy falls by β Var U.
    assert abs(mean - (1.25 - 1e-2 * (0.5 + 0.25**2 / 2))) < 4 * error
    own = success_curve(toy, Constant(1.0), [1.0], step=0.1, walkers=10, success=lambda x: x[:, 0] > 0)
    assert own.excess is None


def test_bad_numbers() -> None:
    assert equipartition(3, math.inf) == 0
    for directions, beta in ((-1, 1.0), (2, 0.0), (2, math.nan)):
        with pytest.raises(InputError, match="expected directions"):
            equipartition(directions, beta)
