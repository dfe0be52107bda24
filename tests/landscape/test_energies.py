"""Analytic energies against closed forms written anew, their critical points, and their exact passes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy
import torch
from scipy.integrate import solve_ivp

from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.landscape import from_function, get, landscapes, lift
from lossatlas.landscape.analytic import MullerBrown, PaperToy, Phi4Ring, Quadratic, Rosenbrock

FLOAT64 = torch.float64

KNOWN = {
    "paper-toy": lambda: get("paper-toy"),
    "muller-brown": lambda: get("muller-brown"),
    "paper-toy-50d": lambda: get("paper-toy-50d"),
    "paper-toy-50d, another seed": lambda: get("paper-toy-50d", seed=3, stiffness=2.0),
    "muller-brown-50d": lambda: get("muller-brown-50d"),
    "muller-brown in 3": lambda: lift(MullerBrown(), 3, stiffness=100.0),
    "quadratic": lambda: get("quadratic", dim=6, condition=1e4, center=[1.0, 2, 3, 4, 5, 6]),
    "saddle": lambda: get("quadratic", dim=3, eigenvalues=[-2.0, -1.0, 5.0]),
    "rosenbrock 2": lambda: get("rosenbrock"),
    **{f"rosenbrock {d}": lambda d=d: get("rosenbrock", dim=d) for d in (4, 5, 6, 7, 12)},
    "phi4 10, 2": lambda: get("phi4-ring"),
    "phi4 10, 6": lambda: get("phi4-ring", coupling=6.0),
    "phi4 7, 0": lambda: get("phi4-ring", sites=7, coupling=0.0),
    "phi4 2, 0": lambda: get("phi4-ring", sites=2, coupling=0.0),
    "phi4 2, .1": lambda: get("phi4-ring", sites=2, coupling=0.1),
    "phi4 2, .4": lambda: get("phi4-ring", sites=2, coupling=0.4),
    "phi4 2, 1": lambda: get("phi4-ring", sites=2, coupling=1.0),
}


@pytest.fixture(params=KNOWN.values(), ids=KNOWN.keys())
def energy(request):
    return request.param()


def hessian(energy, x):
    return energy.hvp(x.expand(energy.dim, -1), torch.eye(energy.dim, dtype=FLOAT64))


# ---------------------------------------------------------------- critical points
def test_critical_points_are_critical(energy):
    points = energy.minima + energy.saddles
    assert points
    assert len({point.name for point in points}) == len(points)
    for point in points:
        value, grad = energy.value_and_grad(point.x)
        assert float(grad.norm()) < 1e-9
        assert float(value) == pytest.approx(point.value, abs=1e-10)
        assert int((torch.linalg.eigvalsh(hessian(energy, point.x)) < -1e-9).sum()) == point.index


def test_passes_join_their_minima(energy):
    """From the saddle, downhill on either side ends in the two minima (or in a chain of others)."""
    minima = energy.minima
    for each in energy.passes:
        assert each.start.index == each.end.index == 0
        assert each.saddle.index == 1
        assert each.value == each.saddle.value > max(each.start.value, each.end.value)
    if not energy.passes or energy.name == "phi4-ring":
        return
    joined = []
    for saddle in (s for s in energy.saddles if s.index == 1):
        softest = torch.linalg.eigh(hessian(energy, saddle.x))[1][:, 0]
        pair = {nearest_minimum(energy, saddle.x + s * 1e-3 * softest, minima) for s in (-1, 1)}
        joined.append((saddle.value, pair))
    # Minimax over the graph of minima: join them in the order of the saddles.
    for each in energy.passes:
        group = {each.start.name}
        for value, _ in sorted(joined, key=lambda item: item[0]):
            for _ in minima:
                for _, pair in (j for j in joined if j[0] <= value):
                    group |= pair if group & pair else set()
            if each.end.name in group:
                assert value == each.value
                break
        else:
            pytest.fail(f"nothing joins {each.start.name} and {each.end.name}")


def nearest_minimum(energy, x, minima):
    """Follow the steepest descent x' = -grad E (a stiff equation) to where it ends, which must be a listed minimum."""
    flow = solve_ivp(lambda _, y: -energy.value_and_grad(torch.from_numpy(y))[1].numpy(), (0, 1000), x.numpy(), "LSODA")
    end = torch.from_numpy(flow.y[:, -1].copy())
    distances = [float((end - minimum.x).norm()) for minimum in minima]
    assert min(distances) < 0.01
    return minima[distances.index(min(distances))].name


