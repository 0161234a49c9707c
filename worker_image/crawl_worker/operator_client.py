"""The worker's side of the operator's endpoint: progress on the way, results and outcome at the end.

Progress is worth one short try; results are worth all the time there is. Which answers another try can change is
decided here, once.
"""

import asyncio
import hashlib
import io
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import aiohttp
from pydantic import ValidationError

from crawl_api.worker_protocol import (
    Assignment,
    Cleaned,
    Cleaning,
    Outcome,
    ProgressReport,
    StoredResult,
    cache_path,
    cleaning_path,
    journal_path,
    outcome_path,
    progress_path,
    results_path,
)
from crawl_worker.ledger import LedgerError
from crawl_worker.store import StoreUnavailableError

_LOG: Final = logging.getLogger(__name__)
_T = TypeVar("_T")

EARLIER_FILE: Final = "earlier.jsonl.zst"

_PROGRESS_SECONDS: Final = 5.0
_ONCE_SECONDS: Final = 10.0
_CONNECT_SECONDS: Final = 5.0
_SILENCE_SECONDS: Final = 60.0
"""How long the operator may be silent, such as while it stores a large result."""
_FIRST_DELAY: Final = 0.25
_MAX_DELAY: Final = 10.0

_WORTH_RETRYING: Final = frozenset({401, 403, 408, 429})
"""Beside every 5xx. 401 and 403 because a token may just have been renewed, or not be known everywhere yet."""


class UnavailableError(Exception):
    """The operator could not be reached, or could not do it now."""


class RejectedError(Exception):
    """The operator will never take this."""


