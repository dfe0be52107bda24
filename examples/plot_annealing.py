"""
# How fast may one cool?

Walkers on a circle with one global minimum and one trap. A theorem says how slowly the temperature must fall for all of
them to find the global minimum: as `1 / (c log t)` with `c` below the inverse of the critical depth. The
Fokker-Planck equation says how many have found it at any time.
"""

import lossatlas as la
from lossatlas.report import Axis, Figure, Line, Panel, Points
from lossatlas.theory import annealing

circle = annealing.CircleToy()
depth = annealing.circle_depth(circle)
print(depth.verdict(0.5).message)
print(depth.verdict(2.0).message)

# %%
# ## Slow, too fast, and at once

schedules = {
    "slow: c = 0.5": annealing.Logarithmic(0.5),
    "too fast: c = 2": annealing.Logarithmic(2.0),
    "quench": annealing.Quench(60.0),
}
times = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0]
curves = annealing.compare_schedules(circle, schedules, times, step=0.05, walkers=1000)

marks = []
for number, (name, curve) in enumerate(curves.items()):
    failed = [1 - share.estimate for share in curve.proportions]
    marks.append(Line(times, [1 - p for p in curve.exact], f"{name}, exact", f"series {number}"))
    marks.append(Points(times, failed, f"{name}, walkers", f"series {number}"))
panel = Panel("", Axis("Time", "", "log"), Axis("Share in the trap", "", zero=True), tuple(marks))
figure = Figure("annealing", "Annealing", "Lines: exact. Points: a thousand walkers.", (panel,))
la.plot(figure)

# %%
# ## What it shows

slow, fast, quench = (curve.proportions[-1] for curve in curves.values())
print(f"in the global basin: {slow.estimate:.3f}, {fast.estimate:.3f}, {quench.estimate:.3f}")

assert depth.verdict(0.5).converges
assert not depth.verdict(2.0).converges
assert slow.low > fast.high
assert slow.low > quench.high
assert all(abs(z) < 4.5 for curve in curves.values() for z in curve.z)
