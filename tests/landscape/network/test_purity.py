"""The user's module, buffers, flags, gradients and the random state stay as they are, to the bit."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import sample_networks as nets
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from lossatlas.core.errors import DataError, InputError, NonDeterministicLossError
from lossatlas.core.files import bit_equal
from lossatlas.landscape import NetworkLandscape, Numerics
from lossatlas.problems import Problem


def snapshot(module: nn.Module) -> dict[str, Any]:
    return {
        "state": {name: t.clone() for name, t in module.state_dict().items()},
        "grads": {name: p.grad.clone() if p.grad is not None else None for name, p in module.named_parameters()},
        "training": [m.training for m in module.modules()],
        "requires_grad": [p.requires_grad for p in module.parameters()],
        "keys": [sorted(vars(m)) for m in module.modules()],
    }


ACTIONS: dict[str, Callable[[NetworkLandscape, Tensor], object]] = {
    "value": lambda landscape, x: landscape.value(x),
    "value_and_grad": lambda landscape, x: landscape.value_and_grad(x),
    "hvp": lambda landscape, x: landscape.hvp(x, x),
    "metrics": lambda landscape, x: landscape.metrics(x),
    "refresh": lambda landscape, x: landscape.refresh(x),
    "on": lambda landscape, x: landscape.on(torch.arange(4).expand(len(x), 4)).value_and_grad(x),
    "float64": lambda landscape, x: landscape.to(dtype=torch.float64).value_and_grad(x.double()),
    "tune": lambda landscape, x: landscape.tune().value(x),
    "samples": lambda landscape, x: landscape.samples,
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("mode", ["eval", "batch-statistics"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", ["tensors", "loader"])
def test_nothing_of_the_users_changes(action: str, mode: Any, training: bool, kind: str) -> None:
    model = nets.Normalised()
    model.train(training)
    inputs, targets = nets.vectors()
    F.cross_entropy(model(inputs), targets).backward()  # gradients and statistics to lose
    # With batch statistics the loss depends on which samples share a batch: shuffling would rightly be refused.
    loader = DataLoader(TensorDataset(inputs, targets), 10, shuffle=mode == "eval")
    data = (inputs, targets) if kind == "tensors" else loader
    before, x_before = snapshot(model), None
    inputs_before = inputs.clone()
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    landscape = NetworkLandscape(model, F.cross_entropy, data, mode=mode)
    x = landscape.flatten(model).expand(2, -1) + 0.01
    x_before = x.clone()
    ACTIONS[action](landscape, x)
    assert bit_equal(snapshot(model), before)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(inputs, inputs_before)
    assert torch.equal(x, x_before)


def test_flatten_copies() -> None:
    model = nn.Linear(2, 2)
    landscape = NetworkLandscape(model, F.cross_entropy, (torch.randn(4, 2), torch.tensor([0, 1, 0, 1])))
    before = model.weight.detach().clone()
    landscape.flatten(model).add_(1.0)
    assert torch.equal(model.weight, before)


def test_later_changes_of_the_module_do_not_reach_the_landscape() -> None:
    model = nets.Normalised()
    landscape = NetworkLandscape(model, F.cross_entropy, nets.vectors(), numerics=nets.PLAIN)
    x = nets.rows_of(landscape, 1)
    before = landscape.value(x)
    model.norm.running_mean.add_(5.0)
    nn.init.zeros_(model.frozen.weight)
    assert torch.equal(landscape.value(x), before)


class AlwaysDropping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.fc(x), 0.5, training=True)


def test_dropout_active_in_eval_is_refused() -> None:
    landscape = NetworkLandscape(AlwaysDropping(), F.cross_entropy, nets.vectors())
    with pytest.raises(
        NonDeterministicLossError, match=r"expected the same loss twice .* \(it calls dropout\): turn off"
    ):
        landscape.value(nets.rows_of(landscape, 1))

    class Noisy(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(F.dropout(x + torch.randn_like(x), 0.5, self.training)) + torch.empty(3).uniform_()

    noisy = NetworkLandscape(Noisy(6, 3), F.cross_entropy, nets.vectors())
    with pytest.raises(NonDeterministicLossError, match=r"\(it calls randn_like, uniform\)"):
        noisy.value(nets.rows_of(noisy, 1))


def test_augmented_data_are_refused_and_shuffled_ones_are_not() -> None:
    inputs, targets = nets.vectors()

    class Augmented(TensorDataset):
        def __getitem__(self, index: int) -> tuple[Tensor, ...]:
            x, y = super().__getitem__(index)
            return x + 0.1 * torch.randn_like(x), y

    model = nets.Normalised()
    noisy = NetworkLandscape(model, F.cross_entropy, DataLoader(Augmented(inputs, targets), batch_size=5))
    with pytest.raises(NonDeterministicLossError):
        noisy.value(nets.rows_of(noisy, 1))
    shuffled = DataLoader(TensorDataset(inputs, targets), batch_size=5, shuffle=True)
    calm = NetworkLandscape(model, F.cross_entropy, shuffled)
    assert bool(torch.isfinite(calm.value(nets.rows_of(calm, 1))).all())


def test_unused_and_frozen_parameters() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used = nn.Linear(6, 3)
            self.idle = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    for name in ("loop", "convnet", "vmap", "fused"):
        landscape = NetworkLandscape(
            Idle(), F.cross_entropy, nets.vectors(), numerics=Numerics(full=name, data_chunk=6)
        )
        _, gradient = landscape.value_and_grad(nets.rows_of(landscape, 2))
        parts = landscape.spec.unflatten(gradient)
        assert float(parts["idle.weight"].abs().max()) == 0.0
        assert float(parts["used.weight"].abs().max()) > 0.0


def test_tied_weights_count_once() -> None:
    landscape = NetworkLandscape(nets.Normalised(), F.cross_entropy, nets.vectors(), numerics=nets.PLAIN)
    assert "tied.weight" not in landscape.spec.names
    assert "out.weight" in landscape.spec.names
    assert not any(name.startswith("frozen") for name in landscape.spec.names)


def test_infinite_losses_are_returned_as_they_are() -> None:
    landscape = NetworkLandscape(nets.Normalised(), F.cross_entropy, nets.vectors(), numerics=nets.PLAIN)
    x = nets.rows_of(landscape, 2)
    x[0, :] = float("nan")
    value = landscape.value(x)
    assert bool(torch.isnan(value[0]))
    assert bool(torch.isfinite(value[1]))


def test_wrong_models_data_and_losses_get_one_sentence() -> None:
    vectors = nets.vectors()
    with pytest.raises(InputError, match="expected a model with trainable parameters, got ReLU with none"):
        NetworkLandscape(nn.ReLU(), F.cross_entropy, vectors)
    with pytest.raises(DataError, match="one number of samples"):
        NetworkLandscape(nn.Linear(6, 3), F.cross_entropy, (vectors[0], vectors[1][:3]))
    with pytest.raises(DataError, match="one number of samples"):
        NetworkLandscape(nn.Linear(6, 3), F.cross_entropy, (vectors[0][:0], vectors[1][:0]))
    with pytest.raises(DataError, match="used up after one pass"):
        NetworkLandscape(nn.Linear(6, 3), F.cross_entropy, iter([vectors]))
    with pytest.raises(DataError, match="expected data as"):
        NetworkLandscape(nn.Linear(6, 3), F.cross_entropy, 3)
    with pytest.raises(InputError, match="float32 or float64"):
        NetworkLandscape(nn.Linear(6, 3).half(), F.cross_entropy, vectors)
    with pytest.raises(InputError, match="mode 'eval' or 'batch-statistics'"):
        NetworkLandscape(nn.Linear(6, 3), F.cross_entropy, vectors, mode="train")  # type: ignore[arg-type]
    unreduced = NetworkLandscape(nn.Linear(6, 3), lambda o, t: F.cross_entropy(o, t, reduction="none"), vectors)
    with pytest.raises(InputError, match="one number per batch"):
        unreduced.value(nets.rows_of(unreduced, 1))
    landscape = NetworkLandscape(nn.Linear(6, 3), F.cross_entropy, vectors)
    for bad, words in (
        (torch.tensor([0, 20]), "0..19"),
        (torch.tensor([-1]), "0..19"),
        (torch.tensor([0.5]), "integer"),
        (torch.tensor([], dtype=torch.int64), "at least one sample"),
    ):
        with pytest.raises(InputError, match=words):
            landscape.on(bad)
    with pytest.raises(InputError, match="leading axes must broadcast"):
        landscape.on(torch.zeros(3, 2, dtype=torch.int64)).value(nets.rows_of(landscape, 2))
    with pytest.raises(InputError, match="expected buffers among"):
        landscape.with_buffers({"nothing": torch.zeros(1)})


def test_running_out_of_memory_splits_rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    from lossatlas.landscape.network import strategies

    landscape = NetworkLandscape(
        nets.Normalised(), F.cross_entropy, nets.vectors(), numerics=Numerics(full="vmap", data_chunk=7)
    )
    x = nets.rows_of(landscape, 8)
    expected = landscape.value_and_grad(x)
    sizes: list[tuple[int, int]] = []
    real = strategies.batched

    def small(program: Any, work: strategies.Work) -> None:
        sizes.append((len(work.rows), len(work.batch[0])))
        if len(work.rows) > 3:
            raise torch.OutOfMemoryError("pretended")
        real(program, work)

    monkeypatch.setitem(strategies.STRATEGIES, "vmap", small)
    found = landscape.value_and_grad(x)
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-6, atol=1e-7)
    assert {rows for rows, _ in sizes} == {8, 4, 2}
    assert {samples for _, samples in sizes} == {7, 6}  # data chunks as before


def test_tuning_falls_back_to_the_loop_where_vmap_cannot() -> None:
    class Branching(nn.Linear):
        """Asks for a number of each row in the middle of the pass, which vmap refuses."""

        def forward(self, x: Tensor) -> Tensor:
            out = super().forward(x)
            return out if float(out.detach().sum()) > 0 else 2 * out

    landscape = NetworkLandscape(Branching(6, 3), F.cross_entropy, nets.vectors())
    assert landscape.numerics.full == "loop"
    assert landscape.numerics.mini == "loop"


def test_a_batch_landscape_does_not_measure_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from lossatlas.landscape.network import landscape as module

    calls = []
    real = module.measure_numerics

    def counted(*args: Any) -> Any:
        calls.append(1)
        return real(*args)

    monkeypatch.setattr(module, "measure_numerics", counted)
    landscape = nets.NETWORKS["normalised"]()
    x = nets.rows_of(landscape, 2)
    for i in range(3):
        landscape.on(torch.tensor([i, i + 1])).value(x)
    assert len(calls) == 1


def test_a_dictionary_batch_and_the_users_forward() -> None:
    inputs, targets = nets.vectors()
    model = nn.Linear(6, 3)
    landscape = NetworkLandscape(
        model,
        F.cross_entropy,
        {"x": inputs, "y": targets},
        forward=lambda m, batch: (m(batch["x"]), batch["y"]),
        metrics={"margin": lambda out, _: out.max(1).values.mean()},
    )
    w = landscape.flatten(model)
    assert float(landscape.value(w)) == pytest.approx(float(F.cross_entropy(model(inputs), targets).detach()), rel=1e-6)
    assert set(landscape.metrics(w)) == {"loss", "margin"}


def test_a_modules_own_loss_is_not_modified() -> None:
    loss = nn.CrossEntropyLoss(weight=torch.ones(3))
    problem = Problem(
        "p", lambda: nn.Linear(6, 3), loss, train=nets.vectors(), test=nets.vectors(), dtype=torch.float64
    )
    problem.train.value(problem.initial_weights(0, [0]))
    assert loss.weight is not None
    assert loss.weight.dtype == torch.float32


def test_a_model_that_cannot_be_copied_is_refused() -> None:
    model = nn.Linear(2, 2)
    model.cache = model(torch.ones(1, 2))  # type: ignore[assignment]
    with pytest.raises(InputError, match="copy"):
        NetworkLandscape(model, F.cross_entropy, (torch.ones(2, 2), torch.tensor([0, 1])))
    del model.cache
    copy.deepcopy(model)
