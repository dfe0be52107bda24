"""Types of arguments that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["Folder"]


class Folder(click.ParamType[Path]):
    """A folder, there or not; ``~`` is the home folder.

    Example:
        >>> Folder().convert("runs/one", None, None)
        PosixPath('runs/one')
    """

    name = "folder"

    def convert(self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Refuse what an unset shell variable leaves: an empty name would mean the working directory."""
        if not str(value).strip():
            self.fail("expected a folder, got an empty name: write '.' for the working directory", param, ctx)
        try:
            return Path(value).expanduser()
        except RuntimeError:
            self.fail(f"expected a folder, got '{value}': there is no such user", param, ctx)
