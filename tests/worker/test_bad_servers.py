"""Servers that do not speak HTTP as they should: each is an error of its page, none is the worker's."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from operator_stand_in import StandIn
from worker_process import Worker, assignment, records
from worker_site import Site

ANSWERS = {
    "silence": b"",
    "garbage": b"\x00\x01\x02 what is this\r\n\r\n",
    "negative": b"HTTP/1.1 -1 No\r\nContent-Length: 0\r\n\r\n",
    "enormous": b"HTTP/1.1 99999999 No\r\nContent-Length: 0\r\n\r\n",
    "no-status": b"HTTP/1.1 \r\n\r\n",
    "bad-length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "bad-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
    "long-header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    "bad-gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
    "bad-location": b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe:x/\r\nContent-Length: 0\r\n\r\n",
    "bad-type": b"HTTP/1.1 200 OK\r\nContent-Type: \xff\xfe; charset=\xff\r\nContent-Length: 5\r\n\r\nhello",
}


@pytest.fixture
async def bad_server() -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        path = request.split()[1].decode()[1:]
        writer.write(ANSWERS.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_no_answer_breaks_the_worker(worker: Worker, site: Site, operator: StandIn, bad_server: str) -> None:
    """Every bad answer has a typed error (or is read as what it is), and the good page is crawled."""
    urls = [f"{site.url}/page/1", *(f"{bad_server}/{name}" for name in ANSWERS), "\x01"]
    ended = await worker.run(assignment(operator, *urls, fetch={"timeoutSeconds": 5}))
    assert ended.code == 0, ended.log
    codes = {record["url"]: record.get("error", {}).get("code") for record in records(ended)}
    assert len(codes) == len(urls)
    assert codes[f"{site.url}/page/1"] is None
    assert "InternalError" not in codes.values(), ended.log
    failed = {url.rsplit("/", 1)[-1] for url, code in codes.items() if code}
    assert failed >= {
        "silence",
        "garbage",
        "negative",
        "no-status",
        "bad-chunk",
        "long-header",
        "bad-gzip",
        "bad-location",
    }
    assert "Traceback" not in ended.log
    for line in ended.log.splitlines():
        assert line.startswith("20"), line
