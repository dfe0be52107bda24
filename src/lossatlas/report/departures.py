"""Departures: what a study did otherwise than the paper, read off its configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from lossatlas.analysis.published import PUBLISHED, PUBLISHED_SETTINGS, PublishedPaths, other_constants
from lossatlas.optimize import LBFGSGSS, get
from lossatlas.report.examples_used import other_sizes, sizes
from lossatlas.report.methods.finders import finder_of
from lossatlas.report.methods.networks import options_in_force
from lossatlas.report.methods.phrases import constant, constants, count
from lossatlas.report.records import configuration
from lossatlas.report.wording import data_name, listing, network_name, optimizer_name
from lossatlas.study.config import FinderConfig, OptimizerConfig, StudyConfig
from lossatlas.study.results import StudyResults
from lossatlas.study.stages.ensembles import duration_of

__all__ = [
    "NETWORKS",
    "PAPER",
    "compared",
    "departures",
    "networks_in_common",
    "published_stages",
    "uses",
]

PAPER = PUBLISHED_SETTINGS
"""The settings that all others are compared with."""

NETWORKS = tuple(dict.fromkeys(number.subject for number in PUBLISHED if number.source == "Table 1"))
"""The networks of the paper."""

_PARAMETERS = {number.subject: int(number.value) for number in PUBLISHED if number.quantity == "parameters"}
_OPTIMIZERS = tuple(dict.fromkeys(number.optimizer for number in PUBLISHED if number.optimizer))
_TOY = "paper-toy"


def departures(results: StudyResults) -> tuple[tuple[str, str], ...]:
    """What was done otherwise than in the paper, subject by subject, and what as there.

    Args:
        results: whose configuration and data are compared with :data:`lossatlas.analysis.PUBLISHED_SETTINGS`.
    """
    config = configuration(results)
    parts = {
        "Data": _data(config, results),
        "Networks": _networks(config, results),
        "Runs": _runs(config),
        "Optimizers": _optimizers(config),
        "Early stopping": _selection(config),
        "Paths": _paths(config),
        "Landscape of two coordinates": _toy(config),
    }
    return tuple((title, "\n".join(sentences)) for title, sentences in parts.items() if sentences)


def networks_in_common(config: StudyConfig) -> list[str]:
    """The networks of the study that the paper has too."""
    return [name for name in config.networks if name in NETWORKS]


def _names(networks: Iterable[str]) -> str:
    return listing([network_name(name) for name in networks])


def _data(config: StudyConfig, results: StudyResults) -> list[str]:
    found, wanted = sizes(results), {"train": PAPER.train, "test": PAPER.test}
    if config.data.name != PAPER.data:
        ours, theirs = data_name(config.data.name), data_name(PAPER.data)
        return [f"{ours} instead of {theirs}: every loss is of other data than the paper's."]
    if found == wanted:
        return [f"All of {data_name(PAPER.data)}, as in the paper."]
    words = {"train": "training", "test": "test"}
    parts = [
        f"{size:,} of the {wanted[key]:,} {words[key]} examples" for key, size in found.items() if size != wanted[key]
    ]
    sentences = [f"{listing(parts)}."] if parts else []
    others = other_sizes(results)
    return [*sentences, f"Of these, {listing(others)}."] if others else sentences


def _networks(config: StudyConfig, results: StudyResults) -> list[str]:
    sentences = []
    used: dict[tuple[str, str], list[str]] = {}
    for name, published in PAPER.activations:
        if name in config.networks:
            ours = str(options_in_force(name, config.networks[name].options).get("activation"))
            used.setdefault((ours, published), []).append(name)
    for (ours, published), names in used.items():
        where = ", as the published notebooks do" if ours == PAPER.notebook_activation else ""
        verb = "uses" if len(names) == 1 else "use"
        sentences.append(
            f"{_names(names)} {verb} {ours}{where}; the paper's text has {published}."
            if ours != published
            else f"{_names(names)} {verb} {ours}, as in the paper's text; the published notebooks have "
            f"{PAPER.notebook_activation}."
        )
    dims = {each.network: each.ensemble.spec.dim for each in results.experiments if each.network in NETWORKS}
    same = [name for name, dim in dims.items() if dim == _PARAMETERS[name]]
    if same:
        named = listing([f"{network_name(name)} {dims[name]:,}" for name in same])
        sentences.append(f"Numbers of parameters as in Table 1: {named}.")
    sentences += [
        f"{network_name(name)} has {dim:,} parameters, the paper's {_PARAMETERS[name]:,}."
        for name, dim in dims.items()
        if name not in same
    ]
    return sentences


def _runs(config: StudyConfig) -> list[str]:
    shared: dict[tuple[int, int | None], list[str]] = {}
    for name in networks_in_common(config):
        network = config.networks[name]
        shared.setdefault((network.replicas, network.keep), []).append(name)
    sentences = []
    for (replicas, keep), names in shared.items():
        if (replicas, keep) == (PAPER.replicas, PAPER.kept):
            sentences.append(f"{_names(names)}: {replicas} runs of each optimizer, {keep} kept, as in the paper.")
            continue
        kept = "all that did not diverge" if keep is None else f"the {keep} of lowest training loss"
        sentences.append(
            f"{_names(names)}: {count(replicas, 'run')} of each optimizer, of which {kept} were kept; the paper keeps "
            f"{PAPER.kept} of {PAPER.replicas}."
        )
    return sentences


def uses(config: StudyConfig, optimizer: str) -> dict[str, OptimizerConfig]:
    """Settings of an optimizer by network, for the networks that the paper has too."""
    return {
        name: config.networks[name].optimizers[optimizer]
        for name in networks_in_common(config)
        if optimizer in config.networks[name].optimizers
    }


def _optimizers(config: StudyConfig) -> list[str]:
    sentences = []
    for name, settings in uses(config, "lbfgs-gss").items():
        method = get("lbfgs-gss", **settings.options)
        parts = [f"{duration_of('lbfgs-gss', settings)[0]:,} iterations of at most {PAPER.iterations:,} in the paper"]
        if settings.options:
            parts.append(f"with {constants(settings.options)}")
        if isinstance(method, LBFGSGSS) and method.guard:
            parts.append("steps that would raise the loss, which the published line search can take, are refused")
        sentences.append(f"{network_name(name)} by {optimizer_name('lbfgs-gss')}: {'; '.join(parts)}.")
    given = uses(config, "sgd")
    for name, settings in given.items():
        batch = "" if settings.batch_size == PAPER.batch_size else f", the paper's have {PAPER.batch_size}"
        sentences.append(
            f"{network_name(name)} by {optimizer_name('sgd')}: {count(duration_of('sgd', settings)[0], 'epoch')} of "
            f"mini-batches of {settings.batch_size}{batch}{_options(settings)}."
        )
    if given:
        sentences.append("The paper gives neither learning rate nor number of epochs of SGD.")
    further = dict.fromkeys(o for name in networks_in_common(config) for o in config.networks[name].optimizers)
    extra = [optimizer_name(name) for name in further if name not in _OPTIMIZERS]
    return [*sentences, f"Not in the paper: {listing(extra)}."] if extra else sentences


def _options(settings: OptimizerConfig) -> str:
    return f" with {constants(settings.options)}" if settings.options else ""


def _selection(config: StudyConfig) -> list[str]:
    if config.select == PAPER.selected_on:
        return ["On the test loss, as in the paper: chosen and scored on the same data."]
    return [f"On the {config.select} loss; the paper chooses and scores on the {PAPER.selected_on} loss."]


def published_stages(stages: Mapping[str, FinderConfig]) -> dict[str, FinderConfig]:
    """The stages that search by the published method."""
    return {name: how for name, how in stages.items() if finder_of(how).label == "fourier-published"}


def compared(how: FinderConfig, paper: PublishedPaths) -> Iterator[tuple[str, float, float]]:
    """Constants that are not the paper's: name, ours, the paper's. The notebooks' one point more is as good."""
    yield from other_constants(finder_of(how).constants, paper)


