"""What methods return where it is more than one thing: a page, an event, what came of many, an answer or an error."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

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

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], item: Callable[[Mapping[str, Any]], T]) -> Self:
        """Make it from its members by name; `item` makes one of the items, such as `Job.from_dict`."""
        return cls(tuple(map(item, data["items"])), data["total"], data["limit"], data.get("offset", 0))

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


@dataclass(frozen=True)
class Envelope(Generic[T]):
    """An answer or an error, for who would rather look than catch."""

    success: bool
    data: T | None = None
    error: str | None = None


async def enveloped(call: Awaitable[T]) -> Envelope[T]:
    """Wait for a call's answer; what this package would raise is told instead.

    Example::

        found = await enveloped(client.jobs.get("docs"))
        print(found.data.phase if found.success else found.error)
    """
    try:
        return Envelope(success=True, data=await call)
    except AppError as error:
        return Envelope(success=False, error=str(error))
