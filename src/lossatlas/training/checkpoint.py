"""Checkpoints: everything a run needs to continue with the same bits."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lossatlas.core.errors import StorageError
from lossatlas.core.files import Tree, digest, load_tree, save_tree

__all__ = ["Checkpoint"]


@dataclass
class Checkpoint:
    """A file that always holds the latest complete state of one run.

    Args:
        path: the JSON file; None: nothing is ever written.
        identity: the run's settings; a checkpoint of other settings is refused.
        seconds: least time between two writes.
    """

    path: Path | None
    identity: dict[str, Any]
    seconds: float = 30.0
    _begun: float = field(default_factory=time.monotonic)
    _last: float = field(default_factory=time.monotonic)
    _spent: float = 0.0  # by the processes before this one

    def load(self) -> Tree | None:
        """Read the state to continue from; None to start anew.

        Raises:
            StorageError: it belongs to a run with other settings.
        """
        if self.path is None or not self.path.exists():
            return None
        tree = load_tree(self.path)
        if tree["identity"] != digest(self.identity):
            raise StorageError(
                f"expected a checkpoint of this run in {self.path}, got one of a run with other settings: "
                "choose another file, or delete it"
            )
        self._spent = tree.get("seconds", 0.0)
        return tree["state"]

    @property
    def due(self) -> bool:
        """Whether enough time has passed since the last write."""
        return self.path is not None and time.monotonic() - self._last >= self.seconds

    def save(self, state: Tree) -> None:
        """Write the state."""
        if self.path is not None:
            seconds = self._spent + time.monotonic() - self._begun
            save_tree(self.path, {"identity": digest(self.identity), "seconds": seconds, "state": state})
            self._last = time.monotonic()
