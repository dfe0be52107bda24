"""Paths between FCPs trained on 6 000 MNIST images: the converged method against the published one.

Ten networks each by SGD and by L-BFGS-GSS, from independent seeds, unaligned, make five pairs each. Both methods get
5 100 full-batch point-gradients. The true barrier, at 1 001 points in float64, is expected lower by a factor of 20 in
the geometric mean and by 5 for the worst pair. Finished stages are kept under --work DIR and not computed again.
Run: python -m validation.paths_mnist_fcp --data-dir DIR --work DIR
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import torch

import lossatlas as la
from lossatlas.paths import FourierPathFinder
from validation.common import verdict, write
from validation.path_barriers import Stages, barriers

IMAGES = 6000
PAIRS = 5
EPOCHS = 100
ITERATIONS = 300
FLOOR = 1e-6
ANY = 1e12  # upper end of a range without one; JSON has no infinity
FINDERS = {
    "published": FourierPathFinder(method="published", tolerance=0),
    "converged": FourierPathFinder(tolerance=0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", default=None, help="folder holding mnist/")
    parser.add_argument("--work", type=Path, required=True, help="folder for finished stages")
    options = parser.parse_args()
    started = time.monotonic()
    stages = Stages(options.work)
    problem = la.problems.get("fcp", data="mnist", data_dir=options.data_dir, train_size=IMAGES, test_size=1000)
    trained = {
        "sgd": {"optimizer": "sgd", "epochs": EPOCHS, "options": {"lr": 0.2}},
        "lbfgs-gss": {"optimizer": "lbfgs-gss", "iterations": ITERATIONS},
    }

    def train(name: str) -> torch.Tensor:
        return la.training.train(problem, replicas=2 * PAIRS, **trained[name]).train.weights

    weights = {name: stages.tree(f"ends-{name}", lambda name=name: train(name)) for name in trained}
    starts = torch.cat([w[0::2] for w in weights.values()])
    ends = torch.cat([w[1::2] for w in weights.values()])
    document: dict[str, object] = {
        "images": IMAGES,
        "floor_of_barriers_in_factors": FLOOR,
        "training": trained,
        "numerics": problem.train.numerics.to_json(),
        "finders": {name: repr(finder) for name, finder in FINDERS.items()},
    }
    found: dict[str, list[float]] = {}
    for name, finder in FINDERS.items():
        paths = stages.paths(name, finder, problem.train, starts, ends)
        found[name] = stages.tree(f"barriers-{name}", lambda paths=paths: barriers(problem.train, paths)).tolist()
        document[f"gradients_{name}"] = [path.evaluations["gradients"] for path in paths]
        document[f"status_{name}"] = [path.status for path in paths]
    for i, name in enumerate(weights):
        part = slice(i * PAIRS, (i + 1) * PAIRS)
        published, converged = found["published"][part], found["converged"][part]
        # A path on which nothing is above the higher end has the barrier 0; FLOOR is what a factor can see.
        factors = [max(a, FLOOR) / max(b, FLOOR) for a, b in zip(published, converged, strict=True)]
        document[name] = {
            "training_loss": problem.train.to(dtype=torch.float64).value(weights[name].double()).tolist(),
            "barriers_published": published,
            "barriers_converged": converged,
            "factors": factors,
            "geometric_mean": verdict(math.exp(sum(map(math.log, factors)) / PAIRS), 20, ANY),
            "worst": verdict(min(factors), 5, ANY),
        }
    document["stage_seconds"] = stages.seconds
    write("paths_mnist_fcp", document, started)


if __name__ == "__main__":
    main()
