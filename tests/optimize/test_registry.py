from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from lossatlas.core.errors import ConfigurationError
from lossatlas.optimize import LBFGSGSS, GoldenSectionLineSearch, Optimizer, get, optimizers


@pytest.mark.parametrize("name", list(optimizers))
def test_every_optimizer_lowers_a_quadratic_bowl(name: str, quadratic: Callable, points: Callable) -> None:
    optimizer = get(name)
    assert isinstance(optimizer, Optimizer)
    assert optimizers.summary(name)
    landscape, x = quadratic(4, 10.0), points(2, 4)
    state = optimizer.init(landscape, x)
    for _ in range(25):
        state = optimizer.step(landscape, state)
    assert (landscape.value(state.x) < landscape.value(x)).all()
    assert state.steps == 25
    assert state.x.dtype == x.dtype
    resumed = optimizer.state_type.from_tree(state.to_tree())
    assert torch.equal(optimizer.step(landscape, resumed).x, optimizer.step(landscape, state).x)


def test_constants_of_the_line_search_are_options_too() -> None:
    optimizer = get("lbfgs-gss", history=3, tolerance=0.0, probe="published")
    assert optimizer == LBFGSGSS(history=3, search=GoldenSectionLineSearch(tolerance=0.0, probe="published"))


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("lbfgs", {}, "did you mean 'lbfgs-gss'"),
        ("lbfgs-gss", {"histroy": 3}, "did you mean 'history'"),
        ("lbfgs-gss", {"tolerence": 3}, "did you mean 'tolerance'"),
        ("sgd", {"momentun": 0.9}, "did you mean 'momentum'"),
        ("sgd", {"momentum": "a lot"}, "momentum"),
        ("adam", {"beta": 0.9}, "did you mean 'betas'"),
        ("adamw", {"lr": -1.0}, "learning rate"),
    ],
)
def test_mistakes_are_named(name: str, options: dict, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        get(name, **options)
