from __future__ import annotations

import errno
import math
import os
import signal
import struct
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lossatlas.core.errors import StorageError
from lossatlas.core.files import bit_equal, canonical_json, digest, load_tree, remove_tree, save_tree, write_atomic

DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
]  # fmt: skip


@st.composite
def tensors(draw):
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    size = torch.Size(shape).numel() * torch.empty((), dtype=dtype).element_size()
    raw = bytearray(draw(st.binary(min_size=size, max_size=size)))
    if dtype == torch.bool:
        raw = bytearray(b & 1 for b in raw)
    # Any bits at all: NaN with payloads, infinities, denormals, minus zero.
    return torch.frombuffer(raw, dtype=dtype).reshape(shape).clone() if size else torch.empty(shape, dtype=dtype)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), text, tensors())
keys = st.one_of(text, st.integers(), st.sampled_from(["$tensor", "$tuple", "$items", "$float", ""]), st.just((1, "a")))
trees = st.recursive(
    leaves,
    lambda t: st.one_of(
        st.lists(t, max_size=3), st.lists(t, max_size=3).map(tuple), st.dictionaries(keys, t, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(trees)
def test_any_tree_comes_back_with_the_same_bits(tmp_path, tree):
    path = tmp_path / "tree.json"
    save_tree(path, tree)
    assert bit_equal(load_tree(path), tree)
    # One version, one pair of files: nothing older stays behind.
    assert len(list(tmp_path.iterdir())) == 2


@given(st.floats(), st.floats())
def test_bit_equal_of_floats_compares_bits(a, b):
    same = struct.pack("d", a) == struct.pack("d", b) or (math.isnan(a) and math.isnan(b))
    assert bit_equal(a, b) == same


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (torch.zeros(2), torch.zeros(2, 1)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
        (torch.tensor([0.0]), torch.tensor([-0.0])),
        (torch.zeros(1), [0.0]),
        ((1,), [1]),
        ({"a": 1}, {"a": 1.0}),
        ({"a": 1, "b": 2}, {"a": 1}),
        ([1], [1, 1]),
        (True, 1),
        (None, 0),
    ],
)
def test_bit_equal_tells_different_trees_apart(a, b):
    assert not bit_equal(a, b)
    assert bit_equal(a, a)
    assert bit_equal(b, b)


def test_views_are_stored_and_compared_by_their_elements(tmp_path):
    base = torch.arange(6.0).reshape(2, 3)
    tree = {"strided": base.flatten()[::2], "transposed": base.T, "expanded": base[0, 0].expand(3), "shared": base,
            "conjugate": torch.tensor([1 + 2j]).conj(), "leaf": torch.ones(2, requires_grad=True)}  # fmt: skip
    save_tree(tmp_path / "a.json", tree)
    back = load_tree(tmp_path / "a.json")
    assert back["strided"].tolist() == [0, 2, 4]
    assert back["transposed"].tolist() == base.T.tolist()
    assert back["conjugate"].tolist() == [1 - 2j]
    assert bit_equal(back, tree)


def test_floats_of_numpy_are_floats(tmp_path):
    save_tree(tmp_path / "a.json", [np.float64("nan"), np.float64("-inf"), np.float64(0.1)])
    back = load_tree(tmp_path / "a.json")
    assert math.isnan(back[0])
    assert back[1:] == [-math.inf, 0.1]


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", np.zeros(2), 1j, torch.float32])
def test_what_cannot_be_stored_is_named_and_nothing_written(tmp_path, value):
    with pytest.raises(StorageError, match=f"got {type(value).__name__}"):
        save_tree(tmp_path / "a.json", {"x": [torch.ones(1), value]})
    assert list(tmp_path.iterdir()) == []


def test_every_flipped_byte_is_noticed_or_harmless(tmp_path):
    path = tmp_path / "a.json"
    tree = {"x": torch.arange(3.0), "big": 1e308, "note": "tab\tand\u0001", "t": (1, -2.5, None, True)}
    save_tree(path, tree)
    refused = 0
    for file in list(tmp_path.iterdir()):
        good = file.read_bytes()
        for position in range(len(good)):
            for flip in (0x01, 0x80):
                file.write_bytes(good[:position] + bytes([good[position] ^ flip]) + good[position + 1 :])
                try:
                    assert bit_equal(load_tree(path), tree)  # white space became other white space
                except StorageError:
                    refused += 1
        file.write_bytes(good)
    total = 2 * sum(file.stat().st_size for file in tmp_path.iterdir())
    assert refused > 0.98 * total
    assert bit_equal(load_tree(path), tree)


@pytest.mark.parametrize("size", [0, 1, 40, -1])
@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_a_truncated_file_is_refused(tmp_path, size, suffix):
    save_tree(tmp_path / "a.json", {"x": torch.ones(4)})
    (file,) = tmp_path.glob(f"*{suffix}")
    file.write_bytes(file.read_bytes().rstrip()[:size])
    with pytest.raises(StorageError, match=r"expected .*a\.json"):
        load_tree(tmp_path / "a.json")


@pytest.mark.parametrize("content", ["", "[]", "3", "null", "{}", '{"content": 1, "tensors": []}', "not json", "\xff"])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(StorageError, match="expected"):
        load_tree(path)


def test_a_missing_file_and_another_format_are_named(tmp_path):
    with pytest.raises(StorageError, match="no such file"):
        load_tree(tmp_path / "a.json")
    save_tree(tmp_path / "a.json", {})
    text = (tmp_path / "a.json").read_text()
    (tmp_path / "a.json").write_text(text.replace('"format": 1', '"format": 99'))
    with pytest.raises(StorageError, match="another version of lossatlas"):
        load_tree(tmp_path / "a.json")


def test_a_doctored_json_never_deletes_a_file_of_somebody_else(tmp_path):
    other = tmp_path / "precious.txt"
    other.write_text("mine")
    folder = tmp_path / "store"
    save_tree(folder / "a.json", {"x": 1})
    text = (folder / "a.json").read_text()
    for name in ("../precious.txt", str(other), "a-/../../precious.txt"):
        document = text.replace(next(folder.glob("*.safetensors")).name, name)
        (folder / "a.json").write_text(document)
        save_tree(folder / "a.json", {"x": 2})
        (folder / "a.json").write_text(document)
        remove_tree(folder / "a.json")
        assert other.read_text() == "mine"


def test_remove_leaves_nothing_and_may_be_repeated(tmp_path):
    save_tree(tmp_path / "a.json", {"x": torch.ones(1)})
    remove_tree(tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []
    remove_tree(tmp_path / "a.json")


def test_canonical_json_is_one_text_for_equal_values():
    assert (
        canonical_json({"a": 1, "b": [1.5, "ü"]})
        == canonical_json({"b": [1.5, "ü"], "a": 1})
        == '{"a":1,"b":[1.5,"ü"]}'
    )
    assert digest({"a": 1}) != digest({"a": 1.0})
    with pytest.raises(ValueError, match="JSON"):
        canonical_json(math.nan)


# ------------------------------------------------------------------ disks that refuse
def _refuse(monkeypatch, call, code):
    def fail(*arguments, **options):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, fail)


@pytest.mark.parametrize(("call", "code"), [("fsync", errno.ENOSPC), ("fsync", errno.EIO), ("replace", errno.EACCES)])
def test_a_full_disk_leaves_the_old_version_and_no_parts(tmp_path, monkeypatch, call, code):
    path = tmp_path / "a.json"
    save_tree(path, {"x": torch.zeros(2)})
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    _refuse(monkeypatch, call, code)
    with pytest.raises(StorageError) as caught:
        save_tree(path, {"x": torch.ones(2)})
    monkeypatch.undo()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    message = str(caught.value)
    assert message.startswith("expected to write ")
    assert os.strerror(code) in message
    assert "\n" not in message


def test_a_disk_that_fills_up_between_the_two_files_keeps_the_old_version(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    save_tree(path, {"x": torch.zeros(2)})
    real, calls = os.fsync, []

    def second_fails(handle):
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", second_fails)
    with pytest.raises(StorageError, match="No space left"):
        save_tree(path, {"x": torch.ones(2)})
    assert len(calls) == 2
    assert load_tree(path)["x"].tolist() == [0, 0]
    assert list(tmp_path.glob(".*")) == []


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "a.txt", tmp_path / "file" / "deeper" / "a.txt", tmp_path / ("n" * 300)):
        with pytest.raises(StorageError, match="choose a folder you may write to"):
            write_atomic(path, "content")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_folder_in_the_way_of_the_file(tmp_path):
    (tmp_path / "a.txt" / "inside").mkdir(parents=True)
    with pytest.raises(StorageError):
        write_atomic(tmp_path / "a.txt", "content")
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_files_are_as_readable_as_any_other(tmp_path):
    write_atomic(tmp_path / "a", "é")
    (tmp_path / "b").write_text("b")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode
    assert (tmp_path / "a").read_bytes() == "é".encode()


# Imports once, then forks a writer per line of input, so that a kill costs no start of the interpreter.
WRITERS = """
import os, sys
from pathlib import Path
import torch
from lossatlas.core.files import save_tree
for line in sys.stdin:
    n = int(line)
    child = os.fork()
    if child == 0:
        print("pid", os.getpid(), flush=True)
        while True:
            n += 1
            save_tree(Path(sys.argv[1]), {"n": n, "x": torch.full((20_000,), n), "y": torch.arange(n, n + 50)})
            print("wrote", n, flush=True)
    os.waitpid(child, 0)
    print("dead", 0, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_version(tmp_path):
    path = tmp_path / "state.json"
    latest = 0
    command = [sys.executable, "-c", WRITERS, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writers:

        def read():
            word, number = writers.stdout.readline().split()
            return word, int(number)

        for kill in range(20):
            writers.stdin.write(f"{latest}\n")
            writers.stdin.flush()
            _, pid = read()
            reported = latest
            for _ in range(1 + kill % 3):
                _, reported = read()
            # A different moment of the next write each time, without a clock: so many looks at the folder.
            for _ in range(kill * 5):
                list(tmp_path.iterdir())
            os.kill(pid, signal.SIGKILL)
            while (said := read())[0] == "wrote":
                reported = said[1]
            tree = load_tree(path)
            assert tree["n"] in (reported, reported + 1)  # in place, but killed before it could say so
            assert bool((tree["x"] == tree["n"]).all())
            assert tree["y"][0] == tree["n"]
            latest = tree["n"]
        writers.stdin.close()
    assert latest >= 20
