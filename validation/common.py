"""What the validation scripts share: finding MNIST, and writing what was measured."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

import lossatlas as la
from lossatlas.core.hardware import describe_hardware

__all__ = ["arguments", "earlier", "verdict", "write"]

RESULTS = Path(__file__).parent / "results"


def arguments(description: str) -> argparse.Namespace:
    """Parse ``--data-dir``; default: LOSSATLAS_DATA or the cache folder."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data-dir", default=None, help="folder holding mnist/")
    return parser.parse_args()


def verdict(value: float, low: float, high: float) -> dict[str, Any]:
    """A measured value, the range expected, and whether it lies inside."""
    return {"value": value, "expected": [low, high], "holds": low <= value <= high}


def earlier(name: str) -> dict[str, Any]:
    """The figures that are there; none before the first run."""
    path = RESULTS / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def write(name: str, document: dict[str, Any], started: float) -> None:
    """Write the figures with the machine they were measured on, and print them."""
    document = {
        **document,
        "seconds": round(time.monotonic() - started, 1),
        "lossatlas": la.__version__,
        "hardware": describe_hardware().to_json(),
        "threads": torch.get_num_threads(),
    }
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(document, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    print(text)
