"""The problems of a study, made from its configuration."""

from __future__ import annotations

import functools

import torch

from lossatlas import data, problems
from lossatlas.data.division import divide
from lossatlas.problems import Problem
from lossatlas.study.config import StudyConfig

__all__ = ["make_problem", "make_problems"]


def make_problems(config: StudyConfig, device: str) -> dict[str, Problem]:
    """Load the data once and build the problem of every network.

    Args:
        config: of the study.
        device: where to compute.

    Returns:
        Problems by network.

    Raises:
        DataError: missing or corrupt data, or fewer examples than are wanted.
    """
    whole = _whole(config)
    # Networks that see the same examples share them.
    splits = functools.cache(functools.partial(_divide, whole, config.data.validation))
    return {name: _problem(config, name, splits(*_sizes(config, name)), device) for name in config.networks}


def make_problem(config: StudyConfig, network: str, device: str, *, validation: float) -> Problem:
    """Build the problem of one network with another part of the training data held out.

    Args:
        config: of the study.
        network: its name.
        device: where to compute.
        validation: fraction or number of training examples held out.

    Raises:
        DataError: missing or corrupt data, or fewer examples than are wanted.
    """
    return _problem(config, network, _divide(_whole(config), validation, *_sizes(config, network)), device)


def _whole(config: StudyConfig) -> data.Splits:
    return data.get(config.data.name, data_dir=config.data.directory)


def _sizes(config: StudyConfig, network: str) -> tuple[int | None, int | None]:
    own = config.networks[network]
    return own.train_size or config.data.train_size, own.test_size or config.data.test_size


def _divide(splits: data.Splits, validation: float, train_size: int | None, test_size: int | None) -> data.Splits:
    return divide(splits, validation=validation, train_size=train_size, test_size=test_size)


def _problem(config: StudyConfig, name: str, splits: data.Splits, device: str) -> Problem:
    network = config.networks[name]
    made = problems.get(
        config.problem_of(name), data=splits, device=device, dtype=getattr(torch, config.dtype), **network.options
    )
    if network.problem is not None:
        # Two networks may be called alike in two studies and be made of different problems.
        made.details["problem"] = network.problem
    return made
