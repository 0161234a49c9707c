"""robots.txt by RFC 9309: read once per origin, and a site that cannot say what it allows allows nothing.

A status of 4xx means there is no file, so all is allowed; a server error or an unreachable site means nobody knows,
and the page's error then says why. Scrapy's own middleware takes a failure for consent.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from protego import Protego

from crawl_worker.errors import PageError
from crawl_worker.fetch.fetcher import Fetcher, Get, Page, Wanted, admit_all
from crawl_worker.fetch.hosts import Hosts
from crawl_worker.fetch.urls import host_of, origin_of

MAX_ROBOTS_BYTES: Final = 512 << 10
"""How much of a robots.txt is heeded; the RFC asks for 500 KiB at least."""

_MAX_BODY_BYTES: Final = 4 << 20
"""A robots.txt beyond this is an error of its site."""


@dataclass(frozen=True)
class Rules:
    """What one site's robots.txt says to one crawler."""

    forbid: Callable[[str], PageError | None] = lambda _url: None
    """Given a normalised URL, why it may not be fetched."""
    crawl_delay: float = 0.0
    sitemaps: tuple[str, ...] = ()
    """As the file spells them."""


class Robots:
    """What the sites of one attempt allow.

    Args:
        get: one exchange.
        hosts: where Crawl-delay is noted.
        user_agent: whom the rules are looked up for.
        page_seconds: time limit of reading one robots.txt.
    """

    def __init__(self, get: Get, hosts: Hosts, user_agent: str, page_seconds: float) -> None:
        self._fetcher = Fetcher(get, hosts, admit_all, Wanted(page_seconds, _MAX_BODY_BYTES))
        self._hosts = hosts
        self._user_agent = user_agent
        self._rules: dict[str, asyncio.Task[Rules]] = {}

    async def admit(self, url: str) -> None:
        """Return if a normalised URL may be fetched.

        Raises:
            PageError: RobotsDisallowed, RobotsUnavailable, or what kept robots.txt from being read.
        """
        rules = await self.rules(url)
        if (why := rules.forbid(url)) is not None:
            raise why

    async def rules(self, url: str) -> Rules:
        """Return the rules that hold for a normalised URL."""
        origin = origin_of(url)
        if origin not in self._rules:
            # A task of its own: a page that is given up must not take the file from the other pages.
            self._rules[origin] = asyncio.create_task(self._read(origin))
        return await asyncio.shield(self._rules[origin])

    async def _read(self, origin: str) -> Rules:
        page = await self._fetcher.fetch(f"{origin}/robots.txt")
        rules = judge(page, self._user_agent)
        if rules.crawl_delay:
            self._hosts.crawl_delay(host_of(origin), rules.crawl_delay)
        return rules


def judge(page: Page, user_agent: str) -> Rules:
    """Return the rules that this answer to the request for robots.txt makes."""
    status = page.status
    if status is not None and 400 <= status < 500 and status != 429:
        return Rules()
    if page.error is not None:
        return Rules(_failing(page.error, status))
    parsed = Protego.parse(page.body[:MAX_ROBOTS_BYTES].decode("utf-8", "replace"))

    def forbid(url: str) -> PageError | None:
        if parsed.can_fetch(url, user_agent):
            return None
        return PageError("RobotsDisallowed", f"robots.txt forbids {user_agent} to fetch it")

    return Rules(forbid, parsed.crawl_delay(user_agent) or 0.0, tuple(parsed.sitemaps))


def _failing(error: PageError, status: int | None) -> Callable[[str], PageError]:
    code = error.code if status is None else "RobotsUnavailable"

    def forbid(_url: str) -> PageError:
        return PageError(code, f"robots.txt: {error.message}", retryable=error.retryable, details=dict(error.details))

    return forbid
