"""Compute a slow piece in another process, to be interrupted as a terminal does it: all processes at once.

Run: python terminal.py FOLDER; FOLDER/step tells that a step has begun, FOLDER/whole that it ended as one.
"""

from __future__ import annotations

import functools
import signal
import sys
import time
from pathlib import Path

from tiny_studies import Log

from lossatlas.study import Piece
from lossatlas.study.executors import Compute, compute_pieces
from lossatlas.study.executors.schedule import Update
from lossatlas.training.interrupts import deferred_interrupts


def slow(folder: Path) -> Compute:
    """What computes a piece whose steps take two seconds."""

    def compute(piece: Piece, update: Update) -> float:
        with deferred_interrupts() as interrupt:
            while not interrupt.requested:
                (folder / "step").touch()
                end = time.monotonic() + 2
                while time.monotonic() < end:
                    time.sleep(0.01)
        (folder / "whole").touch()
        raise KeyboardInterrupt

    return compute


def main() -> None:
    # Shells start what runs in the background with Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(sys.argv[1])
    piece = Piece("test", "slow", {}, ())
    make = functools.partial(slow, folder)
    compute_pieces([piece], lambda each: False, make, Log(), executor="local", workers=1, cores=1, accelerators=0)


if __name__ == "__main__":
    main()
