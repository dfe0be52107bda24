"""
# A network can be made to look as sharp as you like

Multiply one layer of a ReLU network by a number and divide the next by it: the network computes what it computed, but
its minimum looks a hundred times sharper (Dinh et al. 2017). Sharpness in units of the weights' own sizes stays.
"""

import torch

import lossatlas as la

x = torch.rand(300, 2) * 6 - 3
y = (x[:, 0].sin() > x[:, 1]).long()
net = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
problem = la.problems.Problem("sine", net, torch.nn.functional.cross_entropy, train=(x, y), test=(x, y))
w = la.training.train(problem, "lbfgs-gss", replicas=1, iterations=60)[0].double()
landscape = problem.train.to(dtype=torch.float64)

# %%
# ## The same network, written differently

alphas = torch.logspace(0, 1, 6, dtype=torch.float64)
rows = []
for alpha in alphas:
    parts = landscape.spec.unflatten(w.clone())
    rescaled = {
        "0.weight": parts["0.weight"] * alpha,
        "0.bias": parts["0.bias"] * alpha,
        "2.weight": parts["2.weight"] / alpha,
        "2.bias": parts["2.bias"],
    }
    rows.append(landscape.spec.flatten(rescaled))
rows = torch.stack(rows)
losses = landscape.value(rows)
print(f"losses differ by {float(losses.max() - losses.min()):.1e}")

# %%
# ## What the two measures say

raw = la.curvature.sharpness(landscape, rows, scaling="none").top.values[:, 0]
own = la.curvature.sharpness(landscape, rows, scaling="parameter").top.values[:, 0]
line = la.report.Line
panel = la.report.Panel(
    "Largest eigenvalue of the Hessian",
    la.report.Axis("Factor of the first layer", "", "log"),
    la.report.Axis("Largest eigenvalue, relative to factor 1", "", "log"),
    (
        line(alphas, raw / raw[0], "weights as they are", "lbfgs-gss"),
        line(alphas, own / own[0], "in units of the weights", "sgd"),
    ),
)
la.report.Figure(
    "rescaled-sharpness",
    "One network, written in six ways",
    "The largest eigenvalue of the Hessian grows with the factor by which one layer is multiplied and the next "
    "divided; in units of the weights it stays.",
    (panel,),
)

# %%

assert float(losses.max() - losses.min()) < 1e-12
change, moved = float(raw.max() / raw.min()), float(own.max() / own.min() - 1)
print(f"weights as they are: a factor {change:.0f}; in units of the weights: a change of {moved:.0e}")
assert change > 10
assert moved < 1e-6
