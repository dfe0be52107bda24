from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lossatlas.core.errors import ConfigurationError, InputError
from lossatlas.optimize.golden_section import GOLDEN, SearchStatus, golden_section

Function = Callable[[Tensor, Tensor], Tensor]


def column(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def golden_middle(low: Tensor, high: Tensor) -> Tensor:
    return low + GOLDEN * (high - low)


def test_each_evaluation_shrinks_the_bracket_by_the_golden_factor() -> None:
    low, high = column(0, -7, 100), column(1, 3, 1100)
    minimum = column(0.3, 2.9, 101)
    for n in range(1, 40):
        found = golden_section(lambda u, rows: (u - minimum).abs(), low, golden_middle(low, high), high, evaluations=n)
        assert found.evaluations.tolist() == [n] * 3
        # The first evaluation is that of the middle; every further one cuts the bracket once.
        expected = (high - low) * (1 - GOLDEN) ** (n - 1)
        torch.testing.assert_close(found.upper - found.lower, expected, rtol=1e-5, atol=0)
        assert ((found.lower <= minimum) & (minimum <= found.upper)).all()
        assert ((found.argmin - minimum).abs() <= expected).all()


@given(
    exponent=st.integers(-8, 8),
    shift=st.sampled_from([0.0, 1.0, -1.0, 17.0, -400.0]),
    place=st.floats(0.0, 1.0),
    middle=st.floats(0.0, 1.0),
    left=st.floats(0.1, 10),
    right=st.floats(0.1, 10),
    power=st.sampled_from([1.0, 2.0, 0.5]),
    evaluations=st.integers(1, 45),
)
@settings(max_examples=150, deadline=None)
def test_the_minimum_never_leaves_the_bracket(
    exponent: int, shift: float, place: float, middle: float, left: float, right: float, power: float, evaluations: int
) -> None:
    scale = 10.0**exponent
    low, high = column(shift * scale), column((shift + 1) * scale)
    low_value, high_value = float(low), float(high)
    minimum = min(max(low_value + place * (high_value - low_value), low_value), high_value)
    middle_point = (low + middle * (high - low)).clamp(low, high)

    def f(u: Tensor, rows: Tensor) -> Tensor:
        away = (u - minimum) / scale
        return torch.where(away < 0, left * (-away) ** power, right * away.abs() ** power)

    found = golden_section(f, low, middle_point, high, evaluations=evaluations)
    slack = 1e-13 * scale * (1 + abs(shift))
    assert float(found.lower) - slack <= minimum <= float(found.upper) + slack
    assert found.lower <= found.argmin <= found.upper
    assert found.value == f(found.argmin, found.argmin > 0)
    if found.status.item() == SearchStatus.BUDGET:
        assert found.evaluations.item() == evaluations
    else:
        # As fine as the numbers themselves.
        assert found.status.item() == SearchStatus.RESOLUTION
        assert found.upper - found.lower < 1e-6 * scale * (1 + abs(shift))


@pytest.mark.parametrize("scale", [1e-8, 1e-3, 1.0, 1e8])
@pytest.mark.parametrize("shift", [0.0, 5.0, -3.0, 1000.0])
def test_scaling_and_translating_the_bracket_moves_the_answer_with_it(scale: float, shift: float) -> None:
    def solve(s: float, t: float) -> Tensor:
        low, high = column(t * s), column((t + 2) * s)
        return golden_section(
            lambda u, rows: torch.cosh((u / s - t) - 1.3), low, golden_middle(low, high), high, evaluations=25
        ).argmin

    assert float(solve(scale, shift)) / scale - shift == pytest.approx(float(solve(1.0, 0.0)), abs=1e-9)


@pytest.mark.parametrize(("minimum", "middle"), [(0.0, 0.5), (1.0, 0.5), (0.0, 1.0), (1.0, 0.0), (0.999, 0.001)])
def test_minimum_or_middle_at_one_side(minimum: float, middle: float) -> None:
    found = golden_section(lambda u, rows: (u - minimum).abs(), column(0), column(middle), column(1), evaluations=40)
    assert float(found.argmin) == pytest.approx(minimum, abs=1e-6)


def test_known_values_are_not_evaluated_again_and_masks_are_exact() -> None:
    calls: list[list[bool]] = []

    def f(u: Tensor, rows: Tensor) -> Tensor:
        calls.append(rows.tolist())
        return torch.where(rows, (u - 0.4) ** 2, torch.nan)

    ends = column(0, 0, 0), column(0.382, 0.382, 0.382), column(1, 1, 1)
    values = tuple((u - 0.4) ** 2 for u in ends)
    found = golden_section(
        f,
        *ends,
        values=(values[0], values[1], values[2]),
        evaluations=torch.tensor([2, 4, 9]),
        rows=torch.tensor([True, True, False]),
    )
    assert calls == [[True, True, False]] * 2 + [[False, True, False]] * 2
    assert found.evaluations.tolist() == [2, 4, 0]
    assert found.status.tolist() == [SearchStatus.BUDGET, SearchStatus.BUDGET, SearchStatus.SKIPPED]


def test_tolerances_stop_before_the_next_trial() -> None:
    low, middle, high = column(0), golden_middle(column(0), column(1)), column(1)

    def f(u: Tensor, rows: Tensor) -> Tensor:
        return (u - 0.5) ** 2

    wide = golden_section(f, low, middle, high, tolerance=0.1, scale=2.0)
    # Widths 1, .618, .382, .236, .146, .090, .056, .034: twice the last is the first below 0.1 (0.111 is not).
    assert wide.evaluations.item() == 1 + 7
    assert wide.status.item() == SearchStatus.WIDTH
    values = (f(low, low > 0), f(middle, low > 0), f(high, low > 0))
    level = golden_section(f, low, middle, high, values=values, difference=1e-9)
    assert level.evaluations.item() == 0
    assert level.status.item() == SearchStatus.DIFFERENCE


def test_trials_lie_in_the_larger_part() -> None:
    seen: list[float] = []

    def f(u: Tensor, rows: Tensor) -> Tensor:
        seen.append(float(u))
        return (u - 0.45) ** 2

    golden_section(f, column(0), column(0.2), column(1), evaluations=3, fraction=0.382)
    assert seen == pytest.approx([0.2, 0.2 + 0.382 * 0.8, 0.5056 + 0.382 * (1 - 0.5056)])
    seen.clear()
    golden_section(f, column(0), column(0.8), column(1), evaluations=2, fraction=0.382)
    assert seen == pytest.approx([0.8, 0.8 - 0.382 * 0.8])


def test_published_trials_are_measured_from_the_ends() -> None:
    seen: list[float] = []

    def f(u: Tensor, rows: Tensor) -> Tensor:
        seen.append(float(u))
        return (u - 0.82) ** 2

    golden_section(f, column(0.2), column(0.8), column(1.6), evaluations=3, fraction=0.382, probe="published")
    # The larger part is the upper one, yet the trial 0.7348 is in the lower one; it rises, so (0.7348, 0.8, 1.6).
    assert seen == pytest.approx([0.8, 0.2 + 0.382 * 1.4, 0.7348 + 0.382 * (1.6 - 0.7348)])


def test_published_ties_end_the_search() -> None:
    found = golden_section(lambda u, rows: u * 0, column(0), column(0.3), column(1), evaluations=9, probe="published")
    assert (found.status.item(), found.evaluations.item()) == (SearchStatus.TIE, 2)
    assert found.argmin.item() == 0.3


def test_not_a_number_counts_as_infinitely_high() -> None:
    found = golden_section(
        lambda u, rows: torch.where(u > 0.6, torch.nan, -u), column(0), column(0.3), column(1), evaluations=40
    )
    assert float(found.argmin) == pytest.approx(0.6, abs=1e-6)


def test_the_answer_of_a_row_does_not_depend_on_the_others() -> None:
    low, high = column(0, -3, 10, 0.5), column(1, 9, 10.5, 900)
    minimum = column(0.2, 8, 10.4, 3)

    def solve(keep: list[int]) -> Tensor:
        return golden_section(
            lambda u, rows: (u - minimum[keep]) ** 2,
            low[keep],
            golden_middle(low, high)[keep],
            high[keep],
            tolerance=1e-3,
        ).argmin

    together = solve([0, 1, 2, 3])
    assert all(torch.equal(solve([i])[0], together[i]) for i in range(4))


@pytest.mark.parametrize("bracket", [(1, 0.5, 0), (0, 2, 1), (0, 0, 0), (0, float("nan"), 1), (0, 1, float("inf"))])
def test_bad_brackets_are_refused(bracket: tuple[float, float, float]) -> None:
    low, middle, high = (column(v) for v in bracket)
    with pytest.raises(InputError, match="lower <= middle <= upper"):
        golden_section(lambda u, rows: u, low, middle, high)


def test_unknown_probe_names_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'golden'"):
        golden_section(lambda u, rows: u, column(0), column(0.5), column(1), probe="goldn")  # type: ignore[arg-type]
