"""What a study's results depend on of its data and models, kept beside them so that reading needs no data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lossatlas.core.errors import StorageError
from lossatlas.core.files import digest, write_atomic
from lossatlas.problems import Problem
from lossatlas.study.config import StudyConfig

__all__ = ["load_details", "save_details"]

FILE = "problems.json"


def _key(config: StudyConfig) -> str:
    """Names what the details were made from."""
    options = {name: network.options for name, network in config.networks.items()}
    made = {name: network.problem for name, network in config.networks.items() if network.problem is not None}
    data = config.data.model_dump(mode="json", exclude={"directory"})
    sizes = {
        name: [network.train_size, network.test_size]
        for name, network in config.networks.items()
        if network.train_size or network.test_size
    }
    further = {**({"problems": made} if made else {}), **({"sizes": sizes} if sizes else {})}
    return digest({"data": data, "options": options, **further})


def save_details(folder: Path, config: StudyConfig, problems: Mapping[str, Problem]) -> None:
    """Write what is said of data and models: name, checksum, sizes, options."""
    details = {name: problem.details for name, problem in problems.items()}
    write_atomic(folder / FILE, json.dumps({"of": _key(config), "problems": details}, indent=1) + "\n")


def load_details(folder: Path, config: StudyConfig) -> dict[str, dict[str, Any]] | None:
    """Read the details by network; None where there are none, or those of another configuration.

    Raises:
        StorageError: the file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found: dict[str, dict[str, Any]] = document["problems"]
        return found if document["of"] == _key(config) else None
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(f"expected what is known of the data in {path}, got {error!r}: delete the file") from error
