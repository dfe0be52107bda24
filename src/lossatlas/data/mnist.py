"""MNIST: 70,000 handwritten digits, from the original files."""

from __future__ import annotations

from lossatlas.data.archive import Archive
from lossatlas.data.idx import IdxFile

__all__ = ["MNIST"]

MNIST = Archive(
    name="mnist",
    train=(
        IdxFile(
            "train-images-idx3-ubyte",
            (60_000, 28, 28),
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        IdxFile(
            "train-labels-idx1-ubyte",
            (60_000,),
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
    ),
    test=(
        IdxFile(
            "t10k-images-idx3-ubyte",
            (10_000, 28, 28),
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte",
            (10_000,),
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    classes=10,
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    source=(
        "MNIST (LeCun, Bottou, Bengio and Haffner, 1998): 60,000 training and 10,000 test images of handwritten "
        "digits, 28x28 pixels divided by 255, read from the original IDX files, whose SHA-256 was verified."
    ),
)
