"""Means of the scores of a weight set, with errors that know how its runs were chosen."""

from __future__ import annotations

from lossatlas.analysis.uncertainty import Estimate, mean_of_lowest, mean_of_runs
from lossatlas.core.ensemble import Ensemble

__all__ = ["drawn", "score_estimate"]


def drawn(ensemble: Ensemble, weight_set: str, score: str) -> int | None:
    """Of how many runs the scores of a set are the lowest; None where runs were not chosen by this score.

    Args:
        ensemble: with what became of every run.
        weight_set: ``"train"`` or ``"test"``.
        score: such as ``"train_loss"``, by which runs are kept.
    """
    chosen = (weight_set, score) == ("train", "train_loss") and len(ensemble.replicas) > len(ensemble)
    return len(ensemble.replicas) if chosen else None


def score_estimate(ensemble: Ensemble, weight_set: str, score: str) -> Estimate | None:
    """Mean of a score over the runs of a set: :func:`mean_of_lowest` of training losses, else :func:`mean_of_runs`.

    Args:
        ensemble: trained.
        weight_set: ``"train"`` or ``"test"``.
        score: such as ``"test_loss"``.

    Returns:
        None where the ensemble has no such set, or the set no such score.

    Example:
        >>> import torch
        >>> from lossatlas.core.ensemble import WeightSet
        >>> from lossatlas.core.params import ParamSpec
        >>> weights = WeightSet(torch.ones(2, 3), torch.zeros(2), {"train_loss": torch.tensor([0.25, 0.75])})
        >>> ensemble = Ensemble("net", "sgd", ParamSpec.of(torch.nn.Linear(2, 1)), weights)
        >>> score_estimate(ensemble, "train", "train_loss").mean
        0.5
    """
    chosen = ensemble.train if weight_set == "train" else ensemble.test
    if chosen is None or score not in chosen.scores:
        return None
    values, runs = chosen.scores[score].tolist(), drawn(ensemble, weight_set, score)
    return mean_of_runs(values) if runs is None else mean_of_lowest(values, runs)
