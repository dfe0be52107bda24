"""The right name for every fault: the lecture's scenarios, landscapes whose answers are known, and healthy runs."""

from __future__ import annotations

import math

import pytest
import scenarios
import torch
import torch.nn.functional as F
from torch import nn

from lossatlas import landscape as landscapes
from lossatlas.analysis import Diagnosis, diagnose
from lossatlas.analysis.diagnosis import FAULTLESS, KINDS, run_facts
from lossatlas.core.errors import DivergenceError, InputError
from lossatlas.core.files import bit_equal, load_tree, save_tree
from lossatlas.core.randomness import generator, seeded
from lossatlas.core.trajectory import RunCurves, Trajectory
from lossatlas.curvature import HessianOperator
from lossatlas.landscape import NetworkLandscape, Numerics, from_function

# ------------------------------------------------------------------ the lecture's three


def test_scenario_a_oscillates_and_does_not_decrease():
    run = scenarios.scenario_a()
    found = diagnose(run.landscape, run.w, run.history, test=run.test)
    assert found.kinds == ("learning rate too large", "ill-conditioned")
    rate = found.finding("learning rate too large")
    assert rate.number("η λ over its limit") > 1
    assert rate.number("learning rate") == 0.5
    assert {picture.name for picture in rate.pictures} == {"learning-rate-curves", "stability", "gradient-step"}
    # Without its learning rate the zigzag still tells.
    silent = Trajectory.of(
        run.history.weights[-5:], losses=run.history.losses[-5:], steps=run.history.steps[-5:]
    )  # fmt: skip
    silent = Trajectory(
        silent.weights, silent.steps, silent.losses, silent.gradient_norms,
        RunCurves(run.history.curves.steps, run.history.curves.losses, *(torch.full((300,), math.nan).double(),) * 2),
    )  # fmt: skip
    assert diagnose(run.landscape, run.w, silent).kinds[0] == "learning rate too large"


def test_scenario_a_cured_is_healthy():
    """What the advice says: inputs scaled, a learning rate below the limit."""
    data, test = scenarios.rings(200), scenarios.rings(200, 1)
    run = scenarios.train(scenarios.mlp(2, 16, 2), data, test, scenarios.sgd(0.5, 0.9), 300)
    assert diagnose(run.landscape, run.w, run.history, test=run.test).healthy


def test_scenario_b_flatlines_at_a_saddle():
    run = scenarios.scenario_b_saddle()
    found = diagnose(run.landscape, run.w, run.history, test=run.test)
    assert found.kinds == ("saddle",)
    saddle = found.finding("saddle")
    assert saddle.number("index") == 16
    assert saddle.number("way down") > 0.01
    # All it takes is a step along the way down.
    assert "negative curvature" in saddle.advice[0]


def test_scenario_b_flatlines_on_a_plateau():
    run = scenarios.scenario_b_plateau()
    found = diagnose(run.landscape, run.w, run.history, test=run.test)
    assert found.kinds == ("vanishing gradients", "plateau")
    assert 0.01 < found.finding("vanishing gradients").number("per layer") < 0.3
    assert diagnose(run.landscape, run.w).kinds == ("vanishing gradients", "plateau")


def test_scenario_c_fits_the_training_data_alone():
    run = scenarios.scenario_c()
    found = diagnose(run.landscape, run.w, run.history, test=run.test)
    assert found.kinds == ("sharp or overfit minimum",)
    sharp = found.finding("sharp or overfit minimum")
    assert sharp.number("training loss") < 0.01
    assert sharp.number("test loss") > 1
    assert sharp.number("training accuracy") == 1.0
    assert sharp.number("test accuracy") < 0.8
    assert [picture.name for picture in sharp.pictures] == ["slices"]
    alone = diagnose(run.landscape, run.w, run.history)
    assert alone.healthy
    assert any("Without test data" in note for note in alone.notes)


@pytest.mark.parametrize("seed", [2, 3])
def test_steps_far_too_long_that_do_not_diverge(seed):
    """The loss leaps up, and wanders where the curvature is small: the start of the run tells why."""
    data, test = scenarios.rings(300, seed + 20, 0.02), scenarios.rings(300, seed + 50, 0.02)
    run = scenarios.train(scenarios.mlp(2, 16, 2, seed=seed), data, test, scenarios.sgd(30.0), 200)
    found = diagnose(run.landscape, run.w, run.history)
    assert found.kinds[0] == "learning rate too large"
    assert found.finding("learning rate too large").number("η λ over its limit") > 5


