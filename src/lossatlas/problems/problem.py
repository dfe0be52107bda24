"""Problem: data + model + loss, as landscapes over the training, test and validation examples."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from lossatlas.core.errors import InputError
from lossatlas.core.params import ParamSpec
from lossatlas.core.randomness import preserved_random_state, seeded
from lossatlas.landscape.network import NetworkLandscape, Numerics
from lossatlas.landscape.network.program import Forward, Loss, Metric, Mode, Reduction, keeps_running_statistics
from lossatlas.landscape.network.sources import make_source

__all__ = ["STATISTICS_BATCH", "Problem"]

STATISTICS_BATCH = 512
"""Samples over which batch normalisation takes its statistics where nobody says otherwise."""


def _redraw(module: nn.Module) -> None:
    """Draw new initial weights for every layer that is trained; frozen ones stay as they are.

    Raises:
        InputError: a layer owns parameters and has no ``reset_parameters``.
    """
    for name, layer in module.named_modules():
        if not any(parameter.requires_grad for parameter in layer.parameters(recurse=False)):
            continue
        reset = getattr(layer, "reset_parameters", None)
        if not callable(reset):
            raise InputError(
                f"expected layers that can draw initial weights, got {type(layer).__name__} ('{name}') without "
                "reset_parameters(): pass a function that builds the model instead of the model"
            )
        reset()


class Problem:
    """A network, its loss and its data, ready to be trained many times.

    Args:
        name: how results refer to it.
        model: a function that builds the network with random initial weights, or a module whose layers can redraw
            theirs with ``reset_parameters()``; its frozen layers keep theirs. It is never modified.
        loss: ``loss(output, target) -> scalar`` as in torch.
        train: training data: ``(inputs, targets)`` as tensors, a dict of tensors, or a DataLoader; neither numpy arrays
            nor the name of a file.
        test: test data.
        validation: held-out data for early stopping, or None.
        forward: ``forward(model, batch) -> (output, target)`` where batches are not ``(inputs, target)``.
        metrics: name to ``metric(output, target) -> scalar``; default: accuracy where targets are class indices.
        mode: ``"eval"`` or ``"batch-statistics"``, see :class:`~lossatlas.landscape.NetworkLandscape`; default: the
            latter for networks that keep normalisation statistics, whose loss is then a function of the weights alone,
            the former for others. In mode ``"eval"`` those statistics are the given module's, whatever the weights.
        statistics_batch: samples per batch in mode ``"batch-statistics"``; default: all where that mode is named, at
            most 512 where it is chosen.
        reduction: how ``loss`` combines samples, ``"mean"`` or ``"sum"``.
        dtype: floating type of weights and losses; default float32.
        device: where to compute; default CPU.
        numerics: strategy and chunks; default: measured.
        loss_unit: unit of the loss, such as ``"nat"`` for a cross-entropy; written beside figures.
        details: what else should be recorded with results (data checksum, options), as JSON.

    Attributes:
        data: what was given as ``"train"``, ``"test"`` and ``"validation"``.
        mode_is_named: whether ``mode`` was given.

    Raises:
        InputError: an unusable model.
        DataError: unusable data.

    Example:
        >>> import torch.nn.functional as F
        >>> data = (torch.randn(20, 3), torch.randint(0, 2, (20,)))
        >>> problem = Problem("tiny", lambda: nn.Linear(3, 2), F.cross_entropy, train=data, test=data)
        >>> problem.dim, problem.initial_weights(seed=0, replicas=range(4)).shape
        (8, torch.Size([4, 8]))
    """

    def __init__(
        self,
        name: str,
        model: nn.Module | Callable[[], nn.Module],
        loss: Loss,
        *,
        train: object,
        test: object,
        validation: object | None = None,
        forward: Forward | None = None,
        metrics: Mapping[str, Metric] | None = None,
        mode: Mode | None = None,
        statistics_batch: int | None = None,
        reduction: Reduction = "mean",
        dtype: torch.dtype = torch.float32,
        device: str | torch.device | None = None,
        numerics: Numerics | None = None,
        loss_unit: str = "",
        details: Mapping[str, object] | None = None,
    ) -> None:
        self.name = name
        self.loss = loss
        self.forward = forward
        self.metrics = metrics
        self.reduction: Reduction = reduction
        self.dtype = dtype
        self.loss_unit = loss_unit
        self.details = dict(details or {})
        self._model = model
        self.data: dict[str, object] = {"train": train, "test": test, "validation": validation}
        for part in self.data.values():
            if part is not None:
                make_source(part)  # refused here rather than at the first loss
        self._numerics = numerics
        self._requested_device = device
        with preserved_random_state():
            example = self._build()
        self.spec = ParamSpec.of(example)
        self._example = example
        kept = keeps_running_statistics(example)
        self.mode_is_named = mode is not None
        self.mode: Mode = mode or ("batch-statistics" if kept else "eval")
        self.statistics_batch = statistics_batch or (STATISTICS_BATCH if kept and mode is None else None)
        if kept and isinstance(model, nn.Module):
            # Redrawing the weights threw away what belongs to those that the module came with.
            example.load_state_dict(dict(model.named_buffers()), strict=False)

    @property
    def dim(self) -> int:
        """Number of trainable parameters d."""
        return self.spec.dim

    @property
    def device(self) -> torch.device:
        """Where losses are computed."""
        return self.train.device

    @cached_property
    def train(self) -> NetworkLandscape:
        """Loss over the training examples."""
        return self._landscape("train")

    @cached_property
    def test(self) -> NetworkLandscape:
        """Loss over the test examples."""
        return self._landscape("test")

    @cached_property
    def validation(self) -> NetworkLandscape:
        """Loss over the validation examples.

        Raises:
            InputError: the problem has none.
        """
        if self.data["validation"] is None:
            raise InputError(
                f"expected a problem with validation data, got '{self.name}' without: hold some out, for instance with "
                "problems.get(name, validation=0.1)"
            )
        return self._landscape("validation")

    @property
    def statistics_stay_initial(self) -> bool:
        """Whether normalisation would use the running statistics of a new network whatever the weights."""
        return self.mode == "eval" and self.keeps_statistics

    def with_mode(self, mode: Mode) -> Problem:
        """The same problem with other normalisation statistics, see ``mode`` above."""
        other = copy.copy(self)
        other.mode = mode
        for cached in ("train", "test", "validation"):
            other.__dict__.pop(cached, None)
        return other

    @property
    def keeps_statistics(self) -> bool:
        """Whether the network has layers that collect normalisation statistics while it is trained."""
        return keeps_running_statistics(self._example)

    @property
    def has_validation(self) -> bool:
        """Whether some training examples are held out."""
        return self.data["validation"] is not None

    def landscape(self, which: str) -> NetworkLandscape:
        """Return the landscape called ``"train"``, ``"test"`` or ``"validation"``.

        Raises:
            InputError: another name, or no validation data.
        """
        if which not in self.data:
            raise InputError(f"expected landscape 'train', 'test' or 'validation', got '{which}'")
        chosen: NetworkLandscape = getattr(self, which)
        return chosen

    def initial_weights(self, seed: int, replicas: Sequence[int]) -> Tensor:
        """Draw torch's default initial weights, ``-> (R, d)``.

        Row i depends on ``seed`` and on the replica's number alone, not on how many replicas there are; weights are
        always drawn on the CPU in float32.

        Args:
            seed: seed of the ensemble.
            replicas: numbers of the replicas.

        Returns:
            Weights in the problem's dtype, on its device.
        """
        rows = []
        for index in replicas:
            with seeded(seed, "initial weights", index):
                rows.append(self.spec.flatten(self._build()))
        return torch.stack(rows).to(dtype=self.dtype, device=self.device)

    def module(self, weights: Tensor) -> nn.Module:
        """Build a module carrying the given weights, ``(d,) -> nn.Module``.

        In mode ``"batch-statistics"`` its normalisation statistics are the averages over the training data.

        Example:
            >>> import torch.nn.functional as F
            >>> data = (torch.randn(20, 3), torch.randint(0, 2, (20,)))
            >>> problem = Problem("tiny", lambda: nn.Linear(3, 2), F.cross_entropy, train=data, test=data)
            >>> w = problem.initial_weights(0, [0])[0]
            >>> bool((problem.spec.flatten(problem.module(w)) == w).all())
            True
        """
        module = copy.deepcopy(self._example)
        state = self.spec.unflatten(weights.detach().to(device="cpu"))
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if name in state:
                    parameter.copy_(state[name])
        if self.keeps_statistics and self.mode == "batch-statistics":
            statistics = self.with_mode("eval").train.refresh(weights.detach().to(self.device, self.dtype))
            module.load_state_dict(statistics, strict=False)
        return module

    def with_numerics(self, numerics: Numerics) -> Problem:
        """The same problem evaluated with a fixed strategy and chunks on all its landscapes."""
        other = copy.copy(self)
        other._numerics = numerics
        for cached in ("train", "test", "validation"):
            if cached in other.__dict__:
                other.__dict__[cached] = other.__dict__[cached].with_numerics(numerics)
        return other

    def _build(self) -> nn.Module:
        if isinstance(self._model, nn.Module):
            module = copy.deepcopy(self._model)
            _redraw(module)
            return module
        module = self._model()
        if not isinstance(module, nn.Module):
            raise InputError(f"expected a function that builds an nn.Module, got {type(module).__name__} from it")
        return module

    def _landscape(self, which: str) -> NetworkLandscape:
        return NetworkLandscape(
            self._example,
            self.loss,
            self.data[which],
            forward=self.forward,
            metrics=self.metrics,
            mode=self.mode,
            statistics_batch=self.statistics_batch,
            reduction=self.reduction,
            dtype=self.dtype,
            device=self._requested_device or "cpu",
            numerics=self._numerics,
        )

    def __repr__(self) -> str:
        return f"Problem({self.name!r}, {self.dim} parameters)"
