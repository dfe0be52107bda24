"""Optimizers by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import Any, TypeAlias

import torch

from lossatlas.core.errors import ConfigurationError
from lossatlas.core.options import check_options, option_names
from lossatlas.core.registry import Registry
from lossatlas.optimize.lbfgs import LBFGSGSS
from lossatlas.optimize.line_search import GoldenSectionLineSearch
from lossatlas.optimize.optimizer import Optimizer
from lossatlas.optimize.sgd import SGD, GradientDescent
from lossatlas.optimize.torch_adapter import TorchOptimizer

__all__ = ["AnyOptimizer", "get", "optimizers"]

AnyOptimizer: TypeAlias = Optimizer[Any]
"""An optimizer with whatever state it has."""

optimizers: Registry[Callable[..., AnyOptimizer]] = Registry("optimizer")
"""Factories of optimizers by name; a user's own joins by ``optimizers.add(name, factory, summary)``."""


def _lbfgs_gss(**options: Any) -> LBFGSGSS:
    """Make L-BFGS-GSS from its constants and those of its line search, side by side."""
    own = {f.name for f in fields(LBFGSGSS)}
    search = {f.name for f in fields(GoldenSectionLineSearch)}
    check_options("lbfgs-gss", options, own | search)
    base = options.pop("search", GoldenSectionLineSearch())
    chosen = {name: value for name, value in options.items() if name in search}
    rest = {name: value for name, value in options.items() if name in own}
    return LBFGSGSS(**rest, search=replace(base, **chosen))


optimizers.add("lbfgs-gss", _lbfgs_gss, "L-BFGS directions with golden-section line search, full batch")
optimizers.add("sgd", SGD, "stochastic gradient descent with momentum, Nesterov and weight decay")
optimizers.add("gd", GradientDescent, "gradient descent on the full batch")
for _name, _factory, _summary in (
    ("adam", torch.optim.Adam, "adaptive moments (Kingma & Ba 2015)"),
    ("adamw", torch.optim.AdamW, "Adam with decoupled weight decay (Loshchilov & Hutter 2019)"),
    ("adamax", torch.optim.Adamax, "Adam with the maximum norm (Kingma & Ba 2015)"),
    ("nadam", torch.optim.NAdam, "Adam with Nesterov's momentum (Dozat 2016)"),
    ("radam", torch.optim.RAdam, "Adam with rectified variance (Liu et al. 2020)"),
    ("rmsprop", torch.optim.RMSprop, "gradients divided by their running root mean square"),
    ("rprop", torch.optim.Rprop, "signs of gradients only (Riedmiller & Braun 1993)"),
    ("adagrad", torch.optim.Adagrad, "gradients divided by their accumulated size (Duchi et al. 2011)"),
    ("adadelta", torch.optim.Adadelta, "AdaGrad without a learning rate to choose (Zeiler 2012)"),
    ("asgd", torch.optim.ASGD, "averaged stochastic gradient descent (Polyak & Juditsky 1992)"),
    ("adafactor", torch.optim.Adafactor, "factored second moments, one optimizer per replica (Shazeer & Stern 2018)"),
):
    optimizers.add(_name, partial(TorchOptimizer, _factory), _summary)


def get(name: str, **options: Any) -> AnyOptimizer:
    """Make an optimizer by name.

    Args:
        name: such as ``"lbfgs-gss"``, ``"sgd"`` or ``"adamw"``.
        options: its constants; published or usual ones are the defaults.

    Raises:
        ConfigurationError: unknown name or option (with the nearest valid one), or a value out of range.

    Example:
        >>> get("sgd", lr=0.2).lr
        0.2
        >>> get("sgd", learning_rate=0.2)
        Traceback (most recent call last):
        lossatlas.core.errors.ConfigurationError: sgd has no option 'learning_rate': ...
    """
    factory = optimizers[name]
    valid = option_names(factory)
    if valid is not None:
        check_options(name, options, valid)
    try:
        return factory(**options)
    except TypeError as error:
        raise ConfigurationError(f"expected options that {name} accepts, got {options}: {error}") from error
