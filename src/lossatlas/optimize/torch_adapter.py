"""Any torch optimizer trains an ensemble: elementwise ones on all rows at once, others one per row."""

from __future__ import annotations

import copy
import inspect
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self, TypeAlias

import torch
from torch import Tensor, nn

from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.core.files import Tree
from lossatlas.core.options import check_options, option_names
from lossatlas.landscape.contract import Landscape
from lossatlas.optimize.optimizer import State, start_rows, to_device
from lossatlas.optimize.rows import all_rows_finite, masked_value_and_grad
from lossatlas.optimize.schedules import Schedule, as_schedule
from lossatlas.optimize.sgd import settle_gradient_step

__all__ = ["ELEMENTWISE", "TorchFactory", "TorchOptimizer", "TorchState"]

TorchFactory: TypeAlias = Callable[..., torch.optim.Optimizer]
"""A class of torch optimizers, or a function ``(params, **options)`` that makes one."""

ELEMENTWISE: frozenset[TorchFactory] = frozenset(
    {
        torch.optim.ASGD,
        torch.optim.Adadelta,
        torch.optim.Adagrad,
        torch.optim.Adam,
        torch.optim.AdamW,
        torch.optim.Adamax,
        torch.optim.NAdam,
        torch.optim.RAdam,
        torch.optim.RMSprop,
        torch.optim.Rprop,
        torch.optim.SGD,
    }
)
"""Optimizers that treat each component by itself, so that all rows can be one parameter ``(n, d)``."""


class _Engine:
    """Live torch optimizers and their parameters; belongs to the newest state of a run."""

    def __init__(self, optimizers: list[torch.optim.Optimizer], parameters: list[list[nn.Parameter]], steps: int):
        self.optimizers = optimizers
        self.parameters = parameters
        self.steps = steps

    def memory(self) -> tuple[Tree, ...]:
        return tuple(copy.deepcopy(optimizer.state_dict()) for optimizer in self.optimizers)

    def set_lr(self, lr: float) -> None:
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr


@dataclass(frozen=True)
class TorchState(State):
    """State of a torch optimizer that trains rows.

    ``value`` is NaN: the loss at ``x`` is not known until the next step evaluates it.

    Args:
        batch_value: ``(n,)``, the loss where the last step began, on its batch; NaN before the first step.
        shapes: shapes of the parameters of each row's own optimizer; None: one optimizer for all rows.
        memory: state dictionaries to resume from, one per optimizer; empty for a run in progress.
        engine: the live optimizers of a run in progress. They change with each step, so only the newest state of a
            run can be stepped or stored; ``x`` and the other tensors of older ones stay as they were.
    """

    batch_value: Tensor
    shapes: tuple[tuple[int, ...], ...] | None
    memory: tuple[Tree, ...] = ()
    engine: _Engine | None = field(default=None, repr=False, compare=False)

    def check_newest(self) -> None:
        """Refuse a state whose optimizers have moved on.

        Raises:
            InputError: a later state of the same run exists.
        """
        if self.engine is not None and self.engine.steps != self.steps:
            raise InputError(
                f"expected the newest state of this run (step {self.engine.steps}), got that of step {self.steps}: "
                "to go back to a state, keep its to_tree()"
            )

    def to_tree(self) -> Tree:
        """Return nested dicts of tensors and numbers, independent of the run.

        Raises:
            InputError: a later state of the same run exists.
        """
        self.check_newest()
        tree = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "engine"}
        return tree | {"memory": self.memory if self.engine is None else self.engine.memory()}

    @classmethod
    def from_tree(cls, tree: Tree, device: str | torch.device | None = None) -> Self:
        """Rebuild a state from :meth:`to_tree`, on ``device`` if one is given."""
        # torch places the memory itself when it is loaded: some of it stays on the CPU.
        rest = {name: value for name, value in tree.items() if name != "memory"}
        return cls(**to_device(rest, device), memory=tuple(tree["memory"]))