# ------------------------------------------------------------------ healthy
@pytest.mark.parametrize(
    "make",
    [
        scenarios.healthy_network,
        lambda: scenarios.healthy_network(1),
        lambda: scenarios.healthy_network(2),
        scenarios.healthy_batches,
        scenarios.healthy_adam,
        scenarios.healthy_halfway,
    ],
    ids=["network", "seed 1", "seed 2", "mini-batches", "adam", "halfway"],
)
def test_healthy_runs_are_healthy(make):
    run = make()
    found = diagnose(run.landscape, run.w, run.history, test=run.test)
    assert found.kinds == ("healthy",), str(found)
    assert found.healthy
    assert diagnose(run.landscape, run.w, test=run.test).healthy


def test_a_minimum_of_high_loss_is_no_plateau():
    """Noise that no line explains: the loss stays where it began, and is nowhere flat."""
    g = generator("noisy line")
    x = torch.randn(200, 3, generator=g).double()
    y = 0.1 * x[:, :1] + torch.randn(200, 1, generator=g).double()
    run = scenarios.train(nn.Linear(3, 1), (x, y), (x, y), scenarios.sgd(0.1), 300, F.mse_loss)
    assert diagnose(run.landscape, run.w, run.history).healthy


def test_the_learning_rate_of_adam_is_not_compared():
    run = scenarios.healthy_adam()
    found = diagnose(run.landscape, run.w, run.history)
    assert any("learning rate of Adam" in note for note in found.notes)


# ------------------------------------------------------------------ landscapes whose answers are known
def test_a_bowl_of_condition_number_a_million():
    bowl = landscapes.get("quadratic", dim=10, condition=1e6)
    found = diagnose(bowl, torch.ones(10, dtype=torch.float64))
    assert found.kinds == ("ill-conditioned",)
    assert found.finding("ill-conditioned").number("condition number") == pytest.approx(1e6, rel=1e-6)
    assert diagnose(landscapes.get("quadratic", dim=10, condition=100.0), torch.ones(10).double()).healthy


@pytest.mark.parametrize("index", [1, 2, 4])
def test_the_index_of_a_strict_saddle(index):
    values = [-2.0] * index + [3.0] * (5 - index)
    surface = landscapes.get("quadratic", dim=5, eigenvalues=values, center=[1.0, 2.0, 3.0, 4.0, 5.0])
    found = diagnose(surface, torch.arange(1.0, 6.0, dtype=torch.float64))
    assert found.kinds == ("saddle",)
    assert found.finding("saddle").number("index") == index
    away = diagnose(surface, torch.arange(1.0, 6.0, dtype=torch.float64) + 1)
    assert "saddle" not in away.kinds


def test_a_maximum_is_called_one():
    hill = landscapes.get("quadratic", dim=2, eigenvalues=[-1.0, -2.0])
    assert "a maximum" in diagnose(hill, torch.zeros(2).double()).finding("saddle").sentence


def test_the_monkey_saddle_is_degenerate():
    """x³ − 3xy²: no gradient, no curvature, and three ways down."""
    monkey = from_function(lambda p: p[0] ** 3 - 3 * p[0] * p[1] ** 2, dim=2)
    found = diagnose(monkey, torch.zeros(2).double())
    assert found.kinds == ("saddle",)
    assert found.finding("saddle").number("index") == 0
    assert "degenerate" in found.finding("saddle").sentence
    bottom = from_function(lambda p: (p**4).sum(), dim=2)
    assert "saddle" not in diagnose(bottom, torch.zeros(2).double()).kinds
    valley = landscapes.get("quadratic", dim=3, eigenvalues=[0.0, 0.0, 1.0])
    assert "saddle" not in diagnose(valley, torch.zeros(3).double()).kinds


def test_a_flat_energy_is_a_plateau():
    well = from_function(lambda p: 1 - torch.exp(-(p**2).sum()), dim=3)
    assert diagnose(well, torch.tensor([3.0, 3.0, 3.0]).double()).kinds == ("plateau",)
    assert diagnose(well, torch.tensor([0.1, 0.0, 0.0]).double()).healthy


