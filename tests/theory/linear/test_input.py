"""Bad input is refused with what was expected, what came, and what to do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from lossatlas.core.errors import DivergenceError, InputError
from lossatlas.theory.linear import (
    LinearTask,
    ModeSDE,
    aligned_weights,
    convergence_orders,
    cross_mode_drift,
    diffusion_peak,
    integrate,
    learning_time,
    matrix_flow,
    measure_cross_mode_drift,
    measure_diffusion,
    mode_flow,
    network_beside_modes,
    plateaus,
    random_weights,
    saddle_index,
    stationary_law,
    train_network,
)

EYE = torch.eye(2)
TASK = LinearTask(EYE, width=3)
THREE = LinearTask(EYE, depth=3, width=3)
ONE = LinearTask(EYE, depth=1)
SDE = ModeSDE()
T = torch.linspace(0, 1, 5, dtype=torch.float64)
FLOW = matrix_flow(TASK, aligned_weights(TASK, 0.1), T)
NAN = float("nan")

CASES: dict[str, Callable[[], object]] = {
    "depth 0": lambda: ModeSDE(depth=0),
    "depth true": lambda: ModeSDE(depth=True),
    "depth 1.5": lambda: mode_flow(1.5, 1.0, 0.1, 1.0),  # type: ignore[arg-type]
    "negative noise": lambda: ModeSDE(noise=-0.1),
    "infinite noise": lambda: ModeSDE(noise=float("inf")),
    "negative batch": lambda: ModeSDE(batch=-1),
    "batch 0": lambda: LinearTask(EYE, batch=0),
    "no rate": lambda: ModeSDE(rate=0.0),
    "nan rate": lambda: LinearTask(EYE, rate=NAN),
    "target 0": lambda: ModeSDE(target=0.0),
    "task depth 0": lambda: LinearTask(EYE, depth=0),
    "task noise": lambda: LinearTask(EYE, noise=-1.0),
    "task vector": lambda: LinearTask(torch.ones(3)),
    "task zero": lambda: LinearTask(torch.zeros(2, 2)),
    "task nan": lambda: LinearTask(torch.full((2, 2), NAN)),
    "narrow": lambda: LinearTask(EYE, width=1),
    "no such mode": lambda: TASK.mode(2),
    "wrong product": lambda: TASK.strengths(torch.zeros(3, 2)),
    "flow from 0": lambda: mode_flow(2, 1.0, 0.0, 1.0),
    "flow backwards": lambda: mode_flow(2, 1.0, 0.1, -1.0),
    "fraction 1": lambda: learning_time(2, 1.0, 0.1, 1.0),
    "learned already": lambda: learning_time(3, 1.0, 0.9),
    "peak depth": lambda: diffusion_peak(0, coordinate="s"),
    "peak noise": lambda: diffusion_peak(2, 1.0, -0.1, coordinate="s"),
    "peak coordinate": lambda: diffusion_peak(2, coordinate="x"),  # type: ignore[arg-type]
    "drift coordinate": lambda: SDE.drift(T, "x"),  # type: ignore[arg-type]
    "too hot, one": lambda: stationary_law(ModeSDE(depth=1, rate=1.0, noise=0.5)),
    "too hot, two": lambda: stationary_law(ModeSDE(depth=2, rate=1.0)),
    "path from 0": lambda: integrate(SDE, 0.0, time=1.0, steps=10),
    "path shape": lambda: integrate(SDE, torch.ones(2, 2), time=1.0, steps=10),
    "no steps": lambda: integrate(SDE, 0.1, time=1.0, steps=0),
    "no time": lambda: integrate(SDE, 0.1, time=0.0, steps=10),
    "every": lambda: integrate(SDE, 0.1, time=1.0, steps=10, every=3),
    "method": lambda: integrate(SDE, 0.1, time=1.0, steps=10, method="euler"),  # type: ignore[arg-type]
    "increments": lambda: integrate(SDE, 0.1, time=1.0, steps=10, increments=torch.zeros(9, 1)),
    "one level": lambda: convergence_orders(SDE, levels=1),
    "few paths": lambda: convergence_orders(SDE, paths=20),
    "odd paths": lambda: convergence_orders(SDE, paths=50),
    "one sample": lambda: measure_cross_mode_drift(TASK, 0.5, samples=1),
    "cross depth": lambda: cross_mode_drift(THREE, 0.5),
    "negative strength": lambda: cross_mode_drift(TASK, -0.5),
    "three strengths": lambda: aligned_weights(TASK, torch.ones(3)),
    "random scale": lambda: random_weights(TASK, 0.0, 3),
    "no replica": lambda: random_weights(TASK, 0.1, 0),
    "other weights": lambda: train_network(TASK, aligned_weights(THREE, 0.1), steps=1),
    "two axes": lambda: train_network(TASK, tuple(torch.zeros(1, 1, *s) for s in TASK.shapes), steps=1),
    "train every": lambda: train_network(TASK, aligned_weights(TASK, 0.1), steps=10, every=4),
    "many flows": lambda: matrix_flow(TASK, random_weights(TASK, 0.1, 2), T),
    "moments": lambda: matrix_flow(TASK, aligned_weights(TASK, 0.1), T.flip(0)),
    "tolerance": lambda: matrix_flow(TASK, aligned_weights(TASK, 0.1), T, tolerance=0.0),
    "beginning": lambda: network_beside_modes(TASK, start="cold"),  # type: ignore[arg-type]
    "beside strength": lambda: network_beside_modes(TASK, strength=0.0, steps=10),
    "grown": lambda: network_beside_modes(TASK, start="random", grown=1.0),
    "saddle of one": lambda: saddle_index(ONE, []),
    "saddle mode": lambda: saddle_index(TASK, [2]),
    "other flow": lambda: plateaus(THREE, FLOW),
    "plateau zero": lambda: plateaus(TASK, FLOW, zero=0.0),
    "diffusion shape": lambda: measure_diffusion(T, T, depth=2, window=(0.2, 0.8)),
    "diffusion window": lambda: measure_diffusion(T, torch.ones(5, 2), depth=2, window=(0.8, 0.2)),
    "few increments": lambda: measure_diffusion(T, torch.ones(5, 2), depth=2, window=(0.2, 0.8)),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused_in_a_sentence(case: str) -> None:
    with pytest.raises(InputError, match=r"^expected .*got .*: .+"):
        CASES[case]()


def test_what_diverges_says_so() -> None:
    with pytest.raises(DivergenceError, match="take more steps"):
        integrate(ModeSDE(depth=3, target=2.0, rate=0.5), 1.0, time=50.0, steps=50, paths=50)
    task = LinearTask(EYE, depth=3, width=3, rate=2.0)
    with pytest.raises(DivergenceError, match="lower the rate"):
        train_network(task, aligned_weights(task, 1.0), steps=100, replicas=2)
