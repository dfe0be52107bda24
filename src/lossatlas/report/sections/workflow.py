"""How this atlas was made, in four pictures of its own data, as in Fig. 1 of the paper."""

from __future__ import annotations

from dataclasses import replace

from lossatlas.report.blocks import Prose, Section
from lossatlas.report.comparisons import Compared, compared
from lossatlas.report.curves import curve_panel, loss_unit
from lossatlas.report.distributions import distribution_panel
from lossatlas.report.figure import Axis, Figure, Panel
from lossatlas.report.marks import Line, Mark
from lossatlas.report.profiles import linear_pairs, loss_axis, pair_name, searched, share
from lossatlas.report.records import by_network
from lossatlas.report.sections.heights import height_samples
from lossatlas.report.sections.kernels import kernel_panel
from lossatlas.report.wording import network_name, optimizer_name
from lossatlas.study.results import Experiment, StudyResults

__all__ = ["build"]

_Experiments = tuple[Experiment, ...]


def _curves(experiments: _Experiments) -> Panel | None:
    panel = curve_panel([each.ensemble for each in experiments], "train_loss", "(a) Train many replicas")
    if panel is None:
        return None
    # One label per optimizer in all four panels.
    lines = tuple(replace(m, label=optimizer_name(m.role)) for m in panel.marks if isinstance(m, Line))
    return replace(panel, marks=lines)


def _where(results: StudyResults, network: str) -> Panel | None:
    """Components of the RBF kernel, or of the first there is."""
    found: list[Compared] = [one for members in compared(results).values() for one in members]
    for one in found:
        if one.network == network and one.pair.components:
            kernels = sorted((pca for pca, _ in one.pair.components), key=lambda pca: pca.kernel.name != "rbf")
            return kernel_panel(one, kernels[0], "(b) Compare where they ended", plain=True)
    return None


def _stage(experiments: _Experiments) -> str | None:
    """The first stage of searched paths between ends as they are, of as many optimizers as any has."""
    stages = [
        stage
        for each in experiments
        for stage, pairs in searched(each, "train").items()
        if not any(pair.aligned for pair in pairs)
    ]
    return max(dict.fromkeys(stages), key=stages.count, default=None)


def _path(experiments: _Experiments, stage: str) -> Panel | None:
    """One searched path of each optimizer over the straight line between the same minima."""
    found: list[Mark] = []
    straight: list[Mark] = []
    paths = []
    for each in experiments:
        lines = {(pair.first, pair.second): pair for pair in linear_pairs(each, "train")}
        pairs = [pair for pair in searched(each, "train").get(stage, ()) if (pair.first, pair.second) in lines]
        if not pairs:
            continue
        pair, name = pairs[0], optimizer_name(each.optimizer)
        line = lines[pair.first, pair.second]
        member = pair_name(each, pair)
        found.append(Line(share(pair.path), pair.path.loss, name, each.optimizer, member))
        label = f"{name}, straight line"
        straight.append(Line(share(line.path), line.path.loss, label, each.optimizer, member, dashed=True))
        paths += [pair.path, line.path]
    if not found:
        return None
    axis = Axis("Share of the path's length", "0 start, 1 end")
    scale = loss_axis(paths, loss_unit(experiments[0].ensemble))
    return Panel("(c) Search low paths between two", axis, scale, (*straight, *found))


def _heights(experiments: _Experiments, stage: str) -> Panel | None:
    sets = tuple((each, "train", searched(each, "train").get(stage, ())) for each in experiments)
    samples = height_samples(sets, lambda path: path.height)
    plain = [replace(sample, label=optimizer_name(sample.role), row=optimizer_name(sample.role)) for sample in samples]
    unit = loss_unit(experiments[0].ensemble)
    return distribution_panel("(d) Compare their heights", plain, "Height", unit, counted="Paths")


def _figure(results: StudyResults, network: str, experiments: _Experiments) -> Figure | None:
    stage = _stage(experiments)
    if stage is None:
        return None
    found = (_curves(experiments), _where(results, network), _path(experiments, stage), _heights(experiments, stage))
    panels = tuple(panel for panel in found if panel is not None)
    if len(panels) < len(found):
        return None
    caption = (
        f"{network_name(network)}, from training to heights. (a) Training loss of every kept replica. (b) Where the "
        "replicas ended: two coordinates of their weights, found without knowing the optimizer. (c) Training loss on "
        "one path of each optimizer between the first two minima of its training set, searched for (solid) and "
        f"straight (dashed). (d) Heights of all such paths (stage '{stage}'); the sections below show all networks and "
        "sets."
    )
    return Figure("workflow", "How this atlas was made", caption, panels, columns=2)


def build(results: StudyResults) -> Section | None:
    """Draw the way from training to heights for the first network that has all of it."""
    for network, experiments in by_network(results).items():
        figure = _figure(results, network, experiments)
        if figure is not None:
            text = Prose(
                "Train many replicas under each optimizer, see where their weights end, search low paths between "
                "them, and compare how high these rise."
            )
            return Section("workflow", "The way to this atlas", (text, figure))
    return None
