"""Slices of a landscape: directions, planes, surfaces, trajectories seen on them, and how rough they are."""

from __future__ import annotations

from lossatlas.core.normalise import filter_normalised, layer_normalised
from lossatlas.slices.between import initialisation_line, line_between, plane_through
from lossatlas.slices.directions import (
    coordinate_directions,
    directions,
    eigenvector_directions,
    filter_directions,
    gaussian_directions,
    layer_directions,
    random_directions,
)
from lossatlas.slices.evaluate import plane_at, surface, surface_on
from lossatlas.slices.exports import save_h5, save_npz, save_vtk
from lossatlas.slices.grid import adaptive_window
from lossatlas.slices.plane import Plane, Projection
from lossatlas.slices.refine import Refinement, mismatch_and_gradient, refine_plane
from lossatlas.slices.roughness import Roughness, convex_envelope, roughness
from lossatlas.slices.surface import Surface
from lossatlas.slices.traces import Trace, trace
from lossatlas.slices.trajectory import TrajectoryPlane, random_walk_fractions, trajectory_plane

__all__ = [
    "Plane",
    "Projection",
    "Refinement",
    "Roughness",
    "Surface",
    "Trace",
    "TrajectoryPlane",
    "adaptive_window",
    "convex_envelope",
    "coordinate_directions",
    "directions",
    "eigenvector_directions",
    "filter_directions",
    "filter_normalised",
    "gaussian_directions",
    "initialisation_line",
    "layer_directions",
    "layer_normalised",
    "line_between",
    "mismatch_and_gradient",
    "plane_at",
    "plane_through",
    "random_directions",
    "random_walk_fractions",
    "refine_plane",
    "roughness",
    "save_h5",
    "save_npz",
    "save_vtk",
    "surface",
    "surface_on",
    "trace",
    "trajectory_plane",
]
