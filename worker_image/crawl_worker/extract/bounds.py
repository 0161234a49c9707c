"""Bounds of what is taken from a page: every text, list and document is cut where it is made, and says so."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar

_T = TypeVar("_T")

MAX_TEXT: Final = 5_000_000
"""Characters of `text` and of `markdown`."""
MAX_DEPTH: Final = 32
"""Of a JSON document; what lies deeper is left out."""


class Cuts:
    """Bounds texts and lists, and remembers which were cut."""

    def __init__(self) -> None:
        self._names: list[str] = []

    @property
    def names(self) -> list[str] | None:
        """What was cut; None for nothing."""
        return self._names or None

    def text(self, name: str, text: str, limit: int = MAX_TEXT) -> str:
        """Return the text, cut to so many characters."""
        if len(text) > limit:
            self.note(name)
            text = text[:limit]
        return clean(text)

    def listed(self, name: str, values: Iterable[_T], limit: int) -> list[_T]:
        """Return the first so many values."""
        kept: list[_T] = []
        for value in values:
            if len(kept) == limit:
                self.note(name)
                break
            kept.append(value)
        return kept

    def note(self, name: str) -> None:
        """Remember that something was cut."""
        if name not in self._names:
            self._names.append(name)


def clean(text: str) -> str:
    """Return the text without what no JSON document can carry: lone surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")


def tidy(value: Any, depth: int = 0) -> Any:
    """Return a parsed JSON document of clean texts, without what lies too deep."""
    if isinstance(value, str):
        return clean(value)
    if not isinstance(value, dict | list):
        return value
    if depth == MAX_DEPTH:
        return None
    if isinstance(value, list):
        return [tidy(each, depth + 1) for each in value]
    return {clean(str(name)): tidy(each, depth + 1) for name, each in value.items()}


def walked(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a tidy JSON document, outermost first."""
    todo = deque([value])
    while todo:
        current = todo.popleft()
        if isinstance(current, dict):
            yield current
            todo += current.values()
        elif isinstance(current, list):
            todo += current
