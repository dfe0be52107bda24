"""ChainFinder: what the nudged elastic band, the string and their variants share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lossatlas.core.curve import Curve
from lossatlas.core.errors import InputError
from lossatlas.landscape.analytic.energy import check_count
from lossatlas.landscape.contract import Landscape
from lossatlas.paths.chains.chain import Chain, Control, Places
from lossatlas.paths.chains.escape import push_off
from lossatlas.paths.chains.forces import Rule
from lossatlas.paths.chains.relax import relax
from lossatlas.paths.chains.starts import first_chains
from lossatlas.paths.finder import Ends, PathFinder, Search

__all__ = ["ChainFinder"]

# A chain that was pushed off is kept where it came lower by this part of the rise.
_LOWER = 1e-6


@dataclass(frozen=True, kw_only=True)
class ChainFinder(PathFinder):
    """Relaxes a chain of images; the path is the polygonal chain through them.

    Args:
        points: images m, both ends included; one iteration costs m - 2 gradients, or fewer where images are at rest.
        iterations: most steps of the chain, over all phases.
        force_tolerance: converged when the largest force across the chain is below this many times rise/length, rise
            being the highest image above the lowest, ends included, so that units do not matter. At a climbing image
            it is |∇L|.
        climb: the highest image climbs to the saddle.
        climb_from: force, in the same units, from which it does.
        step_error: largest error of a step, in units of the spacing of images.
        starts: chains per pair, the first plain and the others perturbed at random; the lowest is kept.
        amplitude: of the perturbations, in distances.
        escapes: how often a converged chain that lies on a ridge is pushed off it; None: 3, and 0 where the loss
            averages over samples.

    Raises:
        InputError: an option out of its range.
    """

    points: int = 9
    iterations: int = 500
    force_tolerance: float = 0.02
    climb: bool = True
    climb_from: float = 1.0
    step_error: float = 0.2
    starts: int = 1
    amplitude: float = 0.3
    escapes: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.iterations, "iterations", least=0)
        check_count(self.starts, "starts")
        if self.escapes is not None:
            check_count(self.escapes, "escapes", least=0)
        for name in ("force_tolerance", "climb_from", "step_error", "amplitude"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise InputError(f"expected {name} as a positive finite number, got {value!r}")

    @property
    def rows_at_once(self) -> int:
        """All images of all starts, a few times over."""
        return 4 * self.points * self.starts

    def expected_gradients(self, landscape: Landscape) -> float:
        """Every iteration used, for every start; most searches stop long before."""
        return float(self.starts * self.iterations * max(0, self.points - 2))

    @property
    @abstractmethod
    def rule(self) -> Rule:
        """What moves the images."""

    @property
    def control(self) -> Control:
        """When the images stop."""
        return Control(self.force_tolerance, self.climb_from if self.climb else None, self.step_error)

    def search(self, landscape: Landscape, ends: Ends) -> list[Search]:
        """Relax the chains of all pairs together and keep the lowest of each."""
        first = first_chains(ends, self.points, self.starts, self.amplitude, self.seed)
        if self.points == 2 or self.iterations == 0:
            return [self._unmoved(images) for images in first[:, 0]]
        values = landscape.value(torch.stack([ends.start, ends.end], 1)).repeat_interleave(self.starts, 0)
        even = first.new_ones(self.points - 1)
        chains = [Chain(x, e, x[1:-1], even) for x, e in zip(first.flatten(0, 1), values, strict=True)]
        names: list[tuple[int, ...]] = [(self.seed, number, i) for number in ends.numbers for i in range(self.starts)]
        found = self._relaxed(landscape, chains, names)
        return [self._result(landscape, found[i : i + self.starts]) for i in range(0, len(found), self.starts)]

    def _relaxed(self, landscape: Landscape, chains: list[Chain], names: list[tuple[int, ...]]) -> list[Chain]:
        """All phases; finders with more of them override this."""
        chains = self.relaxed(landscape, chains, range(len(chains)), names)
        return self.pushed_off_ridges(landscape, chains, names)

    def _relax(
        self, landscape: Landscape, places: Places, limits: list[int], names: list[tuple[int, ...]]
    ) -> list[Chain]:
        """One phase, for chains of one number of images."""
        return relax(landscape, places, self.rule, self.control, limits)

    def relaxed(
        self,
        landscape: Landscape,
        chains: list[Chain],
        which: Sequence[int],
        names: list[tuple[int, ...]],
        *,
        most: int | None = None,
    ) -> list[Chain]:
        """Relax some chains by ``most`` iterations, those with as many images together, and add the cost to theirs."""
        chains = list(chains)
        for m in sorted({len(chains[i].images) for i in which}):
            some = [i for i in which if len(chains[i].images) == m]
            left = [self.iterations - chains[i].iterations for i in some]
            limits = [n if most is None else min(n, most) for n in left]
            new = self._relax(landscape, Places.of([chains[i] for i in some]), limits, [names[i] for i in some])
            for i, chain in zip(some, new, strict=True):
                chains[i] = chain.after(chains[i])
        return chains

    def pushed_off_ridges(self, landscape: Landscape, chains: list[Chain], names: list[tuple[int, ...]]) -> list[Chain]:
        """Push converged chains whose top has a way down across them, and relax them again."""
        most = self.escapes if self.escapes is not None else 3 if landscape.samples is None else 0
        chains = list(chains)
        ask = list(range(len(chains)))
        for _ in range(most):
            ask = [i for i in ask if chains[i].status == "converged" and chains[i].top > 0]
            if not ask:
                break
            asked, pushed = push_off(landscape, [chains[i] for i in ask], [names[i] for i in ask])
            for i, chain in zip(ask, asked, strict=True):
                chains[i] = chain
            new = {i: replace(chains[i], images=x) for i, x in zip(ask, pushed, strict=True) if x is not None}
            ask = [i for i in new if chains[i].iterations < self.iterations]
            tried = self.relaxed(landscape, [new.get(i, chain) for i, chain in enumerate(chains)], ask, names)
            lower = []
            for i in ask:
                if tried[i].status != "not finite" and tried[i].height < chains[i].height - _LOWER * chains[i].rise:
                    chains[i] = tried[i]
                    lower.append(i)
                else:
                    chains[i] = tried[i].with_places_of(chains[i])
            ask = lower
        return chains

    def _unmoved(self, images: Tensor) -> Search:
        m = len(images)
        t = torch.linspace(0, 1, m, dtype=torch.float64)
        if m == 2:
            why = "two images are the straight line: nothing is optimized"
            return Search(Curve.through(images), t, "not optimized", why, {"values": 0, "gradients": 0})
        return Search(
            Curve.through(images), t, "iteration limit", "0 iterations: the first chain", {"values": 0, "gradients": 0}
        )

    def _result(self, landscape: Landscape, group: list[Chain]) -> Search:
        best = group[0]
        values = 2.0
        if len(group) > 1:
            heights = []
            for chain in group:
                middles = (chain.images[1:] + chain.images[:-1]) / 2
                between = landscape.value(middles)
                values += len(middles)
                heights.append(max(chain.height, float(between.nan_to_num(nan=torch.inf).max())))
            usable = [h if c.status != "not finite" else torch.inf for h, c in zip(heights, group, strict=True)]
            best = group[usable.index(min(usable))]
        spent = {
            "values": values + sum(chain.loss_values for chain in group),
            "gradients": sum(chain.gradients for chain in group),
        }
        history = {
            "height": torch.tensor(best.heights, dtype=torch.float64),
            "force": torch.tensor(best.residuals, dtype=torch.float64),
        }
        t = torch.linspace(0, 1, len(best.images), dtype=torch.float64)
        message = best.message if len(group) == 1 else f"the lowest of {len(group)} starts: {best.message}"
        return Search(Curve.through(best.images), t, best.status, message, spent, history)
