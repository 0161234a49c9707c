"""What a processor tells the attempt: where it was, what it brought, and what it came across."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from crawl_worker.fetch.fetcher import Page
from crawl_worker.records import Record


class VisitKind(StrEnum):
    """What is expected behind a URL."""

    PAGE = "page"
    SITEMAP = "sitemap"


@dataclass(frozen=True, slots=True)
class Visit:
    """One URL to go to."""

    url: str
    """Normalised."""
    depth: int = 0
    """Links between a start and it."""
    hops: int = 0
    """Redirects, or indexes of sitemaps, that led to it."""
    kind: VisitKind = VisitKind.PAGE


@dataclass(frozen=True, slots=True)
class Finding:
    """What one visit came to; kept as a whole or not at all."""

    visit: Visit | None = None
    """The visit that is done with it; None where it belongs to none."""
    records: Sequence[Record] = ()
    found: Sequence[Visit] = ()
    """Where else to go."""
    links: Sequence[str] = ()
    """Normalised URLs that the page links to, to go to one level deeper."""
    page: Page | None = None
    """The answer itself, where it may be archived."""
    again: bool = False
    """Whether the site asked for another try later: then the visit is not done."""
