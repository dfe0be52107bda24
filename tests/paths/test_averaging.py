"""May I average them? Verdicts against cases whose answer is known."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lossatlas.core.errors import DivergenceError, InputError
from lossatlas.core.files import load_tree, save_tree
from lossatlas.core.randomness import generator, seeded
from lossatlas.landscape import NetworkLandscape, from_function
from lossatlas.paths.averaging import Averaging, averaging
from lossatlas.paths.refreshed import refreshed_line
from lossatlas.symmetry import align, permutation_structure


def make(normalised: bool = False, epochs: int = 150) -> tuple[NetworkLandscape, nn.Module]:
    """A small trained classifier of two half planes bent by a sine."""
    g = generator("averaging")
    x = torch.rand(200, 2, generator=g) * 6 - 3
    y = (x[:, 0].sin() > x[:, 1]).long()
    with seeded("averaging net"):
        norm = [nn.BatchNorm1d(12)] if normalised else []
        net = nn.Sequential(nn.Linear(2, 12), *norm, nn.Tanh(), nn.Linear(12, 2))
    optimizer = torch.optim.Adam(net.parameters(), 3e-2)
    for _ in range(epochs):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    return NetworkLandscape(net, F.cross_entropy, (x, y)), net


@pytest.fixture(scope="module")
def plain() -> tuple[NetworkLandscape, nn.Module]:
    return make()


@pytest.fixture(scope="module")
def normalised() -> tuple[NetworkLandscape, nn.Module]:
    return make(normalised=True)


def test_neighbours_may_be_averaged_and_the_numbers_are_those_of_the_network(plain):
    landscape, net = plain
    a = landscape.flatten(net)
    b = a + 0.01 * torch.randn(a.shape, generator=generator("step"))
    found = averaging(landscape, a, b)
    assert found.verdict == "yes"
    middle = landscape.to(dtype=torch.float64).metrics(0.5 * (a.double() + b.double()))
    assert found.raw.loss == float(middle["loss"])
    assert found.raw.metrics == {"accuracy": float(middle["accuracy"])}
    assert (found.refreshed, found.aligned, found.aligned_refreshed) == (None, None, None)
    assert list(found.midpoints) == ["raw"]
    assert found.sentence.startswith("Yes")


def test_a_permuted_copy_only_after_alignment(plain):
    landscape, net = plain
    a = landscape.flatten(net)
    structure = permutation_structure(landscape)
    b = structure.apply(a, structure.random(3))
    aligned = align(landscape, a, b, structure=structure).weights
    assert averaging(landscape, a, b).verdict == "no"
    found = averaging(landscape, a, b, aligned=aligned)
    assert found.verdict == "after alignment"
    assert found.aligned is not None
    assert found.aligned.loss == pytest.approx(found.start.loss, rel=1e-12)
    assert "instead of" in found.sentence


def test_the_tolerance_is_a_hundredth_of_knowing_nothing(plain):
    landscape, net = plain
    a = landscape.flatten(net)
    # All weights zero: both classes have the same logit.
    assert averaging(landscape, a, 1.01 * a).tolerance == pytest.approx(0.01 * torch.tensor(2.0).double().log().item())
    assert averaging(landscape, a, 1.01 * a, tolerance=0.5).tolerance == 0.5


def test_the_verdict_turns_exactly_at_the_limit():
    hump = from_function(lambda x: 1 - x[0] ** 2 + x[0] ** 4, dim=1)
    a, b = torch.tensor([[-0.5], [0.5]], dtype=torch.float64)
    gap = 1 - (1 - 0.25 + 0.0625)
    assert averaging(hump, a, b, tolerance=gap).verdict == "yes"
    assert averaging(hump, a, b, tolerance=gap - 1e-9).verdict == "no"


def test_stale_statistics_do_not_hide_a_bad_mean(normalised):
    landscape, net = normalised
    a = landscape.flatten(net)
    # The same function as seen by a layer that normalises: the first layer twice as large.
    state = {name: p.detach().clone() for name, p in net.named_parameters()}
    state["0.weight"] *= 4
    state["0.bias"] *= 4
    b = landscape.flatten(state)
    found = averaging(landscape, a, b)
    assert found.refreshed_end is not None
    assert found.refreshed_start is not None
    assert found.refreshed_end.loss == pytest.approx(found.refreshed_start.loss, rel=1e-3)
    assert found.end.loss > 2 * found.refreshed_end.loss, "the statistics of a are wrong for b"
    assert found.higher_end < found.end.loss
    assert found.verdict == "after refreshing statistics"


def test_own_statistics_are_used_and_averaged(normalised):
    landscape, net = normalised
    a = landscape.flatten(net)
    own = landscape.refresh(a)
    found = averaging(landscape, a, a, buffers=(own, own))
    assert found.refreshed_start is not None
    assert found.start.loss == pytest.approx(found.refreshed_start.loss, abs=1e-6)
    assert found.raw.loss == pytest.approx(found.start.loss, abs=1e-6)
    shifted = {name: x + 1 if x.is_floating_point() else x for name, x in own.items()}
    assert averaging(landscape, a, a, buffers=(own, shifted)).end.loss != found.end.loss


def test_refreshed_line_is_the_loss_of_refreshed_networks(normalised, plain):
    landscape, net = normalised
    a = landscape.flatten(net)
    b = a + 0.3 * torch.randn(a.shape, generator=generator("line"))
    line = refreshed_line(landscape, a, b, points=5)
    assert line is not None
    exact = landscape.to(dtype=torch.float64)
    for t, loss in zip(line.t, line.loss, strict=True):
        row = (1 - t) * a.double() + t * b.double()
        assert float(exact.with_buffers(exact.refresh(row)).value(row)) == pytest.approx(float(loss), rel=1e-9)
    assert refreshed_line(plain[0], *torch.zeros(2, plain[0].dim)) is None


def test_it_is_stored_and_read_back(plain, tmp_path):
    landscape, net = plain
    a = landscape.flatten(net)
    found = averaging(landscape, a, 1.1 * a, aligned=1.05 * a)
    save_tree(tmp_path / "x.json", found.to_tree())
    assert Averaging.from_tree(load_tree(tmp_path / "x.json")) == found


def test_what_is_refused(plain):
    landscape, net = plain
    a = landscape.flatten(net)
    for wrong in (a[:-1], a.double(), a[None]):
        with pytest.raises(InputError):
            averaging(landscape, a, wrong)
    with pytest.raises(InputError, match="at least 0"):
        averaging(landscape, a, a, tolerance=-1.0)
    with pytest.raises(DivergenceError, match="at the end"):
        averaging(landscape, a, torch.full_like(a, torch.nan))
    with pytest.raises(InputError, match="at least 2 points"):
        refreshed_line(landscape, a, a, points=1)
