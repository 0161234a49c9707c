"""`/health` of a worker, for probes; the standard library is enough for one path."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Final, Self

_MAX_SECONDS: Final = 5.0
_MAX_REQUEST: Final = 8192


@dataclass(frozen=True)
class State:
    """What is told."""

    worker: str
    healthy: bool
    processed: int
    """Items so far."""
    errors: int
    """In a row."""
    batch_seconds: float
    """For how long the current batch has been running; 0 between two."""


class HealthServer:
    """Serves `/health` within its `async with` block: 200 while the worker is healthy, 503 otherwise.

    Args:
        state: asked for each answer.
        port: None for no server at all.
    """

    def __init__(self, state: Callable[[], State], port: int | None) -> None:
        self._state = state
        self._port = port
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Listen; raises OSError where the port is taken."""
        if self._port is not None:
            self._server = await asyncio.start_server(self._answer, port=self._port, limit=_MAX_REQUEST)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            async with asyncio.timeout(_MAX_SECONDS):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._response(request))
                await writer.drain()
        writer.close()

    def _response(self, request: bytes) -> bytes:
        method, path, *_ = [*request.split(maxsplit=2), b"", b""]
        if method not in {b"GET", b"HEAD"} or path.partition(b"?")[0] != b"/health":
            return _http("404 Not Found", b"{}")
        state = self._state()
        body = json.dumps({"status": "healthy" if state.healthy else "unhealthy"} | asdict(state)).encode()
        return _http("200 OK" if state.healthy else "503 Service Unavailable", b"" if method == b"HEAD" else body)


def _http(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body
