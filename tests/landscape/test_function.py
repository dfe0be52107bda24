"""from_function: what is accepted, what is refused, and what the user's function may do."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lossatlas.core.errors import InputError
from lossatlas.landscape import from_function

FLOAT64 = torch.float64
POINTS = torch.tensor([[0.1, 0.2, 0.3], [1.0, -1.0, 0.5]], dtype=FLOAT64)


def bowl(x):
    return (x**2).sum(-1) + x[..., 0] ** 3


def exact(x):
    grad = 2 * x
    grad[..., 0] += 3 * x[..., 0] ** 2
    return grad


@pytest.mark.parametrize(
    ("f", "grad", "library", "method", "tolerance"),
    [
        (bowl, None, "torch", "autograd", 1e-14),
        (lambda x: torch.sum(x**2) + x[0] ** 3, None, "torch", "autograd", 1e-14),
        (lambda x: np.sum(x**2) + np.power(x[0], 3), None, "numpy", "central differences", 1e-9),
        (lambda x: math.fsum(float(u) ** 2 for u in x) + float(x[0]) ** 3, None, "numpy", "central differences", 1e-9),
        (lambda x: np.dot(x, x) + x[0] ** 3, exact, "numpy", "given", 1e-14),
        (bowl, exact, "torch", "given", 1e-14),
    ],
)
def test_library_and_gradient_method_are_named(f, grad, library, method, tolerance):
    landscape = from_function(f, 3, grad)
    assert landscape.library == library
    assert landscape.gradient_method == method
    value, found = landscape.value_and_grad(POINTS)
    torch.testing.assert_close(value, bowl(POINTS))
    torch.testing.assert_close(found, exact(POINTS), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("f", "grad"),
    [
        (bowl, lambda x: np.asarray(2 * x + 3 * np.multiply(x**2, np.array([1.0, 0.0, 0.0])))),
        (lambda x: np.sum(x**2) + np.power(x[0], 3), lambda x: torch.cat([2 * x[:1] + 3 * x[:1].square(), 2 * x[1:]])),
    ],
    ids=["torch, gradient in numpy", "numpy, gradient in torch"],
)
@pytest.mark.parametrize("dtype", [FLOAT64, torch.float32])
def test_a_function_and_its_gradient_in_two_libraries(f, grad, dtype):
    landscape = from_function(f, 3, grad, dtype=dtype)
    assert landscape.gradient_method == "given"
    rough = 1e-14 if dtype == FLOAT64 else 1e-5
    value, found = landscape.value_and_grad(POINTS.to(dtype))
    torch.testing.assert_close(value, bowl(POINTS).to(dtype), rtol=rough, atol=rough)
    torch.testing.assert_close(found, exact(POINTS).to(dtype), rtol=rough, atol=rough)
    v = torch.tensor([[1.0, 2.0, 3.0], [-1.0, 0.0, 20.0]], dtype=dtype)
    expected = 2 * v
    expected[:, 0] += 6 * POINTS[:, 0].to(dtype) * v[:, 0]
    torch.testing.assert_close(
        landscape.hvp(POINTS.to(dtype), v), expected, rtol=1e-6 if dtype == FLOAT64 else 2e-3, atol=1e-7
    )


def test_a_gradient_of_a_numpy_function_gets_float64_where_it_takes_both():
    seen = []

    def grad(x):
        seen.append(type(x))
        return exact(x)

    landscape = from_function(lambda x: np.dot(x, x) + x[0] ** 3, 3, grad, dtype=torch.float32)
    landscape.value_and_grad(POINTS.float())
    assert set(seen) == {np.ndarray}


def test_a_gradient_in_neither_library_is_refused():
    with pytest.raises(InputError, match=r"expected a gradient of one point .* takes neither"):
        from_function(bowl, 3, lambda x: x.gradient)


@pytest.mark.parametrize("batched", [False, True])
def test_products_of_numpy_functions(batched):
    v = torch.tensor([[1.0, 2.0, 3.0], [-1.0, 0.0, 20.0]], dtype=FLOAT64)
    expected = 2 * v
    expected[:, 0] += 6 * POINTS[:, 0] * v[:, 0]

    def f(x):
        return np.sum(x**2, -1) + np.power(x[..., 0], 3)

    torch.testing.assert_close(from_function(f, 3, exact, batched=batched).hvp(POINTS, v), expected, rtol=0, atol=1e-8)
    torch.testing.assert_close(from_function(f, 3, batched=batched).hvp(POINTS, v), expected, rtol=0, atol=2e-6)


def test_vmap_is_used_where_it_works_and_a_loop_where_not():
    calls = []

    def counted(x):
        calls.append(1)
        return bowl(x)

    rows = torch.rand(50, 3, dtype=FLOAT64, generator=torch.Generator().manual_seed(0))
    fast = from_function(counted, 3, library="torch")
    fast.value(rows)
    calls.clear()
    fast.value(rows)
    assert len(calls) == 1
    slow = from_function(lambda x: counted(x) if float(x.detach()[0]) < 9 else x.sum(), 3, library="torch")
    slow.value(rows)
    calls.clear()
    torch.testing.assert_close(slow.value(rows), fast.value(rows))
    assert len(calls) == 50 + 1


def test_numpy_functions_get_float64_whatever_the_landscape():
    seen = []

    def f(x):
        seen.append(x.dtype)
        return float(np.sum(np.square(x)))

    single = from_function(f, 2, dtype=torch.float32)
    assert single.library == "numpy"
    seen.clear()
    value, grad = single.value_and_grad(torch.tensor([1.0, 2.0]))
    assert value.dtype == grad.dtype == torch.float32
    torch.testing.assert_close(grad, torch.tensor([2.0, 4.0]))
    assert set(seen) == {np.dtype(np.float64)}


@pytest.mark.parametrize("library", ["torch", "numpy"])
def test_non_finite_values_are_passed_on(library):
    def f(x):
        return (x**-1.0).sum() if library == "torch" else np.sum(np.where(x == 0, np.inf, x))

    landscape = from_function(f, 2, library=library)
    assert float(landscape.value(torch.zeros(2, dtype=FLOAT64))) == math.inf
    assert math.isnan(float(landscape.value(torch.full((2,), math.nan, dtype=FLOAT64))))


def test_a_hard_wall_has_no_slope_wherever_its_row_stands():
    def walled(x):
        return torch.tensor(math.inf, dtype=FLOAT64) if float(x.detach().norm()) > 1 else (x**2).sum()

    landscape = from_function(walled, 2)
    outside, inside = torch.tensor([[3.0, 0.0], [0.5, 0.0]], dtype=FLOAT64)
    value, grad = landscape.value_and_grad(torch.stack([outside, inside]))
    assert value.tolist() == [math.inf, 0.25]
    assert grad.tolist() == [[0.0, 0.0], [1.0, 0.0]]
    assert landscape.value_and_grad(outside)[1].tolist() == [0.0, 0.0]
    assert landscape.hvp(inside, inside).tolist() == [1.0, 0.0]


def test_a_plateau_has_no_slope_alone_or_in_company():
    def f(x):
        return torch.ones((), dtype=FLOAT64) if float(x.detach().norm()) > 1 else (x**2).sum()

    landscape = from_function(f, 2)
    rows = torch.tensor([[3.0, 0.0], [0.5, 0.0]], dtype=FLOAT64)
    assert landscape.value_and_grad(rows)[1].tolist() == [[0.0, 0.0], [1.0, 0.0]]
    assert landscape.value_and_grad(rows[0])[1].tolist() == [0.0, 0.0]
    assert landscape.hvp(rows[0], rows[0]).tolist() == [0.0, 0.0]


def test_linear_functions_have_no_curvature():
    landscape = from_function(lambda x: 3 * x.sum(), 2)
    assert landscape.hvp(POINTS[:, :2], POINTS[:, :2]).tolist() == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("library", ["torch", "numpy"])
def test_the_function_cannot_write_to_the_callers_rows(library, batched):
    def vandal(x):
        total = ((x + 0.0) ** 2).sum(-1)
        x *= 0.0
        return total

    rows = POINTS.clone()
    landscape = from_function(vandal, 3, library=library, batched=batched)
    torch.testing.assert_close(landscape.value(rows), (POINTS**2).sum(-1))
    landscape.value(rows[0])
    torch.testing.assert_close(landscape.value_and_grad(rows)[1], 2 * POINTS, rtol=1e-8, atol=1e-8)
    landscape.hvp(rows, rows)
    assert torch.equal(rows, POINTS)


REFUSED = {
    "rows where a point is expected": (lambda x: x**2, {}, r"shape \(\), got \(3,\)"),
    "one number for many rows": (lambda x: (x**2).sum(), {"batched": True}, r"shape \(1,\), got \(\)"),
    "another dtype": (lambda x: (x**2).sum().float(), {}, "float64 on cpu, got torch.float32"),
    "an integer": (lambda x: int(np.sum(x)), {}, "floating-point"),
    "a complex number": (lambda x: complex(np.sum(x)), {}, "floating-point"),
    "nothing": (lambda x: None, {}, "floating-point"),
    "an array of the wrong shape": (np.cos, {}, r"shape \(\), got \(3,\)"),
    "a function that fails": (lambda x: x[17], {}, "takes neither"),
    "a graph cut": (lambda x: (x.detach() ** 2).sum() if isinstance(x, torch.Tensor) else x, {}, "differentiable"),
    "a graph cut in part": (lambda x: math.sin(x[0]) + x[1] ** 2, {}, "match its values"),
    "a wrong gradient": (bowl, {"grad": lambda x: 2 * x}, "match its values"),
    "a gradient of the wrong shape": (bowl, {"grad": lambda x: x[:2]}, "shape"),
    "an unknown library": (bowl, {"library": "jax"}, "library"),
    "something that is no function": (3.0, {}, "function"),
    "no function as gradient": (bowl, {"grad": 3.0}, "grad as a function"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_when_wrapped(what):
    f, options, message = REFUSED[what]
    with pytest.raises(InputError, match=message):
        from_function(f, 3, **options).value(POINTS[:1])


def test_a_named_library_is_believed():
    calls = []

    def f(x):
        calls.append(1)
        return x.sum() ** 2

    landscape = from_function(f, 3, library="torch")
    assert not calls
    assert landscape.library == "torch"
    numbers = from_function(lambda x: x, 3, library="torch")
    with pytest.raises(InputError, match="got \\(3,\\)"):
        numbers.value(POINTS)
    with pytest.raises(InputError, match="return a torch tensor, got float"):
        from_function(lambda x: 1.0, 3, library="torch").value(POINTS)


def test_errors_of_the_function_are_its_own():
    def moody(x):
        if float(x[0]) > 0.95:
            raise KeyError("too far right")
        return (x**2).sum()

    with pytest.raises(KeyError, match="too far right"):
        from_function(moody, 3, library="torch").value(POINTS)
