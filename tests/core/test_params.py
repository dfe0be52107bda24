from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lossatlas.core.errors import InputError
from lossatlas.core.params import ParamSpec

shapes = st.lists(st.lists(st.integers(0, 3), max_size=3).map(tuple), min_size=1, max_size=4)


def spec_of(list_of_shapes):
    return ParamSpec(tuple(f"p{i}" for i in range(len(list_of_shapes))), tuple(list_of_shapes))


@given(shapes, st.lists(st.integers(0, 3), max_size=2))
def test_flatten_undoes_unflatten(list_of_shapes, batch):
    spec = spec_of(list_of_shapes)
    rows = torch.arange(float(torch.Size([*batch, spec.dim]).numel())).reshape(*batch, spec.dim)
    parts = spec.unflatten(rows)
    assert {name: tuple(p.shape) for name, p in parts.items()} == {
        name: (*batch, *shape) for name, shape in zip(spec.names, spec.shapes, strict=True)
    }
    assert torch.equal(spec.flatten(parts), rows)


@given(shapes)
def test_offsets_say_where_each_parameter_is(list_of_shapes):
    spec = spec_of(list_of_shapes)
    x = torch.arange(float(spec.dim))
    for name, offset, size in zip(spec.names, spec.offsets, spec.sizes, strict=True):
        assert spec.unflatten(x)[name].flatten().tolist() == list(map(float, range(offset, offset + size)))


@given(shapes)
def test_json_round_trip(list_of_shapes):
    spec = spec_of(list_of_shapes)
    assert ParamSpec.from_json(spec.to_json()) == spec


def test_order_is_that_of_named_parameters_in_c_order():
    net = nn.Linear(3, 2)
    flat = ParamSpec.of(net).flatten(net)
    assert flat.tolist() == [*net.weight.flatten().tolist(), *net.bias.tolist()]


def test_flat_vector_is_a_copy():
    net = nn.Linear(2, 1, bias=False)
    before = net.weight.detach().clone()
    ParamSpec.of(net).flatten(net).zero_()
    assert torch.equal(net.weight, before)


def test_tied_parameter_appears_once():
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    spec = ParamSpec.of(net)
    assert spec.names == ("0.weight",)
    assert spec.flatten(net.state_dict()).shape == (4,)


def tied(shared: bool) -> nn.Module:
    net = nn.ModuleDict({"e": nn.Embedding(5, 3), "o": nn.Linear(3, 5, bias=False)})
    if shared:
        net["o"].weight = net["e"].weight
    return net


def test_weights_of_an_untied_network_are_no_weights_of_a_tied_one():
    spec, other = ParamSpec.of(tied(True)), tied(False)
    assert spec.tied == (("o.weight", "e.weight"),)
    for state in (other, other.state_dict()):
        with pytest.raises(
            InputError, match=r"'o.weight' and 'e.weight' to be equal, .* network that does not tie them"
        ):
            spec.flatten(state)
    with torch.no_grad():
        other["o"].weight.copy_(other["e"].weight)
    assert torch.equal(spec.flatten(other), other["e"].weight.flatten())
    assert ParamSpec.from_json(spec.to_json()) == spec


def test_frozen_parameters_are_left_out():
    net = nn.Linear(3, 2)
    net.weight.requires_grad_(False)
    assert ParamSpec.of(net).names == ("bias",)


@pytest.mark.parametrize(
    "module", [nn.Identity(), nn.Linear(2, 2).requires_grad_(False), nn.BatchNorm1d(3, affine=False)]
)
def test_a_model_without_trainable_parameters_is_refused(module):
    with pytest.raises(InputError, match="expected a model with trainable parameters"):
        ParamSpec.of(module)


@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_a_lazy_module_is_refused_until_it_has_shapes():
    net = nn.LazyLinear(2)
    with pytest.raises(InputError, match="run the model once"):
        ParamSpec.of(net)
    net(torch.zeros(1, 3))
    assert ParamSpec.of(net).dim == 8


@pytest.mark.parametrize("x", [torch.zeros(7), torch.zeros(9), torch.zeros(8, 1), torch.tensor(1.0), torch.zeros(0)])
def test_rows_of_another_length_are_refused(x):
    with pytest.raises(InputError, match="expected rows of 8 parameters"):
        ParamSpec.of(nn.Linear(3, 2)).unflatten(x)


@pytest.mark.parametrize(
    "weight", [torch.zeros(3, 2), torch.zeros(2), torch.zeros(6), torch.tensor(0.0), torch.zeros(2, 3, 1)]
)
def test_tensors_of_another_shape_are_refused(weight):
    with pytest.raises(InputError, match="another network"):
        ParamSpec.of(nn.Linear(3, 2)).flatten({"weight": weight, "bias": torch.zeros(2)})


def test_leading_axes_must_agree():
    with pytest.raises(InputError, match="same leading axes"):
        ParamSpec.of(nn.Linear(3, 2)).flatten({"weight": torch.zeros(1, 2, 3), "bias": torch.zeros(2)})


def test_a_missing_name_comes_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'wieght'"):
        ParamSpec.of(nn.Linear(3, 2)).flatten({"wieght": torch.zeros(2, 3), "bias": torch.zeros(2)})
