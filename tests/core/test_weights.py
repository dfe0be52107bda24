from __future__ import annotations

import pickle
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lossatlas.core.ensemble import Curves, Ensemble, Replica, WeightSet
from lossatlas.core.errors import DataError, InputError
from lossatlas.core.files import bit_equal
from lossatlas.core.params import ParamSpec
from lossatlas.core.weights import read_weights


@pytest.fixture
def net():
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


@pytest.fixture
def spec(net):
    return ParamSpec.of(net)


@pytest.fixture
def truth(net, spec):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def prefixed(prefix, state):
    return {prefix + name: value for name, value in state.items()}


# ------------------------------------------------------------------ what is understood
@pytest.mark.parametrize("suffix", ["pt", "pth", "ckpt", "bin", "PT"])
def test_state_dicts_in_files_of_torch(tmp_path, net, spec, truth, suffix):
    torch.save(net.state_dict(), tmp_path / f"w.{suffix}")
    assert torch.equal(read_weights(tmp_path / f"w.{suffix}", spec), truth)
    assert torch.equal(read_weights(str(tmp_path / f"w.{suffix}"), spec), truth)


def test_safetensors_npy_modules_and_vectors(tmp_path, net, spec, truth):
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    np.save(tmp_path / "w.npy", truth.numpy())
    np.save(tmp_path / "row.npy", truth.numpy()[None])
    for source in (tmp_path / "w.safetensors", tmp_path / "w.npy", tmp_path / "row.npy", net, truth, net.state_dict()):
        read = read_weights(source, spec)
        assert torch.equal(read, truth)
        assert read.shape == (spec.dim,)


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "net.", "_orig_mod.module.", "module._orig_mod."]
)
def test_prefixes_of_training_frameworks(net, spec, truth, prefix):
    assert torch.equal(read_weights(prefixed(prefix, net.state_dict()), spec), truth)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_checkpoints_hold_the_state_dict_under_a_key(tmp_path, net, spec, truth, key):
    checkpoint = {"epoch": 3, "loss": 0.1, key: prefixed("model.", net.state_dict()), "optimizer": {"lr": [1.0]}}
    torch.save(checkpoint, tmp_path / "w.ckpt")
    assert torch.equal(read_weights(tmp_path / "w.ckpt", spec), truth)


def test_the_result_is_a_copy_of_the_dtype_asked_for(net, spec, truth):
    read = read_weights(truth, spec)
    read.zero_()
    read_weights(net, spec).zero_()
    assert truth.abs().sum() > 0
    assert torch.equal(read_weights(net, spec), truth)
    assert read_weights(truth, spec, torch.float64).dtype == torch.float64
    assert read_weights(truth.half(), spec).dtype == torch.float16


# ------------------------------------------------------------------ what is refused
@pytest.mark.parametrize("one", ["file", "path", "state", "module", "vector"])
def test_one_set_of_weights_is_no_list_of_them(tmp_path, net, spec, truth, one):
    sources = {
        "file": "one.pt",
        "path": tmp_path / "one.pt",
        "state": net.state_dict(),
        "module": net,
        "vector": truth,
    }
    with pytest.raises(InputError, match=r"expected a list of weights, got .*: give a list"):
        Ensemble.from_weights(sources[one], SimpleNamespace(name="mine", spec=spec))


def test_a_file_of_an_untied_network_is_refused_for_a_tied_one(tmp_path):
    spec = ParamSpec.of(tied := nn.ModuleDict({"e": nn.Embedding(5, 3), "o": nn.Linear(3, 5, bias=False)}))
    torch.save(prefixed("module.", tied.state_dict()), tmp_path / "untied.pt")
    assert read_weights(tmp_path / "untied.pt", spec).shape == (30,)
    tied["o"].weight = tied["e"].weight
    spec = ParamSpec.of(tied)
    with pytest.raises(DataError, match=r"untied\.pt: expected 'o\.weight' and 'e\.weight' to be equal"):
        read_weights(tmp_path / "untied.pt", spec)
    torch.save(tied.state_dict(), tmp_path / "tied.pt")
    save_file({"e.weight": tied["e"].weight.detach()}, tmp_path / "once.safetensors")
    for name in ("tied.pt", "once.safetensors"):
        assert torch.equal(read_weights(tmp_path / name, spec), tied["e"].weight.flatten())


