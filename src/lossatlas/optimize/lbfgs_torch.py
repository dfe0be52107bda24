"""L-BFGS-GSS as a plain torch optimizer, for anybody's training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, Self, overload

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.params import ParamSpec
from lossatlas.landscape.contract import Rows
from lossatlas.optimize.lbfgs import LBFGSGSS, LBFGSState
from lossatlas.optimize.line_search import GoldenSectionLineSearch

__all__ = ["LBFGSGoldenSection"]

Closure = Callable[[], Any]


class _ClosureLandscape:
    """One row: the parameters that a closure uses, laid end to end."""

    spec: ParamSpec | None = None
    samples: int | None = None

    def __init__(self, parameters: list[Tensor], closure: Closure, value_closure: Closure | None) -> None:
        self.parameters = parameters
        self.closure = closure
        self.value_closure = value_closure

    @property
    def dim(self) -> int:
        return sum(p.numel() for p in self.parameters)

    @property
    def dtype(self) -> torch.dtype:
        return self.parameters[0].dtype

    @property
    def device(self) -> torch.device:
        return self.parameters[0].device

    def read(self) -> Tensor:
        """The parameters as one row, ``-> (1, d)``."""
        return torch.cat([p.detach().reshape(-1) for p in self.parameters])[None]

    @torch.no_grad()
    def write(self, x: Tensor) -> None:
        """Put a row ``(1, d)`` into the parameters."""
        for parameter, piece in zip(self.parameters, self._pieces(x), strict=True):
            parameter.copy_(piece)

    @torch.no_grad()
    def write_gradient(self, gradient: Tensor) -> None:
        """Put a row ``(1, d)`` into the parameters' ``grad``."""
        for parameter, piece in zip(self.parameters, self._pieces(gradient), strict=True):
            if parameter.grad is not None:
                parameter.grad = piece.clone()

    def value(self, x: Rows) -> Tensor:
        self.write(_tensor(x))
        if self.value_closure is None:
            return self._loss(self.closure)
        with torch.no_grad():
            return self._loss(self.value_closure)

    def value_and_grad(self, x: Rows) -> tuple[Tensor, Tensor]:
        self.write(_tensor(x))
        value = self._loss(self.closure)
        pieces = [torch.zeros_like(p) if p.grad is None else p.grad.detach() for p in self.parameters]
        return value, torch.cat([piece.reshape(-1) for piece in pieces])[None]

    def on(self, batch: Tensor) -> Self:
        raise InputError("expected no mini-batches for a closure, got indices: the closure chooses its data")

    def to(self, *, dtype: torch.dtype | None = None, device: str | torch.device | None = None) -> Self:
        raise InputError("expected the parameters' own dtype and device, got others: convert the model instead")

    def _pieces(self, row: Tensor) -> list[Tensor]:
        pieces = torch.split(row[0], [p.numel() for p in self.parameters])
        return [piece.reshape(p.shape) for piece, p in zip(pieces, self.parameters, strict=True)]

    def _loss(self, closure: Closure) -> Tensor:
        loss = torch.as_tensor(closure(), dtype=self.dtype, device=self.device)
        if loss.numel() != 1:
            raise InputError(f"expected the closure to return one loss, got shape {tuple(loss.shape)}: average it")
        return loss.detach().reshape(1)


def _tensor(x: Rows) -> Tensor:
    return x if isinstance(x, Tensor) else x.dense()


def _one_group(params: Iterable[Any]) -> list[Tensor]:
    """One parameter group without repetitions."""
    given = list(params)
    if any(isinstance(p, dict) for p in given):
        if len(given) != 1:
            raise InputError(f"expected one parameter group, got {len(given)}: L-BFGS takes one step for all of them")
        inside = given[0]["params"]
        given = [inside] if isinstance(inside, Tensor) else list(inside)
    tensors = [p[1] if isinstance(p, tuple) else p for p in given]
    return list({id(p): p for p in tensors}.values())


