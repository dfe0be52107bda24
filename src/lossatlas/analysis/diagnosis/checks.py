"""What can be wrong: one check for each kind of finding, from a case to a finding or None."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lossatlas.analysis.diagnosis.case import Case
from lossatlas.analysis.diagnosis.descent_checks import exploding, ill_conditioned, learning_rate, small_steps
from lossatlas.analysis.diagnosis.network_checks import overfit, plateau, vanishing
from lossatlas.analysis.diagnosis.records import Finding, Kind
from lossatlas.analysis.diagnosis.saddle import saddle

__all__ = ["CHECKS"]

CHECKS: Mapping[Kind, Callable[[Case], Finding | None]] = {
    "exploding gradients": exploding,
    "learning rate too large": learning_rate,
    "learning rate too small": small_steps,
    "ill-conditioned": ill_conditioned,
    "saddle": saddle,
    "vanishing gradients": vanishing,
    "plateau": plateau,
    "sharp or overfit minimum": overfit,
}
"""Every check, in the order in which findings are told."""
