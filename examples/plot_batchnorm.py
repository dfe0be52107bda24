"""
# Batch normalisation makes gradients change more slowly

Training goes along the gradient, and trusts it for the length of a step. How much the gradient changes along the way,
|g(w − t g) − g(w)| / |t g|, is a Lipschitz constant measured where it matters. Santurkar et al. 2018 found that batch
normalisation makes it smaller. Here: a ResNet-8 without skips on some of the scikit-learn digits, trained by gradient
descent with and without normalisation.
"""

import torch

import lossatlas as la

RUNS, STEPS, RATE = 3, 25, 0.1
FACTORS = torch.tensor([0.5, 1.0, 2.0, 4.0])  # of the learning rate


def measured(norm: str) -> torch.Tensor:
    """Largest relative change of the gradient along itself at each step of each run, ``(RUNS, STEPS)``."""
    problem = la.problems.get("resnet8", train_size=96, test_size=48, width=0.25, norm=norm, skips=False)
    landscape = problem.train.with_batch_statistics()
    w = problem.initial_weights(0, range(RUNS))
    found = []
    for _ in range(STEPS):
        gradient = landscape.value_and_grad(w)[1]
        moves = -RATE * FACTORS[:, None, None] * gradient
        change = landscape.value_and_grad(w + moves)[1] - gradient
        found.append((change.norm(dim=-1) / moves.norm(dim=-1)).max(0).values)
        w = w - RATE * gradient
    return torch.stack(found, 1)


with_norm, without = measured("batch"), measured("none")

# %%
# ## Along the run

steps = torch.arange(STEPS, dtype=torch.float64)
curves = [
    la.report.Line(steps, values.double(), label, role, f"run {i + 1}")
    for label, role, rows in (("batch normalisation", "sgd", with_norm), ("none", "lbfgs-gss", without))
    for i, values in enumerate(rows)
]
panel = la.report.Panel(
    "Change of the gradient along itself",
    la.report.Axis("Step", "count"),
    la.report.Axis("Largest relative change", "1/learning rate", "log"),
    tuple(curves),
)
la.report.Figure(
    "gradient-change",
    "How far the gradient can be trusted",
    "Largest |g(w − t g) − g(w)| / |t g| for t up to four learning rates, at every step of three runs of each network. "
    "The lower, the longer the steps that gradient descent can take.",
    (panel,),
)

# %%

smooth, rough = with_norm.log10().mean(1), without.log10().mean(1)
print(f"mean log10: batch normalisation {smooth.tolist()}, none {rough.tolist()}")
assert float(smooth.max()) < float(rough.min())
