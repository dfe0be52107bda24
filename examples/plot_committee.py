"""
# The bad minimum that one more unit removes

A network learns from another one of the same size. From random weights it may end in a minimum where one student
follows all teachers a little and the others follow one each. Split a student in two: the function is the same, but the
minimum has become a saddle. So a network with one unit more than its teacher is hardly ever caught.
"""

import torch

import lossatlas as la
from lossatlas.report import Axis, Figure, Line, Panel, Points
from lossatlas.theory import committee

# %%
# ## The plateau before a student chooses its teacher
#
# In many dimensions, one-pass SGD follows equations for the overlaps of students and teachers.

teachers = torch.eye(3, dtype=torch.float64)
dynamics = committee.Dynamics(teachers, 0.2)
q, r = committee.random_student(3, teachers, 1000)
times = torch.linspace(0, 30, 11, dtype=torch.float64)
course = dynamics.solve(q, r, torch.linspace(0, 30, 121, dtype=torch.float64))
run = committee.simulate(dynamics, q, r, times, dim=1000, replicas=4)
mean, error = run.mean()
marks = (Line(course.times, course.loss, "equations", "series 0"), Points(times, mean, "SGD", "series 1"))
panel = Panel("", Axis("Steps per dimension", ""), Axis("Population loss", "", "log"), marks)
la.plot(Figure("plateau", "Three students, three teachers", "Points: four runs in 1000 dimensions.", (panel,)))

# %%
# ## The bad minimum, and what splitting a student does to it

sizes = range(6, 13)
minima = [committee.block_minimum(k) for k in sizes]
whole, split = [], []
for rows in minima:
    table = committee.split_table(rows)
    smallest = table.column("smallest")
    whole.append(smallest[0])
    split.append(min(smallest[1:]))
    assert max(table.column("loss")) - min(table.column("loss")) < 1e-12  # the same function
marks = (
    Points(sizes, whole, "the minimum", "series 0"),
    Points(sizes, split, "one student split in two", "series 1"),
    Line([6, 12], [0.0, 0.0], "flat", "neutral", dashed=True),
)
panel = Panel("", Axis("Students and teachers k", ""), Axis("Smallest eigenvalue of the Hessian", ""), marks)
la.plot(Figure("split", "A minimum becomes a saddle", "Below zero there is a way down.", (panel,)))

# %%
# ## How many random starts are caught

caught = {width: committee.find_minima(committee.Committee(7, width), 200).bad_fraction() for width in (7, 8)}
for width, share in caught.items():
    print(f"7 teachers, {width} students: {share.count} of {share.total} starts end in a bad minimum")

# %%
# ## What it shows

near = torch.searchsorted(course.times, times)
assert bool((((mean - course.loss[near]) / error)[1:].abs() < 6).all())
assert all(value > 0 for value in whole)
assert all(value < -0.05 for value in split)
assert caught[7].low > 0
assert caught[8].high < caught[7].estimate
