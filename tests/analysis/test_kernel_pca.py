"""Kernel PCA against a dense reference, scikit-learn, explicit features, and shells whose radii are known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shells import shell
from sklearn.decomposition import PCA
from sklearn.decomposition import KernelPCA as Reference

from lossatlas.analysis import KERNELS, Kernel, KernelPCA, kernel_pca, separation
from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.core.files import bit_equal, load_tree, save_tree
from lossatlas.core.linalg import random_rotation

# Standard deviations of the weights of two sets of the paper's table S1, SGD-test and BFGS-train: radius² / d.
LSTM, LENET = (0.259, 0.733), (0.0706, 0.108)
D, N = 2000, 48
LABELS = ["inner"] * N + ["outer"] * N


def two_shells(sigmas: tuple[float, float], seed: int) -> torch.Tensor:
    inner, outer = (sigma * D**0.5 for sigma in sigmas)
    return shell([inner] * N + [outer] * N, D, seed)


def dense(x: np.ndarray, kernel: Kernel) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates and eigenvalues, descending, entry by entry and without a sign rule."""
    n, d = x.shape
    gamma = kernel.gamma or 1 / d
    functions = {
        "rbf": lambda a, b: np.exp(-gamma * ((a - b) ** 2).sum()),
        "poly": lambda a, b: (gamma * (a * b).sum() + kernel.coef0) ** kernel.degree,
        "sigmoid": lambda a, b: np.tanh(gamma * (a * b).sum() + kernel.coef0),
        "linear": lambda a, b: (a * b).sum(),
    }
    k = np.array([[functions[kernel.name](a, b) for b in x] for a in x])
    h = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(h @ k @ h)
    return (vectors * np.sqrt(np.maximum(values, 0)))[:, ::-1], values[::-1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kernel", [*map(Kernel, KERNELS), Kernel("rbf", 0.7), Kernel("poly", 0.3, 2, 0.5)])
def test_a_dense_reference_and_scikit_learn_agree(kernel: Kernel, dtype: torch.dtype) -> None:
    x = (torch.randn(14, 9, generator=torch.Generator().manual_seed(3)) + 0.5).to(dtype)
    found = kernel_pca(x, kernel, components=4)
    rows = x.double().numpy()
    coordinates, eigenvalues = dense(rows, kernel)
    np.testing.assert_allclose(found.eigenvalues.numpy(), eigenvalues, atol=1e-12 * eigenvalues[0])
    np.testing.assert_allclose(found.coordinates.abs().numpy(), np.abs(coordinates[:, :4]), atol=1e-9)
    np.testing.assert_allclose(found.coordinates.square().sum(0).numpy(), eigenvalues[:4])
    np.testing.assert_allclose(found.explained.numpy(), eigenvalues[:4] / eigenvalues[eigenvalues > 0].sum())
    np.testing.assert_allclose(found.radii.numpy(), np.linalg.norm(rows - rows.mean(0), axis=1))
    used = found.kernel
    solver = Reference(4, kernel=used.name, gamma=used.gamma, degree=used.degree, coef0=used.coef0)
    np.testing.assert_allclose(found.coordinates.abs().numpy(), np.abs(solver.fit_transform(rows)), atol=1e-9)
    assert not found.degenerate.any()


def test_linear_is_pca_and_a_polynomial_is_pca_of_its_monomials() -> None:
    x = torch.randn(20, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features = {"linear": x, "poly": torch.einsum("ni,nj->nij", x, x).flatten(1)}
    for kernel in (Kernel("linear"), Kernel("poly", gamma=1.0, degree=2, coef0=0.0)):
        pca = PCA(3)
        expected = pca.fit_transform(features[kernel.name].numpy())
        found = kernel_pca(x, kernel, components=3)
        np.testing.assert_allclose(found.coordinates.abs().numpy(), np.abs(expected), atol=1e-9)
        np.testing.assert_allclose(found.explained.numpy(), pca.explained_variance_ratio_)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rbf_separates_two_shells_and_no_other_kernel_does(seed: int) -> None:
    weights = two_shells(LSTM, seed)
    for kernel in KERNELS:
        found = kernel_pca(weights, kernel)
        score = separation(found.coordinates, LABELS)
        if kernel == "rbf":
            assert (score.score, score.auc, score.balanced_accuracy) == (1.0, 1.0, 1.0)
        else:
            # Null: a mean of 0.095 and a standard deviation of 0.12 of 2A − 1.
            assert score.score < 0.35
            assert score.p_value > 0.003
            assert score.balanced_accuracy < 0.8


def test_component_one_of_rbf_is_a_monotone_function_of_the_radius() -> None:
    radii = torch.linspace(20, 60, 96, dtype=torch.float64)
    weights = shell(radii, 4000, "spread")
    found = kernel_pca(weights)
    assert found.radial[0] > 0.999
    # As the docstring derives it: exp(−r²/d) up to its mean and a factor, the outer side positive.
    predicted = -torch.exp(-radii.square() / 4000)
    assert np.corrcoef(found.coordinates[:, 0].numpy(), predicted.numpy())[0, 1] > 0.99
    assert abs(kernel_pca(weights, "linear").radial[0]) < 0.35


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rbf_of_this_width_does_not_see_radii_that_are_close(seed: int) -> None:
    """n (r_A² − r_B²)/d is 0.6 here and must exceed 4; a narrower kernel sees the same two shells."""
    weights = two_shells(LENET, seed)
    assert separation(kernel_pca(weights).coordinates, LABELS).score < 0.5
    narrow = kernel_pca(weights, Kernel("rbf", gamma=60 / D))
    assert separation(narrow.coordinates, LABELS).score == 1.0


@pytest.mark.parametrize(("contrast", "seen"), [(2.5, False), (7.0, True)])
def test_where_rbf_begins_to_see_radii(contrast: float, seen: bool) -> None:
    """Around n (r_A² − r_B²)/d = 4, with r_A = 2 r_B and 24 vectors of each."""
    d, outer = 8000, contrast / 48 / 0.75
    for seed in range(3):
        weights = shell([math.sqrt(outer / 4 * d)] * 24 + [math.sqrt(outer * d)] * 24, d, "begin", seed)
        score = separation(kernel_pca(weights).coordinates, ["inner"] * 24 + ["outer"] * 24).score
        assert score == 1.0 if seen else score < 0.5


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_order_of_rows_changes_no_bit(kernel: str) -> None:
    generator = torch.Generator().manual_seed(1)
    ordinary = torch.randn(12, 30, generator=generator)
    twins = torch.cat([ordinary[:5], ordinary[:5]])
    simplex = torch.eye(8)  # all eigenvalues equal: any direction would do
    for rows in (ordinary, twins, simplex, two_shells(LSTM, 0)[40:56].float()):
        found = kernel_pca(rows, kernel)
        for _ in range(3):
            order = torch.randperm(len(rows), generator=generator)
            shuffled = kernel_pca(rows[order], kernel)
            assert bit_equal(shuffled.coordinates, found.coordinates[order])
            assert bit_equal([shuffled.eigenvalues, shuffled.degenerate], [found.eigenvalues, found.degenerate])
            assert bit_equal(shuffled.radii, found.radii[order])


@pytest.mark.parametrize("kernel", KERNELS)
def test_signs_follow_the_radius(kernel: str) -> None:
    """Every map that leaves the kernel alone leaves coordinates alone, signs included."""
    rows = shell(torch.linspace(1, 3, 20), 15, "signs") + (1.0 if kernel in {"rbf", "linear"} else 0.0)
    found = kernel_pca(rows, kernel, components=3)
    assert (found.coordinates.T @ found.radii.square() >= 0).all()
    for same in (-rows, rows @ random_rotation(15, seed=4)):
        torch.testing.assert_close(kernel_pca(same, kernel, components=3).coordinates, found.coordinates)
    if kernel in {"rbf", "linear"}:
        moved = kernel_pca(rows + 1e5, kernel, components=3)
        torch.testing.assert_close(moved.coordinates, found.coordinates, atol=1e-8, rtol=1e-8)


def test_the_sign_where_no_side_is_farther_out_makes_the_largest_coordinate_positive() -> None:
    # All at distance 5 from their mean; the second component is the first axis.
    right, left = [[3.0, 4.0], [3.0, -4.0]], [[-4.0, 3.0], [-4.0, -3.0]]
    for sign in (1, -1):
        found = kernel_pca(sign * torch.tensor(4 * right + 3 * left), "linear")
        assert found.coordinates[:, 1].tolist() == pytest.approx([-3.0] * 8 + [4.0] * 6)


def test_equal_and_vanishing_eigenvalues_are_marked() -> None:
    assert kernel_pca(torch.eye(6), "linear", components=5).degenerate.all()
    # Variances 4, 1, 1 along three axes.
    axes = torch.cat([torch.diag(torch.tensor([2.0, 1.0, 1.0])), -torch.diag(torch.tensor([2.0, 1.0, 1.0]))])
    assert kernel_pca(axes, "linear", components=4).degenerate.tolist() == [False, True, True, True]
    line = torch.tensor([[0.0, 0.0], [1.0, 1.0], [3.0, 3.0], [7.0, 7.0]])
    found = kernel_pca(line, "linear")
    assert found.degenerate.tolist() == [False, True]
    assert found.explained.tolist() == pytest.approx([1.0, 0.0], abs=1e-12)
    assert (found.coordinates[:, 1] == 0).all()
    assert found.radial[1].isnan()


def test_negative_eigenvalues_of_the_sigmoid_kernel_explain_nothing() -> None:
    rows = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = kernel_pca(rows, Kernel("sigmoid", gamma=2.0, coef0=-1.0), components=7)
    assert found.eigenvalues.min() < -0.1
    negative = found.eigenvalues[:7] < 0
    assert negative.any()
    assert found.degenerate[negative].all()
    assert (found.coordinates[:, negative] == 0).all()
    assert float(found.explained.sum()) == pytest.approx(1.0)


@given(
    st.integers(2, 9),
    st.integers(1, 6),
    st.sampled_from(["rbf", "poly", "linear"]),
    st.integers(0, 10_000),
    st.floats(0.01, 30),
)
@settings(max_examples=60, deadline=None)
def test_properties(n: int, d: int, kernel: str, seed: int, scale: float) -> None:
    rows = scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    before = rows.clone()
    state = torch.random.get_rng_state()
    found = kernel_pca(rows, kernel, components=n - 1)
    assert torch.equal(rows, before)
    assert torch.equal(torch.random.get_rng_state(), state)
    largest = found.eigenvalues[0]
    torch.testing.assert_close(found.coordinates.sum(0), torch.zeros(n - 1).double(), atol=1e-7 * scale, rtol=0)
    products = found.coordinates.T @ found.coordinates
    torch.testing.assert_close(
        products, found.eigenvalues[:-1].clamp(min=0).diag(), atol=float(1e-8 * largest), rtol=1e-8
    )
    assert (found.eigenvalues.diff() <= 0).all()
    assert ((found.explained >= 0) & (found.explained <= 1 + 1e-12)).all()


def test_records_survive_storage(tmp_path: Path) -> None:
    found = kernel_pca(two_shells(LSTM, 0)[40:56], Kernel("poly", degree=2))
    save_tree(tmp_path / "pca.json", found.to_tree())
    assert bit_equal(KernelPCA.from_tree(load_tree(tmp_path / "pca.json")).to_tree(), found.to_tree())
    assert found.kernel == Kernel("poly", 1 / D, 2, 1.0)
    assert found.dim == D


def test_nonsense_is_refused() -> None:
    rows = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ConfigurationError, match="no kernel 'rbff'"):
        kernel_pca(rows, "rbff")
    with pytest.raises(ConfigurationError, match="gamma above 0"):
        Kernel("rbf", gamma=0.0)
    with pytest.raises(InputError, match="1 to 4 components"):
        kernel_pca(rows, components=5)
    with pytest.raises(InputError, match="rows that are alike"):
        kernel_pca(torch.full((5, 3), 0.1))
    with pytest.raises(InputError, match="rows that are alike"):
        kernel_pca(torch.full((5, 3), 0.1), "linear")
    with pytest.raises(InputError, match=r"rows \[2\]"):
        kernel_pca(rows.index_fill(0, torch.tensor([2]), float("nan")))
    with pytest.raises(InputError, match="floating-point tensor"):
        kernel_pca(torch.ones(5, 3, dtype=torch.int64))
    with pytest.raises(InputError, match="overflow"):
        kernel_pca(1e80 * rows.double(), "poly")
