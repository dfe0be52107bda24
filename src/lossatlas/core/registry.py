"""Named things: one line registers a model, landscape, optimizer or recipe everywhere at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from lossatlas.core.errors import ConfigurationError, nearest

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A mapping from public names to objects, whose misses name the nearest hit.

    Args:
        kind: what the entries are, in the singular; used in messages.

    Example:
        >>> colours = Registry[str]("colour")
        >>> _ = colours.add("red", "#f00", "the colour of poppies")
        >>> colours["red"], colours.summary("red")
        ('#f00', 'the colour of poppies')
        >>> colours["rad"]
        Traceback (most recent call last):
        lossatlas.core.errors.ConfigurationError: unknown colour 'rad': did you mean 'red'? (one of: red)
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}
        self._summaries: dict[str, str] = {}

    def add(self, name: str, entry: T, summary: str) -> T:
        """Register ``entry`` under ``name`` with a one-line ``summary``.

        Raises:
            ConfigurationError: the name is taken.
        """
        if name in self._entries:
            raise ConfigurationError(f"the {self.kind} '{name}' is already registered: choose another name")
        self._entries[name] = entry
        self._summaries[name] = summary
        return entry

    def register(self, name: str, summary: str) -> Callable[[T], T]:
        """Return a decorator that registers what it decorates."""
        return lambda entry: self.add(name, entry, summary)

    def summary(self, name: str) -> str:
        """Return the one-line description of an entry."""
        self[name]
        return self._summaries[name]

    def __getitem__(self, name: str) -> T:
        try:
            return self._entries[name]
        except KeyError:
            # `from None`: the user needs the sentence, not the dictionary's lookup.
            raise ConfigurationError(f"unknown {self.kind} '{name}': {nearest(name, self._entries)}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
