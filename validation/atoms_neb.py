"""Paths of atoms against ASE's own nudged elastic band: force calls for the same barrier; the pass of seven atoms.

An Au or Al atom hops on Al(100) with EMT, as in ASE's tutorial. For the same number of images and the same largest
force (0.05 and 0.01 eV/Å), calls of the calculator and errors of the barrier are compared, ASE's optimizers BFGS,
FIRE and NEBOptimizer (ODE12r) each on its climbing, improved-tangent band. Both counts include the two ends. The true
barrier is that of the stationary point found by minimum-mode following.

ASE's largest force is that on one atom, ours that on a whole image, which is never smaller. So ours is run to the same
number and to 1.06 times the same number, and the largest force on an atom is measured afterwards: it has to be below
the number in both.
Run: python -m validation.atoms_neb
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from ase.calculators.emt import EMT
from ase.mep import NEB
from ase.mep.neb import NEBOptimizer
from ase.optimize import BFGS, FIRE
from torch import Tensor

import lossatlas as la
from lossatlas.paths.chains.tangents import improved_tangents
from validation.common import verdict, write

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from clusters import aluminium_hop, lj7_lowest

INNER = (3, 5)
FORCES = (0.05, 0.01)
WITHIN = 1e-3  # eV
OURS = {"same_force": 1.0, "1.06_times_the_force": 1.06}


class Counting(EMT):
    """EMT that counts its calls."""

    calls = 0

    def calculate(self, *args: Any, **kwargs: Any) -> None:
        """Count and calculate."""
        Counting.calls += 1
        super().calculate(*args, **kwargs)


def hop(adatom: str) -> dict[str, Any]:
    """One adatom: calls and errors, ours and ASE's."""
    start, end = aluminium_hop(adatom)
    landscape = la.landscape.from_atoms(start, Counting())
    a, b = landscape.rows([start, end])
    exact = la.paths.find(landscape, a, b, method="neb", saddle=True)
    assert exact.saddle is not None
    low = float(exact.loss[0])
    truth = exact.saddle.value - low
    found: dict[str, Any] = {"barrier_eV": truth, "index": exact.saddle.index, "runs": []}
    for inner in INNER:
        for force in FORCES:
            ours = {name: own_band(landscape, a, b, inner, part * force, exact) for name, part in OURS.items()}
            theirs = {optimizer.__name__: ase_band(start, end, inner, force, optimizer, truth) for optimizer in (
                BFGS, FIRE, NEBOptimizer)}  # fmt: skip
            found["runs"].append({"inner_images": inner, "force_eV_per_A": force, "lossatlas": ours, "ase": theirs})
    Counting.calls = 0
    path = la.paths.find(landscape, a, b, tolerance=0, saddle=False)
    found["default"] = {
        "method": path.method,
        "search": path.evaluations["gradients"],
        "with_diagnostics": Counting.calls,
        "error_meV": 1e3 * (path.forward_barrier - truth),
    }
    return found


def own_band(landscape: Any, a: Tensor, b: Tensor, inner: int, force: float, exact: la.Path) -> dict[str, float]:
    """Our band; ``force`` is that on a whole image, ``exact`` a converged path with its saddle."""
    assert exact.saddle is not None
    truth = exact.saddle.value - float(exact.loss[0])
    # In our units, rise/length.
    options = {"points": inner + 2, "force_tolerance": force * exact.length / truth, "tolerance": 0, "saddle": False}
    Counting.calls = 0
    path = la.paths.find(landscape, a, b, method="neb", **options)
    calls = Counting.calls
    loss, grads = landscape.value_and_grad(path.points)
    tangents = improved_tangents(path.points[None], loss[None])[0]
    along = (grads[1:-1] * tangents).sum(-1, keepdim=True) * tangents
    across = along - grads[1:-1]
    top = int(loss.argmax()) - 1
    across[top] += along[top]
    return {
        "calls": path.evaluations["gradients"] + 2,
        "with_diagnostics": calls,
        "error_meV": 1e3 * (path.sampled_height - float(path.loss[0]) - truth),
        "force_on_an_image": float(across.norm(dim=1).max()),
        "force_on_an_atom": float(across.reshape(inner, -1, 3).norm(dim=2).max()),
    }


def ase_band(start: Any, end: Any, inner: int, force: float, optimizer: Any, truth: float) -> dict[str, float]:
    """ASE's band with one of its optimizers."""
    images = [start.copy() for _ in range(inner + 1)] + [end.copy()]
    for image in images:
        image.calc = Counting()
    band = NEB(images, climb=True, method="improvedtangent")
    band.interpolate()
    Counting.calls = 0
    optimizer(band, logfile=None).run(fmax=force, steps=500)
    calls = Counting.calls
    energies = [image.get_potential_energy() for image in images]
    return {"calls": calls, "error_meV": 1e3 * (max(energies) - energies[0] - truth)}


def seven_atoms() -> dict[str, Any]:
    """The pass between the two lowest minima of LJ7, lowest over permutations of the second."""
    first, second = lj7_lowest()
    landscape = la.landscape.from_atoms(first)
    a, b = landscape.rows([first, second])
    heights = []
    for end in landscape.permutations(b, a, 4, seed=0):
        path = la.paths.find(landscape, a, end)
        saddle = path.saddle
        connected = saddle is not None and bool(saddle.connects)
        heights.append(
            {
                "height": path.height,
                "status": path.status,
                "gradients": path.evaluations["gradients"],
                "saddle": saddle.value if saddle is not None and connected else None,
                "index": saddle.index if saddle is not None else None,
            }
        )
    best = min(entry["saddle"] for entry in heights if entry["saddle"] is not None)
    return {"pass": verdict(best, -15.44473380 - 1e-6, -15.44473380 + 1e-6), "permutations": heights}


def main() -> None:
    started = time.monotonic()
    hops = {adatom: hop(adatom) for adatom in ("Au", "Al")}
    better: dict[str, dict[str, list[bool]]] = {name: {} for name in OURS}
    for found in hops.values():
        for run in found["runs"]:
            for name, ours in run["lossatlas"].items():
                met = abs(ours["error_meV"]) <= 1e3 * WITHIN and ours["force_on_an_atom"] <= run["force_eV_per_A"]
                for optimizer, theirs in run["ase"].items():
                    # Only bands that found the barrier to 1 meV are compared.
                    if abs(theirs["error_meV"]) <= 1e3 * WITHIN:
                        wins = better[name].setdefault(optimizer, [])
                        wins.append(met and ours["calls"] <= theirs["calls"])
    count = {
        name: {optimizer: f"{sum(wins)} of {len(wins)}" for optimizer, wins in each.items()}
        for name, each in better.items()
    }
    write("atoms_neb", {"no_more_calls_than": count, "hops": hops, "lj7": seven_atoms()}, started)


if __name__ == "__main__":
    main()
