"""Alignment of two ends of a landscape: exact on permuted copies, the same function always."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from sample_networks import NETWORKS, PAPER, rows_of
from symmetric_networks import Recurrent, SmallResNet
from torch import nn

from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator, seeded
from lossatlas.landscape import NetworkLandscape, Numerics, from_function
from lossatlas.symmetry import Alignment, PermutationStructure, align, axis, permutation_structure


def _residual(mode: str = "eval") -> NetworkLandscape:
    g = generator("small images")
    data = (torch.randn(300, 1, 8, 8, generator=g), torch.randint(0, 3, (300,), generator=g))
    with seeded("residual"), torch.no_grad():
        net = SmallResNet().train()
        for _ in range(30):
            net(data[0])  # running statistics as training leaves them
    return NetworkLandscape(net, F.cross_entropy, data, mode=mode, numerics=Numerics())  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["weights", "activations"])
@pytest.mark.parametrize("name", [*PAPER, "resnet-rms"])
def test_a_permuted_copy_of_each_model_is_recovered(name: str, method: str) -> None:
    landscape = NETWORKS[name](numerics=Numerics())
    structure = permutation_structure(landscape)
    w = rows_of(landscape, 1, scale=0.02)[0]
    copy = structure.apply(w, structure.random(7))
    found = align(landscape, w, copy, method=method)  # type: ignore[arg-type]
    assert found.distance_before > 0.5
    assert found.distance_after == 0.0
    assert torch.equal(found.weights, w)
    assert found.function_difference < 1e-12
    assert torch.equal(structure.apply(copy, found.permutations), found.weights)
    assert not found.buffers


@pytest.mark.parametrize("method", ["weights", "activations"])
def test_residual_network_with_its_own_statistics(method: str) -> None:
    landscape = _residual()
    structure = permutation_structure(landscape)
    w = rows_of(landscape, 1, scale=0.05)[0]
    p = structure.random(5)
    own = {name: b for name, b in landscape.module(w).named_buffers() if "running" in name}
    copy, statistics = structure.apply(w, p), structure.apply_buffers(own, p)
    # Precondition: weights without their statistics are another function.
    assert abs(float(landscape.value(copy) - landscape.value(w))) > 1e-3
    found = align(landscape, w, copy, method=method, buffers=statistics)  # type: ignore[arg-type]
    assert found.distance_after == 0.0
    assert torch.equal(found.weights, w)
    assert set(found.buffers) == set(own)
    assert all(torch.equal(found.buffers[name], own[name]) for name in own)
    aligned = landscape.with_buffers(found.buffers).value(found.weights)
    torch.testing.assert_close(aligned, landscape.with_buffers(statistics).value(copy), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["weights", "activations"])
def test_skips_without_parameters(method: str) -> None:
    """Stages of different widths share units: all are recovered, and the function stays."""
    landscape = NETWORKS["resnet"](numerics=Numerics()).with_batch_statistics()
    structure = permutation_structure(landscape)
    w = rows_of(landscape, 1, scale=0.05)[0]
    copy = structure.apply(w, structure.random(9))
    torch.testing.assert_close(landscape.value(copy), landscape.value(w), rtol=1e-5, atol=0)
    found = align(landscape, w, copy, method=method)  # type: ignore[arg-type]
    assert found.distance_before > 0.5
    assert found.distance_after == 0.0
    assert torch.equal(found.weights, w)


def test_batch_statistics_need_no_buffers() -> None:
    landscape = _residual("batch-statistics")
    structure = permutation_structure(landscape)
    w = rows_of(landscape, 1, scale=0.05)[0]
    found = align(landscape, w, structure.apply(w, structure.random(1)))
    assert found.distance_after == 0.0
    assert not found.buffers


@pytest.mark.parametrize("name", PAPER)
def test_distance_of_independent_weights_never_grows_and_the_function_stays(name: str) -> None:
    landscape = NETWORKS[name](numerics=Numerics())
    a, b = 0.1 * torch.randn(2, landscape.dim, generator=generator("independent", name))
    found = align(landscape, a, b, restarts=2)
    assert found.distance_after < found.distance_before == pytest.approx(float((a.double() - b.double()).norm()))
    assert found.distance_after == pytest.approx(float((a.double() - found.weights.double()).norm()))
    assert found.function_difference < 1e-12
    assert torch.equal(found.weights.sort().values, b.sort().values)
    exact = landscape.to(dtype=torch.float64)
    assert float(exact.value(found.weights.double())) == pytest.approx(float(exact.value(b.double())), rel=1e-12)
    assert float(exact.value(found.weights.double())) != float(exact.value(a.double()))


def test_activations_tell_units_apart_by_what_they_do() -> None:
    """Units scaled by c in and 1/c out compute the same; weights are misled by the scale, correlations are not."""
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    g = generator("scales")
    landscape = NetworkLandscape(net, F.cross_entropy, (torch.randn(400, 6, generator=g), torch.zeros(400).long()))
    structure = permutation_structure(landscape)
    w = torch.randn(landscape.dim, generator=g)
    scaled = dict(landscape.spec.unflatten(w.clone()))
    c = torch.tensor([0.1, 1.0, 3.0, 10.0, 30.0])
    scaled |= {"0.weight": scaled["0.weight"] * c[:, None], "0.bias": scaled["0.bias"] * c}
    scaled["2.weight"] = scaled["2.weight"] / c
    p = structure.random(4)
    moved = structure.apply(landscape.spec.flatten(scaled), p)
    found = align(landscape, w, moved, method="activations")
    assert torch.equal(found.permutations["0"], structure.inverse(p)["0"])
    # Constant units: dead for all data, told in the message.
    dead = landscape.spec.unflatten(w.clone())
    dead["0.bias"][2] = -1e3
    silent = landscape.spec.flatten(dead)
    assert "2 units are constant" in align(landscape, silent, silent, method="activations").message


def test_more_kinds_of_layers_by_activations() -> None:
    """Hidden layers inside a stacked LSTM cannot be seen from outside: weights are the way."""
    g = generator("sequences")
    with seeded("recurrent"):
        net = Recurrent()
    data = (torch.randn(40, 5, 3, generator=g), torch.randint(0, 2, (40,), generator=g))
    landscape = NetworkLandscape(net, lambda out, t: F.cross_entropy(out[:40], t[: len(out)]), data)
    structure = permutation_structure(landscape)
    w = landscape.flatten(net)
    with pytest.raises(InputError, match=r"reads the units of 'lstm'.*method='weights'"):
        align(landscape, w, w, method="activations")
    assert torch.equal(align(landscape, w, structure.apply(w, structure.random(2))).weights, w)


def test_a_wrong_structure_by_hand_is_refused_even_if_nothing_moves() -> None:
    landscape = NETWORKS["fcp"](numerics=Numerics())
    right = permutation_structure(landscape)
    wrong = PermutationStructure(
        landscape.spec, right.groups, tuple(use for use in right.axes if use.tensor != "fc3.weight")
    )
    w = rows_of(landscape, 1)[0]
    with pytest.raises(InputError, match=r"leave the function as it is.*by hand"):
        align(landscape, w, w, structure=wrong)
    by_hand = PermutationStructure(
        landscape.spec, {"h": 50}, (axis("fc1.weight", 0, "h", 50), axis("fc2.weight", 1, "h", 50))
    )
    moved = by_hand.apply(w, by_hand.random(1))
    for method in ("weights", "activations"):
        assert torch.equal(align(landscape, w, moved, method=method, structure=by_hand).weights, w)  # type: ignore[arg-type]


def test_bad_arguments() -> None:
    landscape = NETWORKS["fcp"](numerics=Numerics())
    w = rows_of(landscape, 2)
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: align(landscape, w[0], w[1], method="weight"), "did you mean 'weights'"),  # type: ignore[arg-type]
        (lambda: align(landscape, w[0], w[1], restarts=0), "at least 1 start"),
        (lambda: align(landscape, w[0], w), r"got shape \(2, 42200\)"),
        (lambda: align(landscape, w[0], w[1] * torch.nan), "finite ends"),
        (lambda: align(landscape, w[0], w[1].double()), "float32"),
        (lambda: align(landscape, w[0], w[1, 1:]), "42200 coordinates"),
        (lambda: align(from_function(lambda x: x.sum(), dim=2), w[0], w[1]), "no hidden units"),  # type: ignore[arg-type]
        (
            lambda: align(landscape, *w, structure=permutation_structure(NETWORKS["lenet"]())),
            "structure of this landscape's network",
        ),
        (lambda: landscape.module(w), "one row"),
    ]
    for call, message in cases:
        with pytest.raises(InputError, match=message):
            call()


def test_records_and_what_was_given_stays() -> None:
    landscape = NETWORKS["lstm"](numerics=Numerics())
    a, b = rows_of(landscape, 2)
    before = (a.clone(), b.clone(), torch.random.get_rng_state())
    found = align(landscape, a, b, restarts=1)
    again = align(landscape, a, b, restarts=1)
    assert torch.equal(a, before[0])
    assert torch.equal(b, before[1])
    assert torch.equal(torch.random.get_rng_state(), before[2])
    assert torch.equal(found.weights, again.weights)
    read = Alignment.from_tree(found.to_tree())
    assert torch.equal(read.weights, found.weights)
    assert replace(read, message="").message == ""


def test_a_landscape_lends_its_network() -> None:
    landscape = NETWORKS["normalised"](numerics=Numerics())
    w = rows_of(landscape, 1)[0]
    module = landscape.module(w)
    assert torch.equal(landscape.flatten(module), w)
    total = sum(
        float(F.cross_entropy(*landscape.outputs(module, batch))) * len(batch[1]) for batch in landscape.batches(7)
    )
    assert total / landscape.samples == pytest.approx(float(landscape.value(w)), rel=1e-6)
    assert len(next(landscape.batches(7))[0]) == 7
    refreshed = landscape.refresh(w)
    lent = landscape.with_buffers(refreshed).module(w)
    assert torch.equal(dict(lent.named_buffers())["norm.running_var"], refreshed["norm.running_var"])
    assert torch.equal(dict(landscape.module().named_buffers())["norm.running_var"], torch.ones(8))
    with pytest.raises(InputError, match="one 'norm"):
        landscape.with_buffers(landscape.refresh(torch.stack([w, w]))).module(w)
