"""Surfaces for other programs: numpy archives, VTK files, and the HDF5 layout of Li et al."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.core.files import write_atomic
from lossatlas.slices.plane import Projection
from lossatlas.slices.surface import Surface

__all__ = ["has_h5", "save_h5", "save_npz", "save_vtk"]

_Floats = NDArray[np.float64]


def _array(x: Tensor) -> _Floats:
    array: _Floats = x.detach().cpu().double().numpy()
    return array


def save_npz(surface: Surface, path: str | Path, trajectories: Mapping[str, Projection] | None = None) -> Path:
    """Write a surface as a numpy archive, read with ``numpy.load(path)``.

    Arrays: ``axis_0`` (and ``axis_1``, ``axis_2``); ``values`` and each metric, with the first index along ``axis_0``;
    ``finite``; ``origin`` ``(d,)``, ``directions`` ``(k, d)`` and their ``names``; for each trajectory
    ``trajectory NAME``, ``(n, k)``, and ``residuals NAME``, ``(n,)``.

    Args:
        surface: to write.
        path: ends in ``.npz``.
        trajectories: by name, as the surface's plane shows them.

    Returns:
        The path written.

    Raises:
        InputError: another suffix.
        StorageError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from lossatlas import landscape, slices
        >>> toy = landscape.get("paper-toy")
        >>> found = slices.surface(toy, toy.ends[0], "coordinates", points=5, span=1.0)
        >>> with np.load(save_npz(found, Path(tempfile.mkdtemp()) / "toy.npz")) as read:
        ...     bool((read["values"] == found.values.numpy()).all())
        True
    """
    target = _suffixed(path, ".npz")
    arrays: dict[str, NDArray[np.generic]] = {f"axis_{i}": _array(axis) for i, axis in enumerate(surface.axes)}
    arrays |= {"values": _array(surface.values), "finite": surface.finite.numpy()}
    arrays |= {name: _array(values) for name, values in surface.metrics.items()}
    arrays["origin"] = surface.plane.origin.cpu().numpy()
    arrays["directions"] = surface.plane.directions.cpu().numpy()
    arrays["names"] = np.array(surface.plane.names)
    for name, seen in (trajectories or {}).items():
        arrays[f"trajectory {name}"], arrays[f"residuals {name}"] = _array(seen.coordinates), _array(seen.residuals)
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    write_atomic(target, stream.getvalue())
    return target


def save_vtk(surface: Surface, path: str | Path) -> Path:
    """Write a surface as a VTK rectilinear grid (XML), for ParaView and the like.

    Point data are the loss, every metric, and ``finite``, 1 where the loss is. Numbers are stored in full precision,
    NaN and infinity included. In ParaView, *Warp By Scalar* on the loss gives the relief.

    Args:
        surface: to write.
        path: ends in ``.vtr``.

    Returns:
        The path written.

    Raises:
        InputError: another suffix.
        StorageError: the file cannot be written.

    Kitware, *VTK file formats*: https://docs.vtk.org/en/latest/vtk_file_formats/vtkxml_file_format.html
    """
    target = _suffixed(path, ".vtr")
    zero = np.zeros(1)
    axes = [*(_array(axis) for axis in surface.axes), zero, zero][:3]
    extent = " ".join(f"0 {len(axis) - 1}" for axis in axes)
    # VTK lets the first direction run fastest.
    data = {"loss": surface.values, **surface.metrics}
    arrays = [_vtk_array(name, _array(values).ravel(order="F")) for name, values in data.items()]
    arrays.append(_vtk_array("finite", surface.finite.numpy().astype(np.uint8).ravel(order="F")))
    places = [_vtk_array(name, axis) for name, axis in zip("xyz", axes, strict=True)]
    lines = [
        '<?xml version="1.0"?>',
        '<VTKFile type="RectilinearGrid" version="1.0" byte_order="LittleEndian" header_type="UInt64">',
        f'<RectilinearGrid WholeExtent="{extent}">',
        f'<Piece Extent="{extent}">',
        '<PointData Scalars="loss">',
        *arrays,
        "</PointData>",
        "<Coordinates>",
        *places,
        "</Coordinates>",
        "</Piece>",
        "</RectilinearGrid>",
        "</VTKFile>",
    ]
    write_atomic(target, "\n".join(lines) + "\n")
    return target


def _vtk_array(name: str, values: NDArray[np.generic]) -> str:
    kind = "UInt8" if values.dtype == np.uint8 else "Float64"
    raw = values.astype(values.dtype.newbyteorder("<")).tobytes()
    # Each block is preceded by its length; both in base 64, as text cannot hold NaN in all readers.
    text = base64.b64encode(np.array([len(raw)], dtype="<u8").tobytes() + raw).decode()
    label = re.sub(r"[<>&\"]", " ", name)
    return f'<DataArray type="{kind}" Name="{label}" NumberOfComponents="1" format="binary">{text}</DataArray>'


def has_h5() -> bool:
    """Whether the package that writes HDF5 is installed."""
    from importlib.util import find_spec

    return find_spec("h5py") is not None


def save_h5(
    surface: Surface,
    path: str | Path,
    trajectories: Mapping[str, Projection] | None = None,
    *,
    prefix: str = "train",
) -> tuple[Path, ...]:
    """Write a surface in the HDF5 layout of github.com/tomgoldstein/loss-landscape.

    * The surface: ``xcoordinates``, ``ycoordinates``, ``train_loss``, ``train_acc`` in percent where the accuracy was
      measured, and ``dir_file``, the name of the next file. Its scripts draw ``train_loss[i, j]`` at ``(x_j, y_i)``,
      the transpose of ``surface.values``. There −1 means not computed; here everything is computed, and NaN is NaN.
    * The directions: ``xdirection/0``, ``xdirection/1``, ... one data set per trainable parameter in its own shape, and
      ``ydirection``; ``explained_variance_ratio_`` for planes of trajectories.
    * One file per trajectory: ``proj_xcoord``, ``proj_ycoord``.

    Args:
        surface: of one or two directions.
        path: of the surface, ends in ``.h5``; the others are named after it.
        trajectories: by name, as the surface's plane shows them.
        prefix: ``"train"`` or ``"test"``.

    Returns:
        The paths written, the surface first.

    Raises:
        InputError: another suffix, three directions, or h5py is not installed.
        StorageError: a file cannot be written.
    """
    target = _suffixed(path, ".h5")
    if surface.plane.count > 2:
        raise InputError("expected one or two directions for this layout, got three: write .npz or .vtr")
    if prefix not in ("train", "test"):
        raise InputError(f"expected the prefix 'train' or 'test', got '{prefix}'")
    if not has_h5():
        raise InputError("expected the package h5py to write HDF5, got none: install lossatlas[h5]")
    aside = target.with_name(f"{target.stem}_directions.h5")
    content: dict[str, object] = {"dir_file": aside.name}
    content |= {f"{letter}coordinates": _array(axis) for letter, axis in zip("xy", surface.axes, strict=False)}
    content[f"{prefix}_loss"] = _array(surface.values).T
    if "accuracy" in surface.metrics:
        content[f"{prefix}_acc"] = 100 * _array(surface.metrics["accuracy"]).T
    written = [(target, content), (aside, _directions(surface))]
    for name, seen in (trajectories or {}).items():
        places = {
            f"proj_{letter}coord": _array(seen.coordinates[:, i])
            for i, letter in enumerate("xy"[: surface.plane.count])
        }
        written.append((target.with_name(f"{target.stem}_{_slug(name)}_proj.h5"), dict(places)))
    for where, entries in written:
        write_atomic(where, _h5(entries))
    return tuple(where for where, _ in written)


def _directions(surface: Surface) -> dict[str, object]:
    plane = surface.plane
    found: dict[str, object] = {}
    for letter, row in zip("xy", plane.directions, strict=False):
        parts = [row] if plane.spec is None else list(plane.spec.unflatten(row).values())
        found |= {f"{letter}direction/{i}": part.cpu().numpy() for i, part in enumerate(parts)}
    if "explained" in plane.details:
        found["explained_variance_ratio_"] = np.array(plane.details["explained"])
    return found


def _h5(entries: Mapping[str, object]) -> bytes:
    import h5py

    stream = io.BytesIO()
    # Without times: the same surface gives the same bytes.
    with h5py.File(stream, "w", track_order=True) as file:
        for name, value in entries.items():
            file.create_dataset(name, data=value, track_times=False)
    return stream.getvalue()


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-") or "trajectory"


def _suffixed(path: str | Path, suffix: str) -> Path:
    target = Path(path)
    if target.suffix.lower() != suffix:
        raise InputError(f"expected a file ending in {suffix}, got '{target.name}'")
    return target
