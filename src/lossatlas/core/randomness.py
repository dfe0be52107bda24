"""Random streams named by what they are for, so adding one never shifts another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["derive_seed", "generator", "preserved_random_state", "seeded", "steady"]


def derive_seed(*names: int | str) -> int:
    """Hash a path of names to a 63-bit seed.

    ``derive_seed(seed, "initial weights", i)`` depends on nothing but its arguments: not on how many
    replicas there are, nor on the order in which they are made.

    Args:
        names: integers and strings naming the stream.

    Returns:
        An integer in [0, 2**63).

    Example:
        >>> derive_seed(0, "initial weights", 3) == derive_seed(0, "initial weights", 3)
        True
        >>> derive_seed(0, "a", 1) == derive_seed(0, "a1")
        False
    """
    text = "\x1f".join(f"{type(name).__name__}:{name}" for name in names)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(*names: int | str) -> torch.Generator:
    """Return a CPU generator seeded by :func:`derive_seed`.

    Example:
        >>> bool((torch.rand(2, generator=generator(1, "x")) == torch.rand(2, generator=generator(1, "x"))).all())
        True
    """
    return torch.Generator(device="cpu").manual_seed(derive_seed(*names))


@contextmanager
def preserved_random_state(device: torch.device | None = None) -> Iterator[None]:
    """Leave the global random state (CPU and ``device``) as it was found.

    Args:
        device: an accelerator whose state is kept too.
    """
    cpu_state = torch.random.get_rng_state()
    accelerator = device if device is not None and device.type == "cuda" else None
    cuda_state = torch.cuda.get_rng_state(accelerator) if accelerator is not None else None
    try:
        yield
    finally:
        torch.random.set_rng_state(cpu_state)
        if accelerator is not None and cuda_state is not None:
            torch.cuda.set_rng_state(cuda_state, accelerator)


@contextmanager
def steady(device: torch.device) -> Iterator[None]:
    """Evaluate something: the global random state is left as it was, and the result is the same every time.

    On an accelerator cuDNN rounds the inputs of float32 convolutions and recurrent layers to ten bits (TF32) by
    default, which is an error of 1e-3 where a line search tells losses apart in the seventh digit, and may choose
    kernels whose sums come in any order. Both are off here, and as they were afterwards. Matrix products are in full
    precision by PyTorch's default, which is left to the user.

    Args:
        device: where it computes.
    """
    with preserved_random_state(device):
        if device.type != "cuda":
            yield
            return
        own = torch.backends.cudnn
        with own.flags(enabled=own.enabled, benchmark=False, deterministic=True, allow_tf32=False):
            yield


@contextmanager
def seeded(*names: int | str) -> Iterator[None]:
    """Run a block under the global CPU stream named ``names``, then restore the previous state.

    Example:
        >>> with seeded(0, "demo"):
        ...     a = torch.rand(1)
        >>> with seeded(0, "demo"):
        ...     b = torch.rand(1)
        >>> bool(a == b)
        True
    """
    with preserved_random_state():
        # torch.manual_seed would also reseed every accelerator; initial weights are drawn on the CPU.
        torch.default_generator.manual_seed(derive_seed(*names))
        yield
