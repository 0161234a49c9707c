"""Results in object stores: S3, Google Cloud Storage, Azure, or a folder, by URL."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

from obstore.exceptions import BaseError, GenericError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import from_url

from crawl_api.worker_protocol import Assignment, StoredResult
from crawl_worker.operator_client import RejectedError
from crawl_worker.output.forms import Content
from crawl_worker.secrets import secret

_LOG: Final = logging.getLogger(__name__)

PART_BYTES: Final = 8 << 20
"""Of an upload in parts; S3 wants 5 MiB at least."""
_FOR_GOOD: Final = (FileNotFoundError, NotFoundError, PermissionDeniedError, UnauthenticatedError)
"""Such as a bucket that is not there, for which obstore raises Python's own error."""
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
    options: Any = {name.lower(): value for name, value in secret(credentials).items()}
    # Stores inside a cluster often speak plain HTTP; whoever names one in a Secret means it.
    return from_url(url, config=options, client_options={"allow_http": True, "connect_timeout": "10s"})


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
