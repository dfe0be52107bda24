"""Claims about losses: how deep each optimizer gets, and what early stopping does."""

from __future__ import annotations

from lossatlas.analysis.claims.claim import Claim
from lossatlas.analysis.claims.inputs import ClaimInputs, Measured
from lossatlas.analysis.claims.networks import everywhere, only
from lossatlas.analysis.claims.question import Question

__all__ = [
    "early_stopping_optimism",
    "sgd_generalises_better",
    "test_loss_comparable",
    "test_loss_rises",
    "training_loss_lower",
]

_LOWER = Question(
    "training-loss-lower",
    "The training loss of L-BFGS-GSS is less than half that of SGD",
    (0.0, 0.5),  # the paper's least ratio, of the autoencoder, is 0.37
    "ratio",
    everywhere(),
    "considerably lower for all networks (Table 1)",
)
_COMPARABLE = Question(
    "test-loss-comparable",
    "The early-stopped test losses of L-BFGS-GSS and SGD are within a factor of 1.25",
    (0.8, 1.25),  # the usual limits of equivalence of ratios; the paper's are 1.17, 1.07, 0.37, 1.21
    "ratio",
    everywhere(),
    "comparable (text); by Table 1 their ratio is 0.37 for the autoencoder",
)
_GENERALISES = Question(
    "sgd-generalises-better",
    "The test loss of SGD is lower than that of L-BFGS-GSS",
    (0.0, 1.0),
    "ratio",
    everywhere(),
    "SGD weight sets appear to be more generalizable; by Table 1 not those of the autoencoder",
)
_RISES = Question(
    "test-loss-rises",
    "At the end of an L-BFGS-GSS run its test loss is more than 1.5 times its minimum",
    (1.5, float("inf")),
    "ratio",
    only("fcp", "lenet", "lstm"),
    "rises sharply from its minimum except for the autoencoder (Figs. 2, S1)",
)
_OPTIMISM = Question(
    "early-stopping-optimism",
    "Stopping where the test loss is least makes it look less than 5 % lower than stopping by validation data does",
    (0.0, 1.05),
    "ratio",
    paper_says="selects and scores on the same test data",
)


def training_loss_lower(inputs: ClaimInputs) -> list[Claim]:
    """Whether full-batch L-BFGS gets far deeper."""
    first, second = (Measured("train loss", name, "train") for name in (inputs.quasi_newton, inputs.stochastic))
    return [_LOWER.ask(inputs, first, second, "train sets")]


def test_loss_comparable(inputs: ClaimInputs) -> list[Claim]:
    """Whether the early-stopped test losses are equivalent."""
    first, second = (Measured("test loss", name, "test") for name in (inputs.quasi_newton, inputs.stochastic))
    return [_COMPARABLE.ask(inputs, first, second, "test sets")]


def sgd_generalises_better(inputs: ClaimInputs) -> list[Claim]:
    """Test losses where each run is stopped early, and at its lowest training loss."""
    found = []
    for weight_set, words in (("test", "early-stopped"), ("train", "at the lowest training loss")):
        first, second = (Measured("test loss", name, weight_set) for name in (inputs.stochastic, inputs.quasi_newton))
        found.append(_GENERALISES.ask(inputs, first, second, words))
    return found


def test_loss_rises(inputs: ClaimInputs) -> list[Claim]:
    """Whether training on overfits: last against lowest test loss of each run."""
    last, lowest = (Measured(name, inputs.quasi_newton) for name in ("last test loss", "lowest test loss"))
    return [_RISES.ask(inputs, last, lowest, "along each run", paired=True)]


def early_stopping_optimism(inputs: ClaimInputs) -> list[Claim]:
    """How much selecting and scoring on the same data flatters, for either optimizer."""
    found = []
    for optimizer in (inputs.quasi_newton, inputs.stochastic):
        names = ("test loss at the lowest validation loss", "lowest test loss")
        # Runs with fewer examples of their own, or all runs where the study itself stops on held-out examples.
        ways = [way for way in ("held out", "") if Measured(names[0], optimizer, way=way) in inputs.samples]
        validated, lowest = (Measured(name, optimizer, way=next(iter(ways), "held out")) for name in names)
        found.append(_OPTIMISM.ask(inputs, validated, lowest, f"{optimizer}, along each run", paired=True))
    return found
