"""Distances, and the test for equal centroids, against loops, closed forms and simulation."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import distance
from shells import shell

from lossatlas.analysis import CommonOrigin, SetSpread, centroid_test, common_origin, matching_rows, set_spread
from lossatlas.analysis.centroids import relative_offset
from lossatlas.core.errors import InputError
from lossatlas.core.files import bit_equal, load_tree, save_tree
from lossatlas.core.linalg import random_rotation


def draws(n: int, d: int, seed: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [3, 8192, 10_000])
def test_distances_and_cosines_are_scipys(d: int, dtype: torch.dtype) -> None:
    # Far from the origin: distances are not to lose digits there.
    weights = draws(6, d, d, dtype) + 100
    found = set_spread(weights, weights + 2)
    rows = weights.double().numpy()
    np.testing.assert_allclose(found.distances.numpy(), distance.squareform(distance.pdist(rows)), rtol=1e-11)
    assert found.distance.mean == pytest.approx(distance.pdist(rows).mean())
    assert found.cosine.mean == pytest.approx(1 - distance.pdist(rows, "cosine").mean())
    assert found.distance.units == 6
    assert found.travelled is not None
    assert found.travel is not None
    np.testing.assert_allclose(found.travelled.numpy(), 2 * math.sqrt(d), rtol=1e-6)
    assert found.travel.mean == pytest.approx(2 * math.sqrt(d), rel=1e-6)
    assert set_spread(weights).travel is None


def test_independent_vectors_are_orthogonal_and_their_distances_say_so() -> None:
    found = set_spread(shell([5.0] * 48, 3000, 1))
    # One cosine scatters by 1/√d, the mean of 1128 nearly independent ones by 1/√(1128 d).
    assert abs(found.cosine.mean) < 4 / math.sqrt(1128 * 3000)
    assert found.distance.mean == pytest.approx(5 * math.sqrt(2), rel=1e-3)


def test_the_common_origin_is_the_mean_of_the_centroids() -> None:
    a, b = draws(5, 40, 0) + 1, 2 * draws(9, 40, 1)
    found = common_origin(a, b, permutations=99)
    origin = (a.mean(0) + b.mean(0)) / 2
    torch.testing.assert_close(found.distances[0], (a - origin).norm(dim=1))
    torch.testing.assert_close(found.distances[1], (b - origin).norm(dim=1))
    assert found.centroid_distance == pytest.approx(float((a.mean(0) - origin).norm()))
    assert found.centroid_distance == pytest.approx(float((b.mean(0) - origin).norm()))
    assert found.radii[1].mean == pytest.approx(float((b - origin).norm(dim=1).mean()))
    assert found.between.mean == pytest.approx(float(torch.cdist(a, b).mean()))
    spread = a.var(0).sum() / 5 + b.var(0).sum() / 9
    assert found.null_distance == pytest.approx(float(spread.sqrt()) / 2)
    # Two samples of n and m: the variances of the rows' and the columns' means, over n and m.
    table = torch.cdist(a, b)
    error = math.sqrt(float(table.mean(1).var() / 5 + table.mean(0).var() / 9))
    assert found.between.error == pytest.approx(error, rel=0.15)


def test_the_squared_distance_of_means_is_chens_and_qins() -> None:
    a, b = draws(4, 6, 2), draws(3, 6, 3) + 0.3
    rows = torch.cat([a, b])
    found = centroid_test(rows @ rows.T, 4, permutations=9)

    def within(x: torch.Tensor) -> float:
        return float(np.mean([float(x[i] @ x[j]) for i, j in itertools.permutations(range(len(x)), 2)]))

    assert found.offset_squared == pytest.approx(within(a) + within(b) - 2 * float((a @ b.T).mean()))
    assert found.distance == pytest.approx(float((a.mean(0) - b.mean(0)).norm()))
    assert found.ratio == pytest.approx(found.distance / found.null_distance)


def test_without_a_preferred_direction_the_ratio_is_one() -> None:
    """Radii as different as those of the paper's LSTM."""
    inner, outer = shell([32.0] * 48, 3000, "a"), shell([91.0] * 48, 3000, "b")
    found = common_origin(inner, outer, permutations=999)
    assert found.test.ratio == pytest.approx(1, abs=0.05)
    assert found.null_distance == pytest.approx(math.sqrt((32**2 + 91**2) / 48) / 2, rel=0.03)
    assert found.test.p_value > 0.01


