"""Claims: verdicts against intervals, simulated truth, and what is lacking; never a silent gap."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from lossatlas.analysis import (
    ClaimInputs,
    Estimate,
    Sample,
    claims_table,
    common_origin,
    evaluate_claims,
    mean_of_runs,
    separation,
)
from lossatlas.analysis.claims import (
    Claim,
    Measured,
    Question,
    Score,
    Scored,
    claims,
    ensemble_samples,
    holm,
    judge,
    origin_numbers,
    path_samples,
    separation_score,
)
from lossatlas.analysis.claims.inputs import WAYS
from lossatlas.analysis.uncertainty import mean_of_lowest
from lossatlas.core.ensemble import Curves, Ensemble, Replica, WeightSet
from lossatlas.core.errors import InputError
from lossatlas.core.files import bit_equal, load_tree, save_tree
from lossatlas.core.params import ParamSpec
from lossatlas.core.path import Path

PAIRS = list(combinations(range(12), 2))


def runs(mean: float, spread: float, n: int = 12, seed: int = 0) -> Sample:
    return Sample.of_runs(mean + spread * np.random.default_rng(seed).normal(size=n))


def pairs(mean: float, spread: float, seed: int = 0) -> Sample:
    own = spread * np.random.default_rng(seed).normal(size=12)
    return Sample.of_pairs([mean + own[i] + own[j] for i, j in PAIRS], PAIRS)


def verdict(found: tuple[Claim, ...], name: str, *where: str) -> str:
    (claim,) = [c for c in found if c.name == name and all(part in c.where for part in where)]
    return claim.verdict


@pytest.mark.parametrize(
    ("values", "claimed", "expected"),
    [
        ([1.0, 1.1, 0.9, 1.0], (0.0, math.inf), "holds"),
        ([1.0, 1.1, 0.9, 1.0], (-math.inf, 0.0), "does not hold"),
        ([1.0, -1.0, 0.5, -0.5], (0.0, math.inf), "undecided at this size"),
        ([0.01, -0.01, 0.02, -0.02], (-0.1, 0.1), "holds"),  # equivalence
        ([1.0, 1.1, 0.9, 1.0], (-0.1, 0.1), "does not hold"),
        ([0.5, -0.5, 0.1, -0.1], (-0.1, 0.1), "undecided at this size"),  # not significant is not equivalent
        ([1.0], (0.0, math.inf), "undecided at this size"),
    ],
)
def test_verdicts(values: list[float], claimed: tuple[float, float], expected: str) -> None:
    assert judge(mean_of_runs(values), claimed)[0] == expected


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.floats(-3, 3), min_size=4, max_size=8), st.floats(-2, 2))
def test_a_verdict_is_where_the_interval_lies(values: list[float], threshold: float) -> None:
    effect = mean_of_runs(values)
    found, p_value = judge(effect, (threshold, math.inf))
    inside, outside = effect.p_value_above(threshold), effect.p_value_below(threshold)
    assert p_value == pytest.approx({"holds": inside, "does not hold": outside}.get(found, min(inside, outside)))
    if effect.error > 1e-9 and min(abs(effect.low - threshold), abs(effect.high - threshold)) > 1e-9:
        assert (found == "holds") == (effect.low > threshold)
        assert (found == "does not hold") == (effect.high < threshold)
    opposite = {"holds": "does not hold", "does not hold": "holds"}
    if effect.mean != threshold:
        assert judge(effect, (-math.inf, threshold))[0] == opposite.get(found, found)


def test_equivalence_is_two_one_sided_tests() -> None:
    values = [0.02, -0.03, 0.05, 0.01, -0.02]
    effect = replace(mean_of_runs(values), widening=1.0)  # as in the textbook
    _, p_value = judge(effect, (-0.1, 0.1))
    lower = stats.ttest_1samp(values, -0.1, alternative="greater").pvalue
    upper = stats.ttest_1samp(values, 0.1, alternative="less").pvalue
    assert p_value == pytest.approx(max(lower, upper))
    at_90 = effect.at(0.9)
    edge = max(-at_90.low, at_90.high)
    assert judge(effect, (-edge * 1.001, edge * 1.001))[0] == "holds"
    assert judge(effect, (-edge * 0.999, edge * 0.999))[0] == "undecided at this size"


def test_few_verdicts_are_wrong_where_the_truth_is_at_the_threshold() -> None:
    """Each of the two verdicts at most 2.5 % of the time, give or take the simulation."""
    rng = np.random.default_rng(0)
    found = [judge(mean_of_runs(rng.normal(size=10).tolist()), (0.0, math.inf))[0] for _ in range(2000)]
    assert 0 < found.count("holds") < 0.04 * 2000
    assert 0 < found.count("does not hold") < 0.04 * 2000


def test_holm_is_what_step_down_by_hand_gives() -> None:
    assert holm([0.01, 0.02, 0.03]) == pytest.approx([0.03, 0.04, 0.04])
    assert holm([0.6, 0.01, 0.7]) == pytest.approx([1.0, 0.03, 1.0])
    assert holm([]) == []


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.randoms())
def test_holm_keeps_order_and_bounds(p_values: list[float], random) -> None:
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    order = list(range(len(p_values)))
    random.shuffle(order)
    assert holm([p_values[k] for k in order]) == pytest.approx([adjusted[k] for k in order])
    smallest = p_values.index(min(p_values))
    assert adjusted[smallest] == pytest.approx(min(1.0, len(p_values) * p_values[smallest]))


def test_nothing_measured_is_said_of_every_claim() -> None:
    found = evaluate_claims([ClaimInputs("fcp"), ClaimInputs("lstm")])
    assert {claim.name for claim in found} == set(claims)
    assert {claim.verdict for claim in found} == {"not measured"}
    assert all("needs" in claim.note for claim in found)
    assert {claim.network for claim in found} == {"fcp", "lstm"}
    assert len({(claim.name, claim.network, claim.where) for claim in found}) == len(found)


def test_every_comparison_of_paths_is_made_in_every_way_and_in_two_measures() -> None:
    shortened = {Measured("height", "sgd", "train", "train", "shortened"): pairs(1.0, 0.1)}
    without, found = (
        [claim.where for claim in evaluate_claims([each]) if claim.name == "sgd-paths-lower"]
        for each in (ClaimInputs("fcp"), ClaimInputs("fcp", shortened))
    )
    assert (len(without), len(found)) == (3 * 3 * 2, 3 * 4 * 2)
    assert not any("shortened" in where for where in without)
    for part in (*WAYS, "as height", "as barrier", "train landscape", "test landscape"):
        assert any(part in where for where in found)


def full_inputs(network: str) -> ClaimInputs:
    """A network on which everything is as the paper says of FCP."""
    samples: dict[Measured, Sample] = {
        Measured("train loss", "lbfgs-gss", "train"): runs(1.3e-8, 1e-9),
        Measured("train loss", "sgd", "train"): runs(6.2e-4, 1e-5),
        Measured("test loss", "lbfgs-gss", "test"): runs(9.7e-2, 2e-3),
        Measured("test loss", "sgd", "test"): runs(8.3e-2, 2e-3, seed=1),
        Measured("last test loss", "lbfgs-gss"): runs(0.6, 0.05),
        Measured("lowest test loss", "lbfgs-gss"): runs(0.1, 0.003),
        Measured("lowest test loss", "sgd"): runs(0.08, 0.003),
        Measured("test loss at the lowest validation loss", "sgd"): runs(0.081, 0.003),
        Measured("height", "", "", "train", "lambda=10"): pairs(0.64, 0.02),
        Measured("height", "", "", "train", "lambda=1000"): pairs(0.65, 0.02),
    }
    for optimizer, high in (("lbfgs-gss", 2.0), ("sgd", 1.0)):
        for weight_set in ("train", "test"):
            spread = 0.2 if weight_set == "train" else 0.12
            samples[Measured("component spread", optimizer, weight_set)] = runs(spread * high, 0.005)
            samples[Measured("norm", optimizer, weight_set)] = runs(spread * high * 200, 0.5)
            for quantity in ("top eigenvalue", "trace"):
                samples[Measured(quantity, optimizer, weight_set)] = runs(high * 10, 1.0, seed=3)
            for way in ("published", "converged", "aligned"):
                lower = {"published": 1.0, "converged": 0.5, "aligned": 0.25}[way]
                for measure in ("height", "barrier"):
                    top = high * lower + (0.4 if weight_set == "train" else 0.0)
                    key = Measured(measure, optimizer, weight_set, "train", way)
                    samples[key] = pairs(top, 0.02, seed=len(samples))
            samples[Measured("midpoint excess", optimizer, weight_set, "train", "as they are")] = pairs(high, 0.1, 5)
    samples[Measured("length", "lbfgs-gss", "train", way="Fig. 5")] = runs(48.0, 1.0)
    samples[Measured("length", "sgd", "test", way="Fig. 5")] = runs(21.0, 1.0)
    bfgs, sgd = ("lbfgs-gss", "train"), ("sgd", "test")
    scores = {
        Scored("centroid offset", bfgs, sgd): Score(0.02, -0.03, 0.07, 0.4, 24),
        Scored("centroid offset", ("lbfgs-gss", "test"), sgd): Score(0.7, 0.6, 0.8, 0.001, 24),
        Scored("separation, rbf kernel", bfgs, sgd): Score(1.0, 0.9, 1.0, 1e-9, 24),
        Scored("separation, linear kernel", bfgs, sgd): Score(0.1, 0.0, 0.4, 0.5, 24),
        Scored("separation, poly kernel", bfgs, sgd): Score(0.7, 0.5, 0.9),
        Scored("separation, rbf kernel", ("lbfgs-gss", "test"), sgd): Score(0.2),
    }
    return ClaimInputs(network, samples, scores)


def test_simulated_truth_is_found() -> None:
    found = evaluate_claims([full_inputs("fcp")])
    assert verdict(found, "training-loss-lower") == "holds"
    assert verdict(found, "test-loss-comparable") == "holds"
    assert verdict(found, "test-loss-rises") == "holds"
    assert verdict(found, "early-stopping-optimism", "sgd") == "holds"
    assert verdict(found, "early-stopping-optimism", "lbfgs") == "not measured"
    assert verdict(found, "sgd-paths-lower", "train sets", "converged", "height") == "holds"
    assert verdict(found, "sgd-paths-lower", "test landscape", "converged", "height") == "not measured"
    assert verdict(found, "train-paths-above-test", "published", "barrier") == "holds"
    assert verdict(found, "height-insensitive-to-penalty") == "holds"
    assert verdict(found, "published-paths-not-converged", "sgd train set", "train landscape") == "holds"
    assert verdict(found, "aligning-lowers-barriers", "sgd train set", "train landscape") == "holds"
    assert verdict(found, "bfgs-vectors-longer", "L-BFGS-GSS train set against") == "holds"
    assert verdict(found, "bfgs-vectors-longer", "L-BFGS-GSS test set against") == "not measured"
    assert verdict(found, "bfgs-components-more-spread", "test sets") == "holds"
    assert verdict(found, "no-preferred-direction", "train set") == "holds"
    assert verdict(found, "no-preferred-direction", "GSS test set") == "does not hold"
    assert verdict(found, "length-gap-remains") == "does not hold"
    assert verdict(found, "rbf-separates", "train") == "holds"
    assert verdict(found, "other-kernels-do-not", "linear") == "holds"
    assert verdict(found, "other-kernels-do-not", "poly") == "undecided at this size"
    assert verdict(found, "other-kernels-do-not", "sigmoid") == "not measured"
    assert verdict(found, "rbf-separates-early-stopped") == "undecided at this size"
    assert verdict(found, "averaging-sgd-better", "train landscape", "train sets", "as they are") == "holds"


def test_exchanged_optimizers_turn_the_verdicts() -> None:
    found = evaluate_claims([replace(full_inputs("fcp"), quasi_newton="sgd", stochastic="lbfgs-gss")])
    assert verdict(found, "training-loss-lower") == "does not hold"
    assert verdict(found, "test-loss-comparable") == "holds"
    assert verdict(found, "sgd-paths-lower", "train sets", "converged", "height") == "does not hold"
    assert verdict(found, "averaging-sgd-better", "train landscape", "train sets", "as they are") == "does not hold"


def test_paper_and_agreement() -> None:
    found = evaluate_claims([full_inputs("fcp"), full_inputs("autoencoder"), full_inputs("mine")])

    def one(network: str, way: str = "published", measure: str = "height") -> Claim:
        where = f"train landscape, train sets, {way}, as {measure}"
        (claim,) = [c for c in found if (c.name, c.network, c.where) == ("sgd-paths-lower", network, where)]
        return claim

    assert (one("fcp").paper, one("fcp").agrees) == ("holds", True)
    assert (one("autoencoder").paper, one("autoencoder").agrees) == ("does not hold", False)
    assert (one("mine").paper, one("mine").agrees) == (None, None)
    # The paper has heights of its own paths, and no others.
    for elsewhere in (one("fcp", "converged"), one("fcp", measure="barrier")):
        assert (elsewhere.paper, elsewhere.agrees) == (None, None)
    p_values = [c.p_value for c in found if c.p_value is not None]
    adjusted = [c.adjusted_p_value for c in found if c.p_value is not None]
    assert adjusted == pytest.approx(holm(p_values))
    assert all(c.adjusted_p_value is None for c in found if c.p_value is None)


def test_ratios_are_shown_as_ratios() -> None:
    (claim,) = [c for c in evaluate_claims([full_inputs("fcp")]) if c.name == "training-loss-lower"]
    assert claim.effect is not None
    assert claim.effect.mean == pytest.approx(1.3e-8 / 6.2e-4, rel=0.1)
    assert claim.effect.low < claim.effect.mean < claim.effect.high < 0.5
    assert claim.evidence == ("train loss, lbfgs-gss train set", "train loss, sgd train set")


def question(scale: str = "difference") -> Question:
    return Question("mine", "First is lower", (-math.inf, 1.0 if scale == "ratio" else 0.0), scale)  # type: ignore[arg-type]


def ask(first: Sample, second: Sample, scale: str = "difference", *, paired: bool = False) -> Claim:
    return question(scale).ask_samples(ClaimInputs("net"), first, second, ("a", "b"), "here", paired=paired)


def test_what_is_wrong_with_numbers_is_said() -> None:
    good, bad = Sample.of_runs([1.0, 1.2, 1.1, 0.9]), Sample.of_runs([5.0, float("nan"), 5.2, math.inf, 5.1])
    assert ask(good, bad).verdict == "holds"
    assert "left out: 2 of 9" in ask(good, bad).note
    assert ask(good, Sample.of_runs([math.inf])).verdict == "not measured"
    assert "not positive" in ask(good, Sample.of_runs([0.0, 1.0]), "ratio").note
    assert "too few" in ask(Sample.of_runs([1.0]), good).note
    assert ask(Sample.of_runs([1.0]), good).verdict == "undecided at this size"
    same = Sample.of_runs([1.0, 1.0])
    assert "do not vary" in ask(same, Sample.of_runs([2.0, 2.0])).note
    shifted = Sample.of_runs([2.0, 2.1, 2.3, 2.2], runs=[1, 2, 3, 4])
    assert "left out: 2 numbers" in ask(good, shifted, paired=True).note
    assert ask(good, Sample.of_runs([2.0], runs=[9]), paired=True).verdict == "not measured"


def test_pairs_drawn_anew_are_compared_by_their_minima() -> None:
    """All of few common pairs are kept; of many, those on one side only are left out and counted."""
    one = pairs(1.0, 0.1)
    few = Sample.of_pairs([2.0] * 20, PAIRS[-20:])
    assert "left out" not in ask(one.at(one.members[:25]), few, paired=True).note
    assert "left out: 6 numbers" in ask(one, one.at(one.members[6:]).map(lambda h: h + 1), paired=True).note


def test_the_one_pair_of_a_toy_landscape_leaves_nothing_to_chance() -> None:
    samples = {
        Measured("height", "", "", "train", f"lambda={penalty}"): Sample.of_pairs([height], [(0, 1)], complete=True)
        for penalty, height in ((10, 0.646), (1000, 0.652))
    }
    only = ("height-insensitive-to-penalty",)
    (claim,) = evaluate_claims([ClaimInputs("paper-toy", samples, only=only)])
    assert (claim.verdict, claim.agrees, claim.note) == ("holds", True, "")


def test_claims_are_stored_and_read_back(tmp_path) -> None:
    for claim in evaluate_claims([full_inputs("fcp")]):
        save_tree(tmp_path / "claim.json", claim.to_tree())
        again = Claim.from_tree(load_tree(tmp_path / "claim.json"))
        assert bit_equal(again.to_tree(), claim.to_tree())
        assert type(again) is Claim
        assert again.effect is None or isinstance(again.effect, Estimate)


def test_table_has_a_row_for_every_claim() -> None:
    found = evaluate_claims([full_inputs("fcp")])
    table = claims_table(found)
    assert len(table.rows) == len(found)
    assert table.column("verdict") == [claim.verdict for claim in found]
    assert f"{sum(c.p_value is not None for c in found)} tests with a p" in table.caption
    text = table.to_csv()
    assert "nan" not in text
    assert "inf" not in text.replace("insensitive", "")
    assert claims_table(()).rows == ()


def test_samples_of_an_ensemble() -> None:
    nan = float("nan")
    spec = ParamSpec.of(nn.Linear(2, 1))
    weights = WeightSet(torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, 2.0]]), torch.zeros(2), {"test_loss": torch.ones(2)})
    replicas = tuple(Replica(i, "completed", "done", i != 1, 5, 6.0, 7.0) for i in range(3))
    curves = {
        "test_loss": torch.tensor([[3.0, 1.0, 2.0], [9.0, 9.0, 9.0], [4.0, 2.0, nan]]),
        "validation_loss": torch.tensor([[3.0, 2.0, 1.0], [9.0, 9.0, 9.0], [4.0, 5.0, nan]]),
    }
    ensemble = Ensemble("net", "sgd", spec, weights, replicas=replicas, curves=Curves(torch.arange(3), "epoch", curves))
    found = {str(name): sample.values for name, sample in ensemble_samples(ensemble).items()}
    assert found["norm, sgd train set"] == (5.0, 2.0)
    assert found["component spread, sgd train set"] == pytest.approx((np.std([3, 4, 0]), np.std([0, 0, 2])))
    assert found["test loss, sgd train set"] == (1.0, 1.0)
    assert found["last test loss, sgd"] == (2.0, 2.0)
    assert found["lowest test loss, sgd"] == (1.0, 2.0)
    # The first run's validation loss was lowest at its end: nothing stopped it.
    assert found["test loss at the lowest validation loss, sgd"] == (4.0,)
    assert found["distance, sgd train set"] == pytest.approx((np.sqrt(9 + 16 + 4),))


def test_training_losses_know_of_how_many_runs_they_are_the_lowest() -> None:
    spec = ParamSpec.of(nn.Linear(2, 1))
    losses = {"train_loss": torch.tensor([1.0, 2.0, 3.0]), "test_loss": torch.tensor([1.0, 2.0, 3.0])}
    weights = WeightSet(torch.eye(3), torch.zeros(3), losses)
    replicas = tuple(Replica(i, "completed", "done", i < 3, 5, 6.0, 7.0) for i in range(5))
    found = ensemble_samples(Ensemble("net", "sgd", spec, weights, weights, replicas=replicas))
    chosen = found[Measured("train loss", "sgd", "train")].estimate()
    assert chosen.error == pytest.approx(mean_of_lowest([1.0, 2.0, 3.0], 5).error)
    for other in (("test loss", "train"), ("train loss", "test"), ("norm", "train")):
        assert found[Measured(other[0], "sgd", other[1])].lowest_of is None


@pytest.mark.parametrize("draw", ["normal", "uniform", "exponential"])
@pytest.mark.parametrize(("kept", "drawn"), [(4, 6), (8, 12), (48, 75)])
def test_intervals_of_the_lowest_runs_cover(draw: str, kept: int, drawn: int) -> None:
    rng = np.random.default_rng(kept)
    lowest = np.sort(getattr(rng, draw)(size=(4000, drawn)), axis=1)[:, :kept]
    truth = lowest.mean()
    found = [mean_of_lowest(row.tolist(), drawn) for row in lowest[:2000]]
    covered = np.mean([each.low <= truth <= each.high for each in found])
    assert 0.93 <= covered <= 0.99
    plain = [mean_of_runs(row.tolist()) for row in lowest[:2000]]
    if kept == 48:
        assert np.mean([each.low <= truth <= each.high for each in plain]) < 0.91


def test_mean_of_all_runs_is_not_of_the_lowest() -> None:
    values = [0.3, 0.1, 0.2, 0.7]
    assert mean_of_lowest(values, 4) == mean_of_runs(values)
    with pytest.raises(InputError, match="at least 4 runs, got 3"):
        mean_of_lowest(values, 3)


def test_equal_numbers_are_no_question_of_size() -> None:
    zero = pairs(0.0, 0.0)
    claim = ask(zero, zero)
    assert (claim.verdict, claim.p_value) == ("no difference", None)
    assert "equal on both sides" in claim.note
    assert ask(zero, zero.map(lambda value: value + 1)).verdict == "holds"


def test_heights_without_barriers_are_losses_of_ends() -> None:
    inputs = full_inputs("fcp")
    samples = dict(inputs.samples)
    for name, sample in inputs.samples.items():
        if name.quantity == "barrier":
            samples[name] = sample.map(lambda _: 0.0)
    found = evaluate_claims([replace(inputs, samples=samples)])
    asked = [c for c in found if c.name == "sgd-paths-lower" and c.effect is not None]
    assert {c.verdict for c in asked if "as barrier" in c.where} == {"no difference"}
    assert all("losses of the higher ends" in c.note for c in asked if "as height" in c.where)


def test_what_did_not_converge_cannot_deny() -> None:
    inputs = full_inputs("fcp")
    converged = Measured("height", "sgd", "train", "train", "converged")
    samples = dict(inputs.samples) | {
        converged: inputs.samples[Measured("height", "sgd", "train", "train", "published")]
    }
    name, where = "published-paths-not-converged", "sgd train set, train landscape"
    assert verdict(evaluate_claims([replace(inputs, samples=samples)]), name, where) == "does not hold"
    noted = replace(inputs, samples=samples, notes={converged: "3 of 4 searches did not converge"})
    (claim,) = [c for c in evaluate_claims([noted]) if c.name == name and where in c.where]
    assert claim.verdict == "undecided at this size"
    assert "3 of 4" in claim.note


@pytest.mark.parametrize(("stopped", "expected"), [(1.9, "holds"), (1.1, "does not hold")])
def test_what_remains_of_a_gap(stopped: float, expected: str) -> None:
    def asked(b_train: float, s_test: float) -> Claim:
        norms = {("lbfgs-gss", "train"): b_train, ("lbfgs-gss", "test"): stopped, ("sgd", "test"): s_test}
        samples = {Measured("norm", *of): runs(length, 0.01, seed=k) for k, (of, length) in enumerate(norms.items())}
        (claim,) = [c for c in evaluate_claims([ClaimInputs("fcp", samples)]) if c.name == "length-gap-remains"]
        return claim

    assert asked(2.0, 1.0).verdict == expected
    assert asked(1.0, 2.0).verdict == "not measured"
    assert "needs a gap" in asked(1.0, 2.0).note


def test_unequal_losses_are_told_where_curvatures_are_compared() -> None:
    inputs = full_inputs("fcp")
    samples = dict(inputs.samples) | {Measured("train loss", "sgd", "test"): runs(0.1, 0.001)}
    where = "top eigenvalue, SGD test set against L-BFGS-GSS train set"
    (claim,) = [c for c in evaluate_claims([replace(inputs, samples=samples)]) if c.where == where]
    assert claim.paper is None
    assert "curvature falls with the loss" in claim.note
    samples |= {Measured("train loss", "lbfgs-gss", "train"): runs(0.05, 0.001)}
    (claim,) = [c for c in evaluate_claims([replace(inputs, samples=samples)]) if c.where == where]
    assert (claim.paper, claim.note) == ("holds", "")


def test_few_minima_prove_nothing_of_kernels() -> None:
    """With eight and eight, even complete separation has an interval from 0.51."""
    apart = separation(torch.arange(16.0).double(), ["lbfgs-gss"] * 8 + ["sgd"] * 8)
    mixed = separation(torch.arange(16.0).double(), ["lbfgs-gss", "sgd"] * 8)
    bfgs, sgd = ("lbfgs-gss", "train"), ("sgd", "test")
    scored = Scored("separation, rbf kernel", bfgs, sgd)
    for each in (apart, mixed):
        (claim,) = [
            c
            for c in evaluate_claims([ClaimInputs("fcp", {}, {scored: separation_score(each)})])
            if c.name == "rbf-separates"
        ]
        assert claim.verdict == "undecided at this size"
        assert "interval from 0.51" in claim.note
    many = separation(torch.arange(96.0).double(), ["lbfgs-gss"] * 48 + ["sgd"] * 48)
    for seen, expected in ((9.0, "holds"), (1.0, "undecided at this size")):
        scores = {scored: separation_score(many, seen=seen)}
        assert verdict(evaluate_claims([ClaimInputs("fcp", {}, scores)]), "rbf-separates", "train") == expected


def test_claims_of_two_shells_from_their_weights() -> None:
    """Vectors of two lengths in random directions: longer, without direction, first component as it was scored."""
    draws = torch.randn(2, 10, 400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    bfgs, sgd = ("lbfgs-gss", "train"), ("sgd", "test")
    samples, scores = origin_numbers(common_origin(2 * draws[0], draws[1], permutations=99), bfgs, sgd, "Fig. 5")
    radii = torch.cat([draws[0].norm(dim=1) * 2, draws[1].norm(dim=1)])
    scored = Scored("separation, rbf kernel", bfgs, sgd)
    scores = {**scores, scored: separation_score(separation(radii, ["lbfgs-gss"] * 10 + ["sgd"] * 10))}
    found = evaluate_claims([ClaimInputs("fcp", samples, scores)])
    assert verdict(found, "bfgs-vectors-longer", "L-BFGS-GSS train set") == "holds"
    assert verdict(found, "no-preferred-direction", "train set") == "holds"
    assert verdict(found, "rbf-separates", "train") == "undecided at this size"  # ten and ten show 0.6 at least
    assert scores[scored].value == 1.0
    shifted = common_origin(2 * draws[0] + 5, draws[1], permutations=99)
    _, scores = origin_numbers(shifted, bfgs, sgd, "Fig. 5")
    assert verdict(evaluate_claims([ClaimInputs("fcp", {}, scores)]), "no-preferred-direction", "train set") == (
        "does not hold"
    )


def test_samples_of_paths() -> None:
    path = Path("neb", torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.5, 3.0, 1.0]), 1.0, 1.0, {})
    found = path_samples([(2, 0, path), (0, 1, path)], "sgd", "test", "train", "published")
    assert found[Measured("height", "sgd", "test", "train", "published")].values == (3.0, 3.0)
    barrier = found[Measured("barrier", "sgd", "test", "train", "published")]
    assert (barrier.values, barrier.members) == ((2.0, 2.0), ((0, 2), (0, 1)))
