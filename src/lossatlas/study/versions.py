"""Versions of the packages that results depend on."""

from __future__ import annotations

from importlib import metadata

__all__ = ["versions"]

_PACKAGES = ("lossatlas", "torch", "numpy", "scipy", "scikit-learn", "matplotlib", "plotly", "safetensors")


def versions() -> dict[str, str]:
    """Name and version of each, ``"not installed"`` where there is none.

    Example:
        >>> sorted(versions())[0]
        'lossatlas'
    """
    return {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
