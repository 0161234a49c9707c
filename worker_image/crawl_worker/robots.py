"""robots.txt by RFC 9309: read once per origin, and a site that cannot say what it allows allows nothing.

A status of 4xx means there is no file, so all is allowed; a server error or an unreachable site means nobody knows,
and the page's error then says why. Scrapy's own middleware takes a failure for consent.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from protego import Protego

from crawl_worker.errors import PageError
from crawl_worker.fetcher import Fetcher, Get, Page, admit_all
from crawl_worker.urls import origin_of

MAX_ROBOTS_BYTES: Final = 512 << 10
"""How much of a robots.txt is heeded; the RFC asks for 500 KiB at least."""

_MAX_BODY_BYTES: Final = 4 << 20
"""A robots.txt beyond this is an error of its site."""


class Robots:
    """What the sites of one attempt allow.

    Args:
        get: one exchange.
        user_agent: whom the rules are looked up for.
        page_seconds: time limit of reading one robots.txt.
    """

    def __init__(self, get: Get, user_agent: str, page_seconds: float) -> None:
        self._fetcher = Fetcher(get, admit_all, page_seconds, _MAX_BODY_BYTES)
        self._user_agent = user_agent
        self._rules: dict[str, asyncio.Task[Callable[[str], None]]] = {}

    async def admit(self, url: str) -> None:
        """Return if a normalised URL may be fetched.

        Raises:
            PageError: RobotsDisallowed, RobotsUnavailable, or what kept robots.txt from being read.
        """
        origin = origin_of(url)
        if origin not in self._rules:
            # A task of its own: a page that is given up must not take the file from the other pages.
            self._rules[origin] = asyncio.create_task(self._read(origin))
        rules = await asyncio.shield(self._rules[origin])
        rules(url)

    async def _read(self, origin: str) -> Callable[[str], None]:
        page = await self._fetcher.fetch(f"{origin}/robots.txt")
        return judge(page, self._user_agent)


def judge(page: Page, user_agent: str) -> Callable[[str], None]:
    """Return what raises PageError for a URL that this answer to the request for robots.txt forbids."""
    status = page.status
    if status is not None and 400 <= status < 500 and status != 429:
        return _nothing
    if page.error is not None:
        return _failing(page.error, status)
    rules = Protego.parse(page.body[:MAX_ROBOTS_BYTES].decode("utf-8", "replace"))

    def obey(url: str) -> None:
        if not rules.can_fetch(url, user_agent):
            raise PageError("RobotsDisallowed", f"robots.txt forbids {user_agent} to fetch it")

    return obey


def _nothing(_url: str) -> None:
    """Raise nothing: there is no robots.txt."""


def _failing(error: PageError, status: int | None) -> Callable[[str], None]:
    code = error.code if status is None else "RobotsUnavailable"

    def refuse(_url: str) -> None:
        raise PageError(code, f"robots.txt: {error.message}", retryable=error.retryable, details=dict(error.details))

    return refuse
