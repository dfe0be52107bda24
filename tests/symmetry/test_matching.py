"""Weight matching against exhaustive search, and what its ascent promises."""

from __future__ import annotations

from itertools import pairwise, permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from symmetric_networks import Gated, Normed, Recurrent, SmallResNet
from torch import nn

from lossatlas.core.randomness import generator
from lossatlas.symmetry import PermutationStructure, WeightMatching, trace
from lossatlas.symmetry.weight_matching import assignment

STRUCTURES = {
    "mlp": trace(
        nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)), torch.ones(2, 3)
    ),
    "resnet": trace(SmallResNet(), torch.ones(2, 1, 8, 8)),
    "gated": trace(Gated(), torch.ones(2, 1, 8, 8)),
    "normed": trace(Normed(), torch.ones(2, 4, 3)),
    "recurrent": trace(Recurrent(), torch.ones(2, 5, 3)),
}


def _pair(structure: PermutationStructure, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    a, b = torch.randn(2, structure.spec.dim, dtype=torch.float64, generator=generator("pair", seed))
    return a, b


def _exhaustive(structure: PermutationStructure, a: torch.Tensor, b: torch.Tensor) -> float:
    ((name, size),) = structure.groups.items()
    return max(float(a @ structure.apply(b, {name: torch.tensor(p)})) for p in permutations(range(size)))


@pytest.mark.parametrize("seed", range(8))
def test_one_hidden_layer_equals_exhaustive_search(seed: int) -> None:
    structure = trace(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), torch.ones(2, 3))
    a, b = _pair(structure, seed)
    found, history = WeightMatching(restarts=1, seed=seed).ascend(structure, a, b)
    best = _exhaustive(structure, a, b)
    assert history[-1] == pytest.approx(best, rel=1e-13)
    distance = (a - structure.apply(b, found)).norm()
    assert float(distance**2) == pytest.approx(float(a @ a + b @ b) - 2 * best, rel=1e-12)


def test_a_recurrent_layer_comes_close_to_exhaustive_search() -> None:
    """One group on two axes of one weight is a quadratic assignment: not exact, but measured here."""

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = nn.RNN(1, 5), nn.Linear(5, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.rnn(x)[0])

    structure = trace(Small(), torch.ones(2, 1, 1))
    reached = []
    for seed in range(12):
        a, b = _pair(structure, seed)
        reached.append(WeightMatching(seed=seed).ascend(structure, a, b)[1][-1] / _exhaustive(structure, a, b))
    assert max(reached) <= 1 + 1e-12
    assert sum(r > 1 - 1e-12 for r in reached) >= 8
    assert min(reached) > 0.85


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(list(STRUCTURES)), st.integers(0, 10_000), st.integers(1, 3))
def test_the_objective_never_decreases(name: str, seed: int, restarts: int) -> None:
    structure = STRUCTURES[name]
    a, b = _pair(structure, seed)
    found, history = WeightMatching(restarts, seed).ascend(structure, a, b)
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(history))
    assert history[-1] == pytest.approx(float(a @ structure.apply(b, found)), rel=1e-12)
    assert history[-1] >= float(a @ b) - 1e-9
    # No group alone can do better: a fixed point of every exact assignment, checked by exchanging two units.
    for group, size in structure.groups.items():
        if group in ("lstm", "gru") or name in ("normed", "recurrent"):
            continue
        for i in range(size - 1):
            other = found[group].clone()
            other[[i, i + 1]] = other[[i + 1, i]]
            assert float(a @ structure.apply(b, {**found, group: other})) <= history[-1] + 1e-9


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(list(STRUCTURES)), st.integers(0, 10_000))
def test_a_permuted_copy_is_recovered(name: str, seed: int) -> None:
    structure = STRUCTURES[name]
    a, _ = _pair(structure, seed)
    b = structure.apply(a, structure.random(seed))
    assert torch.equal(structure.apply(b, WeightMatching(10, seed).match(structure, a, b)), a)


def test_same_seed_same_answer_and_more_starts_never_worse() -> None:
    structure = STRUCTURES["mlp"]
    a, b = _pair(structure, 3)
    one, many = (WeightMatching(restarts, 1).ascend(structure, a, b)[1][-1] for restarts in (1, 8))
    assert many >= one
    first, second = (WeightMatching(4, 9).match(structure, a, b) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_assignment_equals_exhaustive_search() -> None:
    gain = torch.randn(5, 5, dtype=torch.float64, generator=generator("gain"))
    best = max(sum(float(gain[u, v]) for u, v in enumerate(p)) for p in permutations(range(5)))
    assert float(gain[torch.arange(5), assignment(gain)].sum()) == pytest.approx(best, rel=1e-14)
