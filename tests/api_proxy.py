"""A reverse proxy before the API server: it counts what a client writes, can freeze its watches and cut it off.

The client talks plain HTTP to it and authenticates with its own token, which is passed on.
"""

import asyncio
import base64
import contextlib
import re
import ssl
import time
from dataclasses import dataclass
from threading import Thread
from typing import Literal, Self

import aiohttp
import yaml
from aiohttp import web

from demo.serving import end
from local_cluster.cluster import LocalCluster

_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_DROPPED = frozenset({"host", "content-length", "transfer-encoding", "connection"})


@dataclass(frozen=True)
class Call:
    """One request: what it came to (0: nothing, the client was cut off), and when it came."""

    method: str
    path: str
    status: int
    at: float = 0
    """By the clock of `time.monotonic`."""

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"


class ApiProxy:
    """Runs in a thread of its own, as long as the `with` block."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._server = cluster.server
        trusted = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]["certificate-authority-data"]
        self._tls = ssl.create_default_context(cadata=base64.b64decode(trusted).decode())
        self.calls: list[Call] = []
        self.cut_off: list[Call] = []
        self.cut: Literal["", "refuse", "hang"] = ""
        """How the client is cut off: its connections break, or nothing on them is ever answered."""
        self.frozen = False
        """Whether what watches deliver is held back, for ever, without a word."""
        self.refused = ""
        """The end of the paths on which nothing is written: what is tried is answered 503."""
        self.withheld = ""
        """What is done and never answered, while this stands: a pattern of `METHOD path`."""
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="api-proxy", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def writes(self) -> list[Call]:
        """The successful calls that changed something."""
        return [call for call in self.calls if call.method in _WRITES and call.status < 300]

    @property
    def tried_writes(self) -> list[Call]:
        """The calls that would have changed something, whatever came of them."""
        return [call for call in (*self.calls, *self.cut_off) if call.method in _WRITES]

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._tls),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        server = web.Server(self._pass_on, access_log=None, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        await end(self._runner)
        await self._session.close()
        await asyncio.sleep(0.1)  # closed connections are let go of in later turns of the loop

    async def _pass_on(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _DROPPED}
        url = self._server + request.path_qs
        at = time.monotonic()
        if self.cut:
            self.cut_off.append(Call(request.method, request.path, 0, at))
            await self._cut(request)
        if self.refused and request.method in _WRITES and request.path.endswith(self.refused):
            self.calls.append(Call(request.method, request.path, 503, at))
            return web.Response(status=503, text="refused by the test")
        async with self._session.request(
            request.method, url, headers=headers, data=await request.read() or None
        ) as answer:
            self.calls.append(Call(request.method, request.path, answer.status, at))
            while self.withheld and re.search(self.withheld, f"{request.method} {request.path}"):  # noqa: ASYNC110 - set from another thread
                await asyncio.sleep(0.05)
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _DROPPED}
            response = web.StreamResponse(status=answer.status, headers=kept)
            watch = "watch=true" in request.query_string
            with contextlib.suppress(aiohttp.ClientConnectionResetError):  # the client has hung up
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    while watch and self.frozen:  # noqa: ASYNC110 - set from another thread
                        await asyncio.sleep(0.05)
                    await self._cut(request)
                    await response.write(chunk)
                await self._cut(request)
                await response.write_eof()
            return response

    async def _cut(self, request: web.BaseRequest) -> None:
        while self.cut == "hang":  # noqa: ASYNC110 - set from another thread
            await asyncio.sleep(0.05)
        if self.cut and request.transport is not None:
            request.transport.abort()