class OperatorClient:
    """A session with the operator; enter it before use."""

    def __init__(self, assignment: Assignment, token_file: Path) -> None:
        self._base = assignment.report_url.rstrip("/")
        self._progress = progress_path(assignment.uid, assignment.attempt)
        self._journal = journal_path(assignment.uid, assignment.attempt)
        self._results = results_path(assignment.uid, assignment.attempt)
        self._outcome = outcome_path(assignment.uid, assignment.attempt)
        self._attempt = assignment.uid, assignment.attempt
        self._token_file = token_file
        self.last_problem = "it was not tried"
        """What the last failed try to store or fetch something came to."""

    async def __aenter__(self) -> Self:
        """Open the session. It honours no proxy of the environment: the operator is a neighbour."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the session."""
        await self._session.close()

    async def report(self, progress: ProgressReport) -> None:
        """Report progress, in one try.

        Raises:
            UnavailableError, RejectedError: it did not arrive.
        """
        try:
            async with asyncio.timeout(_PROGRESS_SECONDS):
                await self._send("POST", self._progress, progress.model_dump_json(by_alias=True).encode(), _JSON)
        except TimeoutError:
            raise UnavailableError(f"no answer within {_PROGRESS_SECONDS:g} s") from None

    async def earlier(self, directory: Path) -> Path | None:
        """Fetch the segments of earlier attempts into a file, trying until it works or the caller's time is up.

        Returns:
            The file, of JSON Lines in zstd frames; None if there are none.

        Raises:
            RejectedError: another try would be answered the same.
            LedgerError: the disk does not take them.
        """

        async def get() -> Path | None:
            try:
                async with self._session.get(
                    self._base + self._journal, headers=self._authorization(), allow_redirects=False
                ) as response:
                    _check(response.status, "" if response.ok else await response.text())
                    if response.status == 204:
                        return None
                    return await _save(response, directory / EARLIER_FILE)
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise UnavailableError(f"{type(error).__name__}: {error}") from error

        return await self._persist(get, "earlier results", "fetch")

    async def store_segment(self, number: int, content: bytes) -> None:
        """Store a segment of the ledger, trying until it works or the caller's time is up.

        Raises:
            RejectedError: another try would be answered the same.
        """

        async def put() -> None:
            await self._send("PUT", f"{self._journal}/{number}", content, _ZSTD)

        await self._persist(put, "checkpoint")

    async def store_results(self, content: Callable[[], Iterable[bytes]]) -> StoredResult:
        """Store all records, trying until it works or the caller's time is up.

        Args:
            content: yields the result in pieces, from its start whenever it is called.

        Raises:
            RejectedError: another try would be answered the same.
        """

        async def put() -> StoredResult:
            sent = _Sent(content())
            text = await self._send("PUT", self._results, sent.chunks(), _JSON_LINES)
            try:
                stored = StoredResult.model_validate_json(text)
            except ValidationError:
                raise UnavailableError("the answer to the results is none") from None
            if (stored.sha256, stored.bytes) != (sent.digest.hexdigest(), sent.size):
                raise UnavailableError("the results arrived damaged")
            return stored

        return await self._persist(put, "results")

    async def store_outcome(self, outcome: Outcome) -> None:
        """Store the outcome, trying until it works or the caller's time is up.

        Raises:
            RejectedError: another try would be answered the same.
        """
        body = outcome.model_dump_json(by_alias=True, exclude_defaults=True).encode()

        async def put() -> None:
            await self._send("PUT", self._outcome, body, _JSON)

        await self._persist(put, "outcome")

    async def cached(self, key: str) -> bytes | None:
        """Return what is cached under a key; None if nothing is.

        Raises:
            StoreUnavailableError: the operator does not say.
        """
        path = cache_path(*self._attempt, key)
        async with self._once(), self._session.get(self._base + path, headers=self._authorization()) as response:
            if response.status == 404:
                return None
            response.raise_for_status()
            return await response.read()

    async def keep_cached(self, key: str, content: bytes) -> None:
        """Cache something under a key.

        Raises:
            StoreUnavailableError: the operator does not take it.
        """
        headers = self._authorization() | {"Content-Type": _BYTES}
        path = self._base + cache_path(*self._attempt, key)
        async with self._once(), self._session.put(path, data=io.BytesIO(content), headers=headers) as response:
            response.raise_for_status()

    async def clean(self, cleaning: Cleaning) -> Cleaned:
        """Have the operator remove what is old.

        Raises:
            StoreUnavailableError: it did not.
        """
        headers = self._authorization() | {"Content-Type": _JSON}
        path = self._base + cleaning_path(*self._attempt)
        body = cleaning.model_dump_json(by_alias=True)
        async with self._once(), self._session.post(path, data=body, headers=headers) as response:
            response.raise_for_status()
            return Cleaned.model_validate_json(await response.read())

    @asynccontextmanager
    async def _once(self) -> AsyncIterator[None]:
        """Run one short try."""
        try:
            async with asyncio.timeout(_ONCE_SECONDS):
                yield
        except (aiohttp.ClientError, OSError, ValueError) as error:  # a TimeoutError is an OSError
            raise StoreUnavailableError(f"{type(error).__name__}: {error}") from error

    async def _persist(self, put: Callable[[], Awaitable[_T]], what: str, verb: str = "store") -> _T:
        """Try again and again, with growing pauses; the caller's time limit is what ends it."""
        delay = _FIRST_DELAY
        while True:
            try:
                return await put()
            except UnavailableError as error:
                self.last_problem = str(error)
                _LOG.warning("cannot %s yet", verb, extra={"what": what, "error": self.last_problem})
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 (jitter, not a secret)
            delay = min(delay * 2, _MAX_DELAY)

    async def _send(self, method: str, path: str, body: bytes | AsyncIterator[bytes], kind: str) -> str:
        try:
            headers = {"Content-Type": kind} | self._authorization()
            data = io.BytesIO(body) if isinstance(body, bytes) else body  # sent in pieces, which blocks no other
            async with self._session.request(
                method, self._base + path, data=data, headers=headers, allow_redirects=False
            ) as response:
                text = await response.text()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UnavailableError(f"{type(error).__name__}: {error}") from error
        _check(response.status, text)
        return text

    def _authorization(self) -> dict[str, str]:
        # The token is short-lived: the kubelet renews the file, so it is read each time.
        return {"Authorization": f"Bearer {self._token_file.read_text(encoding='ascii').strip()}"}


def _check(status: int, text: str) -> None:
    if 200 <= status < 300:
        return
    message = f"answered {status}: {text[:200].strip()}"
    if status >= 500 or status in _WORTH_RETRYING:
        raise UnavailableError(message)
    raise RejectedError(message)


_CHUNK_BYTES: Final = 256 << 10
_BYTES: Final = "application/octet-stream"
_ZSTD: Final = "application/zstd"
_JSON: Final = "application/json"
_JSON_LINES: Final = "application/x-ndjson"


class _Sent:
    """Hands on pieces in chunks that are worth sending, and remembers what they came to."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.digest = hashlib.sha256()
        self.size = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        chunk = bytearray()
        for piece in self._pieces:
            self.digest.update(piece)
            self.size += len(piece)
            chunk += piece
            if len(chunk) >= _CHUNK_BYTES:
                yield bytes(chunk)
                chunk.clear()
        yield bytes(chunk)


async def _save(response: aiohttp.ClientResponse, path: Path) -> Path:
    try:
        file = path.open("wb")
    except OSError as error:
        raise LedgerError(f"{path} cannot be written: {error.strerror}") from error
    with file:
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            try:
                file.write(chunk)
            except OSError as error:
                raise LedgerError(f"{path} cannot be written: {error.strerror}") from error
    return path
