"""Reductions: what there is less of in a study than in the paper."""

from __future__ import annotations

from lossatlas.report.departures import NETWORKS, PAPER, compared, networks_in_common, published_stages, uses
from lossatlas.report.examples_used import other_sizes, sizes
from lossatlas.report.methods.finders import finder_of
from lossatlas.report.methods.phrases import constant
from lossatlas.report.records import configuration
from lossatlas.report.wording import listing, network_name, optimizer_name
from lossatlas.study.config import StudyConfig
from lossatlas.study.results import StudyResults
from lossatlas.study.stages.ensembles import duration_of

__all__ = ["reductions"]


def reductions(results: StudyResults) -> tuple[str, ...]:
    """What there is less of than in the paper, as items of a list; empty for a study of the paper's size."""
    config = configuration(results)
    found = [*_smaller_data(results), *_smaller_training(config), *_smaller_paths(config)]
    absent = [network_name(name) for name in NETWORKS if name not in config.networks]
    if absent:
        found.insert(0, f"networks: no {listing(absent)}")
    return tuple(found)


def _smaller_data(results: StudyResults) -> list[str]:
    wanted, words = {"train": PAPER.train, "test": PAPER.test}, {"train": "training", "test": "test"}
    found = [
        f"{words[key]} examples: {size:,}, {wanted[key]:,} in the paper"
        for key, size in sizes(results).items()
        if size < wanted[key]
    ]
    others = other_sizes(results)
    return [*found, f"examples of single networks: {listing(others)}"] if others else found


def _smaller_training(config: StudyConfig) -> list[str]:
    found = []
    for name in networks_in_common(config):
        network = config.networks[name]
        kept = network.keep or network.replicas
        if network.replicas < PAPER.replicas or kept < PAPER.kept:
            found.append(
                f"{network_name(name)}, runs kept: {kept} of {network.replicas}, {PAPER.kept} of {PAPER.replicas} in "
                "the paper"
            )
    for name, settings in uses(config, "lbfgs-gss").items():
        length = duration_of("lbfgs-gss", settings)[0]
        if length < PAPER.iterations:
            found.append(
                f"{network_name(name)}, iterations of {optimizer_name('lbfgs-gss')}: {length:,}, "
                f"{PAPER.iterations:,} in the paper"
            )
    return found


def _smaller_paths(config: StudyConfig) -> list[str]:
    found = []
    for name, finder in published_stages(config.paths).items():
        how = config.paths[name]
        # A search with another λ is one more, not a smaller one.
        if finder_of(finder).constants["penalty"] not in PAPER.paths.penalties:
            continue
        most = max(n * (n - 1) // 2 for n in (each.keep or each.replicas for each in config.networks.values()))
        pairs = min(most, how.pairs or most)
        if pairs < PAPER.pairs:
            found.append(f"{name}, pairs per weight set: at most {pairs}, {PAPER.pairs} in the paper")
        found += [
            f"{name}, {what}: {constant(ours)}, {constant(theirs)} in the paper"
            for what, ours, theirs in compared(how, PAPER.paths)
            if ours < theirs
        ]
    return found
