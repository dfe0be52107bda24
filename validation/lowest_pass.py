"""How often the lowest pass is found, and for how many gradients: random energies against flood fill on a grid.

Energies are sums of Gaussians of either sign in a flat-bottomed box, in two and three coordinates. Their exact passes
are known from flood fill: the minimum spanning tree of a fine grid joins every two minima over the lowest pass there
is. The seeds are others than those that the number and the shape of the starts were chosen with.

    python -m validation.lowest_pass
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.ndimage import minimum_filter
from scipy.optimize import minimize
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree
from torch import Tensor

from lossatlas.core.randomness import generator
from lossatlas.landscape import Energy, from_function
from lossatlas.paths import AutoNEBPathFinder, AutoPathFinder, PathFinder
from validation.common import write

_SIDE = 1.7  # half the side of the grid
_NODES = {2: 401, 3: 81}
# A pass is found when the height is above it by at most this part of (pass - lower end); the coarser grid knows less.
_FOUND = {2: 0.01, 3: 0.03}
_TERMS = {2: (12, 24, 48), 3: (24, 48)}
_SEEDS = {2: range(100, 108), 3: range(100, 104)}
_SHALLOW = 0.02  # passes less than this above the higher end are left out: the grid cannot tell them
_PAIRS = 8  # of each energy, at most


@dataclass(frozen=True)
class Case:
    """A pair of minima and the exact pass between them.

    Args:
        energy: the landscape.
        ends: ``(2, d)``.
        height: of the pass.
        scale: of the pass above the lower end.
    """

    energy: Energy
    ends: Tensor
    height: float
    scale: float


def random_energy(dim: int, terms: int, seed: int) -> Energy:
    """Sum of Gaussians of random place, width .15 to .4 and sign, and (|x|/1.3)^8 to hold it together."""
    draw = generator(seed, "sum of Gaussians", terms)
    places = 2 * torch.rand(terms, dim, generator=draw, dtype=torch.float64) - 1
    widths = 0.15 + 0.25 * torch.rand(terms, generator=draw, dtype=torch.float64)
    heights = torch.randn(terms, generator=draw, dtype=torch.float64)

    def energy(x: Tensor) -> Tensor:
        squares = (x[:, None] - places).square().sum(-1)
        wall: Tensor = (x.square().sum(-1) / 1.3**2) ** 4
        return (heights * torch.exp(-squares / (2 * widths**2))).sum(-1) + wall

    return from_function(energy, dim=dim, batched=True, library="torch", name=f"{terms} Gaussians, seed {seed}")


def cases(dim: int, terms: int, seed: int) -> list[Case]:
    """Random pairs of minima of one energy with their passes."""
    energy = random_energy(dim, terms, seed)
    side = torch.linspace(-_SIDE, _SIDE, _NODES[dim], dtype=torch.float64)
    grid = torch.cartesian_prod(*[side] * dim)
    flat = torch.cat([energy.value(part) for part in grid.split(100_000)]).numpy()
    values = flat.reshape([_NODES[dim]] * dim)
    lowest = np.flatnonzero(values == minimum_filter(values, size=3, mode="constant", cval=-np.inf))
    # A ripple of the grid is no minimum: from a true one, minimization stays within a cell.
    near = [(int(i), _minimum(energy, grid[i])) for i in lowest]
    near = [(i, x) for i, x in near if float((x - grid[i]).abs().max()) < 2 * float(side[1] - side[0])]
    tree = _spanning_tree(values)
    found = []
    for k, (i, x) in enumerate(near):
        height = _heights_from(tree, flat, i)
        for j, y in near[:k]:
            ends = torch.stack([y, x])
            top, (low, high) = float(height[j]), sorted(energy.value(ends).tolist())
            if top - high > _SHALLOW:
                found.append(Case(energy, ends, top, top - low))
    order = torch.randperm(len(found), generator=generator(seed, "pairs", terms)).tolist()
    return [found[k] for k in order[:_PAIRS]]


def _minimum(energy: Energy, start: Tensor) -> Tensor:
    def both(x: Any) -> tuple[float, Any]:
        value, grad = energy.value_and_grad(torch.from_numpy(np.asarray(x, dtype=np.float64)))
        return float(value), grad.numpy()

    result = minimize(both, start.numpy(), jac=True, method="BFGS", options={"gtol": 1e-9})
    return torch.from_numpy(np.asarray(result.x, dtype=np.float64))


def _spanning_tree(values: Any) -> Any:
    """Tree of the grid, diagonals included, whose paths are as low as can be; an edge is its higher end."""
    number = np.arange(values.size).reshape(values.shape)
    low, high, every = slice(None, -1), slice(1, None), slice(None)
    edges = []
    for step in itertools.product((-1, 0, 1), repeat=values.ndim):
        if step <= (0,) * values.ndim:  # the same edge seen from its other end
            continue
        a = tuple({-1: high, 0: every, 1: low}[s] for s in step)
        b = tuple({-1: low, 0: every, 1: high}[s] for s in step)
        edges.append((number[a].ravel(), number[b].ravel(), np.maximum(values[a], values[b]).ravel()))
    first, second, weight = (np.concatenate(part) for part in zip(*edges, strict=True))
    graph = coo_array((weight - weight.min() + 1, (first, second)), shape=(values.size, values.size))
    return minimum_spanning_tree(graph.tocsr())


def _heights_from(tree: Any, values: Any, root: int) -> Any:
    """Height of the path in the tree from a root to every node."""
    order, before = breadth_first_order(tree, root, directed=False)
    height = values.copy()
    for node in order[1:]:
        height[node] = max(values[node], height[before[node]])
    return height


def measure(name: str, finder: PathFinder, known: list[Case]) -> dict[str, Any]:
    """Share of pairs whose lowest pass was found, the mean excess of the others, and the cost."""
    excess, gradients, values, converged = [], [], [], 0
    for number, case in enumerate(known):
        (path,) = finder.find_many(case.energy, case.ends[:1], case.ends[1:], numbers=[number])
        excess.append((path.height - case.height) / case.scale)
        gradients.append(path.evaluations["gradients"])
        values.append(path.evaluations["values"] - len(path.t))
        converged += path.converged
    above = [e for e in excess if e > _FOUND[known[0].energy.dim]]
    document = {
        "finder": name,
        "found": len(known) - len(above),
        "share": round(1 - len(above) / len(known), 3),
        "mean_excess_of_the_others": round(float(np.mean(above)), 3) if above else 0.0,
        "lowest_excess": round(min(excess), 5),
        "converged": converged,
        "gradients_mean": round(float(np.mean(gradients)), 1),
        "gradients_median": float(np.median(gradients)),
        "gradients_most": max(gradients),
        "values_mean": round(float(np.mean(values)), 1),
    }
    print(document, flush=True)
    return document


def main() -> None:
    """Measure every number of starts on the same pairs."""
    started = time.monotonic()
    document: dict[str, Any] = {}
    for dim in (2, 3):
        known = [case for terms in _TERMS[dim] for seed in _SEEDS[dim] for case in cases(dim, terms, seed)]
        finders: dict[str, PathFinder] = {
            f"auto, {n} starts": AutoPathFinder(starts=n, saddle=False) for n in (1, 3, 5, 7, 9)
        }
        finders["autoneb, 8 starts, all relaxed"] = AutoNEBPathFinder(starts=8, saddle=False)
        document[f"{dim} coordinates"] = {
            "energies": len({case.energy.name for case in known}),
            "pairs": len(known),
            "found_within": _FOUND[dim],
            "finders": [measure(name, finder, known) for name, finder in finders.items()],
        }
    write("lowest_pass", document, started)


if __name__ == "__main__":
    main()
