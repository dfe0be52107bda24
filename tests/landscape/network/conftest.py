"""Every sample network as a fixture."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sample_networks import NETWORKS

from lossatlas.landscape import NetworkLandscape


@pytest.fixture(params=list(NETWORKS))
def make(request: pytest.FixtureRequest) -> Callable[..., NetworkLandscape]:
    """A function that builds one of the networks as a landscape."""
    return NETWORKS[request.param]
