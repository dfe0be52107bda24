"""L-BFGS-GSS on full MNIST, FCP with softplus: training loss by iteration 300 and best test loss, three seeds.

Expected (the reference's own re-run of the published method): training loss below 1e-5 by iteration 300, best test loss
.100-.110. Run: python -m validation.lbfgs_mnist_fcp --data-dir DIR
"""

from __future__ import annotations

import time

import lossatlas as la
from validation.common import arguments, verdict, write

SEEDS = 3
ITERATIONS = 300


def main() -> None:
    options = arguments(__doc__ or "")
    started = time.monotonic()
    problem = la.problems.get("fcp", data="mnist", data_dir=options.data_dir)
    methods = {
        "default": {},
        "published": {"probe": "published", "guard": False},
    }
    document: dict[str, object] = {"iterations": ITERATIONS, "numerics": problem.train.numerics.to_json()}
    for name, constants in methods.items():
        begun = time.monotonic()
        ensemble = la.training.train(
            problem,
            "lbfgs-gss",
            replicas=SEEDS,
            iterations=ITERATIONS,
            options=constants,
            progress=lambda p: print(p.done, f"{p.loss:.3e}", flush=True) if p.done % 25 == 0 else None,
        )
        curves = ensemble.curves
        if curves is None or ensemble.test is None:
            raise SystemExit("no curves were recorded")
        by_step = {str(step): curves.values["train_loss"][:, step].tolist() for step in (25, 100, 200, 250, 300)}
        document[name] = {
            "training_loss_by_iteration": by_step,
            "training_loss": [verdict(v, 0, 1e-5) for v in ensemble.train.scores["train_loss"].tolist()],
            "best_test_loss": [verdict(v, 0.100, 0.110) for v in ensemble.test.scores["test_loss"].tolist()],
            "best_test_step": ensemble.test.steps.tolist(),
            "test_accuracy": ensemble.test.scores["test_accuracy"].tolist(),
            "values": [r.values for r in ensemble.replicas],
            "gradients": [r.gradients for r in ensemble.replicas],
            "status": [r.status for r in ensemble.replicas],
            "seconds": round(time.monotonic() - begun, 1),
        }
    write("lbfgs_mnist_fcp", document, started)


if __name__ == "__main__":
    main()
