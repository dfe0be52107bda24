"""The paper's figures: what each draws is what the study stored, and nothing is drawn that it has not."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Callable
from pathlib import Path as FilePath

import numpy as np
import pytest
import torch
from paper_results import RADII, comparison, complete, sharpness, stage, toy_map

from lossatlas.core.table import Column, Table
from lossatlas.report import Figure, Histogram, Line, Points, VerticalLine
from lossatlas.report.blocks import Prose, Section
from lossatlas.report.profiles import DRAWN_PAIRS, comparison_panel
from lossatlas.report.sections import barriers, curves, distances, flatness, heights, kernels, maps, passes, workflow
from lossatlas.report.wording import number
from lossatlas.report.write import build_sections
from lossatlas.study.results import StudyResults, WeightAnalysis

NETWORKS = [("fcp", "lbfgs-gss"), ("fcp", "sgd"), ("lenet", "lbfgs-gss"), ("lenet", "sgd")]
"""Six replicas and fifteen pairs of FCP, three and three of LeNet."""


@pytest.fixture
def results(make_results: Callable[..., StudyResults], tmp_path: FilePath) -> StudyResults:
    return complete(make_results(tmp_path, NETWORKS))


def built(build: Callable[[StudyResults], Section | None], results: StudyResults) -> Section:
    section = build(results)
    assert section is not None
    return section


def figures(section: Section) -> dict[str, Figure]:
    return {figure.name: figure for figure in section.figures}


@pytest.mark.parametrize("module", [heights, distances, flatness, kernels, maps, workflow])
def test_nothing_is_drawn_of_what_the_study_has_not(
    module: object, make_results: Callable[..., StudyResults], tmp_path: FilePath
) -> None:
    bare = make_results(tmp_path, NETWORKS)
    assert module.build(bare) is None  # type: ignore[attr-defined]
    assert module.build(dataclasses.replace(bare, experiments=())) is None  # type: ignore[attr-defined]


def test_every_figure_of_the_report_says_what_it_shows(results: StudyResults) -> None:
    drawn = [figure for section in build_sections(results) for figure in section.figures]
    names = [figure.name for figure in drawn]
    assert len(set(names)) == len(names)
    for figure in drawn:
        assert len(figure.caption) > 60
        assert figure.caption.endswith(".")
        assert all(panel.x.label and panel.y.label for panel in figure.panels)
        rows = list(csv.reader(io.StringIO(figure.to_csv())))
        assert len(rows) > len(figure.panels)
    anchors = [section.anchor for section in build_sections(results)]
    assert anchors[:2] == ["summary", "workflow"]
    assert {"heights", "distances", "kernel-pca", "maps"} <= set(anchors)


def test_heights_are_those_of_the_paths(results: StudyResults) -> None:
    section = built(heights.build, results)
    drawn = figures(section)
    assert list(drawn) == ["heights-published", "heights-published-test"]
    figure = drawn["heights-published"]
    assert [panel.title for panel in figure.panels] == [
        "FCP, heights",
        "FCP, barriers",
        "LeNet, heights",
        "LeNet, barriers",
    ]
    histograms = figure.panels[0].marks
    assert all(isinstance(mark, Histogram) for mark in histograms)
    assert [(mark.label, mark.role) for mark in histograms if isinstance(mark, Histogram)] == [
        ("L-BFGS-GSS, training set", "lbfgs-gss"),
        ("L-BFGS-GSS, early-stopped set", "lbfgs-gss"),
        ("SGD, training set", "sgd"),
        ("SGD, early-stopped set", "sgd"),
    ]
    for column, measure in ((0, lambda path: path.height), (1, lambda path: path.barrier)):
        for mark in figure.panels[column].marks:
            assert isinstance(mark, Histogram)
            weight_set = "test" if mark.dashed else "train"
            experiment = next(e for e in results.experiments if (e.network, e.optimizer) == ("fcp", mark.role))
            pairs = [pair for pair in experiment.pairs[weight_set] if pair.stage == "published"]
            assert sorted(mark.values) == sorted(measure(pair.path) for pair in pairs)
            assert mark.counts.sum() == len(pairs) == 15
            np.testing.assert_array_equal(mark.edges, figure.panels[column].marks[0].edges)  # type: ignore[union-attr]
            assert mark.members[0] == "replicas 0 and 1"
    assert "3 to 15 in each" in figure.caption
    assert "training landscape" in figure.caption
    assert "test landscape" in drawn["heights-published-test"].caption


def test_few_paths_are_drawn_one_by_one(results: StudyResults) -> None:
    figure = figures(built(heights.build, results))["heights-published"]
    lenet = figure.panels[2]
    assert all(isinstance(mark, Points) and np.size(mark.x) == 3 for mark in lenet.marks)
    assert lenet.y.categories[:2] == ("L-BFGS-GSS\ntraining", "L-BFGS-GSS\nearly-stopped")
    for row, mark in enumerate(lenet.marks):
        assert np.abs(np.asarray(mark.y) - row).max() < 0.5
    assert [entry.label for entry in figure.legend] == [mark.label for mark in lenet.marks]


def test_heights_over_decades_are_on_a_logarithmic_axis(results: StudyResults) -> None:
    experiments = []
    for experiment in results.experiments[:2]:
        factor = 1e-3 if experiment.optimizer == "sgd" else 1.0
        found = stage({(i, j): 0.02 + factor * (1 + i + j) for i in range(6) for j in range(i)}, "published")
        experiments.append(dataclasses.replace(experiment, pairs={"train": found}))
    changed = dataclasses.replace(results, experiments=tuple(experiments))
    panels = figures(built(heights.build, changed))["heights-published"].panels
    assert [panel.x.scale for panel in panels] == ["log", "log"]
    assert heights.stage_pairs(changed).keys() == {"published"}
    linear = figures(built(heights.build, results))["heights-published"].panels
    assert [panel.x.scale for panel in linear] == ["linear"] * 4


def test_losses_that_are_not_finite_are_left_out_and_said_so(results: StudyResults) -> None:
    first = results.experiments[0]
    searched = [pair for pair in first.pairs["train"] if pair.stage == "published"]
    broken = dataclasses.replace(
        searched[0], path=dataclasses.replace(searched[0].path, loss=torch.full((11,), math.inf, dtype=torch.float64))
    )
    pairs = {**first.pairs, "train": (broken, *searched[1:])}
    changed = dataclasses.replace(
        results, experiments=(dataclasses.replace(first, pairs=pairs), *results.experiments[1:])
    )
    figure = figures(built(heights.build, changed))["heights-published"]
    assert np.size(figure.panels[0].marks[0].values) == 14  # type: ignore[union-attr]
    assert "1 of 72 paths are left out" in figure.caption


def test_stages_come_in_the_order_of_the_configuration(results: StudyResults) -> None:
    first = results.experiments[0]
    made = {name: stage({(0, 1): 1.0}, name, on=on) for name, on in (("b", "test"), ("c", "train"), ("a", "train"))}
    pairs = {"train": tuple(pair for found in made.values() for pair in found)}
    changed = dataclasses.replace(
        results,
        experiments=(dataclasses.replace(first, pairs=pairs),),
        configuration={"paths": {"b": {}, "a": {}, "c": {}}},
    )
    assert list(heights.stage_pairs(changed)) == ["a", "c", "b"]
    assert list(figures(built(heights.build, changed))) == ["heights-a", "heights-c", "heights-b"]


def test_means_are_those_of_the_stored_table(results: StudyResults) -> None:
    columns = tuple(Column(key, key) for key in ("network", "optimizer", "weight_set", "stage", "height_mean"))
    rows = (("fcp", "lbfgs-gss", "train", "published", 6.0), ("fcp", "sgd", "train", "published", 2.0))
    table = Table("passes", "Passes", "Heights.", columns, rows)
    section = built(heights.build, dataclasses.replace(results, tables={"passes": table}))
    said = [block.text for block in section.blocks if isinstance(block, Prose)]
    assert said[1:] == [
        "SGD has the lower mean path height between minima of the training set (published) on FCP (2.0 against 6.0 by "
        "L-BFGS-GSS), by a factor of 3.0."
    ]


def test_distances_and_centroids(results: StudyResults) -> None:
    section = built(distances.build, results)
    drawn = figures(section)
    assert list(drawn) == ["distances-mixed", "distances-test", "distances-train"]
    panel = drawn["distances-mixed"].panels[0]
    pair = results.weights[0].comparisons[2]
    *sets, null, centroid = panel.marks
    for mark, distances_of, role in zip(sets, pair.origin.distances, RADII, strict=True):
        assert isinstance(mark, Histogram)
        np.testing.assert_array_equal(mark.values, distances_of.numpy())
        assert mark.role == role
        assert mark.counts.sum() == 9
    assert isinstance(null, VerticalLine)
    assert isinstance(centroid, VerticalLine)
    assert (null.at, centroid.at) == (pair.origin.null_distance, pair.origin.centroid_distance)
    assert centroid.dotted
    assert not null.dotted
    assert panel.x.zero
    assert {type(mark) for mark in drawn["distances-mixed"].panels[1].marks} == {VerticalLine, Points}
    test = pair.origin.test
    assert f"FCP: ratio {test.ratio:.3g}, p = {number(test.p_value)} and" in drawn["distances-mixed"].caption
    labels = [entry.label for entry in drawn["distances-mixed"].legend]
    assert labels[:2] == ["L-BFGS-GSS, training set", "SGD, early-stopped set"]


def test_kernel_components_are_coloured_by_optimizer(results: StudyResults) -> None:
    drawn = figures(built(kernels.build, results))
    assert list(drawn) == [
        f"kernel-pca-{which}-{kind}" for kind in ("mixed", "test", "train") for which in ("rbf", "others")
    ]
    rbf, others = drawn["kernel-pca-rbf-mixed"], drawn["kernel-pca-others-mixed"]
    assert len(rbf.panels) == 2
    assert len(others.panels) == 4
    pca, separation = results.weights[0].comparisons[2].components[0]
    first, second = rbf.panels[0].marks
    np.testing.assert_array_equal(np.stack([first.x, first.y], 1), pca.coordinates[:9])
    np.testing.assert_array_equal(np.stack([second.x, second.y], 1), pca.coordinates[9:])
    assert isinstance(first, Points)
    assert isinstance(second, Points)
    assert (first.role, second.role) == ("lbfgs-gss", "sgd")
    assert rbf.panels[0].x.text == f"Component 1 ({100 * float(pca.explained[0]):.3g} %)"
    # Two shells about one origin: this is what the paper argues.
    assert separation.score == 1
    assert rbf.panels[0].title.startswith("FCP: separation 1.00, p = ")
    assert [panel.title.split(":")[0] for panel in others.panels] == [
        "FCP, polynomial",
        "FCP, linear",
        "LeNet, polynomial",
        "LeNet, linear",
    ]
    assert "2σ² = 1/γ" in rbf.caption


def test_replicas_are_named_where_their_number_fits(results: StudyResults) -> None:
    six = WeightAnalysis("fcp", {}, {}, (comparison(("train", "train"), (6, 6)),))
    panel = figures(built(kernels.build, dataclasses.replace(results, weights=(six,))))["kernel-pca-rbf-train"].panels[
        0
    ]
    assert [mark.members for mark in panel.marks if isinstance(mark, Points)] == [
        tuple(f"replica {k}" for k in range(6))
    ] * 2
    nine = figures(built(kernels.build, results))["kernel-pca-rbf-train"].panels[0]
    assert all(mark.members == () for mark in nine.marks if isinstance(mark, Points))


def test_three_optimizers_are_named_in_the_titles(results: StudyResults) -> None:
    pair = comparison(("train", "train"), (9, 9))
    other = dataclasses.replace(pair, second="adam")
    changed = dataclasses.replace(results, weights=(WeightAnalysis("fcp", {}, {}, (pair, other)),))
    panels = figures(built(distances.build, changed))["distances-train"].panels
    assert [panel.title for panel in panels] == ["FCP, L-BFGS-GSS and SGD", "FCP, L-BFGS-GSS and Adam"]


def test_maps_draw_paths_heights_and_the_exact_pass(results: StudyResults) -> None:
    section = built(maps.build, results)
    drawn = figures(section)
    assert list(drawn) == ["map-toy", "map-toy-heights"]
    courses = [mark for mark in drawn["map-toy"].panels[0].marks if isinstance(mark, Line)]
    stored = results.maps[0]
    assert [line.label for line in courses] == list(stored.paths)
    for line, path in zip(courses, stored.paths.values(), strict=True):
        assert path.points is not None
        np.testing.assert_array_equal(np.stack([line.x, line.y], 1), path.points.double())
    profiles = [mark for mark in drawn["map-toy"].panels[1].marks if isinstance(mark, Line)]
    assert [line.label for line in profiles] == list(stored.paths)
    exact, *repeats = drawn["map-toy-heights"].panels[0].marks
    assert isinstance(exact, VerticalLine)
    assert exact.at == stored.exact == pytest.approx(0.6244, abs=1e-4)
    for mark, heights_of in zip(repeats, stored.heights.values(), strict=True):
        np.testing.assert_array_equal(mark.x, heights_of)
    middle, low = float(stored.heights["found, λ = 10"][1]), float(stored.heights["found, λ = 10"][0])
    sentence = next(block.text for block in section.blocks[1:] if isinstance(block, Prose))
    assert f"found, λ = 10: {middle:.4f} ({low:.4f} to {low + 0.02:.4f})" in sentence
    assert "The exact pass between the two ends is at 0.6244" in sentence


def test_one_search_has_no_scatter_to_show(results: StudyResults) -> None:
    section = built(maps.build, dataclasses.replace(results, maps=(toy_map(1),)))
    assert list(figures(section)) == ["map-toy"]
    without = dataclasses.replace(toy_map(), exact=None)
    alone = figures(built(maps.build, dataclasses.replace(results, maps=(without,))))
    assert not any(isinstance(mark, VerticalLine) for mark in alone["map-toy-heights"].panels[0].marks)


def test_workflow_is_drawn_from_the_first_network_that_has_all(results: StudyResults) -> None:
    (figure,) = built(workflow.build, results).figures
    assert figure.caption.startswith("FCP, ")
    curves_of, where, path, distribution = figure.panels
    assert len(curves_of.marks) == 12
    assert {mark.label for mark in (*curves_of.marks, *where.marks, *distribution.marks)} == {"L-BFGS-GSS", "SGD"}
    searched = [mark for mark in path.marks if isinstance(mark, Line) and not mark.dashed]
    stored = results.experiments[0].pairs["train"]
    found = next(pair for pair in stored if pair.stage == "published")
    np.testing.assert_array_equal(searched[0].y, found.path.loss)
    assert searched[0].member == "replicas 0 and 1"
    assert sum(isinstance(mark, Line) and mark.dashed for mark in path.marks) == 2
    assert [mark.counts.sum() for mark in distribution.marks if isinstance(mark, Histogram)] == [15, 15]
    only_lenet = dataclasses.replace(results, weights=results.weights[1:])
    assert built(workflow.build, only_lenet).figures[0].caption.startswith("LeNet, ")
    assert workflow.build(dataclasses.replace(results, weights=())) is None


def test_curves_mark_both_chosen_points_of_both_optimizers(results: StudyResults) -> None:
    (figure,) = built(curves.build, results).figures
    assert [panel.title for panel in figure.panels[:2]] == ["FCP, training loss", "FCP, test loss"]
    for panel in figure.panels:
        assert [mark.label for mark in panel.marks if isinstance(mark, Points)] == [
            "L-BFGS-GSS, lowest training loss",
            "L-BFGS-GSS, lowest test loss",
            "SGD, lowest training loss",
            "SGD, lowest test loss",
        ]
    ensemble = results.experiments[1].ensemble
    assert ensemble.test is not None
    chosen = figure.panels[1].marks[-1]
    np.testing.assert_allclose(chosen.x, ensemble.test.steps)
    np.testing.assert_allclose(chosen.y, ensemble.test.scores["test_loss"])


def test_a_dozen_paths_of_a_large_set_are_drawn(results: StudyResults) -> None:
    fcp = results.experiments[:2]
    panel = comparison_panel(fcp, "train", "published", "FCP")
    assert panel is not None
    lines = [mark for mark in panel.marks if isinstance(mark, Line)]
    assert len(lines) == 4 * DRAWN_PAIRS
    assert len({line.member for line in lines}) == DRAWN_PAIRS
    assert [line.dashed for line in lines] == ([True] * DRAWN_PAIRS + [False] * DRAWN_PAIRS) * 2
    for section in (built(passes.build, results), built(barriers.build, results)):
        assert "12 pairs are drawn (the largest has 15)" in section.figures[-1].caption
    few = dataclasses.replace(results, experiments=results.experiments[2:])
    assert "pairs are drawn" not in built(passes.build, few).figures[-1].caption


def test_tables_of_sets_stand_beside_their_figures(results: StudyResults) -> None:
    columns = (Column("network", "Network"), Column("first", "First set"))
    tables = {
        name: Table(name, name, "A table.", columns, (("fcp", "lbfgs-gss test"),))
        for name in ("distances", "separation")
    }
    changed = dataclasses.replace(results, tables=tables)
    assert [table.name for table in built(distances.build, changed).tables] == ["distances"]
    assert [table.name for table in built(kernels.build, changed).tables] == ["separation"]
    assert "further-tables" not in [section.anchor for section in build_sections(changed)]


def test_sharpness_is_that_of_the_minima(results: StudyResults) -> None:
    section = built(flatness.build, results)
    drawn = figures(section)
    assert list(drawn) == ["sharpness-none", "sharpness-parameter"]
    plain, scaled = drawn.values()
    assert [panel.title for panel in plain.panels] == [
        "FCP, largest eigenvalue",
        "FCP, trace",
        "LeNet, largest eigenvalue",
        "LeNet, trace",
    ]
    assert plain.panels[0].y.label == "Minima"  # nine minima: histograms
    points = {mark.role: mark for mark in plain.panels[2].marks if isinstance(mark, Points)}
    assert points["sgd"].x.tolist() == torch.linspace(1, 2, 5, dtype=torch.float64).tolist()
    assert points["lbfgs-gss"].x.tolist() == (3 * points["sgd"].x).tolist()
    assert points["sgd"].members[0] == "minimum 1"
    traces = next(mark for mark in scaled.panels[3].marks if isinstance(mark, Points) and mark.role == "sgd")
    assert traces.x == pytest.approx(0.8 * points["sgd"].x)
    assert "4 of 28 did not meet" in plain.caption
    assert "rescaling the layers" in scaled.caption
    assert "rescaling the layers" not in plain.caption


def test_two_stages_of_one_network_are_told_apart(results: StudyResults) -> None:
    more = (*results.curvatures, sharpness("fcp", "sgd", 3, "closer"))
    section = built(flatness.build, dataclasses.replace(results, curvatures=more))
    titles = [panel.title for panel in section.figures[0].panels]
    assert titles[0] == "FCP (flatness), largest eigenvalue"
    assert titles[-1] == "FCP (closer), trace"


def test_a_minimum_whose_curvature_is_not_finite_is_left_out(results: StudyResults) -> None:
    one = sharpness("fcp", "sgd", 3)
    broken = dataclasses.replace(one.sharpness["none"], top=torch.tensor([1.0, math.nan, 2.0]))
    sets = (dataclasses.replace(one, sharpness={"none": broken}),)
    (figure,) = built(flatness.build, dataclasses.replace(results, curvatures=sets)).figures
    (mark,) = figure.panels[0].marks
    assert mark.members == ("minimum 1", "minimum 3")  # type: ignore[union-attr]
