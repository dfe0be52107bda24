"""``make bench``: ratios in one run, medians of interleaved pairs."""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import statistics
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.annealing import ANNEALING
from benchmarks.committee import COMMITTEE
from benchmarks.curvature import CURVATURE
from benchmarks.paths import batched_against_point_by_point
from benchmarks.paths import write as write_path_finders
from benchmarks.replicas import NETWORKS, many_at_once
from benchmarks.surfaces import surface_against_point_by_point
from benchmarks.timing import PAIRS, Comparison, compare, peak_flops, seconds
from lossatlas import data, optimize, problems
from lossatlas.landscape import Numerics
from lossatlas.problems import Problem
from lossatlas.training import MiniBatches

Result = dict[str, Any]


def _report(name: str, wanted: float, found: Comparison, note: str) -> Result:
    return {"benchmark": name, "ratio": found.ratio, "wanted": wanted, "note": note, **dataclasses.asdict(found)}


def fcp_fraction_of_peak() -> Result:
    """Full-batch value and gradient of six FCP replicas on the digits, as a fraction of the matrix-product peak."""
    problem = problems.get("fcp")
    landscape = problem.train.tune(6)
    x = problem.initial_weights(0, range(6))
    # Every weight once forward and once for its gradient; all but the first layer once more for the input's.
    flops = 6 * landscape.samples * (2 * 2 * problem.dim + 2 * (2500 + 500))
    peak = peak_flops()
    plain = landscape.with_numerics(Numerics())
    landscape.value_and_grad(x)
    plain.value_and_grad(x)
    ours, loops, best = [], [], []
    for _ in range(15):
        # The best of three of each: what other work on the machine costs belongs to none of them.
        best.append(max(peak() for _ in range(3)))
        ours.append(flops / min(seconds(lambda: landscape.value_and_grad(x)) for _ in range(3)) / best[-1])
        loops.append(flops / min(seconds(lambda: plain.value_and_grad(x)) for _ in range(3)) / best[-1])
    return {
        "benchmark": "FCP value and gradient / matrix-product peak",
        "ratio": statistics.median(ours),
        "wanted": 0.55,
        "low": min(ours),
        "high": max(ours),
        "note": f"plain loop {statistics.median(loops):.2f}; peak {statistics.median(best) / 1e9:.0f} GFLOP/s; "
        f"{landscape.numerics}",
    }


def lenet_against_unchunked(copies: int) -> Result:
    """Gradient of LeNet against the plain loop over whole data, on so many copies of the digits.

    Seven copies are as many images as MNIST has for testing. The maps of all of them are too large for the heap, so
    that the loop gets new memory from the system each time, as it does on MNIST.
    """
    digits = data.get("digits")
    inputs, targets = digits.train.inputs.repeat(copies, 1, 1, 1), digits.train.targets.repeat(copies)
    repeated = data.Splits("digits", dataclasses.replace(digits.train, inputs=inputs, targets=targets), digits.test)
    problem = problems.get("lenet", data=repeated)
    landscape, plain = problem.train.tune(3), problem.train.with_numerics(Numerics())
    x = problem.initial_weights(0, range(1))
    found = compare(lambda: landscape.value_and_grad(x), lambda: plain.value_and_grad(x))
    title = f"LeNet gradient against the unchunked loop, {len(inputs)} images"
    return _report(title, 1.8, found, str(landscape.numerics))


def lstm_against_module() -> Result:
    """Value and gradient of three LSTM replicas against nn.LSTM modules in a loop."""
    problem = problems.get("lstm")
    landscape = problem.train.tune(3)
    x = problem.initial_weights(0, range(3))
    modules = [problem.module(row) for row in x]
    inputs, targets = _data(problem)

    def plain() -> None:
        for module in modules:
            module.zero_grad()
            F.cross_entropy(module(inputs), targets).backward()

    found = compare(lambda: landscape.value_and_grad(x), plain)
    return _report("LSTM against nn.LSTM in a loop", 0.95, found, str(landscape.numerics))


def _data(problem: Problem) -> tuple[Tensor, Tensor]:
    data: Any = problem.data["train"]
    return data


def _sgd_epochs(problem: Problem, replicas: int) -> Callable[[], object]:
    """One epoch of all replicas; compiled where the problem's numerics are."""
    method = optimize.get("sgd", lr=0.1)
    landscape = problem.train
    x = problem.initial_weights(0, range(replicas))

    def epoch() -> None:
        state = method.init(landscape, x)
        batches = MiniBatches(landscape.samples, 64, 0, range(replicas))
        for number in range(batches.per_epoch):
            state = method.step(landscape.on(batches.of(0, number)), state)

    return epoch


def _torch_epochs(problem: Problem, replicas: int, loader: bool) -> Callable[[], object]:
    inputs, targets = _data(problem)
    rows = problem.initial_weights(0, range(replicas))
    dataset = TensorDataset(inputs, targets)

    def epoch() -> None:
        for row in rows:
            module = problem.module(row)
            optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
            batches: Any
            if loader:
                batches = DataLoader(dataset, batch_size=64, shuffle=True)
            else:
                order = torch.randperm(len(inputs))
                batches = ((inputs[i], targets[i]) for i in order.split(64))
            for x, y in batches:
                optimizer.zero_grad()
                F.cross_entropy(module(x), y).backward()
                optimizer.step()

    return epoch


