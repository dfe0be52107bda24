"""
# Batch normalisation lets the gradient change more slowly

VGG-9, an eighth as wide as published, learns 128 small digits by plain SGD with and without batch normalisation. Every
fourth epoch: how much does the gradient change on a step along itself, for each unit of the step? That number bounds
the learning rate (Santurkar et al. 2018).
"""

import dataclasses

import torch
import torch.nn.functional as F

import lossatlas as la
from lossatlas.analysis import Sample, difference
from lossatlas.report import Axis, Figure, Line, Panel

RATE, EPOCHS, EVERY = 0.1, 48, 4
digits = la.data.get("digits", train_size=128, test_size=64)
small = [dataclasses.replace(part, inputs=F.avg_pool2d(part.inputs, 2)) for part in (digits.train, digits.test)]
images = la.data.Splits("digits, 14x14", *small)
steps = RATE * torch.tensor([0.5, 1.0, 2.0, 4.0])

changes, marks = {}, ([], [])
for number, norm in enumerate(("batch", "none")):
    problem = la.problems.get("vgg9", data=images, width=0.125, norm=norm)
    method = la.optimize.get("sgd", lr=RATE)
    changes[norm] = []
    for seed in range(3):
        batches = la.training.MiniBatches(problem.train.samples, 32, seed, [0])
        state = method.init(problem.train, problem.initial_weights(seed, [0]))
        seen = []
        for epoch in range(EPOCHS + 1):
            if epoch % EVERY == 0:
                seen.append(state.x[0])
            for place in range(batches.per_epoch):
                state = method.step(problem.train.on(batches.of(epoch, place)), state)
        weights = torch.stack(seen)
        change = la.curvature.gradient_change(problem.train, weights, steps)
        loss = problem.train.value(weights)
        changes[norm].append(change)
        label = "batch normalisation" if norm == "batch" else "none"
        epochs = range(0, EPOCHS + 1, EVERY)
        marks[0].append(Line(epochs, change, label, f"series {number}", faint=seed > 0))
        marks[1].append(Line(epochs, loss, label, f"series {number}", faint=seed > 0))

panels = (
    Panel("Smoothness", Axis("Epochs", ""), Axis("Change of the gradient per step", "", "log"), tuple(marks[0])),
    Panel("Training", Axis("Epochs", ""), Axis("Training loss", "nats", "log"), tuple(marks[1])),
)
la.plot(Figure("normalisation", "Batch normalisation", "Three runs of each.", panels, columns=2))

# %%
# ## What it shows
#
# With batch normalisation the usual change along a run is several times smaller.

usual, largest = (
    {norm: [float(of(run)) for run in runs] for norm, runs in changes.items()}
    for of in (torch.Tensor.median, torch.Tensor.max)
)
more = difference(Sample.of_runs(usual["none"]).log10(), Sample.of_runs(usual["batch"]).log10()).difference
print(f"usual: {[round(v, 1) for v in usual['batch']]} with, {[round(v, 1) for v in usual['none']]} without")
print(f"log10 of it: {more.mean:.2f} more without, 95 % interval {more.low:.2f} to {more.high:.2f}")
print(f"largest: {[round(v) for v in largest['batch']]} with, {[round(v) for v in largest['none']]} without")

assert more.low > 0
assert min(usual["none"]) > max(usual["batch"])
