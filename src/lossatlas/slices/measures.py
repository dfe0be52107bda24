"""What is measured at each point of a surface besides the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from lossatlas.core.errors import InputError, MemoryLimitError, nearest
from lossatlas.core.linalg import row_norm
from lossatlas.landscape.contract import AffineRows, Landscape, Rows, SupportsMetrics

__all__ = ["GRADIENT_NORM", "Measure", "Measures", "check_measures", "measure"]

Measure: TypeAlias = Callable[[Landscape, Tensor], Tensor]
"""Something of a landscape at rows: ``(landscape, (n, d)) -> (n,)``."""

Measures: TypeAlias = Sequence[str] | Mapping[str, Measure | None]
"""Names of metrics, or names to functions; None: a metric of that name."""

GRADIENT_NORM = "gradient norm"
# Bytes of rows and gradients made at a time.
_BYTES = 128 << 20


def check_measures(landscape: Landscape, origin: Tensor, wanted: Measures) -> dict[str, Measure | None]:
    """Refuse what the landscape does not have, before anything is computed.

    Args:
        landscape: where.
        origin: ``(d,)``, a point at which its metrics are looked up.
        wanted: see :data:`Measures`.

    Returns:
        Name to function; None for what the landscape itself reports.

    Raises:
        InputError: an unknown metric, or something that is no function.
    """
    found: dict[str, Measure | None] = dict(wanted) if isinstance(wanted, Mapping) else dict.fromkeys(wanted)
    own = {name for name, function in found.items() if function is None and name not in (GRADIENT_NORM, "loss")}
    if own:
        known = set(landscape.metrics(origin)) if isinstance(landscape, SupportsMetrics) else {"loss"}
        for name in sorted(own - known):
            names = [*known, GRADIENT_NORM]
            raise InputError(f"unknown metric '{name}': {nearest(name, names)}, or in Python a function of your own")
    for name, function in found.items():
        if function is not None and not callable(function):
            raise InputError(
                f"expected a function (landscape, rows) -> (n,) as '{name}', got {type(function).__name__}"
            )
    found.pop("loss", None)
    return found


def measure(landscape: Landscape, rows: AffineRows, wanted: Mapping[str, Measure | None]) -> dict[str, Tensor]:
    """Loss and measures at rows, ``(n, d) -> {"loss": (n,), ...}`` in float64 on the CPU.

    Where memory runs out the rows are cut in halves, down to single ones; data are never cut.

    Raises:
        InputError: a function that returns something else.
        MemoryLimitError: a single row does not fit.
    """
    found: dict[str, Tensor] = {}
    names = [name for name, function in wanted.items() if function is None]
    if GRADIENT_NORM in names:
        found |= _halving(rows, len(rows.coefficients), lambda part: _gradient_norms(landscape, part), _few(rows))
    reported = [name for name in names if name != GRADIENT_NORM]
    if reported and isinstance(landscape, SupportsMetrics):
        everything = _halving(rows, len(rows.coefficients), lambda part: dict(landscape.metrics(part)))
        found |= {name: everything[name] for name in reported}
    if "loss" not in found:
        found |= _halving(rows, len(rows.coefficients), lambda part: {"loss": landscape.value(part)})
    for name, function in wanted.items():
        if function is not None:
            found |= _halving(rows, len(rows.coefficients), _called(name, function, landscape), _few(rows))
    return {name: values.detach().double().cpu() for name, values in found.items()}


# ---------------------------------------------------------------------- inside
def _few(rows: AffineRows) -> int:
    """How many rows may be made at once."""
    return max(1, _BYTES // (4 * rows.shape[-1] * rows.dtype.itemsize))


def _gradient_norms(landscape: Landscape, rows: Rows) -> dict[str, Tensor]:
    values, gradients = landscape.value_and_grad(rows)
    return {"loss": values, GRADIENT_NORM: row_norm(gradients.double())}


def _called(name: str, function: Measure, landscape: Landscape) -> Callable[[AffineRows], dict[str, Tensor]]:
    def call(rows: AffineRows) -> dict[str, Tensor]:
        points = rows.dense()
        answer = function(landscape, points)
        if not isinstance(answer, Tensor) or answer.shape != points.shape[:1]:
            came = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
            raise InputError(
                f"expected '{name}' to return a tensor of shape ({len(points)},) for {len(points)} rows, got {came}: "
                "one number for each row"
            )
        return {name: answer}

    return call


def _halving(
    rows: AffineRows, count: int, action: Callable[[AffineRows], dict[str, Tensor]], size: int | None = None
) -> dict[str, Tensor]:
    """Run an action on some rows at a time, on fewer after each lack of memory."""
    size = min(size or count, count)
    parts: list[dict[str, Tensor]] = []
    start = 0
    while start < count:
        part = AffineRows(rows.base, rows.coefficients[start : start + size], rows.directions)
        try:
            parts.append(action(part))
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            if size == 1:
                raise MemoryLimitError(
                    f"expected memory for one point of {rows.shape[-1]:,} weights, got '{error}': "
                    "take a smaller part of the data, smaller batches of a loader, or another device"
                ) from error
            size = max(1, size // 2)
            continue
        start += size
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _out_of_memory(error: BaseException) -> bool:
    return not isinstance(error, RuntimeError) or isinstance(error, torch.OutOfMemoryError) or "memory" in str(error)
