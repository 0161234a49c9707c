"""A stand-in of the operator's worker endpoint: a real server that keeps what it gets and fails as it is told."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import zstandard
from aiohttp import web

from crawl_api.worker_protocol import Outcome, ProgressReport, StoredResult
from demo.serving import end


@dataclass
class StandIn:
    """What arrived, and how to answer."""

    url: str = ""
    progress: list[ProgressReport] = field(default_factory=list)
    progress_times: list[float] = field(default_factory=list)
    results: bytes | None = None
    outcome: Outcome | None = None
    earlier: bytes | None = None
    """Segments of the attempts before, before they were compressed."""
    segments: dict[str, bytes] = field(default_factory=dict)
    """What came to be kept for the attempts after, decompressed, by attempt and number."""
    cache: dict[str, bytes] = field(default_factory=dict)
    cleanings: list[dict[str, Any]] = field(default_factory=list)
    """What was to be cleaned up."""
    cuts: int = 0
    """How often to break the connection in the middle of those."""
    tokens: list[str] = field(default_factory=list)
    tries: list[str] = field(default_factory=list)
    """What was tried, by the last part of its path, refused tries included."""
    answer: Callable[["StandIn", str], web.Response | None] = lambda _self, _what: None
    """Given the kind of request, an answer that replaces the good one."""
    on_request: Callable[[], None] = lambda: None
    """Called before each answer."""
    delay: float = 0.0
    progress_delay: float = 0.0
    damage: int = 0
    """How many results to acknowledge with a wrong checksum."""
    in_progress: int = 0
    most_in_progress: int = 0

    def forget(self) -> None:
        """Forget the job: what comes next is another one's."""
        self.results = self.outcome = self.earlier = None
        self.segments.clear()

    @property
    def lines(self) -> list[Any]:
        """The results, parsed."""
        return [json.loads(line) for line in (self.results or b"").splitlines()]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        what = request.path.split("/")[5]
        what = "earlier" if (request.method, what) == ("GET", "journal") else what
        self.tries.append(what)
        self.on_request()
        self.tokens.append(request.headers.get("Authorization", ""))
        if (bad := self.answer(self, what)) is not None:
            return bad
        await asyncio.sleep(self.delay + (self.progress_delay if what == "progress" else 0))
        if what == "progress":
            self.in_progress += 1
            self.most_in_progress = max(self.most_in_progress, self.in_progress)
            self.progress.append(ProgressReport.model_validate_json(await request.read()))
            self.progress_times.append(asyncio.get_running_loop().time())
            self.in_progress -= 1
            return web.Response(status=204)
        if what == "earlier":
            return await self._earlier(request)
        if what == "results":
            return self._keep_results(await request.read())
        if what == "journal":
            attempt, _, number = request.path.split("/")[4:7]
            self.segments[f"{attempt}/{number}"] = decompressed(await request.read())
        if what in {"cache", "cleaning"}:
            return await self._upkeep(what, request)
        if what == "outcome":
            self.outcome = Outcome.model_validate_json(await request.read())
        return web.Response(status=204)

    async def _earlier(self, request: web.Request) -> web.StreamResponse:
        if self.cuts:
            self.cuts -= 1
            return await self._cut(request)
        segments = self._before(int(request.path.split("/")[4]))
        return web.Response(body=b"".join(map(zstandard.compress, segments))) if segments else web.Response(status=204)

    async def _upkeep(self, what: str, request: web.Request) -> web.Response:
        if what == "cleaning":
            self.cleanings.append(await request.json())
            return web.json_response({"removed": 3, "bytes": 300})
        key = request.path.split("/")[6]
        if request.method == "PUT":
            self.cache[key] = await request.read()
            return web.Response(status=204)
        return web.Response(body=self.cache[key]) if key in self.cache else web.Response(status=404)

    def _before(self, attempt: int) -> list[bytes]:
        """What the attempts before have saved, in order."""
        keys = sorted(tuple(map(int, key.split("/"))) for key in self.segments)
        told = [] if self.earlier is None else [self.earlier]
        return told + [self.segments[f"{one}/{number}"] for one, number in keys if one < attempt]

    def _keep_results(self, body: bytes) -> web.Response:
        digest = hashlib.sha256(body).hexdigest()
        if self.damage:
            self.damage -= 1
            digest = digest[::-1]
        else:
            self.results = body
        stored = StoredResult(url="file:///results/1/results.jsonl", bytes=len(body), sha256=digest)
        return web.json_response(stored.model_dump(mode="json", by_alias=True), status=201)

    async def _cut(self, request: web.Request) -> web.StreamResponse:
        body = zstandard.compress(self.earlier or b"")
        response = web.StreamResponse(headers={"Content-Length": str(len(body))})
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        assert request.transport is not None
        request.transport.abort()
        return response


def decompressed(content: bytes) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True) as reader:
        return reader.read()


@asynccontextmanager
async def serving(app: web.Application, port: int = 0, host: str = "127.0.0.1", **site: Any) -> AsyncIterator[int]:
    """Serve on loopback; yield the port."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, reuse_address=True, **site).start()
        yield runner.addresses[0][1]
    finally:
        await end(runner)


@asynccontextmanager
async def stand_in(operator: StandIn, port: int = 0) -> AsyncIterator[StandIn]:
    """Serve a stand-in; its `url` is the base that an assignment needs."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", operator.handle)
    async with serving(app, port) as bound:
        operator.url = f"http://127.0.0.1:{bound}"
        yield operator
