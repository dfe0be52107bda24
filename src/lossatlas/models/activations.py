"""Activations selectable by name."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from lossatlas.core.registry import Registry

__all__ = ["Activation", "activations"]

Activation = Callable[[Tensor], Tensor]

activations = Registry[Activation]("activation")
"""Activations by name."""
activations.add("softplus", F.softplus, "log(1 + exp x): smooth; the published notebooks")
activations.add("relu", F.relu, "max(0, x): the paper's text")
activations.add("tanh", F.tanh, "hyperbolic tangent")
activations.add("gelu", F.gelu, "x times the normal distribution function")
activations.add("silu", F.silu, "x times the logistic function")
