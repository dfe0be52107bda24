from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from lossatlas import data
from lossatlas.core.errors import ConfigurationError, DataError, InputError, StorageError


@pytest.fixture
def good(tiny: Any) -> dict[str, bytes]:
    return {name: gzip.compress(content, mtime=0) for name, content in tiny.contents.items()}


def everything_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_files_arrive_verified_and_load(tiny: Any, good: dict[str, bytes], mirror: Any, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    folder = data.download(
        "tiny", data_dir=tmp_path, mirrors=[mirror.serve("a", good)], progress=lambda *step: seen.append(step)
    )
    assert folder == tmp_path / "tiny"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {f"{n}.gz": b for n, b in good.items()}
    assert len(data.get("tiny", data_dir=tmp_path).train) == 6
    assert [step for step in seen if step[1] == step[2]] == [(f"{n}.gz", len(b), len(b)) for n, b in good.items()]


def test_good_files_are_kept_and_not_fetched_again(
    tiny: Any, good: dict[str, bytes], mirror: Any, tmp_path: Path
) -> None:
    address = mirror.serve("a", good)
    folder = data.download("tiny", data_dir=tmp_path, mirrors=[address])
    times = [path.stat().st_mtime_ns for path in everything_below(folder)]
    mirror.asked.clear()
    assert data.download("tiny", data_dir=tmp_path, mirrors=[address]) == folder
    assert data.download("tiny", data_dir=folder, mirrors=[address]) == folder
    assert mirror.asked == []
    assert [path.stat().st_mtime_ns for path in everything_below(folder)] == times
    (folder / "test-images.gz").write_bytes(b"damaged")
    (folder / "test-labels.gz").unlink()
    data.download("tiny", data_dir=tmp_path, mirrors=[address])
    assert mirror.asked == ["/a/test-images.gz", "/a/test-labels.gz"]
    assert len(data.get("tiny", data_dir=tmp_path).test) == 3


def test_default_place_is_the_first_one_searched(
    good: dict[str, bytes], mirror: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = mirror.serve("a", good)
    assert data.download("tiny", mirrors=[address]) == tmp_path / "cache" / "lossatlas" / "data" / "tiny"
    monkeypatch.setenv("LOSSATLAS_DATA", str(tmp_path / "mine"))
    assert data.download("tiny", mirrors=[address]) == tmp_path / "mine" / "tiny"


def bad_answers(tiny: Any, good: dict[str, bytes]) -> dict[str, tuple[tuple[int, bytes, int | None], str]]:
    body = good["train-images"]
    content = tiny.contents["train-images"]
    wrong = gzip.compress(content[:-1] + bytes([content[-1] ^ 1]), mtime=0)
    return {
        "missing": ((404, b"", 0), "HTTP status 404"),
        "broken": ((500, b"sorry", 5), "HTTP status 500"),
        "wrong": ((200, wrong, len(wrong)), "SHA-256"),
        "page": ((200, b"<html>", 6), "IDX magic number"),
        "cut": ((200, body[:-10], len(body)), "the connection broke off"),
        "cut-silently": ((200, body[:-10], None), "cut off"),
        "large": ((200, bytes(200_000), 200_000), "got 200,000 announced"),
        "large-silently": ((200, bytes(200_000), None), "expected at most 65,672 bytes, got more"),
        "bomb": ((200, (bomb := gzip.compress(content + bytes(1 << 20), mtime=0)), len(bomb)), "got more"),
    }


KINDS = ["missing", "broken", "wrong", "page", "cut", "cut-silently", "large", "large-silently", "bomb"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_mirror_leaves_nothing_and_the_next_one_serves(
    kind: str, tiny: Any, good: dict[str, bytes], mirror: Any, tmp_path: Path
) -> None:
    answer, reason = bad_answers(tiny, good)[kind]
    bad, second = f"{mirror.url}/{kind}", mirror.serve("second", good)
    mirror.answers[f"/{kind}/train-images.gz"] = answer
    target = tmp_path / "target"
    with pytest.raises(DataError, match=f"/{kind}/train-images.gz: .*{reason}"):
        data.download("tiny", data_dir=target, mirrors=[bad])
    assert not target.exists()
    folder = data.download("tiny", data_dir=target, mirrors=[bad, second])
    assert {path.name for path in folder.iterdir()} == {f"{name}.gz" for name in good}


def test_every_mirror_gives_its_reason(tiny: Any, good: dict[str, bytes], mirror: Any, tmp_path: Path) -> None:
    answers = bad_answers(tiny, good)
    for kind in KINDS:
        mirror.answers[f"/{kind}/train-images.gz"] = answers[kind][0]
    with pytest.raises(DataError, match="one of 9 mirrors") as caught:
        data.download("tiny", data_dir=tmp_path, mirrors=[f"{mirror.url}/{kind}/" for kind in KINDS])
    assert all(f"/{kind}/train-images.gz: " in str(caught.value) for kind in KINDS)
    assert all(reason in str(caught.value) for _, reason in answers.values())


def test_a_refused_connection_is_a_reason(tiny: Any, mirror: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"http://127\.0\.0\.1:1/train-images\.gz: .*refused"):
        data.download("tiny", data_dir=tmp_path, mirrors=["http://127.0.0.1:1"])


def test_files_unpacked_on_the_way_are_packed_again(tiny: Any, mirror: Any, tmp_path: Path) -> None:
    folder = data.download("tiny", data_dir=tmp_path, mirrors=[mirror.serve("plain", tiny.contents)])
    for name, content in tiny.contents.items():
        assert gzip.decompress((folder / f"{name}.gz").read_bytes()) == content


def test_an_interruption_leaves_nothing(tiny: Any, good: dict[str, bytes], mirror: Any, tmp_path: Path) -> None:
    def interrupt(name: str, received: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        data.download("tiny", data_dir=tmp_path, mirrors=[mirror.serve("a", good)], progress=interrupt)
    assert everything_below(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_named(good: dict[str, bytes], mirror: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StorageError, match="choose a folder"):
        data.download("tiny", data_dir=tmp_path / "file", mirrors=[mirror.serve("a", good)])


def test_only_the_web_is_read(tiny: Any, tmp_path: Path) -> None:
    source = tiny.write(tmp_path / "source")
    with pytest.raises(InputError, match="https://"):
        data.download("tiny", data_dir=tmp_path / "target", mirrors=[source.as_uri()])
    assert not (tmp_path / "target").exists()


def test_names_without_files_are_refused() -> None:
    with pytest.raises(InputError, match=r"\(mnist, fashion-mnist, cifar10\), got 'digits': it needs no download"):
        data.download("digits")
    with pytest.raises(ConfigurationError, match="did you mean 'mnist'"):
        data.download("mnits")
