"""The API client."""

import asyncio
import time

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from crawl_operator.kube import PODS, Connection, Kube
from crawl_operator.kube_errors import UnavailableError


async def _ask(kube: Kube) -> None:
    await kube.get(PODS, "team", "news")


@pytest.mark.parametrize("cancelled", [False, True])
async def test_who_is_cancelled_ends_though_the_time_of_its_request_is_over_too(cancelled: bool) -> None:  # noqa: FBT001 - a column
    """In the very same turn of the event loop: else a task that shall end would go on for ever."""
    asked = asyncio.Event()

    async def never(_: web.Request) -> web.Response:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    application = web.Application()
    application.router.add_get("/{path:.*}", never)
    async with TestServer(application) as server:

        async def connect() -> Connection:
            return Connection(str(server.make_url("/")).rstrip("/"), None, {})

        async with Kube(connect, timeout=1.5) as kube:
            asking = asyncio.create_task(_ask(kube))
            await asyncio.wait_for(asked.wait(), 10)
            if cancelled:
                asyncio.get_running_loop().call_later(1.5, asking.cancel)
            time.sleep(1.6)  # noqa: ASYNC251 - both are due when the loop turns again
            await asyncio.wait({asking}, timeout=5)
    assert asking.cancelled() is cancelled
    if not cancelled:
        assert isinstance(asking.exception(), UnavailableError)
