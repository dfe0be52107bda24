from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.core.files import bit_equal, load_tree, save_tree
from lossatlas.core.params import ParamSpec
from lossatlas.optimize import SGD, Status, TorchOptimizer, TorchState
from lossatlas.optimize.schedules import Exponential
from lossatlas.optimize.torch_adapter import ELEMENTWISE

Make = Callable
SPEC = ParamSpec(("weight", "bias"), ((3, 2), (3,)))


class LayerScaled(torch.optim.Optimizer):
    """The step of each tensor has the length of that tensor: what one is depends on its shape's other components."""

    def __init__(self, params: Iterable[Any], lr: float = 0.1) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                state["average"] = 0.5 * state.get("average", torch.zeros_like(p)) + p.grad
                p.grad.mul_(0)  # gradients are not the landscape's own tensors
                p.add_(state["average"], alpha=-group["lr"] * float(p.norm() / (state["average"].norm() + 1e-12)))


def network_loss(x: Tensor) -> Tensor:
    """A small regression whose parameters are those of SPEC."""
    parts = SPEC.unflatten(x)
    inputs = torch.linspace(-1, 1, 10, dtype=x.dtype).reshape(5, 2)
    return ((torch.tanh(inputs @ parts["weight"].T + parts["bias"]) - 0.5) ** 2).mean()


def loop(x: Tensor, factory: Any, steps: int, **options: Any) -> Tensor:
    """Train one network the plain way."""
    parameters = [nn.Parameter(p.clone()) for p in SPEC.unflatten(x).values()]
    optimizer = factory(parameters, **options)
    for _ in range(steps):
        optimizer.zero_grad()
        network_loss(torch.cat([p.reshape(-1) for p in parameters])).backward()
        optimizer.step()
    return torch.cat([p.detach().reshape(-1) for p in parameters])


