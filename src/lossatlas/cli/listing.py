"""``lossatlas list``: what there is to choose from."""

from __future__ import annotations

from collections.abc import Callable

import click

from lossatlas import data, landscape, models, optimize, paths, problems
from lossatlas.cli.console import print_rows
from lossatlas.core.errors import nearest
from lossatlas.core.registry import Registry
from lossatlas.study import recipe_names, recipe_summary

__all__ = ["listing"]


def _registry(registry: Registry[object]) -> list[tuple[str, str]]:
    return [(name, registry.summary(name)) for name in registry]


_KINDS: dict[str, Callable[[], list[tuple[str, str]]]] = {
    "problems": lambda: _registry(problems.problems),  # type: ignore[arg-type]
    "optimizers": lambda: _registry(optimize.optimizers),  # type: ignore[arg-type]
    "landscapes": lambda: _registry(landscape.landscapes),  # type: ignore[arg-type]
    "recipes": lambda: [(name, recipe_summary(name)) for name in recipe_names()],
    "models": lambda: _registry(models.models),  # type: ignore[arg-type]
    "data": lambda: _registry(data.datasets),  # type: ignore[arg-type]
    "paths": lambda: _registry(paths.finders),  # type: ignore[arg-type]
}


@click.command(name="list", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("kind")
def listing(kind: str) -> None:
    """List one KIND: problems, optimizers, landscapes, recipes, models, data or paths."""
    if kind not in _KINDS:
        raise click.UsageError(f"unknown kind '{kind}': {nearest(kind, _KINDS)}", click.get_current_context())
    print_rows(("name", "what it is"), _KINDS[kind]())
