"""Results from which the paper's figures can be drawn: weights on two shells, paths of several stages, a map."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch

from lossatlas import analysis, landscape, paths
from lossatlas.core.path import Path
from lossatlas.study.results import (
    CurvatureSet,
    Experiment,
    Map,
    Pair,
    SetComparison,
    SharpnessSet,
    StudyResults,
    WeightAnalysis,
)
from lossatlas.study.surface import surface

RADII = {"lbfgs-gss": 3.0, "sgd": 1.0}
"""Vectors of the one optimizer are longer, without a preferred direction."""


def rise(low: float, height: float, method: str = "fourier-published") -> Path:
    """A path from ``low`` to ``low`` over ``height``."""
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    loss = low + (height - low) * torch.sin(torch.pi * t).pow(2)
    return Path(method, t, loss, 12.0, 10.0, {"values": 11, "gradients": 100}, arc=12 * t)


def stage(heights: Mapping[tuple[int, int], float], name: str, *, on: str = "train") -> tuple[Pair, ...]:
    """Searched paths over given heights."""
    return tuple(Pair(i, j, rise(0.01, height), name, on) for (i, j), height in heights.items())


def with_stages(experiments: tuple[Experiment, ...]) -> tuple[Experiment, ...]:
    """Straight lines as they are, a published stage on the training landscape and one on the test landscape."""
    found = []
    for experiment in experiments:
        pairs = {}
        for weight_set, straight in experiment.pairs.items():
            ends = [(pair.first, pair.second) for pair in straight]
            scale = RADII[experiment.optimizer] * (2 if weight_set == "train" else 1)
            searched = stage({(i, j): scale * (1 + 0.1 * i + 0.01 * j) for i, j in ends}, "published")
            tested = stage({(i, j): 0.5 + 0.1 * i for i, j in ends[:3]}, "Published, test", on="test")
            pairs[weight_set] = (*straight, *searched, *(tested if weight_set == "test" else ()))
        found.append(dataclasses.replace(experiment, pairs=pairs))
    return tuple(found)


def comparison(sets: tuple[str, str], counts: tuple[int, int], dim: int = 64) -> SetComparison:
    """Two shells about one origin, told apart by RBF of a width that sees them, and not by the linear kernel."""
    generator = torch.Generator().manual_seed(counts[0] + 10 * len(sets[0] + sets[1]))
    shells = []
    for (_, radius), count in zip(RADII.items(), counts, strict=True):
        rows = torch.randn(count, dim, generator=generator, dtype=torch.float64)
        shells.append(radius * rows / rows.norm(dim=1, keepdim=True))
    labels = [f"lbfgs-gss {sets[0]}"] * counts[0] + [f"sgd {sets[1]}"] * counts[1]
    components = []
    for kernel in (analysis.Kernel("rbf", gamma=0.2), *(analysis.Kernel(name) for name in ("poly", "linear"))):
        pca = analysis.kernel_pca(torch.cat(shells), kernel, 2)
        components.append((pca, analysis.separation(pca.coordinates, labels)))
    origin = analysis.common_origin(*shells, permutations=199)
    return SetComparison("lbfgs-gss", "sgd", *sets, origin, tuple(components))


def weights(network: str, counts: tuple[int, int]) -> WeightAnalysis:
    """The same sets of both optimizers, then those of the paper's Figs. 5 and 6, as a study stores them."""
    kinds = (("train", "train"), ("test", "test"), ("train", "test"))
    return WeightAnalysis(network, {}, {}, tuple(comparison(kind, counts) for kind in kinds))


def toy_map(repeats: int = 3) -> Map:
    """A straight line and a bent one on the toy landscape."""
    toy = landscape.get("paper-toy")
    line = paths.find(toy, *toy.ends, method="linear", points=21)
    assert line.points is not None
    bend = torch.sin(torch.pi * line.t)[:, None] * torch.tensor([0.0, 0.3], dtype=torch.float64)
    points = line.points.double() + bend
    bent = dataclasses.replace(line, method="fourier", points=points, loss=toy.value(points), refined_height=None)
    heights = {
        "straight line": torch.full((repeats,), line.height, dtype=torch.float64),
        "found, λ = 10": torch.tensor([bent.height + 0.01 * k for k in range(repeats)], dtype=torch.float64),
    }
    found = {"straight line": line, "found, λ = 10": bent}
    return Map("toy", "paper-toy", surface(toy, toy.bounds, 21), found, heights, toy.passes[0].value)


def sharpness(network: str, optimizer: str, minima: int, stage: str = "flatness") -> CurvatureSet:
    """Minima as sharp as the shell of their optimizer is wide; the last trace is not converged."""
    top = RADII[optimizer] * torch.linspace(1, 2, minima, dtype=torch.float64)
    converged = torch.arange(minima) < minima - 1
    products = torch.full((minima,), 40)

    def measured(scale: float, invariance: str) -> SharpnessSet:
        found = scale * top
        return SharpnessSet(
            found, 1e-6 * found, 8 * found, found, converged, products, "Lanczos; Hutch++", "all data", invariance
        )

    scalings = {"none": measured(1.0, ""), "parameter": measured(0.1, "rescaling of layers")}
    return CurvatureSet(stage, network, optimizer, "train", tuple(range(minima)), scalings)


def complete(results: StudyResults) -> StudyResults:
    """The same study with everything that the paper's figures show."""
    counts = {name: 9 if name == "fcp" else 5 for name in dict.fromkeys(e.network for e in results.experiments)}
    return dataclasses.replace(
        results,
        experiments=with_stages(results.experiments),
        weights=tuple(weights(name, (count, count)) for name, count in counts.items()),
        maps=(toy_map(),),
        curvatures=tuple(sharpness(e.network, e.optimizer, counts[e.network]) for e in results.experiments),
    )
