"""Numerics of a study: chosen by timing before the first step, then fixed for good."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lossatlas.core.errors import StorageError
from lossatlas.core.files import write_atomic
from lossatlas.core.hardware import on_threads
from lossatlas.landscape.network import Numerics
from lossatlas.problems import Problem

__all__ = ["StudyNumerics"]

FILE = "numerics.json"


@dataclass(frozen=True)
class StudyNumerics:
    """Strategy and chunks per network, and the number of threads.

    Different strategies and thread counts give the same numbers to rounding but not to the last bit, so a study that is
    continued must use those it began with; they are part of every address.

    Args:
        device: type of device they were measured on.
        threads: CPU threads.
        networks: by name.
    """

    device: str
    threads: int
    networks: dict[str, Numerics]

    @classmethod
    def load(cls, folder: Path) -> StudyNumerics | None:
        """Read those of a study; None if it has not begun.

        Raises:
            StorageError: the file is damaged.
        """
        path = folder / FILE
        if not path.exists():
            return None
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            networks = {name: Numerics(**fields) for name, fields in document["networks"].items()}
            return cls(document["device"], document["threads"], networks)
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(
                f"expected the study's numerics in {path}, got {error!r}: delete the file to measure them again, "
                "after which everything is computed anew"
            ) from error

    def save(self, folder: Path) -> None:
        """Write them, before the first step that depends on them."""
        write_atomic(folder / FILE, json.dumps(self.to_json(), indent=1) + "\n")

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        networks = {name: numerics.to_json() for name, numerics in self.networks.items()}
        return {"device": self.device, "threads": self.threads, "networks": networks}

    def covers(self, names: set[str], device: str) -> bool:
        """Whether these are for the same device and include the networks."""
        return self.device == device and names <= set(self.networks)

    @classmethod
    def measure(
        cls, problems: dict[str, tuple[Problem, int]], device: str, known: StudyNumerics | None, workers: int = 1
    ) -> StudyNumerics:
        """Time the strategies of networks that have none yet.

        Args:
            problems: network to problem and number of replicas.
            device: type of device.
            known: those measured before on the same device, kept as they are.
            workers: processes that will share the cores.
        """
        kept = known.networks if known is not None and known.device == device else {}
        threads = known.threads if kept and known is not None else max(1, torch.get_num_threads() // workers)
        networks = dict(kept)
        with on_threads(threads):  # strategies are timed as they will run
            for name, (problem, rows) in problems.items():
                if name not in networks:
                    networks[name] = problem.train.tune(rows).numerics
        return cls(device, threads, networks)
