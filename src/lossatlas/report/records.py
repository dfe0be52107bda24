"""Reading stored tables by network, optimizer and weight set."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lossatlas.core.table import Table
from lossatlas.report.wording import network_name, optimizer_name
from lossatlas.study.config import StudyConfig
from lossatlas.study.results import Experiment, StudyResults

__all__ = ["by_network", "configuration", "means", "replica_label"]


def means(table: Table | None, key: str, **wanted: str) -> dict[str, dict[str, float]]:
    """Pick one number per network and optimizer from a table.

    Args:
        table: a table with the columns ``network`` and ``optimizer``; None gives nothing.
        key: the column wanted.
        wanted: the value that further columns must have, such as ``weight_set="train"``, where there are such columns.

    Returns:
        ``{network: {optimizer: number}}`` without empty and NaN cells; empty where the table has no such column.
    """
    found: dict[str, dict[str, float]] = {}
    for record in table.records() if table is not None else ():
        value = record.get(key)
        if not isinstance(value, int | float) or not math.isfinite(value):
            continue
        if all(record.get(column, content) == content for column, content in wanted.items()):
            found.setdefault(str(record.get("network")), {})[str(record.get("optimizer"))] = float(value)
    return found


def configuration(results: StudyResults) -> StudyConfig:
    """The configuration that the study stored, with names and types."""
    return StudyConfig.model_validate(dict(results.configuration))


def by_network(results: StudyResults) -> Mapping[str, tuple[Experiment, ...]]:
    """The experiments of each network, networks in the order of the study."""
    networks = dict.fromkeys(experiment.network for experiment in results.experiments)
    return {name: tuple(e for e in results.experiments if e.network == name) for name in networks}


def replica_label(experiment: Experiment, index: int) -> str:
    """Name of one training run, such as ``FCP by SGD, replica 3``."""
    return f"{network_name(experiment.network)} by {optimizer_name(experiment.optimizer)}, replica {index}"
