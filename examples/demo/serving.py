"""An HTTP server on loopback that counts, for the demo site and for tests that serve trees of their own."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from threading import Thread
from typing import Final, Self

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_START_SECONDS: Final = 10.0


async def end(runner: web.BaseRunner) -> None:
    """Serve no longer, and cut off who does not read what was sent: it would keep its connection for ever."""
    connections = [each.transport for each in runner.server.connections] if runner.server is not None else []
    await runner.cleanup()
    for transport in connections:
        if transport is not None:
            transport.abort()
    await asyncio.sleep(0)  # what was aborted is let go of in the next turn of the loop


class LoopbackServer:
    """Serves one handler; `async with` runs it in the current loop, plain `with` in a thread of its own.

    The second form is for callers that block, such as a test that waits for kubectl.
    """

    def __init__(self, handler: Handler, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Prepare a server; port 0 takes a free one, which `port` tells once it runs."""
        self.host: Final = host
        self.port = port
        self.requests: Final[Counter[str]] = Counter()
        """How often each decoded path was asked for."""
        self.in_flight = 0
        self.peak_in_flight = 0
        """The most requests that were being answered at one time."""
        self._handler: Final = handler
        self._runner: web.ServerRunner | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None

    @property
    def base_url(self) -> str:
        """Where the server is reached, without a slash at the end."""
        return f"http://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        # A client that hangs up ends its handler: what nobody waits for is not in flight.
        server = web.Server(self._counted, access_log=None, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.host, self.port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await end(self._runner)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="loopback-server", daemon=True)
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self.__aenter__(), self._loop).result(_START_SECONDS)
        except BaseException:
            self._end_thread(self._loop, self._thread)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._thread is not None:
            asyncio.run_coroutine_threadsafe(self.__aexit__(), self._loop).result(_START_SECONDS)
            self._end_thread(self._loop, self._thread)

    @staticmethod
    def _end_thread(loop: asyncio.AbstractEventLoop, thread: Thread) -> None:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_START_SECONDS)
        loop.close()

    async def _counted(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests[request.path] += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        try:
            if request.method not in {"GET", "HEAD"}:
                return web.Response(status=405, headers={"Allow": "GET, HEAD"})
            return await self._handler(request)
        finally:
            self.in_flight -= 1
