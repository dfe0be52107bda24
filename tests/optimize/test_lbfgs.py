from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.core.files import bit_equal, load_tree, save_tree
from lossatlas.optimize import LBFGSGSS, LBFGSState, Optimizer, Status, get

Make = Callable


def test_published_constants_are_the_defaults() -> None:
    optimizer = LBFGSGSS()
    assert (optimizer.history, optimizer.minimum_cosine, optimizer.regularisation) == (10, 1e-4, 1e-6)
    assert (optimizer.guard, optimizer.retry_evaluations) == (True, 40)
    assert optimizer == get("lbfgs-gss")
    assert isinstance(optimizer, Optimizer)
    assert not optimizer.stochastic


@pytest.mark.parametrize("condition", [1.0, 1e2, 1e4, 1e6])
def test_quadratics_converge_and_never_rise(quadratic: Make, points: Make, condition: float) -> None:
    landscape = quadratic(8, condition)
    optimizer = LBFGSGSS(regularisation=0.0)
    state = optimizer.init(landscape, points(3, 8))
    first = state.value
    for _ in range(250):
        before = state.value
        state = optimizer.step(landscape, state)
        assert (state.value <= before).all()
    assert (state.value < 1e-10 * first).all()
    assert not (state.status == Status.DIVERGED).any()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), condition=st.floats(1, 1e6), dim=st.integers(1, 12))
def test_the_recorded_loss_never_rises(quadratic: Make, points: Make, seed: int, condition: float, dim: int) -> None:
    landscape = quadratic(dim, condition, seed=seed)
    for optimizer in (LBFGSGSS(), get("lbfgs-gss", probe="published")):
        state = optimizer.init(landscape, points(2, dim, seed=seed))
        for _ in range(25):
            before = state
            state = optimizer.step(landscape, state)
            assert (state.value <= before.value).all()
            # What is recorded is the loss where the row is.
            assert torch.equal(state.value, landscape.value_and_grad(state.x)[0])


def test_rosenbrock(valley: Make, points: Make) -> None:
    landscape = valley(2)
    state = LBFGSGSS().init(landscape, torch.tensor([[-1.2, 1.0], [2.0, -1.5]], dtype=torch.float64))
    for _ in range(150):
        state = LBFGSGSS().step(landscape, state)
    torch.testing.assert_close(state.x, torch.ones(2, 2, dtype=torch.float64), rtol=0, atol=1e-6)


def test_evaluations_are_counted_exactly_and_trials_take_no_gradient(valley: Make, points: Make) -> None:
    landscape = valley(5)
    optimizer = LBFGSGSS()
    state = optimizer.init(landscape, points(3, 5))
    assert (len(landscape.value_rows), len(landscape.gradient_rows)) == (0, 3)
    for step in range(1, 30):
        state = optimizer.step(landscape, state)
        assert state.steps == step
        assert len(landscape.value_rows) == state.values.sum()
        assert len(landscape.gradient_rows) == state.gradients.sum()
        # One gradient at each new point; values and gradients are of where the row is.
        assert (state.gradients <= 1 + step).all()
        value, gradient = valley(5).value_and_grad(state.x)
        assert torch.equal(value, state.value)
        assert torch.equal(gradient, state.gradient)
    assert (state.gradients == 30).all()


def test_trials_of_the_first_step_are_along_the_gradient(counted: Make) -> None:
    landscape = counted(lambda x: -x.sum(), 2)
    state = LBFGSGSS().init(landscape, torch.zeros(1, 2, dtype=torch.float64))
    state = LBFGSGSS().step(landscape, state)
    trials = torch.stack(landscape.value_rows)[:, 0].tolist()
    assert trials == pytest.approx([0.2, 0.8, 1.6, 3.2, 6.4, 12.8])
    assert torch.equal(state.x, landscape.value_rows[-1][None])
    assert (state.values.item(), state.gradients.item()) == (6, 2)


def test_the_tolerance_exit_steps_uphill_as_published_and_not_with_the_guard(counted: Make) -> None:
    x = torch.tensor([[1e-5]], dtype=torch.float64)

    def steep(x: Tensor) -> Tensor:
        # The first trial goes to -19 x, higher by less than the tolerance.
        return 50 * (x**2).sum()

    published = get("lbfgs-gss", guard=False)
    before = published.init(counted(steep, 1), x)
    after = published.step(counted(steep, 1), before)
    assert after.values.item() == 1
    assert after.x.item() == pytest.approx(-19e-5)
    assert after.value.item() == pytest.approx(361 * before.value.item())

    landscape = counted(steep, 1)
    guarded = LBFGSGSS()
    after = guarded.step(landscape, guarded.init(landscape, x))
    assert after.value < before.value
    # One trial of the search, then the retry along -g: 0.2 and 0.0764 rise, 0.029 rises, 0.011 falls.
    trials = ((x - torch.stack(landscape.value_rows)) / (100 * x)).flatten().tolist()
    assert trials[:5] == pytest.approx([0.2, 0.2, 0.0764, 0.2 * 0.382**2, 0.2 * 0.382**3])
    assert len(trials) == 1 + 6
    assert after.status.item() == Status.RUNNING


