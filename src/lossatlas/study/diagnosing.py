"""diagnose: what is wrong at one point of a landscape, stored with how it was found."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from torch import Tensor

from lossatlas import analysis
from lossatlas.core.files import save_tree
from lossatlas.core.hardware import describe_hardware
from lossatlas.core.trajectory import Trajectory
from lossatlas.landscape import NetworkLandscape
from lossatlas.landscape.contract import Landscape
from lossatlas.study.connection_store import opened
from lossatlas.study.diagnosed import FILE, Diagnosed, check_diagnosis_folder
from lossatlas.study.versions import versions

__all__ = ["diagnose"]


def diagnose(
    landscape: Landscape,
    w: Tensor | None = None,
    history: Trajectory | None = None,
    *,
    test: Landscape | None = None,
    learning_rate: float | None = None,
    momentum: float | None = None,
    buffers: Mapping[str, Tensor] | None = None,
    seed: int = 0,
    folder: str | FilePath | None = None,
    name: str = "landscape",
    label: str = "point",
    unit: str = "",
    details: Mapping[str, Any] | None = None,
) -> Diagnosed:
    """Diagnose a point of a landscape as :func:`lossatlas.analysis.diagnose` does, and store what was found.

    Networks with normalisation statistics are looked at with the statistics of the data themselves, as in training: the
    loss is then a function of the weights alone, also along the run. The test loss is that of the network as it is
    used, with the statistics that came with its weights, or those of the training data where none did.

    Args:
        landscape: training loss.
        w: the point, ``(d,)``; None: the last weights of the history with a finite loss.
        history: the run that led there.
        test: loss over the test data.
        learning_rate: η of plain or momentum gradient descent.
        momentum: β.
        buffers: normalisation statistics of the network; None: computed.
        seed: names the random vectors.
        folder: where results are kept; None: not.
        name: what the landscape is called.
        label: what the point is called.
        unit: of the loss.
        details: what else should be recorded, such as options and checksums.

    Returns:
        The diagnosis with how it was made.

    Raises:
        InputError: arguments that cannot be.
        DivergenceError: the loss is not finite at the point.
        StorageError: the folder cannot be written, or holds something else.

    Example:
        >>> import torch
        >>> from lossatlas.landscape import get
        >>> found = diagnose(get("quadratic", dim=3, condition=1e5), torch.ones(3, dtype=torch.float64))
        >>> found.diagnosis.kinds
        ('ill-conditioned',)
    """
    where = None if folder is None else FilePath(folder).expanduser().absolute()
    if where is not None:
        check_diagnosis_folder(where)
    start = time.monotonic()
    train, held, notes = _with_statistics(landscape, test, w, history, buffers)
    found = analysis.diagnose(train, w, history, test=held, learning_rate=learning_rate, momentum=momentum, seed=seed)
    more = {
        **(details or {}),
        "seed": seed,
        "coordinates": landscape.dim,
        "samples": landscape.samples,
        "device": landscape.device.type,
        "method": found.details.get("method"),
        "products": found.details.get("products"),
        "steps": None if history is None else len(history.curves),
        "snapshots": None if history is None else len(history),
        "seconds": time.monotonic() - start,
        "hardware": describe_hardware(landscape.device).to_json(),
        "packages": versions(),
    }
    record = Diagnosed(name, label, found, unit, notes, more)
    with opened(where):
        if where is not None:
            save_tree(where / FILE, record.to_tree())
    return record


def _with_statistics(
    landscape: Landscape,
    test: Landscape | None,
    w: Tensor | None,
    history: Trajectory | None,
    buffers: Mapping[str, Tensor] | None,
) -> tuple[Landscape, Landscape | None, tuple[str, ...]]:
    if not isinstance(landscape, NetworkLandscape):
        return landscape, test, ()
    at = w
    if at is None and history is not None and history.last_finite is not None:
        at = history.weights[history.last_finite].to(dtype=landscape.dtype, device=landscape.device)
    own = {} if at is None or at.shape != (landscape.dim,) else landscape.refresh(at)
    if not own:
        return landscape, test, ()
    if isinstance(test, NetworkLandscape):
        test = test.with_buffers(own if buffers is None else buffers)
    note = (
        "The network keeps normalisation statistics. The training loss is that with the statistics of the data "
        "themselves, a function of the weights alone; the test loss is that with the statistics "
        + ("of the training data." if buffers is None else "that came with the weights.")
    )
    return landscape.with_batch_statistics(), test, (note,)
