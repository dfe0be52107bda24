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
        work(
            "saad1995",
            "article",
            "Saad, David and Solla, Sara A.",
            "On-line learning in soft committee machines",
            "Physical Review E",
            "the equations of one-pass SGD",
            volume="52",
            pages="4225--4243",
        ),
        work(
            "safran2018",
            "inproceedings",
            "Safran, Itay and Shamir, Ohad",
            "Spurious local minima are common in two-layer ReLU neural networks",
            "International Conference on Machine Learning",
            "bad minima and how often they are reached",
            eprint="1712.08968",
            archiveprefix="arXiv",
        ),
        work(
            "goldt2019",
            "inproceedings",
            "Goldt, Sebastian and Advani, Madhu and Saxe, Andrew M. and Krzakala, Florent and Zdeborova, Lenka",
            "Dynamics of stochastic gradient descent for two-layer neural networks in the teacher-student setup",
            "Advances in Neural Information Processing Systems",
            "the equations with more students than teachers",
            eprint="1906.08632",
            archiveprefix="arXiv",
        ),
        work(
            "huang2026",
            "misc",
            "Huang, Jie and Loureiro, Bruno and Sarao Mannelli, Stefano",
            "Sharp description of local minima in the loss landscape of high-dimensional two-layer ReLU neural "
            "networks",
            "arXiv preprint",
            "minima in the space of overlaps, and width",
            eprint="2604.09412",
            archiveprefix="arXiv",
        ),
        work(
            "saxe2014",
            "inproceedings",
            "Saxe, Andrew M. and McClelland, James L. and Ganguli, Surya",
            "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks",
            "International Conference on Learning Representations",
            "gradient flow of the modes of a deep linear network",
            eprint="1312.6120",
            archiveprefix="arXiv",
        ),
        work(
            "kawaguchi2016",
            "inproceedings",
            "Kawaguchi, Kenji",
            "Deep learning without poor local minima",
            "Advances in Neural Information Processing Systems",
            "saddles whose Hessian has no negative eigenvalue",
            eprint="1605.07110",
            archiveprefix="arXiv",
        ),
        work(
            "corlouer2026",
            "misc",
            "Corlouer, Guillaume and Semler, Avi and Strang, Alexander and Gietelink Oldenziel, Alexander",
            "Stochastic Gradient Descent in the Saddle-to-Saddle Regime of Deep Linear Networks",
            "arXiv preprint",
            "diffusion along a mode under SGD, and its stationary law",
            eprint="2604.06366",
            archiveprefix="arXiv",
        ),
        work(
            "risken1989",
            "book",
            "Risken, Hannes",
            "The Fokker-Planck Equation",
            "Springer",
            "stationary laws with zero flux of probability",
        ),
    ]
)
