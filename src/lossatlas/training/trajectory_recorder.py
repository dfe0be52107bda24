"""TrajectoryRecorder: weights, losses and gradient norms of any PyTorch loop, at bounded cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lossatlas.core.errors import InputError
from lossatlas.core.params import ParamSpec
from lossatlas.core.trajectory import Trajectory
from lossatlas.training.thinned_curves import ThinnedCurves

__all__ = ["TrajectoryRecorder"]

# Numbers on an accelerator are fetched this many steps at a time: each fetch waits for what is queued there.
_FETCH = 64
# What wrappers put in front of every name: DataParallel, torch.compile.
_PREFIXES = ("module.", "_orig_mod.")

_Snapshot = tuple[int, Tensor, float, float]
"""Step, weights on the CPU, loss, gradient norm."""


class TrajectoryRecorder:
    """Records where training goes, from inside a loop that stays as it is.

    Call :meth:`record` after ``backward()`` and before ``optimizer.step()``: then weights, loss and gradient belong
    together. Losses and gradient norms are kept for every call (thinned beyond ``points``, spikes and the last steps
    kept), weights for at most ``snapshots`` of them: whenever there are more, every second one goes and the stride
    doubles. The first weights, the last, and the last with a finite loss are always there.

    The model is only read. A call copies its parameters once and reads its gradients once, which is little beside the
    backward pass; the memory is ``snapshots`` + 2 times the parameters.

    Args:
        snapshots: weights kept at most, at least 4.
        every: record weights at every so many calls, until there are too many.
        points: of the curves, kept at most.
        recent: of the last points, how many are never thinned; at most half of ``points``.
        settings: whatever else should be stored with the run, as JSON.

    Raises:
        InputError: numbers that cannot be.

    Example:
        >>> net = nn.Linear(3, 1)
        >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        >>> recorder = TrajectoryRecorder(snapshots=10)
        >>> for _ in range(100):
        ...     optimizer.zero_grad()
        ...     loss = net(torch.ones(4, 3)).square().mean()
        ...     loss.backward()
        ...     recorder.record(net, loss=loss, optimizer=optimizer)
        ...     optimizer.step()
        >>> recorder.record(net)
        >>> run = recorder.trajectory()
        >>> run.steps.tolist(), len(run.curves), round(float(run.curves.learning_rates[0]), 3)
        ([0, 16, 32, 48, 64, 80, 96, 99, 100], 100, 0.1)
    """

    def __init__(
        self,
        *,
        snapshots: int = 200,
        every: int = 1,
        points: int = 20_000,
        recent: int = 1000,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        if snapshots < 4 or every < 1:
            raise InputError(f"expected at least 4 snapshots, every 1 step or more, got {snapshots} and {every}")
        if recent < 1 or points < max(10, 2 * recent):
            raise InputError(
                f"expected room for at least 10 points and twice the recent ones, got {points} points, {recent} recent"
            )
        self._most, self._stride, self._settings = snapshots, every, dict(settings or {})
        self._curves = ThinnedCurves(points, recent)
        self._calls = 0
        self._step = -1
        self._spec: ParamSpec | None = None
        self._snapshots: list[_Snapshot] = []
        self._pending: list[tuple[int, Tensor | float, Tensor | float, float]] = []
        self._latest: Tensor | None = None
        self._finite: Tensor | None = None
        self._numbers: Tensor | None = None
        self._last: tuple[int, Tensor | float | None, Tensor | float | None] = (-1, None, None)

    def record(
        self,
        model: nn.Module,
        *,
        loss: Tensor | float | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        learning_rate: float | None = None,
        gradient_norm: Tensor | float | None = None,
        step: int | None = None,
    ) -> None:
        """Record the model as it is now.

        Args:
            model: what is being trained; only parameters with ``requires_grad`` are recorded.
            loss: training loss, of the mini-batch as a rule; None: weights alone.
            optimizer: whose learning rate is recorded, the largest of its groups; at the first call also its name and
                momentum, in the settings.
            learning_rate: instead of an optimizer.
            gradient_norm: |g|, where the gradients in ``.grad`` are not those of the loss: after clipping, or scaled
                for mixed precision. None: that of the gradients in ``.grad``.
            step: number of the step; None: one more than the last.

        Raises:
            InputError: a model whose parameters differ from those recorded before, a step that falls back, or a loss
                that is not one number.
        """
        if optimizer is not None and not self._calls:
            self._settings = {**_described(optimizer), **self._settings}
        now = self._step + 1 if step is None else int(step)
        if now <= self._step:
            raise InputError(f"expected a step after {self._step}, got {now}: number every step once")
        one = _scalar(loss, "a loss")
        norm = _scalar(gradient_norm, "a gradient norm")
        self._read(model)
        if one is not None and norm is None:
            norm = _norm(model)
        self._step = now
        rate = _rate(optimizer) if learning_rate is None else float(learning_rate)
        if one is not None or norm is not None:
            self._pending.append((now, math.nan if one is None else one, math.nan if norm is None else norm, rate))
        self._keep_finite(now, one, norm)
        if self._calls % self._stride == 0:
            self._snapshots.append(self._snapshot(now, one, norm))
            if len(self._snapshots) > self._most - 2:  # two places are for the last weights and the last finite ones
                self._stride *= 2
                self._snapshots = self._snapshots[::2]
        self._calls += 1
        if len(self._pending) >= _FETCH:
            self._fetch()

    def trajectory(self) -> Trajectory:
        """What has been recorded so far.

        Raises:
            InputError: nothing has been recorded.
        """
        if self._finite is None or self._numbers is None:
            raise InputError("expected a recorder that has recorded something, got an empty one: call record() first")
        self._fetch()
        when, loss, norm = self._numbers.tolist()
        found = {snapshot[0]: snapshot for snapshot in self._snapshots}
        found.setdefault(int(when), (int(when), self._finite.to("cpu", copy=True), loss, norm))
        found.setdefault(self._last[0], self._snapshot(*self._last))
        rows = [found[step] for step in sorted(found)]
        return Trajectory(
            torch.stack([weights for _, weights, _, _ in rows]),
            torch.tensor([step for step, *_ in rows], dtype=torch.int64),
            torch.tensor([loss for _, _, loss, _ in rows], dtype=torch.float64),
            torch.tensor([norm for _, _, _, norm in rows], dtype=torch.float64),
            self._curves.curves(),
            self._spec,
            dict(self._settings),
        )

    def save(self, path: str | Path) -> None:
        """Store what has been recorded so far as ``PATH.json`` with its tensors beside it, see :class:`Trajectory`.

        Raises:
            InputError: nothing has been recorded.
            StorageError: the folder cannot be written.
        """
        self.trajectory().save(path)

    # ------------------------------------------------------------------ inside
    def _read(self, model: nn.Module) -> None:
        """Copy the parameters to the buffer of the latest weights."""
        spec = ParamSpec.of(model)
        spec = replace(spec, names=tuple(_plain(name) for name in spec.names))
        if self._spec is None:
            self._spec = spec
        elif spec != self._spec:
            raise InputError(
                f"expected the model recorded before, with {self._spec.dim} trainable parameters, got one with "
                f"{spec.dim} or other names: use another recorder, also after freezing or adding layers"
            )
        parameters = [p.detach() for p in model.parameters() if p.requires_grad]
        if self._latest is None:
            places = {p.device for p in parameters}
            device = places.pop() if len(places) == 1 else torch.device("cpu")
            dtype = parameters[0].dtype
            for parameter in parameters:
                dtype = torch.promote_types(dtype, parameter.dtype)
            self._latest = torch.empty(spec.dim, dtype=dtype, device=device)
        views = torch.split(self._latest, list(spec.sizes))
        with torch.no_grad():
            for view, parameter in zip(views, parameters, strict=True):
                view.copy_(parameter.reshape(-1))

    def _keep_finite(self, now: int, loss: Tensor | float | None, norm: Tensor | float | None) -> None:
        """Take over the latest weights where the loss is finite, without waiting for an accelerator."""
        if self._latest is None:  # _read has made it; this is for the type checker
            raise AssertionError
        place = self._latest.device
        exact = torch.float32 if place.type == "mps" else torch.float64
        numbers = torch.stack(
            [
                # Filled there: a number that is copied to an accelerator waits for it.
                x.detach().to(place, exact)
                if isinstance(x, Tensor)
                else torch.full((), math.nan if x is None else x, dtype=exact, device=place)
                for x in (now, loss, norm)
            ]
        )
        if self._finite is None or self._numbers is None:
            self._finite, self._numbers = self._latest.clone(), numbers
        elif loss is not None:
            fine = numbers[1].isfinite()
            torch.where(fine, self._latest, self._finite, out=self._finite)
            self._numbers = torch.where(fine, numbers, self._numbers)
        self._last = (now, loss, norm)

    def _snapshot(self, step: int, loss: Tensor | float | None, norm: Tensor | float | None) -> _Snapshot:
        if self._latest is None:  # _read has made it; this is for the type checker
            raise AssertionError
        weights = self._latest.to("cpu", copy=True)
        return (step, weights, math.nan if loss is None else float(loss), math.nan if norm is None else float(norm))

    def _fetch(self) -> None:
        for step, loss, norm, rate in self._pending:
            self._curves.add(step, float(loss), float(norm), rate)
        self._pending = []


def _plain(name: str) -> str:
    while any(name.startswith(prefix) for prefix in _PREFIXES):
        name = name.partition(".")[2]
    return name


def _scalar(value: Tensor | float | None, what: str) -> Tensor | float | None:
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise InputError(
                f"expected {what} of one number, got a tensor of shape {tuple(value.shape)}: take its mean"
            )
        return value.detach().reshape(()).clone()  # a loop may go on to change it in place
    return None if value is None else float(value)


def _norm(model: nn.Module) -> Tensor | None:
    """|g| over all trainable parameters; None where no gradient is there."""
    found = [p.grad for p in model.parameters() if p.requires_grad and p.grad is not None]
    if not found:
        return None
    dense = [g.coalesce().values() if g.is_sparse else g for g in found]
    place = dense[0].device
    each = [torch.linalg.vector_norm(g.detach(), dtype=torch.promote_types(g.dtype, torch.float32)) for g in dense]
    whole: Tensor = torch.linalg.vector_norm(torch.stack([norm.to(place) for norm in each]))
    return whole


def _described(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """What a diagnosis needs to know of an optimizer."""
    group = optimizer.param_groups[0]
    known = {"momentum": float(group["momentum"])} if "momentum" in group else {}
    return {"optimizer": type(optimizer).__name__, **known, "nesterov": bool(group.get("nesterov", False))}


def _rate(optimizer: torch.optim.Optimizer | None) -> float:
    if optimizer is None:
        return math.nan
    return max(float(group["lr"]) for group in optimizer.param_groups)
