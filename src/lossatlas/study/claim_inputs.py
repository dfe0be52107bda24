"""What a study has measured, as the numbers that claims are tested on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from lossatlas import paths
from lossatlas.analysis import Sample
from lossatlas.analysis.claims import (
    CURVATURES,
    MEASURES,
    PENALTY,
    ClaimInputs,
    Measured,
    Score,
    Scored,
    curve_samples,
    ensemble_samples,
    origin_numbers,
    path_samples,
    separation_score,
)
from lossatlas.analysis.published import other_constants
from lossatlas.paths import FourierPathFinder
from lossatlas.study.config import FinderConfig, PathConfig, StudyConfig
from lossatlas.study.results import CurvatureSet, Experiment, Gathered, Map, Pair, SetComparison

__all__ = ["claim_inputs", "penalty_of", "way_of"]

QUASI_NEWTON, STOCHASTIC = "lbfgs-gss", "sgd"
_TOY = "paper-toy"
_CURVATURES = {"none": CURVATURES[:2], "parameter": CURVATURES[2:]}


def way_of(how: PathConfig) -> str:
    """How a stage finds paths: ``"published"``, ``"shortened"``, ``"converged"`` or ``"aligned"``.

    Shortened: in the published way, with other constants than the paper's. Straight lines are ``"as they are"`` or,
    too, ``"aligned"``.
    """
    if how.align:
        return "aligned"
    if how.method == "linear":
        return "as they are"
    if penalty_of(how) is None:
        return "converged"
    finder = paths.finders[how.method](**how.options)
    published = isinstance(finder, FourierPathFinder) and not any(other_constants(finder.constants))
    return "published" if published else "shortened"


def penalty_of(how: FinderConfig) -> float | None:
    """λ of the published method; None for other methods."""
    finder = paths.finders[how.method](**how.options)
    published = isinstance(finder, FourierPathFinder) and finder.method == "published"
    return float(finder.constants["penalty"]) if published else None


def claim_inputs(config: StudyConfig, found: Gathered) -> list[ClaimInputs]:
    """Collect what was measured on each network that both optimizers of the paper have trained, and on its toy.

    Args:
        config: of the study.
        found: its stored results.

    Returns:
        One record per network, and one for the paper's landscape of two coordinates where the study has a map of it.
    """
    inputs = []
    for network in config.networks:
        own = [each for each in found.joined() if each.network == network]
        if {QUASI_NEWTON, STOCHASTIC} <= {each.optimizer for each in own}:
            samples = dict(_samples(config, found, network, own))
            scores: dict[Scored, Score] = {}
            for comparison in (pair for each in found.weights if each.network == network for pair in each.comparisons):
                more, compared = _compared(comparison)
                samples |= more
                scores |= compared
            inputs.append(ClaimInputs(network, samples, scores, _notes(config, own)))
    toys = [each for each in found.maps if each.landscape == _TOY]
    return inputs + [ClaimInputs(_TOY, _toy(config, toy), only=("height-insensitive-to-penalty",)) for toy in toys[:1]]


def _samples(
    config: StudyConfig, found: Gathered, network: str, experiments: Sequence[Experiment]
) -> Iterator[tuple[Measured, Sample]]:
    for experiment in experiments:
        yield from ensemble_samples(experiment.ensemble).items()
        for weight_set, pairs in experiment.pairs.items():
            for stage in dict.fromkeys(pair.stage for pair in pairs):
                some = [pair for pair in pairs if pair.stage == stage]
                yield from _paths(config.paths[stage], experiment.optimizer, weight_set, some).items()
    for held in found.holdouts:
        if held.network == network:
            yield from curve_samples(held.curves, held.optimizer, way="held out").items()
    for curvature in found.curvatures:
        if curvature.network == network:
            yield from _curvature(curvature).items()


def _notes(config: StudyConfig, experiments: Sequence[Experiment]) -> dict[Measured, str]:
    """How many of the searches that were to converge did not."""
    notes = {}
    for experiment in experiments:
        for weight_set, pairs in experiment.pairs.items():
            for stage in dict.fromkeys(pair.stage for pair in pairs):
                how, some = config.paths[stage], [pair for pair in pairs if pair.stage == stage]
                short = sum(not pair.path.converged for pair in some)
                if how.method == "linear" or penalty_of(how) is not None or not short:
                    continue
                words = f"{experiment.optimizer} {weight_set} set: {short} of {len(some)} searches did not converge"
                for quantity in MEASURES:
                    notes[Measured(quantity, experiment.optimizer, weight_set, how.landscape, way_of(how))] = words
    return notes


def _paths(how: PathConfig, optimizer: str, weight_set: str, pairs: Sequence[Pair]) -> dict[Measured, Sample]:
    way, penalty = way_of(how), penalty_of(how)
    if how.method == "linear":
        name = Measured("midpoint excess", optimizer, weight_set, how.landscape, way)
        middles = [(pair, _middle(pair)) for pair in pairs]
        known = [(pair.first, pair.second, excess) for pair, excess in middles if excess is not None]
        return {name: Sample.of_pairs([e for *_, e in known], [(i, j) for i, j, _ in known])} if known else {}
    found = [(pair.first, pair.second, pair.path) for pair in pairs]
    if penalty is None:
        return path_samples(found, optimizer, weight_set, how.landscape, way)
    samples = path_samples(found, optimizer, weight_set, how.landscape, f"{PENALTY}{penalty:g}")
    if penalty == FourierPathFinder(method="published").constants["penalty"]:
        samples |= path_samples(found, optimizer, weight_set, how.landscape, way)
    return samples


def _middle(pair: Pair) -> float | None:
    """Loss half-way above the higher end; None where it was not sampled."""
    at = (pair.path.t - 0.5).abs().argmin()
    if abs(float(pair.path.t[at]) - 0.5) > 1e-9:
        return None
    return float(pair.path.loss[at] - torch.maximum(pair.path.loss[0], pair.path.loss[-1]))


def _curvature(found: CurvatureSet) -> dict[Measured, Sample]:
    samples = {}
    for scaling, names in _CURVATURES.items():
        if scaling in found.sharpness:
            own = found.sharpness[scaling]
            for name, values in zip(names, (own.top, own.trace), strict=True):
                measured = Measured(name, found.optimizer, found.weight_set)
                samples[measured] = Sample.of_runs(values, found.members)
    return samples


def _compared(comparison: SetComparison) -> tuple[dict[Measured, Sample], dict[Scored, Score]]:
    """Lengths, directions and separation of what the paper compares: any set of L-BFGS-GSS with early-stopped SGD."""
    sets = {comparison.first: comparison.first_set, comparison.second: comparison.second_set}
    if set(sets) != {QUASI_NEWTON, STOCHASTIC} or sets[STOCHASTIC] != "test":
        return {}, {}
    figure = "Fig. 5" if sets[QUASI_NEWTON] == "train" else "Fig. S3"
    first, second = ((comparison.first, comparison.first_set), (comparison.second, comparison.second_set))
    samples, scores = origin_numbers(comparison.origin, first, second, figure)
    ordered = ((QUASI_NEWTON, sets[QUASI_NEWTON]), (STOCHASTIC, "test"))
    scores = {Scored(name.quantity, *ordered): score for name, score in scores.items()}
    for pca, separation in comparison.components:
        lengths = [float((distances**2).mean()) for distances in comparison.origin.distances]
        seen = sum(separation.counts) * abs(lengths[0] - lengths[1]) / pca.dim if pca.kernel.name == "rbf" else None
        scores[Scored(f"separation, {pca.kernel.name} kernel", *ordered)] = separation_score(separation, seen=seen)
    return samples, scores


def _toy(config: StudyConfig, toy: Map) -> Mapping[Measured, Sample]:
    """Heights of the published searches by λ; repetitions are the runs."""
    samples = {}
    for name, how in config.maps[toy.stage].finders.items():
        penalty = penalty_of(how)
        if penalty is not None:
            samples[Measured("height", "", "", "train", f"{PENALTY}{penalty:g}")] = Sample.of_runs(toy.heights[name])
    return samples
