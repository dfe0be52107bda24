from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from lossatlas.core.errors import InputError
from lossatlas.core.proportion import Proportion


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_wilson(confidence: float) -> None:
    share = Proportion(7, 50, confidence)
    z = {0.9: 1.6448536269514722, 0.95: 1.959963984540054}[confidence]
    p, n = 0.14, 50
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert (share.low, share.high) == (pytest.approx(middle - half), pytest.approx(middle + half))
    assert Proportion(0, 10).z(0.0) == 0
    assert Proportion(1, 10).z(0.0) == math.inf
    assert Proportion(5, 100).z(0.1) == pytest.approx(-0.05 / 0.03)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Proportion(3, 2), "count <= total"),
        (lambda: Proportion(0, 0), "total >= 1"),
        (lambda: Proportion(1, 2, 1.0), "confidence"),
        (lambda: Proportion(1, 2).z(2.0), "probability"),
    ],
)
def test_what_is_no_proportion_is_refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()
