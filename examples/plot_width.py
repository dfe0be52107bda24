"""
# Wider is lower, flatter, and better connected

The same two-layer perceptron with 6, 12 and 48 units a layer learns 400 digits from eight initialisations. The wider it
is, the lower the loss it ends at, the flatter the surface around that point, and the lower the pass to the next one.
"""

import lossatlas as la
from lossatlas.analysis import Sample, difference
from lossatlas.paths import FourierPathFinder
from lossatlas.report import Axis, Figure, Panel, Points

WIDTHS = (6, 12, 48)
finder = FourierPathFinder(points=25, budget=200, tolerance=0)
measured = {}
for width in WIDTHS:
    problem = la.problems.get("fcp", data="digits", train_size=400, hidden=width)
    settings = {"lr": 0.05, "momentum": 0.9}
    found = la.training.train(problem, "sgd", replicas=8, epochs=100, batch_size=32, record_every=100, options=settings)
    w = found.train.weights
    flatness = la.curvature.slice_flatness(problem.train, w, span=0.5, points=11)
    paths = finder.find_many(problem.train, w[0::2], w[1::2])
    measured[width] = {
        "final loss": found.train.scores["train_loss"].tolist(),
        "rise of the loss half a filter norm away": flatness.mean_rise.tolist(),
        "height of the pass": [path.height for path in paths],
    }

# %%
# ## Each point a minimum, or a pair of them

panels = []
for name in measured[WIDTHS[0]]:
    x = [width for width in WIDTHS for _ in measured[width][name]]
    y = [value for width in WIDTHS for value in measured[width][name]]
    axes = Axis("Units a layer", "", "log"), Axis(name.capitalize(), "nats", "log")
    panels.append(Panel("", *axes, (Points(x, y, "", "series 0"),)))
la.plot(Figure("width", "Width", "Eight runs and four pairs for each width.", tuple(panels), columns=3))

# %%
# ## What it shows
#
# From the narrowest to the widest all three fall, by Welch's interval for the difference of logarithms.

falls = {}
for name in measured[WIDTHS[0]]:
    narrow, wide = (Sample.of_runs(measured[width][name]).log10() for width in (WIDTHS[0], WIDTHS[-1]))
    falls[name] = difference(narrow, wide).difference
    print(
        f"{name}: log10 falls by {falls[name].mean:.2f}, 95 % interval {falls[name].low:.2f} to {falls[name].high:.2f}"
    )

assert all(fall.low > 0 for fall in falls.values())
