"""How weight vectors were compared, and where intervals come from."""

from __future__ import annotations

from lossatlas.analysis.kernels import Kernel
from lossatlas.report.methods.phrases import SETS, constant, networks_of
from lossatlas.report.wording import listing
from lossatlas.study.config import StudyConfig
from lossatlas.study.results import StudyResults

__all__ = ["tell", "tell_intervals"]


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
    return sentences


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


def tell_intervals(config: StudyConfig, results: StudyResults) -> list[str]:
    """What an uncertainty in this report is."""
    sentences = ["Standard errors and 95 % intervals of means over runs are Student's."]
    if config.paths:
        sentences.append(
            "Those of means over pairs are from a jackknife that leaves out one minimum at a time, since pairs that "
            "share a minimum are not independent."
        )
    return sentences
