from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossatlas.core.errors import InputError
from lossatlas.data import Dataset, Splits
from lossatlas.data.division import divide, permutation


def numbered(n: int, tests: int = 10) -> Splits:
    train = Dataset("d/train", torch.arange(float(n)), torch.arange(n))
    return Splits("d", train, Dataset("d/test", torch.arange(float(tests)), torch.arange(tests)), source="Numbers.")


PINNED = [2, 0, 4, 1, 6, 7, 5, 3]


def test_permutation_is_pinned() -> None:
    assert permutation(8, "train").tolist() == PINNED
    assert permutation(8, "train").dtype == torch.int64
    assert permutation(8, "test").tolist() != PINNED


@given(st.integers(2, 60), st.data())
def test_train_and_validation_partition_the_samples(n: int, draw: st.DataObject) -> None:
    count = draw.draw(st.integers(1, n - 1))
    splits = divide(numbered(n), validation=count)
    assert splits.validation is not None
    train, held_out = splits.train.targets.tolist(), splits.validation.targets.tolist()
    assert len(held_out) == count
    assert sorted(train + held_out) == list(range(n))
    assert train == sorted(train)
    assert torch.equal(splits.validation.inputs, splits.validation.targets.float())


@given(st.integers(1, 39), st.integers(1, 39))
def test_smaller_subsets_lie_inside_larger_ones(a: int, b: int) -> None:
    small, large = sorted((a, b))
    parts = [set(divide(numbered(50, 40), validation=10, train_size=k).train.targets.tolist()) for k in (small, large)]
    assert parts[0] <= parts[1]
    assert [len(part) for part in parts] == [small, large]


def test_held_out_samples_do_not_depend_on_sizes() -> None:
    whole, part = divide(numbered(50), validation=0.2), divide(numbered(50), validation=10, train_size=7, test_size=3)
    assert whole.validation is not None
    assert part.validation is not None
    assert torch.equal(whole.validation.targets, part.validation.targets)
    assert (len(whole.validation), len(part.train), len(part.test)) == (10, 7, 3)
    assert part.validation.name == "d/validation"


def test_asking_for_all_is_the_same_as_not_asking() -> None:
    splits = numbered(20)
    assert divide(splits).checksum == divide(splits, train_size=20, test_size=10).checksum == splits.checksum


def test_source_says_what_was_done() -> None:
    assert divide(numbered(20)).source == "Numbers."
    text = divide(numbered(20), validation=0.25, train_size=6, test_size=4).source
    assert "5 training samples are held out" in text
    assert "6 of 15 training samples" in text
    assert "4 of 10 test samples" in text


@pytest.mark.parametrize("validation", [-0.1, 1.0, 1.5, -1, 20, 21, 0.01, 0.99, True, float("nan")])
def test_impossible_validation_is_refused(validation: float) -> None:
    with pytest.raises(InputError, match="expected validation as a fraction"):
        divide(numbered(20), validation=validation)


@pytest.mark.parametrize("size", [0, -1, 11, 2.0, True])
@pytest.mark.parametrize("which", ["train_size", "test_size"])
def test_impossible_sizes_are_refused(size: int, which: str) -> None:
    with pytest.raises(InputError, match=rf"expected {which} between 1 and 10.*got {size!r}"):
        divide(numbered(10), **{which: size})


def test_a_split_that_is_there_is_not_replaced() -> None:
    splits = numbered(10)
    splits = Splits("d", splits.train, splits.test, splits.test)
    assert divide(splits).validation is splits.test
    with pytest.raises(InputError, match="brings its own validation split"):
        divide(splits, validation=0.5)
