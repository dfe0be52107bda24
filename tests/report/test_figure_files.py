"""Pictures are drawn once: kept while nothing that decides their looks changed, mended where they are damaged."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from lossatlas.report import figure_files
from lossatlas.report.figure import Axis, Figure, Panel
from lossatlas.report.figure_files import write_figures
from lossatlas.report.marks import Heatmap, Line

LINE = Line([0.0, 1.0, 2.0], np.array([1.0, 0.5, 0.25]), "SGD", "sgd")
X, Y = Axis("Time", "epochs"), Axis("Loss", "nat")


def figure(name: str = "losses", line: Line = LINE, y: Axis = Y) -> Figure:
    return Figure(name, "Losses", "The loss halves.", (Panel("FCP", X, y, (line,)),))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the figures that were drawn."""
    names: list[str] = []
    draw = figure_files.render_all

    def render_all(figure: Figure, suffixes: tuple[str, ...]) -> dict[str, bytes]:
        names.append(figure.name)
        return draw(figure, suffixes)

    monkeypatch.setattr(figure_files, "render_all", render_all)
    return names


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}


def test_an_unchanged_figure_is_drawn_once(tmp_path: Path, drawn: list[str]) -> None:
    write_figures(tmp_path, [figure("a"), figure("b")])
    assert drawn == ["a", "b"]
    before = contents(tmp_path)
    assert set(before) == {f"{name}.{suffix}" for name in "ab" for suffix in ("png", "svg", "csv")} | {"drawn.json"}
    # Built anew from equal numbers.
    write_figures(tmp_path, [figure("a", dataclasses.replace(LINE, y=np.array([1.0, 0.5, 0.25]))), figure("b")])
    assert drawn == ["a", "b"]
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "changed",
    [
        figure(line=dataclasses.replace(LINE, y=np.array([1.0, 0.5, np.nextafter(0.25, 1)]))),
        figure(line=dataclasses.replace(LINE, dashed=True)),
        figure(y=Axis("Loss", "nat", "log")),
        dataclasses.replace(figure(), panels=figure().panels * 2),
    ],
    ids=["one-bit", "dashes", "scale", "panels"],
)
def test_a_changed_figure_is_drawn_again(changed: Figure, tmp_path: Path, drawn: list[str]) -> None:
    write_figures(tmp_path, [figure()])
    write_figures(tmp_path, [changed])
    assert drawn == ["losses", "losses"]
    fresh = tmp_path / "fresh"
    write_figures(fresh, [changed])
    assert contents(tmp_path) == contents(fresh)


def test_a_grid_counts(tmp_path: Path, drawn: list[str]) -> None:
    def grid(z: np.ndarray) -> Figure:
        heat = Heatmap(np.arange(3.0), np.arange(2.0), z, "Loss", "nat")
        return Figure("map", "Map", "A slope.", (Panel("Plane", X, X, (heat,)),))

    z = np.arange(6.0).reshape(2, 3)
    write_figures(tmp_path, [grid(z)])
    write_figures(tmp_path, [grid(z.copy())])
    # The same numbers in memory, seen along other strides.
    write_figures(tmp_path, [grid(np.asfortranarray(z))])
    assert drawn == ["map"]
    write_figures(tmp_path, [grid(z[::-1])])
    assert drawn == ["map", "map"]


@pytest.mark.parametrize("damage", ["losses.png", "losses.svg", "drawn.json"])
@pytest.mark.parametrize("how", ["removed", "cut"])
def test_what_is_damaged_is_mended(damage: str, how: str, tmp_path: Path, drawn: list[str]) -> None:
    write_figures(tmp_path, [figure()])
    before = contents(tmp_path)
    path = tmp_path / "figures" / damage
    if how == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:20])
    write_figures(tmp_path, [figure()])
    assert drawn == ["losses", "losses"]
    assert contents(tmp_path) == before


def test_other_code_or_matplotlib_draws_again(
    tmp_path: Path, drawn: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_figures(tmp_path, [figure()])
    monkeypatch.setattr(figure_files.mpl, "__version__", "0.0")
    write_figures(tmp_path, [figure()])
    assert drawn == ["losses", "losses"]


def test_no_figures_no_record(tmp_path: Path) -> None:
    write_figures(tmp_path, [])
    assert not (tmp_path / "figures").exists()
