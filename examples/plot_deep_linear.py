"""
# From saddle to saddle

A deep linear network learns the strongest part of a linear map first. Then it waits near a saddle of its loss until the
next part has grown. How many directions lead down from each saddle is known in closed form, and where the noise of SGD
is largest: before a part is learned.
"""

import torch

import lossatlas as la
from lossatlas.report import Axis, Figure, Line, Panel, Points, VerticalLine
from lossatlas.theory import linear

task = linear.LinearTask(torch.diag(torch.tensor([4.0, 2.0, 1.0])), depth=2, width=4, rate=0.01, batch=16, noise=0.3)
found = linear.saddle_to_saddle(task, replicas=100, paths=200)
run, flow = found.beside.run, found.flow

# %%
# ## One mode after the other

marks = []
for number, goal in enumerate(task.targets.tolist()):
    means = run.strengths[::30, :, number].mean(1)
    marks.append(Line(flow.time, flow.strengths[:, number], f"s* = {goal:g}, gradient flow", f"series {number}"))
    marks.append(Points(run.time[::30], means, f"s* = {goal:g}, SGD", f"series {number}"))
strengths = Panel("Modes", Axis("Time", ""), Axis("Strength", "", zero=True), tuple(marks))

marks = [Line(flow.time, flow.loss, "gradient flow", "neutral")]
for number, plateau in enumerate(found.plateaus):
    level = float(plateau.classification.value)
    print(f"{len(plateau.learned)} learned: loss {level:.3f}, index {plateau.index}")
    span = [plateau.since, plateau.until]
    marks.append(Line(span, [level, level], f"saddle of index {plateau.index}", f"series {number}", dashed=True))
loss = Panel("Loss", Axis("Time", ""), Axis("Population loss", "", zero=True), tuple(marks))
caption = "Left, lines: gradient flow; points: a hundred networks. Right, dashed: the saddles on the way."
la.plot(Figure("saddles", "From saddle to saddle", caption, (strengths, loss), columns=2))

# %%
# ## Noise is largest before a mode is learned

weakest = found.quiet[-1]
x = torch.linspace(0, 1.2, 121, dtype=torch.float64)
marks = (
    Line(x, weakest.sde.diffusion(x, "s").square(), "equation", "series 0"),
    Points(weakest.profile.s, weakest.profile.squared, "SGD", "series 1"),
    VerticalLine(weakest.peak, "largest, by formula", "neutral"),
)
panel = Panel("", Axis("Strength s / s*", ""), Axis("Squared diffusion", "", zero=True), marks)
la.plot(Figure("diffusion", "Diffusion along a mode", "The weakest mode, without label noise.", (panel,)))

# %%
# ## What it shows

assert [plateau.learned for plateau in found.plateaus] == [(), (0,), (0, 1)]
assert [plateau.index for plateau in found.plateaus] == [12, 6, 2]
assert all(plateau.index == linear.saddle_index(task, plateau.learned) for plateau in found.plateaus)
assert weakest.peak == 0.5
assert abs(weakest.measured_peak - 0.5) < 0.05
for rest in found.rest:
    variance, error = rest.variance("networks")
    print(f"s* = {rest.sde.target:g} at rest: variance {variance:.2e}, expected {rest.stepped:.2e}")
    assert abs(variance - rest.stepped) < 4.5 * error
