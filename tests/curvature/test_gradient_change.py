from __future__ import annotations

import pytest
import torch

from lossatlas import landscape
from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator
from lossatlas.curvature import gradient_change

STEPS = torch.tensor([0.01, 0.1, 0.3])


def test_on_a_quadratic_it_is_the_hessian_along_the_gradient() -> None:
    bowl = landscape.get("quadratic", dim=6, condition=100.0)
    w = torch.randn(2, 3, 6, dtype=torch.float64, generator=generator("change"))
    _, g = bowl.value_and_grad(w)
    exact = bowl.hvp(w, g).norm(dim=-1) / g.norm(dim=-1)
    found = gradient_change(bowl, w, STEPS)
    assert found.shape == (2, 3)
    torch.testing.assert_close(found, exact, rtol=1e-9, atol=0)
    top = torch.linalg.eigvalsh(bowl.hvp(w[0, 0].expand(6, 6), torch.eye(6, dtype=torch.float64)))[-1]
    assert bool((found <= top * (1 + 1e-9)).all())  # never above the Lipschitz constant


def test_the_largest_step_that_matters_is_found() -> None:
    kink = landscape.from_function(lambda x: torch.where(x < 0, x**2, 0.0 * x).sum() + x.sum(), dim=1)
    here = torch.tensor([0.25], dtype=torch.float64)  # the gradient is 1; the bend lies 0.25 ahead
    assert float(gradient_change(kink, here, torch.tensor([0.1, 0.2]))) == 0
    assert float(gradient_change(kink, here, torch.tensor([0.1, 0.5]))) == pytest.approx(2 * 0.25 / 0.5)


def test_where_there_is_no_slope_or_no_number() -> None:
    bowl = landscape.get("quadratic", dim=2)
    assert float(gradient_change(bowl, torch.zeros(2).double(), STEPS)) == 0
    root = landscape.from_function(lambda x: x.sqrt().sum(), dim=1)
    assert gradient_change(root, torch.tensor([0.1]).double(), STEPS).isnan()  # the last step leads below zero
    assert gradient_change(root, torch.tensor([0.1]).double(), STEPS[:1]).isfinite()


@pytest.mark.parametrize("steps", [[0.0, 1.0], [], 1.0, [torch.nan]])
def test_steps_that_are_none_are_refused(steps: float | list[float]) -> None:
    with pytest.raises(InputError, match="expected steps"):
        gradient_change(landscape.get("quadratic", dim=2), torch.zeros(2).double(), torch.tensor(steps))
