"""plot: the figure that belongs to a result."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from lossatlas.core.ensemble import Ensemble
from lossatlas.core.errors import InputError
from lossatlas.core.path import Path
from lossatlas.report import Line, Points, plot
from lossatlas.report.curves import curve_panel


def test_path_marks_its_barrier(path: Path) -> None:
    panel = plot(path).panels[0]
    level, barrier, line, top = panel.marks
    np.testing.assert_array_equal(np.asarray(line.y), path.loss.numpy())
    np.testing.assert_array_equal(np.asarray(line.x), path.t.numpy())
    assert np.asarray(level.y).tolist() == [0.25, 0.25]
    assert np.asarray(barrier.y).tolist() == [path.height - path.barrier, path.height]
    assert (np.asarray(top.x).item(), np.asarray(top.y).item()) == (0.5, path.height)
    assert barrier.label == "barrier 2.0"
    assert panel.y.scale == "log"


def test_path_with_negative_values_is_drawn_on_a_linear_axis(path: Path) -> None:
    assert plot(dataclasses.replace(path, loss=path.loss - 1)).panels[0].y.scale == "linear"


def test_several_paths(path: Path) -> None:
    other = dataclasses.replace(path, method="neb", loss=path.loss / 2)
    figure = plot([path, other])
    assert [entry.label for entry in figure.legend] == ["linear", "neb"]
    assert "1.1 to 2.2" in figure.caption or "1.1 to 2.3" in figure.caption


def test_ensemble_marks_the_chosen_points(ensemble: Ensemble) -> None:
    figure = plot(ensemble)
    assert [panel.y.text for panel in figure.panels] == ["Training loss (nat)", "Test loss (nat)"]
    assert figure.panels[0].x.text == "Training time (epochs)"
    assert ensemble.curves is not None
    assert ensemble.test is not None
    for panel, name in zip(figure.panels, ("train_loss", "test_loss"), strict=True):
        lines = [mark for mark in panel.marks if isinstance(mark, Line)]
        curves = ensemble.curves.values[name]
        np.testing.assert_array_equal([np.asarray(line.y) for line in lines], curves.numpy())
        train, test = [mark for mark in panel.marks if isinstance(mark, Points)]
        for points, weights in ((train, ensemble.train), (test, ensemble.test)):
            np.testing.assert_array_equal(np.asarray(points.x), weights.steps.numpy())
            expected = [curves[i, step] for i, step in enumerate(weights.steps.tolist())]
            np.testing.assert_array_equal(np.asarray(points.y), expected)
        assert (train.label, test.label) == ("SGD, lowest training loss", "SGD, lowest test loss")


def test_points_follow_the_kept_replicas(ensemble: Ensemble) -> None:
    replicas = tuple(dataclasses.replace(r, kept=r.index != 1) for r in ensemble.replicas)
    keep = [0, 2, 3, 4, 5]
    train = dataclasses.replace(ensemble.train, weights=ensemble.train.weights[keep], steps=ensemble.train.steps[keep])
    panel = curve_panel([dataclasses.replace(ensemble, replicas=replicas, train=train, test=None)], "train_loss", "t")
    assert panel is not None
    lines = [mark.member for mark in panel.marks if isinstance(mark, Line)]
    (points,) = [mark for mark in panel.marks if isinstance(mark, Points)]
    assert lines == list(points.members) == [f"replica {i}" for i in keep]


def test_zero_losses_become_gaps_not_errors(ensemble: Ensemble) -> None:
    assert ensemble.curves is not None
    values = {name: curve.clone() for name, curve in ensemble.curves.values.items()}
    values["train_loss"][0, -1] = 0.0
    values["train_loss"][1] = float("nan")
    curves = dataclasses.replace(ensemble.curves, values=values)
    panel = curve_panel([dataclasses.replace(ensemble, curves=curves)], "train_loss", "t")
    assert panel is not None
    first = panel.marks[0]
    assert np.isnan(np.asarray(first.y)[-1])
    assert sum(isinstance(mark, Line) for mark in panel.marks) == 5


def test_long_curves_keep_their_ends(ensemble: Ensemble) -> None:
    assert ensemble.curves is not None
    steps = torch.arange(5001)
    values = {"train_loss": 1 / (1 + steps.double()).repeat(6, 1)}
    curves = dataclasses.replace(ensemble.curves, steps=steps, values=values)
    panel = curve_panel([dataclasses.replace(ensemble, curves=curves)], "train_loss", "t")
    assert panel is not None
    x = np.asarray(panel.marks[0].x)
    assert (x[0], x[-1], x.size) == (0, 5000, 200)


def test_unit_of_the_loss(ensemble: Ensemble) -> None:
    def unit(**changes: object) -> str:
        return plot(dataclasses.replace(ensemble, **changes)).panels[0].y.unit  # type: ignore[arg-type]

    assert unit() == "nat"
    assert unit(settings={"loss_unit": "eV"}) == "eV"
    assert unit(settings={"loss_unit": ""}) == ""
    assert unit(settings={"loss_unit": ""}, problem="autoencoder") == "MSE"


@pytest.mark.parametrize("wrong", [3, [], "path", [1, 2]])
def test_other_things_are_refused(wrong: object) -> None:
    with pytest.raises(InputError, match="expected an Ensemble, a Path or a list of Paths"):
        plot(wrong)  # type: ignore[arg-type]


def test_what_has_nothing_to_show_is_refused(ensemble: Ensemble, path: Path) -> None:
    with pytest.raises(InputError, match="imported weights have no history"):
        plot(dataclasses.replace(ensemble, curves=None))
    broken = dataclasses.replace(path, loss=torch.full_like(path.loss, float("nan")))
    for thing in (broken, [path, broken]):
        with pytest.raises(InputError, match="finite losses"):
            plot(thing)
