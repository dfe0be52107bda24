"""What is said and decided about the machine."""

from __future__ import annotations

from contextlib import suppress

import torch

from lossatlas.core.hardware import on_threads


def test_threads_are_given_the_others_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with suppress(RuntimeError), on_threads(1):
            assert torch.get_num_threads() == 1
            raise RuntimeError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
