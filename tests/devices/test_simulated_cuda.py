"""Everything runs where it is told to: no device is mixed with another, results are on the CPU and the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from own_networks import OWN
from simulated_device import SimulatedTensor, simulated_cuda
from tiny_studies import TINY, Log, stored
from torch import Tensor, nn

import lossatlas as la
from lossatlas import analysis, curvature, paths, slices, symmetry
from lossatlas.cli.main import main
from lossatlas.core.ensemble import Ensemble
from lossatlas.core.randomness import generator, seeded
from lossatlas.landscape import Numerics
from lossatlas.problems import Problem
from lossatlas.study import Study
from lossatlas.study.load import parse_config


@pytest.fixture
def cuda() -> Iterator[torch.device]:
    with simulated_cuda() as device:
        yield device


def plane_data(n: int = 60) -> tuple[Tensor, Tensor]:
    x = torch.randn(n, 2, generator=generator("points of a plane"), dtype=torch.float64)
    return x, (x[:, 0].sin() > x[:, 1]).long()


def problem(device: str, *, normalised: bool = False, **options: Any) -> Problem:
    norm = [nn.BatchNorm1d(6)] if normalised else []
    net = nn.Sequential(nn.Linear(2, 6), *norm, nn.Tanh(), nn.Linear(6, 2))
    x, y = plane_data()
    # In float64, so that rounding in another order does not grow to another path.
    data = {"train": (x[:40], y[:40]), "test": (x[40:], y[40:])}
    made = Problem("plane", net, F.cross_entropy, **data, device=device, dtype=torch.float64, **options)
    return made.with_numerics(Numerics(full="vmap", mini="vmap"))


def assert_same(there: Any, here: Any) -> None:
    """The same numbers but for rounding; some, such as residuals, are rounding alone."""
    torch.testing.assert_close(there, here, rtol=1e-5, atol=1e-8, equal_nan=True)


def ensemble(on: Problem) -> Ensemble:
    return la.training.train(on, "lbfgs-gss", replicas=3, iterations=4, seed=1)


def tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in tensors(each)]
    if isinstance(value, list | tuple):
        return [leaf for each in value for leaf in tensors(each)]
    if is_dataclass(value):
        return [leaf for each in fields(value) for leaf in tensors(getattr(value, each.name))]
    return [torch.tensor(value)] if isinstance(value, float | int) else []


def found_both_ways(
    action: Callable[[Problem, Ensemble], Any], normalised: bool = False, **options: Any
) -> tuple[list[Tensor], list[Tensor]]:
    """Tensors of a result on the CPU, and of the same on the device; the points are the CPU's both times."""
    points = ensemble(problem("cpu", normalised=normalised))
    with simulated_cuda():
        there = tensors(action(problem("cuda", normalised=normalised, **options), points))
    return tensors(action(problem("cpu", normalised=normalised, **options), points)), there


def test_the_simulation_refuses_what_a_card_refuses(cuda: torch.device) -> None:
    x = torch.ones(2, 3, device=cuda)
    assert x.device == cuda
    assert (x + torch.tensor(1.0)).tolist() == [[2.0] * 3] * 2  # a number may be on the CPU
    assert x[torch.tensor([1])].device == cuda
    assert type(x.cpu()) is Tensor
    layer = nn.Linear(3, 2).to(cuda)
    layer(x).sum().backward()
    assert isinstance(layer.weight.grad, SimulatedTensor)
    for mixed in (
        lambda: x + torch.ones(3),
        lambda: layer(torch.ones(2, 3)),
        lambda: torch.cat([x, torch.ones(2, 3)]),
        lambda: torch.randn(2, device=cuda, generator=torch.Generator()),
        x.numpy,
    ):
        with pytest.raises(RuntimeError, match=r"device|numpy"):
            mixed()


@pytest.mark.parametrize("name", ["sgd", "gd", "adam", "lbfgs-gss"])
@pytest.mark.parametrize("normalised", [False, True])
def test_training(name: str, normalised: bool) -> None:
    length = {"iterations": 3} if name in ("gd", "lbfgs-gss") else {"epochs": 1, "batch_size": 16}

    def run(device: str) -> Ensemble:
        return la.training.train(problem(device, normalised=normalised), name, replicas=2, seed=3, **length)

    here = run("cpu")
    with simulated_cuda():
        there = run("cuda")
    assert not any(isinstance(each, SimulatedTensor) for each in tensors(there))
    assert_same(there.train.weights, here.train.weights)
    assert_same(there.train.scores, here.train.scores)


