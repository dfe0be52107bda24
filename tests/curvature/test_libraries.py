"""LeNet beside two independent libraries: the same matrices, eigenvalues and traces."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lossatlas import models
from lossatlas.core.randomness import generator, seeded
from lossatlas.curvature import FisherOperator, GaussNewtonOperator, HessianOperator, eigenvalues, trace
from lossatlas.landscape import NetworkLandscape, Numerics

with warnings.catch_warnings():
    # They use parts of PyTorch that are on their way out, which is not for us to change.
    warnings.simplefilter("ignore")
    import curvlinops
    import hessian_eigenthings


@pytest.fixture(scope="module")
def lenet():
    g = generator("libraries")
    data = torch.rand(16, 1, 28, 28, generator=g).double(), torch.randint(0, 10, (16,), generator=g)
    with seeded("libraries"):
        network = models.get("lenet").double()
    landscape = NetworkLandscape(network, F.cross_entropy, data, numerics=Numerics())
    return landscape, network, data


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (HessianOperator, curvlinops.HessianLinearOperator),
        (GaussNewtonOperator, curvlinops.GGNLinearOperator),
        (FisherOperator, curvlinops.EFLinearOperator),
    ],
)
def test_products_are_those_of_curvlinops(lenet, ours, theirs):
    landscape, network, data = lenet
    v = torch.randn(landscape.dim, generator=generator("libraries", 1), dtype=torch.float64)
    other = theirs(network, nn.CrossEntropyLoss(), list(network.parameters()), [data]) @ v
    own = ours(landscape, landscape.flatten(network)) @ v
    assert torch.allclose(own, other, rtol=1e-9, atol=1e-12 * float(other.abs().max()))


def test_eigenvalues_and_trace_are_those_of_hessian_eigenthings(lenet):
    landscape, network, data = lenet
    operator = hessian_eigenthings.HessianOperator(
        network, [data], lambda model, batch: F.cross_entropy(model(batch[0]), batch[1])
    )
    found = eigenvalues(landscape, landscape.flatten(network), k=3)
    other = hessian_eigenthings.lanczos(operator, k=3, max_iter=40, which="LA", reorthogonalize=True, seed=0)
    assert bool(found.converged.all())
    assert torch.allclose(found.values, other.eigenvalues, rtol=1e-6)
    for own, theirs in zip(found.vectors, other.eigenvectors, strict=True):
        assert abs(float(own @ theirs)) == pytest.approx(1, abs=1e-6)
    mine = trace(landscape, landscape.flatten(network), tolerance=0.1)
    theirs = hessian_eigenthings.trace(operator, num_matvecs=60, seed=0)
    error = (float(mine.error) ** 2 + theirs.stderr**2) ** 0.5
    assert abs(float(mine.value) - theirs.estimate) < 4 * error
