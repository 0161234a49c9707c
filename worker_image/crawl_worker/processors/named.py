"""`Single`, `Batch` and `Pdf`: fetch and read every URL that the job names; a page named twice is fetched once."""

from collections import defaultdict
from collections.abc import AsyncGenerator
from typing import Final

from crawl_worker.context import Context
from crawl_worker.crawl import crawl
from crawl_worker.errors import PageError
from crawl_worker.fetch.urls import normalise
from crawl_worker.findings import Finding, Visit
from crawl_worker.processors.base import Read, read, read_pdf, record_of
from crawl_worker.records import Record


def named(context: Context) -> AsyncGenerator[Finding, None]:
    """Yield a record for each name of each page."""
    return _named(context, read)


def pdf(context: Context) -> AsyncGenerator[Finding, None]:
    """Yield a record for each name of each file."""
    return _named(context, read_pdf)


async def _named(context: Context, read: Read) -> AsyncGenerator[Finding, None]:
    pages, invalid = _by_page(context)
    if invalid:
        yield Finding(records=invalid)
    async for finding in crawl(context, _Named(context, pages, read), map(Visit, pages)):
        yield finding


def _by_page(context: Context) -> tuple[dict[str, list[str]], list[Record]]:
    """Group the job's URLs by the page they name; what names no page is an error at once."""
    pages: dict[str, list[str]] = defaultdict(list)
    invalid: list[Record] = []
    for url in context.job.urls:
        try:
            pages[normalise(url)].append(url)
        except PageError as error:
            invalid.append(Record(url=url, error=error.job_error(url, context.job.attempt)))
    return pages, invalid


class _Named:
    """Visits a page and records it under each of its names."""

    def __init__(self, context: Context, names: dict[str, list[str]], read: Read) -> None:
        self._context = context
        self._read = read
        self._names: Final = names

    async def visit(self, visit: Visit) -> Finding:
        page = await self._context.fetch(visit.url)
        extracted, error = await self._read(self._context, page)
        attempt = self._context.job.attempt
        records = [record_of(name, page, extracted, error, attempt) for name in self._names[visit.url]]
        return Finding(visit, records, page=page)

    def failed(self, visit: Visit, error: PageError) -> Finding:
        attempt = self._context.job.attempt
        return Finding(
            visit, [Record(url=name, error=error.job_error(name, attempt)) for name in self._names[visit.url]]
        )
