"""What each operation does to hidden units: the handlers of the tracer, by operation name."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lossatlas.symmetry.labels import Labels, MixedUnitsError, determines, spread
from lossatlas.symmetry.recurrent import recurrent
from lossatlas.symmetry.tracer import Call, Handler, Tracer, fixed_vector, tensors_in
from lossatlas.symmetry.units import FIXED

__all__ = ["HANDLERS"]


# ---------------------------------------------------------------------- layers that make new units
def linear(tracer: Tracer, call: Call) -> None:
    """Affine maps x Wᵀ + b: W is (out, in)."""
    inputs, weight, bias = call.args[0], call.argument(1, "weight"), call.argument(2, "bias")
    tracer.assign(weight, 1, tracer.along(inputs, -1))
    tracer.produce(call.out, -1, weight, 0, bias)


def matmul(tracer: Tracer, call: Call) -> None:
    """Products x W with a parameter W of shape (in, out) on the right."""
    left, right = call.args[:2]
    if tracer.name(right) is None or tracer.name(left) is not None or right.ndim != 2:
        tracer.refuse(call, "only products of activations with a parameter matrix on their right are followed")
    tracer.assign(right, 0, tracer.along(left, -1))
    tracer.produce(call.out, -1, right, 1, None)


def convolution(tracer: Tracer, call: Call) -> None:
    """Convolutions and transposed ones, of one group or depthwise."""
    inputs, weight, bias = call.args[0], call.argument(1, "weight"), call.argument(2, "bias")
    channels = -int(call.name[-2]) - 1
    transposed = "transpose" in call.name
    groups = call.argument(6, "groups", 1)
    vector = tracer.along(inputs, channels)
    if groups == 1:
        tracer.assign(weight, 0 if transposed else 1, vector)
        tracer.produce(call.out, channels, weight, 1 if transposed else 0, bias)
    elif groups == inputs.shape[channels] == call.out.shape[channels]:
        # Depthwise: each channel keeps to itself, so no new units appear.
        tracer.assign(weight, 0, vector)
        tracer.assign(bias, 0, vector)
        tracer.label(call.out, spread(vector, channels, call.out.shape))
    else:
        tracer.refuse(call, f"channels move only within its {groups} groups")


def embedding(tracer: Tracer, call: Call) -> None:
    """Rows of a table: its columns are units."""
    weight = call.argument(1, "weight")
    tracer.assign(weight, 0, fixed_vector(weight.shape[0]))
    tracer.produce(call.out, -1, weight, 1, None)


# ---------------------------------------------------------------------- element by element
def elementwise(tracer: Tracer, call: Call) -> None:
    """Functions of one or several tensors, element by element, with broadcasting."""
    every = list(tensors_in((call.args, call.kwargs)))
    weights = [t for t in every if tracer.name(t) is not None]
    activations = [t for t in every if tracer.name(t) is None]
    if not activations:
        tracer.refuse(call, "a weight computed from parameters is not followed")
    out: Tensor = call.out
    labels: Labels | None = None
    if any(tracer.labels(t) is not None for t in activations):
        for tensor in activations:
            own = tracer.labels(tensor) or Labels.fixed(tensor.shape)
            own = own.moved(lambda t: t.expand(out.shape))
            labels = own if labels is None else _combined(tracer, labels, own)
    for weight in weights:
        _follow(tracer, weight, labels)
    tracer.label(out, labels)


def prelu(tracer: Tracer, call: Call) -> None:
    """A slope for all units, or one for each channel."""
    inputs, weight = call.args[0], call.argument(1, "weight")
    if weight.numel() > 1:
        tracer.assign(weight, 0, tracer.along(inputs, 1))
    tracer.label(call.out, tracer.labels(inputs))


def _follow(tracer: Tracer, weight: Tensor, labels: Labels | None) -> None:
    """A parameter that is added or multiplied follows the units along the axes it has."""
    for axis, size in enumerate(weight.shape):
        if size > 1:
            along = axis - weight.ndim
            fixed = labels is None or labels.constant_along(along)
            vector = fixed_vector(size) if fixed or labels is None else labels.along(along, tracer.table)
            tracer.assign(weight, axis, vector)


def _combined(tracer: Tracer, a: Labels, b: Labels) -> Labels:
    """Labels of a + b: units at the same element are the same unit; what is fixed must not tell units apart."""
    table = tracer.table
    free_a, free_b = a.units != FIXED, b.units != FIXED
    both = free_a & free_b
    table.join(a.units[both], b.units[both])
    keys_a, keys_b = a.keys(table), b.keys(table)
    finer_a = determines(keys_a[both], keys_b[both])
    if not finer_a and not determines(keys_b[both], keys_a[both]):
        raise MixedUnitsError
    for own, other_free, keys, places in (
        (a, free_b, keys_a, b.places),
        (b, free_a, keys_b, a.places),
    ):
        beside = (own.units != FIXED) & ~other_free
        if not determines(keys[beside], places[beside]):
            table.pin(own.units[beside])
    from_a = free_a & (~free_b | finer_a)
    merged = Labels(torch.where(from_a, a.units, b.units), torch.where(from_a, a.places, b.places))
    neither = ~free_a & ~free_b
    return Labels(
        merged.units, torch.where(neither, torch.arange(merged.places.numel()).view_as(merged.places), merged.places)
    )


# ---------------------------------------------------------------------- data movement
def movement(tracer: Tracer, call: Call) -> None:
    """Operations that only carry elements elsewhere: done to the labels as they were to the values."""
    first, rest = call.args[0], call.args[1:]
    sources = list(tensors_in(first))
    if any(tracer.name(t) is not None for t in tensors_in((call.args, call.kwargs))):
        tracer.refuse(call, "a weight computed from parameters is not followed")
    if any(tracer.labels(t) is not None for t in tensors_in(rest)):
        tracer.refuse(call, "hidden units choose the indices")
    own = [tracer.labels(t) or Labels.fixed(t.shape) for t in sources]

    def moved(part: str) -> list[Tensor]:
        pieces: Any = [getattr(labels, part) for labels in own]
        if call.name in _PROPERTIES:
            return [getattr(pieces[0], call.name)]
        argument = pieces[0] if isinstance(first, Tensor) else pieces
        return list(tensors_in(call.function(argument, *rest, **call.kwargs)))

    for out, units, places in zip(tensors_in(call.out), moved("units"), moved("places"), strict=True):
        tracer.label(out, Labels(units, places))


def unchanged(tracer: Tracer, call: Call) -> None:
    """Operations whose result has the elements of the first argument in their places."""
    if tracer.name(call.args[0]) is not None:
        tracer.refuse(call, "a weight computed from parameters is not followed")
    tracer.label(call.out, tracer.labels(call.args[0]))


# ---------------------------------------------------------------------- across elements
def windows(tracer: Tracer, call: Call) -> None:
    """Pooling, resizing and padding of maps: each channel by itself."""
    inputs, out = call.args[0], call.out
    if not isinstance(out, Tensor):
        tracer.refuse(call, "the indices it returns are not followed")
    if call.name == "pad":
        spatial = len(call.argument(1, "pad")) // 2
    else:
        spatial = int(call.name[-2]) if call.name.endswith("d") else inputs.ndim - 2
    if spatial >= inputs.ndim:
        tracer.refuse(call, "it has no axis of channels")
    if call.name == "pad" and spatial == inputs.ndim - 1 > 1:
        _channels_of_zeros(tracer, call)
    else:
        axis = -spatial - 1
        tracer.label(out, spread(tracer.along(inputs, axis), axis, out.shape))


def _channels_of_zeros(tracer: Tracer, call: Call) -> None:
    """More channels, all of one constant: they have an order of their own, and nothing in them tells units apart."""
    labels, amounts = tracer.labels(call.args[0]), list(call.argument(1, "pad"))
    if any(amounts[:-2]) or call.argument(2, "mode", "constant") != "constant":
        tracer.refuse(call, "it pads places and channels at once, or not with a constant")
    if labels is not None:
        tracer.label(call.out, Labels(*(F.pad(part, amounts) for part in (labels.units, labels.places))))


def reduction(tracer: Tracer, call: Call) -> None:
    """Means and sums, over places of each unit or over all units."""
    inputs, out = call.args[0], call.out
    labels = tracer.labels(inputs)
    if labels is None or not isinstance(out, Tensor):
        tracer.refuse(call, "a weight computed from parameters is not followed")
    axes = _axes(call.argument(1, "dim", call.kwargs.get("axis")), inputs.ndim)
    if all(labels.constant_along(axis) for axis in axes):
        tracer.label(out, labels.reduced(axes, out.shape, tracer.table))
    elif all(labels.constant_along(axis) or _symmetric(tracer, labels, axis) for axis in axes):
        tracer.label(out, None)  # a symmetric function of all units keeps nothing of their order
    else:
        raise MixedUnitsError


def softmax(tracer: Tracer, call: Call) -> None:
    """Normalised exponentials along one axis."""
    labels = tracer.labels(call.args[0])
    if labels is not None:
        _normalised(tracer, labels, _axes(call.argument(1, "dim"), call.args[0].ndim))
    tracer.label(call.out, labels)


def layer_norm(tracer: Tracer, call: Call) -> None:
    """Statistics over the last axes; weight and bias follow them."""
    inputs, shape = call.args[0], call.argument(1, "normalized_shape")
    axes = list(range(inputs.ndim - len(shape), inputs.ndim))
    labels = tracer.labels(inputs)
    if labels is not None:
        _normalised(tracer, labels, axes)
    for weight in (call.argument(2, "weight"), call.argument(3, "bias")):
        if isinstance(weight, Tensor):
            _follow(tracer, weight, labels)
    tracer.label(call.out, labels)


def channel_norm(tracer: Tracer, call: Call) -> None:
    """Batch, instance and group normalisation: one weight, bias, mean and variance for each channel."""
    inputs = call.args[0]
    vector = tracer.along(inputs, 1)
    if call.name == "group_norm":
        groups = call.argument(1, "num_groups")
        if bool((vector.units != FIXED).any()) and groups not in (1, inputs.shape[1]):
            tracer.refuse(call, f"channels move only within its {groups} groups")
        if groups == 1 and not tracer.table.complete(vector.units):
            raise MixedUnitsError
    for tensor in tensors_in((call.args[1:], call.kwargs)):
        tracer.assign(tensor, 0, vector)
    tracer.label(call.out, tracer.labels(inputs))


def _axes(dim: Any, ndim: int) -> list[int]:
    dims = range(ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    return [d % ndim for d in dims]


def _symmetric(tracer: Tracer, labels: Labels, axis: int) -> bool:
    """Whether every slice along an axis holds all units of the groups in it."""
    slices = labels.units.movedim(axis, -1).reshape(-1, labels.units.shape[axis])
    return all(tracer.table.complete(row) for row in torch.unique(slices, dim=0))


def _normalised(tracer: Tracer, labels: Labels, axes: list[int]) -> None:
    """Statistics over some axes are the same for every order of units if these hold all units, or one."""
    for axis in axes:
        if not labels.constant_along(axis) and not _symmetric(tracer, labels, axis):
            raise MixedUnitsError


_PROPERTIES = ("T", "mT", "H", "mH", "data")

_ELEMENTWISE = """relu relu6 leaky_relu elu selu celu gelu silu mish softplus softsign softshrink hardshrink tanhshrink
    tanh sigmoid logsigmoid hardtanh hardswish hardsigmoid threshold rrelu exp expm1 log log1p log2 sqrt rsqrt square
    reciprocal abs neg sign sin cos sinh cosh erf clamp clip clamp_min clamp_max nan_to_num add sub mul div pow maximum
    minimum fmax fmin where lerp addcmul addcdiv masked_fill atan2 gt lt ge le eq ne logical_not"""
_UNCHANGED = """dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout to float double half type
    type_as contiguous clone detach requires_grad cpu"""
_MOVEMENT = """view reshape view_as reshape_as flatten unflatten permute transpose swapaxes swapdims movedim moveaxis
    t T mT squeeze unsqueeze expand expand_as broadcast_to getitem select narrow index_select cat concat concatenate
    stack hstack vstack chunk split tensor_split unbind flip roll repeat repeat_interleave tile ravel
    pixel_shuffle channel_shuffle data"""
_WINDOWS = """max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d lp_pool1d lp_pool2d
    adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d
    adaptive_max_pool3d interpolate upsample pad"""

HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(_ELEMENTWISE.split(), elementwise),
    **dict.fromkeys(_UNCHANGED.split(), unchanged),
    **dict.fromkeys(_MOVEMENT.split(), movement),
    **dict.fromkeys(_WINDOWS.split(), windows),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "logsumexp", "var", "std", "prod"), reduction),
    **dict.fromkeys(("softmax", "log_softmax", "softmin"), softmax),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), convolution),
    **dict.fromkeys(("layer_norm", "rms_norm"), layer_norm),
    **dict.fromkeys(("batch_norm", "instance_norm", "group_norm"), channel_norm),
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), recurrent),
    "linear": linear,
    "matmul": matmul,
    "embedding": embedding,
    "prelu": prelu,
}
"""Operation name to handler."""