def test_points_follow_the_landscapes_type_and_are_copies(energy):
    single = energy.to(dtype=torch.float32)
    for minimum in single.minima:
        assert minimum.x.dtype == torch.float32
        single.value(minimum.x)
    first = energy.minima[0] if energy.minima else energy.saddles[0]
    first.x.zero_()
    again = energy.minima[0] if energy.minima else energy.saddles[0]
    assert float(energy.value_and_grad(again.x)[1].norm()) < 1e-9
    for end in energy.ends:
        assert energy.value(end).isfinite()
        end.fill_(float("nan"))
    assert all(end.isfinite().all() for end in energy.ends)


def test_going_to_float32_and_back_loses_nothing(energy):
    x = torch.randn(4, energy.dim, dtype=FLOAT64, generator=torch.Generator().manual_seed(0)) / 2
    back = energy.to(dtype=torch.float32).to(dtype=FLOAT64)
    assert torch.equal(back.value(x), energy.value(x))
    assert torch.equal(back.value_and_grad(x)[1], energy.value_and_grad(x)[1])


def straight_height(energy, start, end, count=20001):
    t = torch.linspace(0, 1, count, dtype=FLOAT64)[:, None]
    return float(energy.value(start + t * (end - start)).max())


# ---------------------------------------------------------------- numbers of the literature
def test_paper_toy_numbers():
    toy = PaperToy()
    start, end = toy.ends
    assert start.tolist() == [-0.62, -0.54]
    assert end.tolist() == [0.49, -0.02]
    assert float(toy.value(start)) == pytest.approx(0.1090605182, abs=1e-10)
    assert float(toy.value(end)) == pytest.approx(-8.941e-6, abs=1e-9)
    assert straight_height(toy, start, end) == pytest.approx(1.102346, abs=1e-6)
    right, left = toy.minima
    assert right.x.tolist() == pytest.approx([0.4881002180, -0.0222554606], abs=1e-9)
    assert left.x.tolist() == pytest.approx([-0.6138016125, -0.5354155251], abs=1e-9)
    assert right.value == pytest.approx(-0.000030904231, abs=1e-12)
    assert left.value == pytest.approx(0.108707167886, abs=1e-12)
    assert [s.value for s in toy.saddles] == pytest.approx([0.624393347187, 0.637257237656, 0.996067195679], abs=1e-12)
    assert [each.value for each in toy.passes] == [toy.saddles[0].value]


def test_muller_brown_numbers():
    surface = MullerBrown()
    values = {point.name: point.value for point in surface.minima + surface.saddles}
    assert values == pytest.approx(
        {
            "A": -146.699517209954,
            "C": -80.767818129659,
            "B": -108.166724116852,
            "A-C": -40.664843508657,
            "C-B": -72.248940112325,
        },
        abs=1e-11,
    )
    passes = {(each.start.name, each.end.name): each.saddle.name for each in surface.passes}
    assert passes == {("A", "B"): "A-C", ("A", "C"): "A-C", ("C", "B"): "C-B"}
    assert straight_height(surface, *surface.ends) == pytest.approx(12.676228, abs=1e-5)


def test_phi4_numbers():
    assert Phi4Ring(10, 6.0).passes[0].value == 0.0
    assert Phi4Ring(10, 2.0).passes[0].value == pytest.approx(-0.6726539101, abs=1e-10)
    assert Phi4Ring(2, 0.1).passes[0].value == pytest.approx(-0.1975, abs=1e-12)
    assert [point.index for point in Phi4Ring(10, 6.0).saddles] == [1]
    assert {s.name: s.index for s in Phi4Ring(10, 2.0).saddles}["origin"] == 3
    assert Phi4Ring(12, 0.5).passes == ()
    for coupling in (2.0, 6.0):
        ring = Phi4Ring(10, coupling)
        assert straight_height(ring, *ring.ends) == pytest.approx(0.0, abs=1e-7)