@dataclass(frozen=True, init=False)
class TorchOptimizer:
    """Train rows with any torch optimizer that takes one gradient per step.

    Adam, AdamW, SGD and the other elementwise optimizers of torch run on one parameter ``(n, d)``. Every other one,
    also the user's own, gets an instance per row, with parameters of the network's real shapes where the landscape
    has a ``spec``: what it computes per tensor (norms, factored moments) is what it would compute for that network
    alone.

    Args:
        factory: a class such as :class:`torch.optim.AdamW`, or a function ``(params, **options)``.
        separate: one optimizer per row? None: yes, unless it is known to be elementwise.
        options: its options. ``lr`` may also be a schedule.

    Raises:
        ConfigurationError: unknown or refused options, or an optimizer that needs a closure (torch's L-BFGS).

    Example:
        >>> TorchOptimizer(torch.optim.AdamW, lr=1e-3, weight_decay=0.1).name
        'AdamW'
    """

    factory: TorchFactory
    separate: bool
    options: Mapping[str, Any]
    schedule: Schedule | None

    stochastic: ClassVar[bool] = True
    state_type: ClassVar[type[TorchState]] = TorchState

    def __init__(self, factory: TorchFactory, *, separate: bool | None = None, **options: object) -> None:
        schedule = None
        lr = options.get("lr")
        if lr is not None and not isinstance(lr, numbers.Real | Tensor):
            schedule = as_schedule(lr)  # type: ignore[arg-type]  # refuses what is not one
            options["lr"] = schedule(0)
        object.__setattr__(self, "factory", factory)
        object.__setattr__(self, "separate", factory not in ELEMENTWISE if separate is None else separate)
        object.__setattr__(self, "options", dict(options))
        object.__setattr__(self, "schedule", schedule)
        self._check_factory()

    @property
    def name(self) -> str:
        """What the torch optimizer is called."""
        return getattr(self.factory, "__name__", type(self.factory).__name__)

    def init(self, landscape: Landscape, x: Tensor) -> TorchState:
        """Start at the rows of ``x``, ``(n, d)``; nothing is evaluated.

        Raises:
            InputError: ``x`` does not belong to the landscape.
            ConfigurationError: the optimizer refuses its options or these parameters.
        """
        start = start_rows(landscape, x)
        if self.factory in ELEMENTWISE:
            self._rehearse(x)
        shapes = None
        if self.separate:
            shapes = landscape.spec.shapes if landscape.spec is not None else ((landscape.dim,),)
        state = TorchState(**start, batch_value=start["value"], shapes=shapes)
        return replace(state, engine=self._engine(state))

    def step(self, landscape: Landscape, state: TorchState) -> TorchState:
        """Take one gradient at each active row and let torch move it.

        Raises:
            InputError: a later state of the same run exists.
        """
        state.check_newest()
        engine = state.engine or self._engine(state)
        if self.schedule is not None:
            engine.set_lr(self.schedule(state.steps))
        x, active = state.x, state.active
        value, gradient = masked_value_and_grad(landscape, x, active)
        good = active & value.isfinite() & all_rows_finite(gradient)
        moved = self._move_rows(engine, gradient, good, x) if state.shapes else self._move_all(engine, gradient)
        new_x, good, status = settle_gradient_step(state, moved, value, good)
        engine.steps = state.steps + 1
        return replace(
            state,
            x=new_x,
            active=good,
            status=status,
            gradients=state.gradients + active,
            steps=engine.steps,
            batch_value=torch.where(active, value, state.batch_value),
            memory=(),
            engine=engine,
        )

    @staticmethod
    def _move_all(engine: _Engine, gradient: Tensor) -> Tensor:
        parameter = engine.parameters[0][0]
        parameter.grad = gradient
        engine.optimizers[0].step()
        parameter.grad = None
        return parameter.detach().clone()

    @staticmethod
    def _move_rows(engine: _Engine, gradient: Tensor, rows: Tensor, x: Tensor) -> Tensor:
        moved = x.clone()
        for row in rows.nonzero().flatten().tolist():
            parameters = engine.parameters[row]
            pieces = torch.split(gradient[row], [p.numel() for p in parameters])
            for parameter, piece in zip(parameters, pieces, strict=True):
                # A copy: an optimizer may clip or precondition its gradient in place.
                parameter.grad = piece.reshape(parameter.shape).clone()
            engine.optimizers[row].step()
            for parameter in parameters:
                parameter.grad = None
            moved[row] = torch.cat([p.detach().reshape(-1) for p in parameters])
        return moved

    def _engine(self, state: TorchState) -> _Engine:
        """Make live optimizers at the state's points, with its memory if it has one."""
        if state.shapes is None:
            parameters = [[nn.Parameter(state.x.clone())]]
        else:
            sizes = [torch.Size(shape).numel() for shape in state.shapes]
            parameters = [
                [
                    nn.Parameter(p.reshape(shape).clone())
                    for p, shape in zip(row.split(sizes), state.shapes, strict=True)
                ]
                for row in state.x
            ]
        optimizers = [self._make(ps) for ps in parameters]
        for optimizer, memory in zip(optimizers, state.memory, strict=False):
            # Loading keeps the tensors it is given, and stepping would then write to the stored ones.
            optimizer.load_state_dict(copy.deepcopy(memory))
        return _Engine(optimizers, parameters, state.steps)

    def _make(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        try:
            optimizer = self.factory(parameters, **self.options)
        except (TypeError, ValueError, RuntimeError) as error:
            shapes = ", ".join(str(tuple(p.shape)) for p in parameters[:4])
            raise ConfigurationError(
                f"expected options and parameters that {self.name} accepts, got {dict(self.options)} for shapes "
                f"{shapes}: {error}"
            ) from error
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise ConfigurationError(
                f"expected {self.name} to make a torch.optim.Optimizer, got {type(optimizer).__name__}"
            )
        closure = inspect.signature(optimizer.step).parameters.get("closure")
        if closure is not None and closure.default is closure.empty:
            raise self._needs_closure()
        return optimizer

    def _rehearse(self, x: Tensor) -> None:
        """Take a step with a parameter of its own, since some options are refused there and not before."""
        parameter = nn.Parameter(torch.zeros(1, 1, dtype=x.dtype, device=x.device))
        parameter.grad = torch.ones_like(parameter)
        try:
            self._make([parameter]).step()
        except (AssertionError, RuntimeError, ValueError, TypeError) as error:
            raise ConfigurationError(
                f"expected options with which {self.name} can step on device '{x.device.type}', got "
                f"{dict(self.options)}: {error}"
            ) from error

    def _needs_closure(self) -> ConfigurationError:
        return ConfigurationError(
            f"expected an optimizer that takes one gradient per step, got {self.name}, which evaluates the loss "
            "itself through a closure: use 'lbfgs-gss' for quasi-Newton steps"
        )

    def _check_factory(self) -> None:
        """Find what can be found wrong before any weights are there."""
        if self.factory is torch.optim.LBFGS:
            raise self._needs_closure()
        if self.factory is torch.optim.SparseAdam:
            raise ConfigurationError("expected an optimizer of dense gradients, got SparseAdam: use Adam")
        valid = option_names(self.factory)
        if valid is not None:
            check_options(self.name, self.options, [name for name in valid if name != "params"])
        if self.factory in ELEMENTWISE:
            self._make([nn.Parameter(torch.zeros(1, 1))])
