"""Manners: how many requests a host may be asked at once, how far apart, and when it wants to be left alone.

Every exchange takes its turn here, redirects and robots.txt included. Scrapy's own slots are kept out of the way: they
know neither Retry-After nor Crawl-delay.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from crawl_worker.errors import PageError

MAX_CRAWL_DELAY: Final = 30.0
"""Seconds between two requests that a robots.txt may ask for."""
MAX_PAUSE: Final = 300.0
"""Seconds that a host's pages wait for it; while it asks to be left alone for longer, they fail."""
_MAX_THROTTLE: Final = 60.0


@dataclass
class _Host:
    slots: asyncio.Semaphore
    delay: float
    least: float
    next_at: float = 0.0
    pace: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def left(self) -> float:
        """Seconds until it may be asked."""
        return max(0.0, self.next_at - time.monotonic())


class Hosts:
    """The manners of one attempt.

    Args:
        limit: requests in flight per host.
        delay: seconds between the starts of two requests to one host.
        throttle: whether the delay follows how fast the host answers.
    """

    def __init__(self, limit: int, delay: float, *, throttle: bool = False) -> None:
        self._limit = limit
        self._delay = delay
        self._throttle = throttle
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """Hold one of the host's slots, from the moment at which it may be asked.

        Raises:
            PageError: HostPaused, for longer than `MAX_PAUSE`.
        """
        entry = self._host(host)
        async with entry.slots:
            async with entry.pace:
                while (left := entry.left) > 0:
                    if left > MAX_PAUSE:
                        raise _paused(host, left)
                    await asyncio.sleep(left)
                entry.next_at = time.monotonic() + entry.delay
            yield

    def wait(self, host: str) -> float:
        """Return in how many seconds a turn is worth asking for; infinity while all the host's slots are taken."""
        entry = self._hosts.get(host)
        if entry is None:
            return 0.0
        if entry.slots.locked():
            return math.inf
        return left if (left := entry.left) <= MAX_PAUSE else 0.0

    def crawl_delay(self, host: str, seconds: float) -> None:
        """Heed the Crawl-delay of a robots.txt, up to `MAX_CRAWL_DELAY`; requests then come one at a time."""
        entry = self._host(host)
        entry.least = max(entry.least, min(seconds, MAX_CRAWL_DELAY))
        entry.delay = max(entry.delay, entry.least)
        entry.next_at = max(entry.next_at, time.monotonic() + entry.delay)

    def pause(self, host: str, seconds: float) -> None:
        """Leave the host alone for so long."""
        entry = self._host(host)
        entry.next_at = max(entry.next_at, time.monotonic() + seconds)

    def answered(self, host: str, seconds: float, *, good: bool) -> None:
        """Note how long the host took: where throttling is on, the delay moves half the way towards that time.

        An answer that is no success never makes it shorter: errors come fast.
        """
        if not self._throttle:
            return
        entry = self._host(host)
        delay = min(max(seconds, (entry.delay + seconds) / 2, entry.least), _MAX_THROTTLE)
        if good or delay > entry.delay:
            entry.delay = delay

    def _host(self, host: str) -> _Host:
        if host not in self._hosts:
            self._hosts[host] = _Host(asyncio.Semaphore(self._limit), self._delay, self._delay)
        return self._hosts[host]


def _paused(host: str, left: float) -> PageError:
    until = datetime.now(UTC) + timedelta(seconds=left)
    message = f"{host} asked to be left alone until {until:%Y-%m-%dT%H:%M:%SZ}"
    return PageError("HostPaused", message, retryable=True, details={"retryAfter": str(math.ceil(left))})
