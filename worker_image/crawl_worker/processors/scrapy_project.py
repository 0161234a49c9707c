"""`scrapy`: run a spider of a Scrapy project that the image brings, as scrapyd would.

The project is found as the `scrapy` command finds it, by `scrapy.cfg` in the working directory or
`SCRAPY_SETTINGS_MODULE`. Its items become records, and so do the pages that its spider raised at; responses and bytes
are told as Scrapy counts them. The guard against internal addresses holds for it too; what the job and the
administrator limit wins over the project's settings.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Final

from itemadapter import ItemAdapter
from pydantic import BaseModel, ConfigDict, Field
from scrapy import signals
from scrapy.crawler import AsyncCrawlerRunner, Crawler
from scrapy.http import Response
from scrapy.settings import Settings
from scrapy.utils.conf import init_env
from scrapy.utils.project import get_project_settings
from scrapy.utils.serialize import ScrapyJSONEncoder

from crawl_worker.context import Context
from crawl_worker.errors import PageError
from crawl_worker.fetch.engine import REACTOR
from crawl_worker.processors.custom import CustomProcessor, InvalidJobError
from crawl_worker.records import Record

_FORCED: Final = 100
"""Priority above those that Scrapy knows."""
_STOP_SECONDS: Final = 4.0
_TELL_SECONDS: Final = 0.5
"""Between two looks at Scrapy's stats; progress is reported less often."""


class ScrapyRun(BaseModel):
    """Run one spider of the image's Scrapy project."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    spider: Annotated[str, Field(min_length=1, max_length=200)]
    """Name of the spider."""
    arguments: dict[str, str] = {}
    """Given to the spider, as `scrapy crawl -a` does."""
    settings: dict[str, Any] = {}
    """Settings over those of the project, as `scrapy crawl -s` does."""


async def run(parameters: ScrapyRun, context: Context) -> AsyncGenerator[Record, None]:
    """Yield the spider's items, and an error if it did not finish by itself."""
    init_env()
    runner = AsyncCrawlerRunner(_settings(parameters, context))
    try:
        crawler = runner.create_crawler(parameters.spider)
    except KeyError:
        known = ", ".join(sorted(runner.spider_loader.list())) or "none"
        raise InvalidJobError(f"no spider is called {parameters.spider}; there are: {known}") from None
    found: asyncio.Queue[Any] = asyncio.Queue()
    reasons: list[str] = []

    def scraped(item: Any) -> None:
        found.put_nowait(item)

    def raised(failure: Any, response: Response) -> None:
        error = PageError("SpiderError", f"the spider raised {failure.type.__name__}: {failure.getErrorMessage()}")
        name = _name(response.url, parameters.spider)
        found.put_nowait(Record(url=name, error=error.job_error(name, context.job.attempt)))

    def closed(reason: str) -> None:
        reasons.append(reason)

    crawler.signals.connect(scraped, signals.item_scraped)
    crawler.signals.connect(raised, signals.spider_error)
    crawler.signals.connect(closed, signals.spider_closed)
    crawl = asyncio.ensure_future(runner.crawl(crawler, **parameters.arguments))
    crawl.add_done_callback(lambda _: found.put_nowait(None))
    async with _telling(crawler, context) as tell:
        try:
            while (item := await found.get()) is not None:
                tell()  # so that a record never counts before the response that held it
                yield item if isinstance(item, Record) else _record(item, parameters.spider)
            crawl.result()
        finally:
            if not crawl.done():
                stopping = asyncio.ensure_future(crawler.stop_async())
                await asyncio.wait({stopping, crawl}, timeout=_STOP_SECONDS)
    if reasons != ["finished"]:
        error = PageError(
            "SpiderStopped", f"the spider ended with: {', '.join(reasons) or 'no reason'}", retryable=True
        )
        name = f"spider:{parameters.spider}"
        yield Record(url=name, error=error.job_error(name, context.job.attempt))


@asynccontextmanager
async def _telling(crawler: Crawler, context: Context) -> AsyncIterator[Callable[[], None]]:
    """Tell as progress what Scrapy has received, until the block ends, and whenever it calls what it is given."""
    received = 0

    def tell() -> None:
        nonlocal received
        if (stats := crawler.stats) is not None:
            context.expect(max(context.expected, stats.get_value("response_received_count", 0)))
            before, received = received, stats.get_value("downloader/response_bytes", 0)
            context.received(received - before)

    async def tell_on() -> None:
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            tell()

    telling = asyncio.create_task(tell_on())
    try:
        yield tell
    finally:
        telling.cancel()
        tell()


def _settings(parameters: ScrapyRun, context: Context) -> Settings:
    settings = get_project_settings()
    settings.setdict(parameters.settings, priority="cmdline")
    allowed = context.concurrency
    settings.setdict(
        {
            "CONCURRENT_REQUESTS": min(settings.getint("CONCURRENT_REQUESTS"), allowed),
            "CONCURRENT_REQUESTS_PER_DOMAIN": min(settings.getint("CONCURRENT_REQUESTS_PER_DOMAIN"), allowed),
            "DOWNLOAD_DELAY": max(settings.getfloat("DOWNLOAD_DELAY"), context.job.fetch.delay_seconds),
            "HTTPPROXY_ENABLED": False,  # a proxy would bypass the guard
            "LOG_ENABLED": False,
            "ROBOTSTXT_OBEY": context.job.fetch.obey_robots,
            "TELNETCONSOLE_ENABLED": False,
            "TWISTED_REACTOR": REACTOR,
            "USER_AGENT": context.job.fetch.user_agent or context.job.user_agent,
        },
        priority=_FORCED,
    )
    return settings


def _record(item: Any, spider: str) -> Record:
    """Return an item as a record, named by where it was found and by what it says."""
    data = json.loads(json.dumps(ItemAdapter(item).asdict(), cls=ScrapyJSONEncoder))
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]
    return Record(url=f"{_name(data.get('url'), spider)}#{digest}", data=data)


def _name(found: Any, spider: str) -> str:
    return found if isinstance(found, str) and 0 < len(found) < 2000 else f"spider:{spider}"


processor: Final = CustomProcessor(ScrapyRun, run, examples=({"spider": "quotes", "arguments": {"tag": "humor"}},))
