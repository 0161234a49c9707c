"""A server that takes messages, answers each path with the status it names, and remembers them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from threading import Thread

from aiohttp import web

from demo.serving import end


@dataclass(frozen=True)
class Message:
    """What has arrived."""

    path: str
    body: bytes
    headers: dict[str, str]
    """By their names in small letters."""


@dataclass
class Receiver:
    """See the module."""

    port: int = 0
    seen: list[Message] = field(default_factory=list)
    failures: int = 0
    """How many more messages are answered 500 whatever their path."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def to(self, path: str) -> list[Message]:
        """Return the messages that came to a path."""
        return [message for message in self.seen if message.path == path]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append(Message(request.path, await request.read(), headers))
        if request.path == "/hangs":
            await asyncio.sleep(30)
        if request.path == "/elsewhere":
            return web.Response(status=302, headers={"Location": "/200"})
        if self.failures:
            self.failures -= 1
            return web.Response(status=500)
        return web.Response(status=int(request.path[1:4]), body=b"x" * 1_000_000)


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Run a receiver in this loop."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.port = runner.addresses[0][1]
        yield receiver
    finally:
        await end(runner)


@contextlib.contextmanager
def receiving_aside() -> Iterator[Receiver]:
    """Run a receiver in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, name="webhook-receiver", daemon=True)
    thread.start()
    context = receiving()
    try:
        yield asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
