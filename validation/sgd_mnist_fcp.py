"""SGD on full MNIST, FCP with softplus, batch 64, learning rate .2: the authors' way.

Expected: best test loss .080-.090 within 20 epochs, training loss 3e-4 to 1.2e-3 at epoch 50.
Run: python -m validation.sgd_mnist_fcp --data-dir DIR
"""

from __future__ import annotations

import time

import lossatlas as la
from validation.common import arguments, verdict, write

SEEDS = 4
EPOCHS = 50


def main() -> None:
    options = arguments(__doc__ or "")
    started = time.monotonic()
    problem = la.problems.get("fcp", data="mnist", data_dir=options.data_dir)
    ensemble = la.training.train(
        problem,
        "sgd",
        replicas=SEEDS,
        epochs=EPOCHS,
        batch_size=64,
        options={"lr": 0.2},
        progress=lambda p: print(p.done, f"{p.loss:.3e}", flush=True),
    )
    curves = ensemble.curves
    if curves is None:
        raise SystemExit("no curves were recorded")
    early = curves.values["test_loss"][:, :21].min(dim=1).values
    write(
        "sgd_mnist_fcp",
        {
            "epochs": EPOCHS,
            "learning_rate": 0.2,
            "numerics": problem.train.numerics.to_json(),
            "best_test_loss_within_20_epochs": [verdict(v, 0.080, 0.090) for v in early.tolist()],
            "best_test_epoch": curves.values["test_loss"][:, :21].argmin(dim=1).tolist(),
            "training_loss_at_epoch_50": [
                verdict(v, 3e-4, 1.2e-3) for v in curves.values["train_loss"][:, EPOCHS].tolist()
            ],
            "training_loss_at_minimum_float64": ensemble.train.scores["train_loss"].tolist(),
        },
        started,
    )


if __name__ == "__main__":
    main()