def test_the_means_of_table_s1_alone_are_a_preferred_direction_for_the_autoencoder() -> None:
    """μ = -0.0365 and -0.00707 with σ = 0.160 and 0.0854: all components of one set are shifted to the same side."""
    d = 2000
    first, second = 0.160 * draws(48, d, 0) - 0.0365, 0.0854 * draws(48, d, 1) - 0.00707
    found = common_origin(first, second, permutations=999)
    expected = math.sqrt(1 + (0.0365 - 0.00707) ** 2 / ((0.160**2 + 0.0854**2) / 48))
    assert found.test.ratio == pytest.approx(expected, rel=0.03)
    assert found.test.p_value == 1 / 1000
    assert found.test.offset_squared == pytest.approx(d * (0.0365 - 0.00707) ** 2, rel=0.1)


@pytest.mark.parametrize(("n", "m"), [(12, 12), (6, 24), (24, 6)])
@pytest.mark.parametrize("kind", ["isotropic", "few directions"])
def test_equal_means_are_rejected_as_often_as_they_should_be(n: int, m: int, kind: str) -> None:
    """Also where the spreads differ and so do the sizes, which a relabelling without the division would confuse."""
    d = 1500 if kind == "isotropic" else 200
    scales = torch.ones(d).double() if kind == "isotropic" else torch.arange(1, d + 1).double().rsqrt()
    rejected = 0
    for k in range(200):
        rows = torch.cat([draws(n, d, 2 * k), 2.5 * draws(m, d, 2 * k + 1)]) * scales
        rejected += centroid_test(rows @ rows.T, n, permutations=99, seed=k).p_value <= 0.05
    assert 0.01 <= rejected / 200 <= 0.09


@pytest.mark.parametrize("paired", [12, 5])
def test_runs_that_share_their_start_are_alike_and_the_test_knows(paired: int) -> None:
    """w_A = c + a, w_B = c + b with one c for each pair: the centroids are closer than independent ones."""
    pairs, rejected, naive, ratios, power = [(i, i) for i in range(paired)], 0, 0, [], 0
    for k in range(200):
        a, b = draws(12, 200, 3 * k), 1.5 * draws(10 if paired < 10 else 12, 200, 3 * k + 1)
        start = 2 * draws(24, 200, 3 * k + 2)
        a, b = a + start[:12], b + torch.cat([start[:paired], start[12 : 12 + len(b) - paired]])
        rows = torch.cat([a, b])
        found = centroid_test(rows @ rows.T, 12, pairs=pairs, permutations=99, seed=k)
        rejected += found.p_value <= 0.05
        ratios.append(found.ratio)
        naive += centroid_test(rows @ rows.T, 12, permutations=99, seed=k).p_value <= 0.05
        rows[:12] += 0.7
        power += centroid_test(rows @ rows.T, 12, pairs=pairs, permutations=99, seed=k).p_value <= 0.05
    assert 0.01 <= rejected / 200 <= 0.09
    assert np.mean(ratios) == pytest.approx(1, abs=0.02)
    assert naive < rejected
    assert power > 190


def test_pairs_are_found_again_in_any_order() -> None:
    a, b = draws(5, 9, 0), draws(4, 9, 1)
    found = common_origin(a, b, pairs=[(0, 1), (3, 2)], permutations=199)
    assert common_origin(a.flip(0), b.flip(0), pairs=[(1, 1), (4, 2)], permutations=199).test == found.test
    assert common_origin(a, b, pairs=[(3, 1), (0, 2)], permutations=199).test != found.test


def test_rows_that_match() -> None:
    rows = draws(6, 4, 0)
    assert matching_rows(rows, rows[[5, 2, 2, 0]]) == [(0, 3), (2, 1), (5, 0)]
    assert matching_rows(rows[[1, 1, 1]], rows[[1, 3, 1]]) == [(0, 0), (1, 2)]
    assert matching_rows(rows, rows + 1e-15 * rows.abs()) == []


def test_order_motions_and_scale_change_nothing_else() -> None:
    a, b = draws(7, 12, 5) + 0.2, draws(5, 12, 6)
    found = common_origin(a, b, permutations=199)
    shuffled = common_origin(a.flip(0), b.flip(0), permutations=199)
    assert shuffled.test == found.test
    assert bit_equal(shuffled.distances[0].flip(0), found.distances[0])
    moved = common_origin(3 * (a @ random_rotation(12) + 5), 3 * (b @ random_rotation(12) + 5), permutations=199)
    torch.testing.assert_close(moved.distances[1], 3 * found.distances[1])
    assert moved.centroid_distance == pytest.approx(3 * found.centroid_distance)
    assert moved.test.ratio == pytest.approx(found.test.ratio)
    swapped = common_origin(b, a, permutations=199)
    assert swapped.centroid_distance == pytest.approx(found.centroid_distance)
    assert swapped.test.offset_squared == pytest.approx(found.test.offset_squared)


