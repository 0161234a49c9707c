"""Which jobs of a list are meant, in what order, and which page of them: over what is in memory."""

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

from crawl_api.enums import JobType, Phase, Priority
from crawl_client import dialects
from crawl_client.errors import ValidationError
from crawl_client.models import ApiObject, Job
from crawl_gateway.entries import Entry
from crawl_gateway.shelf import age

T = TypeVar("T", bound=ApiObject)

Rank = tuple[Any, str, str]
"""What entries are ordered by; namespace and name tell those apart that are else the same."""

_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Selection:
    """Which jobs are meant; what is left empty keeps all.

    >>> Selection.of(phase="failed", type="batch").types
    frozenset({<JobType.BATCH: 'Batch'>})
    """

    phases: frozenset[Phase] = frozenset()
    types: frozenset[JobType] = frozenset()
    priorities: frozenset[Priority] = frozenset()
    schedule: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    search: str = ""
    """Text in the name, the display name or a URL, whatever its case."""

    @classmethod
    def of(  # noqa: PLR0913 - what a list may be asked
        cls,
        *,
        phase: str | Iterable[str] = (),
        type: str | Iterable[str] = (),  # noqa: A002 - the word on the wire
        priority: str | int | Iterable[str | int] = (),
        schedule: str = "",
        labels: str = "",
        search: str = "",
    ) -> "Selection":
        """Make it from words of any dialect; several of a kind by commas, or as a list.

        Raises:
            ValidationError: a word is unknown.
        """
        return cls(
            phases=dialects.phases(_words(phase)) if phase else frozenset(),
            types=frozenset(map(dialects.job_type, _words(type))),
            priorities=frozenset(dialects.priority(word) for word in _words(priority)),
            schedule=schedule,
            labels=_labels(labels),
            search=search.strip().lower(),
        )

    def keeps(self, entry: Entry[Any]) -> bool:
        """Tell whether an entry is meant."""
        return (
            (not self.phases or entry.phase in self.phases)
            and (not self.types or entry.type in self.types)
            and (not self.priorities or entry.priority in self.priorities)
            and (not self.schedule or entry.schedule == self.schedule)
            and (not self.search or self.search in entry.text)
            and all(entry.labels.get(key) == value for key, value in self.labels.items())
        )


@dataclass(frozen=True)
class Paging:
    """Which part of a list, in what order: by number, or after the last entry of the page before (`cursor`)."""

    limit: int = 50
    offset: int = 0
    cursor: str = ""
    sort: str = "created"
    descending: bool = True


@dataclass(frozen=True)
class Listed(Generic[T]):
    """A page of a list."""

    items: tuple[T, ...]
    total: int
    """How many there are in all."""
    cursor: str
    """For the page after this one; empty where there is none."""
    version: int
    """The resource version of what the list was made of; a stream can go on from it."""


_SORTS: Final[dict[str, Callable[[Entry[Job]], Any]]] = {
    "name": lambda entry: entry.key[1],
    "phase": lambda entry: entry.phase.value,
    "priority": lambda entry: -entry.priority.rank,
    "started": lambda entry: entry.started or _NEVER,
    "completed": lambda entry: entry.completed or _NEVER,
    "type": lambda entry: entry.type.value,
}
SORTS: Final = ("created", *_SORTS)


def page_of(entries: Sequence[Entry[Job]], selection: Selection, paging: Paging, version: int) -> Listed[Job]:
    """Return a page of the entries that are meant.

    Args:
        entries: the oldest first.
        selection: which.
        paging: order and place.
        version: of what they were taken from.

    Raises:
        ValidationError: the order is unknown, or the cursor is of another list.
    """
    if paging.sort not in SORTS:
        raise ValidationError([f"{paging.sort!r} is no order; there are {', '.join(SORTS)}"])
    kept = [entry for entry in entries if selection.keeps(entry)] if selection != Selection() else list(entries)
    if paging.sort == "created":
        rank: Callable[[Entry[Job]], Rank] = _by_age
        if paging.descending:
            kept.reverse()
    else:
        key = _SORTS[paging.sort]

        def rank(entry: Entry[Job]) -> Rank:
            return (key(entry), *entry.key)

        kept.sort(key=rank, reverse=paging.descending)
    start = paging.offset
    if paging.cursor:
        last = _read_cursor(paging)
        start = _place_after(kept, rank, last, descending=paging.descending)
    page = kept[start : start + paging.limit]
    more = start + len(page) < len(kept)
    cursor = _cursor(paging, rank(page[-1])) if page and more else ""
    return Listed(tuple(entry.object for entry in page), len(kept), cursor, version)


def _by_age(entry: Entry[Job]) -> Rank:
    created, (namespace, name) = age(entry)
    return created, namespace, name


def _place_after(kept: list[Entry[Job]], rank: Callable[[Entry[Job]], Rank], last: Rank, *, descending: bool) -> int:
    low, high = 0, len(kept)
    while low < high:
        middle = (low + high) // 2
        passed = rank(kept[middle]) >= last if descending else rank(kept[middle]) <= last
        low, high = (middle + 1, high) if passed else (low, middle)
    return low


def _cursor(paging: Paging, rank: Rank) -> str:
    value = rank[0].isoformat() if isinstance(rank[0], datetime) else rank[0]
    text = json.dumps([paging.sort, paging.descending, value, *rank[1:]], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(paging: Paging) -> Rank:
    try:
        padded = paging.cursor + "=" * (-len(paging.cursor) % 4)
        value, namespace, name = _parts(paging, json.loads(base64.urlsafe_b64decode(padded)))
    except (ValueError, TypeError) as error:
        raise ValidationError(["cursor: not one of this list in this order"]) from error
    return value, namespace, name


def _parts(paging: Paging, read: Any) -> tuple[Any, str, str]:
    sort, descending, value, namespace, name = read
    if sort in {"created", "started", "completed"}:
        value = datetime.fromisoformat(value)
    wanted = datetime if isinstance(value, datetime) else int if sort == "priority" else str
    texts = isinstance(namespace, str) and isinstance(name, str)
    zoned = not isinstance(value, datetime) or value.tzinfo is not None
    if (
        (sort, descending) != (paging.sort, paging.descending)
        or not isinstance(value, wanted)
        or not texts
        or not zoned
    ):
        raise ValueError(read)
    return value, namespace, name


def _words(given: str | int | Iterable[str | int]) -> list[str]:
    parts = [given] if isinstance(given, (str, int)) else list(given)
    return [word.strip() for part in parts for word in str(part).split(",") if word.strip()]


def _labels(text: str) -> dict[str, str]:
    wanted = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, found, value = part.partition("=")
        if not found or not key.strip() or key.endswith("!"):
            raise ValidationError([f"labels: {part!r} is not of the form name=value"])
        wanted[key.strip()] = value.lstrip("=").strip()
    return wanted
