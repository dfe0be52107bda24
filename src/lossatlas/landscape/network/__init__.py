"""Networks as landscapes: any ``nn.Module`` with a loss and data."""

from __future__ import annotations

from lossatlas.landscape.network.evaluator import Numerics
from lossatlas.landscape.network.landscape import NetworkLandscape

__all__ = ["NetworkLandscape", "Numerics"]
