"""The named problems: the paper's four, and the networks by which landscapes are usually compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lossatlas import data as datasets
from lossatlas import models
from lossatlas.core.errors import InputError
from lossatlas.core.randomness import preserved_random_state
from lossatlas.core.registry import Registry
from lossatlas.landscape.network import Numerics
from lossatlas.landscape.network.program import Forward, Loss, keeps_running_statistics
from lossatlas.problems.problem import STATISTICS_BATCH, Problem

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
        fitted: options of the model that the data decide unless they are given: ``"channels"`` and ``"side"`` of
            images, ``"inputs"`` (entries of a sample), ``"classes"`` and ``"outputs"`` (number of classes).
        sample: shape of a sample that a model of fixed ends takes; None where its options say.
        flattens: whether any sample with as many entries will do.
        classes: number of classes of a model of fixed ends; None where its options say, or it has none.
    """

    model: str
    loss: Loss
    forward: Forward | None = None
    classifies: bool = True
    loss_unit: str = "nat"
    fitted: tuple[str, ...] = ()
    sample: tuple[int, ...] | None = None
    flattens: bool = True
    classes: int | None = None

    def options_for(self, part: datasets.Dataset) -> dict[str, int]:
        """Options of the model that fit the samples of a data set.

        Raises:
            InputError: samples that are not square images, or targets that are not classes, where they must be.

        Example:
            >>> digits = datasets.get("digits").train
            >>> Blueprint("resnet20", F.cross_entropy, fitted=("channels", "classes")).options_for(digits)
            {'channels': 1, 'classes': 10}
        """
        shape = tuple(part.inputs.shape[1:])
        known: dict[str, int | None] = {"inputs": math.prod(shape), "classes": part.classes, "outputs": part.classes}
        if len(shape) == 3:
            known |= {"channels": shape[0], "side": shape[1] if shape[1] == shape[2] else None}
        found = {}
        for option in self.fitted:
            value = known.get(option)
            if value is None:
                raise InputError(
                    f"expected images (channels, side, side) with classes for '{self.model}', got samples of shape "
                    f"{shape}{'' if part.classes else ' without classes'}: give the option '{option}', or other data"
                )
            found[option] = value
        return found

    def check(self, part: datasets.Dataset, options: Mapping[str, object]) -> None:
        """Refuse data that the model cannot take.

        Args:
            part: a part of the data.
            options: of the model, those that fit the data included.

        Raises:
            InputError: samples of another shape, or class labels without an output.
        """
        shape = tuple(part.inputs.shape[1:])
        if self.sample is not None and shape != self.sample:
            entries = math.prod(self.sample)
            if not self.flattens or math.prod(shape) != entries:
                others = f" or of another shape with {entries} entries" if self.flattens else ""
                raise InputError(
                    f"expected samples of shape {self.sample}{others} for '{self.model}', got {shape} in "
                    f"'{part.name}': reshape or resize them, or choose a problem that fits its data, such as "
                    "'deep-linear'"
                )
        classes = options.get("classes", options.get("outputs", self.classes))
        if isinstance(classes, int) and part.targets.dtype == torch.int64:
            low, high = int(part.targets.min()), int(part.targets.max())
            if low < 0 or high >= classes:
                raise InputError(
                    f"expected class labels from 0 to {classes - 1} for '{self.model}', got {low} to {high} in "
                    f"'{part.name}': number the classes from 0 on, or choose a network with more outputs"
                )


def _reconstruct(model: Callable[..., Any], batch: Any) -> tuple[Tensor, Tensor]:
    images, _ = batch
    return model(images), images.flatten(1)


def _one_hot(model: Callable[..., Any], batch: Any) -> tuple[Tensor, Tensor]:
    images, classes = batch
    outputs = model(images)
    return outputs, (classes[..., None] == torch.arange(outputs.shape[-1], device=outputs.device)).to(outputs.dtype)


_IMAGES = ("channels", "classes")
_DIGIT = (1, 28, 28)


problems = Registry[Blueprint]("problem")
"""The named problems."""
problems.add(
    "fcp", Blueprint("fcp", F.cross_entropy, sample=_DIGIT, classes=10), "perceptron 784-50-50-10, cross-entropy"
)
problems.add(
    "lenet", Blueprint("lenet", F.cross_entropy, sample=_DIGIT, flattens=False, classes=10), "LeNet-5, cross-entropy"
)
problems.add(
    "autoencoder",
    Blueprint("autoencoder", F.mse_loss, _reconstruct, classifies=False, loss_unit="", sample=_DIGIT),
    "autoencoder, mean squared error",
)
problems.add(
    "lstm", Blueprint("lstm", F.cross_entropy, sample=_DIGIT, classes=10), "LSTM on permuted pixels, cross-entropy"
)
problems.add("resnet8", Blueprint("resnet8", F.cross_entropy, fitted=_IMAGES), "ResNet-8, cross-entropy")
problems.add("resnet20", Blueprint("resnet20", F.cross_entropy, fitted=_IMAGES), "ResNet-20, cross-entropy")
problems.add("resnet56", Blueprint("resnet56", F.cross_entropy, fitted=_IMAGES), "ResNet-56, cross-entropy")
problems.add("vgg9", Blueprint("vgg9", F.cross_entropy, fitted=(*_IMAGES, "side")), "VGG-9, cross-entropy")
problems.add(
    "deep-linear",
    Blueprint("deep-linear", F.mse_loss, _one_hot, classifies=False, loss_unit="", fitted=("inputs", "outputs")),
    "deep linear network, mean squared error to one-hot classes",
)


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
    """Make one of the named problems.

    Batch normalisation takes its statistics from fixed batches of at most 512 samples, those of the training data on
    the training data and those of the test data on the test data: the loss is a function of the weights alone, and its
    memory does not grow with the data. Networks without it are evaluated in eval mode.

    Args:
        name: ``"fcp"``, ``"lenet"``, ``"autoencoder"``, ``"lstm"``, ``"resnet8"``, ``"resnet20"``, ``"resnet56"``,
            ``"vgg9"`` or ``"deep-linear"``.
        data: name of a data set (``"digits"``, ``"mnist"``, ``"fashion-mnist"``, ``"cifar10"``), an ``.npz`` file, or
            splits.
        data_dir: where data files are; see :func:`lossatlas.data.get`.
        validation: fraction or number of training examples held out.
        train_size: use this many training examples.
        test_size: use this many test examples.
        device: where to compute.
        dtype: floating type.
        numerics: strategy and chunks; default: measured.
        options: of the model, such as ``activation="relu"`` or ``skips=False``.

    Returns:
        The problem.

    Raises:
        ConfigurationError: an unknown name or option.
        InputError: data of which the network cannot be made.
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
    with preserved_random_state():
        model = models.get(blueprint.model, **options)  # refuses unknown options before anything else happens
    fitted = {} if set(blueprint.fitted) <= set(options) else blueprint.options_for(splits.train)
    options = {**fitted, **options}
    for part in (splits.train, splits.test, splits.validation):
        if part is not None:
            blueprint.check(part, options)

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
        mode="batch-statistics" if keeps_running_statistics(model) else "eval",
        statistics_batch=STATISTICS_BATCH,
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
