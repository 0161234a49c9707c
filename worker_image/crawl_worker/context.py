"""What a processor is given: the job, ways to fetch and to read, and what is known already."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from crawl_api.addresses import Network
from crawl_api.options import CacheMode, ExtractOptions
from crawl_api.output import OutputFormat
from crawl_api.worker_protocol import Assignment
from crawl_worker import secrets
from crawl_worker.errors import PageError
from crawl_worker.extract.pool import Extractors, Source
from crawl_worker.extract.sitemaps import SitemapLinks
from crawl_worker.fetch.engine import Engine, HostHeaders, scrapy_settings
from crawl_worker.fetch.fetcher import Fetcher, Page, Wanted, admit_all
from crawl_worker.fetch.hosts import Hosts
from crawl_worker.fetch.resolver import GuardedResolver
from crawl_worker.fetch.robots import Robots
from crawl_worker.fetch.urls import normalise, origin_of
from crawl_worker.findings import Visit
from crawl_worker.ledger import Ledger
from crawl_worker.memory import container_limit, readers
from crawl_worker.records import Extracted
from crawl_worker.settings import WorkerSettings
from crawl_worker.store import Store
from crawl_worker.tally import Tally


@dataclass(frozen=True)
class Web:
    """The way to the sites."""

    hosts: Hosts
    robots: Robots
    fetcher: Fetcher


@dataclass(frozen=True)
class Books:
    """What is kept of one attempt: the ledger on disk and the tally of it."""

    ledger: Ledger
    tally: Tally
    store: Store
    """Where the results will go, and answers are cached."""


class Context:
    """The world as one job's processor sees it."""

    def __init__(self, job: Assignment, web: Web, extractors: Extractors, books: Books) -> None:
        self.job = job
        self.store = books.store
        self.hosts = web.hosts
        self.robots = web.robots
        self._fetcher = web.fetcher
        self._extractors = extractors
        self._books = books

    @property
    def concurrency(self) -> int:
        """Pages to work on at once."""
        return concurrency_of(self.job)

    @property
    def items(self) -> int:
        """How many records there are, those of earlier attempts included."""
        return self._books.tally.succeeded + self._books.tally.failed

    def duplicates(self) -> Iterator[tuple[str, str]]:
        """Yield digest and URL of the pages that earlier attempts have brought, copies left out."""
        for record in self._books.ledger.records_with("digest"):
            if "duplicateOf" not in record:
                yield record["digest"], record["url"]

    def visits(self) -> Iterator[tuple[Visit, bool]]:
        """Yield the visits that earlier attempts knew of, and whether each is done."""
        return self._books.ledger.visits()

    @property
    def work_dir(self) -> Path:
        """The folder on the worker's own disk."""
        return self._books.ledger.path.parent

    @property
    def expected(self) -> int:
        """How many pages there will be, as far as it was told."""
        return self._books.tally.total

    def received(self, size: int) -> None:
        """Count bytes of answers that no record tells the size of."""
        self._books.tally.bytes += size

    def expect(self, total: int) -> None:
        """Tell how many pages there will be, as far as it is known."""
        self._books.tally.total = total

    async def fetch(self, url: str, *, follow: bool = True) -> Page:
        """Fetch a normalised URL; never raises for what a site does.

        Args:
            url: the page's.
            follow: whether redirects are followed; else `location` tells where the first leads.
        """
        return await self._fetcher.fetch(url, follow=follow)

    async def sitemap(self, page: Page) -> SitemapLinks:
        """Return what a sitemap lists; raises PageError."""
        return await self._extractors.sitemap(page.final_url, page.body)

    async def extract(self, source: Source, options: ExtractOptions | None = None) -> Extracted:
        """Take from a page what the job asks for, or what these options say; raises PageError."""
        return await self._extractors.extract(source, options)


def concurrency_of(job: Assignment) -> int:
    """Return how many requests may be in flight: the job may lower the administrator's limit, never raise it."""
    return min(job.fetch.concurrency, job.max_concurrency)


def _named_origins(job: Assignment) -> frozenset[str]:
    """Return the origins of the URLs that the job names itself."""
    origins = set()
    for url in (*job.urls, *(job.site.start_urls if job.site is not None else ())):
        with contextlib.suppress(PageError):  # the page will tell
            origins.add(origin_of(normalise(url)))
    return frozenset(origins)


def extract_options(job: Assignment) -> ExtractOptions:
    """Return what to take from a page: for a site also what leads on."""
    return job.extract if job.site is None else job.extract.model_copy(update={"links": True, "metadata": True})


@asynccontextmanager
async def crawl_context(
    settings: WorkerSettings, job: Assignment, networks: tuple[Network, ...], books: Books
) -> AsyncIterator[Context]:
    """Open all that crawling needs, and close it again.

    Args:
        settings: the worker's.
        job: what is to be crawled.
        networks: exempt from the guard.
        books: of the attempt.
    """
    from twisted.internet import reactor  # noqa: PLC0415 (importing it installs one, so not before ours)

    resolver = GuardedResolver(reactor, networks)
    reactor.installNameResolver(resolver)
    concurrency = concurrency_of(job)
    user_agent = job.fetch.user_agent or job.user_agent
    seconds = job.fetch.timeout_seconds
    hosts = Hosts(
        min(job.fetch.per_host_concurrency, concurrency), job.fetch.delay_seconds, throttle=job.fetch.auto_throttle
    )
    processes, memory = readers(
        min(settings.extract_processes, len(os.sched_getaffinity(0))),  # more of them only cost their start
        settings.extract_memory_bytes,
        settings.memory_limit_bytes or container_limit(),
    )
    extractors = Extractors(
        extract_options(job), limit=processes, seconds=settings.extract_timeout_seconds, memory=memory
    )
    warm_up = asyncio.create_task(extractors.warm_up())
    await asyncio.sleep(0)  # the process starts now, beside the engine
    try:
        headers = HostHeaders(secrets.headers(settings.headers), _named_origins(job))
        async with Engine(scrapy_settings(job.fetch, concurrency, user_agent), resolver, headers) as engine:
            robots = Robots(engine.get, hosts, user_agent, seconds)
            admit = robots.admit if job.fetch.obey_robots else admit_all
            most = job.pdf.max_bytes if job.pdf is not None else None
            wanted = Wanted(seconds, most, head=job.output.format is OutputFormat.WARC)
            cache = None
            if job.fetch.cache_mode is not CacheMode.NONE:
                from crawl_worker.fetch.cache import Cache  # noqa: PLC0415 (needed by few jobs)

                cache = Cache(books.store, job.fetch, user_agent, lambda url: bool(headers.of(url)))
            web = Web(hosts, robots, Fetcher(engine.get, hosts, admit, wanted, cache))
            yield Context(job, web, extractors, books)
    finally:
        warm_up.cancel()
        await extractors.close()
