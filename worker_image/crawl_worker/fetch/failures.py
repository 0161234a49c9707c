"""What lies inside the exceptions of Twisted and Scrapy, which wrap each other several layers deep."""

from collections.abc import Iterator
from typing import Final

from OpenSSL.SSL import Error as OpenSSLError
from service_identity import VerificationError
from twisted.python.failure import Failure

_MAX_LAYERS: Final = 20


def layers(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what it wraps, outermost first."""
    todo: list[BaseException] = [error]
    for _ in range(_MAX_LAYERS):
        if not todo:
            return
        current = todo.pop(0)
        yield current
        inner = [current.__cause__, *getattr(current, "reasons", ())]
        values = (reason.value if isinstance(reason, Failure) else reason for reason in inner)
        todo.extend(value for value in values if isinstance(value, BaseException))


def is_tls_failure(error: BaseException) -> bool:
    """Say whether TLS is what failed: the handshake, the certificate or its name."""
    return any(isinstance(layer, OpenSSLError | VerificationError) for layer in layers(error))


def describe(error: BaseException) -> str:
    """Return the innermost cause in one line."""
    *_, innermost = layers(error)
    text = " ".join(str(innermost).split())
    return f"{type(innermost).__name__}: {text}" if text else type(innermost).__name__
