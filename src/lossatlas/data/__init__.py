"""Data sets as plain tensors: checksummed, split the same way on every machine, fetched only when asked."""

from lossatlas.data.catalogue import Source, datasets, get
from lossatlas.data.dataset import Dataset, Splits
from lossatlas.data.download import Progress, download
from lossatlas.data.npz import from_npz
from lossatlas.data.tensors import from_tensors

__all__ = ["Dataset", "Progress", "Source", "Splits", "datasets", "download", "from_npz", "from_tensors", "get"]
