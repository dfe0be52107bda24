from __future__ import annotations

import pytest
import torch

from lossatlas.core.errors import InputError
from lossatlas.data import Dataset, Splits


def pair(x: torch.Tensor, y: torch.Tensor) -> Dataset:
    return Dataset("d", x, y)


def test_checksum_sees_values_shapes_and_dtypes_but_not_the_name() -> None:
    x, y = torch.arange(12.0).reshape(4, 3), torch.arange(4)
    base = pair(x, y).checksum
    assert base == Dataset("other", x.clone(), y.clone()).checksum
    changed = x.clone()
    changed[3, 2] += 1
    others = [
        pair(changed, y),
        pair(x.reshape(4, 3, 1), y),
        pair(x.view(torch.int32), y),
        pair(x, y.flip(0)),
        pair(x, y.to(torch.int32)),
        pair(-x, y),
    ]
    assert len({base, *(other.checksum for other in others)}) == len(others) + 1


def test_checksum_does_not_depend_on_memory_layout_or_gradients() -> None:
    x, y = torch.arange(12.0).reshape(4, 3), torch.arange(4)
    strided = x.t().contiguous().t()
    assert not strided.is_contiguous()
    assert pair(strided, y).checksum == pair(x, y).checksum == pair(x.clone().requires_grad_(), y).checksum


def test_splits_checksum_depends_on_which_split_holds_what() -> None:
    a, b = pair(torch.zeros(2, 1), torch.arange(2)), pair(torch.ones(2, 1), torch.arange(2))
    checksums = {s.checksum for s in (Splits("s", a, b), Splits("s", b, a), Splits("s", a, b, b), Splits("s", a, a))}
    assert len(checksums) == 4
    assert Splits("s", a, b, source="x").checksum == Splits("t", a, b, source="y").checksum


@pytest.mark.parametrize(
    ("x", "y"),
    [(torch.zeros(3, 2), torch.zeros(2)), (torch.zeros(0, 2), torch.zeros(0)), (torch.tensor(1.0), torch.tensor(1.0))],
)
def test_unequal_or_no_samples_are_refused(x: torch.Tensor, y: torch.Tensor) -> None:
    with pytest.raises(InputError, match="as many targets as inputs in 'd'"):
        pair(x, y)


def test_select_copies() -> None:
    data = Dataset("d", torch.arange(6.0).reshape(3, 2), torch.arange(3), classes=3)
    part = data.select(torch.tensor([2, 0]))
    part.inputs.zero_()
    assert data.inputs[2, 1] == 5
    assert part.targets.tolist() == [2, 0]
    assert (part.classes, part.name, len(part)) == (3, "d", 2)
