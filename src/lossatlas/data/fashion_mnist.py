"""Fashion-MNIST: 70,000 pictures of clothes in the format of MNIST."""

from __future__ import annotations

from lossatlas.data.archive import Archive
from lossatlas.data.idx import IdxFile

__all__ = ["FASHION_MNIST"]

FASHION_MNIST = Archive(
    name="fashion-mnist",
    train=(
        IdxFile(
            "train-images-idx3-ubyte",
            (60_000, 28, 28),
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        IdxFile(
            "train-labels-idx1-ubyte",
            (60_000,),
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
    ),
    test=(
        IdxFile(
            "t10k-images-idx3-ubyte",
            (10_000, 28, 28),
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte",
            (10_000,),
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
    classes=10,
    mirrors=(
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
        # The publisher's own bucket speaks no https; what comes from it is verified like the rest.
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    source=(
        "Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017): 60,000 training and 10,000 test pictures of clothes in ten "
        "classes, 28x28 pixels divided by 255, read from the original IDX files, whose SHA-256 was verified."
    ),
)
