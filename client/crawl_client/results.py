"""Results: what the last attempt came to, its records wherever they lie, and the file itself."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

from crawl_client.downloads import Downloads
from crawl_client.errors import ResultUnavailableError, ValidationError
from crawl_client.jobs import Jobs
from crawl_client.models import Job
from crawl_client.reading import records_of

_CHUNK: Final = 1 << 18


@dataclass(frozen=True)
class Result:
    """What the last attempt of a job came to."""

    job: str
    success: bool
    namespace: str = ""
    """The job's."""
    items: int = 0
    """Records."""
    bytes: int = 0
    sha256: str = ""
    data: Any = None
    """The records themselves, where they are few; else `Results.records` brings them."""
    error: str = ""
    """Why there is no success."""
    processing_time_ms: int | None = None
    worker_id: str = "unknown"
    completed_at: datetime | None = None
    url: str = ""
    """Where the file lies."""

    @classmethod
    def from_dict(cls, job: str, status: Mapping[str, Any], namespace: str = "") -> Self:
        """Make it from a job's status."""
        said = status["result"]
        ended = said.get("completedAt")
        return cls(
            job=job,
            success=bool(said["success"]),
            namespace=namespace,
            items=int(said.get("items", 0)),
            bytes=int(said.get("bytes", 0)),
            sha256=said.get("sha256", ""),
            data=said.get("data"),
            error=said.get("error", ""),
            processing_time_ms=said.get("processingTimeMs"),
            worker_id=said.get("workerId") or "unknown",
            completed_at=datetime.fromisoformat(ended) if ended else None,
            url=status.get("resultURL", ""),
        )

    @property
    def file(self) -> str:
        """Name of the file, which says its form; empty where there is none."""
        return unquote(self.url).rpartition("/")[2]


class Results:
    """Results of jobs, as `client.results`."""

    def __init__(self, jobs: Jobs, downloads: Downloads) -> None:
        self._jobs = jobs
        self._downloads = downloads

    async def get(self, name: str, namespace: str | None = None) -> Result:
        """Return what a job came to; a failed one has a result too.

        Raises:
            NotFoundError: there is no such job.
            ResultUnavailableError: it has not ended, or made nothing, or its result's time is over.
        """
        return _result(await self._jobs.get(name, namespace))

    async def records(self, name: str, namespace: str | None = None) -> AsyncIterator[dict[str, Any]]:
        """Yield a job's records, one per URL, however many: they are read as a stream.

        Those that do not stand in the status come from where the file lies: a folder of this machine, a bucket with
        the credentials of the environment, or the operator's own store, which asks the API server who may read them.

        Raises:
            ResultUnavailableError: as `get`; or the file cannot be reached from here, or has changed on its way.
            ForbiddenError: who asks may not `get` the job's `crawljobs/results`.
            ValidationError: it is a WARC file, which holds no records; `download` it.

        Example::

            async for record in client.results.records("docs"):
                print(record["url"], record.get("title"))
        """
        result = await self.get(name, namespace)
        if isinstance(result.data, list):
            for record in result.data:
                yield record
            return
        if ".warc" in result.file:
            raise ValidationError([f"{result.file} holds answers of sites, no records; download it"])
        async with contextlib.aclosing(records_of(self._chunks(result), result.file)) as records:
            async for record in records:
                yield record

    async def download(self, name: str, target: Path, namespace: str | None = None) -> Path:
        """Save a job's file as it is stored.

        Args:
            name: the job.
            target: a file, or a folder for a file of its own name.
            namespace: the job's.

        Returns:
            The file.

        Raises:
            ResultUnavailableError, ForbiddenError: as `records`.
        """
        result = await self.get(name, namespace)
        folder = await asyncio.to_thread(target.is_dir)
        path = target / (result.file or f"{result.job}.jsonl") if folder else target
        with await asyncio.to_thread(path.open, "wb") as file:
            async with contextlib.aclosing(self._chunks(result)) as chunks:
                async for chunk in chunks:
                    file.write(chunk)
        return path

    async def _chunks(self, result: Result) -> AsyncGenerator[bytes, None]:
        """Yield the file, and at its end make sure that it is the one that the job has stored."""
        digest, size = hashlib.sha256(), 0
        async with contextlib.aclosing(await self._source(result)) as source:
            async for chunk in source:
                digest.update(chunk)
                size += len(chunk)
                yield chunk
        if result.sha256 and digest.hexdigest() != result.sha256:
            text = f"{result.url}: what came ({size} bytes) is not what {result.job} has stored ({result.bytes} bytes)"
            raise ResultUnavailableError(text, 404, reason="Changed")

    async def _source(self, result: Result) -> AsyncGenerator[bytes, None]:
        parts = urlsplit(result.url)
        path = Path(unquote(parts.path))
        if parts.scheme in {"s3", "gs", "az"}:
            return _from_bucket(result.url)
        if parts.scheme == "file" and not self._downloads.named and await asyncio.to_thread(path.is_file):
            return _from_file(path)
        return self._downloads.part(result.namespace, result.job, result.file, size=result.bytes, sha256=result.sha256)


async def _from_file(path: Path) -> AsyncGenerator[bytes, None]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk


async def _from_bucket(url: str) -> AsyncGenerator[bytes, None]:
    """Read from an object store with the credentials of the environment."""
    try:
        import obstore  # noqa: PLC0415 - optional, and heavy
        from obstore.exceptions import BaseError  # noqa: PLC0415 - same
        from obstore.store import from_url  # noqa: PLC0415 - same
    except ImportError as error:
        raise ResultUnavailableError(
            f"to read {url} install crawl-operator[results]", 404, reason="Unreachable"
        ) from error
    folder, _, file = url.rpartition("/")
    try:
        answer = await obstore.get_async(from_url(folder), unquote(file))
        async for chunk in answer.stream(min_chunk_size=_CHUNK):
            yield bytes(chunk)
    except BaseError as error:
        why = str(error).partition("\n")[0]
        raise ResultUnavailableError(f"{url} cannot be read: {why}", 404, reason="Unreachable") from error


def _result(job: Job) -> Result:
    said = job.raw.get("status", {})
    available = job.condition("ResultAvailable")
    if not job.finished:
        raise ResultUnavailableError(f"{job.name} is {job.phase}: it has no result yet", 404, reason="NotFinished")
    if available.get("reason") == "ResultExpired" or not said.get("result"):
        reason = available.get("reason", "NoResult")
        why = available.get("message") or job.last_error or "no attempt made one"
        raise ResultUnavailableError(f"{job.name} has no result ({reason}): {why}", 404, reason=reason)
    return Result.from_dict(job.name, said, job.namespace)
