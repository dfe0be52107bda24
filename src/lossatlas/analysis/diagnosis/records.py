"""Records of a diagnosis: findings, each with its evidence, pictures and advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.files import Tree

__all__ = ["KINDS", "Diagnosis", "Evidence", "Finding", "Kind", "Layer", "Picture", "Series"]

Kind: TypeAlias = Literal[
    "exploding gradients",
    "learning rate too large",
    "learning rate too small",
    "ill-conditioned",
    "saddle",
    "vanishing gradients",
    "plateau",
    "sharp or overfit minimum",
    "healthy",
]

KINDS: Mapping[Kind, str] = {
    "exploding gradients": "gradients that grow until the loss diverges",
    "learning rate too large": "steps beyond what the steepest direction allows",
    "learning rate too small": "steps so short that the run has hardly begun",
    "ill-conditioned": "steep in a few directions, nearly flat in those where progress is left",
    "saddle": "no gradient, and a way down that the gradient does not see",
    "vanishing gradients": "gradients that shrink from layer to layer on their way to the input",
    "plateau": "a loss that is high and does not change",
    "sharp or overfit minimum": "a low training loss, and a high one on other data",
    "healthy": "none of the above was found",
}
"""What can be found, in the order in which it is told: what stands in the way of everything else comes first."""


@dataclass(frozen=True)
class Evidence:
    """A number behind a finding.

    Args:
        name: what was measured.
        value: the number; NaN where there is none.
        unit: of the number.
        limit: what it was compared with; None: it is only told.
        note: what it means, in a few words.
    """

    name: str
    value: float
    unit: str = ""
    limit: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Series:
    """Some points of a picture.

    Args:
        label: what they are.
        x: ``(n,)``.
        y: ``(n,)``; NaN is a gap.
        kind: ``"line"``, ``"points"``, or ``"level"``: a vertical line at the one x.
    """

    label: str
    x: Tensor
    y: Tensor
    kind: Literal["line", "points", "level"] = "line"


@dataclass(frozen=True)
class Picture:
    """What a finding looks like, as numbers.

    Args:
        name: identifier, small letters and hyphens.
        title: heading.
        caption: what to see, in sentences.
        x: what the horizontal axis measures.
        y: what the vertical axis measures.
        series: what is drawn.
        log_x: the horizontal axis is logarithmic.
        log_y: the vertical axis is logarithmic.
        categories: names of the positions 0, 1, ... on the horizontal axis, where it counts things.
    """

    name: str
    title: str
    caption: str
    x: str
    y: str
    series: tuple[Series, ...]
    log_x: bool = False
    log_y: bool = False
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Args:
        kind: which.
        sentence: what was found, with its main numbers.
        evidence: all numbers behind it.
        advice: what to do, most useful first.
        pictures: what it looks like.
    """

    kind: Kind
    sentence: str
    evidence: tuple[Evidence, ...]
    advice: tuple[str, ...]
    pictures: tuple[Picture, ...] = ()

    def number(self, name: str) -> float:
        """The value of one piece of evidence.

        Raises:
            InputError: there is none of this name.
        """
        for each in self.evidence:
            if each.name == name:
                return each.value
        raise InputError(f"expected evidence among {[each.name for each in self.evidence]}, got '{name}'")


@dataclass(frozen=True)
class Layer:
    """One layer, or group of parameters with one prefix.

    Args:
        name: the prefix.
        parameters: how many.
        weight: root mean square of its parameters.
        gradient: root mean square of its gradient.
        top: largest eigenvalue of its block of the Hessian.
        converged: whether that eigenvalue met its tolerance.
    """

    name: str
    parameters: int
    weight: float
    gradient: float
    top: float
    converged: bool

    @property
    def largest_rate(self) -> float:
        """2 / λ of the block: plain gradient descent of this layer alone diverges beyond; infinite where flat."""
        return 2.0 / self.top if self.top > 0 else float("inf")


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong at a point of a landscape, if anything; made by :func:`lossatlas.analysis.diagnose`.

    Args:
        findings: at least one, the most pressing first.
        measurements: numbers at the point, told whatever was found.
        layers: gradients and largest learning rates layer by layer; empty where there are no layers.
        notes: what could not be looked at, and what else a reader should know.
        pictures: that belong to no finding.
        details: how the numbers were computed.
    """

    findings: tuple[Finding, ...]
    measurements: tuple[Evidence, ...]
    layers: tuple[Layer, ...] = ()
    notes: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What was found."""
        return tuple(finding.kind for finding in self.findings)

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return self.kinds == ("healthy",)

    def finding(self, kind: Kind) -> Finding:
        """The finding of a kind.

        Raises:
            InputError: it was not found.
        """
        for each in self.findings:
            if each.kind == kind:
                return each
        raise InputError(f"expected one of the findings {list(self.kinds)}, got '{kind}'")

    def __str__(self) -> str:
        lines = []
        for finding in self.findings:
            lines.append(f"{finding.kind}: {finding.sentence}")
            lines.extend(f"  - {each}" for each in finding.advice)
        return "\n".join(lines)

    def to_tree(self) -> Tree:
        """Return nested dicts of tensors and numbers, the form in which diagnoses are stored."""
        return {**asdict(self), "details": dict(self.details)}

    @classmethod
    def from_tree(cls, tree: Tree) -> Diagnosis:
        """Rebuild a diagnosis from :meth:`to_tree`."""
        return cls(
            tuple(_finding(each) for each in tree["findings"]),
            tuple(Evidence(**each) for each in tree["measurements"]),
            tuple(Layer(**each) for each in tree["layers"]),
            tuple(tree["notes"]),
            tuple(_picture(each) for each in tree["pictures"]),
            tree["details"],
        )


def _finding(tree: dict[str, Any]) -> Finding:
    return Finding(
        tree["kind"],
        tree["sentence"],
        tuple(Evidence(**each) for each in tree["evidence"]),
        tuple(tree["advice"]),
        tuple(_picture(each) for each in tree["pictures"]),
    )


def _picture(tree: dict[str, Any]) -> Picture:
    return Picture(**{**tree, "series": tuple(Series(**each) for each in tree["series"])})
