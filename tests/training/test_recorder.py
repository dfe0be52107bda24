"""TrajectoryRecorder: what it keeps is what was there, however long the run, and the loop never notices."""

from __future__ import annotations

import copy
import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossatlas.core.errors import InputError
from lossatlas.core.params import ParamSpec
from lossatlas.core.randomness import generator, seeded
from lossatlas.core.trajectory import Trajectory
from lossatlas.training import TrajectoryRecorder, lightning_callback
from lossatlas.training.thinned_curves import ThinnedCurves

NAN, INF = float("nan"), float("inf")


def network() -> nn.Module:
    with seeded("recorded"):
        return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Tanh(), nn.Linear(5, 2))


def data() -> tuple[Tensor, Tensor]:
    g = generator("recorded data")
    return torch.randn(20, 3, generator=g), torch.randint(0, 2, (20,), generator=g)


def train(steps: int, recorder: TrajectoryRecorder | None, log: list | None = None) -> nn.Module:
    """A plain loop; the log has what a careful reader would have written down by hand."""
    net, (x, y) = network(), data()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.5)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    with seeded("dropout"):
        for _ in range(steps):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            if log is not None:
                flat = ParamSpec.of(net).flatten(net)
                norm = torch.cat([p.grad.reshape(-1) for p in net.parameters()]).norm()
                log.append((flat, loss.item(), norm.item(), optimizer.param_groups[0]["lr"]))
            if recorder is not None:
                recorder.record(net, loss=loss, optimizer=optimizer)
            optimizer.step()
            schedule.step()
    return net


def test_every_step_as_it_was():
    log: list = []
    recorder = TrajectoryRecorder()
    train(30, recorder, log)
    run = recorder.trajectory()
    assert torch.equal(run.weights, torch.stack([flat for flat, *_ in log]))
    assert run.steps.tolist() == run.curves.steps.tolist() == list(range(30))
    for name, column in (("losses", 1), ("gradient_norms", 2), ("learning_rates", 3)):
        expected = torch.tensor([row[column] for row in log], dtype=torch.float64)
        assert torch.allclose(getattr(run.curves, name), expected, rtol=1e-6), name
    assert torch.equal(run.losses, run.curves.losses)
    assert run.spec == ParamSpec.of(network())


def test_the_loop_never_notices():
    """Weights, buffers, gradients, flags and random numbers are the same bits with and without."""
    before = torch.random.get_rng_state()
    plain, watched = train(12, None), train(12, TrajectoryRecorder(snapshots=5))
    assert torch.equal(before, torch.random.get_rng_state())
    for (name, a), b in zip(plain.state_dict().items(), watched.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    for a, b in zip(plain.parameters(), watched.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)
        assert b.requires_grad
    assert watched.training


@pytest.mark.parametrize("steps", [1, 2, 7, 8, 100, 333])
def test_snapshots_are_bounded_even_and_have_both_ends(steps):
    log: list = []
    recorder = TrajectoryRecorder(snapshots=10)
    net = train(steps, recorder, log)
    recorder.record(net)
    run = recorder.trajectory()
    assert len(run) <= 10
    assert run.steps[0] == 0
    assert run.steps[-1] == steps
    assert torch.equal(run.weights[-1], ParamSpec.of(net).flatten(net))
    assert math.isnan(run.losses[-1])
    assert len(run.curves) == steps
    inner = run.steps[:-2].diff().unique()
    assert len(inner) <= 1
    if steps > 10:
        assert len(run) >= 5
        assert int(inner) & (int(inner) - 1) == 0
    for i, step in enumerate(run.steps[:-1].tolist()):
        assert torch.equal(run.weights[i], log[step][0])
        assert float(run.losses[i]) == pytest.approx(log[step][1])


@pytest.mark.parametrize("form", ["number", "tensor"])
def test_the_last_finite_weights_survive_a_divergence(form):
    net = nn.Linear(1, 1)
    recorder = TrajectoryRecorder(snapshots=4)
    losses = [*(1.0 + i for i in range(70)), INF, NAN, NAN]
    for step, loss in enumerate(losses):
        with torch.no_grad():
            net.weight.fill_(step)
        recorder.record(net, loss=torch.tensor(loss) if form == "tensor" else loss)
    run = recorder.trajectory()
    assert run.last_finite is not None
    assert run.steps[run.last_finite] == 69
    assert float(run.weights[run.last_finite, 0]) == 69
    assert run.steps[-1] == 72
    assert len(run) <= 4


def test_what_is_recorded_and_what_is_not():
    """Frozen parameters are left out, several types are joined, wrapped names are plain, norms may be given."""
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1).double())
    net[0].bias.requires_grad_(False)
    wrapped = nn.DataParallel(net)
    recorder = TrajectoryRecorder()
    recorder.record(wrapped, loss=1.0, gradient_norm=7.0, learning_rate=0.3, step=5)
    recorder.record(wrapped, loss=2.0, step=9)
    run = recorder.trajectory()
    assert run.spec == ParamSpec.of(net)
    assert run.weights.dtype == torch.float64
    assert run.curves.steps.tolist() == [5, 9]
    assert run.curves.gradient_norms[0] == 7.0
    assert run.curves.gradient_norms[1].isnan()
    assert run.curves.learning_rates[0] == 0.3
    with pytest.raises(InputError, match="after 9, got 9"):
        recorder.record(wrapped, step=9)
    net[0].bias.requires_grad_(True)
    with pytest.raises(InputError, match="use another recorder"):
        recorder.record(wrapped)
    with pytest.raises(InputError, match="a loss of one number"):
        TrajectoryRecorder().record(net, loss=torch.ones(3))


