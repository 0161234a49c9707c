"""A limit on the head of an answer: Twisted bounds a line of it, but not how many there are.

Scrapy's handler takes its protocol from a factory of its pool, so that is where a bounded one goes.
"""

from typing import Any, Final

from scrapy.core.downloader.handlers.http11 import _LenientHTTP11ClientFactory, _LenientHTTP11ClientProtocol
from twisted.python.failure import Failure
from twisted.web._newclient import HEADER, STATUS

MAX_HEAD_BYTES: Final = 256 << 10
"""Status line and headers, those of answers that only announce another one included."""


class HeadTooLargeError(Exception):
    """The head of an answer is longer than any site needs."""


class _BoundedProtocol(_LenientHTTP11ClientProtocol):
    """Gives up a connection whose answer has too long a head."""

    _head = 0

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 (the interface's name)
        super().dataReceived(data)  # type: ignore[no-untyped-call]
        parser = self._parser
        if parser is None or parser.state not in {STATUS, HEADER}:
            self._head = 0
            return
        self._head += len(data)
        if self._head > MAX_HEAD_BYTES:
            error = HeadTooLargeError(f"the head of the answer is above {MAX_HEAD_BYTES} bytes")
            self._giveUp(Failure(error))  # type: ignore[no-untyped-call]


class BoundedFactory(_LenientHTTP11ClientFactory):
    """Makes connections whose answers have bounded heads."""

    def buildProtocol(self, addr: Any) -> _BoundedProtocol:  # noqa: N802 (the interface's name)
        """Return a new one."""
        return _BoundedProtocol(self._quiescentCallback)  # type: ignore[no-untyped-call]
