"""The nudged elastic band that adds images where it needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lossatlas.core.errors import InputError
from lossatlas.landscape.analytic.energy import check_count
from lossatlas.landscape.contract import Landscape
from lossatlas.paths.chains.chain import Chain, Places
from lossatlas.paths.chains.insertion import with_more_images
from lossatlas.paths.chains.neb import NEBPathFinder
from lossatlas.paths.chains.noisy import Noise, relax_noisy

__all__ = ["AutoNEBPathFinder"]


@dataclass(frozen=True, kw_only=True)
class AutoNEBPathFinder(NEBPathFinder):
    """A nudged elastic band that starts with few images and adds some where straight segments are poor.

    After each relaxation the loss is read within every segment. A segment is halved where it rises above the highest
    image or where the loss is far from linear; then the band is relaxed again. The springs keep the finer spacing.
    With ``batch_size`` the relaxation is Adam on mini-batches of a network's data instead.

    Args:
        points: images at first.
        newton: quasi-Newton steps, image by image, as in :class:`NEBPathFinder`. Few coarse images gain little by them.
        most_points: images at last.
        cycles: how often images are added.
        hidden_height: rise within a segment above the highest image, in units of the rise, that calls for an image.
        deviation: |L - linear interpolation| within a segment, in the same units, that does.
        batch_size: examples per step; None: all, with the adaptive steps of :class:`NEBPathFinder`.
        step_size: first step of Adam, in units of the spacing of images.

    Other options: those of :class:`NEBPathFinder`. With ``batch_size``, ``iterations`` are the steps of each cycle and
    no image climbs.

    Raises:
        InputError: an option out of its range; mini-batches of a landscape without samples.

    Example:
        >>> import torch
        >>> from lossatlas.landscape import from_function
        >>> valley = from_function(lambda x: (x[0] ** 2 - 1) ** 2 + 4 * (x[1] - 1 + x[0] ** 2) ** 2, dim=2)
        >>> ends = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
        >>> path = AutoNEBPathFinder(points=4).find(valley, *ends)
        >>> path.status, len(path.t) > 4, round(path.height, 3)
        ('converged', True, 1.0)

    Source: Kolsbjerg, Groves & Hammer, J. Chem. Phys. 145, 094107 (2016); Draxler et al., *Essentially no barriers in
    neural network energy landscape* (2018), Sec. 2.
    """

    name: ClassVar[str] = "autoneb"

    newton: bool = False
    points: int = 7
    most_points: int = 31
    cycles: int = 4
    hidden_height: float = 1e-4
    deviation: float = 0.2
    batch_size: int | None = None
    step_size: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self.most_points, "most_points", least=2)
        check_count(self.cycles, "cycles", least=0)
        if self.batch_size is not None:
            check_count(self.batch_size, "batch_size")
        for name in ("hidden_height", "deviation", "step_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise InputError(f"expected {name} as a positive finite number, got {value!r}")

    @property
    def rows_at_once(self) -> int:
        """All images of all starts, a few times over."""
        return 4 * max(self.points, self.most_points) * self.starts * (1 + 10 * self.newton)

    def expected_gradients(self, landscape: Landscape) -> float:
        """Every iteration used with all images; most searches stop long before."""
        rows = float(self.starts * self.iterations * max(0, max(self.points, self.most_points) - 2))
        if self.batch_size is None or landscape.samples is None:
            return rows
        return rows * (self.cycles + 1) * min(1.0, self.batch_size / landscape.samples)

    def _relaxed(self, landscape: Landscape, chains: list[Chain], names: list[tuple[int, ...]]) -> list[Chain]:
        if self.batch_size is not None and landscape.samples is None:
            raise InputError(
                "expected a landscape with samples for mini-batches, got one without: leave out batch_size"
            )
        # A coarse chain need not converge, or cannot where the valley turns sharply: each cycle has its share.
        share = max(1, self.iterations // (self.cycles + 1))
        chains = self.relaxed(landscape, chains, range(len(chains)), names, most=share if self.cycles else None)
        if self.batch_size is None:
            chains = self.pushed_off_ridges(landscape, chains, names)
        asked = list(range(len(chains)))
        for cycle in range(1, self.cycles + 1):
            grown = []
            for i in asked:
                limited = self.batch_size is None and chains[i].iterations >= self.iterations
                if limited or chains[i].status == "not finite":
                    continue
                chains[i], more = with_more_images(
                    landscape, chains[i], self.most_points, self.hidden_height, self.deviation
                )
                if more:
                    grown.append(i)
            if not grown:
                break
            chains = self.relaxed(landscape, chains, grown, [(*name, cycle) for name in names], most=share)
            asked = grown
        if self.batch_size is None:
            rest = [i for i, chain in enumerate(chains) if chain.status == "iteration limit"]
            rest = [i for i in rest if chains[i].iterations < self.iterations]
            chains = self.relaxed(landscape, chains, rest, names)
        return chains

    def _relax(
        self, landscape: Landscape, places: Places, limits: list[int], names: list[tuple[int, ...]]
    ) -> list[Chain]:
        if self.batch_size is None:
            return super()._relax(landscape, places, limits, names)
        noise = Noise(self.batch_size, self.iterations, self.step_size, self.force_tolerance)
        return relax_noisy(landscape, places, noise, names)
