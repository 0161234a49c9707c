"""The objects of one kind in memory: by name, by UID, by label, and in order of their age."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Generic, TypeVar

from crawl_client.models import ApiObject
from crawl_gateway.entries import Entry, Key

T = TypeVar("T", bound=ApiObject)


def age(entry: Entry[T]) -> tuple[datetime, Key]:
    """Return what entries are ordered by: the oldest first."""
    return entry.created, entry.key


class Shelf(Generic[T]):
    """Entries of one kind; the newest version of each wins, in whatever order they come."""

    def __init__(self) -> None:
        self._entries: dict[Key, Entry[T]] = {}
        self._by_uid: dict[str, Entry[T]] = {}
        self._by_alias: dict[tuple[str, str, str], list[Entry[T]]] = {}
        self._by_age: dict[str, list[Entry[T]]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry[T]]:
        return iter(self._entries.values())

    def put(self, entry: Entry[T]) -> bool:
        """Take an entry in; False if what there is, is as new."""
        known = self._entries.get(entry.key)
        if known is not None:
            if known.version >= entry.version:
                return False
            self._take_out(known)
        self._entries[entry.key] = self._by_uid[entry.uid] = entry
        for alias in entry.aliases:
            self._by_alias.setdefault(alias, []).append(entry)
        insort(self._by_age.setdefault(entry.key[0], []), entry, key=age)
        return True

    def remove(self, key: Key, version: int) -> Entry[T] | None:
        """Take an entry out, unless what there is, is newer than its removal; return it."""
        known = self._entries.get(key)
        if known is None or known.version > version:
            return None
        self._take_out(known)
        return known

    def named(self, namespace: str, name: str) -> Entry[T] | None:
        """Return the object of that name."""
        return self._entries.get((namespace, name))

    def with_uid(self, uid: str) -> Entry[T] | None:
        """Return the object with that UID, in any namespace."""
        return self._by_uid.get(uid)

    def called(self, namespace: str, kind: str, value: str) -> Entry[T] | None:
        """Return the oldest object with that label of `ALIASES`, or that display name."""
        return min(self._by_alias.get((namespace, kind, value), ()), key=age, default=None)

    def oldest_first(self, namespace: str) -> Sequence[Entry[T]]:
        """Return the objects of a namespace, or with "" of all, in order of their age."""
        if namespace:
            return self._by_age.get(namespace, ())
        return sorted(self._entries.values(), key=age)

    def absent(self, there: Iterable[Key], version: int) -> list[Entry[T]]:
        """Return the entries that a list of that version does not hold."""
        seen = set(there)
        return [entry for key, entry in self._entries.items() if key not in seen and entry.version <= version]

    def _take_out(self, entry: Entry[T]) -> None:
        del self._entries[entry.key]
        if self._by_uid.get(entry.uid) is entry:
            del self._by_uid[entry.uid]
        for alias in entry.aliases:
            self._by_alias[alias].remove(entry)
            if not self._by_alias[alias]:
                del self._by_alias[alias]
        ordered = self._by_age[entry.key[0]]
        del ordered[bisect_left(ordered, age(entry), key=age)]
        if not ordered:
            del self._by_age[entry.key[0]]
