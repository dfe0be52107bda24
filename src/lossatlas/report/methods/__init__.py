"""The methods of a study in sentences, made from its configuration: one file for each kind of computation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lossatlas.report.methods import data, finders, networks, training, weights
from lossatlas.report.records import configuration
from lossatlas.study.config import StudyConfig
from lossatlas.study.results import StudyResults

__all__ = ["PARTS", "Part", "paragraphs"]

Part = tuple[str, Callable[[StudyConfig, StudyResults], Sequence[str]]]

PARTS: tuple[Part, ...] = (
    ("Data", data.tell),
    ("Networks", networks.tell),
    ("Training", training.tell),
    ("Early stopping", training.tell_holdout),
    ("Paths", finders.tell_paths),
    ("Disconnectivity graphs", finders.tell_atlases),
    ("Landscapes of two coordinates", finders.tell_maps),
    ("Weight vectors", weights.tell),
    ("Curvature", weights.tell_curvature),
    ("Claims", weights.tell_claims),
    ("Intervals", weights.tell_intervals),
    ("Random numbers", training.tell_seeds),
)
"""Title and sentences of each part, in the order in which a methods section has them."""


def paragraphs(results: StudyResults) -> list[tuple[str, str]]:
    """Title and text of each part that the study has something of, a line for each thing said.

    Args:
        results: whose configuration says what was asked for; what it leaves open is filled with the defaults in force.
    """
    config = configuration(results)
    told = [(title, list(tell(config, results))) for title, tell in PARTS]
    return [(title, "\n".join(sentences)) for title, sentences in told if sentences]