class Payload:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


@pytest.mark.parametrize("form", ["torch", "pickle", "nested"])
@pytest.mark.parametrize("suffix", ["pt", "ckpt", "bin"])
def test_a_file_that_runs_code_is_refused_without_running_it(tmp_path, net, spec, form, suffix):
    target, path = tmp_path / "pwned", tmp_path / f"evil.{suffix}"
    if form == "pickle":
        path.write_bytes(pickle.dumps(Payload(target)))
    else:
        evil = Payload(target)
        torch.save(evil if form == "torch" else {"state_dict": net.state_dict(), "hook": evil}, path)
    with pytest.raises(DataError, match=r"runs code when it is read: save model\.state_dict\(\) alone"):
        read_weights(path, spec)
    assert not target.exists()
    # The payload is real: plain unpickling would have made the file.
    pickle.loads(pickle.dumps(Payload(target))).close()
    assert target.exists()


def test_a_whole_pickled_module_is_refused(tmp_path, net, spec):
    torch.save(net, tmp_path / "w.pt")
    with pytest.raises(DataError, match="runs code"):
        read_weights(tmp_path / "w.pt", spec)


def test_an_npy_of_objects_is_refused_without_running_it(tmp_path, spec):
    target = tmp_path / "pwned"
    np.save(tmp_path / "w.npy", np.array([Payload(target)], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read as"):
        read_weights(tmp_path / "w.npy", spec)
    assert not target.exists()


@pytest.mark.parametrize(
    "array", [np.array(["a", "b"]), np.arange(12), np.zeros(12, complex), np.zeros(12, "M8[s]"), np.zeros((3, 12))]
)
def test_an_npy_of_something_else_is_refused(tmp_path, spec, array):
    np.save(tmp_path / "w.npy", array)
    with pytest.raises(DataError, match="expected"):
        read_weights(tmp_path / "w.npy", spec)


def test_an_archive_called_npy_is_refused(tmp_path, spec, truth):
    np.savez(tmp_path / "w.npz", w=truth.numpy())
    (tmp_path / "w.npz").rename(tmp_path / "w.npy")
    with pytest.raises(DataError, match="several arrays"):
        read_weights(tmp_path / "w.npy", spec)


@pytest.mark.parametrize("name", ["w.pt", "w.npy", "w.safetensors"])
def test_damaged_files_end_in_a_sentence(tmp_path, net, spec, truth, name):
    path = tmp_path / name
    if name == "w.pt":
        torch.save(net.state_dict(), path)
    elif name == "w.npy":
        np.save(path, truth.numpy())
    else:
        save_file(net.state_dict(), path)
    good = path.read_bytes()
    random = np.random.default_rng(0)
    versions = [b"", b"\0", b"PK\x03\x04", b"\x80\x02", good[: len(good) // 2], good[:-1], good[:10], random.bytes(300)]
    versions += [b"\x80\x02" + random.bytes(50) for _ in range(20)]
    for _ in range(60):
        damaged = bytearray(good)
        damaged[random.integers(min(len(good), 400))] ^= random.integers(1, 256)
        versions.append(bytes(damaged))
    refused = 0
    for version in versions:
        path.write_bytes(version)
        try:
            assert read_weights(path, spec).shape == (spec.dim,)
        except DataError:
            refused += 1
    assert refused >= 27


def test_a_zip_that_is_no_checkpoint(tmp_path, spec):
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("data.pkl", b"hello")
    with pytest.raises(DataError):
        read_weights(tmp_path / "w.pt", spec)


@pytest.mark.parametrize(
    "source", [{}, {"a": 1}, {"state_dict": {}}, [torch.zeros(3)], None, 3, {"state_dict": {"model": {"x": 3}}}]
)
def test_no_state_dict(spec, source):
    with pytest.raises(DataError, match="expected a state dict"):
        read_weights(source, spec)


def test_missing_files_and_unknown_kinds(tmp_path, spec):
    (tmp_path / "w.txt").write_text("x")
    for path, message in ((tmp_path / "no.pt", "no file at"), (tmp_path, "got a folder at"), ("", "got a folder at"),
                          (tmp_path / "w.txt", r"\.safetensors, \.pt or \.npy")):  # fmt: skip
        with pytest.raises(DataError, match=message):
            read_weights(path, spec)


@pytest.mark.parametrize("other", [nn.Linear(4, 2), nn.Linear(3, 2), nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))])
def test_weights_of_another_network(spec, other):
    with pytest.raises(DataError, match="weights of another network"):
        read_weights(other.state_dict(), spec)


@pytest.mark.parametrize("shape", [(13,), (11,), (2, 12), (12, 1), (), (0,), (3, 4)])
def test_vectors_of_another_length(spec, shape):
    with pytest.raises(DataError, match="expected 12 numbers"):
        read_weights(torch.zeros(shape), spec)


def test_a_batch_of_weights_is_not_one(net, spec):
    stacked = {name: torch.stack([value, value]) for name, value in net.state_dict().items()}
    with pytest.raises(DataError, match="got a batch of"):
        read_weights(stacked, spec)
    one = {name: value[None] if value.ndim == 2 else value for name, value in net.state_dict().items()}
    with pytest.raises(DataError, match="same leading axes"):
        read_weights(one, spec)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite(spec, truth, bad):
    truth[3] = bad
    with pytest.raises(DataError, match="the run diverged"):
        read_weights(truth, spec)


def test_integers_are_no_weights(spec):
    with pytest.raises(DataError, match="floating-point"):
        read_weights(torch.zeros(12, dtype=torch.int64), spec)


# ------------------------------------------------------------------ ensembles
def full_ensemble(spec):
    g = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=g)  # noqa: E731
    curve = draw(3, 5).double()
    curve[1, 3:] = float("nan")
    return Ensemble(
        problem="mine", optimizer="sgd", spec=spec,
        train=WeightSet(draw(2, 12), torch.tensor([3, 4]), {"train_loss": draw(2).double()}),
        test=WeightSet(draw(2, 12), torch.tensor([1, 2]), {"test_loss": draw(2).double()}),
        selected_on="validation", initial=draw(2, 12),
        replicas=(
            Replica(0, "completed", "all steps taken", True, 4, 0.5, 4.0),
            Replica(1, "diverged", "loss became NaN", False, 3, 0.0, float("inf")),
            Replica(2, "completed", "all steps taken", True, 4, 0.5, 4.0),
        ),
        curves=Curves(torch.arange(5), "epoch", {"train_loss": curve}),
        settings={"lr": 0.1, "batch": None, "nested": {"betas": (0.9, 0.99)}},
    )  # fmt: skip


@pytest.mark.parametrize("name", ["run", "run.json", "lr0.1", "a b/ü"])
def test_an_ensemble_comes_back_with_the_same_bits(tmp_path, spec, name):
    ensemble = full_ensemble(spec)
    ensemble.save(tmp_path / name)
    back = Ensemble.load(tmp_path / name)
    assert bit_equal(back.to_tree(), ensemble.to_tree())
    assert back.spec == spec
    assert back.replicas == ensemble.replicas
    assert [r.index for r in back.diverged] == [1]
    assert [r.index for r in back.kept] == [0, 2]
    assert len(back) == 2
    assert torch.equal(back[1], ensemble.train.weights[1])


def test_names_with_dots_are_different_ensembles(tmp_path, spec):
    first, second = (
        full_ensemble(spec),
        Ensemble("other", "imported", spec, WeightSet(torch.ones(1, 12), torch.zeros(1))),
    )
    first.save(tmp_path / "lr0.1")
    second.save(tmp_path / "lr0.2")
    assert Ensemble.load(tmp_path / "lr0.1").problem == "mine"
    assert Ensemble.load(tmp_path / "lr0.2").problem == "other"
    assert Ensemble.load(tmp_path / "lr0.2").test is None


def test_an_ensemble_of_files(tmp_path, net, spec, truth):
    class Problem:
        name = "mine"

    problem = Problem()
    problem.spec = spec
    np.save(tmp_path / "a.npy", truth.numpy())
    ensemble = Ensemble.from_weights([tmp_path / "a.npy", net, truth], problem)
    assert torch.equal(ensemble.train.weights, truth.expand(3, -1))
    with pytest.raises(InputError, match="empty list"):
        Ensemble.from_weights([], problem)
    with pytest.raises(InputError, match=r"this ensemble \(train\)"):
        ensemble.weight_set("test")
    problem.spec = None
    with pytest.raises(InputError, match="got an energy"):
        Ensemble.from_weights([truth], problem)
