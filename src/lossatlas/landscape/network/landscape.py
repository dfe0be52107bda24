"""NetworkLandscape: any ``nn.Module``, loss and data as a function of its flat parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn

from lossatlas.core.errors import InputError
from lossatlas.core.hardware import memory_budget, resolve_device
from lossatlas.core.params import ParamSpec
from lossatlas.core.randomness import steady
from lossatlas.landscape.contract import Rows, accept_rows, check_rows, take_rows
from lossatlas.landscape.network.evaluator import Evaluator, Numerics, Slices
from lossatlas.landscape.network.first_call import explained_errors
from lossatlas.landscape.network.gauss_newton import GaussNewtonAt, Middle, foretell_output_bytes
from lossatlas.landscape.network.hessian import hessian_vector_sum
from lossatlas.landscape.network.hessian_at import HessianAt, foretell_bytes
from lossatlas.landscape.network.kept_graphs import RowLoss
from lossatlas.landscape.network.noise import refuse_noise
from lossatlas.landscape.network.one_type import widest_type
from lossatlas.landscape.network.program import (
    Forward,
    Loss,
    Metric,
    Mode,
    Program,
    Reduction,
    keeps_running_statistics,
)
from lossatlas.landscape.network.sources import Batch, TensorSource, make_source
from lossatlas.landscape.network.tuning import measure_numerics

__all__ = ["NetworkLandscape"]


class NetworkLandscape:
    """Loss of a network over a data set, as a function of its parameters.

    L(x) = (1/N) Σ_n ℓ(model_x(input_n), target_n).

    The model is copied once; parameters, buffers, train/eval flags and gradients of the user's module are never
    written, and the global random state is left alone.

    Args:
        model: any module; its trainable parameters are the coordinates.
        loss: ``loss(output, target) -> scalar``, such as ``torch.nn.functional.cross_entropy``.
        data: ``(inputs, targets)``, a dict of tensors, or a DataLoader for data larger than memory.
        forward: ``forward(model, batch) -> (output, target)`` where batches are not ``(inputs, target)``.
        metrics: name to ``metric(output, target) -> scalar``; default: accuracy where targets are class indices.
        mode: ``"eval"``, or ``"batch-statistics"``: normalisation layers use each batch's own statistics and update
            nothing.
        statistics_batch: samples per batch in that mode, the same ones in every pass over the data; parts of one size
            but for rounding, in the data's order. None: one batch of all samples. A loader's batches are taken as they
            come, and a mini-batch of :meth:`on` is one batch.
        reduction: how ``loss`` combines the samples of a batch: ``"mean"`` or ``"sum"``.
        dtype: ``torch.float32`` or ``torch.float64``; default: that of the parameters, the widest where they differ.
            The whole network computes in it, also where its code asks for another floating type.
        device: default: that of the parameters.
        numerics: strategy and chunks; default: measured at the first evaluation.
        memory: bytes for temporaries; default: a part of what is free.

    Raises:
        InputError: no trainable parameters, mixed or unsupported dtypes, a model that cannot be copied.
        DataError: unusable data.

    Example:
        >>> import torch.nn.functional as F
        >>> net = nn.Linear(3, 2)
        >>> landscape = NetworkLandscape(net, F.cross_entropy, (torch.randn(8, 3), torch.randint(0, 2, (8,))))
        >>> w = landscape.flatten(net)
        >>> value, gradient = landscape.value_and_grad(w)
        >>> value.shape, gradient.shape
        (torch.Size([]), torch.Size([8]))
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        data: object,
        *,
        forward: Forward | None = None,
        metrics: Mapping[str, Metric] | None = None,
        mode: Mode = "eval",
        statistics_batch: int | None = None,
        reduction: Reduction = "mean",
        dtype: torch.dtype | None = None,
        device: str | torch.device | None = None,
        numerics: Numerics | None = None,
        memory: int | None = None,
    ) -> None:
        program = Program(
            model,
            loss,
            forward=forward,
            metrics=metrics,
            mode=mode,
            statistics_batch=statistics_batch,
            reduction=reduction,
        )
        own = [p for p in model.parameters() if p.requires_grad]
        chosen = dtype or widest_type(model)
        if chosen not in (torch.float32, torch.float64):
            raise InputError(f"expected dtype float32 or float64, got {chosen}: pass dtype=torch.float32")
        where = resolve_device(device) if device is not None else own[0].device
        source = make_source(data)
        self._evaluator = Evaluator(
            program.to(chosen, where),
            source.to(chosen, where),
            numerics=numerics or Numerics(),
            dtype=chosen,
            device=where,
            budget=memory,
        )
        self._tuned = numerics is not None
        self._checked = False
        self._indices: Tensor | None = None
        self._restricted = False
        self._buffers: dict[str, Tensor] = {}
        self._hvp_method: str | None = None

    # ------------------------------------------------------------------ what it is
    @property
    def dim(self) -> int:
        """Number of trainable parameters d."""
        return self.spec.dim

    @property
    def dtype(self) -> torch.dtype:
        """Floating type of rows, values and gradients."""
        return self._evaluator.dtype

    @property
    def device(self) -> torch.device:
        """Where rows must be."""
        return self._evaluator.device

    @property
    def spec(self) -> ParamSpec:
        """Names and shapes of the parameters, in flat order."""
        return self._evaluator.program.spec

    @property
    def keeps_statistics(self) -> bool:
        """Whether normalisation layers use statistics that belong to one set of weights."""
        return keeps_running_statistics(self._evaluator.program.model)

    @property
    def samples(self) -> int:
        """Number of samples the loss averages over; of each mini-batch after :meth:`on`."""
        if self._indices is not None:
            return int(self._indices.shape[-1])
        with steady(self.device):
            return self._evaluator.source.samples

    @property
    def restricted(self) -> bool:
        """Whether :meth:`on` has restricted the average to a part of the data."""
        return self._restricted

    @property
    def buffers(self) -> dict[str, Tensor]:
        """Buffers given with :meth:`with_buffers`, which replace those the model came with."""
        return dict(self._buffers)

    @property
    def numerics(self) -> Numerics:
        """Strategy and chunks in use; measured now if they have not been yet."""
        self._prepare()
        return self._evaluator.numerics

    @property
    def hvp_method(self) -> str | None:
        """How the last Hessian-vector product was computed; None before the first."""
        return self._hvp_method

    def bytes_per_sample(self) -> int:
        """Bytes that the backward pass keeps for one sample of one row."""
        return self._evaluator.bytes_per_sample()

    def flatten(self, weights: nn.Module | Mapping[str, Tensor]) -> Tensor:
        """Read a module's or state dict's parameters as one row, ``-> (d,)``, in this dtype, on this device.

        Raises:
            InputError: weights of another network.
        """
        return self.spec.flatten(weights).to(dtype=self.dtype, device=self.device)

    # ------------------------------------------------------------------ the network behind it
    def module(self, x: Tensor | None = None) -> nn.Module:
        """A copy of the network carrying one row and the buffers in force, ``(d,) -> nn.Module``.

        None: the weights it came with.

        Raises:
            InputError: not one row of this landscape, or buffers that differ from row to row.
        """
        x = self._initial_point() if x is None else accept_rows(x, self)
        if x.ndim != 1:
            raise InputError(f"expected one row of shape ({self.dim},), got {tuple(x.shape)}: make a module for each")
        model = copy.deepcopy(self._evaluator.program.model)
        places = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        for name, tensor in {**self.spec.unflatten(x.detach()), **self._buffers}.items():
            if places[name].shape != tensor.shape:
                raise InputError(f"expected one '{name}' for all rows, got shape {tuple(tensor.shape)}: pass one row's")
            with torch.no_grad():
                places[name].copy_(tensor)
        return model

    def batches(self, size: int | None = None) -> Iterator[Batch]:
        """Batches of the data in order, ``size`` samples at a time (None: as they come)."""
        yield from self._evaluator.source.chunks(size)

    def outputs(self, module: nn.Module, batch: Batch) -> tuple[Any, Any]:
        """Run a network of :meth:`module` on a batch as the loss does, ``-> (output, target)``."""
        return self._evaluator.program.outputs(module, batch)

    # ------------------------------------------------------------------ evaluation
    def value(self, x: Rows) -> Tensor:
        """Loss of each row, ``(*b, d) -> (*b,)``; no backward pass is run."""
        sums, _, count = self._sums(x, gradient=False)
        return self._mean(sums, count).to(self.dtype).reshape(x.shape[:-1])

    def value_and_grad(self, x: Rows) -> tuple[Tensor, Tensor]:
        """Loss and gradient of each row, ``(*b, d) -> (*b,), (*b, d)``."""
        sums, grads, count = self._sums(x, gradient=True)
        if grads is None:  # gradient=True always makes them; this is for the type checker
            raise AssertionError
        if self._evaluator.program.reduction == "mean":
            grads /= count
        return self._mean(sums, count).to(self.dtype).reshape(x.shape[:-1]), grads.reshape(x.shape)

    def metrics(self, x: Rows) -> dict[str, Tensor]:
        """Loss and other figures of merit, ``(*b, d) -> {"loss": (*b,), "accuracy": (*b,), ...}`` in float64."""
        self._prepare(x)
        with steady(self.device):
            found = self._evaluator.metrics(x, self._slices(x))
        return {name: values.reshape(x.shape[:-1]) for name, values in found.items()}

    def hvp(self, x: Tensor, v: Tensor) -> Tensor:
        """Hessian at each row times a vector, ``(*b, d), (*b, d) -> (*b, d)``; see :attr:`hvp_method`.

        Pearlmutter 1994, *Fast exact multiplication by the Hessian*.
        """
        self._prepare(x)
        check_rows(v, self)
        shape = torch.broadcast_shapes(x.shape, v.shape)  # type: ignore[no-untyped-call]
        x, v = x.expand(shape), v.expand(shape)
        every = slice(0, shape[:-1].numel())
        rows, vectors = take_rows(x, every), take_rows(v, every)
        product = torch.empty_like(rows)
        with steady(self.device):
            for i, loss in enumerate(self._row_losses(rows, self._slices(x))):
                product[i], self._hvp_method = hessian_vector_sum(
                    self._evaluator.program,
                    loss.row,
                    vectors[i],
                    buffers=loss.buffers,
                    batches=loss.batches,
                    gradient=loss.gradient,
                )
        return (product / self._divisor).reshape(x.shape)

    def hessian_at(self, x: Tensor, *, differences: bool = False) -> HessianAt:
        """The Hessians at fixed rows, for many products at half the cost of :meth:`hvp`.

        Args:
            x: ``(*b, d)``, n rows in all.
            differences: use central differences of the gradient even where a double backward pass would do.

        Returns:
            Something that multiplies: ``.multiply(v, where)``, ``(k, d), (k,) -> (k, d)``, takes vector i to the
            Hessian at row ``where[i]`` of the flattened batch, and ``.method`` names how.

        Example:
            >>> net = nn.Linear(3, 1)
            >>> landscape = NetworkLandscape(net, nn.functional.mse_loss, (torch.eye(3), torch.zeros(3, 1)))
            >>> hessian = landscape.hessian_at(landscape.flatten(net))
            >>> hessian.multiply(torch.eye(4)[:1], torch.tensor([0]))
            tensor([[0.6667, 0.0000, 0.0000, 0.6667]])
        """
        losses, keep = self._fixed_rows(x, foretell_bytes)
        return HessianAt(self._evaluator.program, losses, divide=self._divisor, keep=keep, differences=differences)

    def gauss_newton_at(self, x: Tensor, middle: Middle = "loss", *, differences: bool = False) -> GaussNewtonAt:
        """Gauss-Newton matrices (``"loss"``) or empirical Fisher matrices (``"gradients"``) at fixed rows.

        Args:
            x: ``(*b, d)``, n rows in all.
            middle: what stands between the Jacobians of the outputs, see
                :class:`lossatlas.landscape.network.gauss_newton.GaussNewtonAt`.
            differences: take Jacobian times vector from central differences of the outputs.

        Returns:
            As :meth:`hessian_at`.

        Example:
            >>> net = nn.Linear(3, 1)
            >>> landscape = NetworkLandscape(net, nn.functional.mse_loss, (torch.eye(3), torch.zeros(3, 1)))
            >>> matrix = landscape.gauss_newton_at(landscape.flatten(net))
            >>> matrix.multiply(torch.eye(4)[:1], torch.tensor([0]))
            tensor([[0.6667, 0.0000, 0.0000, 0.6667]])
        """
        losses, keep = self._fixed_rows(x, partial(foretell_output_bytes, middle=middle))
        program = self._evaluator.program
        return GaussNewtonAt(program, losses, middle, divide=self._divisor, keep=keep, differences=differences)

    def _fixed_rows(
        self, x: Tensor, foretell: Callable[[Program, RowLoss, TensorSource, int], int]
    ) -> tuple[list[RowLoss], int]:
        """The losses of rows, and for how many of them memory allows the graphs to be kept."""
        self._prepare(x)
        losses = list(self._row_losses(take_rows(x, slice(0, x.shape[:-1].numel())), self._slices(x)))
        source = self._evaluator.source
        if not losses or not isinstance(source, TensorSource):
            return losses, 0
        budget = self._evaluator.budget or memory_budget(self.device)
        return losses, budget // max(1, foretell(self._evaluator.program, losses[0], source, self.samples))

    @property
    def _divisor(self) -> int:
        return self.samples if self._evaluator.program.reduction == "mean" else 1

    def _row_losses(self, rows: Tensor, slices: Slices) -> Iterator[RowLoss]:
        program, source, chunk = self._evaluator.program, self._evaluator.source, self._evaluator.pass_chunk
        for i in range(len(rows)):
            part = slices.rows(slice(i, i + 1))
            subset = source if part.indices is None else TensorSource(source.take(part.indices[0]))
            alone = Evaluator(
                program, subset, numerics=Numerics(data_chunk=chunk), dtype=self.dtype, device=self.device
            )
            shared = Slices(None, part.buffers)
            yield RowLoss(
                rows[i],
                {**program.buffers(), **{name: tensor[0] for name, tensor in part.buffers.items()}},
                batches=lambda subset=subset: subset.chunks(chunk),  # type: ignore[misc]
                gradient=lambda row, alone=alone, shared=shared: alone.gradient_sum(row, shared),  # type: ignore[misc]
            )

    def refresh(self, x: Tensor) -> dict[str, Tensor]:
        """Recompute normalisation statistics for each row over the data, ``(*b, d) -> {buffer: (*b, *shape)}``.

        Feed them back with :meth:`with_buffers`. Empty where the model keeps no such statistics.
        """
        check_rows(x, self)
        rows = x.reshape(-1, self.dim)
        found: list[dict[str, Tensor]] = []
        with steady(self.device), explained_errors():
            for row in rows:
                batches = self._evaluator.source.chunks(None)
                found.append(
                    self._evaluator.program.normalisation_statistics(self.spec.unflatten(row.detach()), batches)
                )
        return {
            name: torch.stack([each[name] for each in found]).reshape((*x.shape[:-1], *found[0][name].shape))
            for name in (found[0] if found else {})
        }

    # ------------------------------------------------------------------ variations
    def on(self, batch: Tensor) -> Self:
        """Restrict the average to some samples, ``(B,)`` for all rows or ``(*b, B)`` for each its own.

        Raises:
            InputError: indices of the wrong type or out of range.
        """
        if not isinstance(batch, Tensor) or batch.dtype not in (torch.int64, torch.int32) or batch.ndim == 0:
            came = f"{batch.dtype} of shape {tuple(batch.shape)}" if isinstance(batch, Tensor) else type(batch).__name__
            raise InputError(f"expected sample indices as an integer tensor (B,) or (*b, B), got {came}")
        if batch.shape[-1] == 0:
            raise InputError("expected at least one sample in a mini-batch, got none")
        # Here rather than in the copies: a training loop makes one per step and they should not each measure anew.
        self._prepare()
        if self._indices is not None:
            raise InputError("expected a landscape over the whole data set, got one already restricted to a batch")
        # On an accelerator the check would wait for everything queued before it; out-of-range reads fail there anyway.
        if batch.device.type == "cpu":
            low, high, samples = int(batch.min()), int(batch.max()), self.samples
            if low < 0 or high >= samples:
                raise InputError(f"expected sample indices in 0..{samples - 1}, got {low}..{high}")
        restricted = self._clone()
        restricted._restricted = True
        restricted._evaluator = copy.copy(self._evaluator)
        restricted._evaluator.program = self._evaluator.program.on_one_batch()
        if batch.ndim == 1:
            with steady(self.device):
                gathered = self._evaluator.source.take(batch.to(self.device))
            restricted._evaluator.source = TensorSource(gathered)
        else:
            restricted._indices = batch.to(self.device)
        return restricted

    def with_buffers(self, buffers: Mapping[str, Tensor]) -> Self:
        """Evaluate with each row's own buffers, ``{name: (*b, *shape)}``, such as :meth:`refresh` returns.

        Buffers of floating type are converted to the landscape's; counters stay whole numbers.

        Raises:
            InputError: a name the model does not have.
        """
        own = self._evaluator.program.buffers()
        unknown = sorted(set(buffers) - set(own))
        if unknown:
            raise InputError(f"expected buffers among {sorted(own)}, got {unknown}")
        other = self._clone()
        given = {
            name: tensor.to(self.device, self.dtype if own[name].is_floating_point() else own[name].dtype)
            for name, tensor in buffers.items()
        }
        other._buffers = {**self._buffers, **given}
        return other

    def with_batch_statistics(self) -> Self:
        """The same landscape in mode ``"batch-statistics"``: a function of the weights alone, without buffers.

        Example:
            >>> import torch.nn.functional as F
            >>> net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
            >>> landscape = NetworkLandscape(net, F.cross_entropy, (torch.randn(8, 3), torch.randint(0, 2, (8,))))
            >>> landscape.with_batch_statistics().refresh(landscape.flatten(net))
            {}
        """
        other = self._clone()
        other._evaluator = copy.copy(self._evaluator)
        other._evaluator.program = self._evaluator.program.with_batch_statistics()
        kept = other._evaluator.program.buffers()
        other._buffers = {name: tensor for name, tensor in self._buffers.items() if name in kept}
        return other

    def with_numerics(self, numerics: Numerics) -> Self:
        """The same landscape with a fixed strategy and chunks instead of measured ones."""
        other = self._clone()
        other._evaluator = self._evaluator.with_numerics(numerics)
        other._tuned = True
        return other

    def tune(self, rows: int = 6) -> Self:
        """Measure the strategies for this many rows and return the landscape that uses the fastest.

        Raises:
            InputError: the model or the loss cannot be computed on the data.
        """
        with steady(self.device), explained_errors():
            return self.with_numerics(self._measure(rows))

    def to(self, *, dtype: torch.dtype | None = None, device: str | torch.device | None = None) -> Self:
        """The same landscape in another floating type or on another device; numerics are kept once chosen."""
        chosen = dtype or self.dtype
        if chosen not in (torch.float32, torch.float64):
            raise InputError(f"expected dtype float32 or float64, got {chosen}")
        where = resolve_device(device) if device is not None else self.device
        other = self._clone()
        other._evaluator = Evaluator(
            self._evaluator.program.to(chosen, where),
            self._evaluator.source.to(chosen, where),
            numerics=self._evaluator.numerics,
            dtype=chosen,
            device=where,
            budget=self._evaluator.budget,
        )
        other._tuned = self._tuned and where == self.device
        other._indices = None if self._indices is None else self._indices.to(where)
        other._buffers = {
            name: tensor.to(where, chosen if tensor.is_floating_point() else None)
            for name, tensor in self._buffers.items()
        }
        return other

    # ------------------------------------------------------------------ inside
    def _clone(self) -> Self:
        return copy.copy(self)

    def _mean(self, sums: Tensor, count: int) -> Tensor:
        return sums / count if self._evaluator.program.reduction == "mean" else sums

    def _sums(self, x: Rows, gradient: bool) -> tuple[Tensor, Tensor | None, int]:
        self._prepare(x)
        with steady(self.device):
            return self._evaluator.sums(x, self._slices(x), gradient)

    def _slices(self, x: Rows) -> Slices:
        """Broadcast per-row data against the rows' leading axes and flatten both."""
        lead = x.shape[:-1]
        indices = None
        if self._indices is not None:
            try:
                indices = self._indices.expand(*lead, -1).reshape(-1, self._indices.shape[-1])
            except RuntimeError as error:
                raise InputError(
                    f"expected mini-batches that fit rows of shape {tuple(lead)}, got indices of shape "
                    f"{tuple(self._indices.shape)}: leading axes must broadcast"
                ) from error
        own = self._evaluator.program.buffers() if self._buffers else {}
        buffers = {
            name: tensor.expand((*lead, *own[name].shape)).reshape(-1, *own[name].shape)
            for name, tensor in self._buffers.items()
        }
        return Slices(indices, buffers)

    def _prepare(self, x: Rows | None = None) -> None:
        """Check rows; on the first call check that the loss is a function of them, then choose a strategy."""
        if x is not None:
            check_rows(x, self)
        if not self._checked:
            with steady(self.device), explained_errors():
                refuse_noise(self._evaluator, self._initial_point())
            self._checked = True
        if not self._tuned:
            self._evaluator = self._evaluator.with_numerics(self.tune()._evaluator.numerics)
            self._tuned = True

    def _initial_point(self) -> Tensor:
        state = dict(self._evaluator.program.model.named_parameters())
        return self.spec.flatten(state).to(dtype=self.dtype, device=self.device)

    def _measure(self, rows: int) -> Numerics:
        return measure_numerics(self._evaluator, self._initial_point(), rows)
