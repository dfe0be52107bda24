"""L-BFGS-GSS beside torch's own L-BFGS with strong Wolfe line search, at equal wall time: FCP on the digits.

Nothing is expected: the ratio of training losses is recorded, whatever it is. Both get the same initial weights, the
same data and the same number of seconds, one after the other for each seed.
Run: python -m validation.torch_lbfgs_digits
"""

from __future__ import annotations

import statistics
import time

import torch
import torch.nn.functional as F

import lossatlas as la
from lossatlas.landscape import Numerics
from lossatlas.problems import Problem
from validation.common import write

SEEDS = 5
SECONDS = (1.0, 2.0, 4.0)


def exact_loss(problem: Problem, weights: torch.Tensor) -> float:
    """Training loss in float64."""
    return float(problem.train.to(dtype=torch.float64).value(weights.double()))


def ours(problem: Problem, seed: int, marks: tuple[float, ...]) -> list[float]:
    """Loss reached by L-BFGS-GSS at each mark, in seconds."""
    method, landscape = la.optimize.get("lbfgs-gss"), problem.train
    x = problem.initial_weights(seed, [0])
    start, reached = time.perf_counter(), []
    state = method.init(landscape, x)
    for mark in marks:
        while time.perf_counter() - start < mark and bool(state.active.any()):
            state = method.step(landscape, state)
        reached.append(state.x[0].clone())
    return [exact_loss(problem, weights) for weights in reached]


def theirs(problem: Problem, seed: int, marks: tuple[float, ...]) -> list[float]:
    """Loss reached by torch.optim.LBFGS at each mark."""
    module = problem.module(problem.initial_weights(seed, [0])[0])
    (inputs, targets) = problem.data["train"]  # type: ignore[misc]
    optimizer = torch.optim.LBFGS(
        module.parameters(),
        # torch allows 1.25 evaluations per iteration of a call: with max_iter=1 its line search is starved and stops
        # at once. Twenty, its default, make a call of about a quarter of a second; the last may overrun the mark.
        max_iter=20,
        history_size=10,
        line_search_fn="strong_wolfe",
        tolerance_grad=0,
        tolerance_change=0,
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(module(inputs), targets)
        loss.backward()
        return loss

    start, reached = time.perf_counter(), []
    for mark in marks:
        while time.perf_counter() - start < mark:
            optimizer.step(closure)
        reached.append(problem.spec.flatten(module))
    return [exact_loss(problem, weights) for weights in reached]


def main() -> None:
    started = time.monotonic()
    problem = la.problems.get("fcp", numerics=Numerics())
    exact_loss(problem, problem.initial_weights(0, [0])[0])  # warm up
    pairs = [(ours(problem, seed, SECONDS), theirs(problem, seed, SECONDS)) for seed in range(SEEDS)]
    at = {}
    for i, seconds in enumerate(SECONDS):
        a, b = [pair[0][i] for pair in pairs], [pair[1][i] for pair in pairs]
        at[str(seconds)] = {
            "lbfgs_gss": a,
            "torch_strong_wolfe": b,
            "median_ratio_torch_over_ours": statistics.median(v / u for u, v in zip(a, b, strict=True)),
        }
    write("torch_lbfgs_digits", {"training_loss_after_seconds": at}, started)


if __name__ == "__main__":
    main()
