"""How paths were looked for: between minima of networks, among all of them, and on maps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lossatlas import paths
from lossatlas.paths import PathFinder
from lossatlas.report.methods.phrases import LANDSCAPES, SETS, constant, constants, count, networks_of
from lossatlas.report.wording import listing
from lossatlas.study.checks import make_finder
from lossatlas.study.config import FinderConfig, StudyConfig
from lossatlas.study.results import StudyResults

__all__ = ["finder_of", "tell_atlases", "tell_maps", "tell_paths"]

_FEW = 2  # constants that may differ for a finder to be told as a variation of another


def finder_of(how: FinderConfig) -> PathFinder:
    """The finder that a stage uses."""
    return make_finder(how.method, how.options)


@dataclass
class _Told:
    """Finders that were described already: what another has in common with one of them is not repeated."""

    known: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)

    def tell(self, name: str, how: FinderConfig) -> str:
        """What a finder does, with the constants in force, or how it differs from an earlier one."""
        finder = finder_of(how)
        # Seeds are the study's.
        values = {key: value for key, value in finder.constants.items() if key not in ("seed", "saddle")}
        earlier, others = self.known.setdefault(finder.label, (name, values))
        changed = {key: value for key, value in values.items() if value != others.get(key)}
        if earlier != name and len(changed) <= _FEW:
            return f"paths as in {earlier}" + (f", but {constants(changed)}" if changed else "")
        if finder.label == "linear":
            return f"straight lines, read at {constant(values['points'])} points; {_height(values)}"
        if finder.label == "fourier-published":
            return _published(values)
        return f"{how.method}, {paths.finders.summary(how.method)}; {constants(values)}"


def _published(values: dict[str, Any]) -> str:
    squared = "squared " if values["objective"] == "squared loss" else ""
    length = "squared lengths" if values["length"] == "squared" else "lengths"
    noise = f", with normal noise of deviation {constant(values['noise'])} in its gradient" if values["noise"] else ""
    keep = {
        "lowest loss": "the iterate with the lowest sum of losses",
        "lowest total": "the iterate with the lowest total",
        "last": "the last iterate",
    }
    return (
        f"the published method: the straight line plus {constant(values['coefficients'])} sine terms, whose "
        f"coefficients {constant(values['steps'])} steps of Adam at learning rate {constant(values['learning_rate'])} "
        f"relax on the sum of {squared}losses at {constant(values['points'])} fixed points plus "
        f"{constant(values['penalty'])} times the sum of {length} of the steps between them{noise}; "
        f"{keep[values['keep']]} is kept; {_height(values)}"
    )


def _height(values: dict[str, Any]) -> str:
    if values["tolerance"]:
        return f"heights are of the whole curve, to {constant(values['tolerance'])} of the barrier"
    return "heights are those at the points"


def tell_paths(config: StudyConfig, results: StudyResults) -> list[str]:
    """Each stage: which pairs, on which landscape, by which finder."""
    sentences, told = [], _Told()
    for stage, how in config.paths.items():
        sets = listing([SETS[name] for name in how.weight_sets])
        pairs = f"{count(how.pairs, 'random pair')} at most" if how.pairs is not None else "all pairs"
        ends = ", the hidden units of each end permuted by weight matching to fit those of its start" * how.align
        sentences.append(
            f"{stage}: {pairs} of each {sets} weight set{networks_of(how.networks)}, on the "
            f"{LANDSCAPES[how.landscape]}{ends}; {told.tell(stage, how)}."
        )
    if any(how.pairs is not None for how in config.paths.values()):
        sentences.append("Stages with the same number of pairs connect the same pairs.")
    return sentences


def tell_atlases(config: StudyConfig, results: StudyResults) -> list[str]:
    """Each atlas: which minima, and how many paths."""
    sentences, told = [], _Told()
    for stage, how in config.atlas.items():
        minima = f"the {count(how.minima, 'minimum', 'minima')}" if how.minima is not None else "all minima"
        lowest = " of lowest training loss" * (how.minima is not None)
        many = f"{count(how.paths, 'path')} at most, those that matter for the tree first" if how.paths else "all paths"
        sentences.append(
            f"{stage}: {minima}{lowest} of each optimizer in the {SETS[how.weight_set]} set{networks_of(how.networks)}"
            f", joined on the {LANDSCAPES[how.landscape]} by {many}; {told.tell(stage, how)}."
        )
    return sentences


def tell_maps(config: StudyConfig, results: StudyResults) -> list[str]:
    """Each map: its landscape and its searches."""
    sentences, told = [], _Told()
    for stage, how in config.maps.items():
        times = "once" if how.repeats == 1 else f"{how.repeats} times with different random numbers"
        searches = "; ".join(f"{name}: {told.tell(name, some)}" for name, some in how.finders.items())
        sentences.append(f"{stage}: on {how.landscape}, between its own ends, each search {times}. {searches}.")
    return sentences
