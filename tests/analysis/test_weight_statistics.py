"""Weight statistics and tables against numpy, brute-force jackknives and simulation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from lossatlas.analysis import (
    WeightStatistics,
    common_origin,
    distance_table,
    kernel_pca,
    separation,
    separation_table,
    tensor_table,
    weight_statistics,
    weight_table,
)
from lossatlas.core.errors import InputError
from lossatlas.core.files import bit_equal, load_tree, save_tree
from lossatlas.core.params import ParamSpec

SPEC = ParamSpec.of(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1, bias=False)))


def draws(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def jackknife(values: np.ndarray, statistic: object) -> float:
    without = [statistic(np.delete(values, i, axis=0)) for i in range(len(values))]  # type: ignore[operator]
    return math.sqrt((len(values) - 1) / len(values) * np.square(without - np.mean(without)).sum())


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_mean_and_deviation_are_numpys_with_errors_over_minima(offset: float) -> None:
    weights = draws(7, 50, 0) * torch.linspace(0.5, 2, 7, dtype=torch.float64)[:, None] + offset
    rows = weights.numpy()
    found = weight_statistics(weights)
    mean, deviation = found.components.mean, found.components.deviation
    assert mean.mean == pytest.approx(rows.mean(), rel=1e-13)
    assert mean.error == pytest.approx(stats.sem(rows.mean(axis=1)))
    assert deviation.mean == pytest.approx(rows.std(), rel=1e-9)
    assert deviation.error == pytest.approx(jackknife(rows, np.std), rel=1e-6)
    half = (1 + 2.3 / 7) * stats.t.ppf(0.975, 6) * deviation.error  # widened against skewness
    assert (deviation.low, deviation.high) == pytest.approx((rows.std() - half, rows.std() + half))
    norms = np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(found.norms.numpy(), norms)
    assert (found.norm.mean, found.norm.error) == pytest.approx((norms.mean(), stats.sem(norms)))
    assert found.norm_deviation.mean == pytest.approx(norms.std(ddof=1))
    assert found.norm_deviation.error == pytest.approx(jackknife(norms, lambda x: np.std(x, ddof=1)), rel=1e-6)
    assert (found.components.size, found.minima, deviation.units) == (50, 7, 7)


def test_each_tensor_is_described_and_together_they_are_the_whole() -> None:
    weights = draws(5, SPEC.dim, 1).float()
    found = weight_statistics(weights, SPEC)
    assert [(part.name, part.size) for part in found.tensors] == [("0.weight", 6), ("0.bias", 2), ("1.weight", 2)]
    for part in found.tensors:
        rows = SPEC.unflatten(weights)[part.name].double().numpy()
        assert (part.mean.mean, part.deviation.mean) == pytest.approx((rows.mean(), rows.std()))
    pooled = sum(part.size * part.mean.mean for part in found.tensors) / SPEC.dim
    assert found.components.mean.mean == pytest.approx(pooled)
    assert weight_statistics(weights).tensors == ()


def test_errors_cover_the_truth_where_components_of_a_minimum_are_alike() -> None:
    """Minima of different scale: components are no units, and their number gives no precision."""
    rng = np.random.default_rng(0)
    covered = naive = 0
    for _ in range(300):
        scales = rng.uniform(0.8, 1.2, size=(12, 1))
        weights = scales * rng.normal(size=(12, 400))
        truth = math.sqrt(1 + 0.4**2 / 12)
        found = weight_statistics(torch.from_numpy(weights)).components.deviation
        covered += found.low <= truth <= found.high
        naive += abs(found.mean - truth) <= 1.96 * found.mean / math.sqrt(2 * weights.size)
    assert 0.91 <= covered / 300 <= 0.98
    assert naive / 300 < 0.6


def test_one_and_two_minima() -> None:
    one = weight_statistics(torch.tensor([[3.0, 4.0]]))
    assert (one.components.mean.mean, one.components.deviation.mean, one.norm.mean) == (3.5, 0.5, 5.0)
    assert math.isnan(one.components.deviation.error)
    assert math.isnan(one.norm_deviation.mean)
    two = weight_statistics(torch.tensor([[3.0, 4.0], [6.0, 8.0]]))
    assert two.norm_deviation.mean == pytest.approx(5 / math.sqrt(2))
    assert math.isnan(two.norm_deviation.error)
    assert two.components.deviation.error > 0


def test_single_precision_is_summed_in_double() -> None:
    weights = (draws(2, 100_000, 3) * 1e-3 + 1).float()
    rows = weights.double().numpy()
    found = weight_statistics(weights)
    assert found.components.deviation.mean == pytest.approx(rows.std(), rel=1e-10)
    assert found.components.mean.mean == pytest.approx(rows.mean(), rel=1e-14)


def test_the_record_survives_storage(tmp_path: Path) -> None:
    found = weight_statistics(draws(2, SPEC.dim, 1), SPEC)
    save_tree(tmp_path / "w.json", found.to_tree())
    loaded = WeightStatistics.from_tree(load_tree(tmp_path / "w.json"))
    assert bit_equal(loaded.to_tree(), found.to_tree())
    assert loaded.tensors[0].mean == found.tensors[0].mean


def test_nonsense_is_refused() -> None:
    with pytest.raises(InputError, match="rows of 10 parameters"):
        weight_statistics(draws(2, 3, 0), SPEC)
    with pytest.raises(InputError, match=r"NaN or infinity in rows \[1\]"):
        weight_statistics(torch.tensor([[1.0, 2.0], [math.nan, 1.0]]))
    with pytest.raises(InputError, match="one row per minimum"):
        weight_statistics(torch.ones(3))
    with pytest.raises(InputError, match="at least 1 minima"):
        weight_statistics(torch.ones(0, 3))


def test_tables_hold_what_was_found() -> None:
    a, b = draws(6, SPEC.dim, 0), 3 * draws(5, SPEC.dim, 1)
    found = {("fcp", "sgd", "train"): weight_statistics(a, SPEC), ("fcp", "bfgs", "train"): weight_statistics(b[:1])}
    table = weight_table(found)
    first, second = table.records()
    assert (first["network"], first["optimizer"], first["weight_set"], first["minima"]) == ("fcp", "sgd", "train", 6)
    assert first["deviation"] == pytest.approx(a.numpy().std())
    assert first["mean_error"] == pytest.approx(stats.sem(a.numpy().mean(1)))
    assert first["norm_mean"] == pytest.approx(float(a.norm(dim=1).mean()))
    assert second["mean_error"] is None
    assert second["norm_deviation"] is None
    assert [record["tensor"] for record in tensor_table(found).records()] == list(SPEC.names)
    key = ("fcp", "sgd-train", "bfgs-train")
    origin = common_origin(a, b, permutations=19)
    (distances,) = distance_table({key: origin}).records()
    assert distances["centroid_distance"] == origin.centroid_distance
    assert (distances["first_minima"], distances["second_minima"], distances["ratio"]) == (6, 5, origin.test.ratio)
    labels = ["sgd"] * 6 + ["bfgs"] * 5
    fits = [kernel_pca(torch.cat([a, b]), kernel, k) for kernel, k in (("rbf", 2), ("linear", 1), ("poly", 2))]
    scores = [(fit, separation(fit.coordinates, labels)) for fit in fits]
    rbf, linear, poly = separation_table({key: scores}).records()
    assert (rbf["kernel"], rbf["gamma"], rbf["degree"], rbf["coef0"]) == ("rbf", 0.1, None, None)
    assert (linear["gamma"], linear["explained_2"]) == (None, None)
    assert (poly["degree"], poly["coef0"]) == (3, 1.0)
    assert (rbf["score"], rbf["p_value"]) == (scores[0][1].score, scores[0][1].p_value)
    for built in (table, tensor_table(found), distance_table({key: origin}), separation_table({key: scores})):
        texts = [built.shown(row, column) for row in range(len(built.rows)) for column in range(len(built.columns))]
        assert all(texts)
