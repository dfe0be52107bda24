"""The figures of a report as files. A picture whose figure did not change is kept: drawing is what takes long."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from lossatlas.core.files import canonical_json, write_atomic
from lossatlas.report.figure import Figure
from lossatlas.report.matplotlib_backend import render_all

__all__ = ["write_figures"]

_SUFFIXES = ("png", "svg")
_RECORD = "drawn.json"


def write_figures(folder: Path, figures: Iterable[Figure]) -> None:
    """Write ``figures/NAME.{png,svg,csv}`` of every figure.

    ``figures/drawn.json`` records what each picture was drawn from, by which code, and the checksum of its file. A
    picture is drawn again unless all three are as recorded, so one that is missing or damaged is mended.

    Args:
        folder: that of the report.
        figures: with distinct names.

    Raises:
        StorageError: the folder cannot be written.
    """
    target = folder / "figures"
    before, now = _read(target / _RECORD), {}
    for figure in figures:
        paths = {suffix: target / f"{figure.name}.{suffix}" for suffix in _SUFFIXES}
        source = _source(figure)
        entry = before.get(figure.name)
        if entry is None or entry != {"source": source, **{suffix: _checksum(path) for suffix, path in paths.items()}}:
            files = render_all(figure, _SUFFIXES)
            for suffix, content in files.items():
                write_atomic(paths[suffix], content)
            entry = {"source": source, **{suffix: _sha256(content) for suffix, content in files.items()}}
        write_atomic(target / f"{figure.name}.csv", figure.to_csv())
        now[figure.name] = entry
    if now and now != before:
        write_atomic(target / _RECORD, canonical_json(now))


def _read(path: Path) -> dict[str, Any]:
    """What was recorded, ``{figure: {"source": ..., "png": ..., "svg": ...}}``; nothing where it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _checksum(path: Path) -> str | None:
    try:
        return _sha256(path.read_bytes())
    except OSError:
        return None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _source(figure: Figure) -> str:
    """One number for all that decides how a picture looks: the figure, the code that draws it, and matplotlib."""
    found = hashlib.sha256(mpl.__version__.encode())
    found.update(_code())
    for part in _parts(figure):
        found.update(part)
    return found.hexdigest()


@functools.cache
def _code() -> bytes:
    """Checksum of the code that draws; it is read once."""
    found = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        found.update(path.read_bytes())
    return found.digest()


def _parts(value: Any) -> Iterator[bytes]:
    """Every field of a figure with its type and length, so that no two figures give the same bytes."""
    yield type(value).__name__.encode() + b":"
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _parts(getattr(value, field.name))
    elif isinstance(value, list | tuple):
        yield f"{len(value)};".encode()
        for each in value:
            yield from _parts(each)
    elif isinstance(value, np.ndarray):
        yield f"{value.dtype.str}{value.shape};".encode()
        yield np.ascontiguousarray(value).tobytes()
    else:
        text = repr(value).encode()
        yield f"{len(text)};".encode() + text
