"""The store of a study: each result under the address of its inputs, written once."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lossatlas.core.errors import StorageError
from lossatlas.core.files import Tree, digest, load_entry, load_tree, remove_tree, save_tree

__all__ = ["Piece", "Store"]


@dataclass(frozen=True)
class Piece:
    """One computation of a study.

    Args:
        kind: ``"ensemble"``, ``"paths"`` or ``"tables"``.
        label: for people: ``"fcp lbfgs-gss"``.
        inputs: everything the result depends on, as JSON; its digest is the address.
        needs: pieces whose results it reads.
    """

    kind: str
    label: str
    inputs: dict[str, Any]
    needs: tuple[Piece, ...] = field(default=())

    @cached_property
    def address(self) -> str:
        """Hash of the inputs and of the addresses of what it needs."""
        return digest({"kind": self.kind, "inputs": self.inputs, "needs": [piece.address for piece in self.needs]})

    @property
    def filename(self) -> str:
        """Readable name that contains the address."""
        words = "-".join(f"{self.kind} {self.label}".replace("/", "-").split())
        return f"{words}-{self.address[:16]}.json"


class Store:
    """Results of a study on disk.

    Args:
        folder: the study's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._results = folder / "store"
        self._work = folder / "work"
        self._ended = folder / "ended"

    def path(self, piece: Piece) -> Path:
        """Where a finished piece is."""
        return self._results / piece.filename

    def checkpoint(self, piece: Piece) -> Path:
        """Where a piece in progress keeps its checkpoint."""
        return self._work / piece.filename

    def ended(self, piece: Piece) -> Path:
        """Where the state is kept in which a run ended, so that a longer one can go on there."""
        return self._ended / piece.filename

    def has(self, piece: Piece) -> bool:
        """Whether a piece is finished."""
        return self.path(piece).exists()

    def started(self, piece: Piece) -> bool:
        """Whether a piece has a checkpoint."""
        return self.checkpoint(piece).exists()

    def save(self, piece: Piece, result: Tree, seconds: float) -> None:
        """Write a finished piece."""
        save_tree(
            self.path(piece), {"address": piece.address, "inputs": piece.inputs, "seconds": seconds, "result": result}
        )

    def load(self, piece: Piece) -> tuple[Tree, float]:
        """Read a finished piece and the seconds it took.

        Raises:
            StorageError: it is missing, damaged, or has other inputs.
        """
        tree = load_tree(self.path(piece))
        if tree["address"] != piece.address:
            raise StorageError(
                f"expected the result of '{piece.label}' in {self.path(piece)}, got one with other inputs: "
                "delete the file to have it made again"
            )
        return tree["result"], float(tree["seconds"])

    def seconds(self, piece: Piece) -> float:
        """How long a finished piece took.

        Raises:
            StorageError: it is missing or damaged.
        """
        return float(load_entry(self.path(piece), "seconds"))

    def spent(self, piece: Piece) -> float:
        """Seconds that earlier processes put into the checkpoint of a piece; 0 where there is none.

        Raises:
            StorageError: it is damaged.
        """
        return float(load_entry(self.checkpoint(piece), "seconds", 0.0)) if self.started(piece) else 0.0

    def discard_checkpoint(self, piece: Piece) -> None:
        """Delete the checkpoint of a finished piece."""
        remove_tree(self.checkpoint(piece))

    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())

    def sweep(self) -> None:
        """Remove what a killed process left half-written; call only while holding the lock."""
        for folder in (self._results, self._work, self._ended, self.folder):
            if not folder.is_dir():
                continue
            for part in folder.glob(".*.part"):
                part.unlink(missing_ok=True)
        for folder in (self._results, self._work, self._ended):
            for tensors in folder.glob("*.safetensors") if folder.is_dir() else ():
                owner = tensors.with_name(tensors.stem[: -len("-0123456789abcdef")] + ".json")
                if not owner.exists() or tensors.name not in owner.read_text(encoding="utf-8"):
                    tensors.unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Any:
        """Hold the study's folder for this process alone.

        Raises:
            StorageError: another process works on it, or the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.folder / ".lock", timeout=0)
            lock.acquire()
        except Timeout:
            raise StorageError(
                f"expected {self.folder} to be free, got another process working on it: "
                "wait for it, or choose another --out"
            ) from None
        except OSError as error:
            raise StorageError(
                f"expected a folder that can be written at {self.folder}, got '{error.strerror or error}': "
                "choose another --out"
            ) from error
        try:
            yield
        finally:
            lock.release()
