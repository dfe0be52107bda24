"""Network architectures, by name.

A new architecture is one file with an ``nn.Module`` and one line here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from lossatlas.core.options import check_options, option_names
from lossatlas.core.registry import Registry
from lossatlas.models.activations import activations
from lossatlas.models.autoencoder import Autoencoder
from lossatlas.models.deep_linear import DeepLinear
from lossatlas.models.fcp import FCP
from lossatlas.models.lenet import LeNet
from lossatlas.models.lstm import PixelLSTM
from lossatlas.models.resnet import ResNet
from lossatlas.models.vgg import VGG9

__all__ = [
    "FCP",
    "VGG9",
    "Autoencoder",
    "DeepLinear",
    "LeNet",
    "PixelLSTM",
    "ResNet",
    "activations",
    "get",
    "models",
]

models = Registry[Callable[..., nn.Module]]("model")
"""Architectures by name."""
models.add("fcp", FCP, "784-50-50-10 perceptron, 42 200 parameters")
models.add("lenet", LeNet, "LeNet-5 with average pooling, 61 706 parameters")
models.add("autoencoder", Autoencoder, "784-32-32-32-32-784 autoencoder, 52 224 parameters")
models.add("lstm", PixelLSTM, "LSTM on permuted pixels, 15 456 parameters")
models.add("resnet8", partial(ResNet, depth=8), "ResNet-8 for small images, the smallest of its kind")
models.add("resnet20", partial(ResNet, depth=20), "ResNet-20 for small images, with or without skips")
models.add("resnet56", partial(ResNet, depth=56), "ResNet-56 for small images, with or without skips")
models.add("vgg9", VGG9, "VGG-9, seven convolutions and two dense layers")
models.add("deep-linear", DeepLinear, "product of matrices without biases")


def get(name: str, **options: object) -> nn.Module:
    """Build a model by name, with torch's default initialisation.

    Args:
        name: one of ``models``.
        options: arguments of the model's class, such as ``activation="relu"``.

    Returns:
        A new module on the CPU in float32.

    Raises:
        ConfigurationError: unknown name, or an option the model does not have.

    Example:
        >>> sum(p.numel() for p in get("fcp", activation="relu").parameters())
        42200
    """
    factory = models[name]
    check_options(f"model '{name}'", options, option_names(factory) or options)
    return factory(**options)
