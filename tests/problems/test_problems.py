"""Problems: initial weights that depend on seed and number alone, the user's own models, round trips."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import sample_networks as nets
import torch
import torch.nn.functional as F
from torch import nn

from lossatlas import problems
from lossatlas.core.ensemble import Ensemble
from lossatlas.core.errors import ConfigurationError, DataError, InputError
from lossatlas.data import from_tensors
from lossatlas.landscape import Numerics
from lossatlas.problems import Problem


@pytest.mark.parametrize("name", problems.problems)
def test_initial_weights_depend_on_seed_and_number_alone(name: str) -> None:
    problem = problems.get(name, train_size=32, test_size=16)
    state = torch.random.get_rng_state()
    many = problem.initial_weights(7, range(5))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(problem.initial_weights(7, [3])[0], many[3])
    assert torch.equal(problems.get(name, train_size=32, test_size=16).initial_weights(7, [4, 0])[1], many[0])
    assert torch.equal(problem.with_numerics(Numerics(data_chunk=8, row_chunk=1)).initial_weights(7, range(5)), many)
    assert not torch.equal(problem.initial_weights(8, [3])[0], many[3])
    assert len({tuple(row[:3].tolist()) for row in many}) == 5
    double = problems.get(name, train_size=32, test_size=16, dtype=torch.float64).initial_weights(7, range(5))
    assert torch.equal(double.float(), many)


def test_the_digits_problem_has_the_published_sizes() -> None:
    problem = problems.get("autoencoder")
    assert (problem.train.samples, problem.test.samples, problem.dim) == (1437, 360, 52_224)
    x = problem.initial_weights(0, [0])
    inputs = problem.data["train"][0]  # type: ignore[index]
    module = problem.module(x[0])
    expected = F.mse_loss(module(inputs), inputs.flatten(1))
    assert float(problem.train.value(x)[0]) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert set(problem.train.metrics(x)) == {"loss"}


def test_a_users_module_is_redrawn_and_left_alone() -> None:
    module = nets.Normalised()
    before = {name: t.clone() for name, t in module.state_dict().items()}
    problem = Problem("mine", module, F.cross_entropy, train=nets.vectors(), test=nets.vectors())
    rows = problem.initial_weights(0, range(3))
    assert rows.shape == (3, problem.dim)
    assert not torch.equal(rows[0], rows[1])
    assert all(torch.equal(t, before[name]) for name, t in module.state_dict().items())


def test_models_that_cannot_be_redrawn_are_refused() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.w

    with pytest.raises(InputError, match="pass a function that builds the model"):
        Problem("mine", Bare(), F.mse_loss, train=(torch.ones(2, 3),) * 2, test=(torch.ones(2, 3),) * 2)
    with pytest.raises(InputError, match=r"expected a function that builds an nn\.Module, got int"):
        Problem("mine", lambda: 3, F.mse_loss, train=(torch.ones(2, 3),) * 2, test=(torch.ones(2, 3),) * 2)  # type: ignore[arg-type,return-value]
    fine = Problem("mine", Bare, F.mse_loss, train=(torch.ones(2, 3),) * 2, test=(torch.ones(2, 3),) * 2)
    assert fine.dim == 3


def test_landscapes_by_name() -> None:
    problem = problems.get("fcp", train_size=40, test_size=16, validation=0.25)
    assert problem.landscape("validation").samples > 0
    with pytest.raises(InputError, match="'train', 'test' or 'validation'"):
        problem.landscape("training")
    with pytest.raises(InputError, match="hold some out"):
        _ = problems.get("fcp", train_size=40, test_size=16).validation


def test_batch_normalisation_with_the_statistics_of_batches() -> None:
    def make(**options: object) -> Problem:
        return Problem("n", nets.Normalised, F.cross_entropy, train=nets.vectors(), test=nets.vectors(), **options)  # type: ignore[arg-type]

    assert make(mode="eval").statistics_stay_initial
    problem = make(mode="batch-statistics")
    assert not problem.statistics_stay_initial
    assert not Problem(
        "n", nets.Attention, F.cross_entropy, train=nets.tokens(), test=nets.tokens()
    ).statistics_stay_initial
    w = problem.initial_weights(0, [0])
    net = problem.module(w[0]).train()
    net.drop.eval()
    inputs, targets = nets.vectors()
    expected = F.cross_entropy(net(inputs), targets).detach()
    torch.testing.assert_close(problem.train.value(w)[0], expected)
    halves = [F.cross_entropy(net(inputs[part]), targets[part]).detach() for part in (slice(10), slice(10, 20))]
    found = make(mode="batch-statistics", statistics_batch=10).train.value(w)[0]
    torch.testing.assert_close(found, (halves[0] + halves[1]) / 2)


@pytest.mark.parametrize(
    ("name", "options", "fitted"),
    [
        ("resnet20", {"depth": 8}, {"channels": 3, "classes": 4}),
        ("vgg9", {"width": 0.1}, {"channels": 3, "classes": 4, "side": 6}),
        ("deep-linear", {"width": 5}, {"inputs": 108, "outputs": 4}),
    ],
)
def test_the_data_decide_the_ends_of_a_network(name: str, options: dict[str, object], fitted: dict[str, int]) -> None:
    x, y = torch.rand(12, 3, 6, 6), torch.arange(12) % 4
    problem = problems.get(name, data=from_tensors((x, y), (x[:8], y[:8])), numerics=Numerics(), **options)
    assert problem.details["options"] == {**fitted, **options}
    w = problem.initial_weights(0, range(2))
    value, grad = problem.train.value_and_grad(w)
    assert bool(value.isfinite().all())
    assert bool(grad.any(1).all())
    assert problem.mode == ("eval" if name == "deep-linear" else "batch-statistics")


def test_one_hot_targets_of_the_deep_linear_network() -> None:
    x, y = torch.rand(5, 1, 2, 2), torch.tensor([0, 2, 1, 1, 0])
    data = from_tensors((x, y), (x, y))
    for strategy in ("loop", "vmap", "fused"):
        problem = problems.get("deep-linear", data=data, width=3, numerics=Numerics(full=strategy, mini=strategy))  # type: ignore[arg-type]
        w = problem.initial_weights(0, [0, 1])
        outputs = problem.module(w[1])(x).detach()
        expected = F.mse_loss(outputs, F.one_hot(y, 3).float())
        torch.testing.assert_close(problem.train.value(w)[1], expected)
        torch.testing.assert_close(problem.train.on(torch.arange(5).expand(2, 5)).value(w)[1], expected)


def test_data_that_do_not_fit_a_network_are_refused() -> None:
    x, y = torch.rand(6, 7), torch.arange(6) % 2
    with pytest.raises(InputError, match=r"for 'resnet20', got samples of shape \(7,\): give the option 'channels'"):
        problems.get("resnet20", data=from_tensors((x, y), (x, y)))
    with pytest.raises(InputError, match="without classes: give the option 'classes'"):
        problems.get("resnet20", data=from_tensors((x.reshape(6, 7, 1, 1), x), (x.reshape(6, 7, 1, 1), x)))


@pytest.mark.parametrize(
    ("name", "shape", "label", "told"),
    [
        ("fcp", (1, 8, 8), 1, r"samples of shape \(1, 28, 28\) or of another shape with 784 entries for 'fcp', got"),
        ("lenet", (28, 28), 1, r"samples of shape \(1, 28, 28\) for 'lenet', got \(28, 28\) in 'mine/train': reshape"),
        ("autoencoder", (3, 8, 8), 1, "784 entries for 'autoencoder'"),
        ("fcp", (784,), 10, "class labels from 0 to 9 for 'fcp', got 0 to 10 in 'mine/train': number"),
        ("lstm", (28, 28), -1, "class labels from 0 to 9 for 'lstm', got -1 to 0"),
    ],
)
def test_data_that_a_network_of_fixed_ends_cannot_take(
    name: str, shape: tuple[int, ...], label: int, told: str
) -> None:
    x, y = torch.rand(4, *shape), torch.tensor([0, 0, 0, label])
    with pytest.raises(InputError, match=told):
        problems.get(name, data=from_tensors((x, y), (x, y)))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("d.npz", r"got the path 'd\.npz': name it as data='d\.npz' of a named problem, or read it with"),
        (Path("d.npz"), "got the path"),
        ((np.zeros((4, 2)), np.zeros(4)), "got numpy arrays: turn them into tensors with torch.as_tensor"),
        ((torch.zeros(4, 2), np.zeros(4)), "got numpy arrays"),
        ({"x": np.zeros((4, 2)), "y": torch.zeros(4)}, "got numpy arrays"),
        (np.zeros((4, 2)), "got numpy arrays"),
        ((torch.zeros(4, 2), torch.zeros(3)), "one number of samples"),
        (7, "got int"),
    ],
)
@pytest.mark.parametrize("part", ["train", "test", "validation"])
def test_data_are_refused_when_a_problem_is_made(part: str, data: object, told: str) -> None:
    good = (torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(DataError, match=told):
        Problem("mine", nn.Linear(2, 2), F.cross_entropy, **{"train": good, "test": good, part: data})


def test_too_few_outputs_asked_for() -> None:
    x, y = torch.rand(4, 6), torch.tensor([0, 1, 2, 3])
    with pytest.raises(InputError, match="from 0 to 2 for 'deep-linear', got 0 to 3"):
        problems.get("deep-linear", data=from_tensors((x, y), (x, y)), outputs=3)


def test_unknown_names_and_options() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'autoencoder'"):
        problems.get("autoencder")
    with pytest.raises(ConfigurationError, match="did you mean 'digits'"):
        problems.get("fcp", data="digit")
    with pytest.raises(ConfigurationError, match="model 'fcp' has no option 'depth'"):
        problems.get("fcp", depth=3)


def test_statistics_are_those_of_the_data_unless_eval_is_named() -> None:
    """A trained network keeps its loss in either mode; nothing is evaluated with the statistics of a new network."""
    inputs, targets = nets.vectors()
    net = nets.Normalised()
    frozen = net.frozen.weight.clone()
    with torch.no_grad():
        for _ in range(50):
            net.train()(3 * inputs + 1)
    net.eval()
    data = (3 * inputs + 1, targets)

    def make(model: object, **options: object) -> Problem:
        return Problem("n", model, F.cross_entropy, train=data, test=data, **options)  # type: ignore[arg-type]

    held = make(net, mode="eval")
    w = held.spec.flatten(net)
    expected = F.cross_entropy(net(data[0]), targets).detach()
    torch.testing.assert_close(held.train.value(w), expected)
    by_default = make(net)
    assert (by_default.mode, by_default.statistics_batch) == ("batch-statistics", 512)
    batch = copy.deepcopy(net).train()
    batch.drop.eval()
    torch.testing.assert_close(by_default.train.value(w), F.cross_entropy(batch(data[0]), targets).detach())
    # Its module has the averages over the training data: those of the network, whose momentum has forgotten the rest.
    made = by_default.module(w).eval()
    assert torch.equal(made.frozen.weight, frozen)
    torch.testing.assert_close(made.norm.running_mean, net.norm.running_mean, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(F.cross_entropy(made(data[0]), targets).detach(), expected, rtol=2e-2, atol=0)
    with pytest.raises(InputError, match="one set of statistics for all"):
        Ensemble.from_weights([net.state_dict()], held)
    ensemble = Ensemble.from_weights([net.state_dict()], by_default)
    torch.testing.assert_close(by_default.train.value(ensemble[0]), by_default.train.value(w))
