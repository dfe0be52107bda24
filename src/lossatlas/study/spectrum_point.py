"""The spectrum at one point: what is measured there, in stages."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from lossatlas import curvature
from lossatlas.curvature.lanczos import Which
from lossatlas.landscape.contract import Landscape, SupportsGaussNewtonAt, SupportsMetrics
from lossatlas.study.spectra import PointSpectrum
from lossatlas.study.spectrum_options import SpectrumOptions
from lossatlas.study.spectrum_stages import Stages

__all__ = ["measure_point"]


def measure_point(landscape: Landscape, point: Tensor, options: SpectrumOptions, stages: Stages) -> PointSpectrum:
    """Measure the curvature at one point, stage by stage.

    Args:
        landscape: where, with the normalisation statistics of the point.
        point: ``(d,)``.
        options: how thoroughly.
        stages: tells and keeps what is done.
    """
    seed, confidence, budget = options.seed, options.confidence, options.max_products
    hessian: curvature.PointOperator = curvature.HessianOperator(landscape, point)
    # First, and never read back: an operator knows how it multiplies once it has done so.
    check = hessian.check(seed=seed)
    if curvature.worth_assembling(hessian, options.count):
        hessian = stages.assemble(hessian)
    pairs = _ends(hessian, options, stages)
    settled = pairs if bool(pairs.vectors.isfinite().all()) else None
    density = curvature.SpectralDensity(
        **stages.record(
            "density",
            lambda: curvature.spectral_density(hessian, probes=options.probes, steps=options.steps, seed=seed),
        )
    )
    notes: list[str] = []
    blocks = None
    if landscape.spec is not None and options.blocks != "none":
        by = options.blocks
        blocks = curvature.Blockwise(
            **stages.record("layers", lambda: curvature.blockwise(hessian, by=by, confidence=confidence, seed=seed))
        )
    batches = _mini_batches(landscape, point, options, stages, notes)
    others = _other_matrices(landscape, point, options, stages, notes)
    metrics: dict[str, float] = {}
    if isinstance(landscape, SupportsMetrics):
        exact = landscape.to(dtype=torch.float64)
        metrics = {key: float(value) for key, value in exact.metrics(point.double()).items() if key != "loss"}
    trace = stages.record(
        "trace",
        lambda: curvature.trace(
            hessian, tolerance=options.trace_tolerance, deflate=settled, max_products=budget, confidence=confidence,
            seed=seed,
        ),
    )  # fmt: skip
    conditioning = stages.record(
        "condition number",
        lambda: curvature.conditioning(
            hessian, zero=options.zero, density=density, max_products=budget, confidence=confidence, seed=seed
        ),
    )
    kind = stages.record(
        "kind of point",
        lambda: curvature.classify(
            landscape, point, gradient=options.gradient, zero=options.zero, max_products=budget, seed=seed,
            hessian=hessian,
        ),
    )  # fmt: skip
    return PointSpectrum(
        pairs, curvature.TraceEstimate(**trace), density, curvature.Conditioning(**conditioning),
        curvature.Classification(**kind), check, blocks, batches, *others, metrics, tuple(notes),
    )  # fmt: skip


def _ends(hessian: curvature.PointOperator, options: SpectrumOptions, stages: Stages) -> curvature.Eigenpairs:
    """Eigenvalues at both ends; of one coordinate, its own."""
    which: Which = "both" if hessian.dim > 1 else "largest"
    found = curvature.Eigenpairs(
        **stages.record(
            "eigenvalues",
            lambda: curvature.eigenvalues(
                hessian, k=options.count, which=which, tolerance=options.tolerance, max_products=options.max_products,
                seed=options.seed,
            ),
        )
    )  # fmt: skip
    # What the matrix has cost is told here; everything after has it for nothing.
    return replace(found, products=hessian.products) if hessian.known else found


def _mini_batches(
    landscape: Landscape, point: Tensor, options: SpectrumOptions, stages: Stages, notes: list[str]
) -> curvature.BatchSpread | None:
    if landscape.samples is None or not options.batches:
        return None
    size = min(options.batch_size, landscape.samples)
    record, reason = stages.attempt(
        "mini-batches",
        lambda: curvature.batch_spread(
            landscape, point, size=size, batches=options.batches, confidence=options.confidence, seed=options.seed
        ),
    )
    if record is None:  # data that cannot be indexed
        notes.append(f"Mini-batches were left out: {reason}.")
        return None
    return curvature.BatchSpread(**record)


def _other_matrices(
    landscape: Landscape, point: Tensor, options: SpectrumOptions, stages: Stages, notes: list[str]
) -> tuple[curvature.Eigenpairs | None, curvature.Eigenpairs | None]:
    """Largest eigenvalues of the Gauss-Newton and the empirical Fisher matrix."""
    others: list[curvature.Eigenpairs | None] = [None, None]
    if not isinstance(landscape, SupportsGaussNewtonAt) or not options.others:
        return None, None
    names = ("Gauss-Newton", "empirical Fisher")
    for place, matrix in enumerate((curvature.GaussNewtonOperator, curvature.FisherOperator)):

        def search(matrix: type[curvature.PointOperator] = matrix) -> curvature.Eigenpairs:
            operator = matrix(landscape, point)  # type: ignore[call-arg]
            return curvature.eigenvalues(
                operator, k=options.count, tolerance=options.tolerance, max_products=options.max_products,
                seed=options.seed,
            )  # fmt: skip

        record, reason = stages.attempt(f"{names[place]} matrix", search)
        if record is None:  # outputs that are no tensor, or not one for each sample
            notes.append(f"The {names[place]} matrix was left out: {reason}.")
        else:
            others[place] = curvature.Eigenpairs(**record)
    return others[0], others[1]
