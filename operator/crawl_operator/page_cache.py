"""The cache of pages: what workers of a namespace have kept for one another, within a size of its own.

It lies beside the results but must not take their place, so each namespace has a limit, and the oldest entries go when
it is reached.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from crawl_api.worker_protocol import Cleaned
from crawl_operator.results import StoreFullError

_FOLDER: Final = ".cache"
"""Among the folders of namespaces, none of which can have this name."""
_ROOM: Final = 0.9
"""What is left of the limit when old entries have gone."""


@dataclass(frozen=True, slots=True)
class _Entry:
    path: Path
    size: int
    written: float


class PageCache:
    """Entries by namespace and key.

    Args:
        folder: that of the results.
        max_bytes: of one namespace.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder.resolve() / _FOLDER
        self._max_bytes = max_bytes
        self._sizes: dict[str, int] = {}
        """Bytes that each namespace holds, as far as it was looked at."""
        self._turn = asyncio.Lock()

    async def get(self, namespace: str, key: str) -> bytes | None:
        """Return an entry; None if there is none."""
        return await asyncio.to_thread(_read, self._folder / namespace / key)

    async def put(self, namespace: str, key: str, content: bytes) -> None:
        """Keep an entry; the oldest ones make room.

        Raises:
            StoreFullError: it cannot be written.
        """
        async with self._turn:
            await asyncio.to_thread(self._put, namespace, key, content)

    async def clean(self, namespace: str, older_than: float) -> Cleaned:
        """Remove the entries that are older, in seconds."""
        async with self._turn:
            return await asyncio.to_thread(self._clean, namespace, older_than)

    def _put(self, namespace: str, key: str, content: bytes) -> None:
        path = self._folder / namespace / key
        temporary = path.with_suffix(".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            before = path.stat().st_size if path.exists() else 0
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StoreFullError(f"the cache cannot be written: {error.strerror}") from error
        if namespace in self._sizes:
            self._sizes[namespace] += len(content) - before
        else:
            self._sizes[namespace] = sum(entry.size for entry in self._entries(namespace))
        if self._sizes[namespace] > self._max_bytes:
            self._make_room(namespace)

    def _make_room(self, namespace: str) -> None:
        entries = sorted(self._entries(namespace), key=lambda entry: entry.written)
        left = sum(entry.size for entry in entries)
        for entry in entries:
            if left <= _ROOM * self._max_bytes:
                break
            entry.path.unlink(missing_ok=True)
            left -= entry.size
        self._sizes[namespace] = left

    def _clean(self, namespace: str, older_than: float) -> Cleaned:
        limit = time.time() - older_than
        old = [entry for entry in self._entries(namespace) if entry.written <= limit]
        for entry in old:
            entry.path.unlink(missing_ok=True)
        self._sizes.pop(namespace, None)
        return Cleaned(removed=len(old), bytes=sum(entry.size for entry in old))

    def _entries(self, namespace: str) -> Iterator[_Entry]:
        with suppress(FileNotFoundError), os.scandir(self._folder / namespace) as found:
            for each in found:
                with suppress(FileNotFoundError):
                    told = each.stat()
                    yield _Entry(Path(each.path), told.st_size, told.st_mtime)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
