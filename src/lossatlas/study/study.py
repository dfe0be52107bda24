"""Study: a configuration and a folder; computing what is missing and reading what is there."""

from __future__ import annotations

import functools
import json
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lossatlas import optimize
from lossatlas.core.errors import ConfigurationError, InputError, StorageError
from lossatlas.core.files import write_atomic
from lossatlas.core.hardware import describe_hardware, on_threads, resolve_device
from lossatlas.problems import Problem
from lossatlas.study.config import StudyConfig
from lossatlas.study.context import Context, Update
from lossatlas.study.examples import load_details, save_details
from lossatlas.study.executors import Compute, Executor, Observer, check_executor, compute_pieces
from lossatlas.study.folders import refuse_other_results
from lossatlas.study.load import parse_config
from lossatlas.study.made import make_problem, make_problems
from lossatlas.study.numerics import StudyNumerics
from lossatlas.study.results import Gathered, StudyResults
from lossatlas.study.stages import Planning, list_pieces, stage_of
from lossatlas.study.store import Piece, Store
from lossatlas.study.versions import versions

__all__ = ["PieceStatus", "Study"]

_MOST_WORKERS = 4

CONFIG_FILE = "study.toml"
PROVENANCE_FILE = "provenance.json"


@dataclass(frozen=True)
class PieceStatus:
    """Where one piece stands.

    Args:
        piece: which.
        state: ``"done"``, ``"in progress"`` or ``"to do"``.
        seconds: how long it took, if done.
    """

    piece: Piece
    state: str
    seconds: float | None


