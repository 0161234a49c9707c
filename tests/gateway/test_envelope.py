"""What becomes of a request that is refused, or goes wrong in a way that nobody has foreseen."""

import logging

import httpx2
import pytest

from crawl_client.kubeconfig import Login
from crawl_gateway.app import create
from crawl_gateway.core import Core
from crawl_gateway.errors import refused
from crawl_gateway.settings import Settings


@pytest.mark.parametrize(("seconds", "said"), [(0.2, "1"), (1, "1"), (1.4, "2"), (10, "10")])
async def test_whoever_waits_as_long_as_is_said_has_waited_long_enough(seconds: float, said: str) -> None:
    app = create(Core(Settings(), Login("http://127.0.0.1:1", "default")))

    @app.get("/v1/full")
    async def full() -> None:
        raise refused(429, "TooManyRequests", "later", retry_after=seconds)

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://gateway") as client:
        answer = await client.get("/v1/full")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, said)


@pytest.mark.parametrize("path", ["/v1/broken", "/workers/broken", "/jobs/broken/part", "/tasks/broken/part"])
async def test_what_nobody_has_foreseen_is_an_error_in_the_log_and_no_more_than_an_id_outside(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = create(Core(Settings(), Login("http://127.0.0.1:1", "default")))

    @app.get(path)
    async def broken() -> None:
        raise RuntimeError("the password is hunter2")

    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://gateway") as client:
        answer = await client.get(path, headers={"X-Request-ID": "order-17"})
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "order-17"
    assert "hunter2" not in answer.text
    assert "something went wrong here" in answer.text
    (logged,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "order-17" in logged.getMessage()
    assert logged.exc_info is not None
    assert "hunter2" in str(logged.exc_info[1])
