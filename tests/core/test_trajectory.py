"""Trajectory: refuses what cannot be a run, knows its last finite snapshot, and reads back to the same bits."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from lossatlas.core.errors import InputError, StorageError
from lossatlas.core.files import bit_equal, save_tree
from lossatlas.core.params import ParamSpec
from lossatlas.core.trajectory import RunCurves, Trajectory

NAN, INF = float("nan"), float("inf")


def test_reads_back_to_the_same_bits(tmp_path):
    spec = ParamSpec.of(nn.Linear(1, 1))
    run = Trajectory.of(
        torch.tensor([[1.0, 2.0], [3.0, NAN]]), losses=torch.tensor([1.0, INF]), learning_rate=0.1, spec=spec
    )
    run = dataclasses.replace(run, settings={"optimizer": "sgd"})
    run.save(tmp_path / "lr0.1")
    assert (tmp_path / "lr0.1.json").exists()
    again = Trajectory.load(tmp_path / "lr0.1")
    assert bit_equal(again.to_tree(), run.to_tree())
    assert again.spec == spec
    assert Trajectory.load(tmp_path / "lr0.1.json").settings == {"optimizer": "sgd"}


def test_something_else_is_no_trajectory(tmp_path):
    save_tree(tmp_path / "other.json", {"weights": torch.ones(2)})
    with pytest.raises(StorageError, match="expected a stored trajectory"):
        Trajectory.load(tmp_path / "other")
    with pytest.raises(StorageError, match="no such file"):
        Trajectory.load(tmp_path / "none")


@pytest.mark.parametrize(
    ("weights", "losses", "last"),
    [
        ([[1.0], [2.0], [3.0]], None, 2),
        ([[1.0], [2.0], [NAN]], None, 1),
        ([[1.0], [2.0], [3.0]], [1.0, 2.0, INF], 1),
        ([[1.0], [2.0], [3.0]], [1.0, NAN, NAN], 0),
        ([[INF], [NAN], [NAN]], None, None),
    ],
)
def test_last_finite(weights, losses, last):
    run = Trajectory.of(torch.tensor(weights), losses=None if losses is None else torch.tensor(losses))
    assert run.last_finite == last


@pytest.mark.parametrize(("end", "last"), [(0.5, 1), (NAN, 0)])
def test_weights_after_the_last_loss_are_as_good_as_that(end, last):
    """A run recorded once more after its loop: the last snapshot has no loss of its own."""
    curve = RunCurves(torch.tensor([0, 1]), *(torch.tensor(v).double() for v in ([1.0, end], [1.0, 1.0], [NAN, NAN])))
    run = Trajectory(torch.ones(2, 1), torch.tensor([0, 2]), torch.tensor([1.0, NAN]), torch.tensor([1.0, NAN]), curve)
    assert run.last_finite == last


def test_what_cannot_be_a_run_is_refused():
    with pytest.raises(InputError, match="increasing steps of the"):
        Trajectory.of(torch.ones(2, 1), steps=torch.tensor([3, 3]))
    with pytest.raises(InputError, match="curves of one length"):
        Trajectory.of(torch.ones(2, 1), losses=torch.ones(3))
    with pytest.raises(InputError, match=r"losses of shape \(2,\)"):
        dataclasses.replace(Trajectory.of(torch.ones(2, 1)), losses=torch.ones(3))
    with pytest.raises(InputError, match="got shape"):
        Trajectory.of(torch.ones(2))
    with pytest.raises(InputError, match="got shape"):
        Trajectory.of(torch.ones(0, 2))
    with pytest.raises(InputError, match="another network"):
        Trajectory.of(torch.ones(2, 3), spec=ParamSpec.of(nn.Linear(1, 1)))
