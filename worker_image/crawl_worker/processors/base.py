"""What a processor is, and how a page becomes a record: what all of them share.

A processor turns a typed job into findings, through what the context offers. It knows nothing of Scrapy, of storing
or of reporting. Being told to stop is being cancelled: its generator is closed and whatever it started must end.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable

from crawl_worker.context import Context
from crawl_worker.errors import PageError
from crawl_worker.extract.pages import Kind, is_pdf, kind_of
from crawl_worker.extract.pool import Source
from crawl_worker.extract.selectors import require
from crawl_worker.fetch.fetcher import Page
from crawl_worker.findings import Finding
from crawl_worker.records import Extracted, Record

Processor = Callable[[Context], AsyncGenerator[Finding, None]]
"""Yields the findings of a job; `aclose` stops it."""

Read = Callable[[Context, Page], Awaitable[tuple[Extracted, PageError | None]]]
"""Takes from a page what the job asks for, or tells why it cannot."""

_MAX_CONTENT_TYPE = 256
_UNREAD = "other"


async def read(context: Context, page: Page) -> tuple[Extracted, PageError | None]:
    """Take from a page what the job asks for; nothing from what is no text, or could not be fetched."""
    kind = kind_of(page.content_type, page.body)
    if page.error is not None:
        return Extracted(), page.error
    try:
        if kind is None:
            what = page.content_type or "what is of no stated type"
            require(context.job.extract.selectors, {}, f"{what[:100]} has no match for")
            return Extracted(), None
        return await context.extract(Source(page.final_url, page.content_type, kind, page.body)), None
    except PageError as error:
        return Extracted(), error


async def read_pdf(context: Context, page: Page) -> tuple[Extracted, PageError | None]:
    """Take from a PDF what the job asks for; what is none is an error."""
    if page.error is not None:
        return Extracted(), page.error
    if not is_pdf(page.body):
        kind = page.content_type or "of no stated type"
        return Extracted(), PageError("NotPdf", f"what came is no PDF: {kind}")
    try:
        return await context.extract(Source(page.final_url, page.content_type, Kind.PDF, page.body)), None
    except PageError as error:
        return Extracted(), error


def record_of(name: str, page: Page, extracted: Extracted, error: PageError | None, attempt: int) -> Record:
    """Return what is told of a page under the name by which it was asked for."""
    return Record(
        **dict(extracted),
        url=name,
        final_url=page.final_url,
        status=page.status,
        content_type=page.content_type[:_MAX_CONTENT_TYPE] or None,
        kind=_kind(page, extracted) if page.error is None else None,
        fetched_at=page.fetched_at,
        elapsed_ms=page.elapsed_ms,
        bytes=len(page.body) if page.status is not None else None,
        from_cache=page.from_cache or None,
        error=error.job_error(name, attempt) if error is not None else None,
    )


def _kind(page: Page, extracted: Extracted) -> str:
    if extracted.pdf is not None:
        return Kind.PDF
    return kind_of(page.content_type, page.body) or _UNREAD
