"""Reading weights that others trained: safetensors, .pt without unpickling code, .npy, state dicts."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lossatlas.core.errors import DataError, InputError, nearest
from lossatlas.core.params import ParamSpec

__all__ = ["WeightSource", "check_statistics", "read_buffers", "read_weights"]

WeightSource: TypeAlias = "str | Path | Mapping[str, Tensor] | nn.Module | Tensor"

# What training frameworks put in front of every name: DataParallel, torch.compile, Lightning.
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.")


def _read_file(path: Path) -> Any:
    if path.is_dir():
        raise DataError(f"expected a weight file, got a folder at {path}: name a file in it")
    if not path.is_file():
        raise DataError(f"expected a weight file, got no file at {path}: check the path")
    suffix = path.suffix.lower()
    try:
        if suffix == ".safetensors":
            return load_file(path)
        if suffix == ".npy":
            with path.open("rb") as stream:  # numpy leaves files open that it refuses
                array = np.load(stream, allow_pickle=False)
            if not isinstance(array, np.ndarray):
                raise ValueError("an archive of several arrays")
            return torch.from_numpy(array)
        if suffix in {".pt", ".pth", ".ckpt", ".bin"}:
            with warnings.catch_warnings():  # about pickles it then refuses: our sentence says it better
                warnings.simplefilter("ignore")
                return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        raise DataError(
            f"expected plain tensors in {path}, got a file that is damaged or runs code when it is read: "
            "save model.state_dict() alone, best as .safetensors"
        ) from error
    except Exception as error:  # damaged bytes take every reader to a different exception
        raise DataError(
            f"expected weights in {path} ({path.stat().st_size:,} bytes), got a file that cannot be read as "
            f"{suffix} ({type(error).__name__} '{error}'): save it again"
        ) from error
    raise DataError(f"expected weights as .safetensors, .pt or .npy, got {path.name}")


def _state_dict(loaded: Any, origin: str) -> Mapping[str, Any]:
    """Find the mapping of names to tensors inside a checkpoint."""
    if isinstance(loaded, Mapping):
        for key in ("state_dict", "model_state_dict", "model"):
            if isinstance(loaded.get(key), Mapping):
                return _state_dict(loaded[key], origin)
        if any(isinstance(v, Tensor) for v in loaded.values()):
            return loaded
    came = type(loaded).__name__
    if isinstance(loaded, Mapping):
        inside = [str(key) for key, value in loaded.items() if isinstance(value, Mapping)]
        came = f"a dictionary of {', '.join(map(repr, loaded))}" if loaded else "an empty dictionary"
        came += f" (the weights may be in {' or '.join(map(repr, inside))})" if inside else ""
    raise DataError(f"expected a state dict in {origin}, got {came}: save model.state_dict()")


def _match_names(state: Mapping[str, Any], spec: ParamSpec, origin: str) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name in (*spec.names, *(other for other, _ in spec.tied)):
        for prefix in ("", *_PREFIXES, *(a + b for a in _PREFIXES for b in _PREFIXES)):
            candidate = state.get(prefix + name)
            if isinstance(candidate, Tensor):
                found[name] = candidate
                break
        else:
            if name not in spec.names:
                continue  # a parameter that modules share may be stored once
            names = [key for key, value in state.items() if isinstance(value, Tensor)]
            raise DataError(
                f"expected a tensor named '{name}' in {origin}, got none ({nearest(name, names)}): "
                "these are weights of another network"
            )
    return found


def read_weights(source: WeightSource, spec: ParamSpec, dtype: torch.dtype | None = None) -> Tensor:
    """Read one weight vector, ``-> (d,)``.

    Args:
        source: a file (.safetensors, .pt, .pth, .ckpt, .npy), a state dict, a module or a flat tensor ``(d,)``.
            Prefixes such as ``module.`` and a Lightning ``"state_dict"`` key are understood. Files are never
            unpickled: only plain tensors are read.
        spec: the network's parameters.
        dtype: floating type of the result; None keeps that of the source.

    Returns:
        A copy of the weights on the CPU.

    Raises:
        DataError: the file is missing, damaged, needs unpickling, or holds another network.

    Example:
        >>> net = nn.Linear(2, 1)
        >>> read_weights({"module." + k: v for k, v in net.state_dict().items()}, ParamSpec.of(net)).shape
        torch.Size([3])
    """
    origin = str(source) if isinstance(source, str | Path) else f"the given {type(source).__name__}"
    loaded: Any = _read_file(Path(source)) if isinstance(source, str | Path) else source
    if isinstance(loaded, nn.Module):
        loaded = dict(loaded.named_parameters())
    if isinstance(loaded, Tensor):
        flat = loaded.detach().reshape(-1) if loaded.shape in {(spec.dim,), (1, spec.dim)} else None
        if flat is None:
            raise DataError(
                f"expected {spec.dim} numbers in {origin}, got shape {tuple(loaded.shape)}: "
                "these are weights of another network"
            )
    else:
        try:
            flat = spec.flatten(_match_names(_state_dict(loaded, origin), spec, origin))
        except InputError as error:
            raise DataError(f"{origin}: {error}") from error
    if flat.ndim != 1:
        raise DataError(
            f"expected one weight vector in {origin}, got a batch of {tuple(flat.shape[:-1])}: "
            "give its members one by one"
        )
    if not flat.is_floating_point():
        raise DataError(f"expected floating-point weights in {origin}, got {flat.dtype}")
    if not bool(torch.isfinite(flat).all()):
        raise DataError(f"expected finite weights in {origin}, got NaN or infinity: the run diverged")
    return flat.to(device="cpu", dtype=dtype or flat.dtype, copy=True)


def read_buffers(source: WeightSource, like: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """Read normalisation statistics that were saved with the weights.

    Args:
        source: as for :func:`read_weights`.
        like: what is wanted, name to a tensor of its shape.

    Returns:
        ``{name: tensor}`` in the types of ``like``; None where the source does not have them all.

    Raises:
        DataError: the file is missing, damaged, or needs unpickling.

    Example:
        >>> norm = nn.BatchNorm1d(2)
        >>> sorted(read_buffers(norm.state_dict(), {"running_mean": torch.zeros(2)}))
        ['running_mean']
    """
    loaded: Any = _read_file(Path(source)) if isinstance(source, str | Path) else source
    state = loaded.state_dict() if isinstance(loaded, nn.Module) else loaded
    if not isinstance(state, Mapping):
        return None
    origin = str(source) if isinstance(source, str | Path) else f"the given {type(source).__name__}"
    spec = ParamSpec(tuple(like), tuple(tuple(tensor.shape) for tensor in like.values()))
    try:
        found = _match_names(_state_dict(state, origin), spec, origin)
    except DataError:
        return None
    if any(found[name].shape != tensor.shape for name, tensor in like.items()):
        return None
    return {name: found[name].detach().to(tensor).clone() for name, tensor in like.items()}


def check_statistics(buffers: Mapping[str, Tensor] | None, origin: str) -> None:
    """Refuse normalisation statistics that are not finite, before anything is computed with them.

    Args:
        buffers: name to tensor; None: there are none to check.
        origin: where they came from.

    Raises:
        DataError: NaN or infinity in one of them.

    Example:
        >>> check_statistics({"running_mean": torch.zeros(2)}, "a.pt")
    """
    for name, tensor in (buffers or {}).items():
        if not bool(torch.isfinite(tensor).all()):
            raise DataError(
                f"expected finite normalisation statistics in {origin}, got NaN or infinity in '{name}': the run "
                "diverged"
            )
