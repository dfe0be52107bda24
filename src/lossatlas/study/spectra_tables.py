"""Tables of spectra: the points, eigenvalues, layers, mini-batches, and index against loss."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from lossatlas.core.table import Cell, Column, Table
from lossatlas.curvature import Eigenpairs
from lossatlas.study.spectra import Spectra

__all__ = ["batch_table", "check_table", "eigenvalue_table", "index_table", "layer_table", "point_table"]


def _finite(value: float | Tensor) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _per_square(found: Spectra) -> str:
    return f"{found.unit} per weight²" if found.unit and found.quantity == "Loss" else found.unit


def point_table(found: Spectra) -> Table:
    """One row per point: loss, gradient, kind, ends of the spectrum, trace, condition number, null space."""
    rows: list[tuple[Cell, ...]] = []
    metrics = list(dict.fromkeys(name for _, point in found.done for name in point.metrics))
    for label, point in found.done:
        kind, condition, trace = point.classification, point.conditioning, point.trace
        rows.append(
            (
                label,
                float(kind.value),
                *(_finite(point.metrics[name]) if name in point.metrics else None for name in metrics),
                float(kind.gradient_norm),
                kind.kinds[0],
                int(kind.index),
                bool(kind.complete),
                _finite(kind.largest),
                _finite(kind.smallest),
                _finite(trace.value),
                _finite(trace.low),
                _finite(trace.high),
                _finite(condition.condition),
                _finite(condition.nonzero),
                _finite(condition.null),
                _finite(condition.null_low),
                _finite(condition.null_high),
                bool(condition.exact),
            )
        )
    square = _per_square(found)
    zero = next((point.conditioning.zero for _, point in found.done), 0.0)
    confidence = next((point.trace.confidence for _, point in found.done), 0.99)
    return Table(
        "points",
        "The points",
        f"{found.quantity}, gradient norm |g| and Hessian in float64. "
        + next((point.classification.tolerances for _, point in found.done), "")
        + " Index: negative eigenvalues seen; complete: whether these are all. Trace with its "
        f"{confidence:.0%} interval. Condition: largest |eigenvalue| over smallest; where not exact, at least so much. "
        f"Null space: eigenvalues within {zero:g} of the largest |eigenvalue|; where not exact, an estimate and its "
        "interval. Condition without it: over the smallest |eigenvalue| beyond.",
        (
            Column("point", "Point"),
            Column("loss", found.quantity, found.unit, ".6g"),
            *(Column(name, name.replace("_", " ").capitalize(), "", ".4f") for name in metrics),
            Column("gradient_norm", "|g|", "", ".2e"),
            Column("kind", "Kind"),
            Column("index", "Index", "", "d"),
            Column("index_complete", "Complete"),
            Column("largest", "λ max", square, ".6g"),
            Column("smallest", "λ min", square, ".4g"),
            Column("trace", "Trace", square, ".5g"),
            Column("trace_low", "from", square, ".5g"),
            Column("trace_high", "to", square, ".5g"),
            Column("condition", "Condition", "", ".3g"),
            Column("condition_nonzero", "without null space", "", ".3g"),
            Column("null", "Null space", "", ".4g"),
            Column("null_low", "from", "", ".4g"),
            Column("null_high", "to", "", ".4g"),
            Column("exact", "Exact"),
        ),
        tuple(rows),
    )


def _pairs(pairs: Eigenpairs) -> Sequence[tuple[float, float, bool]]:
    return list(zip(pairs.values.tolist(), pairs.residuals.tolist(), pairs.converged.tolist(), strict=True))


def eigenvalue_table(found: Spectra) -> Table:
    """One row per eigenvalue: value, residual, and whether it has settled."""
    rows: list[tuple[Cell, ...]] = []
    for label, point in found.done:
        for matrix, pairs in (
            ("Hessian", point.eigenpairs),
            ("Gauss-Newton", point.gauss_newton),
            ("empirical Fisher", point.fisher),
        ):
            if pairs is None:
                continue
            values = _pairs(pairs)
            upper = len(values) // 2 if pairs.which == "both" else len(values)
            for place, (value, residual, converged) in enumerate(values):
                end, rank = ("largest", place + 1) if place < upper else ("smallest", len(values) - place)
                rows.append((label, matrix, end, rank, _finite(value), _finite(residual), converged))
    return Table(
        "eigenvalues",
        "Eigenvalues",
        "The ends of the spectrum. Within the residual |A v − λ v| of each value lies an eigenvalue; settled: the "
        "residual is below the tolerance.",
        (
            Column("point", "Point"),
            Column("matrix", "Matrix"),
            Column("end", "End"),
            Column("rank", "Rank", "", "d"),
            Column("value", "Eigenvalue", _per_square(found), ".8g"),
            Column("residual", "Residual", _per_square(found), ".1e"),
            Column("converged", "Settled"),
        ),
        tuple(rows),
    )


def layer_table(found: Spectra) -> Table | None:
    """One row per layer and point; None where there are no layers."""
    rows: list[tuple[Cell, ...]] = []
    for label, point in found.done:
        blocks = point.blocks
        if blocks is None:
            continue
        for i, name in enumerate(blocks.names):
            rows.append(
                (
                    label,
                    name,
                    blocks.sizes[i],
                    _finite(blocks.top[i]),
                    _finite(blocks.residuals[i]),
                    bool(blocks.converged[i]),
                    _finite(blocks.step_limit[i]),
                    _finite(blocks.trace[i]),
                    _finite(blocks.low[i]),
                    _finite(blocks.high[i]),
                )
            )
    if not rows:
        return None
    square = _per_square(found)
    return Table(
        "layers",
        "Layers",
        "The Hessian's block of each layer, all other weights held. Step limit: 2 / λ max, the learning rate beyond "
        "which gradient descent on this layer alone is unstable. Trace with its interval.",
        (
            Column("point", "Point"),
            Column("layer", "Layer"),
            Column("size", "Weights", "", "d"),
            Column("top", "λ max", square, ".6g"),
            Column("residual", "Residual", square, ".1e"),
            Column("converged", "Settled"),
            Column("step_limit", "Step limit", "", ".3g"),
            Column("trace", "Trace", square, ".5g"),
            Column("trace_low", "from", square, ".5g"),
            Column("trace_high", "to", square, ".5g"),
        ),
        tuple(rows),
    )


def batch_table(found: Spectra) -> Table | None:
    """One row per point: mini-batch Hessians beside that of all data; None where there are none."""
    rows: list[tuple[Cell, ...]] = []
    for label, point in found.done:
        batches = point.batches
        if batches is None:
            continue
        rows.append(
            (
                label,
                batches.data,
                bool(batches.converged.all()),
                _finite(batches.top_mean.value),
                _finite(batches.top_spread),
                _finite(point.classification.largest),
                _finite(batches.trace_mean.value),
                _finite(batches.trace_spread),
                _finite(point.trace.value),
            )
        )
    if not rows:
        return None
    square = _per_square(found)
    return Table(
        "mini-batches",
        "Mini-batch Hessians",
        "Each mini-batch has a Hessian of its own. Mean and standard deviation from batch to batch, beside the Hessian "
        "of all data. The mean of largest eigenvalues lies above the largest eigenvalue of the mean; traces agree up "
        "to chance.",
        (
            Column("point", "Point"),
            Column("data", "Data"),
            Column("converged", "Settled"),
            Column("top_mean", "λ max, mean", square, ".5g"),
            Column("top_spread", "spread", square, ".2g"),
            Column("top_all", "all data", square, ".5g"),
            Column("trace_mean", "Trace, mean", square, ".5g"),
            Column("trace_spread", "spread", square, ".2g"),
            Column("trace_all", "all data", square, ".5g"),
        ),
        tuple(rows),
    )


def check_table(found: Spectra) -> Table:
    """One row per point: how products were computed and how far they are from finite differences."""
    directions = max((point.check.differences.shape[-1] for _, point in found.done), default=0)
    rows: list[tuple[Cell, ...]] = []
    for label, point in found.done:
        check = point.check
        rows.append((label, check.method, *(_finite(d) for d in check.differences.tolist()), bool(check.agrees)))
    tolerance = next((point.check.tolerance for _, point in found.done), 0.0)
    return Table(
        "products",
        "Hessian-vector products",
        "How products were computed, and their relative difference from central differences of float64 gradients along "
        f"random directions. They agree up to {tolerance:g}. A kink of the loss, as of ReLU, within the step of the "
        "difference shows as a large one: the Hessian is that of the smooth pieces.",
        (
            Column("point", "Point"),
            Column("method", "Method"),
            *(Column(f"difference_{i + 1}", f"Direction {i + 1}", "", ".1e") for i in range(directions)),
            Column("agrees", "Agrees"),
        ),
        tuple(rows),
    )


def index_table(found: Spectra) -> Table | None:
    """One row per point: index and loss beside the nulls; None with too few points."""
    index = found.index
    if index is None:
        return None
    field = index.null(index.loss)
    rows = tuple(
        (
            label,
            float(index.loss[i]),
            float(index.gradient_norm[i]),
            float(index.fraction[i]),
            float(index.error[i]),
            float(index.semicircle[i]),
            float(field[i]),
        )
        for i, label in enumerate(found.labels)
    )
    correlation = (
        "No rank correlation: losses or indices do not differ."
        if math.isnan(index.correlation)
        else f"Spearman's rank correlation of index and {found.quantity.lower()}: {index.correlation:.2f} "
        f"(permutation p = {index.p_value:.2g})."
    )
    return Table(
        "index",
        f"Index against {found.quantity.lower()}",
        f"Index: part of all eigenvalues below −{index.zero:g} of the largest |eigenvalue|, with its standard error; "
        f"computed by: {index.method}. Semicircle: what a Wigner matrix with the same mean and spread of eigenvalues "
        f"would have. Field: a Gaussian random field whose mean eigenvalue follows the line fitted to all points. "
        f"{correlation}",
        (
            Column("point", "Point"),
            Column("loss", found.quantity, found.unit, ".6g"),
            Column("gradient_norm", "|g|", "", ".2e"),
            Column("fraction", "Index", "part of all", ".4f"),
            Column("error", "Error", "", ".4f"),
            Column("semicircle", "Semicircle", "", ".4f"),
            Column("field", "Field", "", ".4f"),
        ),
        rows,
    )
