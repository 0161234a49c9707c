"""Scrapy's downloader as a function: one HTTP exchange per call, everything Scrapy would decide on top switched off.

Scrapy brings the connection pool, per-host delay, TLS, decompression with a size limit and the response types. Its
redirect and robots.txt middlewares are not used: both give up by the same untyped `IgnoreRequest`, and neither knows a
time limit that spans a page's redirects. `fetcher` does both in the open.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

from scrapy import Request, Spider
from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler
from scrapy.crawler import AsyncCrawlerRunner, Crawler
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadTimeoutError,
    IgnoreRequest,
    ResponseDataLossError,
)
from scrapy.http import Response

from crawl_api.options import FetchOptions
from crawl_worker.errors import PageError
from crawl_worker.fetch.failures import describe, is_tls_failure, layers
from crawl_worker.fetch.heads import BoundedFactory, HeadTooLargeError
from crawl_worker.fetch.resolver import GuardedResolver
from crawl_worker.fetch.urls import host_of, origin_of

REACTOR: Final = "twisted.internet.asyncioreactor.AsyncioSelectorReactor"
_CLOSE_SECONDS: Final = 2.0
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass
class PageClock:
    """How much of a page's time limit is left: only time on the wire counts, waiting for a turn does not."""

    seconds: float
    spent: float = field(default=0.0)

    @property
    def left(self) -> float:
        """Seconds left; never below a millisecond, which times out at once."""
        return max(0.001, self.seconds - self.spent)


class TimedHandler(HTTP11DownloadHandler):
    """Scrapy's HTTP handler, with the page's clock as its time limit and a limit on heads."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._pool._factory = BoundedFactory  # noqa: SLF001 (Scrapy sets its own in the same way)

    async def download_request(self, request: Request) -> Response:
        """Run one exchange within what is left of the page's time."""
        clock: PageClock = request.meta["page_clock"]
        request.meta["download_timeout"] = clock.left
        started = time.monotonic()
        try:
            return await super().download_request(request)
        finally:
            clock.spent += time.monotonic() - started


class _Shell(Spider):
    """The spider that Scrapy wants to see: it keeps the engine open until the crawl is over."""

    name = "attempt"

    def __init__(self, opened: asyncio.Event, released: asyncio.Event, **_kwargs: Any) -> None:
        super().__init__()
        self.opened = opened
        self.released = released

    async def start(self) -> Any:
        """Yield nothing, and end when the crawl is over."""
        self.opened.set()
        await self.released.wait()
        requests: tuple[Request, ...] = ()
        for request in requests:
            yield request


def scrapy_settings(options: FetchOptions, concurrency: int, user_agent: str) -> dict[str, Any]:
    """Return Scrapy's settings for one attempt.

    Args:
        options: as the user asked.
        concurrency: requests in flight at once, per host and in all.
        user_agent: the User-Agent header.
    """
    return {
        "TWISTED_REACTOR": REACTOR,
        "USER_AGENT": user_agent,
        "CONCURRENT_REQUESTS": concurrency,
        "CONCURRENT_REQUESTS_PER_DOMAIN": concurrency,
        "DOWNLOAD_DELAY": 0,  # `hosts` keeps the distances
        "DOWNLOAD_MAXSIZE": options.max_body_bytes,
        "DOWNLOAD_WARNSIZE": 0,
        "DOWNLOAD_VERIFY_CERTIFICATES": True,
        "DOWNLOAD_HANDLERS": {"http": TimedHandler, "https": TimedHandler, "data": None, "file": None, "ftp": None}
        | {"s3": None},
        "COOKIES_ENABLED": False,
        "DOWNLOADER_STATS": False,
        "HTTPPROXY_ENABLED": False,
        "LOGSTATS_INTERVAL": 0,
        "MEMUSAGE_ENABLED": False,
        "METAREFRESH_ENABLED": False,
        "REDIRECT_ENABLED": False,
        "REMOTE_CONTROL_ENABLED": False,
        "RETRY_ENABLED": False,
        "ROBOTSTXT_OBEY": False,
        "STATS_DUMP": False,
        "TELNETCONSOLE_ENABLED": False,
    }


