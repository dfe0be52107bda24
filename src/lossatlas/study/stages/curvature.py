"""Curvature: how sharp the minima are, as they are and in units of their weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lossatlas import curvature
from lossatlas.core.files import Tree
from lossatlas.study.context import Context, Update
from lossatlas.study.costs import Cost, Costs
from lossatlas.study.results import CurvatureSet, Gathered, SharpnessSet
from lossatlas.study.stages.finding import lowest, minima
from lossatlas.study.stages.stage import Planning, Stage, of_kind
from lossatlas.study.store import Piece

__all__ = ["Curvatures"]

# A product in float64 costs about this many gradients in the study's type, and this many are spent where the
# tolerance does not ask for more.
_GRADIENTS = 6
_PRODUCTS = 60


class Curvatures(Stage):
    """Measures top eigenvalues and traces."""

    kind = "curvature"
    version = 1

    def pieces(self, planning: Planning, earlier: Sequence[Piece]) -> list[Piece]:
        """One per stage of the configuration, ensemble and weight set."""
        return [
            Piece(
                self.kind,
                f"{stage} {ensemble.label} {weight_set}",
                {
                    "version": self.version,
                    "stage": stage,
                    "network": ensemble.inputs["network"],
                    "optimizer": ensemble.inputs["optimizer"],
                    "weight_set": weight_set,
                    "settings": how.model_dump(mode="json", exclude={"networks", "weight_sets"}),
                    "seed": planning.config.seed,
                },
                (ensemble,),
            )
            for stage, how in planning.config.curvature.items()
            for ensemble in of_kind(earlier, "ensemble")
            if how.networks is None or ensemble.inputs["network"] in how.networks
            for weight_set in how.weight_sets
        ]

    def compute(self, piece: Piece, context: Context, update: Update) -> Tree:
        """All minima of the set together, one scaling after another."""
        how = context.config.curvature[piece.inputs["stage"]]
        (source,) = piece.needs
        members = lowest(source, context, how.minima)
        # In float32 the softmax of a converged classifier is 1, and its curvature 0.
        exact = context.problems[piece.inputs["network"]].train.to(dtype=torch.float64)
        points = minima(source, context, piece.inputs["weight_set"])[members].to(exact.device, torch.float64)
        found = {}
        for number, scaling in enumerate(how.scalings, 1):
            measured = curvature.sharpness(
                exact,
                points,
                scaling=scaling,
                tolerance=how.tolerance,
                max_products=how.products,
                seed=context.config.seed,
            )
            top, trace = measured.top, measured.trace
            found[scaling] = {
                "top": top.values[:, 0].cpu(),
                "residual": top.residuals[:, 0].cpu(),
                "trace": trace.value.cpu(),
                "trace_error": trace.error.cpu(),
                "converged": (top.converged[:, 0].cpu() & trace.converged.cpu()),
                "products": (top.products + trace.products).cpu(),
                "method": f"{top.method}; {trace.method}",
                "data": top.data,
                "invariance": measured.invariance,
            }
            update(number / len(how.scalings), f"scaling {scaling}")
        return {"members": members, "sharpness": found}

    def cost(self, piece: Piece, costs: Costs) -> Cost:
        """A number of Hessian-vector products."""
        how, network = costs.config.curvature[piece.inputs["stage"]], costs.network(piece.inputs["network"])
        count = min(how.minima or network.kept, network.kept)
        products = count * len(how.scalings) * 2 * min(how.products, _PRODUCTS)
        seconds = products * _GRADIENTS * network.gradient()
        basis = 8 * count * (how.products // 2) * network.problem.dim
        return Cost(seconds, 4 * network.working + basis, 20_000)

    def read(self, piece: Piece, result: Tree, seconds: float, gathered: Gathered) -> None:
        """Add a set."""
        gathered.curvatures.append(
            CurvatureSet(
                piece.inputs["stage"],
                piece.inputs["network"],
                piece.inputs["optimizer"],
                piece.inputs["weight_set"],
                tuple(result["members"]),
                {scaling: SharpnessSet(**own) for scaling, own in result["sharpness"].items()},
                seconds,
            )
        )
