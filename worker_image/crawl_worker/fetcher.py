"""Fetching a page as a crawler must: robots.txt first, redirects one by one, and every stop a typed error."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, Protocol

from scrapy.http import Response

from crawl_worker.engine import PageClock
from crawl_worker.errors import PageError, http_error
from crawl_worker.urls import normalise

MAX_REDIRECTS: Final = 10
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Get(Protocol):
    """One exchange: `Engine.get`."""

    async def __call__(self, url: str, clock: PageClock, max_bytes: int | None = None) -> Response:
        """Fetch one normalised URL, without following redirects; raises PageError."""


async def admit_all(_url: str) -> None:
    """Admit every URL: for robots.txt itself, and for jobs that do not obey it."""


@dataclass(frozen=True)
class Page:
    """What a URL led to. `error` is set where the answer was not a success; the rest then describes that answer."""

    final_url: str
    fetched_at: datetime
    elapsed_ms: int
    status: int | None = None
    content_type: str = ""
    body: bytes = b""
    error: PageError | None = None


class Fetcher:
    """Fetches pages; one per attempt.

    Args:
        get: one exchange.
        admit: raises PageError where robots.txt forbids a normalised URL.
        page_seconds: time limit of one page, redirects and body included.
        max_bytes: size limit of a body, where it is not the job's.
    """

    def __init__(
        self, get: Get, admit: Callable[[str], Awaitable[None]], page_seconds: float, max_bytes: int | None = None
    ) -> None:
        self._get = get
        self._admit = admit
        self._page_seconds = page_seconds
        self._max_bytes = max_bytes

    async def fetch(self, url: str) -> Page:
        """Fetch a normalised URL and follow its redirects. Never raises for what a site does."""
        clock = PageClock(self._page_seconds)
        current = url
        response: Response | None = None
        error: PageError | None = None
        started = time.monotonic()
        try:
            response, current = await self._follow(url, clock)
            if not 200 <= response.status < 300:
                error = _status_error(response)
        except _StoppedAtError as stop:
            current, error = stop.url, stop.error
        return Page(
            final_url=current,
            fetched_at=datetime.now(UTC),
            elapsed_ms=round((time.monotonic() - started) * 1000),
            status=response.status if response is not None else None,
            content_type=_header(response, "Content-Type") if response is not None else "",
            body=response.body if response is not None else b"",
            error=error,
        )

    async def _follow(self, url: str, clock: PageClock) -> tuple[Response, str]:
        followed = ""
        for _ in range(MAX_REDIRECTS + 1):
            try:
                await self._admit(url)
                response = await self._get(url, clock, self._max_bytes)
                location = _header(response, "Location") if response.status in _REDIRECTS else ""
                if not location:
                    return response, url
                followed = location
                url = followed = normalise(location, url)
            except PageError as error:
                if followed:
                    error.details["redirectedTo"] = followed
                raise _StoppedAtError(url, error) from error
        raise _StoppedAtError(url, PageError("TooManyRedirects", f"more than {MAX_REDIRECTS} redirects"))


class _StoppedAtError(Exception):
    """A page's error, and the URL of the redirect chain at which it happened."""

    def __init__(self, url: str, error: PageError) -> None:
        super().__init__(url)
        self.url = url
        self.error = error


def _status_error(response: Response) -> PageError:
    try:
        reason = HTTPStatus(response.status).phrase
    except ValueError:
        reason = ""
    return http_error(response.status, reason, _header(response, "Retry-After") or None)


def _header(response: Response, name: str) -> str:
    value = response.headers.get(name)
    return value.decode("utf-8", "replace").strip() if value else ""
