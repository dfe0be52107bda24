"""How many examples a study used."""

from __future__ import annotations

from collections.abc import Mapping

from lossatlas.report.wording import network_name
from lossatlas.study.results import StudyResults

__all__ = ["other_sizes", "sizes"]


def sizes(results: StudyResults) -> dict[str, int]:
    """Training and test examples in use, as far as the study knows: those of the first network."""
    data = results.provenance.get("data")
    stored = data if isinstance(data, Mapping) else {}
    return {key: value for key in ("train", "test") if isinstance(value := stored.get(key), int)}


def other_sizes(results: StudyResults) -> list[str]:
    """The networks that have other numbers of examples than the first, each in words."""
    usual, given = sizes(results), results.provenance.get("examples")
    return [
        f"{network_name(name)} {own['train']:,} training and {own['test']:,} test examples"
        for name, own in (given if isinstance(given, Mapping) else {}).items()
        if own != usual
    ]
