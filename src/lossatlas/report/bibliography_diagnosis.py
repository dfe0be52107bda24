"""The works behind diagnoses and sharpness."""

from __future__ import annotations

from lossatlas.report.bibliography import Citation, work

__all__ = ["DIAGNOSIS_WORKS"]

DIAGNOSIS_WORKS: dict[str, Citation] = dict(
    [
        work(
            "pascanu2013",
            "inproceedings",
            "Pascanu, Razvan and Mikolov, Tomas and Bengio, Yoshua",
            "On the difficulty of training recurrent neural networks",
            "International Conference on Machine Learning",
            "exploding gradients and clipping",
            eprint="1211.5063",
        ),
        work(
            "dauphin2014",
            "inproceedings",
            "Dauphin, Yann N. and Pascanu, Razvan and Gulcehre, Caglar and Cho, Kyunghyun and Ganguli, Surya and "
            "Bengio, Yoshua",
            "Identifying and attacking the saddle point problem in high-dimensional non-convex optimization",
            "Advances in Neural Information Processing Systems",
            "saddles",
            eprint="1406.2572",
        ),
        work(
            "glorot2010",
            "inproceedings",
            "Glorot, Xavier and Bengio, Yoshua",
            "Understanding the difficulty of training deep feedforward neural networks",
            "International Conference on Artificial Intelligence and Statistics",
            "vanishing gradients and saturation",
        ),
        work(
            "cohen2021",
            "inproceedings",
            "Cohen, Jeremy and Kaur, Simran and Li, Yuanzhi and Kolter, J. Zico and Talwalkar, Ameet",
            "Gradient descent on neural networks typically occurs at the edge of stability",
            "International Conference on Learning Representations",
            "learning rates against 2/λ_max",
            eprint="2103.00065",
        ),
        work(
            "keskar2017",
            "inproceedings",
            "Keskar, Nitish Shirish and Mudigere, Dheevatsa and Nocedal, Jorge and Smelyanskiy, Mikhail and Tang, Ping "
            "Tak Peter",
            "On large-batch training for deep learning: Generalization gap and sharp minima",
            "International Conference on Learning Representations",
            "the worst loss near a minimum",
            eprint="1609.04836",
        ),
        work(
            "dinh2017",
            "inproceedings",
            "Dinh, Laurent and Pascanu, Razvan and Bengio, Samy and Bengio, Yoshua",
            "Sharp minima can generalize for deep nets",
            "International Conference on Machine Learning",
            "why raw sharpness says nothing of a ReLU network",
            eprint="1703.04933",
        ),
        work(
            "li2018",
            "inproceedings",
            "Li, Hao and Xu, Zheng and Taylor, Gavin and Studer, Christoph and Goldstein, Tom",
            "Visualizing the loss landscape of neural nets",
            "Advances in Neural Information Processing Systems",
            "filter-normalised slices",
            eprint="1712.09913",
        ),
    ]
)
