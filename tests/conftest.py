"""Order of the tests."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first: begun last, one of them would keep a single core busy long after the others are idle."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
