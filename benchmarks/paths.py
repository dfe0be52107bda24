"""Path finders side by side: barrier against gradients, on landscapes with exact passes and on networks."""

from __future__ import annotations

import dataclasses
import math
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.timing import Comparison, compare
from lossatlas import landscape, paths, problems, training
from lossatlas.core.table import Column, Table
from lossatlas.landscape.contract import Landscape
from lossatlas.report.figure import Axis, Figure, Panel
from lossatlas.report.marks import Line, Mark, Points

__all__ = ["BUDGETS", "batched_against_point_by_point", "compare_finders", "figure", "table"]

BUDGETS = (100, 250, 500, 1000, 2000, 5100)
"""Gradients per pair that the finders are offered."""

# A network's gradient costs a thousand times an energy's.
_MOST_ON_NETWORKS = 500
# The reference figures were measured to 1e-5 of the rise; below that the picture shows rounding.
_FLOOR = 1e-6
_ROLES = {
    "neb": "series 0",
    "string": "series 1",
    "autoneb": "series 2",
    "fourier": "series 3",
    "fourier-published": "series 3",
    "bezier": "series 4",
    "polychain": "series 5",
}
"""Which colour each finder has."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One pair of points to connect.

    Args:
        name: of the landscape and the pair.
        landscape: where.
        start: ``(d,)``.
        end: ``(d,)``.
        exact: the pass, where it is known.
        low: the lower end.
    """

    name: str
    landscape: Landscape
    start: Tensor
    end: Tensor
    exact: float | None
    low: float


def oracle_tasks() -> list[Task]:
    """Every registered landscape whose passes are known exactly, and the rings of the reference."""
    found = []
    made = {name: landscape.get(name) for name in ("paper-toy", "muller-brown", "paper-toy-50d", "muller-brown-50d")}
    made["phi4-ring N=10, γ=2"] = landscape.get("phi4-ring", sites=10, coupling=2.0)
    made["phi4-ring N=10, γ=6"] = landscape.get("phi4-ring", sites=10, coupling=6.0)
    made["phi4-ring N=2, γ=0.1"] = landscape.get("phi4-ring", sites=2, coupling=0.1)
    for name, energy in made.items():
        for known in energy.passes:
            start, end, label = known.start.x, known.end.x, f"{name} {known.start.name}–{known.end.name}"
            low = min(known.start.value, known.end.value)
            found.append(Task(label, energy, start, end, known.value, low))
    return found


def network_tasks() -> list[Task]:
    """Two minima of FCP and of LSTM, trained on the digits from different initial weights."""
    tasks = []
    for name, epochs in (("fcp", 40), ("lstm", 15)):
        problem = problems.get(name, train_size=150)
        ensemble = training.train(problem, optimizer="adam", replicas=2, seed=0, epochs=epochs)
        a, b = ensemble[0].to(problem.train.dtype), ensemble[1].to(problem.train.dtype)
        low = float(ensemble.train.scores["train_loss"].min())
        tasks.append(Task(f"{name}, digits", problem.train, a, b, None, low))
    return tasks


