"""The way from an operator to its API server: plain HTTP on loopback, where each call is counted and may be spoiled."""

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, Self

import aiohttp
from aiohttp import web
from stage import Stage
from verdicts import ANSWERS, APPLIED, WRITES, Call, Counter, Verdict
from world import Picture, World

_DROPPED: Final = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})
_LONGEST: Final = 20.0
"""Seconds for which a call is held up at most."""


class Line:
    """One operator's line; `dead` cuts it for ever."""

    def __init__(
        self,
        world: World,
        counter: Counter,
        judge: Callable[[Call], Verdict],
        kill: Callable[[], None],
    ) -> None:
        self.world = world
        self.counter = counter
        self.judge = judge
        self._kill = kill
        self.dead = False
        self.past: Picture | None = None
        """What lists are answered from, where they are stale."""
        self.sending = 0
        self.holding = 0
        """Calls that have left the operator and wait for another one to lead."""
        self.unheard = False
        """Whether renewals of the lease are lost."""
        self.overtaken = asyncio.Event()
        """Set when another operator leads."""
        self.used = time.monotonic()
        """When something was last asked."""
        self.port = 0
        self.site: web.TCPSite | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def under_way(self) -> bool:
        """Whether a call is on its way to the API server, or back."""
        return self.sending > 0 or (self.holding > 0 and self.overtaken.is_set())

    @property
    def held_up(self) -> bool:
        """Whether a call does not get on before another operator leads."""
        return self.holding > 0 and not self.overtaken.is_set()

    def kill(self) -> None:
        """End the operator at the other end, and whatever it may still send."""
        self.dead = True
        self._kill()


class Wire:
    """Serves all lines of a test; use as a context."""

    def __init__(self, stage: Stage) -> None:
        self._server = stage.cluster.server
        self._ca = stage.cluster.blueprint.identities.authority.certificate
        self._lines: dict[int, Line] = {}
        self._sending: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context(cafile=self._ca))
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))
        server = web.Server(self._serve, access_log=None, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        await self._runner.cleanup()
        await self._session.close()

    async def lay(self, line: Line) -> None:
        """Give a line a port."""
        line.site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await line.site.start()
        server = line.site._server
        assert isinstance(server, asyncio.Server)
        line.port = server.sockets[0].getsockname()[1]
        self._lines[line.port] = line

    async def take_up(self, line: Line) -> None:
        """Take a line away."""
        line.dead = True
        self._lines.pop(line.port, None)
        if line.site is not None:
            await line.site.stop()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        data = await request.read()
        line = self._lines.get(request.transport.get_extra_info("sockname")[1])
        if line is None or line.dead:
            return await _cut(request)
        if "watch=true" in request.query_string:
            return await self._stream(request, line)
        answer = await self._answer(request, data, line)
        return answer if answer is not None and not line.dead else await _cut(request)

    async def _answer(self, request: web.BaseRequest, data: bytes, line: Line) -> web.Response | None:
        """Do with a call what is to be done; None if it is to remain without an answer."""
        if "/leases" in request.path:
            return None if line.unheard else await self._pass_on(request, data, line)
        line.used = time.monotonic()
        call = line.counter.number(request.method, request.path)
        verdict = line.judge(call)
        if verdict is Verdict.PASS and call.list and line.past is not None:
            return _from_the_past(line.past, call)
        if verdict is Verdict.KILL:
            line.kill()
        if verdict in {Verdict.DEPOSE, Verdict.DEPOSE_LATE}:
            line.unheard = True
        if verdict is Verdict.DEPOSE_LATE:
            await asyncio.shield(self._start(self._send_late(request, data, line)))
        if verdict not in APPLIED:
            return _refusal(verdict)
        answer = await self._pass_on(request, data, line)
        if verdict is Verdict.KILL_APPLIED:
            line.kill()
        if verdict is Verdict.GARBLED_APPLIED and answer is not None:
            assert isinstance(answer.body, bytes)
            return web.Response(status=answer.status, body=answer.body[: len(answer.body) // 2])
        return answer if verdict in {Verdict.PASS, Verdict.DEPOSE} else _refusal(verdict)

    async def _pass_on(self, request: web.BaseRequest, data: bytes, line: Line) -> web.Response | None:
        try:
            status, body = await asyncio.shield(self._start(self._send(request, data, line)))
        except (aiohttp.ClientError, OSError):
            return None  # the API server is down
        return web.Response(status=status, body=body, content_type="application/json")

    async def _send_late(self, request: web.BaseRequest, data: bytes, line: Line) -> tuple[int, bytes]:
        line.holding += 1
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(line.overtaken.wait(), _LONGEST)
            if request.method == "POST":
                line.world.late.add(json.loads(data)["metadata"]["name"])
            return await self._send(request, data, line)
        finally:
            line.holding -= 1

    def _start(self, sending: Coroutine[Any, Any, tuple[int, bytes]]) -> asyncio.Task[tuple[int, bytes]]:
        """Send a request to its end, whatever becomes of the one who sent it: it has left the house."""
        task = asyncio.create_task(sending)
        self._sending.add(task)
        task.add_done_callback(self._sent)
        return task

    def _sent(self, task: asyncio.Task[Any]) -> None:
        self._sending.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited for it has it; nobody need wait

    async def _send(self, request: web.BaseRequest, data: bytes, line: Line) -> tuple[int, bytes]:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _DROPPED}
        counted = "/leases" not in request.path  # renewals go on for ever
        line.sending += counted
        try:
            async with self._session.request(
                request.method, self._server + request.path_qs, headers=headers, data=data or None
            ) as answer:
                body = await answer.read()
            if answer.status < 300 and request.method in WRITES:
                line.world.expect(json.loads(body))
            return answer.status, body
        finally:
            line.sending -= counted

    async def _stream(self, request: web.BaseRequest, line: Line) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _DROPPED}
        try:
            async with self._session.get(self._server + request.path_qs, headers=headers) as answer:
                response = web.StreamResponse(status=answer.status)
                response.content_type = "application/json"
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                return response
        except (aiohttp.ClientError, OSError):
            return await _cut(request)  # the API server is down


async def _cut(request: web.BaseRequest) -> web.StreamResponse:
    if request.transport is not None:  # else the operator was faster
        request.transport.abort()
    await asyncio.Event().wait()  # until the server notices that nobody is there any more
    raise AssertionError


def _refusal(verdict: Verdict) -> web.Response | None:
    if verdict not in ANSWERS:
        return None
    status, reason = ANSWERS[verdict]
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": "injected"}
    headers = {"Retry-After": "0.05"} if status == 429 else {}
    return web.json_response({**body, "code": status}, status=status, headers=headers)


def _from_the_past(past: Picture, call: Call) -> web.Response:
    found = next(known for resource, known in past.objects.items() if resource.plural == call.plural)
    return web.json_response({"items": list(found.values()), "metadata": {"resourceVersion": "1"}})
