"""Servers that mean harm cost the crawl one page each, bounded in time and memory."""

import asyncio
import contextlib

import psutil
import pytest
from hostile_server import hostile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from operator_stand_in import StandIn
from worker_process import Worker, assignment, records
from worker_site import PAGE, Site

from crawl_worker.extract.process import EXTRACTED, read_page
from crawl_worker.records import Extracted

MAX_BODY = 12 << 20


async def peak_memory(process: asyncio.subprocess.Process) -> int:
    """Return the most that a worker and its children held at once until the worker ended, in bytes."""
    most = 0
    root = psutil.Process(process.pid)
    while process.returncode is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            held = 0
            for one in (root, *root.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    held += one.memory_info().rss
            most = max(most, held)
        await asyncio.sleep(0.05)
    return most


CODES = {
    **dict.fromkeys(("gzip", "gzip-twice", "deflate", "br", "zstd", "lying-length"), "BodyTooLarge"),
    **dict.fromkeys(("self", "ping", "pong"), "TooManyRedirects"),
    **dict.fromkeys(("many-headers", "continuations", "endless-head"), "HeadTooLarge"),
    **dict.fromkeys(("endless-continuation", "endless-100"), "HeadTooLarge"),
    **dict.fromkeys(("endless-header", "endless-status", "endless-trailer", "huge-chunk"), "ConnectionFailed"),
    **dict.fromkeys(("slow-head", "slow-body"), "Timeout"),
    "far": "InvalidURL",
}
"""What must be an error, and which. How far a parser comes with a hostile page is its own affair."""


async def test_each_hostile_page_is_refused_or_bounded(worker: Worker, site: Site, operator: StandIn) -> None:
    """No crash, no page lost, an error or a bounded record for each, and the good pages between them are read."""
    async with hostile() as server:
        good = [f"{site.url}/page/{n}" for n in range(3)]
        urls = [good[0], *server.urls, *good[1:]]
        job = assignment(operator, *urls, fetch={"timeoutSeconds": 5, "maxBodyBytes": MAX_BODY})
        process = await worker.start(job, CRAWL_EXTRACT_TIMEOUT_SECONDS="3")
        watched = asyncio.create_task(peak_memory(process))
        ended = await worker.end(process, 100)
        assert set(server.asked) >= {url.rsplit("/", 1)[-1] for url in server.urls}
        assert max(server.sent.values()) < 2 * MAX_BODY, server.sent
    assert ended.code == 0, ended.log
    found = {record["url"].rsplit("/", 1)[-1]: record for record in records(ended)}
    codes = {name: record.get("error", {}).get("code") for name, record in found.items()}
    assert len(found) == len(urls)
    assert {name: codes[name] for name in CODES} == CODES
    assert codes["endless-body"] in {"BodyTooLarge", "Timeout"}
    assert set(codes.values()) <= {*CODES.values(), None, "ExtractionTimeout", "ExtractionFailed"}, codes
    assert [codes[f"{n}"] for n in range(3)] == [None] * 3
    assert len(found["title"]["title"]) == 1000
    assert (found["zip"].get("text"), found["zip"].get("title")) == (None, None)
    assert await watched < 512 << 20, "the limit that workers have by default"
    assert "Traceback" not in ended.log


async def test_no_page_leads_to_a_url_without_end(worker: Worker, operator: StandIn, site: Site) -> None:
    """A start that in its one spelling is longer than a record can name is an error of that start."""
    start = f"{site.url}/redirect?to=/page/1?{'ä' * 400}"
    wanted = {"startUrls": [start, f"{site.url}/page/7"], "maxDepth": 0, "sitemaps": "None"}
    ended = await worker.run(assignment(operator, start, type="Site", single=None, site=wanted), 30)
    assert ended.code == 0, ended.log
    codes = {record["url"].rsplit("/", 1)[-1]: record.get("error", {}).get("code") for record in operator.lines}
    assert codes.pop("7") is None
    assert list(codes.values()) == ["InvalidURL"]


@pytest.mark.parametrize("name", ["ping", "endless-head", "slow-head", "gzip"])
async def test_a_site_whose_robots_txt_is_hostile_is_left_alone(worker: Worker, operator: StandIn, name: str) -> None:
    """What cannot be read allows nothing."""
    async with hostile() as server:
        server.robots = name
        ended = await worker.run(assignment(operator, f"{server.url}/zip", fetch={"timeoutSeconds": 2}), 30)
        assert "zip" not in server.asked
    assert ended.outcome.failed == 1


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutilated_pages_are_read_or_refused(data: st.DataObject) -> None:
    """Whatever is cut, repeated or overwritten in a page, it has an answer that the parent takes."""
    page = bytearray(PAGE.format(n=1, next=2).encode())
    for _ in range(data.draw(st.integers(1, 8))):
        at, size = data.draw(st.integers(0, len(page))), data.draw(st.integers(0, 40))
        page[at : at + size] = data.draw(st.one_of(st.binary(max_size=40), st.just(bytes(page[at : at + 9]) * 50)))
    options = {"text": True, "markdown": True, "links": True, "metadata": True}
    head = {"url": "http://h/", "contentType": "text/html", "kind": "html", "options": options}
    answer = read_page(head, bytes(page))
    assert answer[:1] == EXTRACTED
    Extracted.model_validate_json(answer[1:])