class LBFGSGoldenSection(torch.optim.Optimizer):
    """:class:`LBFGSGSS` for the parameters of one model.

    Step by step and bit by bit the same algorithm. Parameters that are frozen, or to which the closure gives no
    gradient, are left alone; tied ones count once. The loss has to be the same function at each step (full batch, no
    dropout): its gradient is kept from the end of one step to the beginning of the next. Weights changed between steps
    are noticed, and the optimizer then starts afresh from there. Once :attr:`progress` is no longer active, steps
    evaluate nothing and return the last loss.

    Args:
        params: parameters, or one group of them.
        history: pairs kept.
        minimum_cosine: smallest cosine between a step and its change of gradient.
        regularisation: added to s·y.
        guard: refuse steps uphill.
        retry_evaluations: losses the guard may use along −g.
        gradient_tolerance: stop where |g| is at most this.
        search: the line search.

    Raises:
        InputError: several parameter groups, dtypes or devices, or no trainable parameter.
        ConfigurationError: a constant is out of range.

    Example:
        >>> w = torch.nn.Parameter(torch.tensor([3.0, -2.0], dtype=torch.float64))
        >>> optimizer = LBFGSGoldenSection([w])
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (w**2).sum()
        ...     loss.backward()
        ...     return loss
        >>> losses = [optimizer.step(closure, lambda: (w**2).sum()) for _ in range(9)]
        >>> losses[0].item(), losses[-1].item() < 1e-6
        (13.0, True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        history: int = LBFGSGSS.history,
        minimum_cosine: float = LBFGSGSS.minimum_cosine,
        regularisation: float = LBFGSGSS.regularisation,
        guard: bool = LBFGSGSS.guard,
        retry_evaluations: int = LBFGSGSS.retry_evaluations,
        gradient_tolerance: float = LBFGSGSS.gradient_tolerance,
        search: GoldenSectionLineSearch | None = None,
    ) -> None:
        constants = LBFGSGSS(
            history=history,
            minimum_cosine=minimum_cosine,
            regularisation=regularisation,
            guard=guard,
            retry_evaluations=retry_evaluations,
            gradient_tolerance=gradient_tolerance,
            search=search or GoldenSectionLineSearch(),
        )
        super().__init__(_one_group(params), asdict(constants))
        trainable = self._trainable()
        if not trainable:
            raise InputError("expected at least one parameter with requires_grad=True, got none")
        if len({(p.dtype, p.device) for p in trainable}) > 1:
            raise InputError("expected parameters of one dtype on one device, got several: convert the model first")
        self._row: LBFGSState | None = None

    @property
    def progress(self) -> LBFGSState | None:
        """The one-row state (loss, gradient, evaluation counts, status); None before the first step."""
        return self._row

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Accept the first group and refuse more.

        Raises:
            InputError: there is a group already.
        """
        if self.param_groups:
            raise InputError("expected one parameter group, got a second: L-BFGS takes one step for all of them")
        super().add_param_group(param_group)

    @overload
    def step(self, closure: None = None, value_closure: Closure | None = None) -> None: ...
    @overload
    def step(self, closure: Closure, value_closure: Closure | None = None) -> Any: ...
    def step(self, closure: Closure | None = None, value_closure: Closure | None = None) -> Any:
        """Take one step.

        Args:
            closure: clears the gradients, computes the loss, calls ``backward`` and returns the loss.
            value_closure: returns the loss alone; used, without recording gradients, for the trials of the line
                search. None: the trials call ``closure``, and its backward passes are wasted.

        Returns:
            The loss where the step began, a tensor without axes.

        Raises:
            InputError: no closure, or one that does not return a single loss.
        """
        if closure is None:
            raise InputError("expected a closure that returns the loss, got None: the line search evaluates it")
        landscape = _ClosureLandscape(self._trainable(), torch.enable_grad()(closure), value_closure)
        algorithm, here, before = self._algorithm(), landscape.read(), self._row
        if before is None or not torch.equal(before.x, here):
            before = algorithm.init(landscape, here)
        self._row = after = algorithm.step(landscape, before)
        landscape.write(after.x)
        if torch.equal(after.x, here):
            # The last evaluation was a trial that was not taken.
            landscape.write_gradient(after.gradient)
        return before.value[0].clone()

    def state_dict(self) -> dict[str, Any]:
        """Return constants and progress as tensors and numbers; :meth:`load_state_dict` resumes to the same bits."""
        stored: dict[str, Any] = super().state_dict()
        stored["row"] = None if self._row is None else self._row.to_tree()
        return stored

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`; the parameters are loaded with the model."""
        rest = {name: value for name, value in state_dict.items() if name != "row"}
        super().load_state_dict(rest)
        device = self._trainable()[0].device
        tree = state_dict["row"]
        self._row = None if tree is None else LBFGSState.from_tree(tree, device)

    def __getstate__(self) -> dict[str, Any]:
        # torch copies and pickles only what it knows about.
        return {**super().__getstate__(), "_row": self._row}

    def _algorithm(self) -> LBFGSGSS:
        """The constants as they are now: users may change a group's entries between steps."""
        constants = {k: v for k, v in self.param_groups[0].items() if k in LBFGSGSS.__dataclass_fields__}
        return LBFGSGSS(**{**constants, "search": GoldenSectionLineSearch(**constants["search"])})

    def _trainable(self) -> list[Tensor]:
        parameters: list[Tensor] = self.param_groups[0]["params"]
        return [p for p in parameters if p.requires_grad]