def test_sparse_and_missing_gradients():
    table = nn.Embedding(10, 3, sparse=True)
    recorder = TrajectoryRecorder()
    recorder.record(table, loss=1.0)
    table(torch.tensor([1, 1, 4])).sum().backward()
    recorder.record(table, loss=1.0)
    norms = recorder.trajectory().curves.gradient_norms
    assert norms[0].isnan()
    assert float(norms[1]) == pytest.approx((3 * 4 + 3) ** 0.5)


def test_numbers_that_cannot_be():
    with pytest.raises(InputError, match="at least 4 snapshots"):
        TrajectoryRecorder(snapshots=3)
    with pytest.raises(InputError, match="twice the recent"):
        TrajectoryRecorder(points=100, recent=60)
    with pytest.raises(InputError, match="an empty one"):
        TrajectoryRecorder().trajectory()


def test_stored_and_read_back(tmp_path):
    recorder = TrajectoryRecorder(settings={"run": "one"})
    train(5, recorder)
    recorder.save(tmp_path / "run")
    run = Trajectory.load(tmp_path / "run")
    assert torch.equal(run.weights, recorder.trajectory().weights)
    assert run.settings == {"optimizer": "SGD", "momentum": 0.5, "nesterov": False, "run": "one"}


# ------------------------------------------------------------------ thinning
@pytest.mark.parametrize("spike", [0, 3, 1234, 8765, 9999])
def test_thinning_keeps_spikes_the_lowest_loss_and_the_end(spike):
    curves = ThinnedCurves(limit=300, recent=50)
    lowest = 4321
    for step in range(10_000):
        curves.add(step, -1.0 if step == lowest else 1.0, 1e3 if step == spike else 1.0, 0.1)
        assert len(curves._points) <= 300
    kept = curves.curves()
    assert spike in kept.steps.tolist()
    assert lowest in kept.steps.tolist()
    assert kept.steps[-50:].tolist() == list(range(9950, 10_000))
    assert len(kept) > 100
    assert int(kept.steps.diff().max()) <= 2 * 10_000 // 50


def test_thinning_keeps_the_step_of_divergence():
    curves = ThinnedCurves(limit=60, recent=20)
    for step in range(3000):
        curves.add(step, NAN if step >= 777 else 1.0, NAN if step >= 777 else 2.0, 0.1)
    kept = curves.curves()
    assert int(kept.steps[~kept.losses.isfinite()][0]) == 777


# ------------------------------------------------------------------ Lightning
@pytest.fixture
def lightning():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pytorch_lightning

        yield pytorch_lightning


@pytest.mark.parametrize("accumulate", [1, 2])
def test_lightning_records_every_optimizer_step(lightning, accumulate, tmp_path):
    """Against the same training written as a loop."""
    x, y = data()
    start = nn.Linear(3, 2)

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = copy.deepcopy(start)

        def training_step(self, batch, _):
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.5)

    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=5)
    recorder = TrajectoryRecorder()
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accumulate_grad_batches=accumulate, default_root_dir=tmp_path,
        callbacks=[lightning_callback(recorder, "pytorch_lightning")],
    )  # fmt: skip
    trainer.fit(Module(), loader)
    run = recorder.trajectory()

    net = copy.deepcopy(start)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    weights, losses = [], []
    for _ in range(2):
        for i in range(0, 4, accumulate):
            optimizer.zero_grad()
            for j in range(i, i + accumulate):
                loss = F.cross_entropy(net(x[5 * j : 5 * j + 5]), y[5 * j : 5 * j + 5])
                (loss / accumulate).backward()
            weights.append(ParamSpec.of(net).flatten(net))
            losses.append(loss.item())
            optimizer.step()
    weights.append(ParamSpec.of(net).flatten(net))
    assert torch.allclose(run.weights, torch.stack(weights), rtol=1e-6)
    assert torch.allclose(run.curves.losses, torch.tensor(losses).double(), rtol=1e-6)
    assert set(run.curves.learning_rates.tolist()) == {0.5}


def test_an_unknown_library_is_refused():
    with pytest.raises(InputError, match="'pytorch_lightning'"):
        lightning_callback(TrajectoryRecorder(), "keras")
