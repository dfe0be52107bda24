"""Which learning rate and number of epochs of SGD meet Table 1 of Yu & Morozov 2026, which gives neither.

Every network of the paper on full MNIST, mini-batches of 64, constant learning rate, no momentum. For each learning
rate: the training loss at each epoch, the lowest test loss and when it was seen, and the epoch at which the training
loss comes closest to the table's. Finished runs are kept under --work DIR, and networks that are not named keep the
figures they have.
Run: python -m validation.sgd_settings --data-dir DIR --work DIR [--networks fcp lenet ...]
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import torch

import lossatlas as la
from lossatlas.core.hardware import describe_hardware
from validation.common import earlier, write
from validation.path_barriers import Stages

EPOCHS = 50
LEARNING_RATES = {
    "autoencoder": (0.05, 0.1, 0.2, 0.5),
    "lenet": (0.05, 0.1, 0.2),
    "lstm": (0.1, 0.2, 0.5, 1.0),
    "fcp": (0.05, 0.1, 0.2, 0.4),
}
REPLICAS = {"autoencoder": 2, "lenet": 1, "lstm": 1, "fcp": 2}
# Table 1: training loss of the training set, test loss of the early-stopped set.
PUBLISHED = {
    "fcp": (6.21e-4, 8.25e-2),
    "lenet": (1.76e-5, 3.89e-2),
    "autoencoder": (4.57e-2, 4.52e-2),
    "lstm": (1.35e-2, 1.28e-1),
}


def run(problem: la.problems.Problem, rate: float, replicas: int) -> dict[str, torch.Tensor]:
    """Curves of training and test loss, ``(replicas, epochs + 1)``."""
    ensemble = la.training.train(problem, "sgd", replicas=replicas, epochs=EPOCHS, options={"lr": rate})
    if ensemble.curves is None:
        raise SystemExit("no curves were recorded")
    return {name: ensemble.curves.values[name] for name in ("train_loss", "test_loss")}


def judge(curves: dict[str, torch.Tensor], network: str) -> dict[str, Any]:
    """Means over replicas beside the published ones."""
    train, test = curves["train_loss"], curves["test_loss"]
    loss, early = PUBLISHED[network]
    lowest = train.cummin(dim=1).values.mean(0)
    closest = int((lowest.log() - math.log(loss)).abs().argmin())
    return {
        "training_loss_at_end": float(lowest[-1]),
        "closest_epoch": closest,
        "training_loss_there": float(lowest[closest]),
        "training_loss_published": loss,
        "best_test_loss": float(test.min(dim=1).values.mean()),
        "best_test_epochs": test.argmin(dim=1).tolist(),
        "best_test_loss_published": early,
        "training_loss_every_ten_epochs": lowest[::10].tolist(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", default=None, help="folder holding mnist/")
    parser.add_argument("--work", type=Path, required=True, help="folder for finished runs")
    parser.add_argument("--networks", nargs="*", default=list(LEARNING_RATES))
    options = parser.parse_args()
    started = time.monotonic()
    stages = Stages(options.work)
    document: dict[str, Any] = {**earlier("sgd_settings"), "epochs": EPOCHS, "batch_size": 64}
    known = document.pop("stage_seconds", {})
    for network in options.networks:
        problem = la.problems.get(network, data="mnist", data_dir=options.data_dir)
        document[network] = {"replicas": REPLICAS[network], "processor": describe_hardware().processor}
        for rate in LEARNING_RATES[network]:

            def compute(
                problem: la.problems.Problem = problem, rate: float = rate, network: str = network
            ) -> dict[str, torch.Tensor]:
                return run(problem, rate, REPLICAS[network])

            curves = stages.tree(f"{network}-{rate}", compute)
            document[network][str(rate)] = judge(curves, network)
    document["stage_seconds"] = {**known, **stages.seconds}
    write("sgd_settings", document, started)


if __name__ == "__main__":
    main()
