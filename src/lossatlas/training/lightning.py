"""lightning_callback: a TrajectoryRecorder for those who train with Lightning."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.training.trajectory_recorder import TrajectoryRecorder

__all__ = ["lightning_callback"]

# The same library under its two names; a trainer of one does not know callbacks of the other.
_LIBRARIES = ("lightning.pytorch", "pytorch_lightning")


def lightning_callback(recorder: TrajectoryRecorder, library: str | None = None) -> Any:
    """A Lightning callback that records every optimizer step.

    Loss, gradient norm (before clipping, divided by the scale of mixed precision) and learning rate are those of the
    step, the weights those before it; the last weights are recorded at the end. Of accumulated gradients the loss is
    that of the last mini-batch. Several optimizers and manual optimization are not recorded: call
    ``recorder.record`` in ``training_step`` there.

    Args:
        recorder: where to; ``recorder.trajectory()`` and ``recorder.save(path)`` work at any time.
        library: ``"lightning.pytorch"`` or ``"pytorch_lightning"``; None: the one that is imported, or installed.

    Returns:
        A ``Callback`` for ``Trainer(callbacks=[...])``.

    Raises:
        InputError: Lightning is not installed.
    """
    module = _library(library)

    class RecordTrajectory(module.Callback):  # type: ignore[misc,name-defined]
        """Hands every optimizer step to the recorder."""

        def __init__(self) -> None:
            self._loss: Tensor | None = None

        def on_before_backward(self, trainer: Any, pl_module: Any, loss: Tensor) -> None:
            # Lightning divides the loss by the number of batches it accumulates.
            self._loss = loss.detach() * trainer.accumulate_grad_batches

        def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
            recorder.record(pl_module, loss=self._loss, optimizer=optimizer)

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            recorder.record(pl_module)

    return RecordTrajectory()


def _library(wanted: str | None) -> Any:
    if wanted is not None and wanted not in _LIBRARIES:
        raise InputError(f"expected library 'lightning.pytorch' or 'pytorch_lightning', got '{wanted}'")
    loaded = [name for name in _LIBRARIES if name in sys.modules]
    for name in (wanted,) if wanted is not None else (*loaded, *_LIBRARIES):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise InputError(
        "expected Lightning to be installed for its callback, got none: pip install 'lossatlas[lightning]', or call "
        "recorder.record(...) in a loop of your own"
    )
