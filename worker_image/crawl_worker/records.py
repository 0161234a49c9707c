"""What the worker says of a page: the record that becomes one line of the result."""

from typing import Annotated, Any

from pydantic import Field

from crawl_api.base import ApiModel, Count, Time, Url
from crawl_api.status import JobError


class Metadata(ApiModel):
    """What a page says of itself. All texts are bounded where they are read."""

    description: str | None = None
    language: str | None = None
    canonical: str | None = None
    """Absolute URL."""
    authors: list[str] | None = None
    published: str | None = None
    """As ISO 8601 has it, with or without a time."""
    modified: str | None = None
    meta: dict[str, str] = {}
    """Meta tags by name or property, OpenGraph included; the first of a name."""


class Image(ApiModel):
    """An image that a page shows."""

    url: str
    """Absolute."""
    alt: str | None = None


class Table(ApiModel):
    """A table as its rows of cells; cells that span others are told once."""

    caption: str | None = None
    rows: list[list[str]]


class PdfInfo(ApiModel):
    """What a PDF says of itself."""

    pages: Count
    author: str | None = None
    subject: str | None = None
    keywords: str | None = None
    creator: str | None = None
    producer: str | None = None
    created: str | None = None
    """As the file spells it, such as D:20260301120000Z."""
    modified: str | None = None


class Extracted(ApiModel):
    """What was taken from a page; what the job did not ask for is not set."""

    title: str | None = None
    text: str | None = None
    markdown: str | None = None
    links: list[str] | None = None
    """Absolute http and https URLs without fragments, each once, in the page's order."""
    metadata: Metadata | None = None
    images: list[Image] | None = None
    tables: list[Table] | None = None
    json_ld: list[Any] | None = None
    """The JSON-LD documents, parsed."""
    fields: dict[str, Any] | None = None
    """By selector name: a text or null, or a list of texts where `many` is set; of JSONPath, any JSON."""
    pdf: PdfInfo | None = None
    truncated: list[str] | None = None
    """Which of the above were cut at their size limit."""


class Record(Extracted):
    """One input URL's line in the result: what was found, or the error."""

    url: Annotated[Url, Field(description="as the job names it")]
    final_url: str | None = None
    """Where redirects ended."""
    status: int | None = None
    content_type: str | None = None
    kind: str | None = None
    """What the body was read as: html, xml, json, text or pdf; other: nothing was read."""
    fetched_at: Time | None = None
    elapsed_ms: Count | None = None
    """From the first request to the last byte, waits for robots.txt and for the host's turn included."""
    bytes: Count | None = None
    """Size of the body after decompression."""
    from_cache: bool | None = None
    """True where the answer was taken from the cache, asked about or not."""
    data: dict[str, Any] | None = None
    """What a custom processor tells; `url` is then where it was found, or any name of its own."""
    digest: str | None = None
    """SHA-256 of the body, where the job looks for copies."""
    duplicate_of: str | None = None
    """URL of the page that this one is a copy of."""
    error: JobError | None = None


def to_line(record: Record) -> bytes:
    """Return the record as one line of JSON, without its end."""
    return record.model_dump_json(by_alias=True, exclude_none=True).encode()
