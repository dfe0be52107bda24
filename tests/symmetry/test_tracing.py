"""The tracer finds every group of hidden units, and names what it cannot follow."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from sample_networks import NETWORKS
from symmetric_networks import Decoder, Gated, Normed, Recurrent, SmallResNet, Upsampler
from torch import Tensor, nn

from lossatlas import models
from lossatlas.core.errors import InputError
from lossatlas.core.params import ParamSpec
from lossatlas.core.randomness import generator, seeded
from lossatlas.symmetry import PermutationStructure, axis, permutation_structure, trace

IMAGE = torch.randn(2, 1, 8, 8, generator=generator("image"))
SEQUENCE = torch.randn(2, 4, 3, generator=generator("sequence"))

# Groups counted by hand.
EXPECTED: dict[str, tuple[Callable[[], nn.Module], Tensor, dict[str, int]]] = {
    "fcp": (lambda: models.get("fcp", hidden=7), torch.rand(2, 1, 28, 28), {"fc1": 7, "fc2": 7}),
    "lenet": (models.LeNet, torch.rand(2, 1, 28, 28), {"conv1": 6, "conv2": 16, "fc1": 120, "fc2": 84}),
    "autoencoder": (models.Autoencoder, torch.rand(2, 1, 28, 28), {"encoder1": 32, "encoder2": 32, "decoder1": 32}),
    "lstm": (models.PixelLSTM, torch.rand(2, 1, 28, 28), {"lstm": 48}),
    "resnet": (
        SmallResNet,
        IMAGE,
        {"stem": 4, "blocks.0.conv1": 4, "blocks.1.conv1": 6, "blocks.1.conv2": 6, "blocks.2.conv1": 6},
    ),
    # Skips without parameters: a wider stage shares its first units with the narrower one and has others of its own.
    "resnet, shortcut A": (
        lambda: models.get("resnet20", depth=8, width=0.25, channels=1),
        IMAGE,
        {
            "conv": 4,
            "stages.1.0.conv2": 4,
            "stages.2.0.conv2": 8,
            "stages.0.0.conv1": 4,
            "stages.1.0.conv1": 8,
            "stages.2.0.conv1": 16,
        },
    ),
    "resnet, shortcut B": (
        lambda: models.get("resnet20", depth=8, width=0.25, channels=1, shortcut="B", norm="rms"),
        IMAGE,
        {
            "conv": 4,
            "stages.0.0.conv1": 4,
            "stages.1.0.conv1": 8,
            "stages.1.0.conv2": 8,
            "stages.2.0.conv1": 16,
            "stages.2.0.conv2": 16,
        },
    ),
    "plain": (
        lambda: models.get("resnet20", depth=8, width=0.25, channels=1, skips=False, norm="layer"),
        IMAGE,
        {
            "conv": 4,
            "stages.0.0.conv1": 4,
            "stages.0.0.conv2": 4,
            "stages.1.0.conv1": 8,
            "stages.1.0.conv2": 8,
            "stages.2.0.conv1": 16,
            "stages.2.0.conv2": 16,
        },
    ),
    "vgg9": (
        lambda: models.get("vgg9", width=0.05, channels=1, side=8, norm="rms"),
        IMAGE,
        {**{f"groups.{i}.{j}.0": n for i, n in enumerate((3, 6, 13)) for j in range(2)}, "groups.2.2.0": 13, "fc1": 13},
    ),
    "deep linear": (
        lambda: models.get("deep-linear", inputs=64, width=3, depth=4),
        IMAGE,
        {"weight1": 3, "weight2": 3, "weight3": 3},
    ),
    "gated": (Gated, IMAGE, {"wide": 4, "squeeze": 2, "other": 3}),
    "normed": (Normed, SEQUENCE, {"inp": 5, "matrix": 6}),
    "recurrent": (
        Recurrent,
        SEQUENCE,
        {"lstm": 4, "lstm.l0_reverse": 4, "lstm.l1": 4, "lstm.l1_reverse": 4, "gru": 3},
    ),
    "upsampler": (Upsampler, IMAGE, {"down": 5, "up": 4}),
}


@pytest.mark.parametrize("name", list(EXPECTED))
def test_groups_are_found_and_keep_the_function(name: str) -> None:
    make, example, groups = EXPECTED[name]
    with seeded(name):
        model = make().double().eval()
        for buffer in model.buffers():
            if buffer.is_floating_point():
                buffer.add_(0.3 * torch.rand_like(buffer))
        x = torch.randn(3, *example.shape[1:], dtype=torch.float64)
    structure = trace(model, example.double())
    assert structure.groups == groups
    weights, permutations = structure.spec.flatten(model), structure.random(3)
    buffers = dict(model.named_buffers())
    moved = structure.spec.unflatten(structure.apply(weights, permutations))
    state = {**moved, **structure.apply_buffers(buffers, permutations)}
    before, after = model(x), torch.func.functional_call(model, state, (x,))
    torch.testing.assert_close(after, before, rtol=1e-10, atol=1e-12)
    # Each single group alone as well, and moving it does change the weights.
    for group in groups:
        assert not torch.equal(structure.apply(weights, {group: torch.arange(groups[group]).flip(0)}), weights)


def test_batch_norm_statistics_follow_their_channels() -> None:
    structure = trace(SmallResNet(), IMAGE)
    buffers = {use.tensor: use.group for use in structure.axes if "running" in use.tensor}
    assert buffers["norm.running_mean"] == buffers["blocks.0.norm2.running_var"] == "stem"
    assert len(buffers) == 2 * 8
    moved = structure.apply_buffers({"norm.running_mean": torch.arange(8.0).view(2, 4)}, structure.random(2))
    assert torch.equal(moved["norm.running_mean"][1], torch.arange(4.0)[structure.random(2)["stem"]] + 4)


def test_a_landscape_is_traced_through_its_own_forward() -> None:
    structure = permutation_structure(NETWORKS["autoencoder"]())
    assert structure.groups == {"encoder1": 32, "encoder2": 32, "decoder1": 32}
    assert structure.pinned == ("decoder2",)


def test_frozen_layers_and_skips_from_the_input_pin() -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 5)
            self.frozen, self.head = nn.Linear(5, 5).requires_grad_(False), nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(torch.tanh(self.frozen(torch.tanh(self.b(torch.tanh(x + self.a(x)))))))

    structure = trace(Skip(), torch.zeros(2, 4))
    assert structure.groups == {}
    assert structure.pinned == ("a", "b", "head")
    w = torch.arange(float(structure.spec.dim))
    assert torch.equal(structure.apply(w, {}), w)
    assert permutation_structure(NETWORKS["normalised"]()).groups == {}


class _Calls(nn.Module):
    """One hidden layer, then a function of it."""

    def __init__(self, function: Callable[[Tensor], Tensor], **extra: nn.Module) -> None:
        super().__init__()
        self.first = nn.Linear(3, 8)
        self.second = nn.LazyLinear(2)
        self.extra = nn.ModuleDict(extra)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.function(self.first(x))
        for module in self.extra.values():
            hidden = module(hidden)
        return self.second(hidden)


@pytest.mark.parametrize(
    ("function", "extra", "message"),
    [
        (lambda h: h.cumsum(-1), {}, "'cumsum'"),
        (lambda h: h.sort(-1).values, {}, "'sort'"),
        (lambda h: h @ h.T @ h, {}, "'matmul'"),
        (F.glu, {}, "'glu'"),
        (lambda h: h[:, :4] * h[:, 4:], {}, "joins units of 'first' with each other"),
        (lambda h: h[:, :5], {}, "reads only some units of 'first'"),
        (lambda h: F.max_pool1d(h[:, None], 2).flatten(1), {}, "'max_pool1d'"),
        (lambda h: h.unflatten(1, (2, 4)).mean(1), {}, "'mean'"),
        (lambda h: h if float(h[0, 0]) > 0 else -h, {}, "'float'"),
        (lambda h: F.pad(h[..., None], (0, 1, 0, 2)).flatten(1), {}, "'pad'.* places and channels at once"),
        (lambda h: h, {"norm": nn.GroupNorm(2, 8)}, "within its 2 groups"),
        (lambda h: h[..., None], {"conv": nn.Conv1d(8, 8, 1, groups=2), "flat": nn.Flatten()}, "within its 2 groups"),
        (lambda h: h, {"wn": nn.utils.parametrizations.weight_norm(nn.Linear(8, 4))}, "extra.wn.param"),
    ],
)
def test_what_cannot_be_followed_is_named(
    function: Callable[[Tensor], Tensor], extra: dict[str, nn.Module], message: str
) -> None:
    model = _Calls(function, **extra)
    example = torch.linspace(-2, 1, 6).view(2, 3)
    with torch.no_grad():
        model(example)
    with pytest.raises(InputError, match=message) as caught:
        trace(model, example)
    assert "by hand" in str(caught.value)


def test_attention_and_packed_or_started_sequences_are_refused() -> None:
    with pytest.raises(InputError, match="scaled_dot_product_attention"):
        permutation_structure(NETWORKS["attention"]())

    class Started(nn.LSTM):
        def forward(self, x: Tensor) -> Tensor:
            state = torch.ones(1, x.shape[1], self.hidden_size)
            return super().forward(x, (state, state))[0]

    class Packed(nn.LSTM):
        def forward(self, x: Tensor) -> Tensor:
            packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([4, 2, 1]))
            return super().forward(packed)[0].data

    with pytest.raises(InputError, match="initial states"):
        trace(Started(2, 3), torch.zeros(4, 3, 2))
    with pytest.raises(InputError, match="packed"):
        trace(Packed(2, 3), torch.zeros(4, 3, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch notes once that projections have no fast kernel
        with pytest.raises(InputError, match="projections"):
            trace(nn.LSTM(2, 4, proj_size=3), torch.zeros(4, 3, 2))
    with pytest.raises(InputError, match="no hidden units"):
        permutation_structure("network")  # type: ignore[arg-type]


def test_by_hand_where_the_tracer_stops() -> None:
    """Rows of a dense layer that become maps move in blocks of one map: refused, and easily said by hand."""
    model, tokens = Decoder().double(), torch.arange(6).view(2, 3)
    with pytest.raises(InputError, match="'conv_transpose2d'"):
        trace(model, tokens)
    spec = ParamSpec.of(model)
    maps = [axis("fc.weight", 0, "maps", 3, inner=4), axis("fc.bias", 0, "maps", 3, inner=4)]
    structure = PermutationStructure(spec, {"maps": 3}, (*maps, axis("up.weight", 0, "maps", 3)))
    state = spec.unflatten(structure.apply(spec.flatten(model), {"maps": torch.tensor([2, 0, 1])}))
    torch.testing.assert_close(torch.func.functional_call(model, state, (tokens,)), model(tokens))


def test_tracing_leaves_model_and_random_state_alone() -> None:
    model = SmallResNet().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.random.get_rng_state()
    trace(model, (IMAGE,))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
