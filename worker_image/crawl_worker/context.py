"""What a processor is given: the fetcher and the extractors of one attempt, put together and taken down here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from crawl_api.worker_protocol import Assignment
from crawl_worker.engine import Engine, scrapy_settings
from crawl_worker.extractors import Extractors, Source
from crawl_worker.fetcher import Fetcher, Page, admit_all
from crawl_worker.guard import Network
from crawl_worker.records import Extracted
from crawl_worker.resolver import GuardedResolver
from crawl_worker.robots import Robots
from crawl_worker.settings import WorkerSettings


class CrawlContext:
    """The `Context` of the processors."""

    def __init__(self, concurrency: int, fetcher: Fetcher, extractors: Extractors) -> None:
        self.concurrency = concurrency
        self._fetcher = fetcher
        self._extractors = extractors

    async def fetch(self, url: str) -> Page:
        """Fetch a normalised URL; never raises for what a site does."""
        return await self._fetcher.fetch(url)

    async def extract(self, source: Source) -> Extracted:
        """Take from a page what the job asks for; raises PageError."""
        return await self._extractors.extract(source)


@asynccontextmanager
async def crawl_context(
    settings: WorkerSettings, job: Assignment, networks: tuple[Network, ...]
) -> AsyncIterator[CrawlContext]:
    """Open all that crawling needs, and close it again.

    Args:
        settings: the worker's.
        job: what is to be crawled.
        networks: exempt from the guard.
    """
    from twisted.internet import reactor  # noqa: PLC0415 (importing it installs one, so not before ours)

    resolver = GuardedResolver(reactor, networks)
    reactor.installNameResolver(resolver)
    concurrency = min(job.fetch.concurrency, job.max_concurrency)
    user_agent = job.fetch.user_agent or job.user_agent
    seconds = job.fetch.timeout_seconds
    extractors = Extractors(
        job.extract,
        limit=settings.extract_processes,
        seconds=settings.extract_timeout_seconds,
        memory=settings.extract_memory_bytes,
    )
    warm_up = asyncio.create_task(extractors.warm_up())
    await asyncio.sleep(0)  # the process starts now, beside the engine
    try:
        async with Engine(scrapy_settings(job.fetch, concurrency, user_agent), resolver) as engine:
            admit = Robots(engine.get, user_agent, seconds).admit if job.fetch.obey_robots else admit_all
            yield CrawlContext(concurrency, Fetcher(engine.get, admit, seconds), extractors)
    finally:
        warm_up.cancel()
        await extractors.close()
