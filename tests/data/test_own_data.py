from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lossatlas import data
from lossatlas.core.errors import ConfigurationError, DataError, InputError

X, Y = torch.linspace(0, 1, 12).reshape(6, 2), torch.tensor([0, 1, 2, 3, 0, 1])
ARRAYS = {
    "x_train": np.linspace(0, 1, 12, dtype=np.float32).reshape(6, 2),
    "y_train": np.array([0, 1, 2, 3, 0, 1]),
    "x_test": np.zeros((2, 2), np.float32),
    "y_test": np.array([1, 4]),
}


def test_tensors_are_shared_and_unchanged() -> None:
    x, y = X.clone().requires_grad_(), Y.clone()
    version = x._version, y._version
    splits = data.from_tensors(train=(x, y), test=(x, y), validation=(x[:2], y[:2]), name="own", source="A lab.")
    assert splits.train.inputs is x
    assert splits.train.targets is y
    assert (x._version, y._version) == version
    assert (splits.name, splits.source, splits.train.classes) == ("own", "A lab.", 4)
    assert splits.validation is not None
    assert [part.name for part in (splits.train, splits.test, splits.validation)] == [
        "own/train",
        "own/test",
        "own/validation",
    ]
    assert splits.validation.classes == 4


def test_tokens_and_regression_targets_are_accepted() -> None:
    tokens = torch.randint(0, 9, (6, 5), generator=torch.Generator().manual_seed(0))
    assert data.from_tensors((tokens, tokens), (tokens, tokens)).train.classes is None
    assert data.from_tensors((X, X), (X, X)).train.classes is None
    assert data.from_tensors((X, Y - 1), (X, Y)).train.classes is None


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ((X, Y[:5]), "as many targets as inputs in 'mine/train'"),
        ((X[:0], Y[:0]), "at least one"),
        ((X.index_fill(0, torch.tensor([3]), torch.nan), Y), "finite inputs in 'mine/train', got NaN or infinity"),
        ((X, X.index_fill(0, torch.tensor([3]), torch.inf)), "finite targets in 'mine/train'"),
        (((X * 255).to(torch.uint8), Y), r"got torch.uint8: .*x.float\(\) / 255"),
        ((X.to(torch.complex64), Y), "got torch.complex64"),
        ((X > 0, Y), "got torch.bool"),
        ((X, Y.to(torch.int32)), r"got torch.int32: use y.long\(\)"),
        ((X.numpy(), Y), r"torch\.as_tensor"),
        ((X, Y, Y), "expected a pair"),
        (X, "expected a pair .* got Tensor"),
        ((X.double(), Y), r"inputs of 'mine/test' to be torch.float64 of shape \(2,\).* got torch.float32"),
        ((X[:, :1], Y), r"of shape \(1,\) as in 'mine/train', got torch.float32 of shape \(2,\)"),
        ((X, Y.float()), "targets of 'mine/test'"),
    ],
)
def test_what_does_not_fit_is_refused(train: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        data.from_tensors(train=train, test=(X, Y))


def test_npz_gives_what_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "lab.npz"
    np.savez_compressed(path, **ARRAYS, x_val=ARRAYS["x_test"] + 1, y_val=ARRAYS["y_test"], notes=np.array("ignored"))
    splits = data.from_npz(path)
    assert splits.name == "lab"
    assert "lab.npz" in splits.source
    assert splits.validation is not None
    for part, key in ((splits.train, "train"), (splits.test, "test")):
        assert np.array_equal(part.inputs.numpy(), ARRAYS[f"x_{key}"])
        assert np.array_equal(part.targets.numpy(), ARRAYS[f"y_{key}"])
    assert splits.validation.inputs.unique().tolist() == [1.0]
    assert splits.train.classes == 5
    assert data.from_npz(path, name="other").train.name == "other/train"


def test_get_takes_a_path_and_divides(tmp_path: Path) -> None:
    path = tmp_path / "lab.npz"
    np.savez(path, **ARRAYS)
    for name in (path, str(path)):
        splits = data.get(name, validation=2, train_size=3)
        assert splits.validation is not None
        assert (len(splits.train), len(splits.validation)) == (3, 2)


def test_grey_levels_byte_orders_and_small_integers_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    images = np.random.default_rng(0).integers(0, 256, (4, 5, 6), dtype=np.uint8)
    labels = np.array([0, 1, 2, 1], dtype=np.uint8)
    np.savez(path, x_train=images, y_train=labels, x_test=images[:, None], y_test=labels.astype(">i2"))
    splits = data.from_npz(path)
    assert splits.train.inputs.shape == (4, 1, 5, 6)
    assert splits.train.checksum == splits.test.checksum
    assert np.array_equal(splits.train.inputs[:, 0].numpy(), images.astype(np.float32) / np.float32(255))
    np.savez(path, **{**ARRAYS, "x_train": ARRAYS["x_train"].astype(">f4")})
    assert np.array_equal(data.from_npz(path).train.inputs.numpy(), ARRAYS["x_train"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": np.array([{"a": 1}] * 6)}, "plain numbers as 'x_train' in .*needs unpickling"),
        ({"y_test": np.array(["a", "b"])}, "got <U1"),
        ({"x_train": ARRAYS["x_train"] + 1j}, "got complex"),
        ({"x_train": ARRAYS["x_train"] * np.nan}, "finite inputs"),
        ({"y_train": np.arange(5)}, "as many targets as inputs"),
        ({"x_val": ARRAYS["x_test"]}, "an array 'y_val'"),
    ],
)
def test_bad_arrays_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, **{**ARRAYS, **change})
    with pytest.raises(DataError, match=message) as caught:
        data.from_npz(path)
    assert str(path) in str(caught.value)


def test_missing_arrays_and_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "part.npz"
    np.savez(path, X_train=ARRAYS["x_train"], y_train=ARRAYS["y_train"])
    with pytest.raises(DataError, match=r"an array 'x_train' in .*: did you mean 'y_train'.*X_train"):
        data.from_npz(path)
    with pytest.raises(DataError, match="no such file"):
        data.get(tmp_path / "none.npz")


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "damaged.npz"
    np.save(tmp_path / "single.npy", ARRAYS["x_train"])
    np.savez_compressed(path, **ARRAYS)
    whole = path.read_bytes()
    middle = bytearray(whole)
    middle[60:100] = bytes(40)
    for raw in (
        b"",
        b"not an archive",
        whole[: len(whole) // 2],
        (tmp_path / "single.npy").read_bytes(),
        bytes(middle),
    ):
        path.write_bytes(raw)
        with pytest.raises(DataError, match=r"damaged\.npz"):
            data.from_npz(path)


def test_pickles_do_not_run(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    np.savez(tmp_path / "evil.npz", **{**ARRAYS, "x_train": np.array([Payload()] * 6)})
    with pytest.raises(DataError):
        data.from_npz(tmp_path / "evil.npz")
    assert not (tmp_path / "ran").exists()


def test_a_path_that_is_no_npz_is_no_name() -> None:
    with pytest.raises(ConfigurationError, match="unknown data set"):
        data.get("some/file.csv")
