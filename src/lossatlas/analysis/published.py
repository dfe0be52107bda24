"""What Yu & Morozov 2026 published: their numbers and their settings, as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = [
    "PUBLISHED",
    "PUBLISHED_SETTINGS",
    "PublishedNumber",
    "PublishedPaths",
    "PublishedSettings",
    "Quantity",
    "other_constants",
    "published_heights",
]

Quantity: TypeAlias = Literal[
    "parameters", "training loss", "test loss", "mean weight", "s.d. of weights", "path height"
]


@dataclass(frozen=True)
class PublishedNumber:
    """One number of the paper, which gives three significant digits and no errors.

    Args:
        quantity: what it is.
        subject: the network, or the landscape of two coordinates.
        optimizer: ``"lbfgs-gss"`` (BFGS in the paper) or ``"sgd"``; "" where it does not depend on one.
        weight_set: ``"train"``, or ``"test"`` for the early-stopped set; "" where it does not depend on one.
        value: the number.
        source: table or figure.
        way: of a path height: ``"straight"`` or the penalty, such as ``"λ = 10"``.
    """

    quantity: Quantity
    subject: str
    optimizer: str
    weight_set: str
    value: float
    source: str
    way: str = ""


@dataclass(frozen=True)
class PublishedPaths:
    """How the paper's paths were made.

    Args:
        coefficients: sine terms N.
        points: points M; the notebooks have one more.
        steps: of Adam.
        learning_rate: of Adam, in the units of the coordinates.
        penalties: λ.
    """

    coefficients: int
    points: int
    steps: int
    learning_rate: float
    penalties: tuple[float, ...]


@dataclass(frozen=True)
class PublishedSettings:
    """How the paper's numbers were made.

    The networks' activations are those of the text; the published notebooks use ``notebook_activation`` instead. The
    learning rate and the number of epochs of SGD are not given.

    Args:
        data: name of the data set.
        train: training examples.
        test: test examples.
        activations: of the networks that leave a choice.
        notebook_activation: of the same networks in the notebooks.
        replicas: runs per network and optimizer.
        kept: those with the lowest training loss.
        iterations: of L-BFGS-GSS, at most.
        batch_size: of SGD.
        selected_on: where early stopping looks.
        pairs: random pairs per weight set between which paths were searched.
        paths: between minima of networks.
        toy: on the landscape of two coordinates.
    """

    data: str = "mnist"
    train: int = 60_000
    test: int = 10_000
    activations: tuple[tuple[str, str], ...] = (("fcp", "relu"), ("lenet", "relu"))
    notebook_activation: str = "softplus"
    replicas: int = 75
    kept: int = 48
    iterations: int = 1000
    batch_size: int = 64
    selected_on: str = "test"
    pairs: int = 300
    paths: PublishedPaths = PublishedPaths(10, 50, 100, 1e-3, (1e-4,))
    toy: PublishedPaths = PublishedPaths(15, 100, 300, 1e-2, (10.0, 100.0, 1000.0))


PUBLISHED_SETTINGS = PublishedSettings()
"""The settings of the paper."""


def other_constants(
    constants: Mapping[str, float], paper: PublishedPaths = PUBLISHED_SETTINGS.paths
) -> Iterator[tuple[str, float, float]]:
    """Constants of a search in the published way that are not the paper's: name, ours, the paper's.

    The notebooks' one point more is as good; λ is compared elsewhere.

    Args:
        constants: of the path finder, by name.
        paper: what it does.

    Example:
        >>> list(other_constants({"coefficients": 10, "points": 51, "steps": 20, "learning_rate": 1e-3}))
        [('steps', 20, 100)]
    """
    for name in ("coefficients", "points", "steps", "learning_rate"):
        value, published = constants[name], getattr(paper, name)
        if value != published and not (name == "points" and value == published + 1):
            yield name.replace("_", " "), value, published


_SETS = (("lbfgs-gss", "train"), ("sgd", "train"), ("lbfgs-gss", "test"), ("sgd", "test"))

# Mean loss over 48 runs, columns as in _SETS, and the number of parameters.
_TABLE_1 = {
    "fcp": (1.26e-08, 6.21e-04, 9.69e-02, 8.25e-02, 42_200),
    "lenet": (3.35e-08, 1.76e-05, 4.17e-02, 3.89e-02, 61_706),
    "autoencoder": (1.69e-02, 4.57e-02, 1.65e-02, 4.52e-02, 52_224),
    "lstm": (1.63e-06, 1.35e-02, 1.55e-01, 1.28e-01, 15_456),
}
# Mean and standard deviation of all components of all vectors of a set, columns as in _SETS.
_TABLE_S1 = {
    "fcp": ((-2.47e-03, 2.34e-01), (-1.44e-03, 1.39e-01), (-4.11e-03, 1.22e-01), (-3.17e-03, 1.03e-01)),
    "lenet": ((1.04e-03, 1.08e-01), (-3.57e-03, 8.77e-02), (2.33e-04, 8.00e-02), (-2.83e-03, 7.06e-02)),
    "autoencoder": ((-3.65e-02, 1.60e-01), (-7.06e-03, 8.54e-02), (-3.65e-02, 1.61e-01), (-7.07e-03, 8.54e-02)),
    "lstm": ((1.06e-02, 7.33e-01), (1.35e-02, 3.24e-01), (2.92e-03, 4.76e-01), (1.16e-02, 2.59e-01)),
}
# Highest loss on the straight line and on the paths found on the landscape of two coordinates.
_FIGURE_3 = {"straight": 1.102, "λ = 10": 0.646, "λ = 100": 0.640, "λ = 1000": 0.652}


def _numbers() -> Iterator[PublishedNumber]:
    for network, (*losses, parameters) in _TABLE_1.items():
        yield PublishedNumber("parameters", network, "", "", parameters, "Table 1")
        for (optimizer, weight_set), loss in zip(_SETS, losses, strict=True):
            quantity: Quantity = "training loss" if weight_set == "train" else "test loss"
            yield PublishedNumber(quantity, network, optimizer, weight_set, loss, "Table 1")
        for (optimizer, weight_set), (mean, deviation) in zip(_SETS, _TABLE_S1[network], strict=True):
            yield PublishedNumber("mean weight", network, optimizer, weight_set, mean, "Table S1")
            yield PublishedNumber("s.d. of weights", network, optimizer, weight_set, deviation, "Table S1")
    for way, height in _FIGURE_3.items():
        yield PublishedNumber("path height", "paper-toy", "", "", height, "Fig. 3", way)


PUBLISHED: tuple[PublishedNumber, ...] = tuple(_numbers())
"""All numbers of Tables 1 and S1 and the heights of Fig. 3."""


def published_heights(landscape: str) -> dict[str, float]:
    """Heights of the paths that the paper drew on a landscape of two coordinates.

    Yu & Morozov 2026, Fig. 3.

    Args:
        landscape: its name.

    Returns:
        Height by way, in the units of the landscape; empty for a landscape that is not the paper's.

    Example:
        >>> published_heights("paper-toy")["λ = 100"], published_heights("muller-brown")
        (0.64, {})
    """
    return {number.way: number.value for number in PUBLISHED if number.way and number.subject == landscape}
