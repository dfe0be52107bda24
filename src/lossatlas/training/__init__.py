"""Training: R replicas along a leading axis, with checkpoints, into an Ensemble."""

from __future__ import annotations

from lossatlas.training.batches import MiniBatches
from lossatlas.training.lightning import lightning_callback
from lossatlas.training.run import TrainingProgress
from lossatlas.training.score import score
from lossatlas.training.train import DEFAULT_EPOCHS, DEFAULT_ITERATIONS, train
from lossatlas.training.trajectory_recorder import TrajectoryRecorder

__all__ = [
    "DEFAULT_EPOCHS",
    "DEFAULT_ITERATIONS",
    "MiniBatches",
    "TrainingProgress",
    "TrajectoryRecorder",
    "lightning_callback",
    "score",
    "train",
]
