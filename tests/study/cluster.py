"""Compute a tiny study on a Ray cluster of this machine: interrupted, to its end, and where a machine cannot see it.

Run: python cluster.py FOLDER; the last line printed is a JSON object of what was seen.
"""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path

import ray
from tiny_studies import TINY, Log

from lossatlas.core.errors import StorageError
from lossatlas.study import Piece, Study
from lossatlas.study.executors import compute_pieces
from lossatlas.study.load import parse_config
from lossatlas.study.study import _in_worker


class Stop(Log):
    """Ctrl-C at the first piece that is stored."""

    def end(self, piece: Piece, seconds: float) -> None:
        raise KeyboardInterrupt


def main() -> None:
    folder = Path(sys.argv[1])
    told: dict[str, object] = {}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    try:
        Study(parse_config(TINY), folder).run(Stop(), executor="ray")
    except KeyboardInterrupt:
        told["after the interruption"] = [status.state for status in Study.open(folder).status()]
    Study(parse_config(TINY), folder).run(Log(), executor="ray")
    study = Study.open(folder)
    elsewhere = functools.partial(_in_worker, folder / "elsewhere", "cpu", 30.0)
    try:
        compute_pieces(
            study.pieces(study.numerics()),
            lambda piece: False,
            elsewhere,
            Log(),
            executor="ray",
            workers=1,
            cores=1,
            accelerators=0,
        )
    except StorageError as error:
        told["failure"] = f"StorageError: {error}"
    assert ray.is_initialized()  # a cluster that was there before stays
    ray.shutdown()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
