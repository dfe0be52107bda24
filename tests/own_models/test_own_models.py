"""Networks nobody here wrote go through values, gradients, curvature, training and paths, and stay as they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from own_networks import OWN, CausalAttention, ImageNet, Mixed, image_data, token_data
from torch import Tensor, nn

import lossatlas as la
from lossatlas.core.files import bit_equal
from lossatlas.core.randomness import seeded
from lossatlas.landscape import NetworkLandscape, Numerics
from lossatlas.landscape.network.one_type import OneType


def make(name: str) -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    factory, data = OWN[name]
    with seeded("own", name):
        model = factory()
        inputs, targets = data()
        if name == "image network":
            with torch.no_grad():
                for _ in range(20):
                    model(inputs)  # running statistics as training leaves them
    return model.train(), (inputs, targets)


def relative(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).norm() / b.double().norm())


def state(model: nn.Module) -> dict[str, Any]:
    return {
        "state": {name: tensor.clone() for name, tensor in model.state_dict().items()},
        "training": [module.training for module in model.modules()],
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "grads": [p.grad for p in model.parameters()],
    }


def gradient_of(model: nn.Module, data: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Loss and gradient as the user's own training loop would compute them in eval mode."""
    model.eval()
    own = [p for p in model.parameters() if p.requires_grad]
    loss = F.cross_entropy(model(data[0]), data[1])
    return loss.detach(), torch.cat([g.flatten().double() for g in torch.autograd.grad(loss, own)])


