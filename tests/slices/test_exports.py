"""Exported files, read back by other libraries or by their own description."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ElementTree

import h5py
import numpy as np
import pytest
import torch
from curved_networks import perceptron

from lossatlas import landscape as landscapes
from lossatlas import slices
from lossatlas.core.errors import InputError
from lossatlas.core.randomness import generator


@pytest.fixture(scope="module")
def found():
    landscape, module, _ = perceptron()
    w = landscape.flatten(module)
    surface = slices.surface(landscape, w, points=(4, 3), metrics=["accuracy"])
    return landscape, surface


@pytest.fixture
def holed():
    walled = landscapes.from_function(
        lambda x: torch.where(x[0] > 0, torch.nan, torch.where(x[1] > 0, torch.inf, x[2])), dim=3
    )
    return slices.surface(
        walled, torch.zeros(3, dtype=torch.float64), "coordinates", points=(3, 4, 2), span=1.0, count=3
    )


def test_npz(found, tmp_path):
    landscape, surface = found
    run = torch.randn(5, landscape.dim, generator=generator("run"), dtype=torch.float64)
    seen = surface.plane.project(run)
    with np.load(slices.save_npz(surface, tmp_path / "a.npz", {"SGD": seen}), allow_pickle=False) as read:
        np.testing.assert_array_equal(read["values"], surface.values)
        np.testing.assert_array_equal(read["accuracy"], surface.metrics["accuracy"])
        np.testing.assert_array_equal(read["trajectory SGD"], seen.coordinates)
        np.testing.assert_array_equal(read["residuals SGD"], seen.residuals)
        point = read["origin"] + read["axis_0"][1] * read["directions"][0] + read["axis_1"][2] * read["directions"][1]
        assert float(landscape.value(torch.from_numpy(point))) == pytest.approx(float(read["values"][1, 2]), rel=1e-13)
        assert read["names"].tolist() == ["filter direction 1", "filter direction 2"]
    first = (tmp_path / "a.npz").read_bytes()
    assert slices.save_npz(surface, tmp_path / "b.npz", {"SGD": seen}).read_bytes() == first


def decoded(array) -> np.ndarray:
    raw = base64.b64decode(array.text)
    size = int(np.frombuffer(raw[:8], "<u8")[0])
    assert size == len(raw) - 8
    return np.frombuffer(raw[8:], {"Float64": "<f8", "UInt8": "u1"}[array.get("type")])


def test_vtk_holds_the_same_bits_the_first_direction_fastest(holed, tmp_path):
    path = slices.save_vtk(holed, tmp_path / "a.vtr")
    root = ElementTree.parse(path).getroot()  # written above
    grid = root.find("RectilinearGrid")
    assert grid.get("WholeExtent") == "0 2 0 3 0 1"
    arrays = {array.get("Name"): decoded(array) for array in grid.iter("DataArray")}
    for letter, axis in zip("xyz", holed.axes, strict=True):
        np.testing.assert_array_equal(arrays[letter], axis)
    loss = arrays["loss"].reshape(2, 4, 3).transpose(2, 1, 0)
    np.testing.assert_array_equal(loss, holed.values)
    np.testing.assert_array_equal(arrays["finite"].reshape(2, 4, 3).transpose(2, 1, 0), holed.finite)
    assert holed.nonfinite > 0


def test_vtk_of_a_plane_has_one_layer(found, tmp_path):
    text = slices.save_vtk(found[1], tmp_path / "a.vtr").read_text()
    assert 'WholeExtent="0 3 0 2 0 0"' in text
    assert 'Name="accuracy"' in text


def test_h5_in_the_layout_of_li_et_al(found, tmp_path):
    """Read as its own scripts read it: Z[i, j] belongs to x[j], y[i]; directions are lists of data sets."""
    landscape, surface = found
    run = torch.randn(5, landscape.dim, generator=generator("run"), dtype=torch.float64)
    seen = surface.plane.project(run)
    paths = slices.save_h5(surface, tmp_path / "a.h5", {"SGD, lr 0.1": seen})
    assert [path.name for path in paths] == ["a.h5", "a_directions.h5", "a_SGD-lr-0.1_proj.h5"]
    with h5py.File(paths[0]) as file:
        assert file["dir_file"][()].decode() == "a_directions.h5"
        x, y, z = file["xcoordinates"][:], file["ycoordinates"][:], file["train_loss"][:]
        assert z.shape == np.meshgrid(x, y)[0].shape
        percent = file["train_acc"][:]
    with h5py.File(paths[1]) as file:
        sides = [[file[name][str(i)][:] for i in range(len(file[name]))] for name in ("xdirection", "ydirection")]
    weights = list(landscape.spec.unflatten(surface.plane.origin).values())
    for i in range(3):
        for j in range(4):
            parts = [w.numpy() + x[j] * a + y[i] * b for w, a, b in zip(weights, *sides, strict=True)]
            row = torch.cat([torch.from_numpy(part).flatten() for part in parts])
            assert float(landscape.value(row)) == pytest.approx(z[i, j], rel=1e-12)
            assert 100 * float(landscape.metrics(row)["accuracy"]) == pytest.approx(percent[i, j])
    with h5py.File(paths[2]) as file:
        np.testing.assert_array_equal(file["proj_xcoord"], seen.coordinates[:, 0])
        np.testing.assert_array_equal(file["proj_ycoord"], seen.coordinates[:, 1])
    first = paths[0].read_bytes()
    slices.save_h5(surface, tmp_path / "a.h5")
    assert paths[0].read_bytes() == first


def test_h5_of_a_line_and_of_a_trajectory_plane(tmp_path):
    bowl = landscapes.get("quadratic", dim=5)
    rows = torch.randn(6, 5, generator=generator("rows"), dtype=torch.float64)
    plane = slices.trajectory_plane(rows).plane
    paths = slices.save_h5(slices.surface_on(bowl, plane, points=3), tmp_path / "a.h5", prefix="test")
    with h5py.File(paths[0]) as file:
        assert "test_loss" in file
    with h5py.File(paths[1]) as file:
        np.testing.assert_allclose(file["explained_variance_ratio_"], plane.details["explained"])
        np.testing.assert_array_equal(file["xdirection/0"], plane.directions[0])
    line = slices.surface(bowl, rows[0], "random", count=1, points=4)
    paths = slices.save_h5(line, tmp_path / "b.h5")
    with h5py.File(paths[0]) as file:
        assert file["train_loss"].shape == (4,)
        assert "ycoordinates" not in file


def test_exports_that_cannot_be(found, holed, tmp_path):
    _, surface = found
    for save, suffix in ((slices.save_npz, ".npz"), (slices.save_vtk, ".vtr"), (slices.save_h5, ".h5")):
        with pytest.raises(InputError, match=rf"ending in \{suffix}, got 'a.txt'"):
            save(surface, tmp_path / "a.txt")
    with pytest.raises(InputError, match="got three"):
        slices.save_h5(holed, tmp_path / "a.h5")
    with pytest.raises(InputError, match="'train' or 'test'"):
        slices.save_h5(surface, tmp_path / "a.h5", prefix="validation")
    assert list(tmp_path.iterdir()) == []
