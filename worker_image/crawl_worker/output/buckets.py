"""Results in object stores: S3, Google Cloud Storage, Azure, or a folder, by URL."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from obstore.exceptions import BaseError, GenericError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import from_url

from crawl_api.worker_protocol import Assignment, Cleaned, Cleaning, Leftover, StoredResult
from crawl_worker.operator_client import RejectedError
from crawl_worker.secrets import secret
from crawl_worker.store import Content, StoreUnavailableError

_LOG: Final = logging.getLogger(__name__)

PART_BYTES: Final = 8 << 20
"""Of an upload in parts; S3 wants 5 MiB at least."""
_FOR_GOOD: Final = (FileNotFoundError, NotFoundError, PermissionDeniedError, UnauthenticatedError)
"""Such as a bucket that is not there, for which obstore raises Python's own error."""
_CACHE: Final = ".cache"
"""Beside the results of a namespace; no job can have this name."""
_ALWAYS: Final = frozenset({"aws_allow_http", "allow_http"})
"""Options that a Secret need not name."""
_FIRST_DELAY: Final = 0.5
_MAX_DELAY: Final = 15.0


class Bucket:
    """A place for the results of one attempt.

    Args:
        job: names the place.
        credentials: folder with one file per option of the store; need not be there.

    Raises:
        RejectedError: the options make no store.
    """

    def __init__(self, job: Assignment, credentials: Path | None) -> None:
        url = (job.output.store_url or "").rstrip("/")
        self._path = f"{job.namespace}/{job.name}/{job.uid}/{job.attempt}/{job.output.file_name}"
        self._namespace = job.namespace
        self._cache = f"{job.namespace}/{_CACHE}"
        self._url = f"{url}/{self._path}"
        self.last_problem = "it was not tried"
        try:
            self._store: Any = _open(url, credentials)
        except (BaseError, ValueError, OSError) as error:
            raise RejectedError(f"{url} is no store: {_first_line(error)}") from error

    async def store_results(self, content: Content) -> StoredResult:
        """Store all records, trying until it works or the caller's time is up; nothing is visible until all is there.

        Raises:
            RejectedError: another try would be answered the same.
        """
        delay = _FIRST_DELAY
        while True:
            try:
                return await self._put(content)
            except _FOR_GOOD as error:
                raise RejectedError(f"{self._url}: {_first_line(error)}") from error
            except BaseError as error:
                self.last_problem = _first_line(error)
                _LOG.warning("cannot store yet", extra={"what": self._url, "error": self.last_problem})
            await asyncio.sleep(delay)
            delay = min(delay * 2, _MAX_DELAY)

    async def cached(self, key: str) -> bytes | None:
        """Return what is cached under a key; None if nothing is; raises StoreUnavailableError."""
        try:
            found = await self._store.get_async(f"{self._cache}/{key}")
            return bytes(await found.bytes_async())
        except (NotFoundError, FileNotFoundError):
            return None
        except (BaseError, OSError) as error:
            raise StoreUnavailableError(_first_line(error)) from error

    async def keep_cached(self, key: str, content: bytes) -> None:
        """Cache something under a key; raises StoreUnavailableError."""
        try:
            await self._store.put_async(f"{self._cache}/{key}", content)
        except (BaseError, OSError) as error:
            raise StoreUnavailableError(_first_line(error)) from error

    async def clean(self, cleaning: Cleaning) -> Cleaned:
        """Remove what is old of the namespace; raises StoreUnavailableError.

        Whether the job of a result still exists is not known here: its age alone decides.
        """
        limit = datetime.now(UTC) - timedelta(seconds=cleaning.older_than_seconds)
        removed = size = 0
        prefix = self._cache if cleaning.what is Leftover.CACHE else self._namespace
        try:
            async for found in self._store.list(prefix=prefix):
                old = [
                    each
                    for each in found
                    if each["last_modified"] <= limit and self._is_one(each["path"], cleaning.what)
                ]
                if old:
                    await self._store.delete_async([each["path"] for each in old])
                removed += len(old)
                size += sum(each["size"] for each in old)
        except (BaseError, OSError) as error:
            raise StoreUnavailableError(_first_line(error)) from error
        return Cleaned(removed=removed, bytes=size)

    def _is_one(self, path: str, what: Leftover) -> bool:
        """Say whether a path is one that jobs write to: a bucket may hold other things."""
        if what is Leftover.CACHE:
            return path.startswith(f"{self._cache}/")
        parts = path.removeprefix(f"{self._namespace}/").split("/")
        return len(parts) == 4 and parts[0] != _CACHE and parts[3].startswith("results.")

    async def _put(self, content: Content) -> StoredResult:
        parts = _Parts(content())
        await self._store.put_async(self._path, parts.read(), chunk_size=PART_BYTES, max_concurrency=2)
        kept = await self._store.head_async(self._path)
        if kept["size"] != parts.size:
            raise GenericError(f"{kept['size']} of {parts.size} bytes arrived")
        return StoredResult(url=self._url, bytes=parts.size, sha256=parts.digest.hexdigest())


def _open(url: str, credentials: Path | None) -> Any:
    if url.startswith("file:"):
        return from_url(url, mkdir=True)
    options: Any = {name.lower(): value for name, value in secret(credentials).items() if name.lower() not in _ALWAYS}
    try:
        # Stores inside a cluster often speak plain HTTP; whoever names one in a Secret means it.
        return from_url(url, config=options, client_options={"allow_http": True, "connect_timeout": "10s"})
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError("its Secret holds an option of connections, not of stores") from None  # obstore gives up at it


class _Parts:
    """Hands on pieces in parts, and remembers what they came to."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.digest = hashlib.sha256()
        self.size = 0

    async def read(self) -> AsyncIterator[bytes]:
        part = bytearray()
        for piece in self._pieces:
            self.digest.update(piece)
            self.size += len(piece)
            part += piece
            if len(part) >= PART_BYTES:
                yield bytes(part)
                part.clear()
        if part:
            yield bytes(part)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:500]
