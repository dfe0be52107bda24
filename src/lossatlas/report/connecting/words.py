"""Words of the page that several of its sections use."""

from __future__ import annotations

from lossatlas.study.connection import Connection, Route

__all__ = ["pair_name"]


def pair_name(connection: Connection, route: Route) -> str:
    """Both ends of a route, such as ``A to B``."""
    return f"{connection.labels[route.first]} to {connection.labels[route.second]}"
