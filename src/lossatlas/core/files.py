"""Atomic files: results appear whole or not at all, and say so when they were damaged.

A *tree* (nested dicts and lists of tensors, numbers, strings, booleans and None) is stored as two files:
``NAME.json`` holds the structure, ``NAME-<hash>.safetensors`` the tensors. The JSON names its tensor file and
its checksum and is renamed into place last, so at every moment ``NAME.json`` describes tensors that exist:
a process killed between the two steps leaves the previous version intact.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from lossatlas.core.errors import StorageError

__all__ = [
    "Tree",
    "bit_equal",
    "canonical_json",
    "check_folder_for",
    "digest",
    "load_entry",
    "load_tree",
    "remove_tree",
    "save_tree",
    "tensor_digest",
    "write_atomic",
]

Tree: TypeAlias = Any
"""Nested dicts, lists and tuples of tensors, numbers, strings, booleans and None."""

_FORMAT = 1


def canonical_json(value: Any) -> str:
    """Serialise to the one JSON text that equal values share: sorted keys, no spaces.

    Example:
        >>> canonical_json({"b": 1, "a": [2.5, None]})
        '{"a":[2.5,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def digest(value: Any) -> str:
    """SHA-256 of :func:`canonical_json`, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def tensor_digest(x: Tensor) -> str:
    """SHA-256 of a tensor's type, shape and bits.

    Example:
        >>> tensor_digest(torch.zeros(2)) == tensor_digest(torch.zeros(2)) != tensor_digest(torch.zeros(1, 2))
        True
    """
    flat = x.detach().cpu().contiguous()
    return hashlib.sha256(f"{flat.dtype} {tuple(flat.shape)} ".encode() + flat.numpy().tobytes()).hexdigest()


def write_atomic(path: Path, content: bytes | str) -> None:
    """Write a file so that readers see the old content or the new, never a part.

    Args:
        path: where to write; parent folders are made.
        content: text is encoded as UTF-8.

    Raises:
        StorageError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes files private to the owner; results should be as readable as any other file.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"expected to write {path} ({len(data):,} bytes), got '{reason}': "
            "choose a folder you may write to, on a disk with room"
        ) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                Path(temporary).unlink()


