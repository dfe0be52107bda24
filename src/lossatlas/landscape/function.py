"""from_function: any energy somebody already has, written in torch or numpy, as a landscape."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator, preserved_random_state
from lossatlas.landscape.analytic.energy import Device, Energy
from lossatlas.landscape.calls import call_numpy, call_torch, call_torch_rows
from lossatlas.landscape.differences import central_gradient, product_of_gradients, product_of_values
from lossatlas.landscape.libraries import Library, detect_library

__all__ = ["Choice", "FunctionLandscape", "from_function"]

Choice: TypeAlias = Literal["auto", "torch", "numpy"]

# A derivative that is right agrees to far better than this; one that misses a term rarely does.
_PROBE_TOLERANCE = 0.02


class FunctionLandscape(Energy):
    """A landscape around a function of the user's; made by :func:`from_function`, which says what it does."""

    def __init__(
        self,
        f: Callable[..., object],
        dim: int,
        grad: Callable[..., object] | None = None,
        *,
        batched: bool = False,
        library: Choice = "auto",
        dtype: torch.dtype = torch.float64,
        device: Device = None,
        name: str = "function",
    ) -> None:
        for what, given in (("f", f), ("grad", grad)):
            if given is not None and not callable(given):
                raise InputError(f"expected {what} as a function, got {type(given).__name__}")
        if library not in ("auto", "torch", "numpy"):
            raise InputError(f"expected library as 'auto', 'torch' or 'numpy', got {library!r}")
        super().__init__(dim, name=name, dtype=dtype, device=device)
        self._f, self._grad, self._batched = f, grad, batched
        self._vmap: bool | None = None
        self._differentiable = False  # seen to be: then a row without a graph is on a plateau, not a mistake
        self._library: Library
        self._grad_library: Library
        if library == "auto":
            with preserved_random_state(self.device):
                self._library = self._grad_library = self._detect(f, "function", "torch")
                if grad is not None:
                    # Asked on its own: an energy in torch may come with the gradient of a numpy code.
                    self._grad_library = self._detect(grad, "gradient", self._library)
                self._refuse_wrong_gradient()
        else:
            self._library = self._grad_library = library

    @property
    def library(self) -> Library:
        """What the function is written in."""
        return self._library

    @property
    def gradient_method(self) -> str:
        """How gradients are computed: ``"given"``, ``"autograd"`` or ``"central differences"``."""
        if self._grad is not None:
            return "given"
        return "autograd" if self._library == "torch" else "central differences"

    # ------------------------------------------------------------------ evaluation
    def _energy(self, x: Tensor) -> Tensor:
        if self._library == "numpy":
            return self._back(self._values64(x.detach().to("cpu", torch.float64)))
        if self._batched:
            return call_torch(self._f, x, x.shape[:1], self.name, "batched=True: (n, d) -> (n,)")
        if self._vmap is not False and len(x):
            if self._vmap is None:
                self._vmap = self._vmap_works(x)
            if self._vmap:
                return call_torch(torch.func.vmap(self._f), x, x.shape[:1], self.name, "one point: (d,) -> ()")
        return call_torch_rows(self._f, x, (), self.name)

    def _energy_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self._grad is not None:
            return self._energy(x).detach(), self._given_gradient(x)
        if self._library == "numpy":
            return self._energy(x), self._back(central_gradient(self._values64, x.detach().to("cpu", torch.float64)))
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            values = self._connected(self._energy(leaf))
            if not values.requires_grad:
                return values, torch.zeros_like(x)
            (grads,) = torch.autograd.grad(values.sum(), leaf, materialize_grads=True)
        return values.detach(), grads

    def _hessian_product(self, x: Tensor, v: Tensor) -> Tensor:
        if self._library == "torch":
            with torch.enable_grad():
                leaf = x.detach().requires_grad_()
                values = self._energy(leaf)
                if values.requires_grad:
                    (grads,) = torch.autograd.grad(values.sum(), leaf, create_graph=True, materialize_grads=True)
                    if not grads.requires_grad:
                        return torch.zeros_like(v)
                    product: Tensor
                    (product,) = torch.autograd.grad((grads * v).sum(), leaf, materialize_grads=True)
                    return product.detach()
            if self._grad is None:
                self._connected(values)
                return torch.zeros_like(v)
            return product_of_gradients(self._given_gradient, x, v)
        points, vectors = (tensor.detach().to("cpu", torch.float64) for tensor in (x, v))
        if self._grad is not None:
            if self._grad_library == "torch":
                return product_of_gradients(self._given_gradient, x, v)
            return self._back(product_of_gradients(self._grads64, points, vectors))
        return self._back(product_of_values(self._values64, points, vectors))

    def _given_gradient(self, x: Tensor) -> Tensor:
        if self._grad is None:  # only called where there is one; this is for the type checker
            raise AssertionError
        if self._grad_library == "numpy":
            return self._back(self._grads64(x.detach().to("cpu", torch.float64)))
        what = f"the gradient of {self.name}"
        if self._batched:
            return call_torch(self._grad, x, x.shape, what, "batched=True: (n, d) -> (n, d)").detach()
        return call_torch_rows(self._grad, x, (self.dim,), what).detach()

    def _values64(self, x: Tensor) -> Tensor:
        """Values of a numpy function, in float64 whatever the landscape's type, ``(n, d) -> (n,)``."""
        return torch.from_numpy(call_numpy(self._f, x.numpy(), (), self._batched, self.name))

    def _grads64(self, x: Tensor) -> Tensor:
        if self._grad is None:  # as above
            raise AssertionError
        what = f"the gradient of {self.name}"
        return torch.from_numpy(call_numpy(self._grad, x.numpy(), (self.dim,), self._batched, what))

    def _back(self, found: Tensor) -> Tensor:
        return found.to(dtype=self.dtype, device=self.device)

    # ------------------------------------------------------------------ what the function is
    def _place(self, dtype: torch.dtype, device: torch.device) -> None:
        super()._place(dtype, device)
        self._vmap = None  # the function may capture tensors that only fit one type

    def _probe_rows(self) -> Tensor:
        """One generic point: no coordinate is zero, equal to another, or far from 1/2."""
        point = 0.1 + 0.8 * torch.rand(1, self.dim, dtype=torch.float64, generator=generator("probe", self.dim))
        return point.to(dtype=self.dtype, device=self.device)

    def _detect(self, function: Callable[..., object], what: str, first: Library) -> Library:
        rows = self._probe_rows()
        wanted = "rows (n, d)" if self._batched else "one point (d,)"
        return detect_library(function, rows if self._batched else rows[0], what=what, wanted=wanted, first=first)

    def _connected(self, values: Tensor) -> Tensor:
        if not (values.requires_grad or self._differentiable) and bool(torch.isfinite(values).any()):
            raise InputError(
                f"expected {self.name} to be differentiable by autograd, got a result that does not depend on its "
                "argument: avoid .item(), .detach() and numpy inside, or pass grad="
            )
        return values

    def _refuse_wrong_gradient(self) -> None:
        """Compare the slope along one direction with differences of the values.

        A function that turns part of its argument into plain numbers loses those terms of the gradient silently.
        """
        rows = self._probe_rows()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value, grads = self._energy_and_grad(rows)
            if self.gradient_method == "central differences":
                return
            direction = torch.linspace(1, 2, self.dim, dtype=self.dtype, device=self.device)
            step = torch.finfo(self.dtype).eps ** (1 / 3)
            above, below = self._energy(rows + step * direction), self._energy(rows - step * direction)
        self._differentiable = bool(torch.isfinite(value).all())
        measured, claimed = float((above - below) / (2 * step)), float((grads * direction).sum())
        noise = 10 * torch.finfo(self.dtype).eps / step * max(1.0, float(value.abs()))
        scale = max(abs(measured), abs(claimed), float((grads * direction).abs().sum()))
        if (
            np.isfinite(measured)
            and np.isfinite(claimed)
            and abs(measured - claimed) > noise + _PROBE_TOLERANCE * scale
        ):
            source = "grad" if self._grad is not None else "autograd"
            raise InputError(
                f"expected the gradient of {self.name} to match its values, got a slope of {claimed:.6g} from {source} "
                f"and {measured:.6g} from differences: use torch functions throughout (no float(), math.* or .item()), "
                "correct grad, or pass library= to skip this check"
            )

    def _vmap_works(self, x: Tensor) -> bool:
        """Try one vectorised call; anything unusual, even a warning, means rows go one by one."""
        try:
            with preserved_random_state(self.device), torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("error")
                found = torch.func.vmap(self._f)(x.detach().clone())
                alone = self._f(x[0].detach().clone())
        except Exception:
            return False
        if not (isinstance(found, Tensor) and isinstance(alone, Tensor) and found.shape == x.shape[:1]):
            return False
        return torch.allclose(found[0], alone, rtol=1e-4, atol=1e-6, equal_nan=True)


