"""A tiny archive of IDX files, registered under its own name, and a web server on this machine to fetch it from."""

from __future__ import annotations

import gzip
import hashlib
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lossatlas.data import Source, datasets
from lossatlas.data.archive import Archive
from lossatlas.data.idx import IdxFile


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    """Write the format independently of the reader under test."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@dataclass
class Tiny:
    """Four small files: arrays, plain bytes by name, and the archive that describes them."""

    arrays: dict[str, NDArray[np.uint8]]
    contents: dict[str, bytes]
    archive: Archive

    def write(self, folder: Path, *, compressed: bool = True) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.contents.items():
            if compressed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
            else:
                (folder / name).write_bytes(content)
        return folder


@pytest.fixture(autouse=True)
def _no_folders_but_temporary_ones(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LOSSATLAS_DATA", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Tiny:
    rng = np.random.default_rng(7)
    arrays = {
        "train-images": rng.integers(0, 256, (6, 4, 5), dtype=np.uint8),
        "train-labels": np.array([0, 1, 2, 0, 1, 2], dtype=np.uint8),
        "test-images": rng.integers(0, 256, (3, 4, 5), dtype=np.uint8),
        "test-labels": np.array([2, 1, 0], dtype=np.uint8),
    }
    contents = {name: idx_bytes(array) for name, array in arrays.items()}
    files = [IdxFile(n, arrays[n].shape, hashlib.sha256(contents[n]).hexdigest()) for n in arrays]
    archive = Archive("tiny", (files[0], files[1]), (files[2], files[3]), 3, (), "Made for a test.")
    monkeypatch.setattr(datasets, "_entries", {**datasets._entries, "tiny": Source(archive.load, archive)})
    return Tiny(arrays, contents, archive)


@dataclass
class Mirror:
    """What a server answers: path to (status, body, announced length or None), and what it was asked for."""

    url: str
    answers: dict[str, tuple[int, bytes, int | None]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def serve(self, folder: str, bodies: dict[str, bytes]) -> str:
        for name, body in bodies.items():
            self.answers[f"/{folder}/{name}.gz"] = (200, body, len(body))
        return f"{self.url}/{folder}/"


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    site = Mirror("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            status, body, length = site.answers.get(self.path, (404, b"", 0))
            self.send_response(status)
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            try:
                self.wfile.write(body)
            except ConnectionError:
                self.close_connection = True  # the reader had enough

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield site
        server.shutdown()
        thread.join()
