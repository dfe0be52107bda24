"""Diagnosed: the diagnosis of one point as it is stored, and its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from lossatlas.analysis.diagnosis import Diagnosis
from lossatlas.core.errors import StorageError
from lossatlas.core.files import Tree, load_tree
from lossatlas.study.folders import check_result_folder

__all__ = ["FILE", "Diagnosed", "check_diagnosis_folder", "has_diagnosis", "load_diagnosis"]

FILE = "store/diagnosis.json"


@dataclass(frozen=True, eq=False)
class Diagnosed:
    """The diagnosis of one point; made by :func:`lossatlas.study.diagnose`.

    Args:
        name: what the landscape is called.
        label: what the point is called.
        diagnosis: what was found.
        unit: of the loss, such as ``"nat"``.
        notes: what a reader should know of how it was made, in sentences.
        details: of landscape and machine, for people.
    """

    name: str
    label: str
    diagnosis: Diagnosis
    unit: str = ""
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def quantity(self) -> str:
        """What the landscape measures: ``"Loss"`` of a network, ``"Energy"`` of anything else."""
        return "Loss" if self.details.get("samples") is not None else "Energy"

    def to_tree(self) -> Tree:
        """Return nested dicts, the form in which it is stored."""
        return {**vars(self), "diagnosis": self.diagnosis.to_tree(), "details": dict(self.details)}

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> Diagnosed:
        """Rebuild it from :meth:`to_tree`."""
        return cls(**{**tree, "diagnosis": Diagnosis.from_tree(tree["diagnosis"])})


def has_diagnosis(folder: FilePath) -> bool:
    """Whether a folder holds what :func:`lossatlas.study.diagnose` stores."""
    return (folder / FILE).is_file()


def load_diagnosis(folder: str | FilePath) -> Diagnosed:
    """Read what :func:`lossatlas.study.diagnose` has stored in a folder.

    Raises:
        StorageError: the folder holds no diagnosis, or it is damaged.
    """
    path = FilePath(folder).expanduser().absolute() / FILE
    if not path.is_file():
        raise StorageError(
            f"expected a diagnosis in {folder}, got a folder without {FILE}: "
            "give the --out folder of 'lossatlas diagnose'"
        )
    tree = load_tree(path)
    if not isinstance(tree, dict) or "diagnosis" not in tree:
        raise StorageError(f"expected a diagnosis in {path}, got something else: choose another folder")
    return Diagnosed.from_tree(tree)


def check_diagnosis_folder(folder: FilePath) -> None:
    """Refuse a folder that holds something else, before anything is computed.

    Raises:
        StorageError: it does, or it is no folder.
    """
    check_result_folder("a diagnosis", folder, present=has_diagnosis(folder), allowed=(".lock",))
