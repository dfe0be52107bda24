from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields

import pytest
import torch
from torch import Tensor

from lossatlas.core.errors import ConfigurationError
from lossatlas.optimize.line_search import GoldenSectionLineSearch, LineSearchResult, SearchStatus


def run(f: Callable[[float], float], length: float = 1.0, **constants: object) -> tuple[LineSearchResult, list[float]]:
    """Search one row from u = 0 and record the trials."""
    seen: list[float] = []

    def along(u: Tensor, rows: Tensor) -> Tensor:
        assert rows.all()
        seen.append(float(u))
        return torch.tensor([f(float(u))], dtype=torch.float64)

    search = GoldenSectionLineSearch(**constants)  # type: ignore[arg-type]
    start = torch.tensor([f(0.0)], dtype=torch.float64)
    found = search.search(along, start, torch.tensor([length], dtype=torch.float64))
    assert found.evaluations.item() == len(seen)
    return found, seen


def test_published_constants_are_the_defaults() -> None:
    search = GoldenSectionLineSearch()
    assert {f.name: getattr(search, f.name) for f in fields(search)} == {
        "first_step": 0.2,
        "growth": 2.0,
        "shrink": 0.382,
        "section": 0.382,
        "evaluations": 6,
        "shrinking_evaluations": None,
        "tolerance": 1e-4,
        "probe": "golden",
    }


@pytest.mark.parametrize("probe", ["golden", "published"])
def test_growing_trials_double_after_a_first_factor_of_four(probe: str) -> None:
    found, seen = run(lambda u: -u, probe=probe)
    assert seen == pytest.approx([0.2, 0.8, 1.6, 3.2, 6.4, 12.8])
    assert (found.step.item(), found.value.item()) == (seen[-1], -seen[-1])
    assert found.status.item() == SearchStatus.BUDGET


def test_growing_ignores_the_tolerance() -> None:
    _, seen = run(lambda u: -1e-9 * u, length=1e-9)
    assert len(seen) == 6


def test_growing_then_refining_in_the_larger_part() -> None:
    found, seen = run(lambda u: (u - 0.85) ** 2)
    # Bracket (0.2, 0.8, 1.6); the trial 1.1056 rises: (0.2, 0.8, 1.1056), whose larger part is the lower one.
    assert seen == pytest.approx([0.2, 0.8, 1.6, 1.1056, 0.8 - 0.382 * 0.6, 0.8 + 0.382 * 0.3056])
    assert found.step.item() == 0.8


def test_growing_then_refining_as_published() -> None:
    found, seen = run(lambda u: (u - 0.85) ** 2, probe="published")
    # 0.7348 lies in the smaller part and rises: (0.7348, 0.8, 1.6).
    upper = 0.7348 + 0.382 * (1.6 - 0.7348)
    assert seen[:5] == pytest.approx([0.2, 0.8, 1.6, 0.7348, upper])
    # That rises too: (0.7348, 0.8, 1.0653), whose larger part is again the upper one.
    assert seen[5] == pytest.approx(0.7348 + 0.382 * (upper - 0.7348))
    assert found.step.item() == pytest.approx(seen[5])


def test_shrinking_trials_and_refinement() -> None:
    found, seen = run(lambda u: (u - 0.02) ** 2, tolerance=0.0)
    # 0.2 and 0.0764 rise, 0.0292 falls: bracket (0, 0.0292, 0.0764), larger part above.
    u = 0.2 * 0.382**2
    assert seen[:4] == pytest.approx([0.2, 0.0764, u, u + 0.382 * (0.0764 - u)])
    assert len(seen) == 6
    assert found.value.item() < 0.02**2


def test_after_a_shrink_the_published_trial_repeats_the_middle_and_ends_the_search() -> None:
    found, seen = run(lambda u: (u - 0.05) ** 2, tolerance=0.0, probe="published")
    assert seen == pytest.approx([0.2, 0.0764, 0.0764])
    assert seen[1] == seen[2]
    assert found.step.item() == seen[1]
    assert found.status.item() == SearchStatus.TIE


@pytest.mark.parametrize("probe", ["golden", "published"])
def test_shrinking_ends_at_the_tolerance_above_the_start(probe: str) -> None:
    found, seen = run(lambda u: 1 + 1e-5 * u, probe=probe)
    assert seen == [0.2]
    assert found.step.item() == 0.2
    assert found.value.item() > 1
    assert found.status.item() == SearchStatus.DIFFERENCE


