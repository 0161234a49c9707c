"""Fetching a page as a crawler must: robots.txt first, redirects one by one, and every stop a typed error."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final, Protocol

from scrapy.http import Response

from crawl_worker.errors import PageError, asked_pause, http_error
from crawl_worker.fetch.cache import Cache
from crawl_worker.fetch.engine import NO_HEADERS, PageClock
from crawl_worker.fetch.hosts import Hosts
from crawl_worker.fetch.urls import host_of, normalise

MAX_REDIRECTS: Final = 10
_BUSY: Final = frozenset({429, 503})
_TRAVEL: Final = frozenset({b"connection", b"content-encoding", b"content-length", b"transfer-encoding"})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Get(Protocol):
    """One exchange: `Engine.get`."""

    async def __call__(
        self, url: str, clock: PageClock, max_bytes: int | None = None, headers: Mapping[str, str] = NO_HEADERS
    ) -> Response:
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
    head: bytes = b""
    """Status line and headers to the empty line, fit for the body as it stands here; only where archives are made."""
    body: bytes = b""
    error: PageError | None = None
    from_cache: bool = False
    """Whether the answer had been kept, and was not sent again."""
    location: str | None = None
    """Where the page redirects to, normalised, where redirects were not to be followed."""


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a page."""

    seconds: float
    """Time limit, redirects and body included."""
    max_bytes: int | None = None
    """Size limit of the body, where it is not the job's."""
    head: bool = False
    """Whether the page is told with its headers."""


@dataclass(frozen=True)
class _Answer:
    """An answer, and whether it had been kept."""

    response: Response
    from_cache: bool = False


class Fetcher:
    """Fetches pages; one per attempt.

    Args:
        get: one exchange.
        hosts: whose turns every exchange takes.
        admit: raises PageError where robots.txt forbids a normalised URL.
        wanted: of every page.
        cache: answers that need not be fetched; None for none.
    """

    def __init__(
        self,
        get: Get,
        hosts: Hosts,
        admit: Callable[[str], Awaitable[None]],
        wanted: Wanted,
        cache: Cache | None = None,
    ) -> None:
        self._cache = cache
        self._get = get
        self._hosts = hosts
        self._admit = admit
        self._wanted = wanted

    async def fetch(self, url: str, *, follow: bool = True) -> Page:
        """Fetch a normalised URL, and follow its redirects or tell the first. Never raises for what a site does."""
        clock = PageClock(self._wanted.seconds)
        current, location = url, None
        response: Response | None = None
        error: PageError | None = None
        from_cache = False
        started = time.monotonic()
        try:
            answer, current, location = await self._follow(url, clock, MAX_REDIRECTS if follow else 0)
            response, from_cache = answer.response, answer.from_cache
            if location is not None:
                error = PageError("TooManyRedirects", f"more than {MAX_REDIRECTS} redirects") if follow else None
            elif not 200 <= response.status < 300:
                error = _status_error(response)
        except _StoppedAtError as stop:
            current, error = stop.url, stop.error
        return Page(
            final_url=current,
            fetched_at=datetime.now(UTC),
            elapsed_ms=round((time.monotonic() - started) * 1000),
            status=response.status if response is not None else None,
            content_type=_header(response, "Content-Type") if response is not None else "",
            head=_head(response) if response is not None and self._wanted.head else b"",
            body=response.body if response is not None else b"",
            error=error,
            from_cache=from_cache,
            location=location,
        )

    async def _follow(self, url: str, clock: PageClock, redirects: int) -> tuple[_Answer, str, str | None]:
        """Return the last answer, whose it is, and where it leads if no redirect was left to follow."""
        followed = ""
        while True:
            try:
                await self._admit(url)
                answer = await self._answer(url, clock)
                response = answer.response
                location = _header(response, "Location") if response.status in _REDIRECTS else ""
                if not location:
                    return answer, url, None
                followed = location
                followed = normalise(location, url)
            except PageError as error:
                if followed:
                    error.details["redirectedTo"] = followed
                raise _StoppedAtError(url, error) from error
            if not redirects:
                return answer, url, followed
            redirects -= 1
            url = followed

    async def _answer(self, url: str, clock: PageClock) -> _Answer:
        """Return what was kept of a URL, where it may be used, or else what the site says."""
        if self._cache is None:
            return _Answer(await self._exchange(url, clock))
        held = await self._cache.held(url)
        if held is not None and held.fresh:
            return _Answer(held.response, from_cache=True)
        response = await self._exchange(url, clock, held.conditions if held is not None else NO_HEADERS)
        if held is not None and response.status == HTTPStatus.NOT_MODIFIED:
            return _Answer(await self._cache.renew(held.response, response), from_cache=True)
        await self._cache.keep(response)
        return _Answer(response)

    async def _exchange(self, url: str, clock: PageClock, headers: Mapping[str, str] = NO_HEADERS) -> Response:
        host = host_of(url)
        async with self._hosts.turn(host):
            spent = clock.spent
            response = await self._get(url, clock, self._wanted.max_bytes, headers)
            self._hosts.answered(host, clock.spent - spent, good=response.status == 200)
            if response.status in _BUSY:
                self._hosts.pause(host, asked_pause(_header(response, "Retry-After"), datetime.now(UTC)))
            return response


class _StoppedAtError(Exception):
    """A page's error, and the URL of the redirect chain at which it happened."""

    def __init__(self, url: str, error: PageError) -> None:
        super().__init__(url)
        self.url = url
        self.error = error


def _status_error(response: Response) -> PageError:
    return http_error(response.status, _reason(response.status), _header(response, "Retry-After") or None)


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _head(response: Response) -> bytes:
    """Write the head anew: the body was decoded, so what tells how it travelled would be wrong."""
    reason = _reason(response.status)
    lines = [f"HTTP/1.1 {response.status} {reason}".encode()]
    for name, values in response.headers.items():
        if name.lower() not in _TRAVEL:
            lines += [name + b": " + b" ".join(value.splitlines()) for value in values]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(response.body), b"\r\n"])


def _header(response: Response, name: str) -> str:
    value = response.headers.get(name)
    return value.decode("utf-8", "replace").strip() if value else ""