@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_a_slope_of_an_energy_is_not_called_converged(shift):
    """(x² − 1)² + y²: |g|, λ in closed form on the slope, and at the minima and between them nothing of the kind."""
    wells = from_function(lambda p: ((p[0] - shift) ** 2 - 1) ** 2 + (p[1] + shift) ** 2, dim=2)
    at = torch.tensor([[0.5 + shift, 0.1 - shift], [1.0 + shift, -shift], [shift, -shift]]).double()
    slope = diagnose(wells, at[0]).findings[0]
    norm = math.hypot(4 * 0.5 * (0.5**2 - 1), 2 * 0.1)
    assert f"not a critical point: the gradient is {norm:.3g}, and the smallest eigenvalue, -1, is" in slope.sentence
    assert "Nothing needs to be done." not in slope.advice
    bottom = diagnose(wells, at[1])
    assert bottom.healthy
    assert bottom.findings[0].sentence == FAULTLESS
    assert "Nothing needs to be done." in bottom.findings[0].advice
    assert diagnose(wells, at[2]).kinds == ("saddle",)


def descend(surface, start, rate, steps, momentum=0.0):
    w, v, rows, losses, norms = start.clone(), torch.zeros_like(start), [], [], []
    for _ in range(steps):
        value, gradient = surface.value_and_grad(w)
        rows.append(w)
        losses.append(value)
        norms.append(gradient.norm())
        v = momentum * v - rate * gradient
        w = w + v
    return Trajectory.of(
        torch.stack(rows), losses=torch.stack(losses), gradient_norms=torch.stack(norms), learning_rate=rate
    )


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize(("factor", "found"), [(0.95, False), (1.05, True), (1.5, True)])
def test_a_bowl_diverges_beyond_the_predicted_rate(factor, found, momentum):
    bowl = landscapes.get("quadratic", dim=4, eigenvalues=[1.0, 2.0, 5.0, 10.0])
    limit = 2 * (1 + momentum) / 10
    run = descend(bowl, torch.ones(4).double(), factor * limit, 80, momentum)
    result = diagnose(bowl, None, run, momentum=momentum)
    assert (result.kinds == ("learning rate too large",)) is found, str(result)
    if found:
        finding = result.finding("learning rate too large")
        assert finding.number("η λ over its limit") == pytest.approx(factor, rel=1e-3)
        assert finding.number("largest stable learning rate") == pytest.approx(limit, rel=1e-3)
        if momentum == 0 and factor > 1.2:
            predicted = finding.number("predicted growth")
            assert predicted == pytest.approx(abs(1 - factor * limit * 10), rel=1e-3)
            assert finding.number("measured growth") == pytest.approx(predicted, rel=0.02)
    else:
        assert result.healthy
    # Without a run the prediction alone decides.
    alone = diagnose(bowl, torch.ones(4).double(), learning_rate=factor * limit, momentum=momentum)
    assert ("learning rate too large" in alone.kinds) is found


def test_spikes_lead_the_divergence():
    run = scenarios.exploding()
    found = diagnose(run.landscape, None, run.history)
    assert found.kinds == ("exploding gradients",)
    explosion = found.finding("exploding gradients")
    curves = run.history.curves
    diverged = int((~(curves.losses <= 10 * curves.losses[0])).nonzero()[0])
    # Once over the cliff and back again; the last time counts.
    diverged = max(i for i in range(1, len(curves)) if curves.losses[i - 1] <= 10 * curves.losses[0])
    assert explosion.number("diverged at") == diverged
    assert 1 <= explosion.number("lead") <= 20
    spike = diverged - int(explosion.number("lead"))
    assert curves.gradient_norms[spike] > 5 * curves.gradient_norms[max(0, spike - 20) : spike].median()
    assert "Clip" in explosion.advice[0]


def test_a_start_far_too_large_explodes():
    g = generator("far too large")
    net = scenarios.mlp(2, *[32] * 8, 1, activation=nn.ReLU).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(8.0)
    data = (torch.randn(50, 2, generator=g).double(), torch.randn(50, 1, generator=g).double())
    landscape = NetworkLandscape(net, F.mse_loss, data, numerics=Numerics())
    found = diagnose(landscape, landscape.flatten(net))
    assert found.kinds[0] == "exploding gradients"