def _pack(value: Tree, tensors: dict[str, Tensor]) -> Any:
    """Replace tensors by references and whatever JSON cannot hold by tagged objects."""
    if isinstance(value, Tensor):
        key = f"t{len(tensors)}"
        # A copy each: safetensors refuses tensors that share memory, and a state may hold one tensor twice.
        tensors[key] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"$tensor": key}
    if isinstance(value, dict):
        if all(isinstance(k, str) and not k.startswith("$") for k in value):
            return {k: _pack(v, tensors) for k, v in value.items()}
        return {"$items": [[_pack(k, tensors), _pack(v, tensors)] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {"$tuple": [_pack(v, tensors) for v in value]}
    if isinstance(value, list):
        return [_pack(v, tensors) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(float(value))}  # numpy's floats spell themselves differently
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise StorageError(
        f"expected tensors, numbers, strings, booleans or None, got {type(value).__name__}: convert it before storing"
    )


def _unpack(value: Any, tensors: dict[str, Tensor]) -> Tree:
    if isinstance(value, list):
        return [_unpack(v, tensors) for v in value]
    if not isinstance(value, dict):
        return value
    special: dict[str, Callable[[Any], Tree]] = {
        "$tensor": lambda key: tensors[key].clone(),
        "$tuple": lambda parts: tuple(_unpack(v, tensors) for v in parts),
        "$items": lambda pairs: {_unpack(k, tensors): _unpack(v, tensors) for k, v in pairs},
        "$float": float,
    }
    if len(value) == 1:
        tag, content = next(iter(value.items()))
        if tag in special:
            return special[tag](content)
    return {k: _unpack(v, tensors) for k, v in value.items()}


def _tensor_file(path: Path) -> Path | None:
    """Return the tensor file that the JSON at ``path`` names, if there is one."""
    try:
        name = str(json.loads(path.read_text(encoding="utf-8"))["tensors"]["file"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # It will be deleted: a damaged or edited JSON must not name a file of somebody else.
    return path.parent / name if name.startswith(f"{path.stem}-") and name == Path(name).name else None


def save_tree(path: Path, tree: Tree) -> None:
    """Store a tree at ``path`` (ending in ``.json``), replacing any previous version atomically.

    Args:
        path: the JSON file; its tensors go beside it.
        tree: what to store.

    Raises:
        StorageError: something in the tree cannot be stored, or the disk refuses.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> save_tree(folder / "a.json", {"x": torch.ones(2), "note": ("three", 3.5)})
        >>> load_tree(folder / "a.json")
        {'x': tensor([1., 1.]), 'note': ('three', 3.5)}
    """
    tensors: dict[str, Tensor] = {}
    packed = _pack(tree, tensors)
    blob = save_safetensors(tensors)
    checksum = hashlib.sha256(blob).hexdigest()
    target = path.parent / f"{path.stem}-{checksum[:16]}.safetensors"
    previous = _tensor_file(path)
    document = {
        "format": _FORMAT,
        "tensors": {"file": target.name, "sha256": checksum},
        "content": packed,
        "content_sha256": digest(packed),
    }
    write_atomic(target, blob)
    write_atomic(path, json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    if previous is not None and previous != target:
        with contextlib.suppress(FileNotFoundError):
            previous.unlink()


def load_tree(path: Path) -> Tree:
    """Read a tree written by :func:`save_tree`, verifying both checksums.

    Raises:
        StorageError: a file is missing, damaged or of an unknown format.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        version = document.get("format")
        packed, where = document["content"], document["tensors"]
        blob = (path.parent / where["file"]).read_bytes()
        whole = hashlib.sha256(blob).hexdigest() == where["sha256"] and digest(packed) == document["content_sha256"]
    except FileNotFoundError as error:
        raise StorageError(f"expected the stored result {error.filename}, got no such file") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(
            f"expected a stored result in {path}, got {error!r}: delete the file to have it made again"
        ) from error
    if version != _FORMAT:
        raise StorageError(
            f"expected format {_FORMAT} in {path}, got {version}: it was written by another version of lossatlas"
        )
    if not whole:
        raise StorageError(
            f"expected {path} to match its checksum, got different content: "
            "the file was damaged or edited; delete it to have it made again"
        )
    try:
        tensors = load_safetensors(blob)
    except SafetensorError as error:
        raise StorageError(f"expected safetensors beside {path}, got '{error}'") from error
    return _unpack(packed, tensors)


def load_entry(path: Path, key: str, default: Any = None) -> Any:
    """Read one plain entry of a stored tree without reading its tensors.

    Args:
        path: the JSON file.
        key: of the outermost dictionary; its value is a number, a string, a boolean or None.
        default: returned where there is no such entry; None: there must be one.

    Raises:
        StorageError: the file is missing or damaged, or has no such entry.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))["content"]
        return content[key] if default is None or key in content else default
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"expected a stored result with '{key}' in {path}, got {error!r}: delete the file to have it made again"
        ) from error


def remove_tree(path: Path) -> None:
    """Delete a stored tree, JSON first so that no moment shows a description without its tensors."""
    tensors = _tensor_file(path)
    path.unlink(missing_ok=True)
    if tensors is not None:
        tensors.unlink(missing_ok=True)


def check_folder_for(what: str, folder: Path, allowed: Container[str]) -> None:
    """Refuse a folder that holds something else, before anything is computed.

    Args:
        what: that the folder may hold, such as ``"a surface"``.
        folder: need not be there.
        allowed: names that may be in it.

    Raises:
        StorageError: it holds something else, or it is no folder.

    Example:
        >>> check_folder_for("a surface", Path("not-there"), ())
    """
    if folder.exists() and not folder.is_dir():
        raise StorageError(f"expected a folder at {folder}, got a file: choose another --out")
    if folder.is_dir() and any(entry.name not in allowed for entry in folder.iterdir()):
        raise StorageError(
            f"expected an empty folder or {what} at {folder}, got a folder with other files: choose another --out"
        )


def bit_equal(a: Tree, b: Tree) -> bool:
    """Whether two trees have the same structure and the same bits (NaN equals itself).

    Example:
        >>> bit_equal({"x": torch.tensor([float("nan")])}, {"x": torch.tensor([float("nan")])})
        True
    """
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.dtype != b.dtype or a.shape != b.shape:
            return False
        flat_a, flat_b = (t.detach().resolve_conj().resolve_neg().contiguous().reshape(-1) for t in (a, b))
        return torch.equal(flat_a.view(torch.uint8), flat_b.view(torch.uint8))
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(bit_equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(bit_equal(u, v) for u, v in zip(a, b, strict=True))
    if isinstance(a, float):
        # Zero equals minus zero, but their bits differ.
        return (a == b and math.copysign(1, a) == math.copysign(1, b)) or (math.isnan(a) and math.isnan(b))
    return bool(a == b)