def test_precision_is_reached_where_no_trial_is_lower(counted: Make) -> None:
    # |x| at its kink: the one-sided slope promises a descent that does not exist.
    landscape = counted(lambda x: 1 + (x - 3).abs().sum() + 0.5 * (x - 3).sum(), 2)
    x = torch.full((2, 2), 3.0, dtype=torch.float64)
    x[1] = 5.0
    optimizer = LBFGSGSS()
    state = optimizer.step(landscape, optimizer.init(landscape, x))
    assert state.status.tolist() == [Status.PRECISION_REACHED, Status.RUNNING]
    assert state.active.tolist() == [False, True]
    assert torch.equal(state.x[0], x[0])
    assert state.values[0] == 6 + 40
    assert state.gradients.tolist() == [1, 2]
    again = optimizer.step(landscape, state)
    assert torch.equal(again.x[0], x[0])
    assert (again.values[0], again.gradients[0]) == (state.values[0], 1)


def test_an_equal_loss_is_not_below_the_start(counted: Make) -> None:
    landscape = counted(lambda x: 1 + (x - x.detach()).sum(), 2)
    x = torch.ones(1, 2, dtype=torch.float64)
    state = LBFGSGSS().step(landscape, LBFGSGSS().init(landscape, x))
    assert torch.equal(state.x, x)
    assert state.status.item() == Status.PRECISION_REACHED
    assert (state.values.item(), state.gradients.item()) == (1 + 40, 1)


def test_a_step_that_would_rise_forgets_the_history(quadratic: Make, points: Make) -> None:
    landscape, optimizer = quadratic(4, 10.0), LBFGSGSS()
    state = optimizer.init(landscape, points(1, 4))
    for _ in range(3):
        state = optimizer.step(landscape, state)
    assert state.pairs.count.item() == 3
    # Corrections of no weight and a scale of -1 turn the direction into +g.
    weightless = tuple(torch.full_like(p, 1e30) for p in state.pairs.products)
    pairs = replace(state.pairs, products=weightless, scales=tuple(-torch.ones_like(s) for s in weightless))
    torch.testing.assert_close(pairs.direction(state.gradient, 1e-6), state.gradient)
    upside_down = replace(state, pairs=pairs)
    after = optimizer.step(landscape, upside_down)
    assert after.value < state.value
    # Only the pair of the step along -g, which replaced the one uphill, is in use.
    assert after.pairs.count.item() == 1
    ratio = (after.x - state.x) / state.gradient
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-9, atol=0)


class Disagreeing:
    """A landscape whose loss, evaluated with the gradient, rounds up wherever it is not at the start."""

    def __init__(self, inner: object, start: Tensor, excess: float) -> None:
        self.inner, self.start, self.excess = inner, start, excess

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = self.inner.value_and_grad(x)  # type: ignore[attr-defined]
        moved = (x != self.start).any(-1)
        return torch.where(moved, value + self.excess, value), gradient


def test_a_point_whose_evaluations_disagree_is_not_taken(quadratic: Make, points: Make) -> None:
    x = points(1, 4)
    landscape = Disagreeing(quadratic(4), x, excess=100.0)
    optimizer = LBFGSGSS()
    before = optimizer.init(landscape, x)
    after = optimizer.step(landscape, before)
    assert torch.equal(after.x, x)
    assert torch.equal(after.value, before.value)
    assert torch.equal(after.gradient, before.gradient)
    assert after.gradients.item() == 2
    # It went along -g: the same search would end the same way.
    assert after.status.item() == Status.PRECISION_REACHED


def test_after_a_refused_quasi_newton_step_comes_the_gradient(quadratic: Make, points: Make) -> None:
    inner = quadratic(4)
    optimizer = LBFGSGSS()
    state = optimizer.step(inner, optimizer.init(inner, points(1, 4)))
    assert state.pairs.count.item() == 1
    refused = optimizer.step(Disagreeing(inner, state.x, excess=100.0), state)
    assert torch.equal(refused.x, state.x)
    assert refused.status.item() == Status.RUNNING
    assert refused.pairs.count.item() == 0
    inner.value_rows.clear()
    optimizer.step(inner, refused)
    torch.testing.assert_close(inner.value_rows[0], state.x[0] - 0.2 * state.gradient[0])


def test_an_unusable_direction_becomes_the_gradient(quadratic: Make, points: Make) -> None:
    landscape = quadratic(3)
    optimizer = LBFGSGSS()
    state = optimizer.step(landscape, optimizer.init(landscape, points(1, 3)))
    nan = torch.full_like(state.x, float("nan"))
    broken = replace(state, pairs=replace(state.pairs, changes=(nan,)))
    landscape.value_rows.clear()
    after = optimizer.step(landscape, broken)
    torch.testing.assert_close(landscape.value_rows[0], state.x[0] - 0.2 * state.gradient[0])
    assert after.pairs.count.item() == 1  # only the pair of this step


