"""What methods return where it is more than one thing: a page, an event, what came of many."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from crawl_client.errors import AppError

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """A page of a list.

    >>> page = Page(items=("a", "b"), total=5, limit=2, offset=2)
    >>> page.page, page.pages, page.more
    (2, 3, True)
    """

    items: tuple[T, ...]
    total: int
    """How many there are in all."""
    limit: int
    offset: int

    @property
    def page(self) -> int:
        """Its number, from 1."""
        return self.offset // self.limit + 1

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return -(-self.total // self.limit)

    @property
    def more(self) -> bool:
        """Whether there are items after these."""
        return self.offset + len(self.items) < self.total


@dataclass(frozen=True)
class Event(Generic[T]):
    """Something that happened to an object that is watched."""

    type: str
    """ADDED, MODIFIED or DELETED."""
    object: T
    """What it is now, or was."""


@dataclass(frozen=True)
class Failure:
    """One of many that could not be done; the others are not concerned."""

    name: str
    error: AppError

    def __str__(self) -> str:
        return f"{self.name}: {self.error}"


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What came of doing something to many."""

    done: tuple[T, ...]
    failed: tuple[Failure, ...]
