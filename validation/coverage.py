"""How often 95 % intervals hold the truth: simulated studies of pairs that share minima, and of runs.

Numbers of pairs are μ + a_i + a_j + e_ij; effects a of minima and e of pairs are normal, gamma of shape 2 (skewness
1.4) or exponential (skewness 2); from effects of minima alone to effects of pairs alone.
Of runs there are also the lowest of many, chosen by the number itself.
Expected: 93-99 % of at least 2000 studies at 4, 8 and 48 minima, in every case of equal numbers of minima.
Beside it, what the plain jackknife with Student's t covers. No data needed. Run: python -m validation.coverage
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lossatlas.analysis import Sample, paired_difference
from lossatlas.analysis.comparison import welch
from lossatlas.analysis.pair_design import PairDesign, PairMoments
from lossatlas.analysis.uncertainty import mean_of_lowest, widening
from validation.common import write

Array = NDArray[np.float64]
STUDIES = 4000
EXPECTED = (0.93, 0.99)
MINIMA = (4, 8, 48)
# Standard deviations of what minima and what pairs bring.
MIXES = {
    "minima": (1.0, 0.0),
    "mostly minima": (1.0, 0.5),
    "both": (1.0, 1.0),
    "mostly pairs": (0.3, 1.0),
    "pairs": (0.0, 1.0),
}
DRAWS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Array]] = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "gamma": lambda rng, shape: (rng.gamma(2.0, 1.0, shape) - 2) / np.sqrt(2.0),
    "exponential": lambda rng, shape: rng.standard_exponential(shape) - 1,
}


def all_pairs(n: int) -> list[tuple[int, int]]:
    return list(combinations(range(n), 2))


def some_pairs(n: int, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    chosen = rng.choice(n * (n - 1) // 2, count, replace=False)
    return [all_pairs(n)[k] for k in sorted(chosen)]


def numbers(
    design: PairDesign, n: int, studies: int, law: str, mix: str, rng: np.random.Generator, effects: Array | None = None
) -> tuple[Array, Array]:
    """Numbers ``(studies, P)`` with mean 0, and the effects of minima ``(studies, n)``."""
    of_minima, of_pairs = MIXES[mix]
    a = of_minima * DRAWS[law](rng, (studies, n)) if effects is None else effects
    ends = np.asarray(design.pairs)
    return a[:, ends[:, 0]] + a[:, ends[:, 1]] + of_pairs * DRAWS[law](rng, (studies, len(ends))), a


def covered(mean: Array, variance: Array, df: Array, guard: Array | float) -> float:
    return float((np.abs(mean) <= guard * stats.t.ppf(0.975, df) * np.sqrt(variance)).mean())


def plain(moments: PairMoments) -> float:
    """Coverage of the jackknife as in the textbook, with t of n − 1 degrees of freedom."""
    left_out = moments.left_out
    n = left_out.shape[-1]
    variance = (n - 1) / n * np.square(left_out - left_out.mean(axis=-1, keepdims=True)).sum(axis=-1)
    return covered(moments.mean, variance, np.full(variance.shape, n - 1.0), 1.0)


def case(kind: str, n: int, law: str, mix: str, coverage: float, **more: Any) -> dict[str, Any]:
    holds = EXPECTED[0] <= coverage <= EXPECTED[1]
    return {
        "kind": kind,
        "minima": n,
        "law": law,
        "effects": mix,
        "coverage": round(coverage, 4),
        "holds": holds,
        **more,
    }


def one_sample(n: int, law: str, mix: str, rng: np.random.Generator) -> dict[str, Any]:
    moments = PairDesign(all_pairs(n)).moments(numbers(PairDesign(all_pairs(n)), n, STUDIES, law, mix, rng)[0])
    found = covered(moments.mean, moments.variance, moments.df, widening((1.0, n)))
    return case("one set, all pairs", n, law, mix, found, plain_jackknife=round(plain(moments), 4))


def random_pairs(n: int, count: int, law: str, mix: str, rng: np.random.Generator) -> dict[str, Any]:
    found, textbook = [], []
    for _ in range(20):
        design = PairDesign(some_pairs(n, count, rng))
        moments = design.moments(numbers(design, n, STUDIES // 20, law, mix, rng)[0])
        found.append(covered(moments.mean, moments.variance, moments.df, widening((1.0, n))))
        textbook.append(plain(moments))
    return case(
        f"one set, {count} random pairs", n, law, mix, float(np.mean(found)),
        plain_jackknife=round(float(np.mean(textbook)), 4),
    )  # fmt: skip


def two_sample(n: int, other: int, scale: float, law: str, mix: str, rng: np.random.Generator) -> dict[str, Any]:
    parts = []
    for count, factor in ((n, 1.0), (other, scale)):
        design = PairDesign(all_pairs(count))
        parts.append((count, design.moments(factor * numbers(design, count, STUDIES, law, mix, rng)[0])))
    (n1, one), (n2, two) = parts
    variance, df, guard = welch((one.variance, one.df, n1), (two.variance, two.df, n2))
    name = f"two sets, the second of {other} minima" if other != n else "two sets"
    return case(f"{name}, spread times {scale:g}", n, law, mix, covered(one.mean - two.mean, variance, df, guard))


def paired(n: int, law: str, mix: str, rng: np.random.Generator) -> dict[str, Any]:
    """The second treatment keeps part of what a minimum and a pair bring, and adds its own."""
    design = PairDesign(all_pairs(n))
    base = numbers(design, n, STUDIES, law, mix, rng)[0]
    moments = design.moments(base - (0.7 * base + 0.5 * numbers(design, n, STUDIES, law, mix, rng)[0]))
    found = covered(moments.mean, moments.variance, moments.df, widening((1.0, n)))
    return case("paired, same pairs", n, law, mix, found)


def paired_other_pairs(n: int, count: int, law: str, mix: str, rng: np.random.Generator) -> dict[str, Any]:
    """Different random pairs of the same minima under the two treatments: 2000 studies, through the public function."""
    hits, studies = 0, 2000
    for _ in range(20):
        one, two = PairDesign(some_pairs(n, count, rng)), PairDesign(some_pairs(n, count, rng))
        y, a = numbers(one, n, studies // 20, law, mix, rng)
        z, _ = numbers(two, n, studies // 20, law, mix, rng, 0.5 * a + 0.5 * DRAWS[law](rng, a.shape) * MIXES[mix][0])
        for first, second in zip(y, z, strict=True):
            found = paired_difference(Sample.of_pairs(first, one.pairs), Sample.of_pairs(second, two.pairs)).difference
            hits += found.low <= 0 <= found.high
    return case(f"paired, {count} other pairs", n, law, mix, hits / studies, studies=studies)


def runs(n: int, law: str, rng: np.random.Generator) -> list[dict[str, Any]]:
    x, y = DRAWS[law](rng, (STUDIES, n)), 2 * DRAWS[law](rng, (STUDIES, n))
    df = np.full(STUDIES, n - 1.0)
    of_x, of_y = x.var(axis=1, ddof=1) / n, y.var(axis=1, ddof=1) / n
    one = covered(x.mean(axis=1), of_x, df, widening((1.0, n)))
    two = covered(x.mean(axis=1) - y.mean(axis=1), *welch((of_x, df, n), (of_y, df, n)))
    return [case("one set of runs", n, law, "runs", one), case("two sets of runs, spread times 2", n, law, "runs", two)]


def lowest(kept: int, drawn: int, law: str, rng: np.random.Generator) -> list[dict[str, Any]]:
    """The lowest of many runs: the truth is their mean over many studies."""
    parts, truth = [], 0.0
    for _ in range(2):
        x = np.sort(DRAWS[law](rng, (STUDIES, drawn)), axis=1)[:, :kept]
        estimates = [mean_of_lowest(row.tolist(), drawn) for row in x]
        truth = float(np.sort(DRAWS[law](rng, (20_000, drawn)), axis=1)[:, :kept].mean())
        parts.append((x.mean(axis=1), np.square([each.error for each in estimates])))
    df = np.full(STUDIES, kept - 1.0)
    (one, of_one), (two, of_two) = parts
    alone = covered(one - truth, of_one, df, widening((1.0, kept)))
    both = covered(one - two, *welch((of_one, df, kept), (of_two, df, kept)))
    name = f"the lowest {kept} of {drawn} runs"
    return [case(f"{name}, one set", kept, law, "runs", alone), case(f"{name}, two sets", kept, law, "runs", both)]


def main() -> None:
    started = time.monotonic()
    rng = np.random.default_rng(20260101)
    cases: list[dict[str, Any]] = []
    limits: list[dict[str, Any]] = []
    for law in DRAWS:
        for n in MINIMA:
            cases += runs(n, law, rng)
            for mix in MIXES:
                cases.append(one_sample(n, law, mix, rng))
                cases += [two_sample(n, n, scale, law, mix, rng) for scale in (1.0, 2.0)]
                cases.append(paired(n, law, mix, rng))
        for mix in MIXES:
            cases.append(random_pairs(48, 300, law, mix, rng))
            limits.append(two_sample(4, 48, 1.0, law, mix, rng))
        if law != "gamma":  # between the two others, and slow
            cases += [paired_other_pairs(48, 300, law, mix, rng) for mix in ("both", "pairs")]
    for law in DRAWS:
        for kept, drawn in ((4, 6), (8, 12), (48, 75)):
            cases += lowest(kept, drawn, law, rng)
    found = [c["coverage"] for c in cases]
    document = {
        "confidence": 0.95,
        "studies": STUDIES,
        "expected": list(EXPECTED),
        "cases": len(cases),
        "outside": [c for c in cases if not c["holds"]],
        "lowest": min(cases, key=lambda c: c["coverage"]),
        "highest": max(cases, key=lambda c: c["coverage"]),
        "median": float(np.median(found)),
        "plain_jackknife": {
            "lowest": min(c["plain_jackknife"] for c in cases if "plain_jackknife" in c),
            "highest": max(c["plain_jackknife"] for c in cases if "plain_jackknife" in c),
        },
        "lowest_by_law_and_minima": {
            law: {str(n): min(c["coverage"] for c in cases if c["law"] == law and c["minima"] == n) for n in MINIMA}
            for law in DRAWS
        },
        "beyond_the_bar_4_against_48_minima": limits,
        "all": cases,
    }
    write("coverage", document, started)


if __name__ == "__main__":
    main()
