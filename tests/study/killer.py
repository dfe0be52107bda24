"""Run a tiny study, kill it with SIGKILL at random moments, run it again: a process of its own, so that it may fork.

Prints one JSON object: how often it was killed, where, and the tables' checksums of every run that ended.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import torch

from lossatlas import data
from lossatlas.core.files import write_atomic
from lossatlas.study import Piece, Study
from lossatlas.study.load import parse_config

CONFIG = {
    "name": "killed",
    "data": {"name": "digits", "train_size": 96, "test_size": 48},
    "networks": {
        "fcp": {
            "replicas": 3,
            "optimizers": {
                "lbfgs-gss": {"iterations": 30},
                "sgd": {"epochs": 8, "options": {"lr": 0.1, "momentum": 0.5}},
            },
        },
        "autoencoder": {"replicas": 2, "optimizers": {"adam": {"epochs": 8, "options": {"lr": 0.01}}}},
    },
    "paths": {"straight": {"pairs": 2, "options": {"points": 5}}},
    "atlas": {"all": {"method": "linear", "minima": 2, "options": {"points": 5, "tolerance": 0}}},
}


class Quiet:
    """An observer that says nothing."""

    def begin(self, piece: Piece, number: int, total: int) -> None: ...

    def update(self, piece: Piece, fraction: float, text: str) -> None: ...

    def end(self, piece: Piece, seconds: float) -> None: ...


def run(folder: Path) -> int:
    """Run the study in a child; its process number."""
    child = os.fork()
    if child == 0:
        try:
            study = Study(parse_config(CONFIG), folder)
            study.run(Quiet(), checkpoint_seconds=0.0)
            for name, table in study.results().tables.items():
                write_atomic(folder / "tables" / f"{name}.csv", table.to_csv())
            os._exit(0)
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            os._exit(1)
    return child


def checksum(folder: Path) -> str:
    """Of all tables."""
    files = sorted((folder / "tables").iterdir())
    return hashlib.sha256(b"".join(file.name.encode() + file.read_bytes() for file in files)).hexdigest()


def place(folder: Path) -> str:
    """How far a study had come: its finished pieces and the content of its checkpoint."""
    finished = [file.name for file in sorted((folder / "store").glob("*.json"))]
    checkpoints = [file.read_text() for file in sorted((folder / "work").glob("*.json"))]
    return hashlib.sha256("".join([*finished, *checkpoints]).encode()).hexdigest()


def main() -> None:
    base, kills = Path(sys.argv[1]), int(sys.argv[2])
    rng = random.Random(int(sys.argv[3]))
    # Before the first fork: a pool of threads would not survive it, and imports would take most of each attempt.
    torch.set_num_threads(1)
    data.get("digits")
    reference = base / "reference"
    start = time.monotonic()
    if os.waitpid(run(reference), 0)[1] != 0:
        raise SystemExit("the study failed without being killed")
    duration = time.monotonic() - start
    # The strategy is measured once per study; the copies must use the same one to be comparable.
    numerics = (reference / "numerics.json").read_bytes()
    killed, ended, interrupted = 0, [checksum(reference)], []
    while killed < kills:
        folder = base / f"run-{len(ended)}"
        (folder / "store").mkdir(parents=True)
        (folder / "numerics.json").write_bytes(numerics)
        while True:
            child = run(folder)
            # Early enough to hit the pieces, late enough that some attempts finish.
            time.sleep(rng.uniform(0.0, 0.9 * duration))
            alive = os.waitpid(child, os.WNOHANG) == (0, 0)
            if alive and killed < kills:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                killed += 1
                interrupted.append(place(folder))
                continue
            if alive and os.waitpid(child, 0)[1] != 0:
                raise SystemExit("a continued study failed")
            break
        ended.append(checksum(folder))
        leftovers = [str(f) for f in folder.rglob("*.part")] + [str(f) for f in (folder / "work").glob("*")]
        if leftovers:
            raise SystemExit(f"left behind: {leftovers}")
        shutil.rmtree(folder)
    print(json.dumps({"killed": killed, "checksums": ended, "different_places": len(set(interrupted))}))


if __name__ == "__main__":
    main()
