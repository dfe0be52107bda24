"""Verdicts of the paper, network by network."""

from __future__ import annotations

from lossatlas.analysis.claims.claim import Verdict

__all__ = ["NETWORKS", "everywhere", "only"]

NETWORKS = ("fcp", "lenet", "autoencoder", "lstm")


def everywhere() -> dict[str, Verdict]:
    """It is claimed of all four networks."""
    return dict.fromkeys(NETWORKS, "holds")


def only(*networks: str) -> dict[str, Verdict]:
    """It is claimed of some of them, and denied of the others.

    Example:
        >>> only("fcp", "lstm")["lenet"]
        'does not hold'
    """
    return {name: "holds" if name in networks else "does not hold" for name in NETWORKS}
