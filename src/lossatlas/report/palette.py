"""Colours: one per optimizer, the same in every figure, told apart by colour-blind readers on light and dark paper."""

from __future__ import annotations

import hashlib

from lossatlas.report.marks import Marker

__all__ = ["NEUTRAL", "colour_of", "marker_of"]

NEUTRAL = "#7d858d"
"""For what belongs to no optimizer: means, levels, walls."""

# Near the blue, vermilion, green and purple of Okabe and Ito's set; its yellow, orange and sky blue vanish on white,
# so others take their place. Every colour has a contrast of at least 3 to both backgrounds of the page (tested).
_KNOWN = {
    "lbfgs-gss": "#1a7ab8",
    "sgd": "#d55e00",
    "adam": "#009e73",
    "adamw": "#b8679a",
    "lbfgs": "#7a6cc7",
    "sam": "#a17c00",
    "imported": "#6b8a3a",
    "path": "#1a7ab8",
    "straight": "#d55e00",
    "found": "#1a7ab8",
    "straight aligned": "#b8679a",
    "found aligned": "#009e73",
    "pass": "#7a6cc7",
    "series 0": "#1a7ab8",
    "series 1": "#d55e00",
    "series 2": "#009e73",
    "series 3": "#b8679a",
    "series 4": "#7a6cc7",
    "series 5": "#a17c00",
}
_OTHERS = ("#8c6d46", "#5c8a9c", "#7a8f2a", "#c2587a")


def colour_of(role: str) -> str:
    """Colour of a role as ``#rrggbb``; a name that is not known gets a fixed one of its own.

    Example:
        >>> colour_of("sgd") == colour_of("sgd"), colour_of("neutral") == NEUTRAL
        (True, True)
    """
    if role == "neutral":
        return NEUTRAL
    if role in _KNOWN:
        return _KNOWN[role]
    return _OTHERS[hashlib.sha256(role.encode()).digest()[0] % len(_OTHERS)]


def marker_of(role: str) -> Marker:
    """Shape of an optimizer's points, so that colour is never the only difference."""
    shapes: dict[str, Marker] = {"lbfgs-gss": "circle", "sgd": "square", "adam": "triangle"}
    return shapes.get(role, "diamond")
