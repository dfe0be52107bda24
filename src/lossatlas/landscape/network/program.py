"""Program: a private, frozen copy of the user's model and loss as one function of its parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lossatlas.core.errors import InputError
from lossatlas.core.params import ParamSpec
from lossatlas.landscape.network.cross_entropy import faster
from lossatlas.landscape.network.one_type import floating_types, in_type_of
from lossatlas.landscape.network.sources import batch_size

__all__ = ["Forward", "Loss", "Metric", "Mode", "Program", "Reduction", "keeps_running_statistics"]

Loss: TypeAlias = Callable[[Any, Any], Tensor]
Metric: TypeAlias = Callable[[Any, Any], Tensor]
Forward: TypeAlias = Callable[[Callable[..., Any], Any], tuple[Any, Any]]
Mode: TypeAlias = Literal["eval", "batch-statistics"]
Reduction: TypeAlias = Literal["mean", "sum"]

_NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)


class _Bound(nn.Module):
    """The model and the user's ``forward`` as one module, so that one functional call covers both."""

    def __init__(self, model: nn.Module, forward: Forward | None) -> None:
        super().__init__()
        self.model = model
        self._user_forward = forward

    def forward(self, batch: Any) -> tuple[Any, Any]:
        """Return ``(output, target)`` for a batch."""
        if self._user_forward is not None:
            return self._user_forward(self.model, batch)
        if isinstance(batch, Mapping):  # which would be unpacked into its keys
            raise InputError(
                f"expected forward= with batches that are dicts, got a dict of {', '.join(map(repr, batch))}: say with "
                "forward=lambda model, batch: (output, target) how the model is called and what the target is"
            )
        inputs, target = batch
        return self.model(inputs), target


def keeps_running_statistics(model: nn.Module) -> bool:
    """Whether a model has layers that normalise with averages collected while it was trained.

    Example:
        >>> keeps_running_statistics(nn.BatchNorm1d(2)), keeps_running_statistics(nn.LayerNorm(2))
        (True, False)
    """
    return any(isinstance(module, _NORMS) and module.track_running_stats for module in model.modules())


def _use_batch_statistics(model: nn.Module) -> None:
    """Make normalisation layers compute their statistics from each batch and keep none.

    Without buffers to update, the forward pass is a pure function of parameters and batch.
    """
    for module in model.modules():
        if isinstance(module, _NORMS):
            module.track_running_stats = False
            module.running_mean = None
            module.running_var = None
            module.num_batches_tracked = None


def _accuracy(output: Tensor, target: Tensor) -> Tensor:
    return (output.argmax(1) == target).to(output.dtype).mean()


