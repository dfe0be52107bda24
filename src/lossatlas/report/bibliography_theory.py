"""The works behind landscapes understood exactly."""

from __future__ import annotations

from lossatlas.report.bibliography import Citation, work

__all__ = ["THEORY_WORKS"]

THEORY_WORKS: dict[str, Citation] = dict(
    [
        work(
            "hajek1988",
            "article",
            "Hajek, Bruce",
            "Cooling schedules for optimal annealing",
            "Mathematics of Operations Research",
            "the critical depth and the fastest schedule that converges",
            volume="13",
            pages="311--329",
        ),
        work(
            "holley1989",
            "article",
            "Holley, Richard A. and Kusuoka, Shigeo and Stroock, Daniel W.",
            "Asymptotics of the spectral gap with applications to the theory of simulated annealing",
            "Journal of Functional Analysis",
            "annealing on compact manifolds",
            volume="83",
            pages="333--347",
        ),
        work(
            "hsu2002",
            "book",
            "Hsu, Elton P.",
            "Stochastic Analysis on Manifolds",
            "American Mathematical Society",
            "Brownian motion on a sphere",
        ),
        work(
            "wilson1927",
            "article",
            "Wilson, Edwin B.",
            "Probable inference, the law of succession, and statistical inference",
            "Journal of the American Statistical Association",
            "intervals of proportions",
            volume="22",
            pages="209--212",
        ),
    ]
)
