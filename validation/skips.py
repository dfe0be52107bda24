"""The canonical comparisons on the digits: skip connections, width, batch normalisation.

ResNet-20 with and without skips: mean and spread of the final training losses over seeds. Widths of ResNet-8: lower
minima, and lower barriers on straight lines and on paths found. Batch normalisation: how fast the gradient changes
along itself during training (Santurkar et al. 2018), without skips, where it matters most.
Finished stages are kept under --work DIR. --small runs everything once at sizes that show nothing but that it runs.
Run: python -m validation.skips --work DIR [--small]
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

import lossatlas as la
from lossatlas.analysis import Sample, difference
from lossatlas.paths import FourierPathFinder, LinearPathFinder
from validation.common import verdict, write
from validation.path_barriers import Stages
from validation.trajectories import trajectory


@dataclass(frozen=True)
class Sizes:
    """How much is computed."""

    train: int = 512
    test: int = 256
    batch: int = 32
    seeds: int = 8
    epochs: int = 30
    skips_width: float = 0.5
    widths: tuple[float, ...] = (0.25, 0.5, 1.0)
    pairs: int = 4
    budget: int = 100
    epochs_looked_at: tuple[int, ...] = (0, 1, 2, 4, 8, 16)
    runs: int = 4


SMALL = Sizes(
    train=48, test=24, seeds=2, epochs=2, skips_width=0.125, widths=(0.125, 0.25), pairs=1, budget=2,
    epochs_looked_at=(0, 1), runs=2,
)  # fmt: skip
SGD = {"lr": 0.05, "momentum": 0.9}
STEPS = (0.5, 1.0, 2.0, 4.0)  # in units of the learning rate, as Santurkar et al. do
MOST = 1e6


def problem(name: str, sizes: Sizes, **options: Any) -> la.problems.Problem:
    return la.problems.get(name, train_size=sizes.train, test_size=sizes.test, **options)


def ensemble(stages: Stages, name: str, made: la.problems.Problem, sizes: Sizes) -> la.Ensemble:
    def compute() -> Any:
        return la.training.train(
            made, "sgd", replicas=sizes.seeds, epochs=sizes.epochs, batch_size=sizes.batch, record_every=2, options=SGD
        ).to_tree()

    return la.Ensemble.from_tree(stages.tree(name, compute))


def log_losses(found: la.Ensemble) -> list[float]:
    """Decimal logarithms: losses of different networks differ by orders of magnitude."""
    return found.train.scores["train_loss"].log10().tolist()


def compared(first: list[float], second: list[float]) -> dict[str, Any]:
    """First minus second, with its 95 % interval."""
    found = difference(Sample.of_runs(first), Sample.of_runs(second)).difference
    return {"difference": found.mean, "interval": [found.low, found.high]}


def skips(stages: Stages, sizes: Sizes) -> dict[str, Any]:
    found = {}
    for name, on in (("skips", True), ("no skips", False)):
        made = problem("resnet20", sizes, skips=on, width=sizes.skips_width)
        found[name] = log_losses(ensemble(stages, f"resnet20-{name.replace(' ', '-')}", made, sizes))
    spread = {name: float(torch.tensor(values).std()) for name, values in found.items()}
    worse = compared(found["no skips"], found["skips"])
    return {
        "log10_final_training_loss": found,
        "standard_deviation": spread,
        "no_skips_minus_skips": worse,
        "no_skips_end_higher": verdict(worse["interval"][0], 0, MOST),
        "no_skips_spread_over_skips": verdict(spread["no skips"] / spread["skips"], 1, MOST),
    }


def widths(stages: Stages, sizes: Sizes) -> dict[str, Any]:
    losses, heights = {}, {"straight": {}, "found": {}}
    finders = {
        "straight": LinearPathFinder(points=21, tolerance=0),
        "found": FourierPathFinder(budget=sizes.budget, points=21, tolerance=0),
    }
    for width in sizes.widths:
        made = problem("resnet8", sizes, width=width)
        trained = ensemble(stages, f"resnet8-{width:g}", made, sizes)
        losses[f"{width:g}"] = log_losses(trained)
        pairs = min(sizes.pairs, len(trained) // 2)
        starts, ends = trained.train.weights[: 2 * pairs : 2], trained.train.weights[1 : 2 * pairs : 2]
        for way, finder in finders.items():
            paths = stages.paths(f"resnet8-{width:g}-{way}", finder, made.train, starts, ends)
            heights[way][f"{width:g}"] = [path.barrier for path in paths]
    narrow, wide = f"{sizes.widths[0]:g}", f"{sizes.widths[-1]:g}"
    lower = compared(losses[narrow], losses[wide])
    document: dict[str, Any] = {
        "log10_final_training_loss": losses,
        "barriers": heights,
        "narrow_minus_wide": lower,
        "wide_ends_lower": verdict(lower["interval"][0], 0, MOST),
    }
    for way, each in heights.items():
        ratio = (sum(each[narrow]) / len(each[narrow])) / max(sum(each[wide]) / len(each[wide]), 1e-12)
        document[f"mean_barrier_narrow_over_wide_{way}"] = verdict(ratio, 1, MOST)
    return document


def smoothness(stages: Stages, sizes: Sizes) -> dict[str, Any]:
    steps = SGD["lr"] * torch.tensor(STEPS, dtype=torch.float64)
    measured: dict[str, list[list[float]]] = {}
    for norm in ("batch", "none"):
        made = problem("resnet8", sizes, width=0.5, norm=norm, skips=False)
        exact = made.train.to(dtype=torch.float64)
        measured[norm] = []
        for seed in range(sizes.runs):
            run = stages.tree(
                f"trajectory-{norm}-{seed}",
                lambda made=made, seed=seed: trajectory(
                    made, SGD, seed=seed, epochs=list(sizes.epochs_looked_at), batch_size=sizes.batch
                ),
            )
            values = stages.tree(
                f"smoothness-{norm}-{seed}",
                lambda exact=exact, run=run: la.curvature.gradient_change(exact, run["weights"], steps),
            )
            measured[norm].append(values.tolist())
    logs = {norm: [sum(math.log10(v) for v in run) / len(run) for run in runs] for norm, runs in measured.items()}
    more = compared(logs["none"], logs["batch"])
    return {
        "epochs": list(sizes.epochs_looked_at),
        "steps_in_learning_rates": list(STEPS),
        "largest_change_of_gradient_by_run_and_epoch": measured,
        "log10_none_minus_batch": more,
        "batch_normalisation_is_smoother": verdict(more["interval"][0], 0, MOST),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for finished stages")
    parser.add_argument("--small", action="store_true", help="sizes that only show that it runs; nothing is written")
    options = parser.parse_args()
    started = time.monotonic()
    sizes = SMALL if options.small else Sizes()
    stages = Stages(options.work)
    document = {
        "sizes": vars(replace(sizes)),
        "sgd": SGD,
        "skips": skips(stages, sizes),
        "widths": widths(stages, sizes),
        "smoothness": smoothness(stages, sizes),
        "stage_seconds": stages.seconds,
    }
    if options.small:
        print(document)
    else:
        write("skips", document, started)


if __name__ == "__main__":
    main()
