"""Kernel PCA: a few coordinates of weight vectors in which their kernel varies most."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from lossatlas.analysis.gram import canonical_order, checked_weights, gram_matrix
from lossatlas.analysis.kernels import Kernel
from lossatlas.core.errors import InputError
from lossatlas.core.files import Tree

__all__ = ["KernelPCA", "kernel_pca"]

# Relative to the largest eigenvalue: closer ones, or those this near to zero, are equal in float64 arithmetic.
_EQUAL = 1e-10


@dataclass(frozen=True, eq=False)
class KernelPCA:
    """Principal components in the feature space of a kernel; made by :func:`kernel_pca`.

    Args:
        coordinates: ``(n, k)``, in the order of the rows; column c has mean 0 and sum of squares λ_c; zero for a
            component whose eigenvalue is not positive.
        eigenvalues: ``(n,)``, all λ of the centred kernel matrix, descending; the variance along component c is λ_c/n.
        explained: ``(k,)``, λ_c divided by the sum of the positive eigenvalues.
        degenerate: ``(k,)``, True where λ_c equals a neighbour within 1e-10 λ_1 or is zero: its direction is then
            one of many.
        radii: ``(n,)``, |w_i − w̄| with w̄ the mean of all rows.
        kernel: with the γ that was used.
        dim: d, number of parameters.
    """

    coordinates: Tensor
    eigenvalues: Tensor
    explained: Tensor
    degenerate: Tensor
    radii: Tensor
    kernel: Kernel
    dim: int

    @property
    def radial(self) -> Tensor:
        """Spearman's rank correlation of each component with the radius, ``(k,)``; 1: a monotone function of it."""
        radii = stats.rankdata(self.radii.numpy())
        found = []
        for column in self.coordinates.T.numpy():
            constant = np.ptp(column) == 0 or np.ptp(radii) == 0
            found.append(np.nan if constant else np.corrcoef(stats.rankdata(column), radii)[0, 1])
        return torch.tensor(found, dtype=torch.float64)

    def to_tree(self) -> Tree:
        """Return nested dicts of tensors and numbers, the form in which components are stored."""
        return asdict(self)

    @classmethod
    def from_tree(cls, tree: Tree) -> KernelPCA:
        """Rebuild components from :meth:`to_tree`."""
        return cls(**(tree | {"kernel": Kernel(**tree["kernel"])}))


