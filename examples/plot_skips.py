"""
# Without skip connections the surface is rougher

ResNet-20, a quarter as wide as published, learns 128 small digits with and without its skip connections. Around the
weights where training ends, the loss is drawn along two random directions, each filter as long as that of the weights
(Li et al. 2018). How far a surface is from the highest convex surface below it, in units of its own spread, is its
roughness.
"""

import dataclasses

import torch.nn.functional as F

import lossatlas as la
from lossatlas.analysis import Sample, difference
from lossatlas.landscape import Numerics

digits = la.data.get("digits", train_size=128, test_size=64)
small = [dataclasses.replace(part, inputs=F.avg_pool2d(part.inputs, 2)) for part in (digits.train, digits.test)]
images = la.data.Splits("digits, 14x14", *small)

losses, rough = {}, {}
for name, skips in (("with skips", True), ("without", False)):
    # The plain loop, whatever would be faster here: chaotic runs end elsewhere with every other order of sums.
    problem = la.problems.get("resnet20", data=images, width=0.25, skips=skips).with_numerics(Numerics())
    settings = {"lr": 0.05, "momentum": 0.9}
    found = la.training.train(problem, "sgd", replicas=6, epochs=80, batch_size=32, record_every=80, options=settings)
    losses[name] = found.train.scores["train_loss"].log10().tolist()
    rough[name] = []
    for run, w in enumerate(found.train.weights):
        planes = [la.slices.surface(problem.train, w, "filter", points=9, span=1.5, seed=run + k) for k in (0, 10)]
        rough[name].append(la.slices.roughness(planes).mean)
        if run == 0:
            la.plot(planes[0])

# %%
# ## What it shows
#
# Six runs each, two planes through each end: without skips the surfaces are rougher, and the final losses are higher
# and farther apart.

for name, values in rough.items():
    print(f"{name}: roughness {[round(value, 2) for value in values]}")
    print(f"log10 of the final losses: {[round(value, 1) for value in losses[name]]}")
rougher = difference(Sample.of_runs(rough["without"]), Sample.of_runs(rough["with skips"])).difference
higher = difference(Sample.of_runs(losses["without"]), Sample.of_runs(losses["with skips"])).difference
apart = {name: max(values) - min(values) for name, values in losses.items()}
print(f"roughness: {rougher.mean:.2f} more, 95 % interval {rougher.low:.2f} to {rougher.high:.2f}")
print(f"log10 of the final loss: {higher.mean:.1f} more, 95 % interval {higher.low:.1f} to {higher.high:.1f}")
assert rougher.low > 0
assert higher.low > 0
assert apart["without"] > 3 * apart["with skips"]
