"""Spectra: what the curvature at some points of one landscape looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

from lossatlas.core.files import Tree
from lossatlas.curvature import (
    BatchSpread,
    Blockwise,
    Classification,
    Conditioning,
    Eigenpairs,
    HessianCheck,
    IndexAgainstLoss,
    SpectralDensity,
    TraceEstimate,
)

__all__ = ["PointSpectrum", "Spectra"]

_RECORDS = {
    "eigenpairs": Eigenpairs,
    "gauss_newton": Eigenpairs,
    "fisher": Eigenpairs,
    "trace": TraceEstimate,
    "density": SpectralDensity,
    "conditioning": Conditioning,
    "classification": Classification,
    "blocks": Blockwise,
    "batches": BatchSpread,
    "check": HessianCheck,
}


@dataclass(frozen=True)
class PointSpectrum:
    """The curvature at one point.

    Args:
        eigenpairs: the k largest eigenvalues of the Hessian and the k smallest, descending; vectors are not kept.
        trace: of the Hessian.
        density: of its eigenvalues.
        conditioning: condition number and null space.
        classification: what kind of point it is.
        check: products beside finite differences along three directions.
        blocks: curvature of each layer; None where there are none.
        batches: mini-batch Hessians; None where there are no data.
        gauss_newton: largest eigenvalues of the Gauss-Newton matrix; None where there is none.
        fisher: those of the empirical Fisher matrix; None where there is none.
        metrics: other figures of merit.
        notes: what was left out and why, in sentences.
        seconds: that it took.
    """

    eigenpairs: Eigenpairs
    trace: TraceEstimate
    density: SpectralDensity
    conditioning: Conditioning
    classification: Classification
    check: HessianCheck
    blocks: Blockwise | None = None
    batches: BatchSpread | None = None
    gauss_newton: Eigenpairs | None = None
    fisher: Eigenpairs | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def to_tree(self) -> Tree:
        """Return nested dicts, the form in which spectra are stored."""
        tree = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: _plain(value) if is_dataclass(value) else dict(value) if isinstance(value, Mapping) else value
            for name, value in tree.items()
        }

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> PointSpectrum:
        """Rebuild a spectrum from :meth:`to_tree`."""
        made = {name: record(**tree[name]) if tree[name] is not None else None for name, record in _RECORDS.items()}
        return cls(**{**tree, **made})


def _plain(record: Any) -> dict[str, Any]:
    kept = {each.name: getattr(record, each.name) for each in fields(record)}
    if isinstance(record, Eigenpairs):
        kept["vectors"] = record.vectors[..., :0]  # d numbers each: too much to keep
    return kept


@dataclass(frozen=True)
class Spectra:
    """The curvature at some points of one landscape.

    Args:
        name: of the landscape.
        labels: of the points.
        spectra: of those that are done, by label.
        unit: of the loss.
        dim: number of coordinates.
        index: index against loss over all points; None with fewer than three.
        notes: what a reader should know, in sentences.
        details: of landscape, options and machine, for people.
    """

    name: str
    labels: tuple[str, ...]
    dim: int
    spectra: Mapping[str, PointSpectrum] = field(default_factory=dict)
    unit: str = ""
    index: IndexAgainstLoss | None = None
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def quantity(self) -> str:
        """What the landscape measures: ``"Loss"`` of a network, ``"Energy"`` of anything else."""
        return "Loss" if self.details.get("samples") is not None else "Energy"

    @property
    def complete(self) -> bool:
        """Whether every point is done."""
        return all(label in self.spectra for label in self.labels)

    @property
    def done(self) -> tuple[tuple[str, PointSpectrum], ...]:
        """Labels and spectra of the points that are done, in their order."""
        return tuple((label, self.spectra[label]) for label in self.labels if label in self.spectra)

    @property
    def losses(self) -> list[float]:
        """Losses of the points that are done."""
        return [float(found.classification.value) for _, found in self.done]

    def with_spectrum(self, label: str, found: PointSpectrum) -> Spectra:
        """The same with one more point done."""
        return replace(self, spectra={**self.spectra, label: found})

    def to_tree(self) -> Tree:
        """Return nested dicts, the form in which spectra are stored."""
        tree: dict[str, Any] = dict(vars(self))
        tree["spectra"] = [[label, found.to_tree()] for label, found in self.spectra.items()]
        tree["index"] = None if self.index is None else _plain(self.index)
        tree["details"] = dict(self.details)
        return tree

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> Spectra:
        """Rebuild spectra from :meth:`to_tree`."""
        spectra = {label: PointSpectrum.from_tree(found) for label, found in tree["spectra"]}
        index = None if tree["index"] is None else IndexAgainstLoss(**tree["index"])
        return cls(**{**tree, "spectra": spectra, "index": index})
