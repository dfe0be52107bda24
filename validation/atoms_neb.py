"""Paths of atoms against ASE's own nudged elastic band: force calls for the same barrier; the pass of seven atoms.

An Au or Al atom hops on Al(100) with EMT, as in ASE's tutorial. For the same number of images and the same largest
force (0.05 and 0.01 eV/Å), calls of the calculator and errors of the barrier are compared, ASE's optimizers BFGS,
FIRE and NEBOptimizer (ODE12r) each on its climbing, improved-tangent band. The true barrier is that of the stationary
point found by minimum-mode following.
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

import lossatlas as la
from validation.common import verdict, write

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from clusters import aluminium_hop, lj7_lowest

INNER = (3, 5)
FORCES = (0.05, 0.01)
WITHIN = 1e-3  # eV


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
            # The same largest force in our units, rise/length.
            tolerance = force * float((b - a).norm()) / truth
            options = {"points": inner + 2, "force_tolerance": tolerance, "tolerance": 0, "saddle": False}
            Counting.calls = 0
            path = la.paths.find(landscape, a, b, method="neb", **options)
            ours = {
                "search": path.evaluations["gradients"],
                "with_diagnostics": Counting.calls,
                "error_meV": 1e3 * (path.forward_barrier - truth),
            }
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
    better: dict[str, list[bool]] = {"BFGS": [], "FIRE": [], "NEBOptimizer": []}
    for found in hops.values():
        for run in found["runs"]:
            for name, theirs in run["ase"].items():
                # Only bands that found the barrier to 1 meV are compared.
                if abs(theirs["error_meV"]) <= 1e3 * WITHIN:
                    ours = run["lossatlas"]
                    better[name].append(abs(ours["error_meV"]) <= 1.0 and ours["search"] <= theirs["calls"])
    count = {name: f"{sum(wins)} of {len(wins)}" for name, wins in better.items()}
    write("atoms_neb", {"no_more_calls_than": count, "hops": hops, "lj7": seven_atoms()}, started)


if __name__ == "__main__":
    main()
