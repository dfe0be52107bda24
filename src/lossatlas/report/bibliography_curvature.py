"""The works behind spectra, matrices of second derivatives and critical points."""

from __future__ import annotations

from lossatlas.report.bibliography import Citation, work

__all__ = ["CURVATURE_WORKS"]

CURVATURE_WORKS: dict[str, Citation] = dict(
    [
        work(
            "pearlmutter1994",
            "article",
            "Pearlmutter, Barak A.",
            "Fast exact multiplication by the Hessian",
            "Neural Computation",
            "Hessian-vector products",
            volume="6",
            number="1",
            pages="147--160",
            doi="10.1162/neco.1994.6.1.147",
        ),
        work(
            "ubaru2017",
            "article",
            "Ubaru, Shashanka and Chen, Jie and Saad, Yousef",
            "Fast estimation of tr(f(A)) via stochastic Lanczos quadrature",
            "SIAM Journal on Matrix Analysis and Applications",
            "spectral density",
            volume="38",
            number="4",
            pages="1075--1099",
            doi="10.1137/16M1104974",
        ),
        work(
            "ghorbani2019",
            "inproceedings",
            "Ghorbani, Behrooz and Krishnan, Shankar and Xiao, Ying",
            "An investigation into neural net optimization via Hessian eigenvalue density",
            "International Conference on Machine Learning",
            "spectral density of networks",
            eprint="1901.10159",
        ),
        work(
            "schraudolph2002",
            "article",
            "Schraudolph, Nicol N.",
            "Fast curvature matrix-vector products for second-order gradient descent",
            "Neural Computation",
            "the Gauss-Newton matrix",
            volume="14",
            number="7",
            pages="1723--1738",
            doi="10.1162/08997660260028683",
        ),
        work(
            "kunstner2019",
            "inproceedings",
            "Kunstner, Frederik and Balles, Lukas and Hennig, Philipp",
            "Limitations of the empirical Fisher approximation for natural gradient descent",
            "Advances in Neural Information Processing Systems",
            "the empirical Fisher matrix",
            volume="32",
            eprint="1905.12558",
        ),
        work(
            "wigner1958",
            "article",
            "Wigner, Eugene P.",
            "On the distribution of the roots of certain symmetric matrices",
            "Annals of Mathematics",
            "the semicircle",
            volume="67",
            number="2",
            pages="325--327",
            doi="10.2307/1970008",
        ),
        work(
            "bray2007",
            "article",
            "Bray, Alan J. and Dean, David S.",
            "Statistics of critical points of Gaussian fields on large-dimensional spaces",
            "Physical Review Letters",
            "index against energy of a random field",
            volume="98",
            pages="150201",
            doi="10.1103/PhysRevLett.98.150201",
        ),
        work(
            "dauphin2014",
            "inproceedings",
            "Dauphin, Yann N. and Pascanu, Razvan and Gulcehre, Caglar and Cho, Kyunghyun and Ganguli, Surya and "
            "Bengio, Yoshua",
            "Identifying and attacking the saddle point problem in high-dimensional non-convex optimization",
            "Advances in Neural Information Processing Systems",
            "index against loss of networks",
            volume="27",
            eprint="1406.2572",
        ),
    ]
)