def _constants(how: FinderConfig, paper: PublishedPaths) -> list[str]:
    return [f"{constant(ours)} {name} instead of {constant(theirs)}" for name, ours, theirs in compared(how, paper)]


def _paths(config: StudyConfig) -> list[str]:
    stages = published_stages(config.paths)
    if not stages:
        return ["No paths were searched by the published method."]
    sentences = []
    for name, how in stages.items():
        stage = config.paths[name]
        parts = _constants(how, PAPER.paths)
        penalty = finder_of(how).constants["penalty"]
        if penalty not in PAPER.paths.penalties:
            parts.append(f"λ = {constant(penalty)} instead of {constant(PAPER.paths.penalties[0])}")
        if stage.pairs is not None and stage.pairs != PAPER.pairs:
            parts.append(f"{count(stage.pairs, 'pair')} per weight set at most instead of {PAPER.pairs}")
        elif stage.pairs is None:
            parts.append(f"all pairs of a weight set instead of {PAPER.pairs} random ones")
        sentences.append(f"{name}: {'; '.join(parts) if parts else 'as in the paper'}.")
    others = [name for name in config.paths if name not in stages]
    if others:
        sentences.append(f"Not in the paper: {listing(others)}.")
    return sentences


def _toy(config: StudyConfig) -> list[str]:
    sentences = []
    for drawn in config.maps.values():
        if drawn.landscape != _TOY:
            continue
        for name, how in published_stages(drawn.finders).items():
            parts = _constants(how, PAPER.toy)
            ours = finder_of(how).constants
            notebook = ours["objective"] == "squared loss" and ours["noise"] == 1.0
            if notebook:
                parts.append("squared losses and unit noise in the gradient, as in the notebook and not in the text")
            sentences.append(f"{name}: {'; '.join(parts) if parts else 'as in the paper'}.")
        sentences.append(
            f"Heights are means over {count(drawn.repeats, 'search', 'searches')}, of the whole curve unless the "
            "tolerance is 0; the paper's are of one search each, at its points."
        )
    return sentences
