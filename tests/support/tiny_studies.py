"""A study of seconds, what watches it run, and what it stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from lossatlas.core.files import load_tree, save_tree
from lossatlas.study import Piece, Study
from lossatlas.study.load import parse_config

__all__ = ["TINY", "Log", "age_checkpoint", "changed", "run", "stored"]

TINY: dict[str, Any] = {
    "name": "tiny",
    "data": {"name": "digits", "train_size": 64, "test_size": 32},
    "networks": {
        "fcp": {"replicas": 3, "optimizers": {"lbfgs-gss": {"iterations": 4}, "sgd": {"epochs": 2}}},
    },
    "paths": {"straight": {"weight_sets": ["train"], "options": {"points": 5}}},
}


class Log:
    """Remembers which pieces were computed."""

    def __init__(self) -> None:
        self.computed: list[str] = []

    def begin(self, piece: Piece, number: int, total: int) -> None:
        self.computed.append(f"{piece.kind} {piece.label}")

    def update(self, piece: Piece, fraction: float, text: str) -> None:
        assert 0 <= fraction <= 1
        assert text

    def end(self, piece: Piece, seconds: float) -> None:
        assert seconds >= 0


def run(folder: Path, config: dict[str, Any]) -> list[str]:
    log = Log()
    Study(parse_config(config), folder).run(log)
    return log.computed


def changed(**networks: Any) -> dict[str, Any]:
    return {**TINY, "networks": {"fcp": {**TINY["networks"]["fcp"], **networks}}}


def stored(folder: Path) -> dict[str, Any]:
    """What every piece holds, without the seconds it took."""
    pieces = [status.piece for status in Study.open(folder).status()]
    store = Study.open(folder).store
    return {f"{piece.kind} {piece.label}": digests(store.load(piece)[0]) for piece in pieces}


def age_checkpoint(study: Study, piece: Piece, seconds: float) -> None:
    """Pretend that earlier processes put so much time into the checkpoint of a piece."""
    file = study.store.checkpoint(piece)
    save_tree(file, {**load_tree(file), "seconds": seconds})


def digests(tree: Any) -> Any:
    """A tree with its tensors as bytes, and without times."""
    if isinstance(tree, dict):
        return {key: digests(value) for key, value in tree.items() if "seconds" not in key}
    if isinstance(tree, list | tuple):
        return [digests(value) for value in tree]
    return tree.numpy().tobytes() if isinstance(tree, torch.Tensor) else repr(tree)  # NaN is NaN