class Study:
    """A study in a folder.

    Args:
        config: what to compute.
        folder: where; made when something is written.
        device: ``"cpu"`` or ``"cuda"``.

    Raises:
        InputError: no such device.
        DataError: the data cannot be loaded.
    """

    def __init__(self, config: StudyConfig, folder: str | Path, device: str = "cpu") -> None:
        self.config = config
        self.folder = Path(folder).expanduser().absolute()
        self.device = resolve_device(device)
        self.store = Store(self.folder)
        self._problems: dict[str, Problem] | None = None

    @classmethod
    def open(cls, folder: str | Path) -> Study:
        """Open the study that a folder holds.

        Raises:
            StorageError: the folder holds none.
        """
        path = Path(folder).expanduser().absolute()
        try:
            document = tomllib.loads((path / CONFIG_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise StorageError(
                f"expected a study in {path}, got a folder without {CONFIG_FILE}: "
                "give the --out folder of 'lossatlas study run'"
            ) from None
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise StorageError(f"expected a readable {path / CONFIG_FILE}, got '{error}'") from error
        study = cls(parse_config(document, str(path / CONFIG_FILE)), path)
        numerics = StudyNumerics.load(path)
        if numerics is not None:
            # Not looked for: what was computed on a GPU can be read without one.
            study.device = torch.device(numerics.device)
        return study

    @property
    def problems(self) -> dict[str, Problem]:
        """Problems by network; the data are loaded at the first use."""
        if self._problems is None:
            self._problems = make_problems(self.config, str(self.device))
        return self._problems

    def stored_numerics(self) -> StudyNumerics | None:
        """Those the study began with; None if it has not begun on this device."""
        stored = StudyNumerics.load(self.folder)
        return stored if stored is not None and stored.covers(set(self.config.networks), self.device.type) else None

    def numerics(self, workers: int = 1) -> StudyNumerics:
        """Those the study began with, or measured now for processes that share the cores."""
        stored = self.stored_numerics()
        if stored is not None:
            return stored
        rows = {name: (self.problems[name], network.replicas) for name, network in self.config.networks.items()}
        return StudyNumerics.measure(rows, self.device.type, StudyNumerics.load(self.folder), workers)

    def suggested_workers(self) -> int:
        """As many processes as share the cores well: up to four, or as many as a study that has begun has room for.

        Threads within a piece leave a part of the cores idle; more than a few processes multiply the memory, and the
        longest piece on its share of the threads would decide.
        """
        threads = torch.get_num_threads()
        if self.device.type != "cpu":
            return 1
        stored = self.stored_numerics()
        return max(1, min(_MOST_WORKERS, threads // (stored.threads if stored is not None else 1)))

    def pieces(self, numerics: StudyNumerics) -> list[Piece]:
        """All pieces, each after what it needs."""
        return list_pieces(Planning(self.config, self._details(), numerics))

    def run(
        self,
        observer: Observer,
        command: str = "",
        checkpoint_seconds: float = 30.0,
        workers: int = 1,
        executor: Executor = "local",
    ) -> None:
        """Compute every piece that is missing.

        A piece is written once, whole; a run killed anywhere loses at most what happened since the last checkpoint of
        the piece in progress, and the next run continues there with the same bits.

        Args:
            observer: told about progress.
            command: how the user started it, for the methods section.
            checkpoint_seconds: least time between two checkpoints of a piece.
            workers: processes that compute pieces at the same time. A study that begins with several gives each its
                share of the threads; one that continues keeps the threads it has, and its results are the same bits.
            executor: ``"local"``: processes of this machine; ``"ray"``: tasks on a Ray cluster, as many at a time as
                it has room for, each on as many cores as one of ``workers`` has here. Processors of another type may
                differ in last bits.

        Raises:
            InputError: no worker, an unknown executor, or Ray is not installed.
            StorageError: the folder cannot be written, is in use, or holds a study with another configuration or of
                another device.
        """
        # Whatever is refused is refused before the first file is written.
        if workers < 1:
            raise InputError(f"expected at least one worker, got {workers}: leave it out for one")
        check_executor(executor)
        self._check_folder()
        self._check_device()
        self._check_batches()
        with self.store.locked():
            self._claim()
            self.store.sweep()
            numerics = self.numerics(workers)
            numerics.save(self.folder)
            save_details(self.folder, self.config, self.problems)
            pieces = self.pieces(numerics)
            for piece in filter(self.store.has, pieces):
                self.store.discard_checkpoint(piece)  # of a process that was killed when it had stored the piece
            if workers == 1 and executor == "local":
                compute = self._computing(numerics, checkpoint_seconds)
                with on_threads(numerics.threads):
                    for number, piece in enumerate(pieces, 1):
                        if not self.store.has(piece):
                            observer.begin(piece, number, len(pieces))
                            observer.end(piece, compute(piece, functools.partial(observer.update, piece)))
            else:
                # Ray gives each of its processes accelerators of its own.
                device = str(self.device) if executor == "local" else self.device.type
                make = functools.partial(_in_worker, self.folder, device, checkpoint_seconds)
                compute_pieces(
                    pieces,
                    self.store.has,
                    make,
                    observer,
                    executor=executor,
                    workers=workers,
                    cores=numerics.threads,
                    accelerators=int(self.device.type != "cpu"),
                )
            self._write_provenance(command, executor)

    def status(self) -> list[PieceStatus]:
        """Where every piece stands; nothing is computed."""
        numerics = self.stored_numerics()
        if numerics is None:
            return []
        return [
            PieceStatus(
                piece,
                "done" if self.store.has(piece) else "in progress" if self.store.started(piece) else "to do",
                self.store.seconds(piece) if self.store.has(piece) else None,
            )
            for piece in self.pieces(numerics)
        ]

    def results(self) -> StudyResults:
        """Read back everything that is stored."""
        numerics = self.stored_numerics()
        pieces = self.pieces(numerics) if numerics is not None else []
        done = {piece.address: self.store.has(piece) for piece in pieces}
        gathered = self._gather([piece for piece in pieces if done[piece.address]])
        return StudyResults(
            name=self.config.name,
            folder=self.folder,
            configuration=tomllib.loads(self.config.to_toml()),
            experiments=gathered.joined(),
            tables=gathered.tables,
            provenance=self._provenance(gathered.seconds),
            missing=tuple(f"{piece.kind} {piece.label}" for piece in pieces if not done[piece.address]),
            atlases=tuple(gathered.atlases),
            weights=tuple(gathered.weights),
            curvatures=tuple(gathered.curvatures),
            holdouts=tuple(gathered.holdouts),
            maps=tuple(gathered.maps),
            claims=tuple(gathered.claims),
        )

    # ------------------------------------------------------------------ inside
    def _computing(self, numerics: StudyNumerics, checkpoint_seconds: float) -> Compute:
        """What computes a piece in this process and stores it."""
        fixed = {name: p.with_numerics(numerics.networks[name]) for name, p in self.problems.items()}
        context = Context(self.config, fixed, self.store, self._gather, checkpoint_seconds)

        def compute(piece: Piece, update: Update) -> float:
            stage_of(piece).begin(piece, self.store)
            start, spent = time.monotonic(), self.store.spent(piece)
            result = stage_of(piece).compute(piece, context, update)
            seconds = spent + time.monotonic() - start
            self.store.save(piece, result, seconds)
            self.store.discard_checkpoint(piece)
            return seconds

        return compute

    def _details(self) -> dict[str, dict[str, Any]]:
        """What is said of data and models: of those at hand, or else as stored, so that reading needs no data."""
        stored = load_details(self.folder, self.config) if self._problems is None else None
        return stored or {name: problem.details for name, problem in self.problems.items()}

    def _gather(self, pieces: Sequence[Piece]) -> Gathered:
        gathered = Gathered()
        for piece in pieces:
            result, seconds = self.store.load(piece)
            gathered.seconds += seconds
            stage_of(piece).read(piece, result, seconds, gathered)
        return gathered

    def _check_batches(self) -> None:
        """Refuse mini-batches larger than the data, and parts that cannot be held out."""
        for name in self.config.networks:
            self._check_batch(name, self.problems[name].train.samples, "")
        for stage, how in self.config.holdout.items():
            for name in how.networks or self.config.networks:
                problem = make_problem(self.config, name, "cpu", validation=how.fraction)
                self._check_batch(name, problem.train.samples, f" that holdout '{stage}' leaves")

    def _check_batch(self, name: str, samples: int, which: str) -> None:
        for optimizer, settings in self.config.networks[name].optimizers.items():
            if optimize.get(optimizer, **settings.options).stochastic and settings.batch_size > samples:
                raise ConfigurationError(
                    f"expected batch_size from 1 to {samples} (the training examples{which}) for optimizer "
                    f"'{optimizer}' of network '{name}', got {settings.batch_size}"
                )

    def _claim(self) -> None:
        """Write the configuration into a folder that is ours."""
        self._check_folder()
        write_atomic(self.folder / CONFIG_FILE, self.config.to_toml())

    def _check_folder(self) -> None:
        """Refuse a folder that holds something else."""
        refuse_other_results("a study", self.folder)
        path = self.folder / CONFIG_FILE
        if path.exists():
            try:
                present = tomllib.loads(path.read_text(encoding="utf-8"))
            except (OSError, tomllib.TOMLDecodeError) as error:
                raise StorageError(f"expected a readable {path}, got '{error}': choose another --out") from error
            if present.get("name") != self.config.name:
                raise ConfigurationError(
                    f"expected a folder for study '{self.config.name}', got {self.folder} with study "
                    f"'{present.get('name')}': choose another --out"
                )
        elif not self.folder.is_dir():
            return  # not there yet, or the lock will say why it cannot be
        elif any(entry.name != ".lock" for entry in self.folder.iterdir()) and not (self.folder / "store").exists():
            raise StorageError(
                f"expected an empty folder or a study at {self.folder}, got a folder with other files: "
                "choose another --out"
            )

    def _check_device(self) -> None:
        """Refuse another device than the study's: its results are other pieces, and would replace its numerics."""
        stored = StudyNumerics.load(self.folder)
        if stored is not None and stored.device != self.device.type:
            raise StorageError(
                f"expected device '{stored.device}', on which the study in {self.folder} began, got "
                f"'{self.device.type}': give that device, or choose another --out"
            )

    def _write_provenance(self, command: str, executor: Executor) -> None:
        document = {
            "hardware": describe_hardware(self.device).to_json(),
            "packages": versions(),
            "command": command,
            "executor": executor,
        }
        write_atomic(self.folder / PROVENANCE_FILE, json.dumps(document, indent=1) + "\n")

    def _provenance(self, seconds: float) -> dict[str, Any]:
        path = self.folder / PROVENANCE_FILE
        try:
            stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        except ValueError as error:
            raise StorageError(f"expected JSON in {path}, got '{error}': delete the file") from error
        numerics = self.stored_numerics()
        used = {name: details["data"] for name, details in self._details().items()}
        return {
            **stored,
            "data": next(iter(used.values())),
            "examples": {name: {part: of[part] for part in ("train", "test")} for name, of in used.items()},
            "numerics": (numerics.to_json()["networks"] if numerics else {}),
            "threads": numerics.threads if numerics else None,
            "device": self.device.type,
            "seed": self.config.seed,
            "seconds": seconds,
        }


def _in_worker(folder: Path, device: str, checkpoint_seconds: float) -> Compute:
    """Open the study that another process holds, to compute pieces of it in this one."""
    study = Study.open(folder)
    study.device = resolve_device(device)
    numerics = study.numerics()
    torch.set_num_threads(numerics.threads)
    return study._computing(numerics, checkpoint_seconds)
