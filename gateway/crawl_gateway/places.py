"""How many streams each caller has open."""

import contextlib
from collections.abc import Iterator

from crawl_gateway.errors import refused


class Places:
    """Counts open streams by caller.

    Args:
        most: of one caller.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[str, int] = {}

    @contextlib.contextmanager
    def taken(self, caller: str) -> Iterator[None]:
        """Count a stream while it is open.

        Raises:
            RefusedError: 429: the caller has enough of them.
        """
        if self._open.get(caller, 0) >= self._most:
            raise refused(429, "TooManyStreams", f"{self._most} streams are open already", retry_after=10)
        self._open[caller] = self._open.get(caller, 0) + 1
        try:
            yield
        finally:
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]
