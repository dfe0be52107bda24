"""Stages: the parts of one point's spectrum, told as they begin and kept until the point is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lossatlas import curvature
from lossatlas.core.errors import InputError
from lossatlas.core.files import Tree, load_tree, save_tree
from lossatlas.study.store import Piece, Store

__all__ = ["Stages"]

# Columns of a matrix that are computed and kept at a time.
_COLUMNS = 256


@dataclass(frozen=True)
class Stages:
    """The stages of one piece of a study.

    Args:
        piece: which.
        store: where each stage is kept until the piece is done; None: nowhere.
        tell: told what begins.
        kept: the stages that were run or read.
    """

    piece: Piece
    store: Store | None
    tell: Callable[[str], None]
    kept: list[Piece] = field(default_factory=list)

    def run(self, name: str, make: Callable[[], Tree]) -> Tree:
        """The result of a stage: read where an interrupted run has left it, else made and kept."""
        inputs = {"of": self.piece.address, "stage": name}
        part = Piece(self.piece.kind, f"{self.piece.label} {name}", inputs)
        self.kept.append(part)
        if self.store is not None and self.store.started(part):
            found: Tree = load_tree(self.store.checkpoint(part))["result"]
            return found
        self.tell(name)
        start = time.monotonic()
        made = make()
        if self.store is not None:
            seconds = time.monotonic() - start
            save_tree(self.store.checkpoint(part), {"address": part.address, "seconds": seconds, "result": made})
        return made

    def discard(self) -> None:
        """Delete what was kept: the piece is done."""
        if self.store is not None:
            for part in self.kept:
                self.store.discard_checkpoint(part)

    def record(self, name: str, make: Callable[[], Any]) -> dict[str, Any]:
        """Fields of a frozen record that a stage makes, to make it again with."""
        return dict(self.run(name, lambda: dict(vars(make()))))

    def attempt(self, name: str, make: Callable[[], Any]) -> tuple[dict[str, Any] | None, str]:
        """The same of a stage that some landscapes do not allow, and the reason in a sentence where there is one."""

        def tried() -> Tree:
            try:
                return {"record": dict(vars(make())), "reason": ""}
            except InputError as error:
                return {"record": None, "reason": str(error)}

        found = self.run(name, tried)
        return found["record"], found["reason"]

    def assemble(self, operator: curvature.PointOperator) -> curvature.AssembledOperator:
        """Write down the matrix of one point, some columns at a time."""
        unit = torch.eye(operator.dim, dtype=torch.float64, device=operator.device)

        def columns(low: int, high: int) -> Tensor:
            def make() -> Tree:
                return operator.multiply(unit[low:high], torch.zeros(high - low, dtype=torch.int64)).cpu()

            found: Tensor = self.run(f"whole Hessian, columns {low + 1} to {high} of {operator.dim}", make)
            return found

        parts = [columns(low, min(low + _COLUMNS, operator.dim)) for low in range(0, operator.dim, _COLUMNS)]
        return curvature.AssembledOperator(operator, torch.cat(parts))
