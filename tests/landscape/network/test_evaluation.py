"""Value, gradient and Hessian product against plain float64 autograd, by every strategy and chunking."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import get_args

import pytest
import sample_networks as nets
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.data import DataLoader, TensorDataset

from lossatlas.core.errors import InputError
from lossatlas.core.randomness import seeded
from lossatlas.landscape import AffineRows, NetworkLandscape, Numerics
from lossatlas.landscape.network.strategies import StrategyName

Make = Callable[..., NetworkLandscape]
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}


def reference(landscape: NetworkLandscape, row: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and gradient of one row the way a textbook would: one module call, one backward."""
    program = landscape._evaluator.program
    leaf = row.detach().clone().requires_grad_()
    (batch,) = list(landscape._evaluator.source.chunks(None))
    state = {f"model.{k}": v for k, v in landscape.spec.unflatten(leaf).items()}
    output, target = functional_call(program._bound, state, (batch,))
    loss = program._loss(output, target)
    (grad,) = torch.autograd.grad(loss, leaf, allow_unused=True)
    return loss.detach(), grad


def relative(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_value_and_gradient_match_float64_autograd(make: Make, dtype: torch.dtype) -> None:
    landscape = make(dtype=dtype, numerics=nets.PLAIN)
    exact = landscape.to(dtype=torch.float64)
    x = nets.rows_of(landscape, 3)
    value, gradient = landscape.value_and_grad(x)
    assert value.dtype == gradient.dtype == dtype
    for i in range(3):
        loss, grad = reference(exact, x[i].double())
        assert relative(value[i], loss) < TOLERANCE[dtype]
        # float32 gradients are sums of many terms that cancel: a few ulps of the largest
        assert relative(gradient[i], grad) < 5 * TOLERANCE[dtype]
    assert relative(landscape.value(x), value) < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("strategy", get_args(StrategyName))
@pytest.mark.parametrize("chunk", [None, 1, 7])
def test_strategies_and_chunks_agree(make: Make, strategy: str, chunk: int | None, dtype: torch.dtype) -> None:
    plain = make(dtype=dtype, numerics=nets.PLAIN)
    x = nets.rows_of(plain, 4)
    other = plain.with_numerics(Numerics(full=strategy, mini=strategy, data_chunk=chunk, row_chunk=3))
    expected_value, expected_grad = plain.value_and_grad(x)
    value, gradient = other.value_and_grad(x)
    assert relative(value, expected_value) < TOLERANCE[dtype]
    assert relative(gradient, expected_grad) < 5 * TOLERANCE[dtype]
    assert relative(other.value(x), expected_value) < TOLERANCE[dtype]


@pytest.mark.parametrize("strategy", ["loop", "convnet", "vmap"])
def test_per_row_mini_batches_equal_the_loop(make: Make, strategy: str) -> None:
    landscape = make(dtype=torch.float64, numerics=nets.PLAIN)
    x = nets.rows_of(landscape, 4)
    batches = torch.stack(
        [torch.randperm(landscape.samples, generator=torch.Generator().manual_seed(i))[:5] for i in range(4)]
    )
    restricted = landscape.with_numerics(Numerics(mini=strategy)).on(batches)
    assert restricted.samples == 5
    value, gradient = restricted.value_and_grad(x)
    for i in range(4):
        own_value, own_gradient = landscape.on(batches[i]).value_and_grad(x[i])
        assert relative(value[i], own_value) < 1e-12
        assert relative(gradient[i], own_gradient) < 1e-12
    assert relative(restricted.value(x), value) < 1e-12
    metrics = restricted.metrics(x)
    assert relative(metrics["loss"], value) < 1e-12


def test_leading_axes_of_mini_batches_broadcast() -> None:
    landscape = nets.NETWORKS["normalised"](dtype=torch.float64, numerics=nets.PLAIN)
    x = nets.rows_of(landscape, 6).reshape(2, 3, -1)
    batches = torch.tensor([[[0, 1, 2]], [[3, 4, 5]]])  # (2, 1, 3): one batch per first axis
    value = landscape.on(batches).value(x)
    assert value.shape == (2, 3)
    assert relative(value[1], landscape.on(torch.tensor([3, 4, 5])).value(x[1])) < 1e-12


def test_hessian_product_matches_the_dense_hessian() -> None:
    landscape = nets.NETWORKS["normalised"](dtype=torch.float64, numerics=Numerics(data_chunk=7))
    x = nets.rows_of(landscape, 2)
    v = nets.rows_of(landscape, 2, scale=1.0)
    program, (batch,) = landscape._evaluator.program, list(landscape._evaluator.source.chunks(None))

    def loss(flat: Tensor) -> Tensor:
        state = {f"model.{k}": t for k, t in landscape.spec.unflatten(flat).items()}
        return program._loss(*functional_call(program._bound, state, (batch,)))

    product = landscape.hvp(x, v)
    for i in range(2):
        dense = torch.autograd.functional.hessian(loss, x[i])
        assert relative(product[i], dense @ v[i]) < 1e-12


def test_hessian_product_of_every_network_matches_differences(make: Make) -> None:
    landscape = make(dtype=torch.float64, numerics=nets.PLAIN)
    x, v = nets.rows_of(landscape, 1)[0], nets.rows_of(landscape, 1, scale=1.0)[0]
    v = v / v.norm()
    product = landscape.hvp(x, v)
    h = 1e-4
    # Richardson: the h² error of central differences cancels.
    d1 = (landscape.value_and_grad(x + h * v)[1] - landscape.value_and_grad(x - h * v)[1]) / (2 * h)
    d2 = (landscape.value_and_grad(x + 2 * h * v)[1] - landscape.value_and_grad(x - 2 * h * v)[1]) / (4 * h)
    assert relative(product, (4 * d1 - d2) / 3) < 1e-7
    assert landscape.hvp_method is not None
    assert landscape.hvp_method.startswith("reverse over reverse")


def test_hessian_product_falls_back_and_says_so() -> None:
    class OnceDifferentiable(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            ctx.save_for_backward(x)  # type: ignore[attr-defined]
            return x**3

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: object, grad: Tensor) -> Tensor:
            (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
            return 3 * x**2 * grad

    class Cubic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor([1.0, 2.0]))

        def forward(self, x: Tensor) -> Tensor:
            return OnceDifferentiable.apply(self.w).sum() + 0 * x

    data = (torch.zeros(4, 1), torch.zeros(4, 1))
    landscape = NetworkLandscape(Cubic(), lambda out, _: out.mean(), data, dtype=torch.float64, numerics=nets.PLAIN)
    x, v = torch.tensor([1.0, 2.0], dtype=torch.float64), torch.tensor([1.0, 1.0], dtype=torch.float64)
    assert torch.allclose(landscape.hvp(x, v), torch.tensor([6.0, 12.0], dtype=torch.float64), rtol=1e-6)
    assert landscape.hvp_method == "central differences of the gradient"


def test_lazy_rows_equal_dense_rows(make: Make) -> None:
    landscape = make(dtype=torch.float64, numerics=Numerics(row_chunk=2))
    ends = nets.rows_of(landscape, 2)
    lazy = AffineRows(ends[0], torch.linspace(0, 1, 6, dtype=torch.float64).reshape(2, 3, 1), (ends[1] - ends[0])[None])
    assert relative(landscape.value(lazy), landscape.value(lazy.dense())) < 1e-12
    assert landscape.value(lazy).shape == (2, 3)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_loader_gives_what_tensors_give(reduction: str) -> None:
    inputs, targets = nets.vectors()
    with seeded("loader"):
        model = nets.Normalised()

    def loss(output: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(output, target, reduction=reduction)

    loader = DataLoader(TensorDataset(inputs, targets), batch_size=6)  # the last batch is short
    streamed = NetworkLandscape(model, loss, loader, dtype=torch.float64, reduction=reduction)
    held = NetworkLandscape(model, loss, (inputs, targets), dtype=torch.float64, reduction=reduction)
    x = nets.rows_of(held, 3)
    for a, b in zip(streamed.value_and_grad(x), held.value_and_grad(x), strict=True):
        assert relative(a, b) < 1e-12
    for name, values in held.metrics(x).items():
        assert relative(streamed.metrics(x)[name], values) < 1e-12
    indices = torch.tensor([3, 1, 19])
    assert relative(streamed.on(indices).value(x), held.on(indices).value(x)) < 1e-12
    assert relative(streamed.hvp(x, x), held.hvp(x, x)) < 1e-12


def test_metrics_are_means_over_samples() -> None:
    landscape = nets.NETWORKS["fcp"](numerics=Numerics(data_chunk=7))
    x = nets.rows_of(landscape, 2)
    metrics = landscape.metrics(x)
    inputs, targets = nets.images()
    with torch.no_grad():
        logits = functional_call(landscape._evaluator.program.model, landscape.spec.unflatten(x[1]), (inputs,))
    assert metrics["accuracy"].dtype == torch.float64
    assert float(metrics["accuracy"][1]) == pytest.approx(float((logits.argmax(1) == targets).double().mean()))
    assert torch.allclose(metrics["loss"].float(), landscape.value(x), rtol=1e-6)


def test_batch_statistics_use_the_whole_batch_and_keep_nothing() -> None:
    inputs, targets = nets.vectors()
    with seeded("statistics"):
        model = nets.Normalised().double()
    landscape = NetworkLandscape(
        model, F.cross_entropy, (inputs.double(), targets), mode="batch-statistics", numerics=Numerics(data_chunk=3)
    )
    training = copy.deepcopy(model).train()
    training.drop.eval()
    expected = F.cross_entropy(training(inputs.double()), targets)
    assert float(landscape.value(landscape.flatten(model))) == pytest.approx(float(expected.detach()), rel=1e-12)


@pytest.mark.parametrize("numerics", [nets.PLAIN, Numerics(data_chunk=3), Numerics(full="vmap", mini="vmap")])
def test_statistics_over_fixed_batches_are_those_of_a_loader(numerics: Numerics) -> None:
    """21 samples in batches of at most 8: three of 7, whatever the chunks; a mini-batch is one batch."""
    inputs, targets = nets.vectors(21)
    with seeded("fixed batches"):
        model = nets.Normalised().double()

    def make(data: object, **options: int) -> NetworkLandscape:
        made = NetworkLandscape(model, F.cross_entropy, data, mode="batch-statistics", numerics=numerics, **options)  # type: ignore[arg-type]
        assert made.samples == 21
        return made

    fixed = make((inputs, targets), statistics_batch=8)
    streamed = make(DataLoader(TensorDataset(inputs, targets), batch_size=7)).with_numerics(nets.PLAIN)
    whole = make((inputs, targets))
    x = nets.rows_of(fixed, 2)
    for a, b in zip(fixed.value_and_grad(x), streamed.value_and_grad(x), strict=True):
        assert relative(a, b) < 1e-12
    assert relative(fixed.value(x), whole.value(x)) > 1e-4
    assert relative(fixed.hvp(x, x), streamed.hvp(x, x)) < 1e-12
    assert relative(fixed.hessian_at(x).multiply(x, torch.arange(2)), streamed.hvp(x, x)) < 1e-12
    assert relative(fixed.metrics(x)["loss"], fixed.value(x)) < 1e-12
    assert relative(fixed.to(dtype=torch.float32).value(x.float()), fixed.value(x)) < 1e-5
    everything = torch.arange(21)
    for some in (everything, everything.expand(2, -1)):
        assert relative(fixed.on(some).value(x), whole.value(x)) < 1e-12
        assert relative(fixed.on(some).hvp(x, x), whole.hvp(x, x)) < 1e-12


def test_statistics_over_one_sample_are_refused() -> None:
    with pytest.raises(InputError, match="at least 2 samples to take statistics over, got 1"):
        NetworkLandscape(nets.Normalised(), F.cross_entropy, nets.vectors(), statistics_batch=1)


def test_statistics_of_another_type_are_converted_and_counters_are_not() -> None:
    inputs, targets = nets.vectors()
    with seeded("buffers"):
        model = nets.Normalised().double()
    landscape = NetworkLandscape(model, F.cross_entropy, (inputs.double(), targets), numerics=nets.PLAIN)
    w = nets.rows_of(landscape, 2)
    single = {
        name: buffer.float() if buffer.is_floating_point() else buffer for name, buffer in landscape.refresh(w).items()
    }
    expected = landscape.with_buffers(landscape.refresh(w)).value(w)
    lent = landscape.with_buffers(single)
    assert lent.value(w).dtype == torch.float64
    assert relative(lent.value(w), expected) < 1e-5
    state = lent.with_buffers({name: buffer[0] for name, buffer in single.items()}).module(w[0]).state_dict()
    assert state["norm.num_batches_tracked"].dtype == torch.int64


def test_refreshed_statistics_are_those_of_update_bn() -> None:
    inputs, targets = nets.vectors()
    with seeded("refresh"):
        model = nets.Normalised().double()
    landscape = NetworkLandscape(model, F.cross_entropy, (inputs.double(), targets), numerics=nets.PLAIN)
    w = nets.rows_of(landscape, 2)
    buffers = landscape.refresh(w)
    assert {name: tuple(t.shape) for name, t in buffers.items()} == {
        "norm.running_mean": (2, 8),
        "norm.running_var": (2, 8),
        "norm.num_batches_tracked": (2,),
    }
    expected = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in expected.named_parameters():
            if name in landscape.spec.names:
                parameter.copy_(landscape.spec.unflatten(w[1])[name])
    torch.optim.swa_utils.update_bn([inputs.double()], expected)
    assert torch.allclose(buffers["norm.running_mean"][1], expected.norm.running_mean)
    assert torch.allclose(buffers["norm.running_var"][1], expected.norm.running_var)
    refreshed = landscape.with_buffers(buffers)
    expected.eval()
    loss = F.cross_entropy(expected(inputs.double()), targets)
    assert float(refreshed.value(w)[1]) == pytest.approx(float(loss.detach()), rel=1e-12)
    by_vmap = refreshed.with_numerics(Numerics(full="vmap"))
    assert relative(by_vmap.value(w), refreshed.value(w)) < 1e-12
    assert relative(refreshed.metrics(w)["loss"], refreshed.value(w)) < 1e-12
