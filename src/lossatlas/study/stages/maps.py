"""Maps: paths on landscapes of two coordinates, where everything can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lossatlas import paths
from lossatlas.core.files import Tree
from lossatlas.core.path import Path
from lossatlas.study.checks import map_landscape
from lossatlas.study.config import MapConfig
from lossatlas.study.context import Context, Update
from lossatlas.study.costs import Cost, Costs
from lossatlas.study.results import Gathered, Map
from lossatlas.study.stages.finding import finder_text
from lossatlas.study.stages.stage import Planning, Stage
from lossatlas.study.store import Piece
from lossatlas.study.surface import Surface, surface, window

__all__ = ["Maps"]

_SECONDS = 2.0  # of one path in two dimensions, about


class Maps(Stage):
    """Draws a landscape and finds paths on it."""

    kind = "map"
    version = 2  # points of the paths, without which they cannot be drawn

    def pieces(self, planning: Planning, earlier: Sequence[Piece]) -> list[Piece]:
        """One per stage of the configuration."""
        return [
            Piece(self.kind, stage, self._inputs(planning, stage, how)) for stage, how in planning.config.maps.items()
        ]

    def _inputs(self, planning: Planning, stage: str, how: MapConfig) -> dict[str, Any]:
        finders = {name: finder_text(some) for name, some in how.finders.items()}
        return {
            "version": self.version,
            "stage": stage,
            "landscape": how.landscape,
            "finders": finders,
            "resolution": how.resolution,
            "repeats": how.repeats,
            "seed": planning.config.seed,
        }

    def compute(self, piece: Piece, context: Context, update: Update) -> Tree:
        """Find the paths, then draw a window that shows them."""
        how = context.config.maps[piece.inputs["stage"]]
        energy, (start, end) = map_landscape(how.landscape)
        found: dict[str, Path] = {}
        heights: dict[str, Tensor] = {}
        for number, (name, some) in enumerate(how.finders.items(), 1):
            finder = paths.finders[some.method](**{"seed": context.config.seed, **some.options})
            rows = start.expand(how.repeats, -1), end.expand(how.repeats, -1)
            again = finder.find_many(energy, *rows, numbers=range(how.repeats))
            found[name] = again[0]
            heights[name] = torch.tensor([path.height for path in again], dtype=torch.float64)
            update(number / len(how.finders), name)
        seen = [path.points for path in found.values() if path.points is not None]
        drawn = surface(energy, window(energy, seen), how.resolution)
        return {
            "surface": drawn.to_tree(),
            "paths": {name: path.to_tree() for name, path in found.items()},
            "heights": heights,
            "exact": energy.passes[0].value if energy.passes else None,
        }

    def cost(self, piece: Piece, costs: Costs) -> Cost:
        """A few seconds."""
        count = len(piece.inputs["finders"])
        return Cost(
            _SECONDS * count * piece.inputs["repeats"] ** 0.5,
            2**20,
            8 * piece.inputs["resolution"] ** 2 + 20_000 * count,
        )

    def read(self, piece: Piece, result: Tree, seconds: float, gathered: Gathered) -> None:
        """Add a map."""
        found = {name: Path.from_tree(tree) for name, tree in result["paths"].items()}
        drawn = Surface.from_tree(result["surface"])
        stage, name = piece.inputs["stage"], piece.inputs["landscape"]
        gathered.maps.append(Map(stage, name, drawn, found, result["heights"], result["exact"]))
