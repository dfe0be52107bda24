"""Registry of claims, and testing all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeAlias

from lossatlas.analysis.claims import flatness, heights, kernels, losses, vectors
from lossatlas.analysis.claims.claim import Claim, holm
from lossatlas.analysis.claims.inputs import ClaimInputs
from lossatlas.core.registry import Registry

__all__ = ["Check", "claims", "evaluate_claims"]

Check: TypeAlias = Callable[[ClaimInputs], list[Claim]]
"""Tests a claim on one network, in every place where it can be tested."""

claims: Registry[Check] = Registry("claim")
claims.add("training-loss-lower", losses.training_loss_lower, "L-BFGS-GSS reaches a far lower training loss")
claims.add("test-loss-comparable", losses.test_loss_comparable, "early-stopped test losses are comparable")
claims.add("sgd-generalises-better", losses.sgd_generalises_better, "the test loss of SGD is lower")
claims.add("test-loss-rises", losses.test_loss_rises, "the test loss of L-BFGS-GSS rises from its minimum")
claims.add("early-stopping-optimism", losses.early_stopping_optimism, "stopping on the test set flatters little")
claims.add("sgd-paths-lower", heights.sgd_lower, "paths between SGD minima are lower")
claims.add("train-paths-above-test", heights.train_above_test, "paths between trained minima are higher")
claims.add("sgd-train-paths-above-test", heights.sgd_train_above_test, "the same of SGD")
claims.add("height-insensitive-to-penalty", heights.penalty_insensitive, "heights hardly depend on λ")
claims.add("published-paths-not-converged", heights.published_not_converged, "published heights are not converged")
claims.add("aligning-lowers-barriers", heights.aligning_lowers, "aligning the ends lowers barriers")
claims.add("bfgs-vectors-longer", vectors.vectors_longer, "L-BFGS-GSS vectors are longer")
claims.add("bfgs-minima-further-apart", vectors.minima_further_apart, "L-BFGS-GSS minima are further apart")
claims.add("bfgs-components-more-spread", vectors.components_more_spread, "their components are more spread")
claims.add("no-preferred-direction", vectors.no_preferred_direction, "the sets differ in no preferred direction")
claims.add("length-gap-remains", vectors.length_gap_remains, "the gap in length remains on the test sets")
claims.add("rbf-separates", kernels.rbf_separates, "the RBF kernel separates the optimizers")
claims.add("other-kernels-do-not", kernels.other_kernels_do_not, "other kernels do not")
claims.add("rbf-separates-early-stopped", kernels.rbf_separates_early_stopped, "it does on the test sets too")
claims.add("sgd-minima-flatter", flatness.minima_flatter, "SGD minima are flatter")
claims.add("averaging-sgd-better", flatness.averaging_works_better, "averages of SGD minima are better")


def evaluate_claims(networks: Iterable[ClaimInputs]) -> tuple[Claim, ...]:
    """Test every registered claim on every network.

    Args:
        networks: what was measured on each.

    Returns:
        Claims in the order of the registry, each network by network; those that lack numbers are among them, as "not
        measured". ``adjusted_p_value`` is Holm's over all that have a p-value, whatever was decided.

    Example:
        >>> found = evaluate_claims([ClaimInputs("fcp")])
        >>> {claim.verdict for claim in found}, found[0].note
        ({'not measured'}, 'needs train loss, lbfgs-gss train set; train loss, sgd train set')
    """
    inputs = list(networks)
    found = [claim for name, check in claims.items() for each in inputs if each.asks(name) for claim in check(each)]
    tested = [k for k, claim in enumerate(found) if claim.p_value is not None]
    adjusted = holm([found[k].p_value or 0.0 for k in tested])
    for k, p_value in zip(tested, adjusted, strict=True):
        found[k] = replace(found[k], adjusted_p_value=p_value)
    return tuple(found)