def test_identical_points_and_the_random_state() -> None:
    state = torch.random.get_rng_state()
    found = common_origin(torch.ones(3, 4), torch.ones(3, 4), permutations=9)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (found.centroid_distance, found.null_distance, found.test.p_value) == (0.0, 0.0, 1.0)
    assert math.isnan(found.test.ratio)
    # Apart without any spread: nothing is farther apart, but two relabellings of twenty are as far.
    apart = common_origin(torch.ones(3, 4), torch.zeros(3, 4), permutations=999)
    assert apart.test.p_value == pytest.approx(0.1, abs=0.03)


def test_records_survive_storage(tmp_path: Path) -> None:
    a, b = draws(4, 5, 0), draws(3, 5, 1)
    origin = common_origin(a, b, permutations=19)
    save_tree(tmp_path / "origin.json", origin.to_tree())
    assert bit_equal(CommonOrigin.from_tree(load_tree(tmp_path / "origin.json")).to_tree(), origin.to_tree())
    for initial in (None, b[:1].expand(4, 5)):
        spread = set_spread(a, initial)
        save_tree(tmp_path / "spread.json", spread.to_tree())
        assert bit_equal(SetSpread.from_tree(load_tree(tmp_path / "spread.json")).to_tree(), spread.to_tree())


def test_nonsense_is_refused() -> None:
    rows = draws(3, 4, 0)
    with pytest.raises(InputError, match="one network"):
        common_origin(rows, draws(3, 5, 0))
    with pytest.raises(InputError, match=r"at least 2 minima .* in the second set"):
        common_origin(rows, rows[:1])
    with pytest.raises(InputError, match=r"rows \[1\]"):
        set_spread(rows.index_fill(0, torch.tensor([1]), math.inf))
    with pytest.raises(InputError, match=r"zeros in rows \[0\]"):
        set_spread(torch.eye(3)[:2].index_fill(0, torch.tensor([0]), 0.0))
    with pytest.raises(InputError, match="initial weights of shape"):
        set_spread(rows, rows[:2])
    for pairs in ([(0, 3)], [(0, 0), (0, 1)], [(-1, 0)]):
        with pytest.raises(InputError, match="each point once at most"):
            common_origin(rows, rows, pairs=pairs)
    with pytest.raises(InputError, match="at least 1 permutation"):
        common_origin(rows, rows, permutations=0)


@pytest.mark.parametrize(("count", "apart"), [(4, 0.0), (8, 0.3), (8, 1.0), (48, 1.0)])
def test_offset_of_the_centroids_is_unbiased_and_its_interval_covers(count: int, apart: float) -> None:
    """Two Gaussian clouds whose means are a known distance apart, in units of the spread of a coordinate times ten."""
    stream, found, dim = torch.Generator().manual_seed(count), [], 300
    mean = torch.zeros(dim, dtype=torch.float64)
    mean[0] = 10 * apart
    for _ in range(300):
        one = torch.randn(count, dim, generator=stream, dtype=torch.float64)
        two = 0.5 * torch.randn(count, dim, generator=stream, dtype=torch.float64) + mean
        points = torch.cat([one, two]) - (one.mean(0) + two.mean(0)) / 2
        found.append(relative_offset(points @ points.T, count))
    radius = (math.sqrt(dim) + math.sqrt(dim) / 2) / 2  # but for what n and the distance of the means add
    expected = (10 * apart) ** 2 / (4 * radius**2)
    average = sum(each.mean for each in found) / len(found)
    assert average == pytest.approx(expected, rel=0.15, abs=2e-3)
    assert sum(each.low <= average <= each.high for each in found) >= 0.93 * len(found)


def test_offset_needs_three_points_for_an_interval() -> None:
    assert math.isnan(relative_offset(torch.eye(4, dtype=torch.float64), 2).error)
    with pytest.raises(InputError, match="at least 2 points"):
        relative_offset(torch.eye(4, dtype=torch.float64), 1)
