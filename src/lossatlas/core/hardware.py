"""What the machine offers: devices, threads, memory."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import psutil
import torch

from lossatlas.core.errors import InputError

__all__ = ["Hardware", "describe_hardware", "memory_budget", "on_threads", "resolve_device", "timed"]


def resolve_device(device: str | torch.device | None = None) -> torch.device:
    """Turn ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or None (CPU) into a device that exists.

    Raises:
        InputError: the name is not a device, or this machine has none of that kind.

    Example:
        >>> resolve_device()
        device(type='cpu')
    """
    if device is None:
        return torch.device("cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"expected a device such as 'cpu' or 'cuda', got '{device}'") from error
    if resolved.type == "cuda":
        count = torch.cuda.device_count()
        if count == 0:
            raise InputError(
                f"expected a CUDA device for '{device}', got a machine (or a PyTorch build) without one: "
                "use device 'cpu', or install a CUDA build of PyTorch"
            )
        index = resolved.index if ":" in str(resolved) else torch.cuda.current_device()
        if index >= count:
            raise InputError(f"expected one of {count} CUDA devices, got '{device}': count from cuda:0")
        return torch.device("cuda", index)
    if resolved.type != "cpu":
        raise InputError(f"expected device 'cpu' or 'cuda', got '{device}'")
    return resolved


def memory_budget(device: torch.device, fraction: float = 0.25, ceiling: int = 1 << 30) -> int:
    """Bytes that one evaluation may use for its temporaries.

    On the CPU a quarter of what is free, at most ``ceiling`` (1 GiB): larger chunks only leave the cache.
    On an accelerator a quarter of what is free there, without ceiling.

    Args:
        device: where the evaluation runs.
        fraction: of the free memory.
        ceiling: in bytes, for the CPU.

    Returns:
        A number of bytes, at least 64 MiB.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What PyTorch keeps for itself and does not use is free too.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        budget = int((free + kept) * fraction)
    else:
        budget = min(int(psutil.virtual_memory().available * fraction), ceiling)
    return max(budget, 64 << 20)


def timed(action: Callable[[], object], device: torch.device) -> float:
    """Wall seconds of one call, waiting for an accelerator to finish before and after.

    Args:
        action: what to time.
        device: where it computes.

    Example:
        >>> timed(lambda: None, torch.device("cpu")) >= 0
        True
    """
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    action()
    if cuda:
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Let PyTorch compute on so many threads, and on as many as before at the end.

    Many threads gain nothing on small tensors, and on a busy machine they wait for each other most of the time.

    Args:
        count: at least 1.

    Example:
        >>> with on_threads(1):
        ...     torch.get_num_threads()
        1
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Hardware:
    """The machine a result was computed on; part of every methods section."""

    processor: str
    cores: int
    threads: int
    memory_gib: float
    accelerator: str | None
    system: str
    python: str
    torch: str

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return asdict(self)


def _processor_name() -> str:
    # platform.processor() is empty on most Linux systems.
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as stream:  # noqa: PTH123 - not a file of ours
            for line in stream:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:  # not Linux
        return platform.processor()
    return platform.processor() or platform.machine()


def describe_hardware(device: torch.device | None = None) -> Hardware:
    """Describe this machine.

    Example:
        >>> describe_hardware().cores >= 1
        True
    """
    cuda = device is not None and device.type == "cuda"
    return Hardware(
        processor=_processor_name(),
        cores=psutil.cpu_count() or 1,
        threads=torch.get_num_threads(),
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        accelerator=torch.cuda.get_device_name(device) if cuda else None,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        torch=torch.__version__,
    )
