"""What a record of work on one landscape says about how it was made, and how a run that continues keeps to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossatlas.core.hardware import describe_hardware
from lossatlas.landscape import NetworkLandscape
from lossatlas.landscape.contract import Landscape
from lossatlas.landscape.network import Numerics
from lossatlas.study.versions import versions

__all__ = ["landscape_details", "with_numerics_of"]


def landscape_details(landscape: Landscape) -> dict[str, Any]:
    """Size, type, device, numerics, machine and versions, as a JSON object."""
    return {
        "coordinates": landscape.dim,
        "samples": landscape.samples,
        "dtype": str(landscape.dtype).removeprefix("torch."),
        "device": landscape.device.type,
        "numerics": landscape.numerics.to_json() if isinstance(landscape, NetworkLandscape) else None,
        "hardware": describe_hardware(landscape.device).to_json(),
        "packages": versions(),
    }


def with_numerics_of(details: Mapping[str, Any] | None, landscape: NetworkLandscape) -> NetworkLandscape:
    """How rows are evaluated is a matter of timing, and of the last bits: a command that continues keeps to it.

    Args:
        details: of the record that is continued; None begins one.
        landscape: where.
    """
    stored = (details or {}).get("numerics")
    if details is not None and isinstance(stored, dict) and details.get("device") == landscape.device.type:
        return landscape.with_numerics(Numerics(**stored))
    return landscape.with_numerics(landscape.numerics)
