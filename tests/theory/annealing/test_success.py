"""Success of walkers against the Fokker-Planck solution, by their distance in standard errors."""

from __future__ import annotations

import math

import pytest
import torch

from lossatlas.core.errors import InputError
from lossatlas.theory.annealing import (
    CircleToy,
    InfoNCE,
    Linear,
    LinearEnergy,
    Logarithmic,
    OnTemperature,
    Power,
    Quench,
    circle_extrema,
    compare_schedules,
    falls,
    reaches,
    success_curve,
)

TOY = CircleToy()


@pytest.mark.parametrize(
    ("beta", "times"),
    [
        (Logarithmic(0.5), [20.0, 100.0]),
        (Logarithmic(2.0), [100.0]),
        (Linear(0.1), [100.0]),
        (Power(0.5, 0.5), [100.0]),
        (OnTemperature(Linear(-0.009, start=1.0)), [100.0]),
    ],
    ids=str,
)
def test_walkers_follow_the_density(beta, times: list[float]) -> None:  # type: ignore[no-untyped-def]
    curve = success_curve(TOY, beta, times, step=0.02, walkers=4000)
    assert curve.z is not None
    assert max(abs(z) for z in curve.z) < 4
    assert curve.times == tuple(times)


@pytest.mark.slow
@pytest.mark.parametrize(("c", "wrong"), [(0.3, 0.279), (0.5, 0.173), (1.0, 0.348)])
def test_walkers_over_a_thousand_times(c: float, wrong: float) -> None:
    curve = success_curve(TOY, Logarithmic(c), [1e3], step=0.025, walkers=2000)
    assert abs(curve.proportions[0].z(1 - wrong)) < 4


def test_slow_beats_fast() -> None:
    curves = compare_schedules(TOY, {"slow": Logarithmic(0.5), "quench": Quench(60.0)}, [50.0], step=0.02, walkers=1000)
    slow, fast = (curves[name].proportions[0] for name in ("slow", "quench"))
    assert slow.low > fast.high


def test_traps_catch_their_share_of_the_circle() -> None:
    extrema = circle_extrema(TOY)
    left, right = extrema.basin(extrema.deepest)
    assert abs(falls(TOY, starts=4000, seed=1).z((right - left) / (2 * math.pi))) < 4


@pytest.mark.parametrize(("pairs", "dim"), [(3, 2), (4, 3)])
def test_infonce_of_few_pairs_has_no_traps(pairs: int, dim: int) -> None:
    assert falls(InfoNCE(pairs, dim), starts=200).count == 200


def test_infonce_reaches_its_simplex() -> None:
    loss = InfoNCE(3, 2)
    curve = success_curve(loss, Logarithmic(20.0), [2.0], step=0.05, walkers=50)
    assert curve.exact is None
    assert curve.z is None
    assert curve.proportions[0].count == 50
    heated = success_curve(loss, 200.0, [2.0], step=0.05, walkers=50, tau=Linear(1.0, start=1.0))
    assert heated.proportions[0].count == 50


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: success_curve(TOY, 1.0, [], step=0.1), "at least one time"),
        (lambda: success_curve(LinearEnergy(torch.ones(3)), 1.0, [1.0], step=0.1), "expected success="),
        (lambda: success_curve(InfoNCE(5, 2), 1.0, [1.0], step=0.1), "expected success="),
        (lambda: success_curve(TOY, 1.0, [1.0], step=0.1, success=lambda x: x[:, 0]), "compare with a threshold"),
        (lambda: compare_schedules(TOY, {}, [1.0], step=0.1), "at least one schedule"),
        (lambda: reaches(TOY, TOY.spheres, math.nan), "finite optimum"),
    ],
)
def test_what_cannot_be_is_refused(call, words: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=words):
        call()
