"""How much one caller may ask: a bucket of tokens each, in memory."""

import time
from collections import OrderedDict
from typing import Final

from crawl_gateway.errors import refused

_CALLERS: Final = 10_000


class Limiter:
    """Lets through so many requests per second of each caller, and a burst of them.

    Args:
        rate: requests per second.
        burst: requests at once.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._said = f"{rate:g} requests per second" if rate >= 1 else f"{rate * 60:g} requests per minute"
        self._burst = burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, now: float | None = None) -> None:
        """Count a request.

        Raises:
            RefusedError: 429, with the seconds after which there is room again.
        """
        now = time.monotonic() if now is None else now
        left, since = self._buckets.get(caller, (float(self._burst), now))
        left = min(self._burst, left + (now - since) * self._rate)
        if left < 1:
            wait = (1 - left) / self._rate
            raise refused(429, "TooManyRequests", f"more than {self._said}", retry_after=wait)
        self._buckets[caller] = (left - 1, now)
        self._buckets.move_to_end(caller)
        while len(self._buckets) > _CALLERS:
            self._buckets.popitem(last=False)
