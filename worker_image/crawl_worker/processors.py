"""What a job type does: a processor turns a typed job into records, through what the context offers.

A processor knows nothing of Scrapy, of storing or of reporting. It yields one record per page, good or bad, in the
order of completion. Being told to stop is being cancelled: its generator is closed and whatever it started must end.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from crawl_api.crawljob import JobType
from crawl_api.worker_protocol import Assignment
from crawl_worker.errors import PageError
from crawl_worker.extraction import kind_of
from crawl_worker.extractors import Source
from crawl_worker.fetcher import Page
from crawl_worker.records import Extracted, Record
from crawl_worker.urls import normalise


class Context(Protocol):
    """What a processor may use."""

    @property
    def concurrency(self) -> int:
        """Pages to work on at once."""

    async def fetch(self, url: str) -> Page:
        """Fetch a normalised URL; never raises for what a site does."""

    async def extract(self, source: Source) -> Extracted:
        """Take from a page what the job asks for; raises PageError."""


_LOG: Final = logging.getLogger(__name__)

_MAX_CONTENT_TYPE: Final = 256
_STOP_SECONDS: Final = 2.0
"""How long what is in flight may take to be cancelled."""

Processor = Callable[[Assignment, Context], AsyncGenerator[Record, None]]
"""Yields the records of a job; `aclose` stops it."""


async def pages(job: Assignment, context: Context) -> AsyncGenerator[Record, None]:
    """Fetch and read every URL that the job names; a page named twice is fetched once and recorded twice."""
    named, invalid = _by_page(job)
    for record in invalid:
        yield record
    todo = iter(named.items())
    done: asyncio.Queue[list[Record]] = asyncio.Queue()

    async def work() -> None:
        for url, names in todo:
            try:
                done.put_nowait(await _records(job, context, url, names))
            except Exception as error:  # noqa: BLE001 (a defect that one page meets must not harm the others)
                _LOG.exception("page met a defect", extra={"url": url})
                defect = PageError("InternalError", f"{type(error).__name__}: {error}", retryable=True)
                done.put_nowait([Record(url=name, error=defect.job_error(name, job.attempt)) for name in names])

    tasks = [asyncio.create_task(work()) for _ in range(min(context.concurrency, len(named)))]
    try:
        for _ in named:
            for record in await done.get():
                yield record
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_SECONDS)


def _by_page(job: Assignment) -> tuple[dict[str, list[str]], list[Record]]:
    """Group the job's URLs by the page they name; what names no page is an error at once."""
    named: dict[str, list[str]] = defaultdict(list)
    invalid: list[Record] = []
    for url in job.urls:
        try:
            named[normalise(url)].append(url)
        except PageError as error:
            invalid.append(Record(url=url, error=error.job_error(url, job.attempt)))
    return named, invalid


async def _records(job: Assignment, context: Context, url: str, names: list[str]) -> list[Record]:
    """Fetch and read one page; return a record for each name that the job gives it."""
    page = await context.fetch(url)
    error = page.error
    extracted = Extracted()
    kind = kind_of(page.content_type, page.body)
    if error is None and kind is not None:
        try:
            extracted = await context.extract(Source(page.final_url, page.content_type, kind, page.body))
        except PageError as failure:
            error = failure
    return [
        Record(
            **dict(extracted),
            url=name,
            final_url=page.final_url,
            status=page.status,
            content_type=page.content_type[:_MAX_CONTENT_TYPE] or None,
            fetched_at=page.fetched_at,
            elapsed_ms=page.elapsed_ms,
            bytes=len(page.body) if page.status is not None else None,
            error=error.job_error(name, job.attempt) if error is not None else None,
        )
        for name in names
    ]


PROCESSORS: Final[Mapping[JobType, Processor]] = MappingProxyType({JobType.SINGLE: pages, JobType.BATCH: pages})
