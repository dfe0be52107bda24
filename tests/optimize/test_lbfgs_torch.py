from __future__ import annotations

import copy
import io
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.optimize import LBFGSGSS, GoldenSectionLineSearch, LBFGSGoldenSection, Status

Make = Callable
DOUBLE = torch.float64


class Loop:
    """A user's training loop around a function of several tensors; counts its calls."""

    def __init__(self, f: Callable[..., Tensor], tensors: list[nn.Parameter], values: bool = True, **options: object):
        self.f, self.tensors, self.backward, self.forward = f, tensors, 0, 0
        self.optimizer = LBFGSGoldenSection(tensors, **options)  # type: ignore[arg-type]
        self.values = values

    def closure(self) -> Tensor:
        self.optimizer.zero_grad()
        loss = self.f(*self.tensors)
        loss.backward()
        self.backward += 1
        return loss

    def value(self) -> Tensor:
        assert not torch.is_grad_enabled()
        self.forward += 1
        return self.f(*self.tensors)

    def step(self) -> Tensor:
        return self.optimizer.step(self.closure, self.value if self.values else None)


@pytest.mark.parametrize("values", [True, False])
@pytest.mark.parametrize("options", [{}, {"guard": False, "history": 3}])
def test_it_is_the_row_optimizer_bit_for_bit(valley: Make, points: Make, values: bool, options: dict) -> None:
    landscape, x = valley(6), points(1, 6)
    a, b = nn.Parameter(x[0, :2].clone()), nn.Parameter(x[0, 2:].reshape(2, 2).clone())
    loop = Loop(lambda a, b: landscape.f(torch.cat([a, b.flatten()])), [a, b], values, **options)
    rows = LBFGSGSS(**options)
    state = rows.init(landscape, x)
    for _ in range(60):
        before = state.value[0]
        state = rows.step(landscape, state)
        assert torch.equal(loop.step(), before)
        assert torch.equal(torch.cat([a.detach(), b.detach().flatten()]), state.x[0])
        assert a.grad is not None
        assert torch.equal(a.grad, state.gradient[0, :2])
    values_used, gradients_used = int(state.values), int(state.gradients)
    assert (loop.forward, loop.backward) == (
        (values_used, gradients_used) if values else (0, values_used + gradients_used)
    )
    assert loop.optimizer.progress is not None
    assert loop.optimizer.progress.values.item() == values_used


def test_a_stored_optimizer_resumes_to_the_same_bits(valley: Make, points: Make) -> None:
    f, x = valley(5).f, points(1, 5)[0]
    search = GoldenSectionLineSearch(evaluations=8)
    first = Loop(f, [nn.Parameter(x.clone())], history=4, search=search)
    for _ in range(10):
        first.step()
    stream = io.BytesIO()
    torch.save([first.tensors[0].detach(), first.optimizer.state_dict()], stream)
    stream.seek(0)
    weights, stored = torch.load(stream, weights_only=True)
    second = Loop(f, [nn.Parameter(weights)])
    second.optimizer.load_state_dict(stored)
    for _ in range(15):
        assert torch.equal(first.step(), second.step())
    assert torch.equal(first.tensors[0], second.tensors[0])
    assert second.optimizer.param_groups[0]["history"] == 4
    assert second.backward == 15


def test_a_copied_optimizer_goes_on_as_the_original(valley: Make, points: Make) -> None:
    f, loops = valley(4).f, []
    first = Loop(f, [nn.Parameter(points(1, 4)[0])])
    for _ in range(5):
        first.step()
    second = copy.deepcopy(first)
    for loop in (first, second):
        for _ in range(5):
            loop.step()
        loops.append(loop.tensors[0].detach())
    assert torch.equal(*loops)
    assert second.backward == first.backward == 11


def test_frozen_unused_and_tied_parameters() -> None:
    torch_state = torch.random.get_rng_state()
    source = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> nn.Parameter:
        return nn.Parameter(torch.randn(*shape, generator=source, dtype=DOUBLE))

    w, frozen, unused = draw(3), draw(3).requires_grad_(False), draw(2)
    copies = [p.detach().clone() for p in (frozen, unused)]
    optimizer = LBFGSGoldenSection([w, frozen, unused, w])

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = ((w + w.flip(0) * 0.5 - frozen) ** 2).sum()
        loss.backward()
        return loss

    for _ in range(25):
        last = optimizer.step(closure)
    assert last < 1e-9
    assert torch.equal(frozen, copies[0])
    assert torch.equal(unused, copies[1])
    assert frozen.grad is None
    assert unused.grad is None
    assert optimizer.progress is not None
    assert optimizer.progress.x.shape == (1, 5)
    assert torch.equal(torch.random.get_rng_state(), torch_state)


