from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits as load_scans

from lossatlas import data
from lossatlas.data.digits import interpolation_weights, resize_grey

# Integers all the way: these are the same on every machine and in every version, or a study is not comparable.
TRAIN = "73f70350198f37245c2efe3cc8458caccf2daf98b209ae0156a1b6d7ae02b4e3"
TEST = "2c543141697c7fa993ebc18d19054bd3472a15e3ae5473c2f4a41fcbceaa3d42"


@pytest.fixture(scope="module")
def digits() -> data.Splits:
    return data.get("digits")


def test_pinned_checksums(digits: data.Splits) -> None:
    assert (digits.train.checksum, digits.test.checksum) == (TRAIN, TEST)


def test_shapes_types_and_range(digits: data.Splits) -> None:
    for part, n in ((digits.train, 1437), (digits.test, 360)):
        assert part.inputs.shape == (n, 1, 28, 28)
        assert (part.inputs.dtype, part.targets.dtype, part.classes) == (torch.float32, torch.int64, 10)
        assert part.inputs.min() == 0
        assert part.inputs.max() == 1
    assert digits.validation is None
    assert "scikit-learn" in digits.source


def test_test_set_holds_a_fifth_of_every_class(digits: data.Splits) -> None:
    test, train = digits.test.targets.bincount(), digits.train.targets.bincount()
    assert torch.equal(test + train, torch.from_numpy(np.bincount(load_scans().target)))
    assert ((test - (test + train) / 5).abs() <= 1).all()


def test_every_scan_is_in_exactly_one_split(digits: data.Splits) -> None:
    rows = torch.cat([digits.train.inputs, digits.test.inputs]).reshape(1797, -1)
    assert len(torch.unique(rows, dim=0)) == len(np.unique(load_scans().data, axis=0)) == 1797


@pytest.mark.parametrize(("source", "target"), [(8, 28), (2, 4), (5, 3), (7, 7), (1, 6), (3, 100)])
def test_weights_are_those_of_torch(source: int, target: int) -> None:
    image = torch.rand(source, source, dtype=torch.float64, generator=torch.Generator().manual_seed(source))
    weights = torch.from_numpy(interpolation_weights(source, target) / (2 * target))
    truth = torch.nn.functional.interpolate(
        image[None, None], size=(target, target), mode="bilinear", align_corners=False
    )
    torch.testing.assert_close(weights @ image @ weights.T, truth[0, 0], rtol=0, atol=1e-14)


def test_resized_scans_are_those_of_torch_to_half_a_grey_level() -> None:
    scans = load_scans().images
    truth = torch.nn.functional.interpolate(
        torch.from_numpy(scans / 16 * 255)[:, None], size=(28, 28), mode="bilinear", align_corners=False
    )[:, 0]
    ours = torch.from_numpy(resize_grey(scans.astype(np.int64), 28, 16)).double()
    assert (ours - truth).abs().max() <= 0.5 + 1e-10


def test_rounding_takes_halves_up() -> None:
    # Between 0 and 1 of 15 levels lie grey levels 0 and 17: the point in the middle of 3 is 8.5.
    assert resize_grey(np.array([[[0, 1], [0, 1]]]), 3, 15)[0, 1].tolist() == [0, 9, 17]


def test_loading_leaves_random_states_alone() -> None:
    ours, numpys = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    data.get("digits", validation=0.1, train_size=10)
    assert torch.equal(torch.random.get_rng_state(), ours)
    assert np.array_equal(np.random.get_state()[1], numpys)  # noqa: NPY002