def test_phi4_saddles_lead_to_both_minima():
    ring = Phi4Ring(10, 2.0)
    for saddle in ring.saddles[:-1]:
        softest = torch.linalg.eigh(hessian(ring, saddle.x))[1][:, 0]
        ways = {nearest_minimum(ring, saddle.x + s * 0.01 * softest, ring.minima) for s in (-1, 1)}
        assert ways == {"up", "down"}


@pytest.mark.parametrize("dim", [4, 5])
def test_rosenbrock_has_no_other_critical_point(dim):
    """Eliminate coordinates from the first equation on; the last is a polynomial with three real roots."""
    first = sympy.symbols("t")
    x, rest = first, (first - 1) / (200 * first)
    for _ in range(dim - 2):
        x = sympy.together(x**2 + rest)
        rest = sympy.together((200 * rest - 2 * (1 - x)) / (400 * x))
    polynomial = sympy.Poly(sympy.numer(sympy.together(rest)), first)
    energy = Rosenbrock(dim)
    assert sympy.count_roots(polynomial) == 3 == len(energy.minima + energy.saddles)
    for point in energy.minima + energy.saddles:
        near = (
            sympy.Rational(float(point.x[0])) - sympy.Rational(1, 10**9),
            sympy.Rational(float(point.x[0])) + (sympy.Rational(1, 10**9)),
        )
        assert sympy.count_roots(polynomial, *near) == 1


