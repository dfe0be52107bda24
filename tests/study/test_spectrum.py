"""Spectra of points: the numbers are those of ``lossatlas.curvature``, stored once, read again, refused where wrong."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from curved_networks import dense_hessian, perceptron, points
from sample_networks import NETWORKS, rows_of
from torch import nn

from lossatlas import curvature
from lossatlas.core.errors import ConfigurationError, DivergenceError, InputError, StorageError
from lossatlas.core.randomness import generator, seeded
from lossatlas.landscape import NetworkLandscape, from_function, get
from lossatlas.study import Spectra, load_spectra, spectrum
from lossatlas.study.spectrum_options import SpectrumOptions

QUICK = {"count": 2, "probes": 2, "steps": 8, "batches": 2, "batch_size": 8}


@pytest.fixture(scope="module")
def network():
    return perceptron(5)


@pytest.fixture(scope="module")
def found(network):
    landscape, _, _ = network
    return spectrum(
        landscape, points(landscape, 3, scale=0.5), ["a", "b", "c"], options=QUICK, name="small", unit="nat"
    )


def test_the_numbers_are_those_of_the_hessian(network, found: Spectra):
    landscape, net, data = network
    x = points(landscape, 3, scale=0.5)
    for row, (label, point) in enumerate(found.done):
        assert label == "abc"[row]
        truth = torch.linalg.eigvalsh(dense_hessian(net, landscape, data, x[row]))
        assert torch.allclose(point.eigenpairs.values, truth[[-1, -2, 1, 0]], rtol=1e-6)
        assert float(point.trace.value) == pytest.approx(float(truth.sum()), rel=1e-9)
        assert float(point.trace.error) == 0, "all of the matrix is at hand"
        below = int((truth < -1e-6 * truth.abs().max()).sum())
        assert int(point.classification.index) == below
        assert bool(point.conditioning.exact)
        assert bool(point.check.agrees)
        assert point.check.differences.shape == (3,)
        assert point.blocks is not None
        assert point.blocks.names == ("layers.0", "layers.2", "layers.4")
        assert point.batches is not None
        assert point.batches.data == "2 mini-batches of 8 of 40 examples"
        assert point.gauss_newton is not None
        assert point.fisher is not None
        assert float(point.classification.value) == pytest.approx(float(landscape.value(x[row])), rel=1e-12)
    assert found.index is not None
    assert torch.allclose(found.index.loss, torch.tensor(found.losses).double())
    assert found.complete
    assert found.quantity == "Loss"


def test_what_was_stored_is_read_and_not_computed_again(network, found, tmp_path, monkeypatch):
    landscape, _, _ = network
    x = points(landscape, 3, scale=0.5)
    first = spectrum(landscape, x, ["a", "b", "c"], options=QUICK, folder=tmp_path / "o")
    again = load_spectra(tmp_path / "o")
    for one, other in ((found, first), (first, again)):
        for label in "abc":
            assert torch.equal(one.spectra[label].eigenpairs.values, other.spectra[label].eigenpairs.values)
            assert one.spectra[label].classification.kinds == other.spectra[label].classification.kinds
    assert again.spectra["a"].blocks.names == first.spectra["a"].blocks.names
    assert torch.equal(again.index.fraction, first.index.fraction)

    def refuse(*_, **__):
        raise AssertionError("computed again")

    monkeypatch.setattr(curvature, "eigenvalues", refuse)
    monkeypatch.setattr(curvature, "index_against_loss", refuse)
    same = spectrum(landscape, x, ["a", "b", "c"], options=QUICK, folder=tmp_path / "o")
    assert torch.equal(same.spectra["b"].trace.value, first.spectra["b"].trace.value)
    with pytest.raises(AssertionError, match="computed again"):
        spectrum(landscape, x, ["a", "b", "c"], options=QUICK | {"steps": 9}, folder=tmp_path / "o")


def test_an_interrupt_keeps_the_points_that_are_done(network, tmp_path):
    landscape, _, _ = network
    x = points(landscape, 2, scale=0.5)

    def stop(done, total, text):
        assert total == 2
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        spectrum(landscape, x, ["a", "b"], options=QUICK, folder=tmp_path / "o", progress=stop)
    partial = load_spectra(tmp_path / "o")
    assert not partial.complete
    assert [label for label, _ in partial.done] == ["a"]
    whole = spectrum(landscape, x, ["a", "b"], options=QUICK, folder=tmp_path / "o")
    assert torch.equal(whole.spectra["a"].eigenpairs.values, partial.spectra["a"].eigenpairs.values)


def test_a_killed_run_goes_on_after_its_last_stage(network, tmp_path, monkeypatch):
    """Every stage is told as it begins, kept until the point is done, and not made twice."""
    landscape, _, _ = network
    x, told = points(landscape, 1, scale=0.5), []

    def stop(done, total, text):
        told.append(text)
        if text == "a: trace":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        spectrum(landscape, x, ["a"], options=QUICK, folder=tmp_path / "o", progress=stop)
    stages = [
        "whole Hessian, columns 1 to 88 of 88", "eigenvalues", "density", "layers", "mini-batches",
        "Gauss-Newton matrix", "empirical Fisher matrix", "trace", "condition number", "kind of point",
    ]  # fmt: skip
    assert told == ["a", *(f"a: {stage}" for stage in stages[:8])]
    again = []
    with monkeypatch.context() as patch:
        for name in ("eigenvalues", "spectral_density", "blockwise", "batch_spread"):
            patch.setattr(curvature, name, None)
        found = spectrum(
            landscape, x, ["a"], options=QUICK, folder=tmp_path / "o", progress=lambda *each: again.append(each[2])
        )
    assert again == ["a", *(f"a: {stage}" for stage in stages[7:])]
    whole = spectrum(landscape, x, ["a"], options=QUICK).spectra["a"]
    one = found.spectra["a"]
    assert torch.equal(one.eigenpairs.values, whole.eigenpairs.values)
    assert torch.equal(one.trace.value, whole.trace.value)
    assert (one.blocks.names, one.classification.method) == (whole.blocks.names, whole.classification.method)
    assert not [*(tmp_path / "o" / "work").iterdir()], "stages are kept no longer than they are needed"


def test_the_whole_hessian_is_made_once(network, monkeypatch):
    """Eigenvalues, density, layers, trace, condition number and kind take no product beyond those of the matrix."""
    landscape, _, _ = network
    products, multiply = [], curvature.HessianOperator._multiply

    def counted(self, v, where):
        products.append(0 if self.data.startswith("mini-batch") else len(v))
        return multiply(self, v, where)

    monkeypatch.setattr(curvature.HessianOperator, "_multiply", counted)
    found = spectrum(landscape, points(landscape, 1, scale=0.5), ["a"], options=QUICK)
    assert sum(products) == landscape.dim + 3, "and three beside finite differences"
    assert int(found.spectra["a"].eigenpairs.products) == landscape.dim


def test_a_network_of_any_size_of_which_all_eigenvalues_are_asked(network, monkeypatch):
    """The matrix that they take answers the rest: index, null space and condition number are exact."""
    landscape, net, data = network
    monkeypatch.setattr("lossatlas.curvature.assembled.DENSE", 10)
    monkeypatch.setattr("lossatlas.curvature.critical.DENSE", 10)
    monkeypatch.setattr(
        curvature.conditioning, "__kwdefaults__", {**curvature.conditioning.__kwdefaults__, "dense": 10}
    )
    x = points(landscape, 1, scale=0.5)
    few = spectrum(landscape, x, ["a"], options=QUICK).spectra["a"]
    assert not bool(few.conditioning.exact)
    point = spectrum(landscape, x, ["a"], options=QUICK | {"count": 5000}).spectra["a"]
    truth = torch.linalg.eigvalsh(dense_hessian(net, landscape, data, x[0]))
    border = 1e-6 * truth.abs().max()
    assert bool(point.classification.complete)
    assert int(point.classification.index) == int((truth < -border).sum())
    assert bool(point.conditioning.exact)
    assert int(point.conditioning.null) == int((truth.abs() <= border).sum())
    assert float(point.conditioning.nonzero) == pytest.approx(
        float(truth.abs().max() / truth.abs()[truth.abs() > border].min()), rel=1e-6
    )


def test_energies_have_neither_layers_nor_batches():
    toy = get("muller-brown")
    found = spectrum(toy, torch.stack([p.x for p in toy.minima]), ["A", "B", "C"])
    for _, point in found.done:
        assert point.classification.kinds == ("minimum",)
        assert point.blocks is point.batches is point.gauss_newton is point.fisher is None
    assert found.quantity == "Energy"
    assert math.isnan(found.index.correlation)
    one = spectrum(from_function(lambda x: (x**2).sum(), dim=1), torch.zeros(1, 1).double())
    assert one.spectra["0"].eigenpairs.values.tolist() == [2.0]
    assert one.index is None


def test_each_network_keeps_its_own_statistics():
    g = generator("spectrum statistics")
    x, y = torch.randn(30, 3, generator=g), torch.randint(0, 2, (30,), generator=g)
    with seeded("spectrum statistics"):
        net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
    landscape = NetworkLandscape(net, F.cross_entropy, (x, y))
    w = torch.stack([landscape.flatten(net), 2 * landscape.flatten(net), 0.5 * landscape.flatten(net)])
    own = landscape.refresh(w[1])
    given = spectrum(landscape, w, options=QUICK, buffers=[None, own, None])
    assert "recomputed on the data where there were none (2 points)" in given.notes[0]
    for row, (_, point) in enumerate(given.done):
        exact = landscape.with_buffers(landscape.refresh(w[row])).to(dtype=torch.float64)
        assert float(point.classification.value) == pytest.approx(float(exact.value(w[row].double())), rel=1e-6)
    assert torch.allclose(given.index.loss, torch.tensor(given.losses).double(), rtol=1e-6)


def test_nonsense_is_refused_before_anything_is_written(network, tmp_path):
    landscape, _, _ = network
    x = points(landscape, 2)
    folder = tmp_path / "o"
    for options, message in (
        ({"prbes": 3}, "did you mean 'probes'"),
        ({"probes": 1}, "probes of at least 2"),
        ({"probes": 2.5}, "a whole number"),
        ({"zero": 2.0}, "zero in"),
        ({"blocks": "layers"}, "'layer', 'parameter' or 'none'"),
        ({"batches": 1}, "0 \\(none\\) or at least 2"),
        ({"others": 1}, "true or false"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            spectrum(landscape, x, options=options, folder=folder)
    with pytest.raises(InputError, match="different label"):
        spectrum(landscape, x, ["a", "a"], folder=folder)
    with pytest.raises(InputError, match="at least one point"):
        spectrum(landscape, x[0], folder=folder)
    with pytest.raises(InputError, match="got NaN or infinity in '1'"):
        spectrum(landscape, torch.stack([x[0], x[1] * math.nan]), folder=folder)
    wall = from_function(lambda v: torch.where(v[0] > 0, v[0] ** 2, torch.inf), dim=1)
    with pytest.raises(DivergenceError, match="not defined there"):
        spectrum(wall, -torch.ones(1, 1).double(), folder=folder)
    assert not folder.exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    with pytest.raises(StorageError, match="folder with other files"):
        spectrum(landscape, x, folder=tmp_path / "other")
    with pytest.raises(StorageError, match="a folder without store"):
        load_spectra(tmp_path / "other")


def test_the_models_and_the_random_state_are_left_alone(network):
    landscape, net, _ = network
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = torch.random.get_rng_state()
    spectrum(landscape, points(landscape, 1), options=QUICK)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


def test_options_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SpectrumOptions().count = 3


@pytest.mark.parametrize("name", ["attention", "normalised"])
def test_networks_with_attention_ties_and_dropout(name):
    """Nothing special is asked of a model; the way of its products is said."""
    landscape = NETWORKS[name]()
    x = rows_of(landscape, 1)
    point = spectrum(landscape, x, options=QUICK | {"tolerance": 1e-3}).spectra["0"]
    assert bool(point.eigenpairs.converged.all())
    assert point.check.method.startswith(("reverse over reverse", "central differences"))
    assert bool(point.check.agrees)
    assert sum(point.blocks.sizes) == landscape.dim