# ------------------------------------------------------------------ layers
def test_the_largest_rate_of_each_layer_is_that_of_its_block():
    run = scenarios.healthy_halfway()
    found = diagnose(run.landscape, run.w)
    whole = landscapes  # the dense Hessian, block by block
    del whole
    from lossatlas.curvature import HessianOperator

    dense = HessianOperator(run.landscape, run.w).dense()
    _, gradient = run.landscape.value_and_grad(run.w)
    start = 0
    for layer in found.layers:
        block = slice(start, start + layer.parameters)
        top = torch.linalg.eigvalsh(dense[block, block])[-1]
        assert layer.largest_rate == pytest.approx(2 / float(top), rel=1e-3)
        assert layer.gradient == pytest.approx(float(gradient[block].square().mean().sqrt()), rel=1e-9)
        assert layer.largest_rate >= 2 / float(torch.linalg.eigvalsh(dense)[-1]) * (1 - 1e-3)
        start += layer.parameters
    assert [layer.name for layer in found.layers] == ["0", "2"]


def test_a_network_too_large_for_all_eigenvalues():
    """Against the dense spectrum: ends, negative count as a lower bound, what the gradient sees."""
    run = scenarios.train(
        scenarios.mlp(2, 24, 24, 2), scenarios.rings(80), scenarios.rings(80, 1), scenarios.sgd(0.3, 0.9), 30
    )
    from lossatlas.analysis.diagnosis.point import measure_point
    from lossatlas.curvature import HessianOperator

    point = measure_point(run.landscape, run.w)
    values = torch.linalg.eigvalsh(HessianOperator(run.landscape, run.w).dense())
    assert not point.complete
    assert point.top == pytest.approx(float(values[-1]), rel=1e-4)
    assert point.bottom == pytest.approx(float(values[0]), rel=1e-3)
    assert point.negative <= int((values < 0).sum())
    g = run.landscape.value_and_grad(run.w)[1]
    assert float((point.shares * point.nodes).sum()) == pytest.approx(
        float(g @ (HessianOperator(run.landscape, run.w) @ g) / (g @ g)), rel=1e-8
    )


# ------------------------------------------------------------------ the run
def test_what_curves_say():
    steps = torch.arange(90)

    def facts(losses, norms=None):
        norm = torch.ones(90).double() if norms is None else norms
        return run_facts(RunCurves(steps, losses.double(), norm, torch.full((90,), math.nan).double()))

    t = steps.double()
    assert facts(torch.exp(-t / 20)).oscillating is False
    flat = facts(torch.full((90,), 2.0))
    assert flat.flat
    assert flat.high
    zigzag = facts(1 + 0.3 * (-1) ** t)
    assert zigzag.oscillating
    assert zigzag.zigzag
    noise = facts(1 + 0.9 * torch.rand(90, generator=generator("noise")).double())
    assert noise.oscillating
    assert not noise.zigzag
    gone = facts(torch.where(t < 60, 1.0, math.nan), torch.where(t < 55, 1.0, 50.0))
    assert (gone.diverged_at, gone.lead, gone.spikes) == (60, 5, (55,))
    leap = (t > 30) & (t < 40)
    assert facts(torch.where(leap, 100.0, torch.exp(-t / 90))).diverged_at is None
    assert facts(torch.where(leap, 100.0, 1.0)).diverged_at == 31, "nothing was learned after the leap"
    assert facts(torch.where(t == 40, 100.0, 1 - 0.5 * (t % 7 == 3))).diverged_at is None, "a mini-batch of its own"
    assert run_facts(RunCurves(steps[:5], *(torch.ones(5).double(),) * 3)) is None


def curves(*losses):
    loss = torch.tensor(losses, dtype=torch.float64)
    return RunCurves(torch.arange(len(loss)), loss, torch.ones_like(loss), torch.full_like(loss, 50.0))


def test_a_leap_that_nothing_comes_of_is_a_divergence():
    """Steps so long that the network saturates: the loss stops growing, far above where it began."""
    found = run_facts(curves(2.31, 2.49, 365, 1.8e5, 6e11, 2.4e5, 23.6, 24.4, 23.6, 21.7))
    assert found.diverged_at == 2
    assert not found.lower
    risen = run_facts(curves(*torch.linspace(1, 5, 20).tolist()))
    assert risen.diverged_at is None
    assert not risen.lower
    assert run_facts(curves(*torch.linspace(5, 1, 20).tolist())).lower


def test_a_run_that_is_gone_at_once_is_not_too_short_to_say_so():
    found = run_facts(curves(2.31, *[math.nan] * 24))
    assert (found.points, found.first, found.diverged_at) == (1, 2.31, 1)
    assert run_facts(curves(1.0, 2.0, math.inf)).diverged_at == 2
    assert run_facts(curves(1.0, 2.0, 3.0)) is None
    assert run_facts(curves(*[math.nan] * 12)) is None


