"""The equations of one-pass SGD: against gradient flow, a simulation, and their noise floor."""

import pytest
import torch

from lossatlas.core.errors import DivergenceError, InputError
from lossatlas.theory.committee import (
    Committee,
    Dynamics,
    check_overlaps,
    noise_floor,
    overlaps,
    random_student,
    realise,
    simulate,
)

EYE = torch.eye(2, dtype=torch.float64)


@pytest.mark.parametrize("name", ["relu", "erf"])
def test_gradient_flow_is_descent_in_small_steps(name):
    q, r = random_student(3, EYE, 10, seed=1)
    student, teacher = realise(q, r, EYE, 6)
    landscape = Committee(teacher, 3, activation=name)
    ends = []
    for h in (1e-2, 5e-3):
        x = student.flatten()
        for _ in range(round(2 / h)):
            x = x - h * landscape.value_and_grad(x)[1]
        ends.append(landscape.value(x))
    course = Dynamics(EYE, activation=name).solve(q, r, [0.0, 2.0], rtol=1e-9, atol=1e-11)
    # Euler's error is of first order: two steps give the limit.
    assert float(course.loss[1]) == pytest.approx(float(2 * ends[1] - ends[0]), abs=2e-6)


def _short_and_blind():
    """Three students of length 0.7, orthogonal to each other and to the teacher."""
    return 0.49 * torch.eye(3, dtype=torch.float64), torch.zeros(3, 2, dtype=torch.float64)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["relu", "erf"])
def test_equations_follow_simulated_sgd(name):
    q, r = _short_and_blind()
    dynamics = Dynamics(EYE, 0.5, 0.04, activation=name)
    times = [0.0, 2.0, 6.0]
    course = dynamics.solve(q, r, times)
    run = simulate(dynamics, q, r, times, dim=1000, replicas=24, seed=3)
    mean, error = run.mean()
    assert abs(course.loss - mean)[2] < 4 * error[2]
    assert (course.q - run.mean("q")[0]).abs().max() < 0.03
    assert (course.r - run.mean("r")[0]).abs().max() < 0.03
    assert float(error[0]) < 1e-6


def test_forgetting_the_square_of_the_rate_is_seen():
    """Without the η² terms the loss at t = 6 is half: the comparison above would fail."""
    q, r = _short_and_blind()
    assert float(Dynamics(EYE, 0.5, 0.04).solve(q, r, [0.0, 6.0]).loss[1]) == pytest.approx(0.149, abs=1e-3)
    assert float(Dynamics(EYE).solve(q, r, [0.0, 3.0]).loss[1]) == pytest.approx(0.074, abs=5e-4)


@pytest.mark.parametrize("name", ["relu", "erf"])
def test_noise_floor_is_reached_linearly(name):
    noise, excess = 0.1, []
    for rate in (0.04, 0.02, 0.01):
        dynamics = Dynamics(EYE, rate, noise, activation=name)
        q, r = dynamics.stationary(EYE * (1 + rate * noise), EYE)
        excess.append(float(dynamics.loss(q, r) / noise_floor(EYE, rate, noise, name)) - 1)
    assert abs(excess[2]) < 0.1
    assert excess[0] / excess[1] == pytest.approx(2, abs=0.25)
    assert excess[1] / excess[2] == pytest.approx(2, abs=0.15)


def test_noise_floor_of_relu_does_not_ask_for_lengths():
    assert float(noise_floor(3 * torch.eye(5, dtype=torch.float64), 0.1, 0.4)) == pytest.approx(0.1 * 0.4 * 5 / 8)


def test_rates_take_batches():
    q, r = random_student(3, EYE, 50, seed=2, batch=4)
    dynamics = Dynamics(EYE, 0.3, 0.1)
    dq, dr = dynamics.rates(q, r)
    one = dynamics.rates(q[2], r[2])
    assert torch.allclose(dq[2], one[0], atol=1e-14)
    assert torch.allclose(dr[2], one[1], atol=1e-14)
    assert torch.allclose(dq, dq.mT, atol=1e-14)


def test_simulation_starts_at_the_overlaps_given_and_repeats():
    q, r = random_student(3, EYE, 1000, seed=4)
    dynamics = Dynamics(EYE, 0.2, 0.1)
    runs = [simulate(dynamics, q, r, [0.0, 0.5], dim=40, replicas=3, dtype=torch.float64) for _ in range(2)]
    assert torch.equal(runs[0].loss, runs[1].loss)
    assert torch.allclose(runs[0].q[0], q.expand(3, 3, 3), atol=1e-12)
    assert torch.allclose(runs[0].r[0], r.expand(3, 3, 2), atol=1e-12)
    assert runs[0].loss.shape == (2, 3)
    later = simulate(dynamics, q, r, [0.25, 0.5], dim=40, replicas=3, dtype=torch.float64)
    assert torch.allclose(later.loss[-1], runs[0].loss[-1], atol=1e-12)
    assert later.times.tolist() == [0.25, 0.5]


def test_realised_rows_have_their_overlaps():
    q, r = random_student(3, EYE, 5, seed=5)
    found = overlaps(*realise(q, r, EYE, 9))
    for ours, given in zip(found, (q, r, EYE), strict=True):
        assert torch.allclose(ours, given, atol=1e-13)


def test_a_rate_too_large_is_reported():
    one = EYE[:1, :1]
    with pytest.raises(DivergenceError, match="learning rate 50"):
        Dynamics(one, 50.0).solve(one, 0 * one, [0.0, 10.0])
    with pytest.raises(DivergenceError, match="use a smaller one"):
        simulate(Dynamics(one, 50.0), one, 0 * one, [0.0, 20.0], dim=50, replicas=2)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: Dynamics(EYE, -0.1), "expected the learning rate as a finite number above 0, got -0.1: "),
        (lambda: Dynamics(EYE, 0.1, -1.0), "label noise as a finite number of at least 0, got -1.0: "),
        (lambda: Dynamics(EYE, None, 1.0), "expected no label noise in gradient flow, got 1.0: "),
        (lambda: Dynamics(EYE.float(), 0.1), "float64"),
        (lambda: Dynamics(EYE, 0.1).solve(EYE, EYE, [1.0, 0.0]), "expected at least two increasing times"),
        (lambda: Dynamics(EYE, 0.1).solve(EYE[None], EYE[None], [0.0, 1.0]), "expected one start"),
        (lambda: Dynamics(EYE, 0.1).solve(EYE, 2 * EYE, [0.0, 1.0]), "positive semidefinite, got an eigenvalue -1: "),
        (lambda: Dynamics(EYE, 0.1).solve(0 * EYE, 0 * EYE, [0.0, 1.0]), "expected units of positive length"),
        (lambda: check_overlaps(EYE, EYE[:1], EYE), "expected Q .* and R .*, got .*: "),
        (lambda: check_overlaps(EYE + torch.tensor([[0, 0.1], [0, 0]]), 0 * EYE, EYE), "expected a symmetric Ω"),
        (lambda: simulate(Dynamics(EYE), EYE, EYE, [0.0, 1.0]), "expected Dynamics with a learning rate"),
        (lambda: simulate(Dynamics(EYE, 0.1), EYE, EYE, [0.0, 1.0], dim=3), r"K \+ M = 4 coordinates, got 3: "),
        (lambda: noise_floor(EYE, 0.1, -0.1), "at least 0, got -0.1: "),
        (lambda: random_student(2, EYE, 1), "expected at least M = 2 coordinates, got 1: "),
    ],
)
def test_bad_input_is_refused(call, match):
    with pytest.raises(InputError, match=match):
        call()
