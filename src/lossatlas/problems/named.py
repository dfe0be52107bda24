"""The paper's four problems, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lossatlas import data as datasets
from lossatlas import models
from lossatlas.core.registry import Registry
from lossatlas.landscape.network import Numerics
from lossatlas.landscape.network.program import Forward, Loss
from lossatlas.problems.problem import Problem

__all__ = ["Blueprint", "get", "problems"]


@dataclass(frozen=True)
class Blueprint:
    """What a named problem adds to its data.

    Args:
        model: name of the model.
        loss: its loss.
        forward: how a batch becomes output and target; None for ``(inputs, target)``.
        classifies: whether it has an accuracy.
        loss_unit: unit of the loss.
    """

    model: str
    loss: Loss
    forward: Forward | None = None
    classifies: bool = True
    loss_unit: str = "nat"


def _reconstruct(model: Callable[..., Any], batch: Any) -> tuple[Tensor, Tensor]:
    images, _ = batch
    return model(images), images.flatten(1)


problems = Registry[Blueprint]("problem")
"""The named problems."""
problems.add("fcp", Blueprint("fcp", F.cross_entropy), "perceptron 784-50-50-10, cross-entropy")
problems.add("lenet", Blueprint("lenet", F.cross_entropy), "LeNet-5, cross-entropy")
problems.add(
    "autoencoder",
    Blueprint("autoencoder", F.mse_loss, _reconstruct, classifies=False, loss_unit=""),
    "autoencoder, mean squared error",
)
problems.add("lstm", Blueprint("lstm", F.cross_entropy), "LSTM on permuted pixels, cross-entropy")


def get(
    name: str,
    *,
    data: str | datasets.Splits = "digits",
    data_dir: str | Path | None = None,
    validation: float = 0.0,
    train_size: int | None = None,
    test_size: int | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float32,
    numerics: Numerics | None = None,
    **options: object,
) -> Problem:
    """Make one of the paper's problems.

    Args:
        name: ``"fcp"``, ``"lenet"``, ``"autoencoder"`` or ``"lstm"``.
        data: name of a data set (``"digits"``, ``"mnist"``, ``"fashion-mnist"``), an ``.npz`` file, or splits.
        data_dir: where data files are; see :func:`lossatlas.data.get`.
        validation: fraction or number of training examples held out.
        train_size: use this many training examples.
        test_size: use this many test examples.
        device: where to compute.
        dtype: floating type.
        numerics: strategy and chunks; default: measured.
        options: of the model, such as ``activation="relu"``.

    Returns:
        The problem.

    Raises:
        ConfigurationError: an unknown name or option.
        DataError: missing or corrupt data.

    Example:
        >>> problem = get("fcp", data="digits")
        >>> problem.dim, problem.train.samples, problem.test.samples
        (42200, 1437, 360)
    """
    blueprint = problems[name]
    splits = (
        data
        if isinstance(data, datasets.Splits)
        else datasets.get(data, data_dir=data_dir, validation=validation, train_size=train_size, test_size=test_size)
    )
    models.get(blueprint.model, **options)  # refuses unknown options before anything else happens

    def pair(part: datasets.Dataset) -> tuple[Tensor, Tensor]:
        return part.inputs, part.targets

    return Problem(
        name,
        partial(models.get, blueprint.model, **options),
        blueprint.loss,
        train=pair(splits.train),
        test=pair(splits.test),
        validation=pair(splits.validation) if splits.validation is not None else None,
        forward=blueprint.forward,
        metrics=None if blueprint.classifies else {},
        dtype=dtype,
        device=device,
        numerics=numerics,
        loss_unit=blueprint.loss_unit,
        details={
            "data": {
                "name": splits.name,
                "checksum": splits.checksum,
                "source": splits.source,
                "train": len(splits.train),
                "test": len(splits.test),
                "validation": len(splits.validation) if splits.validation is not None else 0,
            },
            "options": dict(options),
        },
    )