def from_function(
    f: Callable[..., object],
    dim: int,
    grad: Callable[..., object] | None = None,
    *,
    batched: bool = False,
    library: Choice = "auto",
    dtype: torch.dtype = torch.float64,
    device: Device = None,
    name: str = "function",
) -> FunctionLandscape:
    """Make a landscape of any energy, E(x) = f(x).

    In torch the gradient is autograd's and the Hessian-vector product a double backward pass; rows are vectorised by
    ``torch.func.vmap`` where the function allows it and looped over where not. In numpy the gradient is ``grad``, or
    central differences of step ε^(1/3) where there is none, and Hessian-vector products are central differences;
    :attr:`FunctionLandscape.gradient_method` names what is used. Functions in numpy always get float64. Every call
    gets its own copy of the point, so the function may write to it. NaN and infinity are passed on as they are.

    Args:
        f: ``(d,) -> ()`` for one point, or ``(n, d) -> (n,)`` with ``batched=True``. Torch functions return a tensor of
            the landscape's dtype, numpy functions a floating-point number or array.
        dim: number of coordinates d.
        grad: gradient, ``(d,) -> (d,)`` or ``(n, d) -> (n, d)``; torch or numpy, whatever f is written in.
        batched: whether f and grad take rows; never guessed.
        library: ``"torch"`` or ``"numpy"``. ``"auto"`` calls f and grad near (½, ..., ½) to see which each is, and
            refuses a gradient that does not match the values there; a named library is believed of both, and neither
            is called.
        dtype: floating type of rows and values.
        device: where rows must be; None is the CPU.
        name: name in messages and tables.

    Returns:
        The landscape.

    Raises:
        InputError: f takes neither tensors nor arrays, its result has the wrong shape or dtype (at any evaluation), or
            its gradient is lost on the way.

    Example:
        >>> landscape = from_function(lambda x: (x**2).sum(), dim=3)
        >>> value, gradient = landscape.value_and_grad(torch.ones(3, dtype=torch.float64))
        >>> value, gradient
        (tensor(3., dtype=torch.float64), tensor([2., 2., 2.], dtype=torch.float64))
        >>> from_function(lambda x: np.sum(np.cos(x)), dim=3).gradient_method
        'central differences'
    """
    return FunctionLandscape(f, dim, grad, batched=batched, library=library, dtype=dtype, device=device, name=name)