def with_budget(name: str, budget: int, task: Task) -> paths.PathFinder | None:
    """The finder with options that spend about so many gradients; None where it cannot."""
    factory: Any = paths.finders[name]
    plain: Any = factory()
    options: dict[str, Any] = {"saddle": False}
    published = name == "fourier-published"
    if published and task.landscape.samples is None:
        # The constants of the paper's two-dimensional example.
        options |= {"coefficients": 15, "points": 101, "learning_rate": 0.01, "penalty": 10.0}
    points = options.get("points", plain.points)
    if hasattr(plain, "iterations"):
        options["iterations"] = max(1, budget // max(1, points - 2))
    elif published:
        options["steps"] = max(1, budget // points)
    elif hasattr(plain, "budget"):
        options["budget"] = budget
    else:
        return None
    return factory(**options)


def compare_finders(tasks: list[Task]) -> list[dict[str, Any]]:
    """Run every finder with every budget on every task."""
    records = []
    for task in tasks:
        line = paths.LinearPathFinder().find(task.landscape, task.start, task.end)
        records.append(_record(task, "linear", line))
        for name in paths.finders:
            for budget in BUDGETS:
                finder = with_budget(name, budget, task)
                if finder is not None and (task.exact is not None or budget <= _MOST_ON_NETWORKS):
                    records.append(_record(task, name, finder.find(task.landscape, task.start, task.end)))
        sys.stdout.write(f"  {task.name} done\n")
        sys.stdout.flush()
    return records


def _record(task: Task, name: str, path: Any) -> dict[str, Any]:
    measure = path.barrier if task.exact is None else (path.height - task.exact) / (task.exact - task.low)
    return {
        "task": task.name,
        "finder": name,
        "gradients": path.evaluations.get("gradients", 0),
        "measure": measure,
        "exact": task.exact is not None,
        "converged": "yes" if path.converged else "no",
    }


def figure(records: list[dict[str, Any]]) -> Figure:
    """Excess over the exact pass, or the barrier where it is unknown, against gradients spent."""
    panels = []
    for task in dict.fromkeys(record["task"] for record in records):
        own = [record for record in records if record["task"] == task]
        marks: list[Mark] = []
        for name in dict.fromkeys(record["finder"] for record in own if record["finder"] != "linear"):
            points = sorted((r["gradients"], max(r["measure"], _FLOOR)) for r in own if r["finder"] == name)
            points = [(x, y) for x, y in points if x > 0 and math.isfinite(y)]
            if points:
                role, dashed = _ROLES[name], name == "fourier-published"
                x, y = [x for x, _ in points], [y for _, y in points]
                # Whatever the budget, some spend the same: a line of one point would not be seen.
                alone = len(set(points)) == 1
                marks.append(Points(x[:1], y[:1], name, role) if alone else Line(x, y, name, role, dashed=dashed))
        line = next(record["measure"] for record in own if record["finder"] == "linear")
        if line > _FLOOR:
            marks.append(Line([min(BUDGETS), max(BUDGETS)], [line, line], "straight line", "neutral", dashed=True))
        if marks:
            label, unit = ("Excess", "share of the rise") if own[0]["exact"] else ("Barrier", "nat")
            height = Axis(label, unit, "log")
            panels.append(Panel(task, Axis("Gradients spent", "full-batch", "log"), height, tuple(marks)))
    caption = (
        "How high each finder's path is against the gradients it used: excess over the exact pass as a share of "
        "(pass − lower end), or the barrier where no pass is known. Heights are refined between the samples; values "
        f"below {_FLOOR:g} are drawn there."
    )
    return Figure("path-finders", "Path finders: height against cost", caption, tuple(panels), columns=3)


def table(records: list[dict[str, Any]]) -> Table:
    """One row per landscape and finder: what it spent at most, and what it reached."""
    rows = []
    for task, name in dict.fromkeys((record["task"], record["finder"]) for record in records):
        own = [r for r in records if (r["task"], r["finder"]) == (task, name)]
        last = max(own, key=lambda record: record["gradients"])
        good = [r["gradients"] for r in own if r["exact"] and r["measure"] < 1e-3]
        rows.append((task, name, last["gradients"], last["measure"], min(good, default=None), last["converged"]))
    columns = (
        Column("task", "Landscape"),
        Column("finder", "Finder"),
        Column("gradients", "Gradients", "", ",.0f"),
        Column("measure", "Excess or barrier", "", ".2g"),
        Column("enough", "Gradients to 0.1 %", "", ",.0f"),
        Column("converged", "Converged"),
    )
    caption = (
        "Excess of the refined height over the exact pass as a fraction of (pass − lower end); barrier where the pass "
        "is not known, in the unit of the loss. Gradients at the largest budget, and at the smallest budget whose "
        "excess is below 0.1 %."
    )
    return Table("path-finders", "Path finders", caption, columns, tuple(rows))


def batched_against_point_by_point() -> Comparison:
    """The published method on FCP and the digits, all points at once against one after another; 10 steps."""
    problem = problems.get("fcp")
    a, b = problem.initial_weights(0, [0, 1])
    one = problem.train.tune(1)
    many = problem.train.tune(51)
    finder = paths.finders["fourier-published"](steps=10, tolerance=0)
    return compare(lambda: finder.find(many, a, b), lambda: finder.find(PointByPoint(one), a, b), pairs=7)


class PointByPoint:
    """A landscape that evaluates its rows one after another, as a loop over the points of a path does."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def to(self, **wanted: Any) -> PointByPoint:
        return PointByPoint(self._inner.to(**wanted))

    def value_and_grad(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rows = x.reshape(-1, x.shape[-1])
        values, grads = zip(*(self._inner.value_and_grad(row) for row in rows), strict=True)
        return torch.stack(values).reshape(x.shape[:-1]), torch.stack(grads).reshape(x.shape)


def write(folder: Path) -> None:
    """Run everything and write the table and the picture."""
    records = compare_finders([*oracle_tasks(), *network_tasks()])
    rows = table(records)
    for i, row in enumerate(rows.rows):
        cells = [str(row[0]), str(row[1]), *(rows.shown(i, column) for column in range(2, len(rows.columns)))]
        sys.stdout.write("  " + "  ".join(cells) + "\n")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "path-finders.csv").write_text(rows.to_csv(), encoding="utf-8")
    figure(records).save(folder / "path-finders.svg")
    figure(records).save(folder / "path-finders.png")
