"""`Site`: follow the links of a site from its start URLs and sitemaps, every page once."""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Final

from crawl_api.job_types import CanonicalUse, SiteCrawl, SitemapUse
from crawl_worker.context import Context
from crawl_worker.crawl import crawl
from crawl_worker.errors import PageError, asked_pause
from crawl_worker.fetch.fetcher import MAX_REDIRECTS, Page
from crawl_worker.fetch.hosts import MAX_PAUSE
from crawl_worker.fetch.urls import normalise, origin_of
from crawl_worker.findings import Finding, Visit, VisitKind
from crawl_worker.processors.base import read, record_of
from crawl_worker.records import Extracted, Record
from crawl_worker.site_rules import SiteRules

_LOG: Final = logging.getLogger(__name__)

MAX_INDEXES: Final = 3
"""Indexes of sitemaps that lie one in the other."""
MAX_RETURNS: Final = 2
"""How often a page is asked for again, within the attempt, whose host asked for a pause."""


async def site(context: Context) -> AsyncGenerator[Finding, None]:
    """Yield a record for each page."""
    wanted = context.job.site
    assert wanted is not None  # noqa: S101 (checked with the assignment)
    rules = SiteRules(wanted)
    starts, invalid = await _starts(context, wanted)
    for visit in [*starts, *(visit for visit, _ in context.visits())]:
        if visit.depth == 0 and visit.kind is VisitKind.PAGE:
            rules.belongs(visit.url)
    if invalid:
        yield Finding(records=invalid)
    visitor = _Site(context, wanted, rules)
    async for finding in crawl(context, visitor, starts, max_pages=wanted.max_pages, rules=rules):
        yield finding


async def _starts(context: Context, wanted: SiteCrawl) -> tuple[list[Visit], list[Record]]:
    """Return where to begin, and an error for each URL that is none."""
    pages: list[str] = []
    sitemaps: list[str] = []
    invalid: list[Record] = []
    for urls, good in ((wanted.start_urls, pages), (wanted.sitemap_urls, sitemaps)):
        for url in urls:
            try:
                good.append(normalise(url))
            except PageError as error:
                invalid.append(Record(url=url, error=error.job_error(url, context.job.attempt)))
    if wanted.sitemaps is SitemapUse.AUTO:
        origins = {origin_of(url) for url in pages}
        for found in await asyncio.gather(*(_sitemaps_of(context, origin) for origin in sorted(origins))):
            sitemaps += found
    return [*map(Visit, pages), *(Visit(url, kind=VisitKind.SITEMAP) for url in sitemaps)], invalid


async def _sitemaps_of(context: Context, origin: str) -> list[str]:
    rules = await context.robots.rules(origin)
    named = []
    for url in rules.sitemaps:
        try:
            named.append(normalise(url, origin))
        except PageError:
            continue
    return named or [f"{origin}/sitemap.xml"]


class _Site:
    """Visits pages and sitemaps of one site."""

    def __init__(self, context: Context, wanted: SiteCrawl, rules: SiteRules) -> None:
        self._context = context
        self._wanted = wanted
        self._rules = rules
        self._returns: Counter[str] = Counter()
        self._originals = dict(context.duplicates())
        self._asked_for = set(wanted.sitemap_urls)

    async def visit(self, visit: Visit) -> Finding:
        page = await self._context.fetch(visit.url, follow=False)
        if page.location is not None:
            return self._redirected(visit, page, page.location)
        if self._returns_later(visit, page):
            return Finding(visit, again=True)
        return await (self._sitemap(visit, page) if visit.kind is VisitKind.SITEMAP else self._page(visit, page))

    def failed(self, visit: Visit, error: PageError) -> Finding:
        return Finding(visit, [Record(url=visit.url, error=error.job_error(visit.url, self._context.job.attempt))])

    def _redirected(self, visit: Visit, page: Page, location: str) -> Finding:
        """A redirect is a link of its own level: its target is fetched once, and only if it belongs to the site."""
        if visit.hops == MAX_REDIRECTS:
            return self.failed(visit, PageError("TooManyRedirects", f"more than {MAX_REDIRECTS} redirects"))
        if visit.depth == 0 and visit.kind is VisitKind.PAGE:
            self._rules.belongs(location)
        return Finding(visit, found=[replace(visit, url=location, hops=visit.hops + 1)], page=page)

    def _returns_later(self, visit: Visit, page: Page) -> bool:
        pause = asked_pause(page.error.details.get("retryAfter", ""), page.fetched_at) if page.error is not None else 0
        if not 0 < pause <= MAX_PAUSE or self._returns[visit.url] == MAX_RETURNS:
            return False
        self._returns[visit.url] += 1
        return True

    async def _sitemap(self, visit: Visit, page: Page) -> Finding:
        error = page.error
        if error is None:
            try:
                listed = await self._context.sitemap(page)
                indexed = listed.sitemaps if visit.hops < MAX_INDEXES else []
                deeper = [Visit(url, 0, visit.hops + 1, VisitKind.SITEMAP) for url in indexed]
                return Finding(visit, found=deeper, links=listed.pages)
            except PageError as failure:
                error = failure
        if visit.url in self._asked_for or "retryAfter" in error.details:  # another attempt is to read it
            return self.failed(visit, error)
        _LOG.info("no sitemap", extra={"url": visit.url, "code": error.code})
        return Finding(visit)

    async def _page(self, visit: Visit, page: Page) -> Finding:
        extracted, error = await read(self._context, page)
        record = record_of(visit.url, page, extracted, error, self._context.job.attempt)
        links = extracted.links or []
        kept: dict[str, object] = {}
        if not self._context.job.extract.links:
            kept["links"] = None
        if page.body and error is None:
            kept["digest"] = digest = hashlib.sha256(page.body).hexdigest()
            original = self._originals.setdefault(digest, visit.url)
            if original != visit.url:
                kept |= dict.fromkeys(Extracted.model_fields) | {"duplicate_of": original}
        found = []
        if (canonical := self._canonical(visit, extracted)) is not None:
            kept.setdefault("duplicate_of", canonical)
            found, links = [replace(visit, url=canonical)], []
        if not self._context.job.extract.metadata:
            kept["metadata"] = None
        return Finding(visit, [record.model_copy(update=kept)], found, links, page)

    def _canonical(self, visit: Visit, extracted: Extracted) -> str | None:
        """Return which other page of the site the page names as its original."""
        named = extracted.metadata.canonical if extracted.metadata is not None else None
        if named is None or self._wanted.canonical is CanonicalUse.IGNORE:
            return None
        canonical = self._rules.clean(named)
        if self._rules.identity(canonical) == self._rules.identity(visit.url) or not self._rules.same_site(canonical):
            return None
        return canonical