def test_negative_curvature_clears_the_history(counted: Make) -> None:
    landscape = counted(lambda x: torch.cos(x).sum(), 1)
    optimizer = LBFGSGSS()
    state = optimizer.step(landscape, optimizer.init(landscape, torch.tensor([[0.1]], dtype=torch.float64)))
    # Still on the concave side: s·y < 0.
    assert 0.1 < state.x.item() < torch.pi / 2
    assert state.pairs.count.item() == 0


def test_a_row_that_is_not_finite_diverges_alone(counted: Make) -> None:
    def wall(x: Tensor) -> Tensor:
        # The first coordinate only tells the rows apart; beyond 1 the gradient of two of them is lost, not the value.
        inside = ((x[1] - 2) ** 2) + 0 * x[0]
        return inside + (x[1] * 0).sqrt() if x[0] < 2 and x[1] > 1 else inside

    landscape = counted(wall, 2)
    x = torch.tensor([[0.0, 0.5], [1.0, 5.0], [2.0, float("nan")], [3.0, -30.0]], dtype=torch.float64)
    optimizer = LBFGSGSS()
    state = optimizer.init(landscape, x)
    assert state.status.tolist() == [Status.RUNNING, Status.DIVERGED, Status.DIVERGED, Status.RUNNING]
    state = optimizer.step(landscape, state)
    assert state.status[0] == Status.DIVERGED
    assert torch.equal(state.x[0], x[0])
    assert state.value[0].item() == 2.25
    landscape.gradient_rows.clear()
    landscape.value_rows.clear()
    for _ in range(3):
        state = optimizer.step(landscape, state)
    assert {row[0].item() for row in landscape.gradient_rows + landscape.value_rows} == {3.0}
    assert torch.equal(state.x[:2], x[:2])
    assert state.value[3] < 1e-6


def test_a_zero_gradient_is_convergence(quadratic: Make) -> None:
    landscape = quadratic(3)
    optimizer = LBFGSGSS()
    state = optimizer.init(landscape, landscape.minimum[None])
    assert state.status.item() == Status.CONVERGED
    assert optimizer.step(landscape, state).values.item() == 0
    loose = LBFGSGSS(gradient_tolerance=1e-3)
    state = loose.init(landscape, landscape.minimum[None] + 1)
    for _ in range(40):
        state = loose.step(landscape, state)
    assert state.status.item() == Status.CONVERGED
    assert torch.linalg.vector_norm(state.gradient) <= 1e-3


def states_equal(a: LBFGSState, b: LBFGSState) -> bool:
    return bit_equal(a.to_tree(), b.to_tree())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_do_not_depend_on_each_other(valley: Make, points: Make, dtype: torch.dtype) -> None:
    landscape, x = valley(6, dtype), points(5, 6, dtype)
    x[3] = float("inf")
    optimizer = LBFGSGSS()

    def run(rows: Tensor) -> LBFGSState:
        state = optimizer.init(landscape, rows)
        for _ in range(60):
            state = optimizer.step(landscape, state)
        return state

    together = run(x)
    assert together.status[3] == Status.DIVERGED
    for i in (0, 1, 2, 4):
        alone = run(x[i : i + 1])
        for name in ("x", "value", "active", "status", "values", "gradients", "gradient"):
            assert torch.equal(getattr(alone, name)[0], getattr(together, name)[i]), name
        assert alone.pairs.count[0] == together.pairs.count[i]


def test_a_stored_state_resumes_to_the_same_bits(valley: Make, points: Make, tmp_path: Path) -> None:
    landscape, optimizer = valley(5), LBFGSGSS(history=4)
    state = optimizer.init(landscape, points(3, 5))
    for step in range(40):
        if step == 13:
            save_tree(tmp_path / "state.json", state.to_tree())
            kept, picture = state, state.to_tree()
            picture = {k: v.clone() if isinstance(v, Tensor) else v for k, v in picture.items()}
        state = optimizer.step(landscape, state)
    resumed = optimizer.state_type.from_tree(load_tree(tmp_path / "state.json"), "cpu")
    for _ in range(13, 40):
        resumed = optimizer.step(landscape, resumed)
        kept = optimizer.step(landscape, kept)
    assert states_equal(resumed, state)
    # A state is a value: an old one steps again to the same bits.
    assert states_equal(kept, state)


def test_neither_the_start_nor_the_random_state_is_touched(valley: Make, points: Make) -> None:
    x = points(2, 4)
    copy, random = x.clone(), torch.random.get_rng_state()
    state = LBFGSGSS().init(valley(4), x)
    LBFGSGSS().step(valley(4), state)
    assert torch.equal(x, copy)
    assert state.x.data_ptr() != x.data_ptr()
    assert torch.equal(torch.random.get_rng_state(), random)


@pytest.mark.parametrize("shape", [(4,), (2, 5), (1, 2, 4)])
def test_starts_of_another_shape_are_refused(valley: Make, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="expected"):
        LBFGSGSS().init(valley(4), torch.zeros(shape, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("history", 0),
        ("minimum_cosine", -0.1),
        ("regularisation", -1.0),
        ("retry_evaluations", 0),
        ("gradient_tolerance", float("nan")),
    ],
)
def test_constants_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=name):
        LBFGSGSS(**{name: value})  # type: ignore[arg-type]
