"""The population loss of a committee as landscapes: over the weights of the student, and over its overlaps."""

from __future__ import annotations

import torch
from torch import Tensor

from lossatlas.core.errors import InputError
from lossatlas.landscape.analytic.energy import Device, Energy, check_count
from lossatlas.landscape.contract import check_rows, row_chunks
from lossatlas.theory.committee.flow import Tangent, flow_matrices, population_loss, signed_weights
from lossatlas.theory.committee.overlaps import activation_of, check_teacher

__all__ = ["Committee", "CommitteeOverlaps"]


class Committee(Energy):
    """L(U) = ½ E[(Σ_k g(u_k·x) − Σ_m g(t_m·x))²], x ~ N(0, 1), over the rows u_k = w_k/√d of the student.

    Gradient A U − B T and Hessian are closed forms in the overlaps. Coordinates are the rows end to end, D = K·d.

    Args:
        teacher: rows t_m = w*_m/√d, float64 ``(M, d)``; an integer M stands for M orthonormal teachers in d = M.
        students: K; default M.
        activation: "relu" or "erf".
        dtype: floating type of rows and values.
        device: where rows must be; None is the CPU.

    Raises:
        InputError: a teacher that is no float64 matrix or has rows of length zero or not finite; an unknown activation.

    Example:
        >>> landscape = Committee(2)
        >>> landscape.dim, landscape.value(torch.tensor([0.0, 1.0, 1.0, 0.0], dtype=torch.float64)).abs() < 1e-15
        (4, tensor(True))

    Source: Safran & Shamir 2018, *Spurious local minima are common in two-layer ReLU neural networks*.
    """

    def __init__(
        self,
        teacher: Tensor | int,
        students: int | None = None,
        *,
        activation: str = "relu",
        dtype: torch.dtype = torch.float64,
        device: Device = None,
    ) -> None:
        if not isinstance(teacher, Tensor):
            teacher = torch.eye(check_count(teacher, "the number of teachers"), dtype=torch.float64)
        if teacher.ndim != 2:
            raise InputError(
                f"expected teacher rows (M, d), got shape {tuple(teacher.shape)}: one row w*/√d for each teacher unit"
            )
        check_teacher(teacher @ teacher.mT)
        self.students = len(teacher) if students is None else check_count(students, "the number of students")
        self.teachers, self.inputs = teacher.shape
        self.activation = activation_of(activation)
        constants = {"teacher": teacher.detach().clone(), "p": (teacher @ teacher.mT).detach()}
        name = f"committee {self.students}/{self.teachers} {activation}"
        super().__init__(self.students * self.inputs, name=name, dtype=dtype, device=device, constants=constants)

    @property
    def teacher(self) -> Tensor:
        """Rows of the teacher, ``(M, d)``."""
        return self._constant("teacher").clone()

    def rows(self, x: Tensor) -> Tensor:
        """Coordinates as rows of the student, ``(*b, D) -> (*b, K, d)``."""
        return x.reshape(*x.shape[:-1], self.students, self.inputs)

    def overlaps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Q and R of each point, ``(*b, D) -> (*b, K, K), (*b, K, M)``."""
        check_rows(x, self)
        return self._overlaps(self.rows(x))

    def hessian(self, x: Tensor) -> Tensor:
        """The Hessian at each point, ``(*b, D) -> (*b, D, D)``.

        Raises:
            InputError: rows of the wrong type, length, dtype or device.
        """
        check_rows(x, self)
        found = torch.empty(x.shape[:-1].numel(), self.dim, self.dim, dtype=self.dtype, device=self.device)
        basis = torch.eye(self.dim, dtype=self.dtype, device=self.device)
        for where, part in row_chunks(x, max(1, self._row_chunk // self.dim)):
            product = self._products(self.rows(part)[:, None], self.rows(basis))
            found[where] = product.reshape(len(part), self.dim, self.dim)
        return found.reshape(*x.shape, self.dim)

    def gradient(self, x: Tensor) -> Tensor:
        """The gradient alone, ``(*b, D) -> (*b, D)``: half the work of ``value_and_grad``; nothing is checked."""
        u, t = self.rows(x), self._constant("teacher")
        both = torch.cat([u, t.expand(*u.shape[:-2], *t.shape)], -2)
        weights = signed_weights(u @ both.mT, self._constant("p").diagonal(), self.activation)
        return (weights @ both).reshape(x.shape)

    def _overlaps(self, u: Tensor) -> tuple[Tensor, Tensor]:
        return u @ u.mT, u @ self._constant("teacher").mT

    def _energy(self, x: Tensor) -> Tensor:
        return population_loss(*self._overlaps(self.rows(x)), self._constant("p"), self.activation)

    def _energy_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._energy(x), self.gradient(x)

    def _hessian_product(self, x: Tensor, v: Tensor) -> Tensor:
        return self._products(self.rows(x), self.rows(v)).reshape(v.shape)

    def _products(self, u: Tensor, v: Tensor) -> Tensor:
        (q, r), p, t = self._overlaps(u), self._constant("p"), self._constant("teacher")
        cross = u @ v.mT
        da, db = Tangent(q, r, p, self.activation)(cross + cross.mT, v @ t.mT)
        return flow_matrices(q, r, p, self.activation)[0] @ v + da @ u - db @ t

    @property
    def _row_chunk(self) -> int:
        return max(1, (1 << 20) // (self.students * (self.students + self.teachers + self.inputs)))


class CommitteeOverlaps(Energy):
    """The same loss over summary statistics: coordinates are Q_jl, j ≤ l, row by row, then R_jm.

    ∂L/∂Q_jl = A_jl (half of it for j = l), ∂L/∂R_jm = −B_jm. A point that no weights can have, with Q_jj ≤ 0 or a
    pair of units whose overlap exceeds their lengths, has the value NaN.

    Args:
        p: overlaps of the teacher, float64 ``(M, M)``; an integer M stands for M orthonormal teachers.
        students: K; default M.
        activation: "relu" or "erf".
        dtype: floating type of rows and values.
        device: where rows must be; None is the CPU.

    Raises:
        InputError: impossible teacher overlaps or an unknown activation.

    Example:
        >>> landscape = CommitteeOverlaps(1)
        >>> landscape.value(torch.tensor([1.0, 0.0], dtype=torch.float64))  # orthogonal: ½(½ + ½) − 1/2π
        tensor(0.3408, dtype=torch.float64)
    """

    def __init__(
        self,
        p: Tensor | int,
        students: int | None = None,
        *,
        activation: str = "relu",
        dtype: torch.dtype = torch.float64,
        device: Device = None,
    ) -> None:
        if not isinstance(p, Tensor):
            p = torch.eye(check_count(p, "the number of teachers"), dtype=torch.float64)
        check_teacher(p)
        self.teachers = len(p)
        self.students = len(p) if students is None else check_count(students, "the number of students")
        self.activation = activation_of(activation)
        self._upper = torch.triu_indices(self.students, self.students)
        name = f"committee overlaps {self.students}/{self.teachers} {activation}"
        dim = self._upper.shape[1] + self.students * self.teachers
        super().__init__(dim, name=name, dtype=dtype, device=device, constants={"p": p.detach().clone()})

    def pack(self, q: Tensor, r: Tensor) -> Tensor:
        """Coordinates of overlaps, ``(*b, K, K), (*b, K, M) -> (*b, D)``."""
        j, m = self._upper
        return torch.cat([q[..., j, m], r.flatten(-2)], -1)

    def unpack(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Q and R of coordinates, ``(*b, D) -> (*b, K, K), (*b, K, M)``."""
        j, m = self._upper
        q = x.new_zeros(*x.shape[:-1], self.students, self.students)
        q[..., j, m] = x[..., : len(j)]
        q[..., m, j] = x[..., : len(j)]
        return q, x[..., len(j) :].reshape(*x.shape[:-1], self.students, self.teachers)

    def flow_jacobian(self, x: Tensor) -> Tensor:
        """Derivative of the gradient flow of the overlaps by the overlaps, ``(D,) -> (D, D)``; not symmetric.

        At a fixed point U in the span of K = M teachers its spectrum is that of −Hessian there, and −(α_i + α_j) with
        α the eigenvalues of A.

        Raises:
            InputError: not one row of the right type, length, dtype and device.
        """
        check_rows(x, self)
        if x.ndim != 1:
            raise InputError(f"expected one point ({self.dim},), got shape {tuple(x.shape)}: ask for one at a time")
        (q, r), p = self.unpack(x), self._constant("p")
        dq, dr = self.unpack(torch.eye(self.dim, dtype=self.dtype, device=self.device))
        a, b = flow_matrices(q, r, p, self.activation)
        da, db = Tangent(q, r, p, self.activation)(dq, dr)
        half = db @ r.mT + b @ dr.mT - da @ q - a @ dq
        return self.pack(half + half.mT, db @ p - da @ r - a @ dr).mT

    def _energy(self, x: Tensor) -> Tensor:
        q, r = self.unpack(x)
        p = self._constant("p")
        return population_loss(q, r, p, self.activation) + self._impossible(q, r, p)

    def _energy_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        (q, r), p = self.unpack(x), self._constant("p")
        return self._energy(x), self._slopes(*flow_matrices(q, r, p, self.activation))

    def _hessian_product(self, x: Tensor, v: Tensor) -> Tensor:
        q, r = self.unpack(x)
        return self._slopes(*Tangent(q, r, self._constant("p"), self.activation)(*self.unpack(v)))

    def _slopes(self, a: Tensor, b: Tensor) -> Tensor:
        j, m = self._upper
        return torch.cat([torch.where(j == m, 0.5, 1.0).to(a) * a[..., j, m], -b.flatten(-2)], -1)

    def _impossible(self, q: Tensor, r: Tensor, p: Tensor) -> Tensor:
        a, t = q.diagonal(dim1=-2, dim2=-1), p.diagonal()
        slack = 1 + 1e3 * torch.finfo(q.dtype).eps
        bad = (a <= 0).any(-1)
        bad |= (q * q > slack * a[..., :, None] * a[..., None, :]).any(-1).any(-1)
        bad |= (r * r > slack * a[..., :, None] * t).any(-1).any(-1)
        return torch.where(bad, torch.nan, 0.0).to(q.dtype)