class Program:
    """Loss and metrics of one batch as functions of named parameters and buffers.

    The model is deep-copied once and the copy alone is ever touched: the user's parameters, buffers, train/eval flags
    and hooks stay as they are.

    Args:
        model: any module.
        loss: ``loss(output, target) -> scalar``, as in torch.
        forward: ``forward(model, batch) -> (output, target)``; None for batches ``(inputs, target)``.
        metrics: name to ``metric(output, target) -> scalar``; None: accuracy where targets are class indices.
        mode: ``"eval"``, or ``"batch-statistics"``: normalisation layers use each batch's own statistics.
        statistics_batch: samples over which they are taken in a pass over all data; None: all.
        reduction: how ``loss`` combines the samples of a batch.

    Raises:
        InputError: no trainable parameters, a model that cannot be copied, or a batch of less than two samples.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        *,
        forward: Forward | None = None,
        metrics: Mapping[str, Metric] | None = None,
        mode: Mode = "eval",
        statistics_batch: int | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        if mode not in ("eval", "batch-statistics"):
            raise InputError(f"expected mode 'eval' or 'batch-statistics', got '{mode}'")
        if reduction not in ("mean", "sum"):
            raise InputError(f"expected reduction 'mean' or 'sum', got '{reduction}'")
        if statistics_batch is not None and statistics_batch < 2:
            raise InputError(f"expected at least 2 samples to take statistics over, got {statistics_batch}")
        if not callable(loss):
            raise InputError(
                f"expected a loss function, such as torch.nn.functional.cross_entropy, got {type(loss).__name__} "
                f"{loss!r}"
            )
        self.spec = ParamSpec.of(model)
        try:
            private = copy.deepcopy(model)
        except (RuntimeError, TypeError) as error:
            raise InputError(
                f"expected a model that copy.deepcopy can copy, got {type(model).__name__}: {error}; "
                "detach tensors stored on it, or rebuild it from its state_dict"
            ) from error
        private.eval()
        if mode == "batch-statistics":
            _use_batch_statistics(private)
        for parameter in private.parameters():
            parameter.grad = None
            parameter.requires_grad_(False)
        self._native = floating_types(private)
        self.mode: Mode = mode
        self.statistics_batch = statistics_batch
        self.reduction: Reduction = reduction
        self._loss: Loss = faster(copy.deepcopy(loss) if isinstance(loss, nn.Module) else loss)
        self._metrics = dict(metrics) if metrics is not None else None
        self._bound = _Bound(private, forward)

    @property
    def model(self) -> nn.Module:
        """The private copy; callers must not change it."""
        return self._bound.model

    @property
    def needs_whole_batches(self) -> bool:
        """Whether cutting a batch in two would change the loss (statistics are taken over it)."""
        return self.mode == "batch-statistics" and any(isinstance(m, _NORMS) for m in self.model.modules())

    @property
    def plain_metrics(self) -> bool:
        """Whether all metrics are those made here, which any strategy can compute."""
        return not self._metrics

    def buffers(self) -> dict[str, Tensor]:
        """Named buffers of the private copy (clones)."""
        return {name: buffer.clone() for name, buffer in self.model.named_buffers()}

    def to(self, dtype: torch.dtype, device: torch.device) -> Program:
        """The same program with floating parameters and buffers in ``dtype``, on ``device``."""
        other = copy.copy(self)
        model = copy.deepcopy(self.model).to(dtype=dtype, device=device)
        if device.type == "cuda":
            _differentiable_on_cuda(model)
        other._bound = _Bound(model, self._bound._user_forward)
        if isinstance(self._loss, nn.Module):
            other._loss = copy.deepcopy(self._loss).to(dtype=dtype, device=device)
        return other

    def on_one_batch(self) -> Program:
        """The same program, taking statistics over all samples it is given at once."""
        other = copy.copy(self)
        other.statistics_batch = None
        return other

    def with_batch_statistics(self) -> Program:
        """The same program whose normalisation layers use each batch's own statistics."""
        other = copy.copy(self)
        model = copy.deepcopy(self.model)
        _use_batch_statistics(model)
        other._bound = _Bound(model, self._bound._user_forward)
        other.mode = "batch-statistics"
        return other

    def outputs(self, model: nn.Module, batch: Any) -> tuple[Any, Any]:
        """Run another module in place of the private copy, ``-> (output, target)``."""
        with in_type_of(model, self._native):
            found: tuple[Any, Any] = _Bound(model, self._bound._user_forward)(batch)
        return found

    def _outputs(self, params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], batch: Any) -> tuple[Any, Any]:
        state = {f"model.{name}": tensor for name, tensor in (*params.items(), *buffers.items())}
        with in_type_of(self.model, self._native):
            outputs: tuple[Any, Any] = functional_call(self._bound, state, (batch,))
        return outputs

    def _summed(self, loss: object, count: int) -> Tensor:
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            came = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
            raise InputError(f"expected the loss to be one number per batch, got {came}: use reduction='mean' in it")
        return loss.reshape(()) * count if self.reduction == "mean" else loss.reshape(())

    def split(self, params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], batch: Any) -> tuple[Any, Any]:
        """Output and target of a batch, the two arguments of the loss."""
        return self._outputs(params, buffers, batch)

    def loss_of_output(self, output: Any, target: Any, count: int) -> Tensor:
        """Sum of the loss over ``count`` samples from their output and target, ``-> ()``."""
        return self._summed(self._loss(output, target), count)

    def loss_sum(self, params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], batch: Any) -> Tensor:
        """Sum of the loss over the samples of a batch, ``-> ()``."""
        output, target = self._outputs(params, buffers, batch)
        return self._summed(self._loss(output, target), batch_size(batch))

    def metric_sums(self, params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], batch: Any) -> dict[str, Tensor]:
        """Loss and metrics of a batch times its number of samples, ``-> {name: ()}``."""
        output, target = self._outputs(params, buffers, batch)
        count = batch_size(batch)
        sums = {"loss": self._summed(self._loss(output, target), count)}
        metrics = self._metrics
        if metrics is None:
            classes = isinstance(target, Tensor) and not target.is_floating_point()
            shaped = classes and isinstance(output, Tensor) and output.ndim == target.ndim + 1
            metrics = {"accuracy": _accuracy} if shaped else {}
        for name, metric in metrics.items():
            sums[name] = metric(output, target).reshape(()) * count
        return sums

    def normalisation_statistics(self, params: Mapping[str, Tensor], batches: Any) -> dict[str, Tensor]:
        """Running statistics of the normalisation layers after one pass over the data, ``-> {buffer: tensor}``.

        Plain averages over batches (momentum=None), as ``torch.optim.swa_utils.update_bn`` takes them.
        """
        scratch = copy.deepcopy(self._bound)
        layers = {
            name: module
            for name, module in scratch.model.named_modules()
            if isinstance(module, _NORMS) and module.track_running_stats
        }
        if not layers:
            return {}
        for module in layers.values():
            module.reset_running_stats()
            module.momentum = None
            module.train()
        state = {f"model.{name}": tensor for name, tensor in params.items()}
        with torch.no_grad(), in_type_of(self.model, self._native):
            for batch in batches:
                functional_call(scratch, state, (batch,))
        owned = {f"{name}." if name else "" for name in layers}
        return {
            name: buffer.clone()
            for name, buffer in scratch.model.named_buffers()
            if any(name.startswith(prefix) and "." not in name[len(prefix) :] for prefix in owned)
        }


def _differentiable_on_cuda(model: nn.Module) -> None:
    """Let cuDNN go backward through recurrent layers, which it does in training mode alone.

    All that this mode means to them is dropout, which is off.
    """
    for module in model.modules():
        if isinstance(module, nn.RNNBase):
            module.train()
            module.dropout = 0.0