def sgd_against_one_after_another(*, compiled: bool = False) -> Result:
    """One epoch of 24 FCP replicas, mini-batches of 64, against training them in turn on tensors in memory."""
    problem = problems.get("fcp")
    numerics = problem.train.tune(24).numerics
    problem = problem.with_numerics(dataclasses.replace(numerics, compiled=(24, 64)) if compiled else numerics)
    found = compare(_sgd_epochs(problem, 24), _torch_epochs(problem, 24, loader=False))
    title = f"SGD of 24 FCP replicas{', compiled,' if compiled else ''} against one after another"
    return _report(title, 1.7, found, str(problem.train.numerics))


def sgd_against_data_loader() -> Result:
    """The same against the usual DataLoader loop."""
    problem = problems.get("fcp")
    problem = problem.with_numerics(problem.train.tune(24).numerics)
    found = compare(_sgd_epochs(problem, 24), _torch_epochs(problem, 24, loader=True), pairs=7)
    return _report("SGD of 24 FCP replicas against a DataLoader loop", 1.7, found, "")


class _BackwardAtEveryTrial:
    """A landscape whose value runs a backward pass too, as the published code does in its line search."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def value(self, x: Tensor) -> Tensor:
        """Value by way of value and gradient."""
        return self._inner.value_and_grad(x)[0]


def lbfgs_against_backward_at_every_trial(name: str, *, plain: bool) -> Result:
    """L-BFGS-GSS iterations against the same with a backward pass at every trial.

    The reference evaluates rows as ours does, or, as published code does, one after another over whole data.
    """
    problem = problems.get(name)
    landscape = problem.train.tune(3)
    theirs = landscape.with_numerics(Numerics()) if plain else landscape
    method = optimize.get("lbfgs-gss")
    x = problem.initial_weights(0, range(3))

    def iterate(where: Any) -> Callable[[], object]:
        def run() -> None:
            state = method.init(where, x)
            for _ in range(5):
                state = method.step(where, state)

        return run

    found = compare(iterate(landscape), iterate(_BackwardAtEveryTrial(theirs)))
    where = " of a plain loop" if plain else ""
    title = f"L-BFGS-GSS of {name} against a backward pass at every trial{where}"
    return _report(title, 1.8, found, str(landscape.numerics))


def published_paths_against_point_by_point() -> Result:
    """The published path finder with all points in one batch against a loop over the points."""
    found = batched_against_point_by_point()
    return _report("published path of FCP against point by point", 1.0, found, "51 points, 10 steps")


def surface_against_loop(name: str, *, loader: bool = True) -> Result:
    """A 51x51 surface against a loop that writes weights into the model, over a DataLoader as tools have it."""
    found, note = surface_against_point_by_point(name, loader=loader)
    wanted = 3.0 if loader and name == "fcp" else 1.0
    return _report(f"51x51 surface of {name} against point by point", wanted, found, note)


BENCHMARKS: list[Callable[[], Result]] = [
    fcp_fraction_of_peak,
    partial(lenet_against_unchunked, 1),
    partial(lenet_against_unchunked, 7),
    lstm_against_module,
    sgd_against_one_after_another,
    partial(sgd_against_one_after_another, compiled=True),
    sgd_against_data_loader,
    *(
        partial(lbfgs_against_backward_at_every_trial, name, plain=plain)
        for name in ("fcp", "lenet", "lstm")
        for plain in (False, True)
    ),
    published_paths_against_point_by_point,
    lambda: surface_against_loop("fcp"),
    lambda: surface_against_loop("fcp", loader=False),
    lambda: surface_against_loop("lenet"),
    lambda: surface_against_loop("lenet", loader=False),
    *COMMITTEE,
    *ANNEALING,
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="also write the figures to this file")
    parser.add_argument(
        "--only",
        choices=("speed", "curvature", "paths", "replicas"),
        help="ratios of time, of those curvature alone, path finders, or many replicas at once on one device",
    )
    parser.add_argument("--device", default="cpu", help="of the replicas: cpu or cuda")
    parser.add_argument("--replicas", type=int, default=75, help="trained at once")
    parser.add_argument("--pairs", type=int, default=8, help="of the replicas: paths found at once")
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS, help="of the replicas")
    parser.add_argument("--data-dir", help="folder holding mnist/; the replicas then train on MNIST, not on the digits")
    parser.add_argument("--out", default="benchmarks/out", help="folder for the picture and table of path finders")
    options = parser.parse_args()
    if options.only == "replicas":
        data = {"data": "mnist", "data_dir": options.data_dir} if options.data_dir else {}
        sizes = {"networks": tuple(options.networks), "replicas": options.replicas, "pairs": options.pairs}
        _print(options.json, many_at_once(options.device, **sizes, **data))
        return
    if options.only != "paths":
        chosen = CURVATURE if options.only == "curvature" else [*BENCHMARKS, *CURVATURE]
        _print(options.json, (benchmark() for benchmark in chosen))
    if options.only not in ("speed", "curvature"):
        sys.stdout.write("path finders: height against gradients\n")
        write_path_finders(Path(options.out))
        sys.stdout.write(f"{options.out}/path-finders.svg\n")


def _print(target: str | None, benchmarks: Iterable[Result]) -> None:
    sys.stdout.write(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, {PAIRS} pairs\n"
    )
    results = []
    for result in benchmarks:
        results.append(result)
        sys.stdout.write(
            f"{result['ratio']:6.2f}  ({result['low']:.2f}-{result['high']:.2f})  wanted {result['wanted']:.2f}  "
            f"{result['benchmark']}  {result['note']}\n"
        )
        sys.stdout.flush()
    if target:
        Path(target).write_text(json.dumps(results, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
