"""How weight vectors were compared, and where intervals come from."""

from __future__ import annotations

from lossatlas.analysis.kernels import Kernel
from lossatlas.analysis.uncertainty import widening
from lossatlas.report.methods.phrases import SETS, constant, count, networks_of
from lossatlas.report.wording import listing
from lossatlas.study.config import StudyConfig
from lossatlas.study.results import StudyResults

__all__ = ["tell", "tell_claims", "tell_curvature", "tell_intervals"]


def tell(config: StudyConfig, results: StudyResults) -> list[str]:
    """Statistics, distances, and the kernels with their constants."""
    how = config.weights
    if how is None:
        return []
    sets = listing([SETS[name] for name in how.weight_sets])
    sentences = [
        f"The weight vectors{networks_of(how.networks)} are compared in the {sets} sets: mean and standard deviation "
        "of all components, lengths, and distances from the mean of the two optimizers' centroids.",
    ]
    if set(how.weight_sets) == {"train", "test"}:
        sentences.append(
            "Optimizers are compared set by set, and the training set of a full-batch one with the early-stopped set "
            "of a mini-batch one."
        )
    draws = {pair.origin.test.permutations for each in results.weights for pair in each.comparisons}
    if draws:
        sentences.append(
            "Whether the centroids differ is tested with the unbiased estimate of their squared distance, divided by "
            f"its standard deviation, over {listing([f'{number:,}' for number in sorted(draws)])} random relabellings."
        )
    kernels = listing([_kernel(name) for name in how.kernels])
    sentences.append(
        f"Kernel PCA of the two sets together uses {kernels}, with d the number of parameters. How far the sets are "
        "apart is |2A − 1| along the first component, with A the area under the ROC curve and an exact Mann-Whitney "
        "test, and the accuracy of linear discriminants in the first two, leaving out the minimum judged."
    )
    return [" ".join(sentences)]


def _kernel(name: str) -> str:
    kernel = Kernel(name)
    gamma = f"with γ = {'1/d' if kernel.gamma is None else constant(kernel.gamma)}"
    forms = {
        "rbf": f"the RBF kernel exp(−γ|x − y|²) {gamma}",
        "poly": f"the polynomial kernel (γ x·y + {constant(kernel.coef0)}) to the power {kernel.degree} {gamma}",
        "sigmoid": f"the sigmoid kernel tanh(γ x·y + {constant(kernel.coef0)}) {gamma}",
        "linear": "the linear kernel x·y (ordinary PCA)",
    }
    return forms.get(name, name)


def tell_curvature(config: StudyConfig, results: StudyResults) -> list[str]:
    """Each stage: of which minima, in which coordinates, how exactly."""
    sentences = []
    for stage, how in config.curvature.items():
        sets = listing([SETS[name] for name in how.weight_sets])
        minima = f"the {how.minima} minima of lowest training loss" if how.minima is not None else "all minima"
        sentences.append(
            f"{stage}: largest eigenvalue and trace of the Hessian of the training loss, in float64, at {minima} of "
            f"each {sets} set{networks_of(how.networks)}; coordinates scaled by {listing(how.scalings)}; traces to a "
            f"standard error of {constant(100 * how.tolerance)} %, at most {count(how.products, 'product')} of Hessian "
            "and vector for the eigenvalue and again for the trace."
        )
    return sentences


def tell_claims(config: StudyConfig, results: StudyResults) -> list[str]:
    """How intervals become verdicts."""
    tested = sum(claim.p_value is not None for claim in results.claims)
    if not tested:
        return []
    return [
        "A claim puts an effect (a difference or ratio of means) in a range. It holds where the 95 % interval of the "
        "effect lies in the range (of a range with two limits, the 90 % interval: two one-sided tests), does not hold "
        "where it lies outside, and is undecided otherwise. Two sets are compared in Welch's way, the same runs or "
        f"minima under two treatments by their differences; p-values carry Holm's correction for {tested} tests."
    ]


def tell_intervals(config: StudyConfig, results: StudyResults) -> list[str]:
    """What an uncertainty in this report is."""
    kept = sorted({len(each.ensemble) for each in results.experiments if len(each.ensemble) > 1})
    factors = listing([f"{widening((1.0, runs)):.2f} for {runs} runs" for runs in kept])
    sentences = [
        "Intervals of means over runs are Student's at 95 %, widened by a factor that guards against skewness"
        f"{f' ({factors})' if factors else ''}."
    ]
    if config.paths:
        sentences.append(
            "Those of means over pairs are from a jackknife that leaves out one minimum at a time, since pairs that "
            "share a minimum are not independent."
        )
    return [" ".join(sentences)]
