"""
# The lowest pass of an energy

Two minima of the Müller-Brown potential, and the way between them over the lowest pass. The straight line rises far
above it; every other finder reaches it, and minimum-mode following says what the highest point is.
"""

import lossatlas as la

energy = la.landscape.get("muller-brown")
start, end = energy.ends
exact = max(point.value for point in energy.passes)

# %%
# ## Paths on the map

paths = [la.paths.find(energy, start, end, method=name) for name in ("linear", "neb", "string", "bezier")]
la.plot(paths)

# %%
# ## How high they rise

for path in paths:
    print(f"{path.method}: height {path.height:.4f}, {path.status}, {path.evaluations['gradients']} gradients")

assert paths[0].height > exact + 1
for path in paths[1:]:
    assert exact - 1e-9 <= path.height <= exact + 0.001 * abs(exact)