@dataclass(frozen=True)
class HostHeaders:
    """Headers for some origins; they may be secret, so no other origin ever gets them."""

    headers: dict[str, str] = field(default_factory=dict)
    origins: frozenset[str] = frozenset()

    def of(self, url: str) -> dict[str, str]:
        """Return the headers for a request to a normalised URL."""
        return self.headers if self.headers and origin_of(url) in self.origins else {}


class Engine:
    """An open downloader; enter it, call `get`, leave it."""

    def __init__(self, settings: dict[str, Any], resolver: GuardedResolver, headers: HostHeaders | None = None) -> None:
        self._settings = settings
        self._headers = headers or HostHeaders()
        self._resolver = resolver
        self._opened = asyncio.Event()
        self._released = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Start Scrapy's engine and wait until it takes requests."""
        runner = AsyncCrawlerRunner(self._settings)
        self._crawler = runner.create_crawler(_Shell)
        self._crawl = runner.crawl(self._crawler, opened=self._opened, released=self._released)
        opened = asyncio.ensure_future(self._opened.wait())
        await asyncio.wait({self._crawl, opened}, return_when=asyncio.FIRST_COMPLETED)
        opened.cancel()
        if self._crawl.done():
            self._crawl.result()
            raise RuntimeError("Scrapy's engine ended before the crawl began")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the engine; a connection that will not close is left to the end of the process."""
        self._released.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._crawler.stop_async()

    async def get(
        self, url: str, clock: PageClock, max_bytes: int | None = None, headers: Mapping[str, str] = NO_HEADERS
    ) -> Response:
        """Fetch one normalised URL, without following redirects.

        Args:
            url: normalised.
            clock: the page's; what the exchange takes is added to it.
            max_bytes: size limit of this body, where it is not the job's.
            headers: further ones of this request.

        Raises:
            PageError: nothing usable was received.
        """
        meta: dict[str, Any] = {"page_clock": clock, "verbatim_url": True}
        if max_bytes is not None:
            meta["download_maxsize"] = max_bytes
        request = Request(url, headers=self._headers.of(url) | dict(headers), meta=meta, dont_filter=True)
        try:
            response: Response = await self._crawler.engine.download_async(request)
        except Exception as error:
            raise self._page_error(url, clock, error) from error
        return response

    def _page_error(self, url: str, clock: PageClock, error: Exception) -> PageError:
        host = host_of(url)
        refusal = self._resolver.refusal(host)
        if isinstance(error, CannotResolveHostError) and refusal is not None:
            message = f"must not connect to {host}: its address {refusal.address} is {refusal.reason}"
            return PageError("AddressRefused", message, details={"address": refusal.address})
        if is_tls_failure(error):
            return PageError("TLSFailure", f"no trusted TLS connection to {host}: {describe(error)}")
        if any(isinstance(layer, HeadTooLargeError) for layer in layers(error)):
            return PageError("HeadTooLarge", f"what {host} sent before the body does not end")
        retryable = True
        match error:
            case CannotResolveHostError():
                code, message = "DNSFailure", f"no address found for {host}"
            case DownloadTimeoutError():
                code, message = "Timeout", f"not received within {clock.seconds:g} s"
            case DownloadConnectionRefusedError():
                code, message = "ConnectionRefused", f"{host} refused the connection"
            case DownloadCancelledError() | IgnoreRequest():
                # With its middlewares off, these are what Scrapy says of a body that is too large.
                code, message, retryable = "BodyTooLarge", "the body is larger than the job allows", False
            case ResponseDataLossError():
                code, message = "ConnectionFailed", f"{host} closed the connection before the body's end"
            case _:
                code, message = "ConnectionFailed", f"the exchange with {host} failed: {describe(error)}"
        return PageError(code, message, retryable=retryable)
