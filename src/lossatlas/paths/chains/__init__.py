"""Chains of states: images on the way from one point to the other, relaxed together."""

from __future__ import annotations

from lossatlas.paths.chains.autoneb import AutoNEBPathFinder
from lossatlas.paths.chains.neb import NEBPathFinder
from lossatlas.paths.chains.string import StringPathFinder

__all__ = ["AutoNEBPathFinder", "NEBPathFinder", "StringPathFinder"]
