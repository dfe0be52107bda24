"""The problems of a study, made from its configuration."""

from __future__ import annotations

import torch

from lossatlas import data, problems
from lossatlas.problems import Problem
from lossatlas.study.config import StudyConfig

__all__ = ["make_problems"]


def make_problems(config: StudyConfig, device: str) -> dict[str, Problem]:
    """Load the data once and build the problem of every network.

    Args:
        config: of the study.
        device: where to compute.

    Returns:
        Problems by network.

    Raises:
        DataError: missing or corrupt data.
    """
    splits = data.get(
        config.data.name,
        data_dir=config.data.directory,
        validation=config.data.validation,
        train_size=config.data.train_size,
        test_size=config.data.test_size,
    )
    return {
        name: problems.get(name, data=splits, device=device, dtype=getattr(torch, config.dtype), **network.options)
        for name, network in config.networks.items()
    }