@pytest.mark.parametrize("name", OWN)
def test_ten_lines_go_through_everything(name: str) -> None:
    model, data = make(name)
    before, random = state(model), torch.random.get_rng_state()

    landscape = la.landscape.NetworkLandscape(model, F.cross_entropy, data, dtype=torch.float64)
    w = landscape.flatten(model)
    value, gradient = landscape.value_and_grad(w)
    spectrum = la.curvature.eigenvalues(landscape, w, k=2)
    nearby = w - 0.1 * gradient
    path = la.paths.find(landscape, w, nearby, method="fourier", points=5, budget=3, tolerance=0)

    assert bit_equal(state(model), before)
    assert torch.equal(torch.random.get_rng_state(), random)
    loss, grad = gradient_of(model, data)
    assert relative(value, loss) < 1e-6
    assert relative(gradient, grad) < 1e-5
    # The Hessian against differences of the gradient: h so small that no activation in between has a kink.
    v = torch.randn(landscape.dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    h = 1e-5 / v.norm()
    ahead, behind = (landscape.value_and_grad(w + sign * h * v)[1] for sign in (1, -1))
    assert relative(landscape.hvp(w, v), (ahead - behind) / (2 * h)) < 1e-5
    for i in range(2):
        vector = spectrum.vectors[i]
        assert float((landscape.hvp(w, vector) - spectrum.values[i] * vector).norm()) < 1e-3 * float(spectrum.values[0])
    assert bool(spectrum.converged.all())
    plain = "plain kernels" in str(landscape.hvp_method)
    assert plain == (name in {"transformer", "causal attention"})  # attention's fused kernel has no second derivative
    assert str(landscape.hvp_method) in spectrum.method
    assert path.loss[0] == pytest.approx(float(value), rel=1e-12)
    assert path.height >= float(path.loss.max())


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_whatever_strategy_is_measured_gives_the_loops_numbers(name: str, dtype: torch.dtype) -> None:
    model, data = make(name)
    measured = NetworkLandscape(model, F.cross_entropy, data, dtype=dtype)
    loop = measured.with_numerics(Numerics())
    x = torch.stack([measured.flatten(model), 0.9 * measured.flatten(model)])
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    for a, b in zip(measured.value_and_grad(x), loop.value_and_grad(x), strict=True):
        assert a.dtype == dtype
        assert relative(a, b) < tolerance
    batches = torch.arange(20).view(2, 10)
    for a, b in zip(measured.on(batches).value_and_grad(x), loop.on(batches).value_and_grad(x), strict=True):
        assert relative(a, b) < tolerance


@pytest.mark.parametrize("name", OWN)
def test_replicas_train_and_are_connected(name: str) -> None:
    factory, data = OWN[name]
    mode = "batch-statistics" if name == "image network" else "eval"
    problem = la.problems.Problem(name, factory, F.cross_entropy, train=data(), test=data(), mode=mode)  # type: ignore[arg-type]
    ensemble = la.training.train(problem, "adam", replicas=2, epochs=6, batch_size=10, options={"lr": 0.01})
    assert ensemble.curves is not None
    losses = ensemble.curves.values["train_loss"]
    assert bool((losses[:, -1] < losses[:, 0]).all())
    path = la.paths.find(problem.train, ensemble[0], ensemble[1], method="fourier", points=5, budget=2, tolerance=0)
    assert float(path.height) >= float(ensemble.train.scores["train_loss"].max())
    module = problem.module(ensemble[0])
    assert {n: p.dtype for n, p in module.named_parameters()} == {n: p.dtype for n, p in factory().named_parameters()}


def test_the_default_type_is_the_widest_and_halves_alone_are_refused() -> None:
    model, data = make("mixed types")
    assert NetworkLandscape(model, F.cross_entropy, data).dtype == torch.float64
    model.head.float()
    with pytest.raises(RuntimeError, match="same dtype"):
        model(data[0])  # precondition: the network's own code asks for double
    landscape = NetworkLandscape(model, F.cross_entropy, data)
    assert landscape.dtype == landscape.value(landscape.flatten(model)).dtype == torch.float32
    with pytest.raises(la.core.errors.InputError, match="float32 or float64"):
        NetworkLandscape(model.bfloat16(), F.cross_entropy, data)


def test_no_digit_is_lost_where_the_code_says_float() -> None:
    """softmax(..., dtype=float32) in a float64 landscape is computed in float64."""
    model, data = make("causal attention")
    landscape = NetworkLandscape(model, F.cross_entropy, data, dtype=torch.float64, numerics=Numerics())
    w = landscape.flatten(model)
    step = 1e-9 * torch.randn(landscape.dim, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    value, gradient = landscape.value_and_grad(w)
    ahead, behind = landscape.value(w + step), landscape.value(w - step)
    assert float(ahead - behind) == pytest.approx(2 * float(gradient @ step), rel=1e-4)
    assert isinstance(model, CausalAttention)
    net = model.double().eval()
    with torch.no_grad():
        rounded = F.cross_entropy(net(data[0]), data[1])
    assert 1e-12 < abs(float(value - rounded)) / float(rounded) < 1e-6


def test_types_are_replaced_wherever_they_are_said() -> None:
    with OneType(torch.float64):
        x = torch.arange(3)
        assert x.float().dtype == x.half().dtype == x.bfloat16().dtype == x.to(torch.float32).dtype == torch.float64
        assert x.to("cpu", torch.float32).dtype == torch.ones(2, dtype=torch.float16).dtype == torch.float64
        assert F.softmax(x.float(), 0, dtype=torch.float32).dtype == x.sum(dtype=torch.float32).dtype == torch.float64
        assert x.float().long().dtype == x.to(torch.int32).to(torch.int64).dtype == torch.int64
        assert x.to(torch.complex64).dtype == torch.complex64
    assert x.float().dtype == torch.float32


def test_alignment_and_module_of_mixed_types() -> None:
    model, data = make("mixed types")
    for dtype in (torch.float32, torch.float64):
        landscape = NetworkLandscape(model, F.cross_entropy, data, dtype=dtype, numerics=Numerics())
        w = landscape.flatten(model)
        structure = la.symmetry.permutation_structure(landscape)
        assert structure.groups == {"inp": 8}
        moved = structure.apply(w, structure.random(3))
        aligned = la.symmetry.align(landscape, w, moved)
        assert relative(aligned.weights, w) == 0
        module = landscape.module(moved)
        output, target = landscape.outputs(module, next(landscape.batches()))
        assert relative(F.cross_entropy(output, target).detach(), landscape.value(w)) < 1e-6


def test_statistics_are_refreshed_in_one_type_too() -> None:
    model, data = make("image network")
    landscape = NetworkLandscape(model, F.cross_entropy, data, dtype=torch.float64, numerics=Numerics())
    w = landscape.flatten(model)
    fresh = landscape.with_buffers(landscape.refresh(w))
    whole = landscape.with_batch_statistics()
    # Refreshed variances are unbiased, those of a batch are not: samples times places of the smallest maps apart.
    assert relative(fresh.value(w), whole.value(w)) < 5e-2
    assert relative(landscape.value(w), whole.value(w)) < 5e-1
    assert isinstance(model, ImageNet)
    assert len(image_data()[0]) == 30


def test_dropout_in_training_mode_is_off_and_the_frozen_stay_frozen() -> None:
    model, data = make("mixed types")
    assert isinstance(model, Mixed)
    assert model.training
    landscape = NetworkLandscape(model, F.cross_entropy, data, numerics=Numerics())
    w = landscape.flatten(model)
    assert torch.equal(landscape.value(w), landscape.value(w))
    assert landscape.spec.names == (
        "inp.weight",
        "inp.bias",
        "body.weight",
        "body.bias",
        "again.bias",
        "head.weight",
        "head.bias",
    )
    assert len(token_data()[0]) == landscape.samples
