"""One committee looked at from all sides: its dynamics beside simulation, its minima, and how many starts end badly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from lossatlas.core.errors import InputError
from lossatlas.core.proportion import Proportion
from lossatlas.core.table import Column, Table
from lossatlas.landscape.analytic.energy import check_count
from lossatlas.theory.committee.dynamics import Course, Dynamics, check_rate
from lossatlas.theory.committee.landscape import Committee
from lossatlas.theory.committee.minima import Minima, find_minima
from lossatlas.theory.committee.overlaps import random_student
from lossatlas.theory.committee.simulator import Simulation, simulate
from lossatlas.theory.committee.widths import PUBLISHED_BAD

__all__ = ["BadStarts", "CommitteeStudy", "minima_table", "study_committee"]

_SMALLEST = 6
"""With fewer units than this there is no bad minimum (Safran & Shamir 2018)."""


@dataclass(frozen=True)
class BadStarts:
    """How many starts of k students and k teachers end in a bad minimum.

    Args:
        units: k.
        fraction: with its interval.
        published: the fraction of published runs; None where there are none.
    """

    units: int
    fraction: Proportion
    published: float | None


@dataclass(frozen=True)
class CommitteeStudy:
    """What :func:`study_committee` found.

    Args:
        dynamics: the system.
        course: its equations, integrated.
        simulation: one-pass SGD from the same overlaps.
        minima: where descent from random starts ended, students and teachers as asked for.
        bad: by number of units, ascending.
    """

    dynamics: Dynamics
    course: Course
    simulation: Simulation
    minima: Minima
    bad: tuple[BadStarts, ...]

    def z(self) -> torch.Tensor:
        """Distance of the simulated mean loss from the equations in standard errors, at every time but the first."""
        at = torch.searchsorted(self.course.times, self.simulation.times)
        mean, error = self.simulation.mean()
        return ((mean - self.course.loss[at]) / error)[1:]


def study_committee(
    students: int = 6,
    teachers: int = 6,
    *,
    learning_rate: float = 0.2,
    label_noise: float = 0.0,
    time: float = 60.0,
    dim: int = 1000,
    replicas: int = 8,
    starts: int = 200,
    seed: int = 0,
) -> CommitteeStudy:
    """Equations and simulation of one-pass SGD, the minima of the loss, and the fraction of bad starts against k.

    Args:
        students: K.
        teachers: M, with orthonormal weights.
        learning_rate: η.
        label_noise: variance σ² of the noise on labels.
        time: t = steps / d at the end.
        dim: d of the simulation.
        replicas: of the simulation, at least 2.
        starts: of each search for minima.
        seed: names the start, the inputs and the starts.

    Raises:
        InputError: counts, rates or times that cannot be.
        DivergenceError: the learning rate is too large.

    Example:
        >>> found = study_committee(2, 2, time=1.0, dim=50, replicas=2, starts=3)
        >>> [bad.units for bad in found.bad], found.minima.loss.shape
        ([2], torch.Size([3]))
    """
    if check_count(replicas, "replicas") < 2:
        raise InputError(f"expected at least 2 replicas, got {replicas}: one has no standard error")
    if check_count(dim, "dim") < students + teachers:
        raise InputError(f"expected dim of at least students + teachers = {students + teachers}, got {dim}")
    check_rate(time, "the time")
    check_count(starts, "starts")
    p = torch.eye(check_count(teachers, "teachers"), dtype=torch.float64)
    dynamics = Dynamics(p, learning_rate, label_noise)
    q, r = random_student(check_count(students, "students"), p, dim, seed=seed)
    coarse = (torch.linspace(0, time, 13, dtype=torch.float64) * dim).round() / dim
    fine = torch.linspace(0, time, 97, dtype=torch.float64)
    times = torch.from_numpy(np.union1d(coarse.numpy(), fine.numpy()))
    course = dynamics.solve(q, r, times)
    simulation = simulate(dynamics, q, r, coarse, dim=dim, replicas=replicas, seed=seed)
    minima = find_minima(Committee(teachers, students), starts, seed=seed)
    units = range(min(_SMALLEST, teachers), teachers + 1)
    bad = []
    for k in units:
        found = minima if k == teachers == students else find_minima(Committee(k), starts, seed=seed)
        bad.append(BadStarts(k, found.bad_fraction(), PUBLISHED_BAD.get((k, k))))
    return CommitteeStudy(dynamics, course, simulation, minima, tuple(bad))


def minima_table(found: Minima) -> Table:
    """The different bad minima of a search, lowest loss first.

    Example:
        >>> minima_table(find_minima(Committee(3), 5)).rows
        ()
    """
    rows = tuple(
        (
            float(found.loss[first]),
            "+".join(map(str, found.blocks[first])),
            count,
            float(found.eigenvalues[first, 0]),
            int(found.flat[first]),
            float(found.grad_norm[first]),
        )
        for first, count in found.distinct()
    )
    columns = (
        Column("loss", "Loss", "", ".8f"),
        Column("blocks", "Blocks"),
        Column("starts", "Starts that ended there", "", "d"),
        Column("smallest", "Smallest eigenvalue", "", ".6f"),
        Column("flat", "Flat directions", "", "d"),
        Column("gradient", "Gradient norm", "", ".1e"),
    )
    caption = (
        "Minima with a loss above 1e-3 that descent and Newton's method reached, told apart by eight digits of their "
        "loss. Blocks: sizes of the groups of students that play the same part. A positive smallest eigenvalue of the "
        "Hessian makes them true minima."
    )
    return Table("minima", "Bad minima", caption, columns, rows)