# ---------------------------------------------------------------- passes by flood fill
def flood_level(values, start, end):
    """Level at which water poured in at one cell first reaches the other: sorted cells and union-find."""
    rows, columns = values.shape
    flat = values.ravel()
    parent = np.full(flat.size, -1)

    def root(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for cell in np.argsort(flat):
        parent[cell] = cell
        r, c = divmod(int(cell), columns)
        for dr, dc in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
            if 0 <= r + dr < rows and 0 <= c + dc < columns:
                other = (r + dr) * columns + c + dc
                if parent[other] >= 0:
                    parent[root(other)] = root(cell)
        if parent[start] >= 0 and parent[end] >= 0 and root(start) == root(end):
            return flat[cell]
    raise AssertionError


@pytest.mark.parametrize("make", [PaperToy, MullerBrown, lambda: Phi4Ring(2, 0.1), lambda: Phi4Ring(2, 0.4)])
def test_passes_by_flood_fill(make):
    energy = make()
    (x_low, x_high), (y_low, y_high) = energy.bounds
    xs, ys = torch.linspace(x_low, x_high, 241, dtype=FLOAT64), torch.linspace(y_low, y_high, 239, dtype=FLOAT64)
    grid = torch.stack(torch.meshgrid(xs, ys, indexing="ij"), -1)
    values = energy.value(grid).numpy()
    spacing = max(float(xs[1] - xs[0]), float(ys[1] - ys[0]))

    def cell(x):
        return int((xs - x[0]).abs().argmin()) * len(ys) + int((ys - x[1]).abs().argmin())

    for each in energy.passes:
        level = flood_level(values, cell(each.start.x), cell(each.end.x))
        curvature = float(torch.linalg.eigvalsh(hessian(energy, each.saddle.x)).abs().max())
        assert level == pytest.approx(each.value, abs=curvature * spacing**2)
    if isinstance(energy, PaperToy):
        assert flood_level(values, *(cell(end) for end in energy.ends)) == pytest.approx(
            energy.passes[0].value, abs=2e-3
        )


# ---------------------------------------------------------------- formulas written anew
def toy_reference(x):
    u, v = x
    return (
        -torch.exp(-3 * ((u - 0.5) ** 2 + v**2))
        - torch.exp(-3 * ((u + 0.5) ** 2 + (v + 0.5) ** 2))
        + torch.exp(-15 * ((u + 0.2) ** 2 + (v + 0.4) ** 2))
        + torch.exp(-15 * (u**2 + (v - 0.3) ** 2))
        + 1.0190055296306975
    )


def muller_brown_reference(x):
    u, v = x
    total = 0.0
    for big, a, b, c, s, t in zip(
        (-200, -100, -170, 15),
        (-1, -1, -6.5, 0.7),
        (0, 0, 11, 0.6),
        (-10, -10, -6.5, 0.7),
        (1, 0, -0.5, -1),
        (0, 0.5, 1.5, 1),
        strict=True,
    ):
        total = total + big * torch.exp(a * (u - s) ** 2 + b * (u - s) * (v - t) + c * (v - t) ** 2)
    return total


def rosenbrock_reference(x):
    return sum(100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2 for i in range(len(x) - 1))


def ring_reference(x):
    n = len(x)
    return sum(x[i] ** 4 / 4 - x[i] ** 2 / 2 + 3.0 / 4 * (x[i] - x[(i + 1) % n]) ** 2 for i in range(n))


def lifted_reference(lifted, plane_reference):
    rotation, frequency = lifted._constant("rotation"), lifted._constant("frequency")

    def reference(x):
        y = rotation.T @ x
        sheet = [
            lifted._constant("amplitude")[j] * torch.sin(frequency[:, j] @ y[:2] + lifted._constant("phase")[j])
            for j in range(lifted.dim - 2)
        ]
        return plane_reference(y[:2]) + lifted.stiffness / 2 * ((y[2:] - torch.stack(sheet)) ** 2).sum()

    return reference


LIFTED = lift(MullerBrown(), 8, stiffness=300.0, seed=5)
REFERENCES = {
    "paper-toy": (PaperToy(), toy_reference),
    "muller-brown": (MullerBrown(), muller_brown_reference),
    "rosenbrock": (Rosenbrock(6), rosenbrock_reference),
    "phi4-ring": (Phi4Ring(5, 3.0), ring_reference),
    "phi4-ring, two sites": (Phi4Ring(2, 3.0), ring_reference),
    "lifted": (LIFTED, lifted_reference(LIFTED, muller_brown_reference)),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_value_gradient_and_product_against_autograd(name):
    energy, reference = REFERENCES[name]
    draws = torch.Generator().manual_seed(4)
    for _ in range(5):
        x, v = torch.rand(2, energy.dim, dtype=FLOAT64, generator=draws) - 0.5
        value, grad = energy.value_and_grad(x)
        torch.testing.assert_close(value, reference(x), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(grad, torch.func.grad(reference)(x), rtol=1e-11, atol=1e-11)
        product = torch.func.jacrev(torch.func.grad(reference))(x) @ v
        size = float(product.abs().max())
        torch.testing.assert_close(energy.hvp(x, v), product, rtol=1e-11, atol=1e-11 * max(1, size))
        # The shared autograd route gives what the closed forms give.
        torch.testing.assert_close(
            super(type(energy), energy)._energy_and_grad(x[None])[1][0], grad, rtol=1e-11, atol=1e-11
        )


def test_quadratic_knows_its_spectrum():
    bowl = Quadratic(30, 1e6, seed=2)
    dense = hessian(bowl, torch.zeros(30, dtype=FLOAT64))
    torch.testing.assert_close(torch.linalg.eigvalsh(dense), bowl.eigenvalues, rtol=1e-9, atol=1e-9)
    assert float(bowl.eigenvalues[-1] / bowl.eigenvalues[0]) == pytest.approx(1e6)
    torch.testing.assert_close(dense @ bowl.eigenvectors, bowl.eigenvectors * bowl.eigenvalues, rtol=0, atol=1e-8)
    straight = Quadratic(2, eigenvalues=[3.0, 1.0], rotate=False)
    assert straight.matrix.tolist() == [[1.0, 0.0], [0.0, 3.0]]
    assert float(straight.value(torch.tensor([2.0, 1.0], dtype=FLOAT64))) == 0.5 * (4 + 3)


def test_lifted_is_never_below_its_base_and_equal_on_the_sheet():
    lifted = get("muller-brown-50d")
    plane = torch.rand(20, 2, dtype=FLOAT64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(lifted.value(lifted.embed(plane)), MullerBrown().value(plane))
    torch.testing.assert_close(lifted.project(lifted.embed(plane)), plane)
    x = torch.randn(50, 50, dtype=FLOAT64, generator=torch.Generator().manual_seed(1)) * 0.2
    assert bool((lifted.value(x) >= MullerBrown().value(lifted.project(x))).all())
    # Not a plane: the middle between two points of the sheet is off it.
    a, b = lifted.ends
    middle = (a + b) / 2
    assert float((middle - lifted.embed(lifted.project(middle))).norm()) > 0.1
    assert lifted.base.dtype == FLOAT64
    assert lifted.to(dtype=torch.float32).base.dtype == torch.float32


def test_a_users_energy_can_be_lifted():
    base = from_function(lambda x: (x[0] ** 2 - 1) ** 2 + x[1] ** 2, 2)
    lifted = lift(base, 6)
    plane = torch.tensor([0.3, -0.2], dtype=FLOAT64)
    torch.testing.assert_close(lifted.value(lifted.embed(plane)), base.value(plane))
    assert lifted.passes == ()


def test_rows_are_evaluated_in_chunks(monkeypatch):
    toy = PaperToy()
    x = torch.rand(37, 2, dtype=FLOAT64, generator=torch.Generator().manual_seed(0))
    whole = toy.value(x), *toy.value_and_grad(x), toy.hvp(x, x)
    monkeypatch.setattr("lossatlas.landscape.analytic.energy._CHUNK_NUMBERS", 10)
    assert toy._row_chunk == 5
    for part, all_at_once in zip((toy.value(x), *toy.value_and_grad(x), toy.hvp(x, x)), whole, strict=True):
        torch.testing.assert_close(part, all_at_once, rtol=1e-14, atol=1e-14)


# ---------------------------------------------------------------- registry and refusals
def test_registry():
    assert {"paper-toy", "muller-brown", "quadratic", "rosenbrock", "phi4-ring", "paper-toy-50d"} <= set(landscapes)
    for name in landscapes:
        assert get(name).name == name
        assert 10 < len(landscapes.summary(name)) < 100
        assert get(name, dtype=torch.float32).dtype == torch.float32
    with pytest.raises(ConfigurationError, match="did you mean 'muller-brown'"):
        get("muler-brown")
    with pytest.raises(ConfigurationError, match="did you mean 'condition'"):
        get("quadratic", conditoin=3)
    with pytest.raises(ConfigurationError, match="unknown option 'dim' of the landscape 'phi4-ring': use one of: "):
        get("phi4-ring", dim=4)


def test_only_types_that_a_landscape_may_have_are_suggested():
    bowl = get("quadratic", dim=2)
    with pytest.raises(InputError, match=r"or the landscape with landscape\.to\(dtype=torch\.float32\)"):
        bowl.value(torch.zeros(2, dtype=torch.float32))
    with pytest.raises(InputError, match=r"convert the rows with x\.to\(torch\.float64\)$"):
        bowl.value(torch.zeros(2, dtype=torch.int64))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("quadratic", {"dim": 0}),
        ("quadratic", {"dim": 2.0}),
        ("quadratic", {"dim": True}),
        ("quadratic", {"condition": 0.5}),
        ("quadratic", {"condition": math.nan}),
        ("quadratic", {"dim": 3, "eigenvalues": [1.0, 2.0]}),
        ("quadratic", {"dim": 2, "center": [math.inf, 0.0]}),
        ("rosenbrock", {"dim": 1}),
        ("phi4-ring", {"sites": 1}),
        ("phi4-ring", {"coupling": -1.0}),
        ("paper-toy", {"dtype": torch.int64}),
        ("paper-toy", {"device": "abacus"}),
        ("paper-toy-50d", {"stiffness": 0.0}),
    ],
)
def test_bad_options_are_refused(name, options):
    with pytest.raises(InputError, match=r"expected .* got "):
        get(name, **options)


def test_only_the_plane_is_lifted():
    with pytest.raises(InputError, match="two-dimensional"):
        lift(Quadratic(3), 10)
    with pytest.raises(InputError, match="at least 3"):
        lift(PaperToy(), 2)


def test_products_need_vectors_that_fit():
    toy = PaperToy()
    x = torch.zeros(3, 2, dtype=FLOAT64)
    assert toy.hvp(x[0], x).shape == (3, 2)
    assert toy.hvp(x, x[0]).shape == (3, 2)
    with pytest.raises(InputError, match="broadcast"):
        toy.hvp(x, torch.zeros(2, 2, dtype=FLOAT64))
