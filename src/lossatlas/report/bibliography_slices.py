"""The works behind surfaces, planes of trajectories and roughness."""

from __future__ import annotations

from lossatlas.report.bibliography import Citation, work

__all__ = ["SLICE_WORKS"]

SLICE_WORKS: dict[str, Citation] = dict(
    [
        work(
            "li2018",
            "inproceedings",
            "Li, Hao and Xu, Zheng and Taylor, Gavin and Studer, Christoph and Goldstein, Tom",
            "Visualizing the loss landscape of neural nets",
            "Advances in Neural Information Processing Systems",
            "filter normalisation, surfaces, planes of trajectories",
            volume="31",
            eprint="1712.09913",
            archiveprefix="arXiv",
        ),
        work(
            "goodfellow2015",
            "inproceedings",
            "Goodfellow, Ian J. and Vinyals, Oriol and Saxe, Andrew M.",
            "Qualitatively characterizing neural network optimization problems",
            "International Conference on Learning Representations",
            "the line from the initial weights to the solution",
            eprint="1412.6544",
            archiveprefix="arXiv",
        ),
        work(
            "antognini2018",
            "inproceedings",
            "Antognini, Joseph and Sohl-Dickstein, Jascha",
            "PCA of high dimensional random walks with comparison to neural network training",
            "Advances in Neural Information Processing Systems",
            "what a random walk shows in its principal components",
            volume="31",
            eprint="1806.08805",
            archiveprefix="arXiv",
        ),
        work(
            "ding2023",
            "inproceedings",
            "Ding, Ruiqi and Li, Tao and Huang, Xiaolin",
            "Better loss landscape visualization for deep neural networks with trajectory information",
            "Asian Conference on Machine Learning",
            "planes refined to the losses of a run",
        ),
        work(
            "barber1996",
            "article",
            "Barber, C. Bradford and Dobkin, David P. and Huhdanpaa, Hannu",
            "The Quickhull algorithm for convex hulls",
            "ACM Transactions on Mathematical Software",
            "the convex envelope behind roughness",
            volume="22",
            number="4",
            pages="469--483",
            doi="10.1145/235815.235821",
        ),
    ]
)
