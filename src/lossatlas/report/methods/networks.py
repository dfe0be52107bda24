"""Which networks, with which options."""

from __future__ import annotations

import inspect
from typing import Any

from lossatlas.models import models
from lossatlas.problems import problems
from lossatlas.report.methods.phrases import constants
from lossatlas.report.wording import network_name
from lossatlas.study.config import StudyConfig
from lossatlas.study.results import StudyResults

__all__ = ["options_in_force", "tell"]


def options_in_force(problem: str, options: dict[str, Any]) -> dict[str, Any]:
    """Options of a problem's model, defaults filled in but for those that the data decide.

    Example:
        >>> options_in_force("fcp", {"hidden": 20})
        {'activation': 'softplus', 'hidden': 20}
    """
    if problem not in problems:
        return options
    blueprint = problems[problem]
    valid = [p for p in inspect.signature(models[blueprint.model]).parameters.values() if p.default is not p.empty]
    return {p.name: p.default for p in valid if p.name not in blueprint.fitted} | options


def tell(config: StudyConfig, results: StudyResults) -> list[str]:
    """One sentence for each network, then what they have in common."""
    dims = {each.network: each.ensemble.spec.dim for each in results.experiments}
    sentences = []
    for name, network in config.networks.items():
        problem = config.problem_of(name)
        what = problems.summary(problem) if problem in problems else "a network of the user's"
        details = [f"{dims[name]:,} parameters"] if name in dims else []
        details += [constants(options_in_force(problem, network.options))]
        sentences.append(f"{network_name(name)}: {what} ({'; '.join(part for part in details if part)}).")
    sentences.append(
        f"Losses are averages over all examples. Training computes in {config.dtype}; every loss, accuracy and height "
        "reported is computed anew in float64."
    )
    return sentences
