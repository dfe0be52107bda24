"""Paths between LeNets, LSTMs and autoencoders: the converged method at a tenth of the published method's budget.

Two pairs of each network, trained by L-BFGS-GSS on 500 MNIST images. The true barrier, at 1 001 points in float64, is
expected to be never above the published method's. Finished stages are kept under --work DIR.
Run: python -m validation.paths_networks --data-dir DIR --work DIR
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

import lossatlas as la
from lossatlas.paths import FourierPathFinder
from validation.common import verdict, write
from validation.path_barriers import Stages, barriers

IMAGES = 500
PAIRS = 2
ITERATIONS = 150
FINDERS = {
    "published": FourierPathFinder(method="published", tolerance=0),
    "converged": FourierPathFinder(budget=510, tolerance=0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", default=None, help="folder holding mnist/")
    parser.add_argument("--work", type=Path, required=True, help="folder for finished stages")
    options = parser.parse_args()
    started = time.monotonic()
    stages = Stages(options.work)
    document: dict[str, object] = {
        "images": IMAGES,
        "iterations": ITERATIONS,
        "finders": {name: repr(finder) for name, finder in FINDERS.items()},
    }
    for network in ("autoencoder", "lenet", "lstm"):
        problem = la.problems.get(network, data="mnist", data_dir=options.data_dir, train_size=IMAGES, test_size=100)

        def train(problem: la.problems.Problem = problem) -> torch.Tensor:
            ensemble = la.training.train(problem, "lbfgs-gss", replicas=2 * PAIRS, iterations=ITERATIONS)
            return ensemble.train.weights

        weights = stages.tree(f"{network}-ends", train)
        found: dict[str, list[float]] = {}
        gradients: dict[str, list[float]] = {}
        for name, finder in FINDERS.items():
            paths = stages.paths(f"{network}-{name}", finder, problem.train, weights[0::2], weights[1::2])
            found[name] = barriers(problem.train, paths).tolist()
            gradients[name] = [path.evaluations["gradients"] for path in paths]
        pairs = list(zip(found["converged"], found["published"], strict=True))
        document[network] = {
            "training_loss": problem.train.to(dtype=torch.float64).value(weights.double()).tolist(),
            "numerics": problem.train.numerics.to_json(),
            "barriers": found,
            "gradients": gradients,
            # Where both ends see each other over a path that only falls, both barriers are 0.
            "converged_against_published": [verdict(new, 0, old) for new, old in pairs],
        }
    document["stage_seconds"] = stages.seconds
    write("paths_networks", document, started)


if __name__ == "__main__":
    main()
