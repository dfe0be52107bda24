"""Comparisons of the minima of two optimizers, sorted into the kinds that the paper's figures show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lossatlas.report.profiles import SET_NAMES
from lossatlas.report.wording import network_name, optimizer_name
from lossatlas.study.results import SetComparison, StudyResults

__all__ = ["KINDS", "Compared", "Side", "compared", "set_label"]

KINDS: Mapping[str, str] = {
    "mixed": "training set against early-stopped set",
    "test": "early-stopped sets",
    "train": "training sets",
}
"""Kinds of comparison in the order of the paper: Figs. 5 and 6, Figs. S3 and S4, and the training sets of both."""


@dataclass(frozen=True)
class Side:
    """One of the two sets.

    Args:
        optimizer: by which it was found.
        weight_set: ``"train"`` or ``"test"``.
        members: names of its minima; empty where they are not known.
    """

    optimizer: str
    weight_set: str
    members: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the optimizer for people."""
        return optimizer_name(self.optimizer)


@dataclass(frozen=True)
class Compared:
    """Two sets of one network.

    Args:
        network: whose minima.
        kind: one of :data:`KINDS`.
        title: heading of its panel.
        sides: the two sets.
        pair: what was found about them.
    """

    network: str
    kind: str
    title: str
    sides: tuple[Side, Side]
    pair: SetComparison


def set_label(side: Side, kind: str) -> str:
    """Name of a set in legends; where both are of one kind, the title of the figure says which."""
    return f"{side.name}, {SET_NAMES[side.weight_set]}" if kind == "mixed" else side.name


def compared(results: StudyResults) -> dict[str, list[Compared]]:
    """Every comparison of a study by its kind; kinds without any are left out."""
    found: dict[str, list[Compared]] = {kind: [] for kind in KINDS}
    kept = {
        (each.network, each.optimizer): tuple(f"replica {replica.index}" for replica in each.ensemble.kept)
        for each in results.experiments
    }
    for analysis in results.weights:
        several = len({(pair.first, pair.second) for pair in analysis.comparisons}) > 1
        for pair in analysis.comparisons:
            kind = pair.first_set if pair.first_set == pair.second_set else "mixed"
            sides = tuple(
                Side(optimizer, weight_set, names if len(names) == len(distances) else ())
                for optimizer, weight_set, distances, names in zip(
                    (pair.first, pair.second),
                    (pair.first_set, pair.second_set),
                    pair.origin.distances,
                    (kept.get((analysis.network, each), ()) for each in (pair.first, pair.second)),
                    strict=True,
                )
            )
            title = network_name(analysis.network)
            title += f", {sides[0].name} and {sides[1].name}" if several else ""
            found[kind].append(Compared(analysis.network, kind, title, (sides[0], sides[1]), pair))
    return {kind: members for kind, members in found.items() if members}
