"""Messages reach public addresses and those that are allowed, and nothing else; the answer decides what follows."""

from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from crawl_gateway.webhooks.ledger import Outcome
from crawl_gateway.webhooks.sending import Sender
from webhook_receiver import Receiver, receiving

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def send(url: str, *, allowed: bool = True, seconds: float = 20) -> Outcome:
    async with Sender(LOOPBACK if allowed else (), seconds=seconds) as sender:
        return await sender.send(url, b"{}", {"webhook-id": "one"})


async def test_a_message_arrives_as_it_was_sent(receiver: Receiver) -> None:
    assert await send(f"http://localhost:{receiver.port}/200") == Outcome()
    (message,) = receiver.seen
    assert (message.path, message.body, message.headers["webhook-id"]) == ("/200", b"{}", "one")
    assert message.headers["host"] == f"localhost:{receiver.port}"


@pytest.mark.parametrize(
    ("path", "outcome"),
    [
        ("204", Outcome()),
        ("400", Outcome("HTTP 400")),
        ("410", Outcome("HTTP 410", final=True)),
        ("500", Outcome("HTTP 500")),
        ("elsewhere", Outcome("HTTP 302")),
    ],
)
async def test_an_answer_decides(receiver: Receiver, path: str, outcome: Outcome) -> None:
    assert await send(f"{receiver.url}/{path}") == outcome
    assert len(receiver.seen) == 1


async def test_no_answer_is_a_failure_that_may_pass(receiver: Receiver) -> None:
    outcome = await send(f"{receiver.url}/hangs", seconds=1)
    assert outcome.error
    assert not outcome.final


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://no-such-host.invalid/", "http://[::1]:1/"])
async def test_nobody_there_is_a_failure_that_may_pass(url: str) -> None:
    outcome = await send(url, seconds=1)
    assert outcome.error
    assert not outcome.final


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/200",
        "http://localhost:{port}/200",
        "http://[::1]:{port}/200",
        "http://[::ffff:127.0.0.1]:{port}/200",
        "http://2130706433:{port}/200",
        "http://0x7f.1:{port}/200",
        "http://0.0.0.0:{port}/200",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://192.168.0.1/",
        "http://[fd00:ec2::254]/",
        "http://[64:ff9b::7f00:1]/",
    ],
)
async def test_internal_addresses_are_refused_for_good(receiver: Receiver, url: str) -> None:
    outcome = await send(url.format(port=receiver.port), allowed=False)
    assert outcome.final
    assert "refused" in outcome.error
    assert receiver.seen == []


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "http://user:secret@127.0.0.1/", "http:///x", "file:///etc/passwd"]
)
async def test_what_is_no_web_address_is_refused_for_good(url: str) -> None:
    outcome = await send(url)
    assert outcome.final
    assert "secret" not in outcome.error
