"""Heights of the paths between minima, set beside set, as in Figs. 4 and S2 of the paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from lossatlas.core.path import Path
from lossatlas.report.blocks import Block, Prose, Section
from lossatlas.report.curves import loss_unit
from lossatlas.report.distributions import Sample, distribution_panel
from lossatlas.report.figure import Figure, Panel
from lossatlas.report.profiles import SET_NAMES, pair_name
from lossatlas.report.records import by_network, means
from lossatlas.report.sections.summary import compare, margins
from lossatlas.report.wording import listing, network_name, optimizer_name, slugs
from lossatlas.study.results import Experiment, Pair, StudyResults

__all__ = ["build", "height_samples", "stage_pairs"]

_Pairs = Mapping[str, tuple[tuple[Experiment, str, tuple[Pair, ...]], ...]]
"""By stage: experiment, weight set, and the pairs of that stage between its members."""

_QUANTITIES: tuple[tuple[str, str, Callable[[Path], float]], ...] = (
    ("height", "Height", lambda path: path.height),
    ("barrier", "Barrier", lambda path: path.barrier),
)


def stage_pairs(results: StudyResults) -> _Pairs:
    """Paths of every stage but straight lines between minima as they are, those on the training landscape first."""
    found: dict[str, dict[tuple[int, str], list[Pair]]] = {}
    on: dict[str, str] = {}
    for position, experiment in enumerate(results.experiments):
        for weight_set in SET_NAMES:
            for pair in experiment.pairs.get(weight_set, ()):
                if not pair.plain:
                    on[pair.stage] = pair.landscape
                    found.setdefault(pair.stage, {}).setdefault((position, weight_set), []).append(pair)
    configured = list(results.configuration.get("paths", {}))
    rank = {stage: number for number, stage in enumerate(configured)}
    order = sorted(found, key=lambda stage: (on[stage] != "train", rank.get(stage, len(rank))))
    return {
        stage: tuple((results.experiments[k], name, tuple(pairs)) for (k, name), pairs in found[stage].items())
        for stage in order
    }


def height_samples(
    sets: tuple[tuple[Experiment, str, tuple[Pair, ...]], ...], measure: Callable[[Path], float]
) -> list[Sample]:
    """Heights or barriers of the paths of one network, set by set; those that are not finite are left out."""
    samples = []
    for experiment, weight_set, pairs in sets:
        finite = [pair for pair in pairs if math.isfinite(measure(pair.path))]
        name = optimizer_name(experiment.optimizer)
        if finite:
            samples.append(
                Sample(
                    f"{name}, {SET_NAMES[weight_set]}",
                    f"{name}\n{SET_NAMES[weight_set].removesuffix(' set')}",
                    experiment.optimizer,
                    tuple(measure(pair.path) for pair in finite),
                    tuple(pair_name(experiment, pair) for pair in finite),
                    dashed=weight_set != "train",
                )
            )
    return samples


def _panels(results: StudyResults, sets: tuple[tuple[Experiment, str, tuple[Pair, ...]], ...]) -> list[Panel]:
    panels = []
    for network in by_network(results):
        own = tuple(each for each in sets if each[0].network == network)
        for word, quantity, measure in _QUANTITIES:
            samples = height_samples(own, measure)
            if samples:
                unit = loss_unit(own[0][0].ensemble)
                panels.append(
                    distribution_panel(f"{network_name(network)}, {word}s", samples, quantity, unit, counted="Paths")
                )
    return [panel for panel in panels if panel is not None]


def _caption(sets: tuple[tuple[Experiment, str, tuple[Pair, ...]], ...]) -> str:
    pairs = [pair for _, _, own in sets for pair in own]
    methods = listing(list(dict.fromkeys(pair.path.method for pair in pairs)))
    sizes = sorted({len(own) for _, _, own in sets})
    several = f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else str(sizes[0])
    landscape = "training" if pairs[0].landscape == "train" else "test"
    text = (
        f"Paths found by {methods} on the {landscape} landscape between pairs of minima of one set, {several} in each. "
        f"Height: the highest {landscape} loss on the path; barrier: how far that is above the higher end. The farther "
        "left a set lies, the lower its passes; a set that moves left from heights to barriers has ends that are high "
        "themselves. Sets of a panel share their bins; sets of fewer than 8 are drawn path by path."
    )
    if any(pair.aligned for pair in pairs):
        text += " Hidden units of each end are permuted to match those of its start."
    lost = sum(not math.isfinite(pair.path.height) for pair in pairs)
    if lost:
        text += f" {lost} of {len(pairs)} paths are left out, since the loss on them is not finite."
    return text


def _sentences(results: StudyResults, stage: str, sets: set[str]) -> list[str]:
    """Which optimizer has the lower mean, from the stored table."""
    table = results.tables.get("passes")
    texts = []
    for weight_set, words in SET_NAMES.items():
        if weight_set in sets:
            found = means(table, "height_mean", weight_set=weight_set, stage=stage)
            sure = margins(table, "height", "minima", weight_set=weight_set, stage=stage)
            texts.append(compare(f"mean path height between minima of the {words} ({stage})", found, sure))
    return [text for text in texts if text]


def build(results: StudyResults) -> Section | None:
    """Draw heights and barriers of the paths of every stage."""
    stages = stage_pairs(results)
    blocks: list[Block] = []
    names = slugs(list(stages))
    for stage, sets in stages.items():
        panels = _panels(results, sets)
        if not panels:
            continue
        title = f"Heights of paths between minima: {stage}" if stage else "Heights of paths between minima"
        blocks += [Prose(text) for text in _sentences(results, stage, {name for _, name, _ in sets})]
        blocks.append(Figure(f"heights-{names[stage]}", title, _caption(sets), tuple(panels), columns=2))
    if not blocks:
        return None
    intro = Prose(
        "How high is the lowest path known between two minima of one set? Each stage of paths has its figure, first on "
        "the training landscape, then on the test landscape. Pairs share minima, so the counts are not independent; "
        "intervals that allow for it are in the tables."
    )
    return Section("heights", "How high paths between minima rise", (intro, *blocks))
