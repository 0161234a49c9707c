"""A copy of one kind's objects that a watch keeps up to date, and the latest changes, which streams are made of."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

from pydantic_core import to_json

from crawl_client.collection import Collection
from crawl_client.errors import APIError
from crawl_client.models import ApiObject
from crawl_client.transport import Transport
from crawl_client.watching import watch
from crawl_gateway.entries import Entry, MakeEntry
from crawl_gateway.shelf import Shelf

T = TypeVar("T", bound=ApiObject)

_log = logging.getLogger(__name__)
_LONGEST_PAUSE: Final = 10.0
_REMEMBERED_BYTES: Final = 64 << 20
_AHEAD_SECONDS: Final = 2.0
"""For how long a stream that goes on from a version of another gateway's is waited for to be known here."""


@dataclass(frozen=True)
class Change(Generic[T]):
    """Something that happened to an object."""

    version: int
    """The resource version at which it happened: a stream goes on after it."""
    type: str
    """ADDED, MODIFIED or DELETED."""
    entry: Entry[T]

    @cached_property
    def json(self) -> bytes:
        """The object, written once for all streams."""
        return to_json(self.entry.object.raw)


class Reader(Generic[T]):
    """A stream's place: changes that it has not read yet, a bounded number of them."""

    def __init__(self, most: int) -> None:
        self._unread: asyncio.Queue[Change[T] | None] = asyncio.Queue(most)
        self.lost = False
        """Whether it was too slow: changes were missed."""

    def tell(self, change: Change[T] | None) -> None:
        """Hand a change over, without waiting; None wakes whoever waits."""
        try:
            self._unread.put_nowait(change)
        except asyncio.QueueFull:
            self.lost = True

    async def next(self, seconds: float) -> Change[T] | None:
        """Return the next change, or None after so many seconds without one."""
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(self._unread.get(), seconds)
        return None


class Mirror(Generic[T]):
    """One kind's objects in one namespace, or in all.

    Args:
        transport: how to ask the API server.
        collection: the kind.
        scope: the namespace; "" for all.
        make: object → entry.
        remembered: changes that are kept for streams that go on.
    """

    def __init__(
        self, transport: Transport, collection: Collection[T], scope: str, make: MakeEntry[T], remembered: int
    ) -> None:
        self._transport = transport
        self._collection = collection
        self.scope = scope
        self._make = make
        self.shelf: Shelf[T] = Shelf()
        self.version = 0
        """How far the watch has come; 0 before the first list."""
        self._remembered = remembered
        self._changes: deque[Change[T]] = deque()
        self._bytes = 0
        self._since = 0
        self._readers: set[Reader[T]] = set()
        self._heard = 0.0
        self._moved = asyncio.Condition()

    @property
    def silence(self) -> float:
        """Seconds since the API server was last heard of; the watch says something at least every minute or so."""
        return time.monotonic() - self._heard if self._heard else float("inf")

    @property
    def synced(self) -> bool:
        """Whether all objects have been listed."""
        return self.version > 0

    async def run(self) -> None:
        """Keep up to date, for ever."""
        failures = 0
        while True:
            try:
                await self._list()
                failures = 0
                await self._follow()
            except APIError as error:
                failures += error.reason != "Expired"
                _log.warning("the watch of %s broke: %s", self._collection.path(self.scope), error)
            except Exception:  # noqa: BLE001 - whatever it is, lists go on, and health says how old they are
                failures += 1
                _log.exception("the watch of %s broke", self._collection.path(self.scope))
            if failures:
                await asyncio.sleep(min(0.25 * 2 ** min(failures, 10), _LONGEST_PAUSE))

    def own(self, item: T) -> T:
        """Take in what a write was answered, so that whoever wrote finds it in the next list."""
        entry = self._make(item.raw)
        if entry.version > self.version:  # else the watch has told it already, and maybe its deletion too
            self.shelf.put(entry)
        return item

    async def until(self, seconds: float, reached: Callable[[], bool]) -> bool:
        """Wait until something holds of what is known; False when it did not within the time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait_for(reached)
        return reached()

    async def remembers(self, since: int) -> bool:
        """Tell whether all changes after a version are known; one that another gateway has seen first is waited for."""
        return await self.until(_AHEAD_SECONDS, lambda: self.version >= since) and since >= self._since

    @contextlib.contextmanager
    def read(self, most: int) -> Iterator[Reader[T]]:
        """Open a place for a stream, from now on, which may be so many changes behind."""
        reader: Reader[T] = Reader(most)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    def wake(self) -> None:
        """Let all streams look around."""
        for reader in self._readers:
            reader.tell(None)

    def changes(self, since: int) -> list[Change[T]]:
        """Return the changes after a version, as far as they are remembered."""
        return [change for change in self._changes if change.version > since]

    async def _list(self) -> None:
        found: list[Entry[T]] = []
        listed = ""
        async for page, listed in self._collection.pages(self.scope):  # noqa: B007 - used after the loop
            found += [entry for item in page if (entry := self._entry(item.raw)) is not None]
        version, first = int(listed), not self.synced
        known = {entry.uid for entry in self.shelf}
        changed = [entry for entry in found if self.shelf.put(entry)]
        for gone in self.shelf.absent([entry.key for entry in found], version):
            self.shelf.remove(gone.key, version)
            changed.append(gone)
        if first:
            self._since = version
        else:  # what was missed, as far as can be told
            there = {entry.uid for entry in found}
            for entry in sorted(changed, key=lambda each: each.version if each.uid in there else version):
                if entry.uid not in there:
                    self._tell(Change(version, "DELETED", entry))
                else:
                    self._tell(Change(entry.version, "MODIFIED" if entry.uid in known else "ADDED", entry))
        await self._reached(version)

    async def _follow(self) -> None:
        watched = watch(self._transport, self._collection.path(self.scope), {}, str(self.version))
        async with contextlib.aclosing(watched):
            async for kind, item, version in watched:
                entry = self._entry(item) if kind != "BOOKMARK" else None
                if entry is not None:
                    if kind == "DELETED":
                        self.shelf.remove(entry.key, int(version))
                    else:
                        self.shelf.put(entry)
                    self._tell(Change(int(version), kind, entry))
                await self._reached(int(version))

    async def _reached(self, version: int) -> None:
        self.version, self._heard = version, time.monotonic()
        async with self._moved:
            self._moved.notify_all()

    def _tell(self, change: Change[T]) -> None:
        self._changes.append(change)
        self._bytes += change.entry.weight
        while len(self._changes) > self._remembered or self._bytes > _REMEMBERED_BYTES:
            forgotten = self._changes.popleft()
            self._since = forgotten.version
            self._bytes -= forgotten.entry.weight
        for reader in self._readers:
            reader.tell(change)

    def _entry(self, raw: Mapping[str, Any]) -> Entry[T] | None:
        """Make an entry; none of what a newer API says and this gateway does not understand."""
        try:
            return self._make(raw)
        except (KeyError, TypeError, ValueError) as error:
            _log.warning("%s is left out: %r", raw.get("metadata", {}).get("name"), error)
            return None
