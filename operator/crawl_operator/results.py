"""The embedded result store: a folder of the operator's, written through obstore, one subfolder per worker pod."""

import asyncio
import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import LocalStore

from crawl_api.worker_protocol import MAX_OUTCOME_BYTES, OUTCOME_FILE, Outcome, StoredResult
from crawl_operator.decide.model import JobKey

_CHUNK: Final = 1 << 20
_PIECE: Final = 1 << 18
_SEGMENT: Final = "journal-"


class TooLargeError(Exception):
    """More was sent than may be stored."""


class StoreFullError(Exception):
    """The store cannot be written; the text says why."""


class ResultStore:
    """Results and outcome documents, by job and pod.

    Args:
        folder: made if it is not there.
        max_bytes: largest result.
        inline_limit: largest data that an outcome may carry into a status; larger ones are left out there.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, folder: Path, *, max_bytes: int, inline_limit: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder.resolve()
        self._store = LocalStore(self._folder)
        self._max_bytes = max_bytes
        self._inline_limit = inline_limit

    async def save_results(
        self, key: JobKey, uid: str, pod: str, chunks: AsyncIterator[bytes], file: str
    ) -> StoredResult:
        """Store a worker's result under that name, streamed; nothing is visible until all of it has arrived.

        Raises:
            TooLargeError: it is more than `max_bytes`.
            StoreFullError: it cannot be written.
        """
        digest = hashlib.sha256()
        size = 0

        async def checked() -> AsyncIterator[bytes]:
            nonlocal size
            async for chunk in chunks:
                size += len(chunk)
                if size > self._max_bytes:
                    raise TooLargeError(f"more than {self._max_bytes} bytes (results.maxBytes)")
                digest.update(chunk)
                yield chunk

        path = _path(key, uid, pod, file)
        await self._put(path, checked())
        return StoredResult(url=(self._folder / path).as_uri(), bytes=size, sha256=digest.hexdigest())

    async def save_outcome(self, key: JobKey, uid: str, pod: str, outcome: Outcome) -> None:
        """Store a worker's outcome, so that a restarted operator knows it whole.

        Raises:
            StoreFullError: it cannot be written.
        """
        await self._put(_path(key, uid, pod, OUTCOME_FILE), outcome.model_dump_json(by_alias=True).encode())

    def owners(self) -> list[tuple[JobKey, str]]:
        """Return key and UID of each job of which something is stored; it reads the disk."""
        folders = (path.relative_to(self._folder).parts for path in self._folder.glob("*/*/*") if path.is_dir())
        return [(JobKey(namespace, name), uid) for namespace, name, uid in folders]

    async def save_segment(self, key: JobKey, uid: str, pod: str, number: int, content: bytes) -> None:
        """Store a segment of a worker's journal, which is only read by the job's next worker.

        Raises:
            StoreFullError: it cannot be written.
        """
        await self._put(_path(key, uid, pod, f"{_SEGMENT}{number:06}"), content)

    def journal(self, key: JobKey, uid: str, pods: Iterable[str]) -> list[Path]:
        """Return the segments that these pods have stored, pod by pod, each pod's in order."""
        folders = (self._stored(key, uid, pod, _SEGMENT).parent for pod in pods)
        return [path for folder in folders for path in sorted(folder.glob(f"{_SEGMENT}*"))]

    async def remove_old(self, key: JobKey, uid: str, older_than: float) -> int | None:
        """Remove all that a job has stored if its newest file is older, in seconds; return the bytes that it was."""
        folder = self._folder / key.namespace / key.name / uid
        age, size = await asyncio.to_thread(_age_and_size, folder)
        if age < older_than:
            return None
        await self.remove(key, uid)
        return size

    async def remove(self, key: JobKey, uid: str) -> None:
        """Remove all that workers of a job have stored; nothing to remove is no error.

        Raises:
            StoreFullError: it cannot be removed.
        """
        folder = self._folder / key.namespace / key.name / uid
        try:
            await asyncio.to_thread(shutil.rmtree, folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise StoreFullError(f"results cannot be removed: {error}") from error

    def located(self, url: str, key: JobKey, uid: str) -> Path | None:
        """Return the file that a job's status names; None where it lies elsewhere than among what that job has stored.

        Whoever may write a status is not thereby led to the results of others.
        """
        parts = urlsplit(url)
        path = Path(os.path.normpath(unquote(parts.path)))
        own = self._folder / key.namespace / key.name / uid
        return path if parts.scheme == "file" and path.is_relative_to(own) and path != own else None

    async def outcome(self, key: JobKey, uid: str, pod: str) -> Outcome | None:
        """Return the outcome that a worker has stored; None if it has stored none that makes sense."""
        path = self._stored(key, uid, pod, OUTCOME_FILE)
        try:
            text = await asyncio.to_thread(_read_bounded, path)
        except (OSError, UnicodeDecodeError):
            return None
        outcome = Outcome.parse(text)
        if outcome is None or outcome.data is None:
            return outcome
        if len(json.dumps(outcome.data, ensure_ascii=False).encode()) > self._inline_limit:
            return outcome.model_copy(update={"data": None})
        return outcome

    def _stored(self, key: JobKey, uid: str, pod: str, file: str) -> Path:
        # The pod's name comes from a status: whoever may write that is not thereby led to the results of others.
        return self._folder / _path(key, uid, pod.replace("/", "_"), file)

    async def _put(self, path: str, content: bytes | AsyncIterator[bytes]) -> None:
        try:
            await self._store.put_async(path, content, chunk_size=_CHUNK)
        except (BaseError, OSError) as error:
            why = str(error).partition("\n")[0]  # what follows is for the library's own makers
            raise StoreFullError(f"the result store cannot be written: {why}") from error


def _path(key: JobKey, uid: str, pod: str, file: str) -> str:
    return f"{key.namespace}/{key.name}/{uid}/{pod}/{file}"


def _age_and_size(folder: Path) -> tuple[float, int]:
    told = [path.stat() for path in folder.rglob("*") if path.is_file()]
    newest = max((each.st_mtime for each in told), default=0.0)
    return time.time() - newest, sum(each.st_size for each in told)


def _read_bounded(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.read(2 * MAX_OUTCOME_BYTES)


async def pieces(path: Path, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
    """Yield a file, or so many bytes of it from there on, one piece in memory at a time."""
    left = math.inf if length is None else length
    with await asyncio.to_thread(path.open, "rb") as file:
        await asyncio.to_thread(file.seek, start)
        while left > 0 and (piece := await asyncio.to_thread(file.read, int(min(_PIECE, left)))):
            left -= len(piece)
            yield piece
