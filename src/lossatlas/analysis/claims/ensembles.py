"""Numbers for claims from ensembles and paths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import torch

from lossatlas.analysis.claims.inputs import Measured
from lossatlas.analysis.sample import Sample
from lossatlas.analysis.scores import drawn
from lossatlas.core.ensemble import Curves, Ensemble
from lossatlas.core.path import Path

__all__ = ["curve_samples", "ensemble_samples", "path_samples"]


def ensemble_samples(ensemble: Ensemble) -> dict[Measured, Sample]:
    """Losses and norms of the sets of an ensemble, and what its test curves say of each kept run.

    Runs are numbered by their position in the weight sets, as the ends of paths are.

    Args:
        ensemble: with scores; without curves there is less.

    Returns:
        ``"train loss"``, ``"test loss"``, ``"norm"``, ``"component spread"`` and, of each pair, ``"distance"`` of each
        set; along each run ``"last test loss"``, ``"lowest test loss"`` and, with validation data,
        ``"test loss at the lowest validation loss"``. Training losses know of how many runs they are the lowest.

    Example:
        >>> from lossatlas.core.ensemble import WeightSet
        >>> from lossatlas.core.params import ParamSpec
        >>> weights = WeightSet(torch.ones(2, 3), torch.zeros(2), {"train_loss": torch.tensor([0.1, 0.2])})
        >>> ensemble = Ensemble("net", "sgd", ParamSpec.of(torch.nn.Linear(2, 1)), weights)
        >>> [str(name) for name in ensemble_samples(ensemble)][1:]
        ['component spread, sgd train set', 'distance, sgd train set', 'train loss, sgd train set']
    """
    found: dict[Measured, Sample] = {}
    for name, weights in (("train", ensemble.train), ("test", ensemble.test)):
        if weights is None:
            continue
        norms = torch.linalg.vector_norm(weights.weights.double(), dim=-1)
        found[Measured("norm", ensemble.optimizer, name)] = Sample.of_runs(norms)
        spread = weights.weights.double().std(dim=-1, correction=0)
        found[Measured("component spread", ensemble.optimizer, name)] = Sample.of_runs(spread)
        if len(weights.weights) > 1:
            pairs = list(combinations(range(len(weights.weights)), 2))
            apart = torch.pdist(weights.weights.double())
            found[Measured("distance", ensemble.optimizer, name)] = Sample.of_pairs(apart, pairs)
        for score in ("train_loss", "test_loss"):
            if score in weights.scores:
                quantity = score.replace("_", " ")
                lowest_of = drawn(ensemble, name, score)
                sample = Sample.of_runs(weights.scores[score], lowest_of=lowest_of)
                found[Measured(quantity, ensemble.optimizer, name)] = sample
    kept = [row for row, replica in enumerate(ensemble.replicas) if replica.kept]
    if ensemble.curves is None or not kept:
        return found
    return found | curve_samples(ensemble.curves, ensemble.optimizer, rows=kept)


def curve_samples(
    curves: Curves, optimizer: str, *, rows: Sequence[int] | None = None, way: str = ""
) -> dict[Measured, Sample]:
    """What the test curve of each run says, and the validation curve where there is one.

    Args:
        curves: of all runs.
        optimizer: of the runs.
        rows: which runs, renumbered from 0; None: all.
        way: ``"held out"`` where examples were held out of the training data.

    Returns:
        ``"last test loss"``, ``"lowest test loss"`` and, with validation data, ``"test loss at the lowest validation
        loss"``, of the runs that it stopped: whose validation loss was not lowest at their last record. Nothing without
        a test curve.
    """
    if "test_loss" not in curves.values:
        return {}
    chosen = {name: (values if rows is None else values[list(rows)]).double() for name, values in curves.values.items()}
    test = chosen["test_loss"]
    seen = torch.isfinite(test)
    lowest = test.where(seen, torch.inf).amin(dim=1)
    # a replica that stopped early has NaN from there on
    last = (seen * torch.arange(1, test.shape[1] + 1)).argmax(dim=1, keepdim=True)
    found = {"last test loss": test.gather(1, last)[:, 0], "lowest test loss": lowest}
    validation = chosen.get("validation_loss")
    if validation is not None:
        best = validation.where(torch.isfinite(validation) & seen, torch.inf).argmin(dim=1, keepdim=True)
        found["test loss at the lowest validation loss"] = test.gather(1, best).where(best != last, torch.nan)[:, 0]
    samples = {}
    for name, values in found.items():
        runs = [run for run, value in enumerate(values.tolist()) if not math.isnan(value)]
        if runs:
            samples[Measured(name, optimizer, way=way)] = Sample.of_runs(values[runs], runs)
    return samples


def path_samples(
    paths: Sequence[tuple[int, int, Path]], optimizer: str, weight_set: str, landscape: str, way: str
) -> dict[Measured, Sample]:
    """Heights and barriers of paths within one set.

    Args:
        paths: with the positions of their ends in the set.
        optimizer: of the set.
        weight_set: its name.
        landscape: where the paths are, ``"train"`` or ``"test"``.
        way: how they were found, one of ``WAYS``.

    Raises:
        InputError: no paths, or a pair that comes twice.
    """
    ends = [(first, second) for first, second, _ in paths]
    return {
        Measured(name, optimizer, weight_set, landscape, way): Sample.of_pairs(values, ends)
        for name, values in (
            ("height", [path.height for *_, path in paths]),
            ("barrier", [path.barrier for *_, path in paths]),
        )
    }