@pytest.mark.parametrize(("rate", "steps"), [(1e30, 3), (1e30, 12), (50.0, 10), (50.0, 25)])
def test_the_first_steps_of_a_network_that_they_break(rate, steps):
    g = generator("broken at once")
    x = 4 * torch.rand(100, 16, generator=g, dtype=torch.float64)
    data = (x, torch.randint(0, 10, (100,), generator=g))
    run = scenarios.train(scenarios.mlp(16, 24, 24, 10, activation=nn.ReLU), data, data, scenarios.sgd(rate), steps)
    leapt = ~(run.history.curves.losses <= 10 * run.history.curves.losses[0])
    assert bool(leapt.any())
    found = diagnose(run.landscape, None, run.history)
    assert found.kinds[0] == "learning rate too large"
    assert f"The run diverged at step {int(leapt.nonzero()[0])}." in found.findings[0].sentence
    assert not any("edge of stability" in note or "too few" in note for note in found.notes)


def test_a_divergence_that_the_learning_rate_does_not_explain_is_no_health():
    """A root of what has become negative: steps are short, and yet the loss is lost."""
    root = from_function(lambda p: (1 + p).sqrt().sum() + (p**2).sum(), dim=2)
    rows = torch.linspace(1.0, -0.9, 12, dtype=torch.float64)[:, None].expand(12, 2)
    losses = torch.cat([root.value(rows[:-1]), torch.tensor([math.nan]).double()])
    for rate in (None, 0.01):
        found = diagnose(root, None, Trajectory.of(rows, losses=losses, learning_rate=rate))
        assert found.kinds[0] == "exploding gradients"
        assert "diverged at step 11" in found.findings[0].sentence
        assert "logarithms, roots" in found.findings[0].advice[0]


# ------------------------------------------------------------------ records and refusals
def test_reads_back_to_the_same_bits(tmp_path):
    run = scenarios.scenario_a()
    found = diagnose(run.landscape, run.w, run.history, test=run.test)
    save_tree(tmp_path / "d.json", found.to_tree())
    again = Diagnosis.from_tree(load_tree(tmp_path / "d.json"))
    assert bit_equal(again.to_tree(), found.to_tree())
    assert str(again) == str(found)
    assert set(found.kinds) <= set(KINDS)
    with pytest.raises(InputError, match="expected one of the findings"):
        found.finding("saddle")
    with pytest.raises(InputError, match="expected evidence among"):
        found.findings[0].number("nothing")


def test_the_landscape_and_the_network_stay_as_they_were():
    run = scenarios.healthy_halfway()
    before = {name: tensor.clone() for name, tensor in run.net.state_dict().items()}
    state = torch.random.get_rng_state()
    diagnose(run.landscape, run.w, run.history, test=run.test)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(before[name], tensor) for name, tensor in run.net.state_dict().items())


def test_what_is_refused():
    bowl = landscapes.get("quadratic", dim=2)
    w = torch.ones(2).double()
    with pytest.raises(InputError, match="got neither: pass w"):
        diagnose(bowl)
    with pytest.raises(InputError, match="one by one"):
        diagnose(bowl, torch.ones(3, 2).double())
    with pytest.raises(InputError, match="last finite weights"):
        diagnose(bowl, torch.tensor([1.0, math.nan]).double())
    with pytest.raises(InputError, match="another network"):
        diagnose(bowl, w, Trajectory.of(torch.ones(3, 5)))
    with pytest.raises(InputError, match="learning rate above 0"):
        diagnose(bowl, w, learning_rate=0.0)
    with pytest.raises(InputError, match=r"momentum in \[0, 1\)"):
        diagnose(bowl, w, momentum=1.0)
    with pytest.raises(DivergenceError, match="the run has diverged"):
        diagnose(from_function(lambda p: torch.log(p[0]), dim=1), torch.tensor([-1.0]).double())


def test_short_steps_are_told_apart_from_a_saddle():
    data, test = scenarios.rings(60), scenarios.rings(40, 1)
    run = scenarios.train(scenarios.mlp(2, 16, 16, 2), data, test, scenarios.sgd(1e-5), 60)
    result = diagnose(run.landscape, run.w, run.history)
    assert result.kinds[0] == "learning rate too small"
    finding = result.finding("learning rate too small")
    top = 2 / finding.number("largest stable learning rate")
    assert finding.number("way gone") == pytest.approx(60 * 1e-5 * top, rel=0.05)
    longer = scenarios.train(scenarios.mlp(2, 16, 16, 2), data, test, scenarios.sgd(0.5), 60)
    assert "learning rate too small" not in diagnose(longer.landscape, longer.w, longer.history).kinds