@pytest.mark.parametrize("name", OWN)
def test_networks_of_users(cuda: torch.device, name: str) -> None:
    factory, data = OWN[name]
    with seeded("own", name):
        model = factory().eval()
        inputs, targets = data()
    here = la.landscape.NetworkLandscape(model, F.cross_entropy, (inputs, targets), dtype=torch.float64)
    there = la.landscape.NetworkLandscape(
        model, F.cross_entropy, (inputs, targets), dtype=torch.float64, device=cuda, numerics=Numerics()
    )
    w = here.flatten(model)
    loss, gradient = there.value_and_grad(w.to(cuda))
    assert isinstance(gradient, SimulatedTensor)
    torch.testing.assert_close((loss.cpu(), gradient.cpu()), here.value_and_grad(w))


PATHS = {
    "linear": {},
    "fourier": {"points": 5, "budget": 20},
    "fourier-published": {"points": 5, "steps": 3},
    "bezier": {"points": 5, "budget": 20},
    "polychain": {"points": 5, "budget": 20},
    "neb": {"points": 5, "iterations": 3},
    "string": {"points": 5, "iterations": 3},
    "autoneb": {"iterations": 3},
}
ACTIONS: dict[str, Callable[[Problem, Ensemble], Any]] = {
    **{
        f"path {name}": lambda p, e, name=name, options=options: la.paths.find(
            p.train, e[0], e[1], method=name, **options
        )
        for name, options in PATHS.items()
    },
    "averaging": lambda p, e: paths.averaging(p.train, e[0], e[1]),
    "refreshed line": lambda p, e: paths.refreshed_line(p.train, e[0], e[1], points=3),
    "refined plane": lambda p, e: slices.refine_plane(
        p.train, e.train.weights, slices.trajectory_plane(e.train.weights).plane, iterations=1
    ),
    "saddle of a path": lambda p, e: la.paths.find(p.train, e[0], e[1], method="linear", saddle=True).saddle,
    "steepest descent": lambda p, e: paths.steepest_descent(p.train, e[0], iterations=3),
    "module": lambda p, e: list(p.train.module(e[0]).cpu().parameters()),
    "align by weights": lambda p, e: symmetry.align(p.train, e[0], e[1]),
    "align by activations": lambda p, e: symmetry.align(p.train, e[0], e[1], method="activations"),
    "surface": lambda p, e: slices.surface(p.train, e[0], points=3),
    "plane through": lambda p, e: slices.surface_on(p.train, slices.plane_through(e[0], e[1], e[2]), points=3),
    "trace on a plane": lambda p, e: slices.trace(p.train, slices.plane_through(e[0], e[1], e[2]), e.train.weights),
    "eigenvalues": lambda p, e: curvature.eigenvalues(p.train, e[0], 2),
    "eigenvalues of Gauss-Newton": lambda p, e: curvature.eigenvalues(
        curvature.GaussNewtonOperator(p.train, e[0]), k=2
    ),
    "eigenvalues of Fisher": lambda p, e: curvature.eigenvalues(curvature.FisherOperator(p.train, e[0]), k=2),
    "trace": lambda p, e: curvature.trace(p.train, e[0]),
    "diagonal": lambda p, e: curvature.diagonal(p.train, e[0]),
    "density": lambda p, e: curvature.spectral_density(p.train, e[0], probes=2, steps=4),
    "classify": lambda p, e: curvature.classify(p.train, e[0]),
    "critical points": lambda p, e: curvature.find_critical_points(p.train, e[0], iterations=2),
    "index against loss": lambda p, e: curvature.index_against_loss(p.train, e.train.weights[:2]),
    "blockwise": lambda p, e: curvature.blockwise(p.train, e[0]),
    "sharpness": lambda p, e: curvature.sharpness(p.train, e[0], scaling="filter"),
    "SAM": lambda p, e: curvature.sam_sharpness(p.train, e[0]),
    "largest loss nearby": lambda p, e: curvature.epsilon_sharpness(p.train, e[0], starts=1),
    "flatness of slices": lambda p, e: curvature.slice_flatness(p.train, e[0], points=3),
    "local volume": lambda p, e: curvature.local_volume(p.train, e[0]),
    "conditioning": lambda p, e: curvature.conditioning(p.train, e[0]),
    "change of the gradient": lambda p, e: curvature.gradient_change(p.train, e[0], torch.tensor([0.1, 0.2])),
    "gradient noise": lambda p, e: curvature.gradient_noise(p.train, e[0], small=4, large=16),
    "generalisation": lambda p, e: analysis.generalisation(p.train, p.test, e.train.weights, names=["trace"]),
    "diagnosis": lambda p, e: analysis.diagnose(p.train, e[0]),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_results_are_on_the_cpu_and_the_same_numbers(name: str) -> None:
    here, there = found_both_ways(ACTIONS[name])
    assert here or name == "refreshed line"  # which needs normalisation
    assert not any(isinstance(each, SimulatedTensor) for each in there)
    assert_same(there, here)


@pytest.mark.parametrize("name", ["averaging", "refreshed line", "surface", "trace", "path fourier"])
def test_networks_with_normalisation(name: str) -> None:
    kept = {"mode": "eval"} if name == "refreshed line" else {}
    here, there = found_both_ways(ACTIONS[name], normalised=True, **kept)
    assert here
    assert not any(isinstance(each, SimulatedTensor) for each in there)
    assert_same(there, here)


STUDY: dict[str, Any] = {
    **TINY,
    "networks": {"fcp": {"replicas": 2, "optimizers": {"lbfgs-gss": {"iterations": 3}, "sgd": {"epochs": 1}}}},
    "weights": {},
    "paths": {
        "straight": {"options": {"points": 3}},
        "published": {"method": "fourier-published", "options": {"points": 3, "steps": 2, "tolerance": 0}},
        "aligned": {"method": "fourier", "align": True, "options": {"points": 3, "budget": 6, "tolerance": 0}},
    },
    "atlas": {"all": {"method": "fourier", "paths": 2, "options": {"points": 3, "budget": 6, "tolerance": 0}}},
    "curvature": {"flatness": {"products": 30, "minima": 1}},
    "holdout": {"validation": {"fraction": 0.25, "replicas": 1}},
}


def command(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0


@pytest.mark.slow
def test_a_study_and_its_report(tmp_path, capsys) -> None:
    with simulated_cuda():
        study = Study(parse_config(STUDY), tmp_path, device="cuda")
        study.run(Log())
        assert study.device.type == "cuda"
    found = stored(tmp_path)  # read and shown where there is no such device
    assert len(found) == len({*found})
    command("report", str(tmp_path))
    assert "report.html" in capsys.readouterr().out


@pytest.mark.slow
def test_the_command_line(tmp_path, capsys, cuda: torch.device, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    common = ("--problem", "muller-brown", "--device", "cuda")
    command("spectrum", "A", "-0.822,0.624", *common, "--out", "spectrum")
    command("connect", "A", "B", *common, "--out", "connect")
    command("surface", "A", *common, "--points", "5", "--out", "surface")
    command("diagnose", "A", *common, "--out", "diagnose")
    for name in ("spectrum", "connect", "surface", "diagnose"):
        assert (tmp_path / name / "report.html").exists()
    assert "minimum" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:PyTorch was compiled without cuDNN")
@pytest.mark.parametrize("network", ["lstm", "mlp"])
def test_a_strategy_is_found_where_recurrent_layers_go_backward_in_training_mode_alone(
    cuda: torch.device, network: str, monkeypatch
) -> None:
    """As cuDNN has it; the copy that is evaluated is in that mode, without the dropout that belongs to it."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(3, 4, num_layers=2, batch_first=True, dropout=0.5) if network == "lstm" else None
            self.head = nn.Linear(4 if network == "lstm" else 6, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(x.flatten(1) if self.lstm is None else self.lstm(x)[0][:, -1])

    x, y = torch.randn(12, 2, 3, generator=generator("sequences")), torch.arange(12) % 2
    here = la.landscape.NetworkLandscape(Net(), F.cross_entropy, (x, y))
    there = here.to(device=cuda)
    layers = [m for m in there.module().modules() if isinstance(m, nn.RNNBase)]
    assert all(layer.training and layer.dropout == 0 for layer in layers)
    assert len(layers) == (network == "lstm")
    w = here.flatten(here.module())
    assert_same(there.value(w.to(cuda)).cpu(), here.value(w))


def test_float32_is_float32_and_repeatable_there(cuda: torch.device) -> None:
    """Within an evaluation cuDNN has neither TF32 nor sums in any order; what the user set is back afterwards."""
    seen = []

    class Watched(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic))
            return super().forward(x)

    x, y = plane_data()
    landscape = la.landscape.NetworkLandscape(Watched(2, 2), F.cross_entropy, (x.float(), y), device=cuda)
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic
    seen.clear()
    landscape.value_and_grad(torch.zeros(6, device=cuda))
    assert seen
    assert set(seen) == {(False, True)}
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic) == before