def test_a_network_with_tied_weights() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)).double()
    with torch.no_grad():
        for k, p in enumerate(net.parameters()):
            p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(k), dtype=DOUBLE))
    net[2].weight = net[0].weight
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(9), dtype=DOUBLE)
    optimizer = LBFGSGoldenSection(net.parameters())

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(x), x)
        loss.backward()
        return loss

    losses = [float(optimizer.step(closure, lambda: nn.functional.mse_loss(net(x), x))) for _ in range(60)]
    assert losses[-1] < 0.1 * losses[0]
    assert losses == sorted(losses, reverse=True)
    assert optimizer.progress is not None
    assert optimizer.progress.x.shape == (1, 24)


def test_weights_changed_between_steps_start_afresh(quadratic: Make) -> None:
    landscape = quadratic(3)
    w = nn.Parameter(torch.ones(3, dtype=DOUBLE))
    loop = Loop(landscape.f, [w])
    for _ in range(4):
        loop.step()
    with torch.no_grad():
        w.fill_(-2.0)
    assert torch.equal(loop.step(), landscape.f(torch.full((3,), -2.0, dtype=DOUBLE)))
    fresh = Loop(landscape.f, [nn.Parameter(torch.full((3,), -2.0, dtype=DOUBLE))])
    fresh.step()
    assert torch.equal(w, fresh.tensors[0])


def test_a_finished_optimizer_evaluates_nothing() -> None:
    w = nn.Parameter(torch.tensor([1.0], dtype=DOUBLE))
    loop = Loop(lambda w: (w * 0).sum() + 2, [w])
    assert float(loop.step()) == 2.0
    assert loop.optimizer.progress is not None
    assert loop.optimizer.progress.status.item() == Status.CONVERGED
    counts = loop.forward, loop.backward
    assert float(loop.step()) == 2.0
    assert (loop.forward, loop.backward) == counts


def test_a_failed_step_leaves_weights_and_gradient_of_the_start() -> None:
    # The loss never changes, whatever its gradient says.
    w = nn.Parameter(torch.tensor([1.0, -3.0], dtype=DOUBLE))
    loop = Loop(lambda w: 1 + (w**2 - (w**2).detach()).sum(), [w], values=False, retry_evaluations=6)
    loop.step()
    assert loop.optimizer.progress is not None
    assert loop.optimizer.progress.status.item() == Status.PRECISION_REACHED
    assert w.tolist() == [1.0, -3.0]
    assert w.grad is not None
    assert w.grad.tolist() == [2.0, -6.0]


def test_a_loss_that_is_not_finite_leaves_the_last_weights() -> None:
    w = nn.Parameter(torch.tensor([1.0], dtype=DOUBLE))
    loop = Loop(lambda w: (w * float("nan")).sum(), [w])
    loop.step()
    assert w.item() == 1.0
    assert loop.optimizer.progress is not None
    assert loop.optimizer.progress.status.item() == Status.DIVERGED


def test_mistakes_are_named() -> None:
    w, v = (nn.Parameter(torch.ones(2)) for _ in range(2))
    with pytest.raises(InputError, match="one parameter group"):
        LBFGSGoldenSection([{"params": [w]}, {"params": [v]}])
    with pytest.raises(InputError, match="one parameter group"):
        LBFGSGoldenSection([w]).add_param_group({"params": [v]})
    with pytest.raises(InputError, match="requires_grad"):
        LBFGSGoldenSection([nn.Parameter(torch.ones(2), requires_grad=False)])
    with pytest.raises(InputError, match="one dtype"):
        LBFGSGoldenSection([w, nn.Parameter(torch.ones(2, dtype=DOUBLE))])
    with pytest.raises(InputError, match="closure"):
        LBFGSGoldenSection([w]).step()
    with pytest.raises(InputError, match="one loss"):
        LBFGSGoldenSection([w]).step(lambda: w * 2)
    with pytest.raises(ConfigurationError, match="history"):
        LBFGSGoldenSection([w], history=0)
    assert len(LBFGSGoldenSection([{"params": [w, v]}]).param_groups) == 1
    assert len(LBFGSGoldenSection([("w", w), ("v", v)]).param_groups[0]["params"]) == 2
