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


def options_in_force(network: str, options: dict[str, Any]) -> dict[str, Any]:
    """Options of a network's model, defaults filled in.

    Example:
        >>> options_in_force("fcp", {"hidden": 20})
        {'activation': 'softplus', 'hidden': 20}
    """
    if network not in problems:
        return options
    valid = inspect.signature(models[problems[network].model]).parameters.values()
    return {p.name: options.get(p.name, p.default) for p in valid if p.name in options or p.default is not p.empty}


def tell(config: StudyConfig, results: StudyResults) -> list[str]:
    """One sentence for each network, then what they have in common."""
    dims = {each.network: each.ensemble.spec.dim for each in results.experiments}
    sentences = []
    for name, network in config.networks.items():
        what = problems.summary(name) if name in problems else "a network of the user's"
        details = [f"{dims[name]:,} parameters"] if name in dims else []
        details += [constants(options_in_force(name, network.options))]
        sentences.append(f"{network_name(name)}: {what} ({'; '.join(part for part in details if part)}).")
    sentences.append(
        f"Losses are averages over all examples. Training computes in {config.dtype}; every loss, accuracy and height "
        "reported is computed anew in float64."
    )
    return sentences