def test_the_displacement_tolerance_is_absolute() -> None:
    found, seen = run(lambda u: 1 + 1000 * u, length=1e-2)
    # |u d| = .002, .000764, .00029, .00011, .000043: the last is below 1e-4, looked at before a sixth trial.
    assert seen == pytest.approx([0.2 * 0.382**k for k in range(5)])
    assert found.status.item() == SearchStatus.WIDTH
    assert found.value.item() > 1


def test_shrinking_ends_at_the_budget_above_the_start() -> None:
    found, seen = run(lambda u: 1 + 1e9 * u)
    assert seen == pytest.approx([0.2 * 0.382**k for k in range(6)])
    assert found.step.item() == seen[-1]
    assert found.status.item() == SearchStatus.BUDGET


def test_an_equal_first_trial_does_not_improve() -> None:
    _, seen = run(lambda u: 0.0 if u in {0.0, 0.2} else 1e3 * (u - 0.01) ** 2 - 1, tolerance=0.0)
    assert seen[1] == pytest.approx(0.0764)


def test_a_tie_while_growing_ends_at_the_midpoint_as_published() -> None:
    found, seen = run(lambda u: (u - 1.2) ** 2, probe="published")
    assert (1.6 - 1.2) ** 2 != (0.8 - 1.2) ** 2  # not a tie in floating point: the search goes on
    assert len(seen) > 4

    def level(u: float) -> float:
        return 1 - min(u, 0.8)

    found, seen = run(level, probe="published")
    assert seen == pytest.approx([0.2, 0.8, 1.6, 0.9])
    assert found.step.item() == pytest.approx(0.9)
    assert found.status.item() == SearchStatus.TIE
    found, seen = run(level, probe="published", evaluations=3)
    assert seen == pytest.approx([0.2, 0.8, 1.6])
    assert found.step.item() == pytest.approx(0.8)
    found, seen = run(level, probe="golden")
    assert len(seen) == 6


def test_a_patient_search_shrinks_longer_but_refines_no_longer() -> None:
    patient = {"tolerance": 0.0, "shrinking_evaluations": 40}
    found, seen = run(lambda u: 1e9 * u * (u - 1e-6), **patient)
    first = next(k for k in range(40) if 0.2 * 0.382**k < 1e-6)
    assert seen == pytest.approx([0.2 * 0.382**k for k in range(first + 1)])
    assert found.value.item() < 0
    found, seen = run(lambda u: u, **patient)
    assert len(seen) == 40
    assert found.value.item() > 0
    assert len(run(lambda u: (u - 0.05) ** 2, **patient)[1]) == 6


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_trials_that_are_not_finite_are_turned_back_from(bad: float) -> None:
    found, seen = run(lambda u: bad if u > 1 else -u)
    assert seen[:3] == pytest.approx([0.2, 0.8, 1.6])
    assert 0.8 <= found.step.item() <= 1
    found, seen = run(lambda u: bad if u > 0.1 else -u)
    assert seen[:2] == pytest.approx([0.2, 0.0764])
    assert found.value.item() < 0


def test_rows_take_their_own_ways() -> None:
    shapes: list[Callable[[Tensor], Tensor]] = [
        lambda u: -u,
        lambda u: 1 + 1e-5 * u,
        lambda u: (u - 0.85) ** 2,
        lambda u: (u - 0.02) ** 2,
        lambda u: u * 0,
        lambda u: (u - 3) ** 2,
    ]

    def along(keep: list[int]) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda u, rows: torch.where(rows, torch.stack([shapes[i](u[k]) for k, i in enumerate(keep)]), torch.nan)

    search = GoldenSectionLineSearch()
    everyone = list(range(6))
    zero, one = torch.zeros(6, dtype=torch.float64), torch.ones(6, dtype=torch.float64)
    start = torch.stack([f(zero[0]) for f in shapes])
    rows = torch.tensor([True, True, True, True, False, True])
    together = search.search(along(everyone), start, one, rows)
    assert (together.step[4], together.evaluations[4], together.status[4]) == (0, 0, SearchStatus.SKIPPED)
    for i in (0, 1, 2, 3, 5):
        alone = search.search(along([i]), start[[i]], one[:1])
        for name in ("step", "value", "evaluations", "status"):
            assert torch.equal(getattr(alone, name)[0], getattr(together, name)[i])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("first_step", 0.0),
        ("first_step", 1e300),
        ("growth", 1.0),
        ("shrink", 1.0),
        ("section", 0.7),
        ("evaluations", 0),
        ("shrinking_evaluations", 3),
        ("tolerance", -1.0),
        ("probe", "silver"),
    ],
)
def test_constants_out_of_range_are_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match="probe" if name == "probe" else name):
        GoldenSectionLineSearch(**{name: value})  # type: ignore[arg-type]
