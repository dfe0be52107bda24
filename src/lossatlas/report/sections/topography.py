"""The topography of each network: all minima of all optimizers in one disconnectivity graph."""

from __future__ import annotations

from lossatlas.report.blocks import Block, Prose, Section
from lossatlas.report.curves import loss_unit
from lossatlas.report.disconnectivity import disconnectivity_figure
from lossatlas.report.figure import Figure
from lossatlas.report.profiles import SET_NAMES, bound_on_passes
from lossatlas.report.wording import listing, network_name, number, optimizer_name
from lossatlas.study.results import Atlas, StudyResults

__all__ = ["build"]


def _figure(atlas: Atlas, results: StudyResults) -> Figure:
    units = [loss_unit(e.ensemble) for e in results.experiments if e.network == atlas.network]
    return disconnectivity_figure(
        atlas.tree,
        quantity="Training loss",
        unit=units[0] if units else "",
        title=f"{network_name(atlas.network)}: how minima of the {SET_NAMES[atlas.weight_set]} are joined",
        name=f"topography-{atlas.stage}-{atlas.network}".lower().replace("_", "-"),
    )


def _sentence(atlas: Atlas) -> str:
    """How many paths the tree rests on, and between which levels its minima join."""
    tree, members = atlas.tree, len(atlas.members)
    methods = listing(list(dict.fromkeys(pair.path.method for pair in atlas.pairs)))
    optimizers = listing([optimizer_name(name) for name in dict.fromkeys(name for name, _ in atlas.members)])
    every = members * (members - 1) // 2
    text = (
        f"{network_name(atlas.network)}: {members} minima of {optimizers}, joined by {len(atlas.pairs)} of the {every} "
        f"possible paths ({methods})"
    )
    merges = [merge.height for merge in tree.merges]
    if merges:
        text += f". They join at losses between {number(min(merges))} and {number(max(merges))}"
    if not tree.connected:
        text += "; not all are connected, since the loss was not finite on the paths between some"
    return f"{text}."


def build(results: StudyResults) -> Section | None:
    """Show a disconnectivity graph for every network whose minima were joined."""
    drawn = [atlas for atlas in results.atlases if atlas.pairs]
    if not drawn:
        return None
    bound = bound_on_passes(results.configuration.get("atlas", {}).values())
    blocks: list[Block] = [
        Prose(
            "As the level of the loss rises, the regions below it grow and meet. Each line hangs at the loss of one "
            "minimum; two branches join at the height of the lowest path known between them. "
            f"{bound} Minima that join just above their own "
            "losses lie in one valley."
        )
    ]
    for atlas in drawn:
        blocks += [Prose(_sentence(atlas)), _figure(atlas, results)]
    return Section("topography", "Topography: how all minima are joined", tuple(blocks))
