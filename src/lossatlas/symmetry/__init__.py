"""Permutations of hidden units: which ones a network has, and how to undo them between two minima."""

from lossatlas.symmetry.alignment import Alignment, align
from lossatlas.symmetry.structure import Axis, PermutationStructure, axis
from lossatlas.symmetry.tracing import permutation_structure, trace
from lossatlas.symmetry.weight_matching import WeightMatching

__all__ = [
    "Alignment",
    "Axis",
    "PermutationStructure",
    "WeightMatching",
    "align",
    "axis",
    "permutation_structure",
    "trace",
]