CASES = [
    (torch.optim.Adam, {"lr": 0.05}),
    (torch.optim.Adam, {"lr": 0.05, "amsgrad": True, "betas": (0.8, 0.9)}),
    (torch.optim.AdamW, {"lr": 0.05, "weight_decay": 0.1}),
    (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    (torch.optim.Adafactor, {"lr": 0.05}),
    (LayerScaled, {"lr": 0.05}),
    *((factory, {}) for factory in sorted(ELEMENTWISE, key=lambda f: f.__name__)),
]


@pytest.mark.parametrize(("factory", "options"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_row_is_a_plain_loop(
    counted: Make, points: Make, factory: Any, options: dict, dtype: torch.dtype
) -> None:
    landscape, x = counted(network_loss, 9, dtype, SPEC), points(3, 9, dtype)
    optimizer = TorchOptimizer(factory, **options)
    state = optimizer.init(landscape, x)
    for _ in range(12):
        state = optimizer.step(landscape, state)
    for i in range(3):
        torch.testing.assert_close(state.x[i], loop(x[i], factory, 12, **options), rtol=0, atol=torch.finfo(dtype).eps)
    assert not torch.equal(state.x, x)
    assert state.gradients.tolist() == [12] * 3


def test_muon_runs_on_matrices(counted: Make, points: Make) -> None:
    spec = ParamSpec(("a", "b"), ((2, 3), (3, 3)))
    landscape, x = counted(lambda x: (x**2).sum(), 15, torch.float32, spec), points(2, 15, torch.float32)
    state = TorchOptimizer(torch.optim.Muon, lr=0.01).init(landscape, x)
    assert state.shapes == ((2, 3), (3, 3))
    after = TorchOptimizer(torch.optim.Muon, lr=0.01).step(landscape, state)
    assert not torch.equal(after.x, x)
    with pytest.raises(ConfigurationError, match="Muon accepts"):
        TorchOptimizer(torch.optim.Muon).init(counted(network_loss, 9, torch.float64, SPEC), points(1, 9))


def test_an_elementwise_optimizer_can_be_kept_apart(counted: Make, points: Make) -> None:
    landscape, x = counted(network_loss, 9, torch.float64, SPEC), points(2, 9)
    states = []
    for separate in (True, False):
        optimizer = TorchOptimizer(torch.optim.Adam, separate=separate, lr=0.1)
        state = optimizer.init(landscape, x)
        assert (state.shapes is not None) == separate
        for _ in range(5):
            state = optimizer.step(landscape, state)
        states.append(state.x)
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=1e-15)


@pytest.mark.parametrize(("factory", "options"), CASES[:6])
def test_a_stored_state_resumes_to_the_same_bits(
    counted: Make, points: Make, factory: Any, options: dict, tmp_path: Path
) -> None:
    landscape = counted(network_loss, 9, torch.float32, SPEC)
    optimizer = TorchOptimizer(factory, **options)
    state = optimizer.init(landscape, points(3, 9, torch.float32))
    for step in range(10):
        if step == 4:
            tree = state.to_tree()
            save_tree(tmp_path / "state.json", tree)
        state = optimizer.step(landscape, state)
    # The tree is independent of the run that went on, and can be resumed more than once.
    for source in (load_tree(tmp_path / "state.json"), tree, tree):
        resumed = TorchState.from_tree(source, "cpu")
        assert bit_equal(resumed.to_tree(), TorchState.from_tree(tree).to_tree())
        for _ in range(6):
            resumed = optimizer.step(landscape, resumed)
        assert bit_equal(resumed.to_tree(), state.to_tree())


@pytest.mark.parametrize("factory", [torch.optim.Adam, torch.optim.Rprop, torch.optim.Adafactor, LayerScaled])
def test_a_diverged_row_is_frozen_and_disturbs_nobody(counted: Make, points: Make, factory: Any) -> None:
    spec = ParamSpec(("a", "b"), ((2, 1), (1,)))

    def cliff(x: Tensor) -> Tensor:
        # One row meets an infinite gradient, another a loss that is not a number.
        height = (x**2).sum()
        if x[0] > 3:
            return height + (x[1] - x[1]).abs().sqrt()
        return height + (torch.log(x[2]) if x[0] < -3 else 0)

    x = torch.tensor([[1.0, 0.5, 0.5], [4.0, 1.0, 1.0], [-0.5, 2.0, 1.0], [-4.0, 1.0, -1.0]])
    optimizer = TorchOptimizer(factory, lr=0.01)

    def run(rows: Tensor) -> TorchState:
        landscape = counted(cliff, 3, torch.float32, spec)
        state = optimizer.init(landscape, rows)
        for _ in range(8):
            state = optimizer.step(landscape, state)
        assert len(landscape.gradient_rows) == state.gradients.sum()
        return state

    together, alone = run(x), run(x[[0, 2]])
    assert together.status.tolist() == [Status.RUNNING, Status.DIVERGED, Status.RUNNING, Status.DIVERGED]
    assert together.gradients.tolist() == [8, 1, 8, 1]
    assert torch.equal(together.x[[1, 3]], x[[1, 3]])
    assert torch.equal(together.x[[0, 2]], alone.x)


@pytest.mark.parametrize("factory", [LayerScaled, torch.optim.AdamW, torch.optim.SGD])
def test_the_landscape_keeps_its_gradient(counted: Make, points: Make, factory: Any) -> None:
    landscape, x = counted(network_loss, 9, torch.float64, SPEC), points(2, 9)
    kept = landscape.value_and_grad(x)
    copies = [t.clone() for t in kept]
    landscape.value_and_grad = lambda rows: kept
    optimizer = TorchOptimizer(factory, lr=0.1)
    state = optimizer.init(landscape, x)
    for _ in range(3):
        state = optimizer.step(landscape, state)
    assert all(torch.equal(a, b) for a, b in zip(kept, copies, strict=True))


def test_a_point_that_overflows_is_not_taken(counted: Make) -> None:
    landscape = counted(lambda x: x.sum(), 1, torch.float32)
    optimizer = TorchOptimizer(torch.optim.SGD, lr=3e38)
    x = torch.tensor([[-1e38], [3e38]])
    state = optimizer.init(landscape, x)
    for _ in range(2):
        state = optimizer.step(landscape, state)
    assert state.x.isfinite().all()
    assert state.status.tolist() == [Status.DIVERGED, Status.RUNNING]
    assert torch.equal(state.x[0], x[0])


def test_the_learning_rate_may_be_a_schedule(counted: Make, points: Make) -> None:
    landscape, x = counted(network_loss, 9, torch.float64, SPEC), points(2, 9)
    schedule = Exponential(0.5, 0.9)
    ours, theirs = SGD(schedule), TorchOptimizer(torch.optim.SGD, lr=schedule)
    a, b = ours.init(landscape, x), theirs.init(landscape, x)
    for step in range(6):
        if step == 3:
            b = TorchState.from_tree(b.to_tree())
        a, b = ours.step(landscape, a), theirs.step(landscape, b)
        assert torch.equal(a.x, b.x)
        assert torch.equal(a.batch_value, b.batch_value)


def test_only_the_newest_state_goes_on_and_older_points_stay(counted: Make, points: Make) -> None:
    landscape, x = counted(network_loss, 9, torch.float64, SPEC), points(2, 9)
    optimizer = TorchOptimizer(torch.optim.Adam, lr=0.1)
    old = optimizer.init(landscape, x)
    new = optimizer.step(landscape, old)
    optimizer.step(landscape, new)
    assert torch.equal(old.x, x)
    for use in (lambda: optimizer.step(landscape, old), old.to_tree):
        with pytest.raises(InputError, match="newest state"):
            use()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: TorchOptimizer(torch.optim.LBFGS), "lbfgs-gss"),
        (lambda: TorchOptimizer(torch.optim.SparseAdam), "dense"),
        (lambda: TorchOptimizer(torch.optim.Adam, beta=0.9), "did you mean 'betas'"),
        (lambda: TorchOptimizer(torch.optim.Adam, lr=-1.0), "Adam accepts"),
        (lambda: TorchOptimizer(torch.optim.Adam, lr="cosine"), "learning rate"),
        (lambda: TorchOptimizer(LayerScaled, rate=0.1), "no option 'rate'"),
    ],
)
def test_mistakes_are_named(make: Callable[[], object], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        make()


def test_what_makes_no_optimizer_is_refused(counted: Make, points: Make) -> None:
    landscape, x = counted(network_loss, 9, torch.float64, SPEC), points(1, 9)
    with pytest.raises(ConfigurationError, match="expected <lambda> to make"):
        TorchOptimizer(lambda params: params).init(landscape, x)  # type: ignore[arg-type,return-value]
    with pytest.raises(ConfigurationError, match="closure"):
        TorchOptimizer(lambda params: torch.optim.LBFGS(params, lr=0.5)).init(landscape, x)


def test_options_that_torch_refuses_in_its_first_step_are_refused_before_it(counted: Make, points: Make) -> None:
    landscape, x = counted(network_loss, 9, torch.float64, SPEC), points(1, 9)
    with pytest.raises(ConfigurationError, match=r"Adam can step on device 'cpu', got .*capturable"):
        TorchOptimizer(torch.optim.Adam, capturable=True).init(landscape, x)