def kernel_pca(weights: Tensor, kernel: Kernel | str = "rbf", components: int = 2) -> KernelPCA:
    """Project weight vectors on the first principal components of a kernel.

    With K_ij = k(w_i, w_j) and H = 1 − 𝟙𝟙ᵀ/n, HKH v_c = λ_c v_c and y_ic = √λ_c v_ic. The eigenvectors come from
    scikit-learn's ``KernelPCA`` (``kernel="precomputed"``, dense solver), the kernel matrix from here: d is large.

    Two things that an eigenvector leaves open are fixed. Its sign: vectors farther from the mean lie on the positive
    side, Σ_i y_ic |w_i − w̄|² ≥ 0; where that sum vanishes, the largest coordinate is positive. And its last bits: all
    is worked on in an order of rows that depends on their contents alone, so that the result does not depend on the
    order in which they come, not even for equal eigenvalues.

    *Why RBF with 2σ² = d shows radii.* Independent vectors in many dimensions are nearly orthogonal, so that
    |w_i − w_j|² ≈ r_i² + r_j² and K_ij ≈ a_i a_j off the diagonal, with a_i = exp(−r_i²/d): beside a diagonal there is
    one component, and it is a monotone function of the radius alone. An inner product of orthogonal vectors is zero
    whatever their lengths, so linear, polynomial and sigmoid kernels see nothing.
    *When it does.* The diagonal 1 − a_i² has eigenvectors too, which scatter the outer vectors at random. For two sets
    of n/2 vectors with r²/d small, component 1 is the radius only if n (r_A² − r_B²)/d > 4, and a little more where n
    is not small against d. With fewer minima or closer radii it is not: RBF is then about 1 − |x−y|²/d, which is the
    linear kernel, and what separates the sets is a direction (:func:`~lossatlas.analysis.common_origin`). A larger γ
    makes radii visible.

    Args:
        weights: ``(n, d)``, of all sets together, in units of the parameters; any floating dtype.
        kernel: one, or its name for scikit-learn's constants.
        components: k, from 1 to n − 1.

    Raises:
        InputError: no set of weights, too many components, or rows that the kernel does not tell apart.
        ConfigurationError: no such kernel.

    Reference:
        Schölkopf, Smola & Müller 1998, Neural Computation 10, 1299, section 3; Yu & Morozov 2026, arXiv 2602.21276,
        section II.4 and figures 6 and S4.

    Example:
        >>> short, long = torch.eye(12)[:6], 3 * torch.eye(12)[6:]
        >>> found = kernel_pca(torch.cat([short, long]), "rbf", components=1)
        >>> (found.coordinates[:6] < 0).all().item(), (found.coordinates[6:] > 0).all().item()
        (True, True)
    """
    from sklearn.decomposition import KernelPCA as Solver

    given = checked_weights(weights, least=2)
    n, dim = given.shape
    if not 1 <= components < n:
        raise InputError(f"expected 1 to {n - 1} components of {n} rows, got {components}")
    kernel = (Kernel(kernel) if isinstance(kernel, str) else kernel).resolved(dim)
    order = canonical_order(given)
    rows = given[order.to(given.device)]
    about_mean = gram_matrix(rows, rows.mean(0, dtype=torch.float64))
    # Linear components do not depend on the origin, but far from it digits would be lost.
    matrix = about_mean if kernel.name == "linear" else kernel.matrix(rows)
    alike = [False, *(torch.equal(rows[i], rows[i - 1]) for i in range(1, n))]
    centred = matrix - matrix.mean(0) - matrix.mean(1, keepdim=True) + matrix.mean()
    eigenvalues = torch.linalg.eigvalsh((centred + centred.T) / 2).flip(0)
    # An entry of the kernel is rounded by its own size, which may be far above that of what varies.
    if sum(alike) == n - 1 or not eigenvalues[0] > 64 * torch.finfo(torch.float64).eps * n * matrix.abs().max():
        raise InputError(
            f"expected rows among which the {kernel.name} kernel has variance, got none: {n} rows that are alike, or a "
            "kernel without a positive eigenvalue"
        )
    floor = _EQUAL * eigenvalues[0]
    positive = min(components, int((eigenvalues > floor).sum()))
    solver = Solver(n_components=positive, kernel="precomputed", eigen_solver="dense")
    found = torch.from_numpy(np.ascontiguousarray(solver.fit_transform(matrix.numpy())))
    squares = about_mean.diagonal().clamp(min=0)
    coordinates = torch.zeros(n, components, dtype=torch.float64)
    coordinates[:, :positive] = found * _signs(found, squares)
    # Equal rows can be told apart neither by their contents nor, after the last bits are made equal, by the result.
    first = torch.tensor([i for i in range(n) if not alike[i]])
    back = first[(1 - torch.tensor(alike, dtype=torch.int64)).cumsum(0) - 1][order.argsort()]
    gaps = -eigenvalues.diff()
    near = torch.cat([gaps, gaps.new_full((1,), torch.inf)]) <= floor
    equal = near | torch.cat([near.new_zeros(1), near[:-1]]) | (eigenvalues <= floor)
    return KernelPCA(
        coordinates[back],
        eigenvalues,
        (eigenvalues[:components] / eigenvalues.clamp(min=0).sum()).clamp(min=0),
        equal[:components],
        squares.sqrt()[back],
        kernel,
        dim,
    )


def _signs(coordinates: Tensor, squares: Tensor) -> Tensor:
    """±1 for each column, by the rule of :func:`kernel_pca`."""
    outward = coordinates.T @ (squares - squares.mean())
    scale = torch.linalg.vector_norm(coordinates, dim=0) * torch.linalg.vector_norm(squares - squares.mean())
    largest = coordinates.gather(0, coordinates.abs().argmax(0, keepdim=True))[0]
    # Below rounding the sum has a sign of its own that says nothing.
    undecided = outward.abs() <= _EQUAL * scale
    return torch.where(torch.where(undecided, largest, outward) < 0, -1.0, 1.0)
