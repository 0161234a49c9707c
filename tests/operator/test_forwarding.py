"""An operator that stands by and one that leads: workers are answered alike, whichever they reach."""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession, StreamReader, web
from aiohttp.test_utils import TestServer

from crawl_api.worker_protocol import outcome_path, progress_path, results_path
from crawl_operator.forwarding import Forwarder
from crawl_operator.metrics import Metrics
from crawl_operator.worker_api import WorkerApi

UID = "0123-abcd"
LARGE = b"0123456789abcdef" * (1 << 18)


class Leader:
    """Answers as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] = {"status": 204}
        self.asked: list[tuple[str, str, str | None, bytes]] = []

    async def take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append((request.method, request.path_qs, request.headers.get("Authorization"), body))
        return web.Response(**self.answer)


@pytest.fixture
def leader() -> Leader:
    return Leader()


@pytest.fixture
async def leader_url(leader: Leader) -> AsyncIterator[str]:
    application = web.Application(client_max_size=1 << 30)
    application.router.add_route("*", "/{path:.*}", leader.take)
    async with TestServer(application) as server:
        yield str(server.make_url("/")).rstrip("/")


class Standby:
    """An operator that stands by, and a worker's way to it."""

    def __init__(self, session: ClientSession, url: str, metrics: Metrics) -> None:
        self._session = session
        self.url = url
        self.metrics = metrics

    async def send(self, method: str, path: str, body: bytes | None = None, **more: str) -> tuple[int, bytes, Any]:
        headers = {"Authorization": "Bearer token", **more}
        content = io.BytesIO(body) if body is not None else None
        async with self._session.request(method, self.url + path, data=content, headers=headers) as answer:
            return answer.status, await answer.read(), answer.headers


def standing_by(forwarder: Forwarder, metrics: Metrics) -> web.Application:
    nothing: Any = None
    return WorkerApi(nothing, nothing, nothing, metrics, lambda: "another leads").application(forwarder.middleware)


@pytest.fixture
async def standby(leader_url: str) -> AsyncIterator[Standby]:
    metrics = Metrics()
    async with (
        Forwarder(lambda: leader_url) as forwarder,
        TestServer(standing_by(forwarder, metrics)) as server,
        ClientSession() as session,
    ):
        yield Standby(session, str(server.make_url("/")).rstrip("/"), metrics)


async def test_reports_reach_the_leader_as_they_were_sent(leader: Leader, standby: Standby) -> None:
    sent = [
        ("POST", progress_path(UID, 1), b"{}"),
        ("PUT", outcome_path(UID, 2), b"[]"),
        ("PUT", results_path(UID, 3), LARGE),
    ]
    for method, path, body in sent:
        assert (await standby.send(method, path, body))[0] == 204
    assert leader.asked == [(method, path, "Bearer token", body) for method, path, body in sent]


async def test_the_leaders_answer_reaches_the_worker(leader: Leader, standby: Standby) -> None:
    leader.answer = {"body": LARGE, "content_type": "application/x-ndjson"}
    status, body, headers = await standby.send("GET", results_path(UID, 1))
    assert (status, body, headers["Content-Type"]) == (200, LARGE, "application/x-ndjson")
    leader.answer = {"status": 507, "text": "full", "headers": {"Retry-After": "1"}}
    status, body, headers = await standby.send("PUT", results_path(UID, 1), b"x")
    assert (status, body, headers["Retry-After"]) == (507, b"full", "1")


async def test_what_is_passed_on_is_counted_by_the_leader_alone(leader: Leader, standby: Standby) -> None:
    await standby.send("POST", progress_path(UID, 1), b"{}")
    assert leader.asked
    assert b"worker_reports_total{" not in standby.metrics.exposition("")[0]


async def test_two_that_take_each_other_for_the_leader_end_it() -> None:
    """In the moment in which a lease changes hands: the worker is told to come again, after one round."""
    urls = ["", ""]
    async with (
        Forwarder(lambda: urls[1]) as to_two,
        Forwarder(lambda: urls[0]) as to_one,
        TestServer(standing_by(to_two, Metrics())) as one,
        TestServer(standing_by(to_one, Metrics())) as two,
        ClientSession() as session,
    ):
        urls[:] = (str(each.make_url("/")).rstrip("/") for each in (one, two))
        answer = await asyncio.wait_for(Standby(session, urls[0], Metrics()).send("POST", progress_path(UID, 1)), 10)
    assert answer[:2] == (503, b"the lease is changing hands")
    assert answer[2]["Retry-After"] == "1"


async def test_what_another_proxy_has_passed_on_is_no_loop(leader: Leader, standby: Standby) -> None:
    leader.answer = {"status": 200, "body": b"whole"}
    status, body, _ = await standby.send("GET", progress_path(UID, 1), Via="1.1 google, 1.1 edge")
    assert (status, body) == (200, b"whole")


async def test_an_answer_that_breaks_off_is_broken_off() -> None:
    """Nothing that looks like its end, or like another answer, follows what has come of it."""

    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100000"})
        await response.prepare(request)
        await response.write(b"x" * 50_000)
        assert request.transport is not None
        request.transport.abort()
        return response

    application = web.Application()
    application.router.add_get("/{path:.*}", half)
    async with TestServer(application) as server:
        url = str(server.make_url("/")).rstrip("/")
        async with (
            Forwarder(lambda: url) as forwarder,
            TestServer(standing_by(forwarder, Metrics())) as between,
            ClientSession() as session,
            session.get(between.make_url("/v1/any")) as answer,
        ):
            assert answer.status == 200
            came = bytearray()
            with pytest.raises(ClientError):
                await _drain(answer.content, came)
    assert set(came) <= {ord("x")}


async def _drain(content: StreamReader, into: bytearray) -> None:
    async for chunk in content.iter_any():
        into += chunk


async def test_a_leader_that_is_gone_is_told_as_such() -> None:
    async with (
        Forwarder(lambda: "http://127.0.0.1:9") as forwarder,
        TestServer(standing_by(forwarder, Metrics())) as server,
        ClientSession() as session,
    ):
        url = str(server.make_url("/")).rstrip("/")
        status, body, headers = await Standby(session, url, Metrics()).send("POST", progress_path(UID, 1), b"{}")
    assert (status, headers["Retry-After"], headers["Connection"]) == (503, "1", "close")
    assert body.startswith(b"the operator that leads cannot be reached")


async def test_an_upload_that_breaks_off_breaks_off_there(leader: Leader, standby: Standby) -> None:
    """Half a result is none: the leader sees the end of the connection, not of the body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(standby.url.rpartition(":")[2]))
    head = f"PUT {results_path(UID, 1)} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    writer.write(head.encode() + b"half of it")
    await writer.drain()
    await asyncio.sleep(0.2)
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(0.3)
    assert leader.asked == []
    assert not await reader.read()