@pytest.mark.parametrize("seed", range(2))
def test_random_weights_of_a_network_are_no_saddle(seed):
    """They have negative curvature, but five plain steps, about as long as the way along it, gain more."""
    g = generator("untrained", seed)
    x = torch.rand(200, 16, generator=g).double()
    data = (x, (10 * (x[:, :4].sum(1) - 1) / 2).long().clamp(0, 9))
    with seeded("untrained", seed):
        net = nn.Sequential(nn.Linear(16, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 10)).double()
    landscape = NetworkLandscape(net, F.cross_entropy, data, numerics=Numerics())
    w = landscape.flatten(net)
    assert diagnose(landscape, w).kinds == ("healthy",)
    values, vectors = torch.linalg.eigh(HessianOperator(landscape, w).dense())
    assert float(values[0]) < -0.01 * float(values[-1])
    steps = torch.linspace(-1, 1, 41, dtype=torch.float64)[:, None]
    along = landscape.value(w + steps * vectors[:, 0]).min()
    for _ in range(5):
        w = w - landscape.value_and_grad(w)[1] / values[-1]
    assert float(landscape.value(w)) < float(along)


def test_a_saddle_that_descent_has_begun_to_leave_is_still_one():
    """Close by the gradient lies along the way down, and yet promises nothing of what is gained there."""
    run = scenarios.scenario_b_saddle()
    finding = diagnose(run.landscape, run.w).finding("saddle")
    values, vectors = torch.linalg.eigh(HessianOperator(run.landscape, run.w).dense())
    near = run.w + 1e-3 * vectors[:, 0]
    slope = run.landscape.value_and_grad(near)[1]
    assert abs(float(slope @ vectors[:, 0])) > 0.9 * float(slope.norm())
    again = diagnose(run.landscape, near).finding("saddle")
    assert again.number("promise of the gradient") < 0.1 * again.number("way down")
    assert again.number("way down") == pytest.approx(finding.number("way down"), rel=0.1)
    assert again.number("smallest eigenvalue") == pytest.approx(float(values[0]), rel=0.01)


@pytest.mark.parametrize("widths", [(2, 16, 2), (2, 16, 16, 2)])
@pytest.mark.parametrize("what", ["dead", "zero"])
def test_longer_steps_are_not_advised_where_none_can_help(widths, what):
    """ReLUs that give zero for every example: whatever the learning rate, no gradient comes through them."""
    net = scenarios.mlp(*widths, activation=nn.ReLU)
    with torch.no_grad():
        net[-3].bias.fill_(-100.0)
        for parameter in net.parameters() if what == "zero" else ():
            parameter.zero_()
    run = scenarios.train(net, scenarios.rings(60), scenarios.rings(40, 1), scenarios.sgd(1e-3), 30)
    start = run.history.weights[0]
    for rate in (1.0, 1e3):
        far = start - rate * run.landscape.value_and_grad(start)[1]
        first = torch.arange(run.landscape.dim) < 3 * 16
        assert torch.equal(far[first], start[first])
    found = diagnose(run.landscape, run.w, run.history)
    assert found.kinds[0] == "vanishing gradients"
    assert "learning rate too small" not in found.kinds


def test_dead_layers_are_named():
    net = scenarios.mlp(2, 16, 16, 2, activation=nn.ReLU)
    with torch.no_grad():
        net[2].bias.fill_(-100.0)
    run = scenarios.train(net, scenarios.rings(60), scenarios.rings(40, 1), scenarios.sgd(0.1), 30)
    finding = diagnose(run.landscape, run.w, run.history).finding("vanishing gradients")
    assert "is dead" in finding.sentence
    assert "ReLU" in finding.advice[0]


def test_advice_names_the_momentum_it_counts_with():
    bowl = landscapes.get("quadratic", dim=4, eigenvalues=[1.0, 2.0, 5.0, 10.0])
    start = torch.ones(4).double()
    plain = diagnose(bowl, start, learning_rate=0.01)
    heavy = diagnose(bowl, start, learning_rate=0.01, momentum=0.9)
    assert "Plain gradient descent is stable up to a learning rate of 0.2 " in " ".join(plain.findings[0].advice)
    assert "with momentum 0.9 is stable up to a learning rate of 0.38 " in " ".join(heavy.findings[0].advice)
