"""How the replicas were trained, which were kept, and where their weights were taken."""

from __future__ import annotations

from dataclasses import is_dataclass

from lossatlas import optimize
from lossatlas.optimize import LBFGSGSS
from lossatlas.report.methods.phrases import constant, constants, count, members, networks_of
from lossatlas.report.wording import network_name, optimizer_name
from lossatlas.study.config import NetworkConfig, OptimizerConfig, StudyConfig
from lossatlas.study.results import StudyResults
from lossatlas.study.stages.ensembles import duration_of

__all__ = ["tell", "tell_holdout", "tell_seeds"]


def tell(config: StudyConfig, results: StudyResults) -> list[str]:
    """Optimizers with their constants, lengths of training, selection of replicas."""
    sentences = [
        "Each replica starts from weights drawn by PyTorch's default initialisation of each layer; replica i starts "
        "from the same weights under every optimizer."
    ]
    for optimizer in dict.fromkeys(name for network in config.networks.values() for name in network.optimizers):
        uses = {
            network: each.optimizers[optimizer]
            for network, each in config.networks.items()
            if optimizer in each.optimizers
        }
        sentences += _optimizer(optimizer, uses)
    sentences += [_replicas(name, network) for name, network in config.networks.items()]
    where = {"test": "test", "validation": "validation"}[config.select]
    sentences.append(
        "The training weight set holds each kept replica at its lowest training loss, the early-stopped set the same "
        f"replica at its lowest {where} loss; both are looked for {_recorded(config)}."
    )
    return sentences


def _optimizer(optimizer: str, uses: dict[str, OptimizerConfig]) -> list[str]:
    """What it is where its constants are the defaults, then network by network what was asked for."""
    name = optimizer_name(optimizer)
    stochastic = any(optimize.get(optimizer, **each.options).stochastic for each in uses.values())
    sentences = [] if stochastic else [f"{name} uses all training examples in every step."]
    stated = ""
    for network, settings in uses.items():
        method = optimize.get(optimizer, **settings.options)
        what = _published(method) if isinstance(method, LBFGSGSS) else _plain(method)
        length, unit = duration_of(optimizer, settings)
        batch = f" of mini-batches of {settings.batch_size}" if stochastic else ""
        batch += ", gradients by a compiled program" if settings.compiled else ""
        how = f"{count(length, unit)}{batch}"
        # The constants of a second network are not repeated where they are those of the first.
        sentences.append(f"{network_name(network)} by {name}: {how}{'' if what == stated else f'; {what}'}.")
        stated = what
    return sentences


def _published(method: LBFGSGSS) -> str:
    search = method.search
    text = (
        f"directions from the last {method.history} pairs of steps and gradient changes, history cleared where "
        f"s·y/(|s||y|) is below {constant(method.minimum_cosine)}, 1/ρ regularised by "
        f"{constant(method.regularisation)}; golden-section line search of at most {search.evaluations} losses from "
        f"a first step of {constant(search.first_step)} |d|, growing by {constant(search.growth)} (its exponent raised "
        f"twice at first), shrinking by {constant(search.shrink)}, tolerance {constant(search.tolerance)}"
    )
    guard = f"steps uphill are refused and retried along −g with up to {method.retry_evaluations} losses"
    return f"{text}; {guard if method.guard else 'steps uphill are taken, as published'}"


def _plain(method: object) -> str:
    return f"constants: {constants(members(method))}" if is_dataclass(method) else ""


def _replicas(name: str, network: NetworkConfig) -> str:
    text = f"{network_name(name)} was trained {count(network.replicas, 'time')} by each optimizer"
    if network.keep is None:
        return f"{text}, and every run that did not diverge was kept."
    return f"{text}, and the {network.keep} runs with the lowest training loss were kept."


def _recorded(config: StudyConfig) -> str:
    every = {
        (settings.record_every, duration_of(name, settings)[1])
        for network in config.networks.values()
        for name, settings in network.optimizers.items()
    }
    steps = [f"every {unit}" if n == 1 else f"every {n} {unit}s" for n, unit in sorted(every)]
    return " or ".join(dict.fromkeys(steps))


def tell_holdout(config: StudyConfig, results: StudyResults) -> list[str]:
    """The further runs with some training examples held out."""
    sentences = []
    for stage, how in config.holdout.items():
        part = f"{100 * how.fraction:g} %" if how.fraction < 1 else f"{how.fraction:,.0f}"
        most = f", at most {count(how.replicas, 'replica')} of each," if how.replicas is not None else ""
        sentences.append(
            f"{stage}: the runs{networks_of(how.networks)}{most} were made once more, from the same initial weights, "
            f"with {part} of the training examples held out, to stop where the loss on those was lowest."
        )
    return sentences


def tell_seeds(config: StudyConfig, results: StudyResults) -> list[str]:
    """Where random numbers come from."""
    return [
        f"All random numbers (initial weights, mini-batches, pairs, searches) come from seed {config.seed}, in streams "
        "named by their purpose: a replica or pair is the same whatever else the study holds."
    ]
