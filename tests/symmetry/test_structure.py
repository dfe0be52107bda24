"""Permutations act as a group, and a structure given by hand does what matrices do."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lossatlas.core.errors import InputError
from lossatlas.core.params import ParamSpec
from lossatlas.core.randomness import generator, seeded
from lossatlas.symmetry import Axis, PermutationStructure, axis

SPEC = ParamSpec(("a.weight", "a.bias", "b.weight"), ((3, 2), (3,), (2, 6)))
HAND = PermutationStructure(
    SPEC,
    {"a": 3},
    (axis("a.weight", 0, "a", 3), axis("a.bias", 0, "a", 3), axis("b.weight", 1, "a", 3, inner=2)),
)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_permutations_compose_and_invert(first: int, second: int) -> None:
    w = torch.randn(4, SPEC.dim, generator=generator("w"))
    p, q = HAND.random(first), HAND.random(second)
    assert torch.equal(HAND.apply(HAND.apply(w, p), q), HAND.apply(w, HAND.compose(p, q)))
    assert torch.equal(HAND.apply(HAND.apply(w, p), HAND.inverse(p)), w)
    assert torch.equal(HAND.apply(w, HAND.identity()), w)


def test_apply_is_multiplication_by_permutation_matrices() -> None:
    w = torch.randn(SPEC.dim, generator=generator("matrices"))
    pi = torch.tensor([2, 0, 1])
    matrix = torch.eye(3)[pi]
    before, after = SPEC.unflatten(w), SPEC.unflatten(HAND.apply(w, {"a": pi}))
    assert torch.equal(after["a.weight"], matrix @ before["a.weight"])
    assert torch.equal(after["a.bias"], matrix @ before["a.bias"])
    assert torch.equal(after["b.weight"], before["b.weight"] @ torch.kron(matrix, torch.eye(2)).T)


def test_lstm_gates_by_hand_keep_the_function() -> None:
    """Gate by gate, with nothing of the tracer: four blocks of rows, and columns of the recurrent weight."""
    with seeded("lstm by hand"):
        net = nn.LSTM(2, 3, batch_first=True).double()
        x = torch.randn(4, 5, 2, dtype=torch.float64)
    spec, pi = ParamSpec.of(net), torch.tensor([1, 2, 0])
    gated = [axis(name, 0, "h", 3, blocks=4) for name in spec.names]
    structure = PermutationStructure(spec, {"h": 3}, (*gated, axis("weight_hh_l0", 1, "h", 3)))
    moved = spec.unflatten(structure.apply(spec.flatten(net), {"h": pi}))
    assert torch.equal(moved["bias_ih_l0"][3:6], net.bias_ih_l0[3:6][pi])
    before, _ = net(x)
    after, _ = torch.func.functional_call(net, moved, (x,))
    torch.testing.assert_close(after, before[..., pi], rtol=1e-13, atol=1e-15)


def test_several_groups_share_one_axis() -> None:
    spec = ParamSpec(("head",), ((1, 5),))
    structure = PermutationStructure(
        spec, {"p": 2, "q": 3}, (axis("head", 1, "p", 2), axis("head", 1, "q", 3, start=2))
    )
    moved = structure.apply(torch.arange(5.0), {"p": torch.tensor([1, 0]), "q": torch.tensor([2, 0, 1])})
    assert moved.tolist() == [1, 0, 4, 2, 3]


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ((axis("a.weight", 0, "b", 3),), "did you mean 'a'|use one of: a"),
        ((axis("a.weight", 0, "a", 2),), "indices of 3 units"),
        ((axis("a.weight", 1, "a", 3),), "to hold index 2"),
        ((axis("a.weight", 2, "a", 3),), "got shape"),
        ((Axis("a.bias", 0, "a", torch.tensor([[0], [1], [1]])),), "some twice"),
        ((axis("a.bias", 0, "a", 3), axis("a.bias", 0, "a", 3)), "some twice"),
    ],
)
def test_what_does_not_fit_is_refused(axes: tuple[Axis, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PermutationStructure(SPEC, {"a": 3}, axes)


def test_what_is_no_permutation_is_refused() -> None:
    w = torch.zeros(SPEC.dim)
    with pytest.raises(InputError, match="expected a permutation"):
        HAND.apply(w, {"a": torch.tensor([0, 0, 1])})
    with pytest.raises(InputError, match="expected a permutation"):
        HAND.apply(w, {"a": torch.tensor([0, 1])})
    with pytest.raises(InputError, match="unknown group"):
        HAND.apply(w, {"z": torch.tensor([0])})
    with pytest.raises(InputError, match="sizes of at least 1"):
        axis("a.weight", 0, "a", 0)
