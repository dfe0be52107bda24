"""Which examples."""

from __future__ import annotations

from collections.abc import Mapping

from lossatlas.report.examples_used import other_sizes
from lossatlas.report.wording import data_name, listing
from lossatlas.study.config import StudyConfig
from lossatlas.study.results import StudyResults

__all__ = ["tell"]


def tell(config: StudyConfig, results: StudyResults) -> list[str]:
    """Name the data set, how much of it was used, and where it comes from."""
    found = results.provenance.get("data")
    stored: Mapping[str, object] = found if isinstance(found, Mapping) else {}
    sizes = [stored.get("train"), stored.get("test")]
    sentence = f"The data are {data_name(str(stored.get('name', config.data.name)))}"
    if all(isinstance(size, int) for size in sizes):
        sentence += f": {sizes[0]:,} training and {sizes[1]:,} test examples"
    sentences = [f"{sentence}."]
    held = stored.get("validation", config.data.validation)
    if held:
        sentences.append(f"{held:,} training examples were held out for validation.")
    others = other_sizes(results)
    if others:
        sentences.append(f"Of these, {listing(others)}.")
    if stored.get("source"):
        sentences.append(str(stored["source"]).rstrip(".") + ".")
    return [" ".join(sentences)]
