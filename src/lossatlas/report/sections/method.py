"""How it was made: everything needed to make it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tomli_w

from lossatlas.report.blocks import Block, Definitions, Listing, Prose, Section
from lossatlas.report.methods import paragraphs
from lossatlas.report.wording import duration, network_name
from lossatlas.study.results import StudyResults

__all__ = ["build"]

_TERMS = {
    "memory_gib": "memory (GiB)",
    "torch": "PyTorch",
    "python": "Python",
    "dtype": "floating type",
}


def _term(key: str) -> str:
    return _TERMS.get(key, key.replace("_", " "))


def _value(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return "; ".join(f"{_term(str(key))}: {_value(content)}" for key, content in value.items())
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(_value(item) for item in value)
    return str(value)


def _definitions(title: str, mapping: object, names: bool = False) -> list[Block]:
    if not isinstance(mapping, Mapping) or not mapping:
        return []
    rows = tuple(
        (network_name(str(key)) if names else _term(str(key)), _value(value)) for key, value in mapping.items()
    )
    return [Definitions(title, rows)]


def _plain(value: Any) -> Any:
    """Reduce a configuration to what TOML can hold: no None, no types of our own."""
    if isinstance(value, Mapping):
        return {str(key): _plain(content) for key, content in value.items() if content is not None}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value if item is not None]
    return value if isinstance(value, bool | int | float | str) else str(value)


def _run(results: StudyResults) -> Definitions:
    provenance = results.provenance
    rows = [("recipe", results.name)]
    if provenance.get("seed") is not None:
        rows.append(("seed", str(provenance["seed"])))
    rows += [(key, str(provenance[key])) for key in ("device", "threads") if provenance.get(key) is not None]
    if provenance.get("executor") == "ray":
        rows.append(("computed by", "a Ray cluster; the machine below is the one that began it"))
    seconds = provenance.get("seconds")
    if isinstance(seconds, int | float):
        rows.append(("time", duration(seconds)))
    training = sum(experiment.seconds for experiment in results.experiments)
    if training:
        rows.append(("of it, training", duration(training)))
    return Definitions("Study", tuple(rows))


def build(results: StudyResults) -> Section:
    """Give the command, the methods in words, data, machine, numerics, versions and the complete configuration."""
    provenance = results.provenance
    blocks: list[Block] = []
    if provenance.get("command"):
        blocks.append(Prose("This command makes the study again; what is stored already is reused."))
        blocks.append(Listing("Command", str(provenance["command"])))
    blocks.append(Definitions("In words", tuple(paragraphs(results))))
    blocks.append(_run(results))
    blocks += _definitions("Data", provenance.get("data"))
    blocks += _definitions("Machine", provenance.get("hardware"))
    blocks += _definitions("Numerics", provenance.get("numerics"), names=True)
    blocks += _definitions("Versions", provenance.get("packages"))
    blocks.append(Listing("Configuration", tomli_w.dumps(_plain(results.configuration)).strip(), folded=True))
    return Section("method", "How it was made", tuple(blocks))
