"""The density on the circle against reference values, exact laws and its own convergence."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lossatlas.core.errors import InputError
from lossatlas.theory.annealing import (
    CircleToy,
    Constant,
    Exponential,
    Linear,
    Logarithmic,
    Quench,
    circle_extrema,
    evolve_density,
    eyring_kramers_gap,
    generator_matrix,
    spectral_gap,
)
from lossatlas.theory.annealing.circle import curvature_at

TOY = CircleToy()


@pytest.mark.parametrize(
    ("beta", "times", "wrong"),
    [
        (Logarithmic(0.3), [1e3, 1e4], [0.279, 0.214]),
        (Logarithmic(0.5), [1e3, 1e4], [0.173, 0.103]),
        (Logarithmic(1.0), [1e3, 1e4], [0.348, 0.346]),
        (Logarithmic(2.0), [1e3, 1e4], [0.467, 0.467]),
        (Linear(0.1), [1e3], [0.336]),
        (Quench(60.0), [1e3], [0.480]),
    ],
    ids=str,
)
def test_the_wrong_basin_of_the_toy(beta, times: list[float], wrong: list[float]) -> None:  # type: ignore[no-untyped-def]
    found = evolve_density(TOY, beta, times)
    np.testing.assert_allclose(found.wrong, wrong, atol=6e-4)
    np.testing.assert_allclose(found.probability.sum(1), 1, atol=1e-9)
    assert found.probability.min() > -1e-6


@pytest.mark.parametrize(("beta", "ratio"), [(2.0, 0.877), (4.0, 0.925), (6.0, 0.952)])
def test_the_gap_against_eyring_kramers(beta: float, ratio: float) -> None:
    assert spectral_gap(TOY, beta) / eyring_kramers_gap(TOY, beta) == pytest.approx(ratio, abs=6e-4)


def test_a_free_walker_has_the_gaps_of_the_circle() -> None:
    assert spectral_gap(lambda t: 1e-9 * np.cos(t), 0.5) == pytest.approx(2.0, rel=1e-5)


def test_it_arrives_at_boltzmann() -> None:
    beta = 1.5
    found = evolve_density(TOY, beta, [200.0], cells=256)
    weights = np.exp(-beta * TOY.angle_energy(torch.from_numpy(found.angles)).numpy())
    np.testing.assert_allclose(found.probability[0], weights / weights.sum(), atol=1e-6)
    rates = generator_matrix(TOY, beta, 256)
    np.testing.assert_allclose(rates.sum(0), 0, atol=1e-9)
    assert np.abs(rates @ weights).max() < 1e-9


def test_the_slowest_mode_decays_with_the_gap() -> None:
    beta, cells = 2.0, 256
    found = evolve_density(TOY, beta, [40.0, 60.0], cells=cells, tolerance=1e-9)
    stationary = evolve_density(TOY, beta, [2000.0], cells=cells, tolerance=1e-9).wrong[0]
    rate = math.log((found.wrong[0] - stationary) / (found.wrong[1] - stationary)) / 20
    assert rate == pytest.approx(spectral_gap(TOY, beta, cells), rel=1e-4)


def test_the_error_falls_as_the_square_of_the_cells() -> None:
    fine = evolve_density(TOY, Logarithmic(0.5), [100.0], cells=512, tolerance=1e-8).wrong[0]
    errors = [
        abs(evolve_density(TOY, Logarithmic(0.5), [100.0], cells=n, tolerance=1e-8).wrong[0] - fine) for n in (32, 64)
    ]
    assert 3 < errors[0] / errors[1] < 5.5


@pytest.mark.parametrize("turn", [0.7, 2.0, math.pi, -3.0])
def test_turning_the_circle_changes_nothing(turn: float) -> None:
    def turned(angle: np.ndarray) -> np.ndarray:
        return 3.0 - np.cos(2 * (angle - turn)) - 0.25 * np.cos(angle - turn)

    found = evolve_density(turned, Logarithmic(0.5), [100.0])
    assert found.wrong[0] == pytest.approx(evolve_density(TOY, Logarithmic(0.5), [100.0]).wrong[0], abs=2e-5)
    assert spectral_gap(turned, 3.0) == pytest.approx(spectral_gap(TOY, 3.0), rel=1e-4)
    assert eyring_kramers_gap(turned, 3.0) == pytest.approx(eyring_kramers_gap(TOY, 3.0), rel=1e-5)


def test_extrema_of_many_wells() -> None:
    found = circle_extrema(lambda t: np.cos(5 * t + 0.3) + 0.1 * np.sin(t))
    assert len(found.minima) == len(found.passes) == 5
    gaps = np.diff(np.concatenate([found.minima, found.minima[:1] + 2 * np.pi]))
    assert (gaps > 0).all()
    for k in range(5):
        left, right = found.basin(k)
        assert left < found.minima[k] < right
    np.testing.assert_allclose(curvature_at(np.sin, np.array([1.0, 4.0])), -np.sin([1.0, 4.0]), atol=1e-8)
    assert eyring_kramers_gap(lambda t: np.cos(5 * t + 0.3) + 0.1 * np.sin(t), 4.0) > 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: evolve_density(TOY, 1.0, []), "finite times above 0"),
        (lambda: evolve_density(TOY, 1.0, [0.0]), "finite times above 0"),
        (lambda: evolve_density(TOY, 1.0, [2.0, 1.0]), "ascending"),
        (lambda: evolve_density(TOY, -1.0, [1.0]), "beta"),
        (lambda: evolve_density(TOY, Constant(math.inf), [1.0]), "pure descent"),
        (lambda: evolve_density(TOY, Exponential(1.0, 1.0), [1e4]), "overflow"),
        (lambda: evolve_density(TOY, 1.0, [1.0], cells=4), "cells"),
        (lambda: evolve_density(TOY, 1.0, [1.0], start=np.ones(512)), "sum to 1"),
        (lambda: evolve_density(TOY, 1.0, [1.0], start=np.ones(3) / 3), r"shape \(3,\)"),
        (lambda: evolve_density(lambda t: np.cos(2 * t), 1.0, [1.0]), "one global minimum"),
        (lambda: evolve_density(lambda t: 0 * t, 1.0, [1.0]), "a constant"),
        (lambda: evolve_density(lambda t: 0 * t + math.nan, 1.0, [1.0]), "finite energies"),
        (lambda: evolve_density(lambda t: 1.0, 1.0, [1.0]), "got shape"),
        (lambda: circle_extrema(lambda t: np.cos(t / 2)), "period 2 pi"),
        (lambda: circle_extrema(3.0), "U\\(theta\\)"),
        (lambda: spectral_gap(TOY, 0.0), "beta"),
        (lambda: eyring_kramers_gap(TOY, math.inf), "beta"),
        (lambda: eyring_kramers_gap(np.cos, 1.0), "two minima"),
    ],
)
def test_what_cannot_be_is_refused(call, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=words):
        call()
