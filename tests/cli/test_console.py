from __future__ import annotations

import pytest

from lossatlas.cli.console import duration, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599.7, "1 h 0 min"),
     (7199, "2 h 0 min"), (90061, "25 h 1 min"), (float("inf"), "unknown time"), (float("nan"), "unknown time")],
)  # fmt: skip
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (5 * 10**12, "5000.0 GB")])
def test_sizes(count, text):
    assert size(count) == text
