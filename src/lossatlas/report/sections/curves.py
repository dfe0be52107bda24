"""Loss against training time, with the moments at which weights were taken."""

from __future__ import annotations

from lossatlas.report.blocks import Section
from lossatlas.report.curves import DRAWN_STEPS, curve_panel
from lossatlas.report.figure import Figure
from lossatlas.report.records import by_network
from lossatlas.report.wording import network_name
from lossatlas.study.results import StudyResults

__all__ = ["build"]


def build(results: StudyResults) -> Section | None:
    """Draw the curves, a row of panels per network: on the training data and on the test data."""
    kinds = {"train_loss": "training loss", "test_loss": "test loss"}
    panels = []
    for network, experiments in by_network(results).items():
        ensembles = [experiment.ensemble for experiment in experiments]
        for name, words in kinds.items():
            panel = curve_panel(ensembles, name, f"{network_name(network)}, {words}")
            if panel is not None:
                panels.append(panel)
    if not panels:
        return None
    longest = max(len(e.ensemble.curves.steps) for e in results.experiments if e.ensemble.curves is not None)
    caption = (
        "Each line is one kept replica, on a logarithmic scale. Markers show where its weights were taken: at its "
        "lowest training loss and, as early stopping does, at its lowest loss on unseen data. Where a test curve "
        "turns up after its diamond, longer training fits the training data at the expense of unseen data. "
        "Lengths of training in iterations and in epochs are not comparable: an epoch takes many small steps."
    )
    if longest > DRAWN_STEPS:
        caption += f" Of longer curves {DRAWN_STEPS} evenly spaced steps are drawn."
    figure = Figure("loss-curves", "Loss against training time", caption, tuple(panels), columns=2)
    return Section("curves", "Loss curves", (figure,))
